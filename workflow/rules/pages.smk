"""Tables as pages of the report: a CSV file would be there as a download only."""


rule claims_page:
    input:
        "results/claims.csv",
    output:
        report(
            "results/claims.html",
            caption="../report/claims.rst",
            category="Tables",
            subcategory="all scenarios",
            labels={"table": "Claims"},
        ),
    log:
        "logs/claims_page.log",
    benchmark:
        "benchmarks/claims_page.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime="2m",
    params:
        title="Claims",
        code=code_digest("workflow/scripts/table_page.py"),
    message:
        "Write the claims as a page"
    script:
        "../scripts/table_page.py"


use rule claims_page as deviations_page with:
    input:
        "results/deviations.csv",
    output:
        report(
            "results/deviations.html",
            caption="../report/deviations.rst",
            category="Tables",
            subcategory="all scenarios",
            labels={"table": "Decisions where the paper is silent or contradicts itself"},
        ),
    log:
        "logs/deviations_page.log",
    benchmark:
        "benchmarks/deviations_page.tsv"
    params:
        title="Decisions",
        code=code_digest("workflow/scripts/table_page.py"),
    message:
        "Write the decisions as a page"


use rule claims_page as cross_play_tests_page with:
    input:
        "results/{scenario}/cross_play_tests.csv",
    output:
        report(
            "results/{scenario}/cross_play_tests.html",
            caption="../report/cross_play_tests.rst",
            category="Tables",
            subcategory="{scenario}",
            labels={"table": "Tests for equal means"},
        ),
    log:
        "logs/{scenario}/cross_play_tests_page.log",
    benchmark:
        "benchmarks/{scenario}/cross_play_tests_page.tsv"
    params:
        title="Tests for equal means",
        code=code_digest("workflow/scripts/table_page.py"),
    message:
        "Write the tests for equal means in {wildcards.scenario} as a page"


use rule claims_page as ddpg_best_response_page with:
    input:
        "results/{scenario}/ddpg_best_response.csv",
    output:
        report(
            "results/{scenario}/ddpg_best_response.html",
            caption="../report/ddpg_best_response.rst",
            category="Tables",
            subcategory="{scenario}",
            labels={"table": "Best responses: DDPG and gradients"},
        ),
    log:
        "logs/{scenario}/ddpg_best_response_page.log",
    benchmark:
        "benchmarks/{scenario}/ddpg_best_response_page.tsv"
    params:
        title="Best responses",
        code=code_digest("workflow/scripts/table_page.py"),
    message:
        "Write the best responses in {wildcards.scenario} as a page"


use rule claims_page as ablation_page with:
    input:
        "results/{scenario}/ablation.csv",
    output:
        report(
            "results/{scenario}/ablation.html",
            caption="../report/ablation.rst",
            category="Tables",
            subcategory="{scenario}",
            labels={"table": "Ablation"},
        ),
    log:
        "logs/{scenario}/ablation_page.log",
    benchmark:
        "benchmarks/{scenario}/ablation_page.tsv"
    params:
        title="Ablation",
        code=code_digest("workflow/scripts/table_page.py"),
    message:
        "Write the ablation's table in {wildcards.scenario} as a page"


use rule claims_page as penalty_study_page with:
    input:
        "results/{scenario}/penalty_study_tests.csv",
    output:
        report(
            "results/{scenario}/penalty_study_tests.html",
            caption="../report/penalty_study.rst",
            category="Tables",
            subcategory="{scenario}",
            labels={"table": "Why a small penalty fails"},
        ),
    log:
        "logs/{scenario}/penalty_study_page.log",
    benchmark:
        "benchmarks/{scenario}/penalty_study_page.tsv"
    params:
        title="Why a small penalty fails",
        code=code_digest("workflow/scripts/table_page.py"),
    message:
        "Write the tests of the penalty study in {wildcards.scenario} as a page"
