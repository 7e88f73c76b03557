"""The rules that the other files declare, and those that ask for files."""

for declared in JOBS:

    rule:
        name:
            declared.name
        input:
            **declared.reads,
        output:
            **declared.writes,
        log:
            f"logs/{declared.place}.log",
        benchmark:
            f"benchmarks/{declared.place}.tsv"
        wildcard_constraints:
            **declared.where,
        priority: priority_of(declared.name)
        threads: 1
        resources:
            **declared.resources,
        params:
            settings=declared.settings,
            title=declared.title,
            script=declared.script,
            code=declared.code,
        message:
            f"{declared.name}: {{output[0]}}"
        script:
            "../scripts/{params.script}.py"


for target, files in TARGETS.items():

    rule:
        name:
            target
        input:
            files,
