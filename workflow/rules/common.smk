"""Functions the rules share: folders of trainings, who enters which measurement, settings of jobs, declarations."""

import hashlib
import re
import sys
from pathlib import Path
from types import SimpleNamespace

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

# ------------------------------------------------------------------------------------------ configuration


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
    return f"(?:{'|'.join(map(re.escape, names))})"


# ---------------------------------------------------------------------------------------------- trainings

GENERAL = ("nash_dqn", "fictitious_play")  # how games beyond the paper's are learned
ON_RETURN = ("weights.safetensors", "snapshots.safetensors", "history.csv", "run.json")  # what a training leaves


def trainings_by_algorithm():
    """For each algorithm the folders of its trainings, below results/, as a regular expression.

    A folder says all: the scenario, the recipe and its beta, or the setting of the ablation; or a game, which has one
    recipe for each algorithm.
    """
    scenarios, games, markets = map(one_of, (config["scenarios"], config["games"], general_games(config)))
    recipes = {algorithm: one_of(config[algorithm]) for algorithm in ("nash_dqn", "fictitious_play", "self_play")}
    return {
        "fictitious_play": f"{scenarios}/fictitious_play/{recipes['fictitious_play']}|general/{games}/fictitious_play",
        "nash_dqn": f"{scenarios}/nash_dqn/{recipes['nash_dqn']}/beta_{BETA_PATTERN}"
        f"|{scenarios}/ablation/{one_of(ablated_recipes())}|general/{markets}/nash_dqn",
        "self_play": f"{scenarios}/self_play/{recipes['self_play']}",
    }


def training_settings(wildcards):
    """All that determines the training in a folder. A game is made once before any job starts, so that a wrong setting
    stops the run in one line.
    """
    match wildcards.training.split("/"):
        case ["general", game, algorithm]:
            settings = general_settings(config, algorithm, game)
            try:
                make(**settings["game"])
            except ValueError as error:
                sys.exit(f"Error in the configuration: games.{game}: {error}")
        case [scenario, "ablation", setting]:
            algorithm, settings = "nash_dqn", ablation_settings(config, scenario, setting)
        case [scenario, "nash_dqn" as algorithm, recipe, beta]:
            settings = nash_dqn_settings(config, scenario, recipe, beta.removeprefix("beta_"))
        case [scenario, "fictitious_play" as algorithm, recipe]:
            settings = fictitious_play_settings(config, scenario, recipe)
        case [scenario, "self_play" as algorithm, recipe]:
            settings = self_play_settings(config, scenario, recipe)
    return {**settings, "algorithm": algorithm, "game": game_of(wildcards.training)}


def game_of(folder):
    """The game that is played in a folder below results/, as ``games.catalogue.make`` takes it."""
    first, *rest = folder.split("/")
    if first == "general":
        return general_game(config, rest[0])
    return {"game": "market.Market", "settings": config["scenarios"][first]}


def name_of_game(folder):
    """The name of the game, or of the scenario, that is played in a folder below results/."""
    return folder.removeprefix("general/").split("/")[0]


def game_code(folder):
    """The module of the game that is played in a folder, which no import statement shows."""
    return module_of(game_of(folder)["game"])


def nash_dqn_run(scenario, recipe, beta):
    """Folder of a Nash-DQN training at that beta."""
    return f"results/{scenario}/nash_dqn/{recipe}/beta_{format_beta(beta)}"


def run_of(scenario, policy):
    """Folder of the training of a policy ``algorithm/recipe``; of Nash-DQN at the recipe's own beta."""
    algorithm, recipe = policy.split("/")
    if algorithm == "nash_dqn":
        return nash_dqn_run(scenario, recipe, config["nash_dqn"][recipe]["penalty"]["beta"])
    return f"results/{scenario}/{policy}"


def files_of(runs, *names):
    """The files of these names in each folder, each once."""
    return [f"{run}/{name}" for run in dict.fromkeys(runs) for name in names]


def sweep_runs(scenario):
    """Folders of the trainings of Fig. 1, in the order of its betas."""
    return [nash_dqn_run(scenario, config["beta_sweep"]["recipe"], beta) for beta in config["beta_sweep"]["betas"]]


def ablated_recipes():
    """The trainings of the ablation, by name."""
    return ablation_recipes(config["nash_dqn"], config["ablation"])


def study_trainings():
    """Recipe and beta of each training of the penalty study."""
    section = config["penalty_study"]
    return [(recipe, beta) for recipe in section["recipes"] for beta in section["betas"]]


def study_files(name):
    """Input function: the file of that name of each training of the penalty study."""
    return lambda wc: files_of([nash_dqn_run(wc.scenario, *training) for training in study_trainings()], name)


def at_betas(table, trainings):
    """Input function: tables of that name of trainings given by recipe and beta."""
    return lambda wc: [
        f"results/{wc.scenario}/{table}/{recipe}/beta_{format_beta(beta)}.csv" for recipe, beta in trainings
    ]


# ------------------------------------------------------------------------------- who enters which measurement


def policies_of(recipes):
    """``algorithm/recipe`` of each policy of a mapping from algorithms to names of recipes."""
    return [f"{algorithm}/{recipe}" for algorithm, names in recipes.items() for recipe in names]


def comparisons():
    """The comparisons of the run, name -> both policies, Nash-DQN's and the other; the first is the headline.

    If their weights are given, the authors' two are compared last.
    """
    ours = {
        name: [f"{algorithm}/{recipe}" for algorithm, recipe in comparison(config, name).items()]
        for name in config["run"]["comparisons"]
    }
    return ours | ({AUTHORS: list(AUTHORS_POLICIES)} if AUTHORS_WEIGHTS else {})


def entrants():
    """Policies, ``algorithm/recipe``, by what they enter; each measurement's in the order of its table."""
    authors = list(AUTHORS_POLICIES) if AUTHORS_WEIGHTS else []
    measured = config["exploitability"]["policies"]
    nash_dqn, others = zip(*comparisons().values())
    trained = policies_of({algorithm: config[algorithm] for algorithm in ("nash_dqn", "fictitious_play", "self_play")})
    found = {
        "any": [*trained, *authors],
        "comparison": list(dict.fromkeys(nash_dqn + others)),
        "exploitability": policies_of(measured) + authors,
        # Trainings are measured along the way, references are not.
        "data_efficiency": policies_of(
            {algorithm: measured[algorithm] for algorithm in ("nash_dqn", "fictitious_play")}
        ),
        "ddpg_best_response": policies_of(config["ddpg_best_response"]["opponents"]),
        "lq": policies_of({algorithm: config["lq"][algorithm] for algorithm in ("nash_dqn", "fictitious_play")}),
        "outside_learners": policies_of(config["outside_learners"]["opponents"]),
        "robustness": policies_of(config["robustness"]),
    }
    found["training_curves"] = [policy for policy in found["comparison"] if policy not in AUTHORS_POLICIES]
    found["explorer"] = list(dict.fromkeys(found["comparison"] + found["exploitability"]))
    return found


def runs_of(what, scenario):
    """Folders of the trainings of the policies that enter it."""
    return [run_of(scenario, policy) for policy in ENTRANTS[what]]


def of_entrants(what, name):
    """Input function: the file of that name of each policy that enters it."""
    return lambda wc: files_of(runs_of(what, wc.scenario), name)


def of_policy(name):
    """Input function: the file of that name of the policy in the wildcards."""
    return lambda wc: f"{run_of(wc.scenario, wc.policy)}/{name}"


def of_side(side):
    """Input function: weights of the first or the second policy of each comparison."""
    return lambda wc: [f"{run_of(wc.scenario, pair[side])}/weights.safetensors" for pair in comparisons().values()]


def reference_of(section):
    """Input function: weights of the equilibrium reference that a section of the configuration names."""
    return lambda wc: f"results/{wc.scenario}/self_play/{config[section]['reference']}/weights.safetensors"


def measured_folder(gains):
    """Folder of the training whose exploitability is told by a table, both below results/."""
    match gains.split("/"):
        case ["general", game, _, algorithm]:
            return f"general/{game}/{algorithm}"
        case [scenario, "ablation", setting, _]:
            return f"{scenario}/ablation/{setting}"
        case [scenario, "beta_exploitability", recipe, beta]:
            return f"{scenario}/nash_dqn/{recipe}/{beta}"
        case [scenario, _, algorithm, recipe]:
            return run_of(scenario, f"{algorithm}/{recipe}").removeprefix("results/")


def exploitability_tables():
    """All tables of one training's exploitability, below results/, as a regular expression."""
    scenarios, games, recipes = map(one_of, (config["scenarios"], config["games"], config["nash_dqn"]))
    return (
        f"{scenarios}/exploitability/{one_of(ENTRANTS['any'])}|{scenarios}/ablation/{one_of(ablated_recipes())}/exploitability"
        f"|{scenarios}/beta_exploitability/{recipes}/beta_{BETA_PATTERN}|general/{games}/exploitability/{one_of(GENERAL)}"
    )


JOINED = ("exploitability", "data_efficiency", "robustness")


def parts_of(joined):
    """The tables that are joined to one, which is named below results/."""
    place, _, table = joined.rpartition("/")
    if place == "general":
        return expand("results/general/{game}/exploitability/{algorithm}.csv", game=config["games"], algorithm=GENERAL)
    folder = "exploitability" if table == "robustness" else table
    return [f"results/{place}/{folder}/{policy}.csv" for policy in ENTRANTS[table]]


# ----------------------------------------------------------------------------------------------- settings


OF_DEVIATORS = ("hidden", "iterations", "episodes", "learning_rate", "restarts", "seed")  # how they are trained


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
    best_response = {key: config[section][key] for key in OF_DEVIATORS}
    keys = ("paths", "validation_paths", *keys)
    return evaluation_settings(scenario, section, *keys, best_response=best_response, **more)


def exploitability_settings(wildcards):
    """Of the deviators from one training; against a reference they search longer, as it is to be certified."""
    folder = measured_folder(wildcards.gains)
    section = dict(config["exploitability"])
    if folder.startswith("general/"):
        section.update(deviators=["same"], seed=config["general"]["seed"])
    if "/self_play/" in folder:
        section.update({key: section[f"certificate_{key}"] for key in ("iterations", "learning_rate")})
    return {
        "scenario": name_of_game(folder),
        "game": game_of(folder),
        "best_response": {key: section[key] for key in OF_DEVIATORS},
        **{key: section[key] for key in ("paths", "validation_paths", "deviators")},
    }


def lq_settings(wildcards):
    """Of the comparison with exact equilibria, in a game for each of its groups of agents."""
    general = wildcards.game.startswith("general/")
    section = config["general" if general else "lq"]
    return {
        "scenario": name_of_game(wildcards.game),
        "game": game_of(wildcards.game),
        "by_group": general,
        **{key: section[key] for key in ("episodes", "seed")},
    }


def lq_runs(game):
    """Folders of the trainings that are compared with a game's exact equilibrium."""
    if game.startswith("general/"):
        return [f"results/{game}/{algorithm}" for algorithm in GENERAL]
    return runs_of("lq", game)


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


def many_players_settings(**more):
    """The market that is shared among more and more agents, and what is done with it."""
    return {"game": config["scenarios"][config["general"]["many_players"]["scenario"]], **more}


def authors_settings(scenario):
    """Of the authors' policies in a scenario. Digests, as a file's date may be older than what was made of another."""
    return {
        "scenario": scenario,
        "game": config["scenarios"][scenario],
        "sha256": {name: hashlib.sha256(Path(path).read_bytes()).hexdigest() for name, path in AUTHORS_WEIGHTS.items()},
    }


def shown(wildcards):
    """The comparison that a Fig. 2 shows: the one in its name, or the headline."""
    return wildcards.get("comparison", config["run"]["comparisons"][0])


# ------------------------------------------------------------------------------------- declarations of rules

JOBS = []  # rules/jobs.smk makes a rule of each


def job(name, reads=None, settings=None, *, writes=None, page=None, script=None, modules=(), where=None, **resources):
    """Declare a rule that runs scripts/NAME.py.

    Args:
        name: of the rule.
        reads: its input by name, also as functions of the wildcards, several files of a name as a list; or one,
            called ``table``.
        settings: all that the result depends on besides the input, or a function of the wildcards.
        writes: its output likewise, by default the scenario's table of the rule's name.
        page: name in the report of the last table, which the script then writes as a page as well: a CSV file would be
            there as a download only.
        script: name of the script where it is not the rule's.
        modules: modules that the script takes by a name in its settings, or a function of the wildcards.
        where: constraints of wildcards.
        resources: those that differ from 1,000 MB and two minutes.
    """
    writes = f"results/{{scenario}}/{name}.csv" if writes is None else writes
    reads, writes = (of if isinstance(of, dict) else {"table": of} for of in ({} if reads is None else reads, writes))
    if page is not None:
        *_, table = writes.values()
        writes = {
            **writes,
            "page": shows(table.replace(".csv", ".html"), name.removesuffix("_table"), "Tables", table=page),
        }
    path = f"workflow/scripts/{script or name}.py"
    made = Path(next(iter(writes.values())))
    made = made.relative_to(made.parts[0])
    wildcards = dict.fromkeys(re.findall(r"{\w+}", str(made)))
    if "{scenario}" in wildcards:
        others = "_".join(wildcard for wildcard in wildcards if wildcard != "{scenario}")
        place = Path("{scenario}", name, others)
    else:
        place = made.with_suffix("") if wildcards else made.with_name(name)
    JOBS.append(
        SimpleNamespace(
            name=name,
            reads=reads,
            writes=writes,
            settings={} if settings is None else settings,
            title=page or "",
            script=script or name,
            code=(lambda wc: code_digest(path, *modules(wc))) if callable(modules) else code_digest(path, *modules),
            where=where or {},
            resources={"mem_mb": 1000, "runtime": "2m", **resources},
            place=place,
        )
    )


def figure(name, path, label, reads, *, source=None, function="plot", script="plot", settings=None, **more):
    """Declare a rule that draws a figure, as PDF and PNG; the PNG goes into the report.

    Args:
        name: of the rule, after ``plot_``.
        path: of the figure below figures/, without suffix.
        label: its name in the report.
        reads: tables by the name of their columns in the module (``error``: ERROR_COLUMNS; ``table``: COLUMNS), in the
            order in which the function takes them; ``records`` are of trainings.
        source: module of nash_dqn.plots, where its name is not that of the file, as the caption's is.
        function: of the module, which draws it.
        script: what calls it.
        settings: keyword arguments of the function; with a script of its own, the script's settings.
        more: as of ``job``.
    """
    stem = Path(path).name.removesuffix("_{comparison}")
    source = f"nash_dqn.plots.{source or stem}"
    drawn_by = {"module": source, "function": function, "arguments": settings or {}}
    job(
        f"plot_{name}",
        reads,
        drawn_by if script == "plot" else settings,
        writes={
            "pdf": f"figures/{path}.pdf",
            "png": shows(f"figures/{path}.png", stem, "Figures", figure=label),
        },
        script=script,
        modules=[source] if script == "plot" else (),
        **{"runtime": "5m", **more},
    )


def shows(path, caption, category, **labels):
    """An output file that goes into the report."""
    place = "{scenario}" if "{scenario}" in path else "other games" if "general/" in path else "all scenarios"
    return report(path, caption=f"../report/{caption}.rst", category=category, subcategory=place, labels=labels)


# ------------------------------------------------------------------------------------------------- order

# The jobs that make Figs. 1 to 3, but for trainings.
OF_PAPER = ("beta_sweep", "policy_grid", "policy_distance", "cross_play", "cross_play_tests")
OF_PAPER += ("plot_beta_sweep", "plot_policies", "plot_cross_play")


def headline_trainings():
    """What Figs. 1 to 3 of the run's first scenario are made from: folders below results/."""
    scenario = config["run"]["scenarios"][0]
    swept = sweep_runs(scenario) if scenario in config["beta_sweep"]["scenarios"] else []
    return {run.removeprefix("results/") for run in runs_of("comparison", scenario) + swept}


def priority_of(name):
    """Priority of a rule's job: Figs. 1 to 3 of the run's first scenario come out before all else."""
    return lambda wc: 200 if name in OF_PAPER and wc.get("scenario") == config["run"]["scenarios"][0] else 0


# ------------------------------------------------------------------------------------------------- targets


def pictures(*paths):
    """Both files of these figures."""
    return [f"figures/{path}.{suffix}" for path in paths for suffix in ("pdf", "png")]


def training_targets():
    """All files of every training the run needs."""
    ours = ("training_curves", "exploitability", "ddpg_best_response")
    runs = [run for scenario in config["run"]["scenarios"] for what in ours for run in runs_of(what, scenario)]
    runs += [run for scenario in config["beta_sweep"]["scenarios"] for run in sweep_runs(scenario)]
    runs += [run for scenario in config["lq"]["scenarios"] for run in runs_of("lq", scenario)]
    theirs = [run for run in runs if f"/{AUTHORS}/" in run]
    return files_of([run for run in runs if run not in theirs], *ON_RETURN) + files_of(theirs, *ON_RETURN[::3])


def in_scenarios(table, section="run"):
    """That table of each scenario of the run, or of another section of the configuration."""
    return expand("results/{scenario}/{table}.csv", scenario=config[section]["scenarios"], table=table)


def table_targets():
    """Every table of the run, also those that are joined to others, and the pages of those that have one."""
    pages = ["results/claims.csv", "results/deviations.csv"]
    pages += [path for name in ("cross_play_tests", "ddpg_best_response") for path in in_scenarios(name)]
    names = ("policy_grid", "policy_distance", "cross_play", "exploitability", "data_efficiency", "reference")
    tables = pages + [path.replace(".csv", ".html") for path in pages]
    tables += [path for name in names for path in in_scenarios(name)]
    tables += [
        path
        for scenario in config["run"]["scenarios"]
        for name in ("exploitability", "data_efficiency", "ddpg_best_response")
        for path in parts_of(f"{scenario}/{name}")
    ]
    tables += in_scenarios("beta_sweep", "beta_sweep")
    return tables + in_scenarios("lq_error", "lq") + in_scenarios("lq_scatter", "lq")


def figure_targets():
    """Every figure of the run."""
    names = ["fig2_policies", "fig3_cross_play", "training_curves"]
    names += [f"fig2_policies_{name}" for name in list(comparisons())[1:]]
    names += ["exploitability", "data_efficiency", "data_efficiency_time"]
    figures = expand("{scenario}/{name}", scenario=config["run"]["scenarios"], name=names)
    figures += expand("{scenario}/fig1_beta_sweep", scenario=config["beta_sweep"]["scenarios"])
    figures += expand("{scenario}/lq_policies", scenario=config["lq"]["scenarios"])
    return pictures(*figures) + ["figures/explorer.html"]
