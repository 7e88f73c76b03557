"""The authors' released weights as policies, where `authors` says where they are."""


rule authors_policies:
    input:
        **AUTHORS_WEIGHTS,
    output:
        nash_weights="results/{scenario}/authors/nash/weights.safetensors",
        nash_run="results/{scenario}/authors/nash/run.json",
        fp_weights="results/{scenario}/authors/fp/weights.safetensors",
        fp_run="results/{scenario}/authors/fp/run.json",
    log:
        "logs/{scenario}/authors_policies.log",
    benchmark:
        "benchmarks/{scenario}/authors_policies.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime="2m",
    params:
        settings=lambda wc: authors_settings(wc.scenario),
        code=code_digest("workflow/scripts/authors_policies.py"),
    message:
        "Read the authors' policies for {wildcards.scenario}"
    script:
        "../scripts/authors_policies.py"
