"""Figures, as PDF and PNG; the PNG goes into the report."""


rule plot_beta_sweep:
    input:
        "results/{scenario}/beta_sweep.csv",
    output:
        pdf="figures/{scenario}/fig1_beta_sweep.pdf",
        png=report(
            "figures/{scenario}/fig1_beta_sweep.png",
            caption="../report/fig1_beta_sweep.rst",
            category="Figures",
            subcategory="{scenario}",
            labels={"figure": "Fig. 1: loss against beta"},
        ),
    log:
        "logs/{scenario}/plot_beta_sweep.log",
    benchmark:
        "benchmarks/{scenario}/plot_beta_sweep.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime="10m",
    params:
        code=code_digest("workflow/scripts/plot_beta_sweep.py"),
    message:
        "Draw Fig. 1 of {wildcards.scenario}"
    script:
        "../scripts/plot_beta_sweep.py"


rule plot_policies:
    input:
        unpack(shown_records),
        grid="results/{scenario}/policy_grid.csv",
        distance="results/{scenario}/policy_distance.csv",
    output:
        pdf="figures/{scenario}/fig2_policies.pdf",
        png=report(
            "figures/{scenario}/fig2_policies.png",
            caption="../report/fig2_policies.rst",
            category="Figures",
            subcategory="{scenario}",
            labels={"figure": "Fig. 2: policies"},
        ),
    log:
        "logs/{scenario}/plot_policies.log",
    benchmark:
        "benchmarks/{scenario}/plot_policies.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime="10m",
    params:
        settings=lambda wc: {"comparison": shown(wc), **comparisons()[shown(wc)]},
        code=code_digest("workflow/scripts/plot_policies.py"),
    message:
        "Draw Fig. 2 of {wildcards.scenario}"
    script:
        "../scripts/plot_policies.py"


use rule plot_policies as plot_other_policies with:
    output:
        pdf="figures/{scenario}/fig2_policies_{comparison}.pdf",
        png=report(
            "figures/{scenario}/fig2_policies_{comparison}.png",
            caption="../report/fig2_policies.rst",
            category="Figures",
            subcategory="{scenario}",
            labels={"figure": "Fig. 2: policies, comparison {comparison}"},
        ),
    log:
        "logs/{scenario}/plot_policies_{comparison}.log",
    benchmark:
        "benchmarks/{scenario}/plot_policies_{comparison}.tsv"
    message:
        "Draw Fig. 2 of {wildcards.scenario}, comparison {wildcards.comparison}"


rule plot_cross_play:
    input:
        points="results/{scenario}/cross_play.csv",
        tests="results/{scenario}/cross_play_tests.csv",
    output:
        pdf="figures/{scenario}/fig3_cross_play.pdf",
        png=report(
            "figures/{scenario}/fig3_cross_play.png",
            caption="../report/fig3_cross_play.rst",
            category="Figures",
            subcategory="{scenario}",
            labels={"figure": "Fig. 3: cross-play"},
        ),
    log:
        "logs/{scenario}/plot_cross_play.log",
    benchmark:
        "benchmarks/{scenario}/plot_cross_play.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime="10m",
    params:
        settings={"alpha": config["cross_play"]["alpha"]},
        code=code_digest("workflow/scripts/plot_cross_play.py"),
    message:
        "Draw Fig. 3 of {wildcards.scenario}"
    script:
        "../scripts/plot_cross_play.py"


rule plot_training_curves:
    input:
        histories=lambda wc: files_of(compared_runs(wc.scenario), "history.csv"),
        records=lambda wc: files_of(compared_runs(wc.scenario), "run.json"),
    output:
        pdf="figures/{scenario}/training_curves.pdf",
        png=report(
            "figures/{scenario}/training_curves.png",
            caption="../report/training_curves.rst",
            category="Figures",
            subcategory="{scenario}",
            labels={"figure": "Training curves"},
        ),
    log:
        "logs/{scenario}/plot_training_curves.log",
    benchmark:
        "benchmarks/{scenario}/plot_training_curves.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime="10m",
    params:
        settings=lambda wc: {"scenario": wc.scenario, "recipes": compared_recipes()},
        code=code_digest("workflow/scripts/plot_training_curves.py"),
    message:
        "Draw the training curves of {wildcards.scenario}"
    script:
        "../scripts/plot_training_curves.py"


rule figures:
    input:
        figure_targets(),
