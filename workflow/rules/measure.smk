"""Evaluation: tables, and the claims over all scenarios of the run.

One job per scenario; where a job trains deviators, one per training, whose tables are then joined.
"""

job(
    "beta_sweep",
    reads={
        "weights": lambda wc: files_of(sweep_runs(wc.scenario), "weights.safetensors"),
        "histories": lambda wc: files_of(sweep_runs(wc.scenario), "history.csv"),
        "records": lambda wc: files_of(sweep_runs(wc.scenario), "run.json"),
    },
    settings=lambda wc: beta_sweep_settings(wc.scenario),
)
job(
    "policy_grid",
    reads={"weights": of_entrants("comparison", "weights.safetensors")},
    settings=lambda wc: evaluation_settings(wc.scenario, "policy_grid", "prices", "impacts", "inventory"),
)
job(
    "policy_distance",
    reads={"nash_dqn": of_side(0), "other": of_side(1)},
    settings=lambda wc: evaluation_settings(
        wc.scenario,
        "policy_grid",
        *("prices", "impacts", "inventory", "visited_episodes", "seed"),
        comparisons=list(comparisons()),
    ),
)
job(
    "cross_play",
    reads={"nash_dqn": of_side(0), "other": of_side(1)},
    settings=lambda wc: evaluation_settings(
        wc.scenario, "cross_play", "points", "paths", "seed", comparisons=comparisons()
    ),
    runtime="1h",
)
job(
    "cross_play_tests",
    reads="results/{scenario}/cross_play.csv",
    settings={"alpha": config["cross_play"]["alpha"]},
    page="Tests for equal means",
)
job(
    "exploitability",
    writes="results/{gains}.csv",
    reads={
        "weights": lambda wc: f"results/{measured_folder(wc.gains)}/weights.safetensors",
        "record": lambda wc: f"results/{measured_folder(wc.gains)}/run.json",
    },
    settings=exploitability_settings,
    modules=lambda wc: [game_code(wc.gains)],
    where={"gains": exploitability_tables()},
    runtime="1h",
)
job(
    "data_efficiency",
    writes="results/{scenario}/data_efficiency/{policy}.csv",
    reads={
        "snapshots": of_policy("snapshots.safetensors"),
        "record": of_policy("run.json"),
        "reference": reference_of("data_efficiency"),
    },
    settings=lambda wc: deviator_settings(wc.scenario, "data_efficiency", "deviator", "visited_episodes"),
    runtime="1h",
)
job(
    "ddpg_best_response",
    writes="results/{scenario}/ddpg_best_response/{policy}.csv",
    reads={"weights": of_policy("weights.safetensors"), "record": of_policy("run.json")},
    settings=lambda wc: ddpg_settings(wc.scenario),
    runtime="1h",
)
job(
    "ddpg_best_response_table",
    writes="results/{scenario}/ddpg_best_response.csv",
    reads=lambda wc: parts_of(f"{wc.scenario}/ddpg_best_response"),
    page="Best responses: DDPG and gradients",
    script="join_with_page",
)
job(
    "join_tables",
    writes="results/{joined}.csv",
    reads=lambda wc: parts_of(wc.joined),
    where={"joined": f"{one_of(config['scenarios'])}/{one_of(JOINED)}|general/exploitability"},
)
job(
    "reference",
    reads={
        "weights": of_entrants("exploitability", "weights.safetensors"),
        "reference": reference_of("exploitability"),
    },
    settings=lambda wc: evaluation_settings(
        wc.scenario, "exploitability", "paths", "seed", visited_episodes=config["policy_grid"]["visited_episodes"]
    ),
)
job(
    "lq_error",
    writes={"errors": "results/{game}/lq_error.csv", "scatter": "results/{game}/lq_scatter.csv"},
    reads={"weights": lambda wc: files_of(lq_runs(wc.game), "weights.safetensors")},
    settings=lq_settings,
    modules=lambda wc: [game_code(wc.game)],
    where={"game": f"{one_of(config['lq']['scenarios'])}|general/{one_of(config['games'])}"},
    runtime=lambda wc: "10m" if wc.game.startswith("general/") else "2m",
)
job(
    "claims",
    writes="results/claims.csv",
    reads={
        "beta_sweep": in_scenarios("beta_sweep", "beta_sweep"),
        "policy_distance": in_scenarios("policy_distance"),
        "cross_play": in_scenarios("cross_play"),
        "tests": in_scenarios("cross_play_tests"),
        "exploitability": in_scenarios("exploitability"),
        "data_efficiency": in_scenarios("data_efficiency"),
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
