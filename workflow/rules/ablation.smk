"""On request: what each difference between two recipes buys, what the penalty's weight does to exploitability, whether
a recipe keeps its promise with more seeds and other observations, and where its projection settles.

Trainings, deviators and their settings are those of the default run but for what is under study.
"""


use rule train_nash_dqn as train_ablation with:
    output:
        weights="results/{scenario}/ablation/{setting}/weights.safetensors",
        snapshots="results/{scenario}/ablation/{setting}/snapshots.safetensors",
        history="results/{scenario}/ablation/{setting}/history.csv",
        run="results/{scenario}/ablation/{setting}/run.json",
    log:
        "logs/{scenario}/train_ablation/{setting}.log",
    wildcard_constraints:
        setting=one_of(ablated_recipes()),
    cache: True
    params:
        settings=lambda wc: ablation_settings(config, wc.scenario, wc.setting),
        code=code_digest("workflow/scripts/train_nash_dqn.py"),
    message:
        "Train Nash-DQN, ablation {wildcards.setting}, in {wildcards.scenario}"


use rule exploitability as ablation_exploitability with:
    input:
        weights="results/{scenario}/ablation/{setting}/weights.safetensors",
        record="results/{scenario}/ablation/{setting}/run.json",
    output:
        "results/{scenario}/ablation/{setting}/exploitability.csv",
    log:
        "logs/{scenario}/ablation_exploitability/{setting}.log",
    benchmark:
        "benchmarks/{scenario}/ablation_exploitability/{setting}.tsv"
    wildcard_constraints:
        setting=one_of(ablated_recipes()),
    params:
        settings=lambda wc: deviator_settings(wc.scenario, "exploitability", "deviators"),
        code=code_digest("workflow/scripts/exploitability.py"),
    message:
        "Train deviators from ablation {wildcards.setting} in {wildcards.scenario}"


rule ablation_table:
    input:
        lambda wc: expand(
            "results/{scenario}/ablation/{setting}/exploitability.csv",
            scenario=wc.scenario,
            setting=ablated_recipes(),
        ),
    output:
        table="results/{scenario}/ablation.csv",
        seeds="results/{scenario}/ablation_seeds.csv",
    log:
        "logs/{scenario}/ablation_table.log",
    benchmark:
        "benchmarks/{scenario}/ablation_table.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime="5m",
    params:
        settings=[
            {"setting": name, "base": setting.base, "change": setting.change, "kind": setting.kind}
            for name, setting in ablated_recipes().items()
        ],
        code=code_digest("workflow/scripts/ablation.py"),
    message:
        "Compare the trainings of the ablation in {wildcards.scenario}"
    script:
        "../scripts/ablation.py"


rule plot_ablation:
    input:
        table="results/{scenario}/ablation.csv",
        seeds="results/{scenario}/ablation_seeds.csv",
    output:
        pdf="figures/{scenario}/ablation.pdf",
        png=report(
            "figures/{scenario}/ablation.png",
            caption="../report/ablation.rst",
            category="Figures",
            subcategory="{scenario}",
            labels={"figure": "Ablation"},
        ),
    log:
        "logs/{scenario}/plot_ablation.log",
    benchmark:
        "benchmarks/{scenario}/plot_ablation.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime="5m",
    params:
        code=code_digest("workflow/scripts/plot_ablation.py"),
    message:
        "Draw the ablation in {wildcards.scenario}"
    script:
        "../scripts/plot_ablation.py"


use rule exploitability as exploitability_at_beta with:
    input:
        weights=lambda wc: f"{nash_dqn_run(wc.scenario, wc.recipe, float(wc.beta))}/weights.safetensors",
        record=lambda wc: f"{nash_dqn_run(wc.scenario, wc.recipe, float(wc.beta))}/run.json",
    output:
        "results/{scenario}/beta_exploitability/{recipe}/beta_{beta}.csv",
    log:
        "logs/{scenario}/beta_exploitability/{recipe}_beta_{beta}.log",
    benchmark:
        "benchmarks/{scenario}/beta_exploitability/{recipe}_beta_{beta}.tsv"
    wildcard_constraints:
        recipe=one_of(config["nash_dqn"]),
    params:
        settings=lambda wc: deviator_settings(wc.scenario, "exploitability", "deviators"),
        code=code_digest("workflow/scripts/exploitability.py"),
    message:
        "Train deviators from {wildcards.recipe} at beta {wildcards.beta} in {wildcards.scenario}"


rule beta_exploitability:
    input:
        lambda wc: [
            gains_at_beta(wc.scenario, config["beta_sweep"]["recipe"], beta) for beta in config["beta_sweep"]["betas"]
        ],
    output:
        "results/{scenario}/beta_exploitability.csv",
    log:
        "logs/{scenario}/beta_exploitability.log",
    benchmark:
        "benchmarks/{scenario}/beta_exploitability.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime="5m",
    params:
        settings={"betas": config["beta_sweep"]["betas"]},
        code=code_digest("workflow/scripts/beta_exploitability.py"),
    message:
        "Join the exploitability tables of all betas in {wildcards.scenario}"
    script:
        "../scripts/beta_exploitability.py"


rule plot_beta_exploitability:
    input:
        exploitability="results/{scenario}/beta_exploitability.csv",
        loss="results/{scenario}/beta_sweep.csv",
    output:
        pdf="figures/{scenario}/beta_exploitability.pdf",
        png=report(
            "figures/{scenario}/beta_exploitability.png",
            caption="../report/beta_exploitability.rst",
            category="Figures",
            subcategory="{scenario}",
            labels={"figure": "Exploitability against beta"},
        ),
    log:
        "logs/{scenario}/plot_beta_exploitability.log",
    benchmark:
        "benchmarks/{scenario}/plot_beta_exploitability.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime="5m",
    params:
        code=code_digest("workflow/scripts/plot_beta_exploitability.py"),
    message:
        "Draw exploitability against beta in {wildcards.scenario}"
    script:
        "../scripts/plot_beta_exploitability.py"


# Not part of the default run: as many trainings again, and more.
rule ablation:
    input:
        expand(
            "figures/{scenario}/{name}.{suffix}",
            scenario=config["ablation"]["scenarios"],
            name=("ablation", "beta_exploitability"),
            suffix=("pdf", "png"),
        ),
        expand("results/{scenario}/ablation.html", scenario=config["ablation"]["scenarios"]),


use rule exploitability_table as robustness_table with:
    input:
        lambda wc: expand(
            "results/{scenario}/exploitability/{policy}.csv", scenario=wc.scenario, policy=robustness_policies()
        ),
    output:
        "results/{scenario}/robustness.csv",
    log:
        "logs/{scenario}/robustness_table.log",
    benchmark:
        "benchmarks/{scenario}/robustness_table.tsv"
    message:
        "Join the exploitability tables of further trainings in {wildcards.scenario}"


use rule plot_exploitability as plot_robustness with:
    input:
        "results/{scenario}/robustness.csv",
    output:
        pdf="figures/{scenario}/robustness.pdf",
        png=report(
            "figures/{scenario}/robustness.png",
            caption="../report/robustness.rst",
            category="Figures",
            subcategory="{scenario}",
            labels={"figure": "Exploitability of further trainings"},
        ),
    log:
        "logs/{scenario}/plot_robustness.log",
    benchmark:
        "benchmarks/{scenario}/plot_robustness.tsv"
    message:
        "Draw the exploitability of further trainings in {wildcards.scenario}"


# Not part of the default run: four times as many seeds.
rule robustness:
    input:
        expand("figures/{scenario}/robustness.{suffix}", scenario=config["run"]["scenarios"], suffix=("pdf", "png")),


rule projection:
    output:
        "results/{scenario}/projection.csv",
    log:
        "logs/{scenario}/projection.log",
    benchmark:
        "benchmarks/{scenario}/projection.tsv"
    wildcard_constraints:
        scenario=one_of(config["lq"]["scenarios"]),
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime="1h",
    params:
        settings=lambda wc: projection_settings(wc.scenario),
        code=code_digest("workflow/scripts/projection.py"),
    message:
        "Find where projected policies settle in {wildcards.scenario}"
    script:
        "../scripts/projection.py"


rule plot_projection:
    input:
        exact=expand("results/{scenario}/projection.csv", scenario=config["lq"]["scenarios"]),
        trained=expand(
            "results/{scenario}/exploitability/nash_dqn/{recipe}.csv",
            scenario=config["lq"]["scenarios"],
            recipe=config["projection"]["recipe"],
        ),
    output:
        pdf="figures/projection.pdf",
        png=report(
            "figures/projection.png",
            caption="../report/projection.rst",
            category="Figures",
            subcategory="all scenarios",
            labels={"figure": "Where projected policies settle"},
        ),
    log:
        "logs/plot_projection.log",
    benchmark:
        "benchmarks/plot_projection.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime="10m",
    params:
        settings={"exploration": config["nash_dqn"][config["projection"]["recipe"]]["exploration"]["end"]},
        code=code_digest("workflow/scripts/plot_projection.py"),
    message:
        "Draw where projected policies settle"
    script:
        "../scripts/plot_projection.py"


# Not part of the default run: it explains recipe refined, and trains it once more.
rule projections:
    input:
        "figures/projection.pdf",
        "figures/projection.png",
