"""Figures of the run, and the one page that is no picture."""

figure(
    "beta_sweep",
    "{scenario}/fig1_beta_sweep",
    "Fig. 1: loss against beta",
    "results/{scenario}/beta_sweep.csv",
)
for name, path, label in (
    ("policies", "{scenario}/fig2_policies", "Fig. 2: policies"),
    ("other_policies", "{scenario}/fig2_policies_{comparison}", "Fig. 2: policies, comparison {comparison}"),
):
    figure(
        name,
        path,
        label,
        {
            "grid": "results/{scenario}/policy_grid.csv",
            "distance": "results/{scenario}/policy_distance.csv",
            "records": lambda wc: files_of([run_of(wc.scenario, of) for of in comparisons()[shown(wc)]], "run.json"),
        },
        script="plot_policies",
        settings=lambda wc: {"comparison": shown(wc), "policies": comparisons()[shown(wc)]},
        mem_mb=2000,
    )
figure(
    "cross_play",
    "{scenario}/fig3_cross_play",
    "Fig. 3: cross-play",
    {"points": "results/{scenario}/cross_play.csv", "tests": "results/{scenario}/cross_play_tests.csv"},
)
figure(
    "training_curves",
    "{scenario}/training_curves",
    "Training curves",
    {
        "histories": of_entrants("training_curves", "history.csv"),
        "records": of_entrants("training_curves", "run.json"),
    },
    script="plot_training_curves",
    settings=lambda wc: {"scenario": wc.scenario, "recipes": ENTRANTS["training_curves"]},
)
figure("exploitability", "{scenario}/exploitability", "Exploitability", "results/{scenario}/exploitability.csv")
LEARNING = {"table": "results/{scenario}/data_efficiency.csv", "gains": "results/{scenario}/exploitability.csv"}
figure("data_efficiency", "{scenario}/data_efficiency", "Data efficiency", LEARNING)
figure(
    "data_efficiency_time",
    "{scenario}/data_efficiency_time",
    "Data efficiency: against time",
    {**LEARNING, "records": of_entrants("data_efficiency", "run.json")},
    source="data_efficiency",
    function="plot_time",
)
figure(
    "lq_policies",
    "{scenario}/lq_policies",
    "Learned against exact policies",
    {"error": "results/{scenario}/lq_error.csv", "scatter": "results/{scenario}/lq_scatter.csv"},
)
job(
    "explorer",
    writes=shows("figures/explorer.html", "explorer", "Figures", figure="Explorer: play with the policies"),
    reads={
        name: files_of([run for scenario in config["run"]["scenarios"] for run in runs_of("explorer", scenario)], file)
        for name, file in (("weights", "weights.safetensors"), ("records", "run.json"))
    },
    settings={
        "games": {name: config["scenarios"][name] for name in config["run"]["scenarios"]},
        "policies": {name: ENTRANTS["explorer"] for name in config["run"]["scenarios"]},
        "inventory": config["policy_grid"]["inventory"],
    },
    runtime="5m",
)


rule figures:
    input:
        figure_targets(),
