"""Evaluation: tables, one job per scenario, and the claims over all scenarios of the run."""


rule beta_sweep:
    input:
        weights=lambda wc: files_of(sweep_runs(wc.scenario), "weights.safetensors"),
        records=lambda wc: files_of(sweep_runs(wc.scenario), "run.json"),
    output:
        "results/{scenario}/beta_sweep.csv",
    log:
        "logs/{scenario}/beta_sweep.log",
    benchmark:
        "benchmarks/{scenario}/beta_sweep.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime="30m",
    params:
        settings=lambda wc: beta_sweep_settings(wc.scenario),
        code=code_digest("workflow/scripts/beta_sweep.py"),
    message:
        "Measure the loss against beta (Fig. 1) in {wildcards.scenario}"
    script:
        "../scripts/beta_sweep.py"


rule policy_grid:
    input:
        weights=lambda wc: files_of(compared_runs(wc.scenario), "weights.safetensors"),
    output:
        "results/{scenario}/policy_grid.csv",
    log:
        "logs/{scenario}/policy_grid.log",
    benchmark:
        "benchmarks/{scenario}/policy_grid.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime="30m",
    params:
        settings=lambda wc: evaluation_settings(wc.scenario, "policy_grid", "prices", "impacts", "inventory"),
        code=code_digest("workflow/scripts/policy_grid.py"),
    message:
        "Evaluate the policies on Fig. 2's grid in {wildcards.scenario}"
    script:
        "../scripts/policy_grid.py"


rule policy_distance:
    input:
        unpack(compared_weights),
    output:
        "results/{scenario}/policy_distance.csv",
    log:
        "logs/{scenario}/policy_distance.log",
    benchmark:
        "benchmarks/{scenario}/policy_distance.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime="30m",
    params:
        settings=lambda wc: evaluation_settings(
            wc.scenario,
            "policy_grid",
            "prices",
            "impacts",
            "inventory",
            "visited_episodes",
            "seed",
            comparisons=list(comparisons()),
        ),
        code=code_digest("workflow/scripts/policy_distance.py"),
    message:
        "Measure the distances between policies in {wildcards.scenario}"
    script:
        "../scripts/policy_distance.py"


rule cross_play:
    input:
        unpack(compared_weights),
    output:
        "results/{scenario}/cross_play.csv",
    log:
        "logs/{scenario}/cross_play.log",
    benchmark:
        "benchmarks/{scenario}/cross_play.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime="2h",
    params:
        settings=lambda wc: evaluation_settings(
            wc.scenario, "cross_play", "points", "paths", "seed", comparisons=list(comparisons())
        ),
        code=code_digest("workflow/scripts/cross_play.py"),
    message:
        "Let the policies play each other (Fig. 3) in {wildcards.scenario}"
    script:
        "../scripts/cross_play.py"


rule cross_play_tests:
    input:
        "results/{scenario}/cross_play.csv",
    output:
        report(
            "results/{scenario}/cross_play_tests.csv",
            caption="../report/cross_play_tests.rst",
            category="Tables",
            subcategory="{scenario}",
            labels={"table": "Tests for equal means"},
        ),
    log:
        "logs/{scenario}/cross_play_tests.log",
    benchmark:
        "benchmarks/{scenario}/cross_play_tests.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime="10m",
    params:
        settings={"alpha": config["cross_play"]["alpha"]},
        code=code_digest("workflow/scripts/cross_play_tests.py"),
    message:
        "Test for equal mean rewards in {wildcards.scenario}"
    script:
        "../scripts/cross_play_tests.py"


rule claims:
    input:
        beta_sweep=in_every_scenario("beta_sweep"),
        policy_distance=in_every_scenario("policy_distance"),
        cross_play=in_every_scenario("cross_play"),
        tests=in_every_scenario("cross_play_tests"),
    output:
        report(
            "results/claims.csv",
            caption="../report/claims.rst",
            category="Tables",
            labels={"table": "Claims"},
        ),
    log:
        "logs/claims.log",
    benchmark:
        "benchmarks/claims.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime="10m",
    params:
        code=code_digest("workflow/scripts/claims.py"),
    message:
        "Judge the published claims"
    script:
        "../scripts/claims.py"


rule tables:
    input:
        table_targets(),
