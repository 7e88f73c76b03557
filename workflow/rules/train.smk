"""Training: one job per setting, with all seeds side by side as one batched ensemble.

Outputs are named because only named outputs can go to a between-workflow cache (`snakemake --cache`), which in turn
rules out `benchmark:`; run.json holds the time each training took.
"""


# The longest jobs start first, so that the last one does not run alone.
rule train_fictitious_play:
    output:
        weights="results/{scenario}/fictitious_play/{recipe}/weights.safetensors",
        snapshots="results/{scenario}/fictitious_play/{recipe}/snapshots.safetensors",
        history="results/{scenario}/fictitious_play/{recipe}/history.csv",
        run="results/{scenario}/fictitious_play/{recipe}/run.json",
    log:
        "logs/{scenario}/train_fictitious_play/{recipe}.log",
    wildcard_constraints:
        recipe=one_of(config["fictitious_play"]),
    cache: True
    priority: 20
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        gpu=gpus(),
        runtime="2h",
    params:
        settings=lambda wc: fictitious_play_settings(config, wc.scenario, wc.recipe),
        code=code_digest("workflow/scripts/train_fictitious_play.py"),
    message:
        "Train fictitious play, recipe {wildcards.recipe}, in {wildcards.scenario}"
    script:
        "../scripts/train_fictitious_play.py"


rule train_nash_dqn:
    output:
        weights="results/{scenario}/nash_dqn/{recipe}/beta_{beta}/weights.safetensors",
        snapshots="results/{scenario}/nash_dqn/{recipe}/beta_{beta}/snapshots.safetensors",
        history="results/{scenario}/nash_dqn/{recipe}/beta_{beta}/history.csv",
        run="results/{scenario}/nash_dqn/{recipe}/beta_{beta}/run.json",
    log:
        "logs/{scenario}/train_nash_dqn/{recipe}_beta_{beta}.log",
    wildcard_constraints:
        recipe=one_of(config["nash_dqn"]),
    cache: True
    priority: 10
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        gpu=gpus(),
        runtime="1h",
    params:
        settings=lambda wc: nash_dqn_settings(config, wc.scenario, wc.recipe, wc.beta),
        code=code_digest("workflow/scripts/train_nash_dqn.py"),
    message:
        "Train Nash-DQN, recipe {wildcards.recipe}, beta {wildcards.beta}, in {wildcards.scenario}"
    script:
        "../scripts/train_nash_dqn.py"


rule train_self_play:
    output:
        weights="results/{scenario}/self_play/{recipe}/weights.safetensors",
        snapshots="results/{scenario}/self_play/{recipe}/snapshots.safetensors",
        history="results/{scenario}/self_play/{recipe}/history.csv",
        run="results/{scenario}/self_play/{recipe}/run.json",
    log:
        "logs/{scenario}/train_self_play/{recipe}.log",
    wildcard_constraints:
        recipe=one_of(config["self_play"]),
    cache: True
    priority: 5
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        gpu=gpus(),
        runtime="1h",
    params:
        settings=lambda wc: self_play_settings(config, wc.scenario, wc.recipe),
        code=code_digest("workflow/scripts/train_self_play.py"),
    message:
        "Train self-play, recipe {wildcards.recipe}, in {wildcards.scenario}"
    script:
        "../scripts/train_self_play.py"


rule train:
    input:
        training_targets(),
