"""Training: one job per setting, which trains all seeds side by side as one batched ensemble.

Outputs are named because only named outputs can go to a between-workflow cache (`snakemake --cache`), which in turn
rules out `benchmark:`; run.json holds the time each training took. A rule for each algorithm, as they take different
times; the longest jobs start first, so that the last one does not run alone, after those of the first figures.
"""

HEADLINE = headline_trainings()

for algorithm, priority, runtime in (("fictitious_play", 20, "2h"), ("nash_dqn", 10, "1h"), ("self_play", 5, "1h")):

    rule:
        name:
            f"train_{algorithm}"
        output:
            weights="results/{training}/weights.safetensors",
            snapshots="results/{training}/snapshots.safetensors",
            history="results/{training}/history.csv",
            run="results/{training}/run.json",
        log:
            "logs/{training}.log",
        wildcard_constraints:
            training=trainings_by_algorithm()[algorithm],
        cache: True
        priority: lambda wc, usual=priority: usual + 100 * (wc.training in HEADLINE)
        threads: 1
        resources:
            mem_mb=lambda wc: 2000 if wc.training.startswith("general/") else 1000,
            runtime=lambda wc, usual=runtime: "2h" if wc.training.startswith("general/") else usual,
            gpu=int(config["device"] == "cuda"),  # `auto` takes what it is given
        params:
            settings=training_settings,
            code=lambda wc, algorithm=algorithm: code_digest(
                "workflow/scripts/train.py", f"nash_dqn.agents.{algorithm}", game_code(wc.training)
            ),
        message:
            "Train {wildcards.training}"
        script:
            "../scripts/train.py"


if AUTHORS_WEIGHTS:
    job(
        "authors_policies",
        writes={
            f"{policy.partition('/')[2]}_{name}": f"results/{{scenario}}/{policy}/{file}"
            for policy in AUTHORS_POLICIES
            for name, file in (("weights", "weights.safetensors"), ("run", "run.json"))
        },
        reads=AUTHORS_WEIGHTS,
        settings=lambda wc: authors_settings(wc.scenario),
    )


rule train:
    input:
        training_targets(),
