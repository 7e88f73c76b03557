"""Functions the rules share: paths of results, settings of jobs, targets."""

import hashlib
import re
import sys
from pathlib import Path

from code_digest import code_digest
from nash_dqn.ablation import settings as ablation_recipes
from nash_dqn.config import (
    BETA_PATTERN,
    ConfigError,
    ablation_settings,
    authors_files,
    comparison,
    fictitious_play_settings,
    format_beta,
    general_game,
    general_games,
    general_settings,
    load_yaml,
    nash_dqn_settings,
    self_play_settings,
    validate,
)
from nash_dqn.deviations import read_deviations
from nash_dqn.games.catalogue import make, module_of
from nash_dqn.published import AUTHORS, AUTHORS_POLICIES


def read_config():
    """Put into ``config`` what the files say, checked and complete; if it is wrong, stop with one line, before any job.

    The checkout's config/config.yaml is laid under that of the working directory (``--directory``), that under the files
    of ``--configfile``, and all under ``--config``. Returns the files of the authors' weights, none where they are not
    asked for.
    """
    default, own = Path(workflow.basedir).parent / "config" / "config.yaml", Path("config") / "config.yaml"
    files = [own] if own.exists() else []
    if not files or not own.samefile(default):
        files.insert(0, default)
    if workflow.config_settings.replace_workflow_config:
        files = []
    files += [Path(path) for path in workflow.overwrite_configfiles]
    workflow.configfiles[:] = map(str, files)  # what a report shows
    try:
        checked = validate(load_yaml(*files, workflow.config_settings.config))
        config.clear()
        config.update(checked)
        return {} if config["authors"] is None else authors_files(config["authors"])
    except ConfigError as error:
        sys.exit(f"Error in the configuration: {error}")


def deviations():
    """What was decided where the paper is silent or contradicts itself, from the replication record."""
    return read_deviations((Path(workflow.basedir).parent / "docs" / "results.md").read_text(encoding="utf-8"))


def one_of(names):
    """Constraint of a wildcard to these names, so that a misspelt target is refused at once."""
    return "|".join(map(re.escape, names))


def nash_dqn_run(scenario, recipe, beta=None):
    """Folder of a Nash-DQN training; at the recipe's own beta unless another is given."""
    if beta is None:
        beta = config["nash_dqn"][recipe]["penalty"]["beta"]
    return f"results/{scenario}/nash_dqn/{recipe}/beta_{format_beta(beta)}"


def fictitious_play_run(scenario, recipe):
    """Folder of a fictitious-play training."""
    return f"results/{scenario}/fictitious_play/{recipe}"


def self_play_run(scenario, recipe):
    """Folder of a self-play training."""
    return f"results/{scenario}/self_play/{recipe}"


def authors_run(scenario, recipe):
    """Folder of a policy of the authors', `nash` or `fp`."""
    return f"results/{scenario}/{AUTHORS}/{recipe}"


RUN_OF = {
    "nash_dqn": nash_dqn_run,
    "fictitious_play": fictitious_play_run,
    "self_play": self_play_run,
    AUTHORS: authors_run,
}


def authors_policies():
    """The authors' policies, Nash-DQN's and fictitious play's, if their weights are given."""
    return list(AUTHORS_POLICIES) if AUTHORS_WEIGHTS else []


def authors_settings(scenario):
    """Of the authors' policies in a scenario. Digests, as a file's date may be older than what was made of another."""
    return {
        "scenario": scenario,
        "game": config["scenarios"][scenario],
        "sha256": {name: hashlib.sha256(Path(path).read_bytes()).hexdigest() for name, path in AUTHORS_WEIGHTS.items()},
    }


def all_policies():
    """Every policy that can be measured."""
    trained = {algorithm: config[algorithm] for algorithm in RUN_OF if algorithm != AUTHORS}
    return policies_of(trained) + authors_policies()


def policies_of(recipes):
    """``algorithm/recipe`` of each policy of a mapping from algorithms to names of recipes."""
    return [f"{algorithm}/{recipe}" for algorithm, names in recipes.items() for recipe in names]


def run_of(scenario, policy):
    """Folder of the training of a policy ``algorithm/recipe``; of Nash-DQN at the recipe's own beta."""
    algorithm, recipe = policy.split("/")
    return RUN_OF[algorithm](scenario, recipe)


def comparisons():
    """The comparisons of the run, name -> both policies, Nash-DQN's and the other; the first is the headline.

    If their weights are given, the authors' two are compared last.
    """
    ours = {
        name: [f"{algorithm}/{recipe}" for algorithm, recipe in comparison(config, name).items()]
        for name in config["run"]["comparisons"]
    }
    return ours | ({AUTHORS: authors_policies()} if AUTHORS_WEIGHTS else {})


def sweep_runs(scenario):
    """Folders of the trainings of Fig. 1, in the order of its betas."""
    recipe = config["beta_sweep"]["recipe"]
    return [nash_dqn_run(scenario, recipe, beta) for beta in config["beta_sweep"]["betas"]]


def gains_at_beta(scenario, recipe, beta):
    """Table of what deviators gain against a training's returned policies."""
    return f"results/{scenario}/beta_exploitability/{recipe}/beta_{format_beta(beta)}.csv"


def penalty_study_trainings():
    """Recipe and beta of each training of the penalty study."""
    section = config["penalty_study"]
    return [(recipe, beta) for recipe in section["recipes"] for beta in section["betas"]]


def penalty_study_files(wildcards):
    """Input of the penalty study's table: what each of its trainings left, and what was measured of it."""
    trainings, scenario = penalty_study_trainings(), wildcards.scenario
    runs = [nash_dqn_run(scenario, recipe, beta) for recipe, beta in trainings]
    return {
        "histories": files_of(runs, "history.csv"),
        "records": files_of(runs, "run.json"),
        "kept": [
            f"results/{scenario}/penalty_study/{recipe}/beta_{format_beta(beta)}.csv" for recipe, beta in trainings
        ],
        "returned": [gains_at_beta(scenario, recipe, beta) for recipe, beta in trainings],
    }


def ablated_recipes():
    """The trainings of the ablation, by name."""
    return ablation_recipes(config["nash_dqn"], config["ablation"])


def gpus():
    """GPUs that a training asks a cluster for: one if it needs one; `auto` takes what it is given."""
    return int(config["device"] == "cuda")


def files_of(runs, name):
    """The file of that name in each folder, each once."""
    return [f"{run}/{name}" for run in dict.fromkeys(runs)]


def compared_policies():
    """All policies that are compared, each once: Nash-DQN's, then the others."""
    nash_dqn, others = zip(*comparisons().values())
    return list(dict.fromkeys(nash_dqn + others))


def compared_runs(scenario):
    """Their folders, in that order."""
    return [run_of(scenario, policy) for policy in compared_policies()]


def drawn_trainings():
    """Those of them that were trained here."""
    return [policy for policy in compared_policies() if policy not in AUTHORS_POLICIES]


def training_files(name):
    """Input function: the file of that name of each of these trainings."""
    return lambda wildcards: files_of([run_of(wildcards.scenario, policy) for policy in drawn_trainings()], name)


def compared_weights(wildcards):
    """Input of rules that compare pairs of policies: weights of either side, one for each comparison."""
    sides = zip(("nash_dqn", "other"), zip(*comparisons().values()))
    return {
        side: [f"{run_of(wildcards.scenario, policy)}/weights.safetensors" for policy in policies]
        for side, policies in sides
    }


def reference_weights(section):
    """Input function: weights of the equilibrium reference that a section of the configuration names."""
    return lambda wildcards: f"{self_play_run(wildcards.scenario, config[section]['reference'])}/weights.safetensors"


def weights_of(policies):
    """Input function: weights of these policies, in that order."""
    return lambda wildcards: [f"{run_of(wildcards.scenario, policy)}/weights.safetensors" for policy in policies]


def file_of_policy(name):
    """Input function: the file of that name of the policy in the wildcards."""
    return lambda wildcards: f"{run_of(wildcards.scenario, wildcards.policy)}/{name}"


def measured_policies():
    """Policies whose exploitability is measured."""
    return policies_of(config["exploitability"]["policies"]) + authors_policies()


def explored_policies(scenario):
    """Policies on the page on which people play with them, in that scenario: all that are compared or measured."""
    return list(dict.fromkeys(compared_policies() + measured_policies()))


def explored_files(name):
    """The file of that name of each of these policies in each scenario of the run."""
    scenarios = config["run"]["scenarios"]
    return [f"{run_of(scenario, policy)}/{name}" for scenario in scenarios for policy in explored_policies(scenario)]


def robustness_policies():
    """Policies whose exploitability is measured on request."""
    return policies_of(config["robustness"])


def followed_policies():
    """Those of them whose trainings are measured along the way: not the references."""
    recipes = config["exploitability"]["policies"]
    return policies_of({algorithm: recipes[algorithm] for algorithm in ("nash_dqn", "fictitious_play")})


def lq_policies():
    """Policies that are compared with exact equilibria."""
    return policies_of({algorithm: config["lq"][algorithm] for algorithm in ("nash_dqn", "fictitious_play")})


def answered_policies():
    """Policies to which DDPG learns a best response."""
    return policies_of(config["ddpg_best_response"]["opponents"])


def outside_opponents():
    """Policies to which another library's learners find a best response, on request."""
    return policies_of(config["outside_learners"]["opponents"])


def evaluation_settings(scenario, section, *keys, **more):
    """What an evaluation depends on besides the policies: the game, and entries of a section of the configuration."""
    return {
        "scenario": scenario,
        "game": config["scenarios"][scenario],
        **{key: config[section][key] for key in keys},
        **more,
    }


def deviator_settings(scenario, section, *keys, **more):
    """What an evaluation that trains deviators depends on: as ``evaluation_settings``, and how they are trained."""
    training = ("hidden", "iterations", "episodes", "learning_rate", "restarts", "seed")
    best_response = {key: config[section][key] for key in training}
    keys = ("paths", "validation_paths", *keys)
    return evaluation_settings(scenario, section, *keys, best_response=best_response, **more)


def exploitability_settings(scenario, policy):
    """Of the deviators from one policy: against a reference they search longer, as it is to be certified."""
    settings = deviator_settings(scenario, "exploitability", "deviators")
    if policy.startswith("self_play/"):
        for key in ("iterations", "learning_rate"):
            settings["best_response"][key] = config["exploitability"][f"certificate_{key}"]
    return settings


def projection_settings(scenario):
    """Of the exact projection: the game, what agents see, and how its fixed points are found."""
    section = dict(config["projection"])
    observation = config["nash_dqn"][section.pop("recipe")]["observation"]
    return {
        "scenario": scenario,
        "game": config["scenarios"][scenario],
        "observation": observation,
        "projection": section,
    }


def equilibrium_path_settings(recipe):
    """Of the path of an equilibrium: the games at its ends, what agents see, and how it is followed."""
    section = config["equilibrium_path"]
    return {
        "recipe_name": recipe,
        "observation": config["self_play"][recipe]["observation"],
        **{end: config["scenarios"][section[end]] for end in ("start", "end")},
        "path": {key: value for key, value in section.items() if key not in ("start", "end", "policies")},
    }


def ddpg_settings(scenario):
    """Of the comparison with DDPG: the deviators are those of the exploitability table, but for the seed."""
    section = config["ddpg_best_response"]
    recipe = fictitious_play_settings(config, scenario, section["recipe"])["recipe"]
    settings = deviator_settings(scenario, "exploitability", "deviators", recipe=recipe, members=section["members"])
    settings["best_response"]["seed"] = section["seed"]
    return settings


def outside_settings(scenario):
    """Of the comparison with another library's learners: the gradient learner's are those of the exploitability table,
    but for what the common budget says.
    """
    section = config["outside_learners"]
    keys = ("learners", "transitions", "trainings", "environments", "action_bound", "noise", "seed")
    recipe = fictitious_play_settings(config, scenario, section["recipe"])["recipe"]
    return evaluation_settings(
        scenario,
        "exploitability",
        *("hidden", "episodes", "learning_rate", "paths", "deviators"),
        recipe=recipe,
        outside={key: section[key] for key in keys},
    )


def game_module(game):
    """The module of that game, which no import statement of a script shows."""
    return module_of(general_game(config, game)["game"])


def general_training(algorithm):
    """Params function: all that determines the training in the game of the wildcards.

    The game is made once before any job starts, so that a wrong setting stops the run in one line.
    """

    def settings(wildcards):
        found = general_settings(config, algorithm, wildcards.game)
        try:
            make(**found["game"])
        except ValueError as error:
            sys.exit(f"Error in the configuration: games.{wildcards.game}: {error}")
        return found

    return settings


def general_code(script):
    """Params function: digest of the script, and of the game of the wildcards."""
    return lambda wildcards: code_digest(f"workflow/scripts/{script}.py", game_module(wildcards.game))


def general_evaluation(game, **more):
    """What an evaluation in a game depends on besides the policies."""
    return {"name": game, "game": general_game(config, game), **more}


def general_deviators(game):
    """The same, with how deviators are trained: as in section ``exploitability``, but for the seed."""
    section = config["exploitability"]
    training = ("hidden", "iterations", "episodes", "learning_rate", "restarts")
    best_response = {key: section[key] for key in training} | {"seed": config["general"]["seed"]}
    paths = {key: section[key] for key in ("paths", "validation_paths")}
    return general_evaluation(game, best_response=best_response, **paths)


def many_players_settings(**more):
    """The market that is shared, and what is done with it."""
    scenario = config["general"]["many_players"]["scenario"]
    return {"game": config["scenarios"][scenario], **more}


def beta_sweep_settings(scenario):
    """Of Fig. 1: losses of returned weights are measured at the exploration with which trainings end."""
    recipe = config["nash_dqn"][config["beta_sweep"]["recipe"]]
    return evaluation_settings(
        scenario,
        "beta_sweep",
        *("recipe", "betas", "iterations", "window", "episodes", "seed"),
        observation=recipe["observation"],
        p11=recipe["p11"],
        exploration=recipe["exploration"]["end"],
    )


def shown(wildcards):
    """The comparison a Fig. 2 shows: the one in its name, or the headline."""
    return wildcards.get("comparison", config["run"]["comparisons"][0])


def shown_records(wildcards):
    """Input of Fig. 2: records of the two trainings it shows."""
    return files_of([run_of(wildcards.scenario, policy) for policy in comparisons()[shown(wildcards)]], "run.json")


def in_every_scenario(table):
    """That table of each scenario of the run."""
    return expand("results/{scenario}/{table}.csv", scenario=config["run"]["scenarios"], table=table)


def sweep_tables():
    """Fig. 1's table of each scenario that it is made in."""
    return expand("results/{scenario}/beta_sweep.csv", scenario=config["beta_sweep"]["scenarios"])


def in_every_lq_scenario(name):
    """That file of each linear-quadratic scenario."""
    return [name.format(scenario=scenario) for scenario in config["lq"]["scenarios"]]


def training_targets():
    """Weights of every training the run needs."""
    trainings = []
    for scenario in config["run"]["scenarios"]:
        trainings += compared_runs(scenario)
        trainings += sweep_runs(scenario) if scenario in config["beta_sweep"]["scenarios"] else []
        trainings += [run_of(scenario, policy) for policy in measured_policies() + answered_policies()]
    trainings += [run_of(scenario, policy) for scenario in config["lq"]["scenarios"] for policy in lq_policies()]
    return files_of(trainings, "weights.safetensors")


def table_targets():
    """Every table of the run."""
    names = ["policy_grid", "policy_distance", "cross_play", "cross_play_tests"]
    names += ["exploitability", "data_efficiency", "ddpg_best_response", "reference"]
    return [
        "results/claims.csv",
        "results/deviations.csv",
        *sweep_tables(),
        *(path for name in names for path in in_every_scenario(name)),
        *in_every_lq_scenario("results/{scenario}/lq_error.csv"),
    ]


def page_targets():
    """Every table that the report shows as a page."""
    pages = expand(
        "results/{scenario}/{name}.html",
        scenario=config["run"]["scenarios"],
        name=("cross_play_tests", "ddpg_best_response"),
    )
    return ["results/claims.html", "results/deviations.html", *pages]


def figure_targets():
    """Every figure of the run."""
    names = ["fig2_policies", "fig3_cross_play", "training_curves"]
    names += [f"fig2_policies_{name}" for name in list(comparisons())[1:]]
    names += ["exploitability", "data_efficiency", "data_efficiency_time"]
    figures = expand("figures/{scenario}/{name}", scenario=config["run"]["scenarios"], name=names)
    figures += expand("figures/{scenario}/fig1_beta_sweep", scenario=config["beta_sweep"]["scenarios"])
    figures += in_every_lq_scenario("figures/{scenario}/lq_policies")
    return [f"{figure}.{suffix}" for figure in figures for suffix in ("pdf", "png")] + ["figures/explorer.html"]
