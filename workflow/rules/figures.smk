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
        runtime="5m",
    params:
        code=code_digest("workflow/scripts/plot_beta_sweep.py"),
    message:
        "Draw Fig. 1 of {wildcards.scenario}"
    script:
        "../scripts/plot_beta_sweep.py"


rule plot_policies:
    input:
        records=shown_records,
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
        mem_mb=2000,
        runtime="5m",
    params:
        settings=lambda wc: {"comparison": shown(wc), "policies": comparisons()[shown(wc)]},
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
        runtime="5m",
    params:
        settings={"alpha": config["cross_play"]["alpha"]},
        code=code_digest("workflow/scripts/plot_cross_play.py"),
    message:
        "Draw Fig. 3 of {wildcards.scenario}"
    script:
        "../scripts/plot_cross_play.py"


rule plot_training_curves:
    input:
        histories=training_files("history.csv"),
        records=training_files("run.json"),
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
        runtime="5m",
    params:
        settings=lambda wc: {"scenario": wc.scenario, "recipes": drawn_trainings()},
        code=code_digest("workflow/scripts/plot_training_curves.py"),
    message:
        "Draw the training curves of {wildcards.scenario}"
    script:
        "../scripts/plot_training_curves.py"


rule plot_exploitability:
    input:
        "results/{scenario}/exploitability.csv",
    output:
        pdf="figures/{scenario}/exploitability.pdf",
        png=report(
            "figures/{scenario}/exploitability.png",
            caption="../report/exploitability.rst",
            category="Figures",
            subcategory="{scenario}",
            labels={"figure": "Exploitability"},
        ),
    log:
        "logs/{scenario}/plot_exploitability.log",
    benchmark:
        "benchmarks/{scenario}/plot_exploitability.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime="5m",
    params:
        code=code_digest("workflow/scripts/plot_exploitability.py"),
    message:
        "Draw the exploitability of {wildcards.scenario}"
    script:
        "../scripts/plot_exploitability.py"


rule plot_data_efficiency:
    input:
        learning="results/{scenario}/data_efficiency.csv",
        exploitability="results/{scenario}/exploitability.csv",
        records=lambda wc: files_of([run_of(wc.scenario, policy) for policy in followed_policies()], "run.json"),
    output:
        pdf="figures/{scenario}/data_efficiency.pdf",
        png=report(
            "figures/{scenario}/data_efficiency.png",
            caption="../report/data_efficiency.rst",
            category="Figures",
            subcategory="{scenario}",
            labels={"figure": "Data efficiency"},
        ),
        time_pdf="figures/{scenario}/data_efficiency_time.pdf",
        time_png=report(
            "figures/{scenario}/data_efficiency_time.png",
            caption="../report/data_efficiency_time.rst",
            category="Figures",
            subcategory="{scenario}",
            labels={"figure": "Data efficiency: against time"},
        ),
    log:
        "logs/{scenario}/plot_data_efficiency.log",
    benchmark:
        "benchmarks/{scenario}/plot_data_efficiency.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime="5m",
    params:
        code=code_digest("workflow/scripts/plot_data_efficiency.py"),
    message:
        "Draw the data efficiency of {wildcards.scenario}"
    script:
        "../scripts/plot_data_efficiency.py"


rule plot_equilibrium_path:
    input:
        expand("results/equilibrium_path/{recipe}.csv", recipe=config["equilibrium_path"]["policies"]),
    output:
        pdf="figures/equilibrium_path.pdf",
        png=report(
            "figures/equilibrium_path.png",
            caption="../report/equilibrium_path.rst",
            category="Figures",
            subcategory="all scenarios",
            labels={"figure": "Equilibria from one scenario to another"},
        ),
    log:
        "logs/plot_equilibrium_path.log",
    benchmark:
        "benchmarks/plot_equilibrium_path.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime="5m",
    params:
        code=code_digest("workflow/scripts/plot_equilibrium_path.py"),
    message:
        "Draw the paths of equilibria"
    script:
        "../scripts/plot_equilibrium_path.py"


rule plot_lq_policies:
    input:
        errors="results/{scenario}/lq_error.csv",
        scatter="results/{scenario}/lq_scatter.csv",
    output:
        pdf="figures/{scenario}/lq_policies.pdf",
        png=report(
            "figures/{scenario}/lq_policies.png",
            caption="../report/lq_policies.rst",
            category="Figures",
            subcategory="{scenario}",
            labels={"figure": "Learned against exact policies"},
        ),
    log:
        "logs/{scenario}/plot_lq_policies.log",
    benchmark:
        "benchmarks/{scenario}/plot_lq_policies.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime="5m",
    params:
        code=code_digest("workflow/scripts/plot_lq_policies.py"),
    message:
        "Draw learned against exact policies of {wildcards.scenario}"
    script:
        "../scripts/plot_lq_policies.py"


rule figures:
    input:
        figure_targets(),


# Not part of the default run: it takes longer than all other evaluations together.
rule equilibrium_paths:
    input:
        "figures/equilibrium_path.pdf",
        "figures/equilibrium_path.png",
