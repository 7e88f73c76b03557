"""Figures of the run, and the one page that is no picture."""

figure(
    "beta_sweep",
    "Fig. 1: loss against beta",
    "results/{scenario}/beta_sweep.csv",
    path="{scenario}/fig1_beta_sweep",
)
for name, path, label in (
    ("policies", "{scenario}/fig2_policies", "Fig. 2: policies"),
    ("other_policies", "{scenario}/fig2_policies_{comparison}", "Fig. 2: policies, comparison {comparison}"),
):
    figure(
        name,
        label,
        {
            "grid": "results/{scenario}/policy_grid.csv",
            "distance": "results/{scenario}/policy_distance.csv",
            "records": lambda wc: of_each("run.json", COMPARISONS[shown(wc)], wc.scenario),
        },
        path=path,
        settings=lambda wc: {"comparison": shown(wc)},
        mem_mb=2000,
    )
figure(
    "cross_play",
    "Fig. 3: cross-play",
    {"points": "results/{scenario}/cross_play.csv", "tests": "results/{scenario}/cross_play_tests.csv"},
    path="{scenario}/fig3_cross_play",
)
figure(
    "training_curves",
    "Training curves",
    {
        "histories": of_each("history.csv", ENTRANTS["training_curves"]),
        "records": of_each("run.json", ENTRANTS["training_curves"]),
    },
)
figure("exploitability", "Exploitability", "results/{scenario}/exploitability.csv")
LEARNING = {"table": "results/{scenario}/data_efficiency.csv", "gains": "results/{scenario}/exploitability.csv"}
figure("data_efficiency", "Data efficiency", LEARNING)
figure(
    "data_efficiency_time",
    "Data efficiency: against time",
    {**LEARNING, "records": of_each("run.json", ENTRANTS["data_efficiency"])},
    source="data_efficiency",
    function="plot_time",
)
figure(
    "lq_policies",
    "Learned against exact policies",
    {"error": "results/{scenario}/lq_error.csv", "scatter": "results/{scenario}/lq_scatter.csv"},
)
job(
    "explorer",
    writes=shows("figures/explorer.html", "explorer", "Figures", figure="Explorer: play with the policies"),
    reads={
        name: [path for scenario in OF_RUN for path in of_each(file, ENTRANTS["explorer"], scenario)]
        for name, file in (("weights", "weights.safetensors"), ("records", "run.json"))
    },
    settings={
        "games": {name: game_of(config, name) for name in OF_RUN},
        "inventory": config["policy_grid"]["inventory"],
    },
    runtime="5m",
)

TARGETS["paper"] = [  # which take their tables along
    *made_by("plot_policies", "plot_cross_play", scenario=OF_RUN),
    *made_by("plot_other_policies", scenario=OF_RUN, comparison=list(COMPARISONS)[1:]),
    *made_by("plot_beta_sweep", scenario=config["beta_sweep"]["scenarios"]),
]
TARGETS["figures"] = [
    *TARGETS["paper"],
    *made_by("plot_training_curves", "plot_exploitability", scenario=OF_RUN),
    *made_by("plot_data_efficiency", "plot_data_efficiency_time", scenario=OF_RUN),
    *made_by("plot_lq_policies", scenario=config["lq"]["policies"]),
    *made_by("explorer"),
]
