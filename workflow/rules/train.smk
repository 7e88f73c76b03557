"""Training: one job per setting, which trains all seeds side by side as one batched ensemble.

Outputs are named because only named outputs can go to a between-workflow cache (`snakemake --cache`), which in turn
rules out `benchmark:`; run.json holds the time each training took. A rule for each algorithm, as they take different
times; the longest jobs start first, so that the last one does not run alone, after those of the first figures.
"""

for algorithm, priority, runtime in (
    ("fictitious_play", 20, "2h"),
    ("nash_dqn", 10, "1h"),
    ("self_play", 5, "1h"),
    ("least_squares", 5, "1h"),
):

    rule:
        name:
            f"train_{algorithm}"
        output:
            weights="results/{scenario}/{policy}/weights.safetensors",
            snapshots="results/{scenario}/{policy}/snapshots.safetensors",
            history="results/{scenario}/{policy}/history.csv",
            run="results/{scenario}/{policy}/run.json",
        log:
            "logs/{scenario}/{policy}.log",
        wildcard_constraints:
            policy=one_of(name for name in [*config["policies"], *ABLATION] if algorithm_of(name) == algorithm)
            + POLICY_PATTERN * (algorithm == "nash_dqn"),
        cache: True
        priority: lambda wc, usual=priority: usual + 100 * is_headline(wc)
        threads: 1
        resources:
            mem_mb=lambda wc: 1000 if wc.scenario in OF_RUN else 2000,
            runtime=lambda wc, usual=runtime: usual if wc.scenario in OF_RUN else "2h",
            gpu=int(config["device"] == "cuda"),  # `auto` takes what it is given
        params:
            settings=settings_of_training,
            code=lambda wc: code_of_training(settings_of_training(wc)),
        message:
            "Train {wildcards.scenario}/{wildcards.policy}"
        script:
            "../scripts/train.py"


if AUTHORS_WEIGHTS:
    job(
        "authors_policies",
        writes={
            f"{policy.removeprefix('authors-')}_{name}": f"results/{{scenario}}/{policy}/{file}"
            for policy in AUTHORS_POLICIES
            for name, file in (("weights", "weights.safetensors"), ("run", "run.json"))
        },
        reads=AUTHORS_WEIGHTS,
        # Digests, as a file's date may be older than what was made of another.
        settings=in_game(
            "authors",
            sha256={
                name: hashlib.sha256(Path(path).read_bytes()).hexdigest() for name, path in AUTHORS_WEIGHTS.items()
            },
        ),
    )

OF_TABLES = ENTRANTS["training_curves"] + config["exploitability"]["policies"] + ENTRANTS["ddpg_best_response"]
TRAINED = trained(OF_TABLES, OF_RUN) + trained(SWEPT, config["beta_sweep"]["scenarios"])
TRAINED += [path for scenario, of in config["lq"]["policies"].items() for path in trained(of, [scenario])]
"""All files of every training that the run needs."""
TARGETS["train"] = [*dict.fromkeys(TRAINED), *made_by("authors_policies", scenario=OF_RUN)]
