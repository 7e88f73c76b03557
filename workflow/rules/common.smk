"""Functions the rules share: who enters which measurement, settings of jobs, declarations."""

import hashlib
import json
import os
import re
import sys
from pathlib import Path
from types import SimpleNamespace

from code_digest import code_digest
from nash_dqn.config import (
    POLICY_PATTERN,
    SCENARIO_PATTERN,
    ConfigError,
    at_beta,
    authors_files,
    game_of,
    load_yaml,
    policy as policy_settings,
    recipe as recipe_of,
    trained_otherwise,
    training_settings,
    validate,
    versus,
    with_players,
)
from nash_dqn.deviations import read_deviations
from nash_dqn.games.catalogue import make, module_of
from nash_dqn.published import AUTHORS_POLICIES
from nash_dqn.settings.ablation import settings as ablation_policies
from nash_dqn.settings.agreement import is_linear
from nash_dqn.settings.study import GAMES, MARKET
from snakemake.logging import logger

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
    given = dict(workflow.config_settings.config)
    if given.get("restore") in ("true", "false"):  # on the command line Snakemake knows True and False alone
        given["restore"] = given["restore"] == "true"
    try:
        checked = validate(load_yaml(*files, given))
        config.clear()
        config.update(checked)
        return {} if config["authors"] is None else authors_files(config["authors"])
    except ConfigError as error:
        sys.exit(f"Error in the configuration: {error}")


def one_of(names):
    """Constraint of a wildcard to these names, so that a misspelt target is refused at once."""
    return f"(?:{'|'.join(map(re.escape, names))})"


AUTHORS_WEIGHTS = read_config()
OF_RUN = config["run"]["scenarios"]

# ---------------------------------------------------------------------------------------------- trainings

SNAPSHOTS = "snapshots.safetensors"
ON_RETURN = ("weights.safetensors", SNAPSHOTS, "history.csv", "run.json")  # what a training leaves


def algorithm_of(policy):
    """The algorithm that trains a policy."""
    return policy_settings(config, policy)["algorithm"]


def settings_of_training(wildcards):
    """All that determines a training. A game that checks its settings itself is made before any job starts, so that a
    wrong one stops the run in one line.
    """
    try:
        settings = training_settings(config, wildcards.scenario, wildcards.policy)
        if settings["game"]["game"] not in GAMES:
            make(**settings["game"])
    except ConfigError as error:
        sys.exit(f"Error in the configuration: {error}")
    except ValueError as error:
        sys.exit(f"Error in the configuration: scenarios.{wildcards.scenario}: {error}")
    return settings


def game_code(settings):
    """The modules of the games that settings name, which no import statement shows."""
    if not isinstance(settings, dict):
        return set()
    named = {module_of(settings["game"])} if isinstance(settings.get("game"), str) else set()
    return named.union(*map(game_code, settings.values()))


def code_of_training(settings):
    """Digest of the code that trains with these settings."""
    algorithm = f"nash_dqn.agents.{settings['algorithm']}"
    return code_digest("workflow/scripts/train.py", algorithm, *game_code(settings))


def of_each(name, policies, scenario="{scenario}"):
    """The file of that name of each of these policies' trainings, each once."""
    return [f"results/{scenario}/{policy}/{name}" for policy in dict.fromkeys(policies)]


def trained(policies, scenarios):
    """All files of each of these policies' trainings in each of these scenarios."""
    return [path for scenario in scenarios for name in ON_RETURN for path in of_each(name, policies, scenario)]


# -------------------------------------------------------------------------------------------------- the record

# Of the working directory, or else the checkout's, by a path that holds wherever both are moved to.
RECORD = Path("record")
if not RECORD.is_dir():
    RECORD = Path(os.path.relpath(Path(workflow.basedir).parent / "record"))


def asked_of(training):
    """What determines a training of that name, and which of its files the record is without; None if the configuration
    does not have it. Snapshots take most of the room: they are recorded where the run measures along the training.
    """
    scenario, _, policy = training.partition("/")
    try:
        settings = training_settings(config, scenario, policy)
    except ConfigError:
        return None
    measured = policy in ENTRANTS["data_efficiency"] and scenario in OF_RUN
    return {"settings": settings, "code": code_of_training(settings), "without": [] if measured else [SNAPSHOTS]}


def to_restore():
    """Entries of the record by the names of their trainings, of those that are restored where they are needed; says so
    in one line, also why the others are not.
    """
    if not config["restore"]:
        return {}
    from nash_dqn.artifacts import ArtifactError  # these bring pandas, which takes a moment
    from nash_dqn.restore import plan

    try:
        planned = plan(RECORD, Path("results"), asked_of)
    except ArtifactError as error:
        sys.exit(f"Error in the record: {error}")
    if workflow.is_main_process:
        logger.info(str(planned))
    return planned.restored


def say_what_changed():
    """Name the settings for which trainings that are there would be made again: Snakemake prints whole mappings."""
    found = {}
    for path in sorted(Path("results").glob("*/*/run.json")):
        try:
            changed = trained_otherwise(config, json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError):
            continue  # what needs it says so
        if changed:
            found.setdefault("; ".join(changed), []).append(str(path.parent))
    for changed, (first, *more) in found.items():
        logger.info(f"Trained with {changed}: {first}{f' and {len(more)} more' if more else ''}.")


if workflow.is_main_process:
    say_what_changed()


def snapshots(scenario, policies):
    """Snapshots of trainings; where one is restored without them, what needs them stops the run in one line."""
    for training in (f"{scenario}/{policy}" for policy in policies):
        if training in RESTORED and SNAPSHOTS in RESTORED[training].without:
            wanted = "which this target needs; run it without restore=true"
            sys.exit(f"Error in the record: {RECORD}/{training}.tar.xz: has no snapshots, {wanted}")
    return of_each(SNAPSHOTS, policies, scenario)


# ------------------------------------------------------------------------------- who enters which measurement

ABLATION = ablation_policies(config["policies"], config["ablation"])
"""The policies of the ablation, by name."""
SWEPT = [at_beta(config, config["beta_sweep"]["policy"], beta) for beta in config["beta_sweep"]["betas"]]
"""The policies of Fig. 1, in the order of its betas."""
STUDIED = [
    at_beta(config, name, beta)
    for name in config["penalty_study"]["policies"]
    for beta in config["penalty_study"]["betas"]
]
"""The policies of the penalty study."""
COMPARISONS = {versus(pair): pair for pair in config["run"]["comparisons"]}
"""Pairs of policies by the name of their comparison; the first is the headline, the authors' is the last."""
AUTHORS = list(AUTHORS_POLICIES) if AUTHORS_WEIGHTS else []
if AUTHORS:
    COMPARISONS[versus(AUTHORS)] = AUTHORS


def entrants():
    """Policies by the table that they enter, in its order."""
    measured = config["exploitability"]["policies"]
    found = {
        "comparison": list(dict.fromkeys(policy for pair in zip(*COMPARISONS.values()) for policy in pair)),
        "exploitability": measured + AUTHORS,
        # Trainings are measured along the way, references are not.
        "data_efficiency": [policy for policy in measured if algorithm_of(policy) != "self_play"],
        **{table: config[table]["opponents"] for table in ("ddpg_best_response", "outside_learners")},
        "robustness": config["robustness"]["policies"],
    }
    found["training_curves"] = [policy for policy in found["comparison"] if policy not in AUTHORS]
    found["explorer"] = list(dict.fromkeys(found["comparison"] + found["exploitability"]))
    return found


ENTRANTS = entrants()
RESTORED = to_restore()
"""What is restored and not trained: entries of the record by the names of their trainings."""
EXACT = {**config["lq"]["policies"], **config["games"]}
"""Policies by the scenario in which they are compared with the exact equilibrium."""


def reference_of(section):
    """Weights of the equilibrium reference that a section of the configuration names."""
    return f"results/{{scenario}}/{config[section]['reference']}/weights.safetensors"


# ----------------------------------------------------------------------------------------------- settings


OF_DEVIATORS = ("hidden", "iterations", "episodes", "learning_rate", "restarts", "seed")  # how they are trained


def in_game(section, *keys, scenario=None, **more):
    """What an evaluation depends on besides the policies, as a function of the wildcards: the game, entries of a section
    of the configuration, and more. ``more`` may be functions of the wildcards; ``scenario`` is theirs where not given.
    """

    def settings(wildcards):
        of = scenario or wildcards.scenario
        found = {"scenario": of, "game": game_of(config, of), **{key: config[section][key] for key in keys}}
        return found | {key: value(wildcards) if callable(value) else value for key, value in more.items()}

    return settings


def deviators_in_game(section, *keys, own=lambda wildcards: {}, **more):
    """What an evaluation that trains deviators depends on: as ``in_game``, and how they are trained. ``own``, a function
    of the wildcards, says what of that is other than in the section.
    """
    best_response = {key: config[section][key] for key in OF_DEVIATORS}
    keys = ("paths", "validation_paths", *keys)
    return in_game(section, *keys, best_response=lambda wildcards: best_response | own(wildcards), **more)


def observation_of(policy):
    """What agents of a policy see."""
    return recipe_of(config, policy)["observation"]


def shown(wildcards):
    """Name of the comparison that a Fig. 2 shows: the one in its name, or the headline."""
    return wildcards.get("comparison", next(iter(COMPARISONS)))


# ------------------------------------------------------------------------------------- declarations of rules

JOBS = []  # rules/jobs.smk makes a rule of each


def job(name, reads=None, settings=None, *, writes=None, page=None, script=None, modules=(), where=None, **resources):
    """Declare a rule that runs scripts/NAME.py.

    Args:
        name: of the rule.
        reads: its input by name, also as functions of the wildcards, several files of a name as a list; or one,
            called ``table``.
        settings: all that the result depends on besides the input, or a function of the wildcards.
        writes: its output likewise, by default the scenario's table of the rule's name, less ``_table``.
        page: name in the report of the last table, which the script then writes as a page as well: a CSV file would be
            there as a download only.
        script: name of the script where it is not the rule's.
        modules: modules that the script takes by a name in its settings, beside those of games.
        where: constraints of wildcards.
        resources: those that differ from 1,000 MB and two minutes.
    """
    writes = f"results/{{scenario}}/{name.removesuffix('_table')}.csv" if writes is None else writes
    reads, writes = (of if isinstance(of, dict) else {"table": of} for of in ({} if reads is None else reads, writes))
    if page is not None:
        *_, table = writes.values()
        writes = {
            **writes,
            "page": shows(table.replace(".csv", ".html"), name.removesuffix("_table"), "Tables", table=page),
        }
    path = f"workflow/scripts/{script or name}.py"
    settings_of = settings if callable(settings) else lambda wc: settings or {}
    wildcards = list(dict.fromkeys(re.findall(r"{\w+}", next(iter(writes.values())))))
    first = wildcards.count("{scenario}")  # where there is one, it comes first
    JOBS.append(
        SimpleNamespace(
            name=name,
            reads=reads,
            writes=writes,
            settings=settings_of,
            title=page or "",
            script=script or name,
            code=lambda wc: code_digest(path, *modules, *sorted(game_code(settings_of(wc)))),
            where=where or {},
            resources={"mem_mb": 1000, "runtime": "2m", **resources},
            place="/".join([*wildcards[:first], name, *wildcards[first:]]),
        )
    )


def figure(name, label, reads, *, path=None, source=None, function="plot", settings=None, **more):
    """Declare a rule that draws a figure, as PDF and PNG; the PNG goes into the report.

    Args:
        name: of the rule, after ``plot_``.
        label: its name in the report.
        reads: tables by the name of their columns in the module (``error``: ERROR_COLUMNS; ``table``: COLUMNS), in the
            order in which the function takes them; ``records`` and ``histories`` are of trainings.
        path: of the figure below figures/, without suffix; by default the scenario's figure of the rule's name.
        source: module of nash_dqn.plots, where its name is not that of the file, as the caption's is.
        function: of the module, which draws it.
        settings: keyword arguments of the function, or a function of the wildcards.
        more: as of ``job``.
    """
    path = f"{{scenario}}/{name}" if path is None else path
    stem = Path(path).name.removesuffix("_{comparison}")
    source = f"nash_dqn.plots.{source or stem}"
    arguments = settings if callable(settings) else lambda wc: settings or {}
    job(
        f"plot_{name}",
        reads,
        lambda wc: {"module": source, "function": function, "arguments": arguments(wc)},
        writes={
            "pdf": f"figures/{path}.pdf",
            "png": shows(f"figures/{path}.png", stem, "Figures", figure=label),
        },
        script="plot",
        modules=[source],
        **{"runtime": "5m", **more},
    )


def shows(path, caption, category, **labels):
    """An output file that goes into the report."""
    place = "{scenario}" if "{scenario}" in path else "all scenarios"
    return report(path, caption=f"../report/{caption}.rst", category=category, subcategory=place, labels=labels)


# ------------------------------------------------------------------------------------------------- order

# The jobs that make Figs. 1 to 3, but for trainings.
OF_PAPER = ("beta_sweep", "policy_grid", "policy_distance", "cross_play", "cross_play_tests")
OF_PAPER += ("plot_beta_sweep", "plot_policies", "plot_cross_play")


def is_headline(wildcards):
    """Whether Figs. 1 to 3 of the run's first scenario are made of a training."""
    scenario = OF_RUN[0]
    swept = SWEPT if scenario in config["beta_sweep"]["scenarios"] else []
    return wildcards.scenario == scenario and wildcards.policy in ENTRANTS["comparison"] + swept


def priority_of(name):
    """Priority of a rule's job: Figs. 1 to 3 of the run's first scenario come out before all else, the others' before what
    is no training.
    """
    first = OF_RUN[0]
    return lambda wc: (200 if wc.get("scenario") == first else 1) if name in OF_PAPER else 0


# ------------------------------------------------------------------------------------------------- targets

TARGETS = {}
"""Files by the name of the rule that asks for them; rules/jobs.smk makes a rule of each."""


def made_by(*names, **values):
    """All files that the rules of these names make, for each of these values of their wildcards."""
    return expand(
        [str(path) for declared in JOBS if declared.name in names for path in declared.writes.values()], **values
    )


def in_scenarios(table, scenarios=OF_RUN):
    """That table of each of these scenarios."""
    return [f"results/{scenario}/{table}.csv" for scenario in scenarios]
