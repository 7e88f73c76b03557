"""The settings of a whole run: every section of the configuration, and what has to agree between them."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping
from typing import Any, Literal

from nash_dqn.pairing import member_pairs
from nash_dqn.published import AUTHORS
from nash_dqn.settings import ablation, evaluation, game
from nash_dqn.settings.fictitious_play import FictitiousPlayRecipe
from nash_dqn.settings.fields import (
    ConfigError,
    Name,
    Named,
    Names,
    Path,
    Section,
    Seeds,
    Text,
    at_least,
    dotted,
    fail,
    knob,
    settings,
    show,
    suggestion,
    validated,
)
from nash_dqn.settings.files import lay_over, with_bases
from nash_dqn.settings.nash_dqn import NashDQNRecipe
from nash_dqn.settings.self_play import SelfPlayRecipe

__all__ = ["COMPARED", "MANY", "Study", "check_name", "general_recipe", "recipe_of", "validate"]

COMPARED = ("nash_dqn", "fictitious_play", "self_play")
"""Sections with recipes; a comparison is of the first with one of the others."""

MANY = "many_players_"
"""What names of the markets with more and more agents start with."""

_OWN_SEEDS = "Training seeds of this recipe alone; null = the run's"


@settings
class NashDQNPolicy(NashDQNRecipe):
    """How Nash-DQN is trained, and with which seeds."""

    seeds: Seeds | None = knob(_OWN_SEEDS, default=None)

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, "iterations", "history_every")


@settings
class FictitiousPlayPolicy(FictitiousPlayRecipe):
    """How fictitious play is trained, and with which seeds."""

    seeds: Seeds | None = knob(_OWN_SEEDS, default=None)

    def __post_init__(self) -> None:
        at_least(self, "first_epochs", "history_every")


@settings
class SelfPlayPolicy(SelfPlayRecipe):
    """How self-play is trained, and with which seeds."""

    seeds: Seeds | None = knob(_OWN_SEEDS, default=None)

    def __post_init__(self) -> None:
        at_least(self, "iterations", "history_every")


class Run(Section):
    """What a plain `snakemake` makes."""

    scenarios: Names = knob("Names from `scenarios`")
    comparisons: Names = knob("Names from `comparisons`; the first is the headline")


class Comparison(Section):
    """Nash-DQN's policy and one of another algorithm, as Figs 2 and 3 compare them.

    They meet on the seeds that both have; a policy with a single seed, such as a reference, meets every training.
    """

    nash_dqn: Name = knob("A recipe of `nash_dqn`, trained at its own penalty.beta")
    fictitious_play: Name | None = knob("A recipe of `fictitious_play`; null for one of `self_play`", default=None)
    self_play: Name | None = knob("A recipe of `self_play`; null for one of `fictitious_play`", default=None)


class Study(Section):
    """Every knob of a run."""

    device: Literal["auto", "cpu", "cuda"] = knob(
        "Where networks are trained; auto takes a CUDA device when there is one", default="cpu"
    )
    authors: Text | None = knob(
        "Folder with the authors' released weights in it or below it, such as a checkout of their repository; null to "
        "do without",
        default=None,
    )
    seeds: Seeds = knob("Training seeds; each recipe is trained once per seed, unless it has seeds of its own")
    run: Run
    scenarios: Named[game.Scenario] = knob("Markets by name")
    nash_dqn: Named[NashDQNPolicy] = knob("Recipes for Algorithm 1 (Nash-DQN) by name")
    fictitious_play: Named[FictitiousPlayPolicy] = knob(
        "Recipes for Algorithm 2 (fictitious play with DDPG best responses) by name"
    )
    self_play: Named[SelfPlayPolicy] = knob(
        "Recipes for symmetric self-play through the simulator's gradients, the equilibrium references, by name"
    )
    comparisons: Named[Comparison] = knob("Pairs of policies that Figs 2 and 3 compare, by name")
    beta_sweep: evaluation.BetaSweep
    penalty_study: evaluation.PenaltyStudy
    policy_grid: evaluation.PolicyGrid
    cross_play: evaluation.CrossPlay
    exploitability: evaluation.Exploitability
    data_efficiency: evaluation.DataEfficiency
    lq: evaluation.Exact
    ddpg_best_response: evaluation.DDPGBestResponse
    outside_learners: evaluation.OutsideLearners
    equilibrium_path: evaluation.EquilibriumPath
    projection: evaluation.Projection
    robustness: evaluation.Robustness
    games: Named[evaluation.GameEntry] = knob("Games beyond the paper's market by name, on request")
    general: evaluation.General
    ablation: evaluation.Ablation


def validate(config: object) -> dict[str, Any]:
    """Check a whole configuration; the canonical form of what it means, with bases and defaults filled in.

    Order of keys, 10 or 10.0 for a number, and spelling out a default make no difference to it.

    Args:
        config: what ``load_yaml`` or Snakemake read.

    Raises:
        ConfigError: at the first problem found: unknown keys come first, then missing ones, then values.
    """
    study: Study = validated(Study, with_bases(config) if isinstance(config, dict) else config)
    complete: dict[str, Any] = _plain(study.model_dump())
    for name, entry in complete["games"].items():  # of classes that are not known here
        entry["settings"] = dict(sorted(study.games[name].settings.items()))
    _check_references(complete)
    _check_agreement(complete)
    _check_ablation(complete)
    _check_general(complete)
    return complete


def _plain(value: Any) -> Any:
    """The same with whole numbers without a decimal point, as people write them and tables have them."""
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


# ------------------------------------------------------------------------------------------ names that refer to others

_REFERENCES = {
    "run.scenarios": "scenarios",
    "run.comparisons": "comparisons",
    **{f"exploitability.policies.{of}": of for of in COMPARED},
    **{f"lq.{of}": of for of in ("scenarios", "nash_dqn", "fictitious_play")},
    **{f"ddpg_best_response.opponents.{of}": of for of in ("nash_dqn", "fictitious_play")},
    "outside_learners.scenarios": "scenarios",
    **{f"outside_learners.opponents.{of}": of for of in ("nash_dqn", "fictitious_play")},
    **{f"equilibrium_path.{end}": "scenarios" for end in ("start", "end")},
    "equilibrium_path.policies": "self_play",
    "beta_sweep.recipe": "nash_dqn",
    **{f"{section}.recipe": "fictitious_play" for section in ("ddpg_best_response", "outside_learners")},
    "penalty_study.scenarios": "scenarios",
    "penalty_study.recipes": "nash_dqn",
    "projection.recipe": "nash_dqn",
    "robustness.nash_dqn": "nash_dqn",
    **{f"general.{of}": of for of in ("nash_dqn", "fictitious_play")},
    "general.many_players.scenario": "scenarios",
    "ablation.scenarios": "scenarios",
    **{f"ablation.{end}": "nash_dqn" for end in ("base", "goal")},
    "beta_sweep.scenarios": "run.scenarios",
    # without its own exploitability, nothing tells how good a reference is
    **{
        f"{section}.reference": "exploitability.policies.self_play" for section in ("exploitability", "data_efficiency")
    },
}
"""Where names stand, one or a list of them, and where they come from."""


def _find(config: Mapping[str, Any], path: str) -> Any:
    for key in path.split("."):
        config = config[key]
    return config


def check_name(at: Path, name: str, config: Mapping[str, Any], section: str) -> None:
    """Refuse a name that is not in that section of the configuration.

    Raises:
        ConfigError: it is not.
    """
    known = _find(config, section)
    if name not in known:
        fail(at, name, f"a name from {section} ({', '.join(known)})", suggestion(name, known))


def _check_references(config: Mapping[str, Any]) -> None:
    for name, pair in config["comparisons"].items():
        if name == AUTHORS:
            raise ConfigError(
                f"comparisons: got the name {show(name)}, expected another, as that of the authors' own policies"
            )
        given = {section: recipe for section, recipe in pair.items() if recipe is not None}
        if len(given) != 2:
            fail(("comparisons", name), given, f"{COMPARED[0]} and either {' or '.join(COMPARED[1:])}")
        for section, recipe in given.items():
            check_name(("comparisons", name, section), recipe, config, section)
    for path, section in _REFERENCES.items():
        found, at = _find(config, path), path.split(".")
        if isinstance(found, str):
            check_name(at, found, config, section)
        else:
            for index, name in enumerate(found):
                check_name((*at, index), name, config, section)


# ---------------------------------------------------------------------------------------------- values that must agree


def _check_agreement(config: Mapping[str, Any]) -> None:
    for name, pair in config["comparisons"].items():
        seeds = {
            f"{section}.{recipe}": config[section][recipe]["seeds"] or config["seeds"]
            for section, recipe in pair.items()
            if recipe is not None
        }
        try:
            member_pairs(*seeds.values())
        except ValueError:
            found = " and ".join(f"{show(of)} of {recipe}" for recipe, of in seeds.items())
            wanted = "a seed that both have, or a single seed of one of them"
            raise ConfigError(f"{dotted(('comparisons', name))}: got the seeds {found}, expected {wanted}") from None
    _check_sweeps(config)
    fitted = config["projection"]["recipe"]
    if config["nash_dqn"][fitted]["policy"] != "projected":
        fail(("projection", "recipe"), fitted, "a recipe with policy: projected")
    if config["nash_dqn"][fitted]["observation"]["inventories"] != "private":
        fail(("projection", "recipe"), fitted, "a recipe with observation.inventories: private")
    linear: list[tuple[Path, str]] = [
        (("lq", "scenarios", index), name) for index, name in enumerate(config["lq"]["scenarios"])
    ]
    linear.append((("general", "many_players", "scenario"), config["general"]["many_players"]["scenario"]))
    for path, name in linear:
        market = config["scenarios"][name]
        if market["impact"] == "sqrt" or market["price_floor"] is not None:
            fail(path, name, 'a scenario with impact "linear" or "none" and price_floor null')
    _check_outside_learners(config)


def _check_sweeps(config: Mapping[str, Any]) -> None:
    """Recipes that are trained at several betas have the loss that is compared, and histories where it is read off."""
    sweep, study = config["beta_sweep"], config["penalty_study"]
    _check_read_off(config, "beta_sweep", {("beta_sweep", "recipe"): sweep["recipe"]})
    recipes: dict[Path, str] = {
        ("penalty_study", "recipes", index): name for index, name in enumerate(study["recipes"])
    }
    _check_read_off(config, "penalty_study", recipes)
    for name, market in itertools.product(study["recipes"], study["scenarios"]):
        recipe = config["nash_dqn"][name]
        played = recipe["episodes_per_iteration"] * config["scenarios"][market]["n_steps"]
        counts = [digit * 10**power for power in range(4, 12) for digit in (1, 2, 5)]
        kept = [n // played for n in counts if n % played == 0 and n <= played * recipe["iterations"]]
        for index, iteration in enumerate(study["iterations"]):
            if iteration not in kept:
                wanted = f"one of {', '.join(map(str, kept))}, after which policies of {name} are kept"
                fail(("penalty_study", "iterations", index), iteration, wanted)


def _check_read_off(config: Mapping[str, Any], section: str, recipes: Mapping[Path, str]) -> None:
    """Each recipe's loss is (17), and its history has whole windows before the iterations of the section."""
    window = config[section]["window"]
    for of_recipe, name in recipes.items():
        recipe = config["nash_dqn"][name]
        if recipe["policy"] != "nash" or recipe["critic"] is not None:
            fail(of_recipe, name, "a recipe with policy: nash and critic: null, whose loss is (17)")
        if recipe["patience"] is not None:
            fail(of_recipe, name, "a recipe with patience: null, which reaches every iteration")
        every = recipe["history_every"]
        if window % every:
            fail((section, "window"), window, f"a multiple of history_every ({every}) of {name}")
        for index, iteration in enumerate(config[section]["iterations"]):
            if iteration % every or not window <= iteration <= recipe["iterations"]:
                wanted = f"a multiple of {every} from {window} to {recipe['iterations']}, the iterations of {name}"
                fail((section, "iterations", index), iteration, wanted)


def _check_outside_learners(config: Mapping[str, Any]) -> None:
    """The common budget is a whole number of every learner's updates."""
    section = config["outside_learners"]
    budget, recipe = section["transitions"], config["fictitious_play"][section["recipe"]]
    for name in section["scenarios"]:
        steps = config["scenarios"][name]["n_steps"]
        for learner, size in (
            ("Stable-Baselines3, its environments", section["environments"]),
            ("DDPG, an epoch's", recipe["episodes_per_epoch"] * steps),
            ("gradients, an iteration's", config["exploitability"]["episodes"] * steps),
        ):
            if budget % size:
                fail(("outside_learners", "transitions"), budget, f"a multiple of {size} (of {learner})")


def _check_ablation(config: Mapping[str, Any]) -> None:
    """Each difference between the two recipes has one switch, and everything that is to be trained can be."""
    section, path = config["ablation"], ("ablation", "switches")
    base, goal = (config["nash_dqn"][section[end]] for end in ("base", "goal"))
    keys_of_recipes = [key for key in base if key != "seeds"]
    differing = [key for key in keys_of_recipes if base[key] != goal[key]]
    if not differing:
        fail(("ablation", "goal"), section["goal"], f"a recipe that differs from base ({section['base']})")
    switch_of: dict[str, str] = {}
    for switch, keys in section["switches"].items():
        for index, key in enumerate(keys):
            if key not in keys_of_recipes:
                wanted = "a key of a nash_dqn recipe but seeds"
                fail((*path, switch, index), key, wanted, suggestion(key, keys_of_recipes))
            if key in switch_of:
                fail((*path, switch, index), key, f"each key in one switch, but {switch_of[key]} has it too")
            switch_of[key] = switch
    for key in differing:
        if key not in switch_of:
            wanted = f"every key in which {section['base']} and {section['goal']} differ, but {key} has no switch"
            fail(path, list(section["switches"]), wanted)
    for name, variants in section["variants"].items():
        ends = [section["base"], section["goal"]]
        if name not in ends:
            raise ConfigError(
                f"ablation.variants: got the name {show(name)}, expected base or goal ({', '.join(ends)})"
            )
        for variant, values in variants.items():
            where = ("ablation", "variants", name, variant)
            if variant in section["switches"]:
                fail(where, values, "a name that is no switch's")
            _check_no_seeds(where, values, "all settings have those of ablation.seeds")
    for name, setting in ablation.settings(config["nash_dqn"], section).items():
        recipe_of("nash_dqn", setting.recipe, ("ablation", name))


def _check_general(config: Mapping[str, Any]) -> None:
    """Recipes as they are in each game can be trained."""
    for name, entry in config["games"].items():
        if name.startswith(MANY):
            fail(("games",), name, f"names that do not start with {MANY}, as trainings with many agents do")
        for algorithm in ("nash_dqn", "fictitious_play"):
            at = ("games", name, algorithm)
            _check_no_seeds(at, entry[algorithm], "all games have those of general.seeds")
            general_recipe(config, algorithm, entry[algorithm], at)
    many, at = config["general"]["many_players"], ("general", "many_players", "nash_dqn")
    _check_no_seeds(at, many["nash_dqn"], "those of many_players.seeds are trained")
    general_recipe(config, "nash_dqn", many["nash_dqn"], at)


def _check_no_seeds(at: Path, changes: Mapping[str, Any], why: str) -> None:
    if "seeds" in changes:
        fail((*at, "seeds"), changes["seeds"], f"no seeds, as {why}")


def general_recipe(config: Mapping[str, Any], algorithm: str, changes: Mapping[str, Any], at: Path) -> dict[str, Any]:
    """The recipe from which games start, with what differs, which stands there in the configuration."""
    return recipe_of(algorithm, lay_over(config[algorithm][config["general"][algorithm]], changes), at)


def recipe_of(algorithm: str, values: Mapping[str, Any], at: Path) -> dict[str, Any]:
    """The canonical form of a recipe that is put together of others, without seeds.

    Raises:
        ConfigError: it is no recipe.
    """
    kind = {"nash_dqn": NashDQNPolicy, "fictitious_play": FictitiousPlayPolicy}[algorithm]
    recipe: dict[str, Any] = _plain(dataclasses.asdict(validated(kind, values, at)))
    del recipe["seeds"]  # who is trained, not how
    return recipe
