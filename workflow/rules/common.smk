"""Functions the rules share: paths of results, settings of jobs, targets."""

import sys
from pathlib import Path

from code_digest import code_digest
from nash_dqn.config import (
    BETA_PATTERN,
    ConfigError,
    fictitious_play_settings,
    format_beta,
    load_yaml,
    nash_dqn_settings,
    validate,
)


def readable(path):
    """The path; if YAML cannot read the file, stop with one line that says where, which Snakemake does not."""
    try:
        if Path(path).exists():
            load_yaml(path)
    except ConfigError as error:
        sys.exit(f"Error: {error}")
    return path


def validate_config():
    """Check the configuration and fill in defaults; if it is wrong, stop with one line, before any job starts."""
    schema = Path(workflow.basedir) / "schemas" / "config.schema.yaml"
    try:
        config.update(validate(config, schema))
    except ConfigError as error:
        sys.exit(f"Error in the configuration: {error}")


def one_of(names):
    """Constraint of a wildcard to these names, so that a misspelt target is refused at once."""
    return "|".join(names)


def nash_dqn_run(scenario, recipe, beta=None):
    """Folder of a Nash-DQN training; at the recipe's own beta unless another is given."""
    if beta is None:
        beta = config["nash_dqn"][recipe]["penalty"]["beta"]
    return f"results/{scenario}/nash_dqn/{recipe}/beta_{format_beta(beta)}"


def fictitious_play_run(scenario, recipe):
    """Folder of a fictitious-play training."""
    return f"results/{scenario}/fictitious_play/{recipe}"


def comparisons():
    """The comparisons of the run, name -> recipe of each algorithm; the first is the headline."""
    return {name: config["comparisons"][name] for name in config["run"]["comparisons"]}


def sweep_runs(scenario):
    """Folders of the trainings of Fig. 1, in the order of its betas."""
    recipe = config["beta_sweep"]["recipe"]
    return [nash_dqn_run(scenario, recipe, b) for b in config["beta_sweep"]["betas"]]


def nash_dqn_runs(scenario):
    """Folders of the Nash-DQN trainings that are compared, one for each comparison."""
    return [nash_dqn_run(scenario, pair["nash_dqn"]) for pair in comparisons().values()]


def fictitious_play_runs(scenario):
    """Folders of the fictitious-play trainings that are compared, one for each comparison."""
    return [fictitious_play_run(scenario, pair["fictitious_play"]) for pair in comparisons().values()]


def files_of(runs, name):
    """The file of that name in each folder, each once."""
    return [f"{run}/{name}" for run in dict.fromkeys(runs)]


def compared_runs(scenario):
    """Folders of all trainings that are compared."""
    return nash_dqn_runs(scenario) + fictitious_play_runs(scenario)


def compared_recipes():
    """``algorithm/recipe`` of each of them, in the order of their files."""
    return list(
        dict.fromkeys(
            f"{algorithm}/{pair[algorithm]}"
            for algorithm in ("nash_dqn", "fictitious_play")
            for pair in comparisons().values()
        )
    )


def compared_weights(wildcards):
    """Input of rules that compare pairs of policies: the weights of each algorithm, one for each comparison."""
    runs = {
        "nash_dqn": nash_dqn_runs(wildcards.scenario),
        "fictitious_play": fictitious_play_runs(wildcards.scenario),
    }
    return {name: [f"{run}/weights.safetensors" for run in of] for name, of in runs.items()}


def evaluation_settings(scenario, section, *keys, **more):
    """What an evaluation depends on besides the policies: the game, and entries of a section of the configuration."""
    return {
        "scenario": scenario,
        "game": config["scenarios"][scenario],
        **{key: config[section][key] for key in keys},
        **more,
    }


def beta_sweep_settings(scenario):
    """Of Fig. 1: losses are measured at the exploration with which its trainings end."""
    recipe = config["nash_dqn"][config["beta_sweep"]["recipe"]]
    return evaluation_settings(
        scenario,
        "beta_sweep",
        *("recipe", "betas", "episodes", "seed"),
        observation=recipe["observation"],
        exploration=recipe["exploration"]["end"],
    )


def shown(wildcards):
    """The comparison a Fig. 2 shows: the one in its name, or the headline."""
    return wildcards.get("comparison", config["run"]["comparisons"][0])


def shown_records(wildcards):
    """Input of Fig. 2: records of the two trainings it shows, by algorithm."""
    pair = comparisons()[shown(wildcards)]
    return {
        "nash_dqn": f"{nash_dqn_run(wildcards.scenario, pair['nash_dqn'])}/run.json",
        "fictitious_play": f"{fictitious_play_run(wildcards.scenario, pair['fictitious_play'])}/run.json",
    }


def in_every_scenario(table):
    """That table of each scenario of the run."""
    return expand("results/{scenario}/{table}.csv", scenario=config["run"]["scenarios"], table=table)


def training_targets():
    """Weights of every training the run needs."""
    return [
        path
        for scenario in config["run"]["scenarios"]
        for path in files_of(
            fictitious_play_runs(scenario) + nash_dqn_runs(scenario) + sweep_runs(scenario),
            "weights.safetensors",
        )
    ]


def table_targets():
    """Every table of the run."""
    names = ["beta_sweep", "policy_grid", "policy_distance", "cross_play", "cross_play_tests"]
    return ["results/claims.csv", *(path for name in names for path in in_every_scenario(name))]


def figure_targets():
    """Every figure of the run."""
    names = ["fig1_beta_sweep", "fig2_policies", "fig3_cross_play", "training_curves"]
    names += [f"fig2_policies_{name}" for name in list(comparisons())[1:]]
    return expand(
        "figures/{scenario}/{name}.{suffix}",
        scenario=config["run"]["scenarios"],
        name=names,
        suffix=["pdf", "png"],
    )
