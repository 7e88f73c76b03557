"""On request: what goes beyond the paper. No part of the default run: each takes as long as that, or needs more."""

# What each difference between two policies buys, and what the penalty's weight does to exploitability.

OF_ABLATION = config["ablation"]["scenarios"]
job(
    "ablation_table",
    writes={"seeds": "results/{scenario}/ablation_seeds.csv", "table": "results/{scenario}/ablation.csv"},
    page="Ablation",
    reads=of_each("exploitability.csv", ABLATION),
    settings=[
        {"policy": name, "base": setting.base, "change": setting.change, "kind": setting.kind}
        for name, setting in ABLATION.items()
    ],
    script="ablation",
    runtime="5m",
)
figure(
    "ablation",
    "Ablation",
    {"table": "results/{scenario}/ablation.csv", "seed": "results/{scenario}/ablation_seeds.csv"},
)
job(
    "beta_exploitability",
    reads={"tables": of_each("exploitability.csv", SWEPT), "records": of_each("run.json", SWEPT)},
    runtime="5m",
)
figure(
    "beta_exploitability",
    "Exploitability against beta",
    {"table": "results/{scenario}/beta_exploitability.csv", "loss": "results/{scenario}/beta_sweep.csv"},
)
TARGETS["ablation"] = [
    *trained(ABLATION, OF_ABLATION),
    *made_by("exploitability", scenario=OF_ABLATION, policy=[*ABLATION, *SWEPT]),
    *made_by("ablation_table", "plot_ablation", scenario=OF_ABLATION),
    *made_by("beta_exploitability", "plot_beta_exploitability", scenario=OF_ABLATION),
]

# Why the penalty of Fig. 1 seems to help, by trainings at two of its weights under several settings.

OF_STUDY = config["penalty_study"]["scenarios"]
job(
    "penalty_snapshots",
    writes="results/{scenario}/{policy}/penalty_study.csv",
    reads={
        "snapshots": lambda wc: snapshots(wc.scenario, [wc.policy])[0],
        "record": "results/{scenario}/{policy}/run.json",
    },
    settings=deviators_in_game("exploitability", iterations=config["penalty_study"]["iterations"]),
    runtime="1h",
)
job(
    "penalty_study_table",
    writes={"table": "results/{scenario}/penalty_study.csv", "tests": "results/{scenario}/penalty_study_tests.csv"},
    page="Why a small penalty fails",
    reads={
        "histories": of_each("history.csv", STUDIED),
        "records": of_each("run.json", STUDIED),
        "kept": of_each("penalty_study.csv", STUDIED),
        "returned": of_each("exploitability.csv", STUDIED),
    },
    settings=lambda wc: {
        "scenario": wc.scenario,
        **{key: config["penalty_study"][key] for key in ("betas", "iterations", "window")},
    },
    script="penalty_study",
    runtime="5m",
)
figure("penalty_study", "Why a small penalty fails", "results/{scenario}/penalty_study.csv")
TARGETS["penalty_study"] = [
    *trained(STUDIED, OF_STUDY),
    *made_by("penalty_snapshots", "exploitability", scenario=OF_STUDY, policy=STUDIED),
    *made_by("penalty_study_table", "plot_penalty_study", scenario=OF_STUDY),
]

# Whether a policy keeps its promise with more seeds and with the paper's observations.

job(
    "robustness_table",
    reads=of_each("exploitability.csv", ENTRANTS["robustness"]),
    script="join_tables",
)
figure(
    "robustness",
    "Exploitability of further trainings",
    "results/{scenario}/robustness.csv",
    source="exploitability",
)
TARGETS["robustness"] = [
    *trained(ENTRANTS["robustness"], OF_RUN),
    *made_by("exploitability", scenario=OF_RUN, policy=ENTRANTS["robustness"]),
    *made_by("robustness_table", "plot_robustness", scenario=OF_RUN),
]

# Where projected policies settle, exactly, beside trainings of the policy.

PROJECTION = config["projection"]
job(
    "projection",
    settings=in_game(
        "projection",
        observation=observation_of(PROJECTION["policy"]),
        projection={key: value for key, value in PROJECTION.items() if key not in ("scenarios", "policy")},
    ),
    where={"scenario": one_of(PROJECTION["scenarios"])},
    runtime="1h",
)
figure(
    "projection",
    "Where projected policies settle",
    {
        "table": in_scenarios("projection", PROJECTION["scenarios"]),
        "trained": in_scenarios(f"{PROJECTION['policy']}/exploitability", PROJECTION["scenarios"]),
    },
    settings={"exploration": config["policies"][PROJECTION["policy"]]["exploration"]["end"]},
    runtime="10m",
    path="projection",
)
TARGETS["projections"] = [
    *made_by("projection", scenario=PROJECTION["scenarios"]),
    *made_by("exploitability", scenario=PROJECTION["scenarios"], policy=PROJECTION["policy"]),
    *made_by("plot_projection"),
]

# Whether fictitious play fails, or its learner: exact best responses, gradients', DDPG's and TD3's, round by round.

PLAY = config["fictitious_play"]
OF_PLAY = PLAY["policies"]
EXACT_PLAY = [name for name in OF_PLAY if is_linear(config["scenarios"][name])]
REAL_PLAY = [name for name in OF_PLAY if name not in EXACT_PLAY]
TD3_PLAY = EXACT_PLAY if PLAY["td3_rounds"] else []
OUTSIDE = config["outside_learners"]
OF_OUTSIDE = {key: value for key, value in OUTSIDE.items() if key not in ("scenarios", "opponents", "policy")}


def ddpg_transitions(scenario):
    """Of each best response by DDPG after the first."""
    policy = config["policies"][OF_PLAY[scenario][0]]
    return policy["epochs"] * policy["episodes_per_epoch"] * config["scenarios"][scenario]["n_steps"]


for name, kept, scenarios in (
    ("fictitious_play_errors", snapshots, EXACT_PLAY),
    ("fictitious_play_gains", lambda scenario, policies: of_each("data_efficiency.csv", policies, scenario), REAL_PLAY),
):
    job(
        name,
        reads={
            "kept": lambda wc, kept=kept: kept(wc.scenario, OF_PLAY[wc.scenario]),
            "records": lambda wc: of_each("run.json", OF_PLAY[wc.scenario], wc.scenario),
        },
        settings=deviators_in_game(  # who are those of the data efficiency
            "data_efficiency",
            "deviator",
            **{key: PLAY[key] for key in ("trainings", "rounds", "exact_rounds")},
            observation=lambda wc: observation_of(OF_PLAY[wc.scenario][0]),
            response={key: (PLAY if key in PLAY else config["data_efficiency"])[key] for key in OF_DEVIATORS},
            deviators=config["exploitability"]["deviators"],
            visited={key: config["lq"][key] for key in ("episodes", "seed")},
        ),
        where={"scenario": one_of(scenarios)},
        mem_mb=2000,
        runtime="2h",
    )
job(
    "fictitious_play_td3",
    settings=in_game(
        "lq",
        *("episodes", "seed"),
        observation=lambda wc: observation_of(OF_PLAY[wc.scenario][0]),
        rounds=PLAY["td3_rounds"],
        outside=lambda wc: OF_OUTSIDE | {"transitions": ddpg_transitions(wc.scenario)},
    ),
    where={"scenario": one_of(TD3_PLAY)},
    mem_mb=1500,
    runtime="4h",
)
figure(
    "fictitious_play",
    "Fictitious play by each learner",
    {
        "table": in_scenarios("fictitious_play_errors", EXACT_PLAY)
        + in_scenarios("fictitious_play_gains", REAL_PLAY)
        + in_scenarios("fictitious_play_td3", TD3_PLAY)
    },
    path="fictitious_play",
)
TARGETS["fictitious_play"] = [
    *made_by("fictitious_play_errors", scenario=EXACT_PLAY),
    *made_by("fictitious_play_gains", scenario=REAL_PLAY),
    *made_by("fictitious_play_td3", scenario=TD3_PLAY),
    *made_by("plot_fictitious_play"),
]

# Algorithm 2's learner beside the deviators, against the same policies.

job(
    "ddpg_best_response",
    writes="results/{scenario}/{policy}/ddpg_best_response.csv",
    reads=OF_TRAINING,
    settings=deviators_in_game(  # those of the exploitability table, but for the seed
        "exploitability",
        "deviators",
        own=lambda wc: {"seed": config["ddpg_best_response"]["seed"]},
        recipe=recipe_of(config, config["ddpg_best_response"]["policy"]),
        members=config["ddpg_best_response"]["members"],
    ),
    runtime="1h",
)
job(
    "ddpg_best_response_table",
    reads=of_each("ddpg_best_response.csv", ENTRANTS["ddpg_best_response"]),
    page="Best responses: DDPG and gradients",
    script="join_tables",
)
TARGETS["ddpg_best_responses"] = [
    *made_by("ddpg_best_response", scenario=OF_RUN, policy=ENTRANTS["ddpg_best_response"]),
    *made_by("ddpg_best_response_table", scenario=OF_RUN),
]

# Equilibria followed from one scenario to another: why self-play does not settle at Table 1's values.

FOLLOWED = config["equilibrium_path"]
job(
    "equilibrium_path",
    writes="results/equilibrium_path/{policy}.csv",
    settings=lambda wc: {
        "policy": wc.policy,
        "observation": observation_of(wc.policy),
        **{end: game_of(config, FOLLOWED[end]) for end in ("start", "end")},
        "path": {key: value for key, value in FOLLOWED.items() if key not in ("start", "end", "policies")},
    },
    where={"policy": one_of(FOLLOWED["policies"])},
    mem_mb=3000,
    runtime="2h",
)
figure(
    "equilibrium_path",
    "Equilibria from one scenario to another",
    {"table": expand("results/equilibrium_path/{policy}.csv", policy=FOLLOWED["policies"])},
    path="equilibrium_path",
)
TARGETS["equilibrium_paths"] = [
    *made_by("equilibrium_path", policy=FOLLOWED["policies"]),
    *made_by("plot_equilibrium_path"),
]

# Games beyond the paper's market whose equilibria are known exactly.

job(
    "games_table",
    writes="results/games.csv",
    reads=[path for scenario, of in config["games"].items() for path in of_each("exploitability.csv", of, scenario)],
    script="join_tables",
)
figure(
    "games",
    "Games with known answers",
    {
        "error": in_scenarios("lq_error", config["games"]),
        "scatter": in_scenarios("lq_scatter", config["games"]),
    },
    runtime="10m",
    path="games",
)
TARGETS["games"] = [
    *(trained(of, [scenario]) for scenario, of in config["games"].items()),
    *(made_by("exploitability", scenario=scenario, policy=of) for scenario, of in config["games"].items()),
    *made_by("lq_error", scenario=config["games"]),
    *made_by("games_table", "plot_games"),
]

# A market with more and more agents.

PLAYERS = config["many_players"]
OF_PLAYERS = [with_players(PLAYERS["scenario"], count) for count in PLAYERS["agents"]]
job(
    "many_players",
    writes={"errors": "results/many_players.csv", "limit": "results/mean_field_limit.csv"},
    reads={
        "weights": [
            path for scenario in OF_PLAYERS for path in of_each("weights.safetensors", [PLAYERS["policy"]], scenario)
        ]
    },
    settings=in_game(
        "lq",
        *("episodes", "seed"),
        scenario=PLAYERS["scenario"],
        agents=PLAYERS["agents"],
        limit_agents=sorted(PLAYERS["cost_agents"]),
    ),
    mem_mb=2000,
    runtime="30m",
)
job(
    "training_cost",
    writes="results/training_cost.json",
    settings={
        "game": game_of(config, PLAYERS["scenario"]),
        "agents": sorted(PLAYERS["cost_agents"]),
        "recipe": recipe_of(config, PLAYERS["policy"]),
        "iterations": PLAYERS["cost_iterations"],
    },
    mem_mb=4000,
    runtime="30m",
)
figure(
    "many_players",
    "More and more agents",
    {"error": "results/many_players.csv", "limit": "results/mean_field_limit.csv"},
    runtime="10m",
    path="many_players",
)
figure(
    "training_cost",
    "What more agents cost",
    {"record": "results/training_cost.json"},
    source="many_players",
    function="plot_cost",
    runtime="10m",
    path="training_cost",
)
TARGETS["many_agents"] = [
    *trained([PLAYERS["policy"]], OF_PLAYERS),
    *made_by("many_players", "training_cost", "plot_many_players", "plot_training_cost"),
]

# Best responses by another library's learners beside ours: needs the optional extra `sb3`, which seeds the global
# generators of its process.

job(
    "outside_learners_of_policy",
    writes={
        "table": "results/{scenario}/{policy}/outside_learners.csv",
        "times": "results/{scenario}/{policy}/outside_learners.json",
    },
    reads=OF_TRAINING,
    settings=in_game(  # the gradient learner is a deviator of the exploitability table, but for the common budget
        "exploitability",
        *("hidden", "episodes", "learning_rate", "paths", "deviators"),
        recipe=recipe_of(config, OUTSIDE["policy"]),
        outside=OF_OUTSIDE,
    ),
    script="outside_learners",
    mem_mb=1500,
    runtime="2h",
)
job(
    "outside_learners_table",
    reads=of_each("outside_learners.csv", ENTRANTS["outside_learners"]),
    page="Best responses: Stable-Baselines3 beside ours",
    script="join_tables",
)
TARGETS["outside_learners"] = [
    *made_by("outside_learners_of_policy", scenario=OUTSIDE["scenarios"], policy=OUTSIDE["opponents"]),
    *made_by("outside_learners_table", scenario=OUTSIDE["scenarios"]),
]
