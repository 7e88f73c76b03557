"""Evaluation: tables, and the claims over all scenarios of the run.

One job per scenario; where a job trains deviators, one per training, whose tables are then joined.
"""

SWEEPING = recipe_of(config, config["beta_sweep"]["policy"])
job(
    "beta_sweep",
    reads={
        "weights": of_each("weights.safetensors", SWEPT),
        "histories": of_each("history.csv", SWEPT),
        "records": of_each("run.json", SWEPT),
    },
    settings=in_game(
        "beta_sweep",
        *("iterations", "window", "episodes", "seed"),
        observation=SWEEPING["observation"],
        p11=SWEEPING["p11"],
        exploration=SWEEPING["exploration"]["end"],  # with which trainings end
    ),
)
job(
    "policy_grid",
    reads={"weights": of_each("weights.safetensors", ENTRANTS["comparison"])},
    settings=in_game("policy_grid", "prices", "impacts", "inventory"),
)
SIDES = {  # a policy may meet several others
    side: [f"results/{{scenario}}/{pair[k]}/weights.safetensors" for pair in COMPARISONS.values()]
    for k, side in enumerate(("nash_dqn", "other"))
}
job(
    "policy_distance",
    reads=SIDES,
    settings=in_game(
        "policy_grid",
        *("prices", "impacts", "inventory", "visited_episodes", "seed"),
        comparisons=list(COMPARISONS),
    ),
)
job(
    "cross_play",
    reads=SIDES,
    settings=in_game("cross_play", "points", "paths", "seed", comparisons=list(COMPARISONS)),
    runtime="1h",
)
job(
    "cross_play_tests",
    reads="results/{scenario}/cross_play.csv",
    settings={"alpha": config["cross_play"]["alpha"]},
    page="Tests for equal means",
)
JOINED = ("exploitability", "data_efficiency")  # tables of what is measured policy by policy
OF_TRAINING = {
    f"{name}": f"results/{{scenario}}/{{policy}}/{file}"
    for name, file in (("weights", "weights.safetensors"), ("record", "run.json"))
}


def of_certificate(wildcards):
    """What deviators do otherwise where next to nothing is to be gained: they search longer."""
    algorithm = None if wildcards.policy in AUTHORS else algorithm_of(wildcards.policy)
    keys = ("iterations", "learning_rate") if algorithm in ("self_play", "least_squares") else ()
    return {key: config["exploitability"][f"certificate_{key}"] for key in keys}


def is_market(wildcards):
    """Whether the scenario is of the paper's game."""
    return game_of(config, wildcards.scenario)["game"] == MARKET


job(
    "exploitability",
    writes="results/{scenario}/{policy}/exploitability.csv",
    reads=OF_TRAINING,
    settings=deviators_in_game(
        "exploitability",
        own=of_certificate,
        # In games beyond the market agents remember nothing.
        deviators=lambda wc: config["exploitability"]["deviators"] if is_market(wc) else ["same"],
    ),
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
    settings=deviators_in_game("data_efficiency", "deviator", "visited_episodes"),
    runtime="1h",
)
for name in JOINED:
    job(f"{name}_table", reads=of_each(f"{name}.csv", ENTRANTS[name]), script="join_tables")
job(
    "reference",
    reads={
        "weights": of_each("weights.safetensors", ENTRANTS["exploitability"]),
        "reference": reference_of("exploitability"),
    },
    settings=in_game("exploitability", "paths", "seed", visited_episodes=config["policy_grid"]["visited_episodes"]),
)
job(
    "lq_error",
    writes={"errors": "results/{scenario}/lq_error.csv", "scatter": "results/{scenario}/lq_scatter.csv"},
    reads={"weights": lambda wc: of_each("weights.safetensors", EXACT[wc.scenario], wc.scenario)},
    settings=in_game("lq", "episodes", "seed", by_group=lambda wc: not is_market(wc)),
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
        "trainings": [
            path for path in dict.fromkeys(TRAINED) if path.endswith("run.json") and Path(path).parts[1] in OF_RUN
        ],
    },
    page="Claims",
)
job(
    "deviations",
    writes="results/deviations.csv",
    settings=read_deviations((Path(workflow.basedir).parent / "docs" / "results.md").read_text(encoding="utf-8")),
    page="Decisions where the paper is silent or contradicts itself",
)

TARGETS["tables"] = [
    *made_by("policy_grid", "policy_distance", "cross_play", "cross_play_tests", scenario=OF_RUN),
    *made_by("reference", *(f"{name}_table" for name in JOINED), scenario=OF_RUN),
    *(made_by(name, scenario=OF_RUN, policy=ENTRANTS[name]) for name in JOINED),
    *made_by("beta_sweep", scenario=config["beta_sweep"]["scenarios"]),
    *made_by("lq_error", scenario=config["lq"]["policies"]),
    *made_by("claims", "deviations"),
]
