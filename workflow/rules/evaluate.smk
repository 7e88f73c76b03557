"""Evaluation: tables, and the claims over all scenarios of the run.

One job per scenario; where a job trains deviators, one per scenario and policy, whose tables are then joined.
"""


rule beta_sweep:
    input:
        weights=lambda wc: files_of(sweep_runs(wc.scenario), "weights.safetensors"),
        histories=lambda wc: files_of(sweep_runs(wc.scenario), "history.csv"),
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
        mem_mb=1000,
        runtime="2m",
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
        mem_mb=1000,
        runtime="2m",
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
        mem_mb=1000,
        runtime="2m",
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
        mem_mb=1000,
        runtime="1h",
    params:
        settings=lambda wc: evaluation_settings(
            wc.scenario, "cross_play", "points", "paths", "seed", comparisons=comparisons()
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
        "results/{scenario}/cross_play_tests.csv",
    log:
        "logs/{scenario}/cross_play_tests.log",
    benchmark:
        "benchmarks/{scenario}/cross_play_tests.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime="2m",
    params:
        settings={"alpha": config["cross_play"]["alpha"]},
        code=code_digest("workflow/scripts/cross_play_tests.py"),
    message:
        "Test for equal mean rewards in {wildcards.scenario}"
    script:
        "../scripts/cross_play_tests.py"


rule exploitability:
    input:
        weights=file_of_policy("weights.safetensors"),
        record=file_of_policy("run.json"),
    output:
        "results/{scenario}/exploitability/{policy}.csv",
    log:
        "logs/{scenario}/exploitability/{policy}.log",
    benchmark:
        "benchmarks/{scenario}/exploitability/{policy}.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime="1h",
    params:
        settings=lambda wc: exploitability_settings(wc.scenario, wc.policy),
        code=code_digest("workflow/scripts/exploitability.py"),
    message:
        "Train deviators from {wildcards.policy} in {wildcards.scenario}"
    script:
        "../scripts/exploitability.py"


rule exploitability_table:
    input:
        lambda wc: expand(
            "results/{scenario}/exploitability/{policy}.csv", scenario=wc.scenario, policy=measured_policies()
        ),
    output:
        "results/{scenario}/exploitability.csv",
    log:
        "logs/{scenario}/exploitability_table.log",
    benchmark:
        "benchmarks/{scenario}/exploitability_table.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime="2m",
    params:
        code=code_digest("workflow/scripts/join_tables.py"),
    message:
        "Join the exploitability tables of {wildcards.scenario}"
    script:
        "../scripts/join_tables.py"


rule data_efficiency:
    input:
        snapshots=file_of_policy("snapshots.safetensors"),
        record=file_of_policy("run.json"),
        reference=reference_weights("data_efficiency"),
    output:
        "results/{scenario}/data_efficiency/{policy}.csv",
    log:
        "logs/{scenario}/data_efficiency/{policy}.log",
    benchmark:
        "benchmarks/{scenario}/data_efficiency/{policy}.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime="1h",
    params:
        settings=lambda wc: deviator_settings(wc.scenario, "data_efficiency", "deviator", "visited_episodes"),
        code=code_digest("workflow/scripts/data_efficiency.py"),
    message:
        "Measure {wildcards.policy} along its training in {wildcards.scenario}"
    script:
        "../scripts/data_efficiency.py"


use rule exploitability_table as data_efficiency_table with:
    input:
        lambda wc: expand(
            "results/{scenario}/data_efficiency/{policy}.csv", scenario=wc.scenario, policy=followed_policies()
        ),
    output:
        "results/{scenario}/data_efficiency.csv",
    log:
        "logs/{scenario}/data_efficiency_table.log",
    benchmark:
        "benchmarks/{scenario}/data_efficiency_table.tsv"
    message:
        "Join the data-efficiency tables of {wildcards.scenario}"


rule ddpg_best_response:
    input:
        weights=file_of_policy("weights.safetensors"),
        record=file_of_policy("run.json"),
    output:
        "results/{scenario}/ddpg_best_response/{policy}.csv",
    log:
        "logs/{scenario}/ddpg_best_response/{policy}.log",
    benchmark:
        "benchmarks/{scenario}/ddpg_best_response/{policy}.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime="1h",
    params:
        settings=lambda wc: ddpg_settings(wc.scenario),
        code=code_digest("workflow/scripts/ddpg_best_response.py"),
    message:
        "Let DDPG and gradients answer {wildcards.policy} in {wildcards.scenario}"
    script:
        "../scripts/ddpg_best_response.py"


use rule exploitability_table as ddpg_best_response_table with:
    input:
        lambda wc: expand(
            "results/{scenario}/ddpg_best_response/{policy}.csv", scenario=wc.scenario, policy=answered_policies()
        ),
    output:
        "results/{scenario}/ddpg_best_response.csv",
    log:
        "logs/{scenario}/ddpg_best_response_table.log",
    benchmark:
        "benchmarks/{scenario}/ddpg_best_response_table.tsv"
    message:
        "Join the best-response tables of {wildcards.scenario}"


rule reference:
    input:
        weights=weights_of(measured_policies()),
        reference=reference_weights("exploitability"),
    output:
        "results/{scenario}/reference.csv",
    log:
        "logs/{scenario}/reference.log",
    benchmark:
        "benchmarks/{scenario}/reference.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime="2m",
    params:
        settings=lambda wc: evaluation_settings(
            wc.scenario, "exploitability", "paths", "seed", visited_episodes=config["policy_grid"]["visited_episodes"]
        ),
        code=code_digest("workflow/scripts/reference.py"),
    message:
        "Let the policies meet the equilibrium reference in {wildcards.scenario}"
    script:
        "../scripts/reference.py"


rule equilibrium_path:
    output:
        "results/equilibrium_path/{recipe}.csv",
    log:
        "logs/equilibrium_path/{recipe}.log",
    benchmark:
        "benchmarks/equilibrium_path/{recipe}.tsv"
    wildcard_constraints:
        recipe=one_of(config["self_play"]),
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=3000,
        runtime="2h",
    params:
        settings=lambda wc: equilibrium_path_settings(wc.recipe),
        code=code_digest("workflow/scripts/equilibrium_path.py"),
    message:
        "Follow an equilibrium of policies that see what {wildcards.recipe} sees"
    script:
        "../scripts/equilibrium_path.py"


rule lq_error:
    input:
        weights=weights_of(lq_policies()),
    output:
        errors="results/{scenario}/lq_error.csv",
        scatter="results/{scenario}/lq_scatter.csv",
    log:
        "logs/{scenario}/lq_error.log",
    benchmark:
        "benchmarks/{scenario}/lq_error.tsv"
    wildcard_constraints:
        scenario=one_of(config["lq"]["scenarios"]),
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime="2m",
    params:
        settings=lambda wc: evaluation_settings(wc.scenario, "lq", "episodes", "seed"),
        code=code_digest("workflow/scripts/lq_error.py"),
    message:
        "Compare policies with the exact equilibrium of {wildcards.scenario}"
    script:
        "../scripts/lq_error.py"


rule claims:
    input:
        beta_sweep=sweep_tables(),
        policy_distance=in_every_scenario("policy_distance"),
        cross_play=in_every_scenario("cross_play"),
        tests=in_every_scenario("cross_play_tests"),
        exploitability=in_every_scenario("exploitability"),
        data_efficiency=in_every_scenario("data_efficiency"),
    output:
        "results/claims.csv",
    log:
        "logs/claims.log",
    benchmark:
        "benchmarks/claims.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime="2m",
    params:
        code=code_digest("workflow/scripts/claims.py"),
    message:
        "Judge the published claims"
    script:
        "../scripts/claims.py"


rule deviations:
    output:
        "results/deviations.csv",
    log:
        "logs/deviations.log",
    benchmark:
        "benchmarks/deviations.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime="2m",
    params:
        rows=deviations(),
        code=code_digest("workflow/scripts/deviations.py"),
    message:
        "List what was decided where the paper is silent or contradicts itself"
    script:
        "../scripts/deviations.py"


rule tables:
    input:
        table_targets(),
