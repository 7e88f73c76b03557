"""On request: why the penalty of Fig. 1 seems to help, by trainings at two of its weights under several recipes."""


rule penalty_snapshots:
    input:
        snapshots=lambda wc: f"{nash_dqn_run(wc.scenario, wc.recipe, float(wc.beta))}/snapshots.safetensors",
        record=lambda wc: f"{nash_dqn_run(wc.scenario, wc.recipe, float(wc.beta))}/run.json",
    output:
        "results/{scenario}/penalty_study/{recipe}/beta_{beta}.csv",
    log:
        "logs/{scenario}/penalty_snapshots/{recipe}_beta_{beta}.log",
    benchmark:
        "benchmarks/{scenario}/penalty_snapshots/{recipe}_beta_{beta}.tsv"
    wildcard_constraints:
        recipe=one_of(config["penalty_study"]["recipes"]),
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime="1h",
    params:
        settings=lambda wc: deviator_settings(
            wc.scenario, "exploitability", iterations=config["penalty_study"]["iterations"]
        ),
        code=code_digest("workflow/scripts/penalty_snapshots.py"),
    message:
        "Measure {wildcards.recipe} along its training at beta {wildcards.beta} in {wildcards.scenario}"
    script:
        "../scripts/penalty_snapshots.py"


rule penalty_study_table:
    input:
        unpack(penalty_study_files),
    output:
        table="results/{scenario}/penalty_study.csv",
        tests="results/{scenario}/penalty_study_tests.csv",
    log:
        "logs/{scenario}/penalty_study_table.log",
    benchmark:
        "benchmarks/{scenario}/penalty_study_table.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime="5m",
    params:
        settings=lambda wc: {
            "scenario": wc.scenario,
            "trainings": penalty_study_trainings(),
            **{key: config["penalty_study"][key] for key in ("betas", "iterations", "window")},
        },
        code=code_digest("workflow/scripts/penalty_study.py"),
    message:
        "Compare the betas of the penalty study in {wildcards.scenario}"
    script:
        "../scripts/penalty_study.py"


rule plot_penalty_study:
    input:
        "results/{scenario}/penalty_study.csv",
    output:
        pdf="figures/{scenario}/penalty_study.pdf",
        png=report(
            "figures/{scenario}/penalty_study.png",
            caption="../report/penalty_study.rst",
            category="Figures",
            subcategory="{scenario}",
            labels={"figure": "Why a small penalty fails"},
        ),
    log:
        "logs/{scenario}/plot_penalty_study.log",
    benchmark:
        "benchmarks/{scenario}/plot_penalty_study.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime="5m",
    params:
        code=code_digest("workflow/scripts/plot_penalty_study.py"),
    message:
        "Draw the penalty study of {wildcards.scenario}"
    script:
        "../scripts/plot_penalty_study.py"


# Not part of the default run: it explains one figure of it.
rule penalty_study:
    input:
        expand(
            "figures/{scenario}/penalty_study.{suffix}",
            scenario=config["penalty_study"]["scenarios"],
            suffix=("pdf", "png"),
        ),
        expand("results/{scenario}/penalty_study_tests.html", scenario=config["penalty_study"]["scenarios"]),
