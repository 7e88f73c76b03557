"""On request: best responses by another library's learners beside ours. Needs the optional extra `sb3`.

Stable-Baselines3 seeds the global generators of its process: each of these jobs is a process of its own.
"""


rule outside_learners_of_policy:
    input:
        weights=file_of_policy("weights.safetensors"),
        record=file_of_policy("run.json"),
    output:
        table="results/{scenario}/outside_learners/{policy}.csv",
        times="results/{scenario}/outside_learners/{policy}.json",
    log:
        "logs/{scenario}/outside_learners/{policy}.log",
    benchmark:
        "benchmarks/{scenario}/outside_learners/{policy}.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1500,
        runtime="2h",
    params:
        settings=lambda wc: outside_settings(wc.scenario),
        code=code_digest("workflow/scripts/outside_learners.py"),
    message:
        "Let Stable-Baselines3, DDPG and gradients answer {wildcards.policy} in {wildcards.scenario}"
    script:
        "../scripts/outside_learners.py"


use rule exploitability_table as outside_learners_table with:
    input:
        lambda wc: expand(
            "results/{scenario}/outside_learners/{policy}.csv", scenario=wc.scenario, policy=outside_opponents()
        ),
    output:
        "results/{scenario}/outside_learners.csv",
    log:
        "logs/{scenario}/outside_learners_table.log",
    benchmark:
        "benchmarks/{scenario}/outside_learners_table.tsv"
    message:
        "Join the tables of Stable-Baselines3's and our best responses in {wildcards.scenario}"


use rule claims_page as outside_learners_page with:
    input:
        "results/{scenario}/outside_learners.csv",
    output:
        report(
            "results/{scenario}/outside_learners.html",
            caption="../report/outside_learners.rst",
            category="Tables",
            subcategory="{scenario}",
            labels={"table": "Best responses: Stable-Baselines3 beside ours"},
        ),
    log:
        "logs/{scenario}/outside_learners_page.log",
    benchmark:
        "benchmarks/{scenario}/outside_learners_page.tsv"
    params:
        title="Best responses by another library",
        code=code_digest("workflow/scripts/table_page.py"),
    message:
        "Write the best responses by another library in {wildcards.scenario} as a page"


# Not part of the default run: it needs another library.
rule outside_learners:
    input:
        expand("results/{scenario}/outside_learners.html", scenario=config["outside_learners"]["scenarios"]),
