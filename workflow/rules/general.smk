"""On request: games beyond the paper's market whose equilibria are known exactly, and one with more and more agents."""


rule train_general_nash_dqn:
    output:
        weights="results/general/{game}/nash_dqn/weights.safetensors",
        snapshots="results/general/{game}/nash_dqn/snapshots.safetensors",
        history="results/general/{game}/nash_dqn/history.csv",
        run="results/general/{game}/nash_dqn/run.json",
    log:
        "logs/general/{game}/train_nash_dqn.log",
    wildcard_constraints:
        game=one_of(general_games(config)),
    cache: True
    priority: 10
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=2000,
        gpu=gpus(),
        runtime="2h",
    params:
        settings=general_training("nash_dqn"),
        code=general_code("train_general_nash_dqn"),
    message:
        "Train Nash-DQN in the game {wildcards.game}"
    script:
        "../scripts/train_general_nash_dqn.py"


rule train_general_fictitious_play:
    output:
        weights="results/general/{game}/fictitious_play/weights.safetensors",
        snapshots="results/general/{game}/fictitious_play/snapshots.safetensors",
        history="results/general/{game}/fictitious_play/history.csv",
        run="results/general/{game}/fictitious_play/run.json",
    log:
        "logs/general/{game}/train_fictitious_play.log",
    wildcard_constraints:
        game=one_of(config["games"]),
    cache: True
    priority: 10
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        gpu=gpus(),
        runtime="2h",
    params:
        settings=general_training("fictitious_play"),
        code=general_code("train_general_fictitious_play"),
    message:
        "Train fictitious play in the game {wildcards.game}"
    script:
        "../scripts/train_general_fictitious_play.py"


rule general_error:
    input:
        weights=expand(
            "results/general/{{game}}/{algorithm}/weights.safetensors", algorithm=("nash_dqn", "fictitious_play")
        ),
    output:
        errors="results/general/{game}/lq_error.csv",
        scatter="results/general/{game}/lq_scatter.csv",
    log:
        "logs/general/{game}/lq_error.log",
    benchmark:
        "benchmarks/general/{game}/lq_error.tsv"
    wildcard_constraints:
        game=one_of(config["games"]),
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime="10m",
    params:
        settings=lambda wc: general_evaluation(wc.game, **{key: config["general"][key] for key in ("episodes", "seed")}),
        code=general_code("general_error"),
    message:
        "Compare policies with the exact equilibrium of the game {wildcards.game}"
    script:
        "../scripts/general_error.py"


rule general_exploitability:
    input:
        weights="results/general/{game}/{algorithm}/weights.safetensors",
        record="results/general/{game}/{algorithm}/run.json",
    output:
        "results/general/{game}/exploitability/{algorithm}.csv",
    log:
        "logs/general/{game}/exploitability/{algorithm}.log",
    benchmark:
        "benchmarks/general/{game}/exploitability/{algorithm}.tsv"
    wildcard_constraints:
        game=one_of(config["games"]),
        algorithm=one_of(("nash_dqn", "fictitious_play")),
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime="1h",
    params:
        settings=lambda wc: general_deviators(wc.game),
        code=general_code("general_exploitability"),
    message:
        "Train deviators of every group from {wildcards.algorithm} in the game {wildcards.game}"
    script:
        "../scripts/general_exploitability.py"


use rule exploitability_table as general_exploitability_table with:
    input:
        expand(
            "results/general/{game}/exploitability/{algorithm}.csv",
            game=config["games"],
            algorithm=("nash_dqn", "fictitious_play"),
        ),
    output:
        "results/general/exploitability.csv",
    log:
        "logs/general/exploitability_table.log",
    benchmark:
        "benchmarks/general/exploitability_table.tsv"
    message:
        "Join the exploitability tables of the games"


rule many_players:
    input:
        weights=[
            f"results/general/{game}/nash_dqn/weights.safetensors"
            for game in general_games(config)
            if game not in config["games"]
        ],
    output:
        errors="results/general/many_players.csv",
        limit="results/general/mean_field_limit.csv",
    log:
        "logs/general/many_players.log",
    benchmark:
        "benchmarks/general/many_players.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime="30m",
    params:
        settings=many_players_settings(
            agents=config["general"]["many_players"]["agents"],
            limit_agents=sorted(config["general"]["many_players"]["cost_agents"]),
            **{key: config["general"][key] for key in ("episodes", "seed")},
        ),
        code=code_digest("workflow/scripts/many_players.py"),
    message:
        "Compare policies with the exact equilibria of more and more agents"
    script:
        "../scripts/many_players.py"


# Measured times, so never twice the same; apart from the tables, which are.
rule training_cost:
    output:
        "results/general/training_cost.json",
    log:
        "logs/general/training_cost.log",
    benchmark:
        "benchmarks/general/training_cost.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime="30m",
    params:
        settings=many_players_settings(
            agents=sorted(config["general"]["many_players"]["cost_agents"]),
            recipe=general_settings(config, "nash_dqn", general_games(config)[-1])["recipe"],
            iterations=config["general"]["many_players"]["cost_iterations"],
        ),
        code=code_digest("workflow/scripts/training_cost.py"),
    message:
        "Time training with more and more agents"
    script:
        "../scripts/training_cost.py"


rule plot_games:
    input:
        errors=expand("results/general/{game}/lq_error.csv", game=config["games"]),
        scatter=expand("results/general/{game}/lq_scatter.csv", game=config["games"]),
    output:
        pdf="figures/general/games.pdf",
        png=report(
            "figures/general/games.png",
            caption="../report/games.rst",
            category="Figures",
            subcategory="other games",
            labels={"figure": "Games with known answers"},
        ),
    log:
        "logs/general/plot_games.log",
    benchmark:
        "benchmarks/general/plot_games.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime="10m",
    params:
        code=code_digest("workflow/scripts/plot_games.py"),
    message:
        "Draw learned against exact actions in the games"
    script:
        "../scripts/plot_games.py"


rule plot_many_players:
    input:
        errors="results/general/many_players.csv",
        limit="results/general/mean_field_limit.csv",
    output:
        pdf="figures/general/many_players.pdf",
        png=report(
            "figures/general/many_players.png",
            caption="../report/many_players.rst",
            category="Figures",
            subcategory="other games",
            labels={"figure": "More and more agents"},
        ),
    log:
        "logs/general/plot_many_players.log",
    benchmark:
        "benchmarks/general/plot_many_players.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime="10m",
    params:
        code=code_digest("workflow/scripts/plot_many_players.py"),
    message:
        "Draw what is learned with more and more agents"
    script:
        "../scripts/plot_many_players.py"


rule plot_training_cost:
    input:
        "results/general/training_cost.json",
    output:
        pdf="figures/general/training_cost.pdf",
        png=report(
            "figures/general/training_cost.png",
            caption="../report/training_cost.rst",
            category="Figures",
            subcategory="other games",
            labels={"figure": "What more agents cost"},
        ),
    log:
        "logs/general/plot_training_cost.log",
    benchmark:
        "benchmarks/general/plot_training_cost.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime="10m",
    params:
        code=code_digest("workflow/scripts/plot_training_cost.py"),
    message:
        "Draw what training with more and more agents costs"
    script:
        "../scripts/plot_training_cost.py"


# Not part of the default run: it is not about the paper's game.
rule general:
    input:
        expand(
            "figures/general/{name}.{suffix}",
            name=("games", "many_players", "training_cost"),
            suffix=("pdf", "png"),
        ),
        "results/general/exploitability.csv",
