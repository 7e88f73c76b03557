"""Evaluation: tables, and the claims over all scenarios of the run.

One job per scenario; where a job trains deviators, one per training, whose tables are then joined.
"""

job(
    "beta_sweep",
    reads={
        "weights": of_each("weights.safetensors", SWEPT),
        "histories": of_each("history.csv", SWEPT),
        "records": of_each("run.json", SWEPT),
    },
    settings=lambda wc: beta_sweep_settings(wc.scenario),
)
job(
    "policy_grid",
    reads={"weights": of_each("weights.safetensors", ENTRANTS["comparison"])},
    settings=lambda wc: evaluation_settings(wc.scenario, "policy_grid", "prices", "impacts", "inventory"),
)
SIDES = {  # a policy may meet several others
    side: [f"results/{{scenario}}/{pair[k]}/weights.safetensors" for pair in COMPARISONS.values()]
    for k, side in enumerate(("nash_dqn", "other"))
}
job(
    "policy_distance",
    reads=SIDES,
    settings=lambda wc: evaluation_settings(
        wc.scenario,
        "policy_grid",
        *("prices", "impacts", "inventory", "visited_episodes", "seed"),
        comparisons=list(COMPARISONS),
    ),
)
job(
    "cross_play",
    reads=SIDES,
    settings=lambda wc: evaluation_settings(
        wc.scenario, "cross_play", "points", "paths", "seed", comparisons=list(COMPARISONS)
    ),
    runtime="1h",
)
job(
    "cross_play_tests",
    reads="results/{scenario}/cross_play.csv",
    settings={"alpha": config["cross_play"]["alpha"]},
    page="Tests for equal means",
)
OF_TRAINING = {
    f"{name}": f"results/{{scenario}}/{{policy}}/{file}"
    for name, file in (("weights", "weights.safetensors"), ("record", "run.json"))
}
job(
    "exploitability",
    writes="results/{scenario}/{policy}/exploitability.csv",
    reads=OF_TRAINING,
    settings=exploitability_settings,
    runtime="1h",
)
job(
    "data_efficiency",
    writes="results/{scenario}/{policy}/data_efficiency.csv",
    reads={
        "snapshots": lambda wc: snapshots(wc.scenario, [wc.policy])[0],
        "record": OF_TRAINING["record"],
        "reference": reference_of("data_efficiency"),
    },
    settings=lambda wc: deviator_settings(wc.scenario, "data_efficiency", "deviator", "visited_episodes"),
    runtime="1h",
)
job(
    "ddpg_best_response",
    writes="results/{scenario}/{policy}/ddpg_best_response.csv",
    reads=OF_TRAINING,
    settings=lambda wc: ddpg_settings(wc.scenario),
    runtime="1h",
)
for name, joined, page, by in (
    ("ddpg_best_response", "ddpg_best_response", "Best responses: DDPG and gradients", "join_with_page"),
    ("exploitability", "exploitability", None, "join_tables"),
    ("data_efficiency", "data_efficiency", None, "join_tables"),
    ("robustness", "exploitability", None, "join_tables"),
):
    job(
        f"{name}_table",
        reads=of_each(f"{joined}.csv", ENTRANTS[name]),
        page=page,
        script=by,
    )
job(
    "reference",
    reads={
        "weights": of_each("weights.safetensors", ENTRANTS["exploitability"]),
        "reference": reference_of("exploitability"),
    },
    settings=lambda wc: evaluation_settings(
        wc.scenario, "exploitability", "paths", "seed", visited_episodes=config["policy_grid"]["visited_episodes"]
    ),
)
job(
    "lq_error",
    writes={"errors": "results/{scenario}/lq_error.csv", "scatter": "results/{scenario}/lq_scatter.csv"},
    reads={"weights": lambda wc: of_each("weights.safetensors", EXACT[wc.scenario], wc.scenario)},
    settings=lq_settings,
    where={"scenario": one_of(EXACT)},
    runtime="10m",
)
job(
    "claims",
    writes="results/claims.csv",
    reads={
        "beta_sweep": in_scenarios("beta_sweep", config["beta_sweep"]["scenarios"]),
        "policy_distance": in_scenarios("policy_distance"),
        "cross_play": in_scenarios("cross_play"),
        "tests": in_scenarios("cross_play_tests"),
        "exploitability": in_scenarios("exploitability"),
        "data_efficiency": in_scenarios("data_efficiency"),
        "trainings": records_of_run(),
    },
    page="Claims",
)
job(
    "deviations",
    writes="results/deviations.csv",
    settings=deviations(),
    page="Decisions where the paper is silent or contradicts itself",
)


rule tables:
    input:
        table_targets(),
