"""On request: what goes beyond the paper. No part of the default run: each takes as long as that, or needs more."""

# What each difference between two recipes buys, and what the penalty's weight does to exploitability.

ABLATED = files_of(
    [
        f"results/{scenario}/ablation/{setting}"
        for scenario in config["ablation"]["scenarios"]
        for setting in ablated_recipes()
    ],
    *ON_RETURN,
    "exploitability.csv",
)
job(
    "ablation_table",
    writes={"seeds": "results/{scenario}/ablation_seeds.csv", "table": "results/{scenario}/ablation.csv"},
    page="Ablation",
    reads=[f"results/{{scenario}}/ablation/{setting}/exploitability.csv" for setting in ablated_recipes()],
    settings=[
        {"setting": name, "base": setting.base, "change": setting.change, "kind": setting.kind}
        for name, setting in ablated_recipes().items()
    ],
    script="ablation",
    runtime="5m",
)
figure(
    "ablation",
    "{scenario}/ablation",
    "Ablation",
    {"table": "results/{scenario}/ablation.csv", "seed": "results/{scenario}/ablation_seeds.csv"},
)
SWEPT = [(config["beta_sweep"]["recipe"], beta) for beta in config["beta_sweep"]["betas"]]
job(
    "beta_exploitability",
    reads=at_betas("beta_exploitability", SWEPT),
    settings={"betas": config["beta_sweep"]["betas"]},
    runtime="5m",
)
figure(
    "beta_exploitability",
    "{scenario}/beta_exploitability",
    "Exploitability against beta",
    {"table": "results/{scenario}/beta_exploitability.csv", "loss": "results/{scenario}/beta_sweep.csv"},
)


rule ablation:
    input:
        ABLATED,
        in_scenarios("ablation_seeds", "ablation"),
        expand("results/{scenario}/ablation.html", scenario=config["ablation"]["scenarios"]),
        pictures(
            *expand(
                "{scenario}/{name}", scenario=config["ablation"]["scenarios"], name=("ablation", "beta_exploitability")
            )
        ),


# Why the penalty of Fig. 1 seems to help, by trainings at two of its weights under several recipes.

job(
    "penalty_snapshots",
    writes="results/{scenario}/penalty_study/{recipe}/beta_{beta}.csv",
    reads={
        "snapshots": "results/{scenario}/nash_dqn/{recipe}/beta_{beta}/snapshots.safetensors",
        "record": "results/{scenario}/nash_dqn/{recipe}/beta_{beta}/run.json",
    },
    settings=lambda wc: deviator_settings(
        wc.scenario, "exploitability", iterations=config["penalty_study"]["iterations"]
    ),
    where={"recipe": one_of(config["penalty_study"]["recipes"])},
    runtime="1h",
)
job(
    "penalty_study_table",
    writes={"table": "results/{scenario}/penalty_study.csv", "tests": "results/{scenario}/penalty_study_tests.csv"},
    page="Why a small penalty fails",
    reads={
        "histories": study_files("history.csv"),
        "records": study_files("run.json"),
        "kept": at_betas("penalty_study", study_trainings()),
        "returned": at_betas("beta_exploitability", study_trainings()),
    },
    settings=lambda wc: {
        "scenario": wc.scenario,
        "trainings": study_trainings(),
        **{key: config["penalty_study"][key] for key in ("betas", "iterations", "window")},
    },
    script="penalty_study",
    runtime="5m",
)
figure("penalty_study", "{scenario}/penalty_study", "Why a small penalty fails", "results/{scenario}/penalty_study.csv")


rule penalty_study:
    input:
        files_of(
            [
                nash_dqn_run(scenario, *training)
                for scenario in config["penalty_study"]["scenarios"]
                for training in study_trainings()
            ],
            *ON_RETURN,
        ),
        expand("results/{scenario}/penalty_study_tests.html", scenario=config["penalty_study"]["scenarios"]),
        pictures(*expand("{scenario}/penalty_study", scenario=config["penalty_study"]["scenarios"])),


# Whether a recipe keeps its promise with more seeds and with the paper's observations.

figure(
    "robustness",
    "{scenario}/robustness",
    "Exploitability of further trainings",
    "results/{scenario}/robustness.csv",
    source="exploitability",
)


rule robustness:
    input:
        files_of(
            [run for scenario in config["run"]["scenarios"] for run in runs_of("robustness", scenario)], *ON_RETURN
        ),
        pictures(*expand("{scenario}/robustness", scenario=config["run"]["scenarios"])),


# Where projected policies settle, exactly, beside trainings of the recipe.

job(
    "projection",
    settings=lambda wc: projection_settings(wc.scenario),
    where={"scenario": one_of(config["lq"]["scenarios"])},
    runtime="1h",
)
figure(
    "projection",
    "projection",
    "Where projected policies settle",
    {
        "table": in_scenarios("projection", "lq"),
        "trained": in_scenarios(f"exploitability/nash_dqn/{config['projection']['recipe']}", "lq"),
    },
    settings={"exploration": config["nash_dqn"][config["projection"]["recipe"]]["exploration"]["end"]},
    runtime="10m",
)


rule projections:
    input:
        pictures("projection"),


# Equilibria followed from one scenario to another: why self-play does not settle at Table 1's values.

job(
    "equilibrium_path",
    writes="results/equilibrium_path/{recipe}.csv",
    settings=lambda wc: equilibrium_path_settings(wc.recipe),
    where={"recipe": one_of(config["self_play"])},
    mem_mb=3000,
    runtime="2h",
)
figure(
    "equilibrium_path",
    "equilibrium_path",
    "Equilibria from one scenario to another",
    {"table": expand("results/equilibrium_path/{recipe}.csv", recipe=config["equilibrium_path"]["policies"])},
)


rule equilibrium_paths:
    input:
        pictures("equilibrium_path"),


# Games beyond the paper's market whose equilibria are known exactly, and one with more and more agents.

MANY_PLAYERS = config["general"]["many_players"]
job(
    "many_players",
    writes={"errors": "results/general/many_players.csv", "limit": "results/general/mean_field_limit.csv"},
    reads={
        "weights": [
            f"results/general/{game}/nash_dqn/weights.safetensors"
            for game in general_games(config)
            if game not in config["games"]
        ]
    },
    settings=many_players_settings(
        agents=MANY_PLAYERS["agents"],
        limit_agents=sorted(MANY_PLAYERS["cost_agents"]),
        **{key: config["general"][key] for key in ("episodes", "seed")},
    ),
    mem_mb=2000,
    runtime="30m",
)
job(
    "training_cost",
    writes="results/general/training_cost.json",
    settings=many_players_settings(
        agents=sorted(MANY_PLAYERS["cost_agents"]),
        recipe=general_settings(config, "nash_dqn", general_games(config)[-1])["recipe"],
        iterations=MANY_PLAYERS["cost_iterations"],
    ),
    mem_mb=4000,
    runtime="30m",
)
figure(
    "games",
    "general/games",
    "Games with known answers",
    {
        "error": expand("results/general/{game}/lq_error.csv", game=config["games"]),
        "scatter": expand("results/general/{game}/lq_scatter.csv", game=config["games"]),
    },
    runtime="10m",
)
figure(
    "many_players",
    "general/many_players",
    "More and more agents",
    {"error": "results/general/many_players.csv", "limit": "results/general/mean_field_limit.csv"},
    runtime="10m",
)
figure(
    "training_cost",
    "general/training_cost",
    "What more agents cost",
    {"record": "results/general/training_cost.json"},
    source="many_players",
    function="plot_cost",
    runtime="10m",
)


rule general:
    input:
        files_of([f"results/general/{game}/nash_dqn" for game in general_games(config)], *ON_RETURN),
        files_of([f"results/general/{game}/fictitious_play" for game in config["games"]], *ON_RETURN),
        pictures(*expand("general/{name}", name=("games", "many_players", "training_cost"))),
        "results/general/exploitability.csv",


# Best responses by another library's learners beside ours: needs the optional extra `sb3`, which seeds the global
# generators of its process.

job(
    "outside_learners_of_policy",
    writes={
        "table": "results/{scenario}/outside_learners/{policy}.csv",
        "times": "results/{scenario}/outside_learners/{policy}.json",
    },
    reads={"weights": of_policy("weights.safetensors"), "record": of_policy("run.json")},
    settings=lambda wc: outside_settings(wc.scenario),
    script="outside_learners",
    mem_mb=1500,
    runtime="2h",
)
job(
    "outside_learners_table",
    writes="results/{scenario}/outside_learners.csv",
    reads=lambda wc: parts_of(f"{wc.scenario}/outside_learners"),
    page="Best responses: Stable-Baselines3 beside ours",
    script="join_with_page",
)


rule outside_learners:
    input:
        expand("results/{scenario}/outside_learners.html", scenario=config["outside_learners"]["scenarios"]),
