"""Trainings from the repository's record, where they agree with it and the run is to restore; what goes into it.

The files are those of a training's rule, and all that rule's: Snakemake trains again what it finds to be of another rule only
where it knows how each of its files was made.
"""

if RESTORED:

    rule restore:
        input:
            index=ancient(f"{RECORD}/index.json"),  # a checkout makes it new; what tells is the digest below
            archive=ancient(f"{RECORD}/{{training}}.tar.xz"),
        output:
            weights="results/{training}/weights.safetensors",
            snapshots="results/{training}/snapshots.safetensors",
            history="results/{training}/history.csv",
            run="results/{training}/run.json",
        log:
            "logs/{training}.log",
        wildcard_constraints:
            training=one_of(RESTORED),
        localrule: True
        params:
            sha256=lambda wc: RESTORED[wc.training].sha256,
            code=code_digest("workflow/scripts/restore.py"),
        message:
            "Restore {wildcards.training}"
        script:
            "../scripts/restore.py"

    ruleorder: restore > train_fictitious_play > train_nash_dqn > train_self_play > train_least_squares


# On request, for `make record`.
rule trainings:
    output:
        "results/trainings.json",
    log:
        "logs/trainings.log",
    localrule: True
    params:
        trainings=lambda wc: {
            name: asked_of(name) for name in (str(Path(path).parent.relative_to("results")) for path in TRAINED)
        },
        code=code_digest("workflow/scripts/trainings.py"),
    message:
        "trainings: {output}"
    script:
        "../scripts/trainings.py"
