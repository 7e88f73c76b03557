"""What each training is, of a checked configuration; betas in paths; the authors' files."""

import copy
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nash_dqn.published import AUTHORS
from nash_dqn.settings import ablation
from nash_dqn.settings.fields import ConfigError, fail, one_line, show, suggestion
from nash_dqn.settings.files import load_yaml
from nash_dqn.settings.study import COMPARED, MANY, check_name, general_recipe, recipe_of, validate

__all__ = [
    "AUTHORS_FILES",
    "BETA_PATTERN",
    "ConfigError",
    "ablation_settings",
    "authors_files",
    "comparison",
    "fictitious_play_settings",
    "format_beta",
    "general_game",
    "general_games",
    "general_settings",
    "load_yaml",
    "market_of_many",
    "nash_dqn_settings",
    "parse_beta",
    "scenario",
    "self_play_settings",
    "validate",
]

BETA_PATTERN = r"[0-9]+(?:\.[0-9]+)?(?:e-[0-9]+)?"
"""Regular expression of a beta in a path; ``parse_beta`` is stricter (one spelling per number)."""

AUTHORS_FILES = {"action": "Action_Net.pt", "value": "Value_Net.pt", "fp": "pol_net_it.pt"}
"""Names of the files that the authors' weights are read from, by what :func:`authors_files` calls them."""


# ----------------------------------------------------------------------------------------------- betas


def format_beta(beta: float) -> str:
    """Beta as it stands in paths: 100 and 100.0 are ``100``, 0.5 is ``0.5``."""
    return repr(float(beta) + 0.0).removesuffix(".0")  # + 0.0 turns -0.0 into 0.0


def parse_beta(text: str) -> float:
    """The beta of a path; the inverse of ``format_beta``.

    Raises:
        ConfigError: the text is not how ``format_beta`` writes a number: ``1e2``, ``100.0``, ``-1``, ``nan``.
    """
    if re.fullmatch(BETA_PATTERN, text) and format_beta(float(text)) == text:
        return float(text)
    raise ConfigError(f"beta: got {show(text)}, expected a number >= 0 written as 100 or 0.5")


# ------------------------------------------------------------------------------------------------ files


def authors_files(folder: str | Path) -> dict[str, str]:
    """Paths of the authors' weights, by the keys of :data:`AUTHORS_FILES`: in a folder, or else anywhere below it.

    Hidden folders are passed over; a relative path starts at the working directory.

    Raises:
        ConfigError: there is no such folder, or of one of the files none in it, or several below it.
    """
    path = Path(folder)
    found, wrong = {}, None if path.is_dir() else "there is no such folder"
    for key, name in AUTHORS_FILES.items():
        below = [at for at in path.rglob(name) if not any(part.startswith(".") for part in at.relative_to(path).parts)]
        paths = [path / name] if (path / name).is_file() else sorted(at for at in below if at.is_file())
        found[key] = str(paths[0]) if paths else ""
        if not paths:
            wrong = wrong or f"{name} is missing"
        elif len(paths) > 1:
            wrong = wrong or f"several are called {name}: {', '.join(map(str, paths))}"
    if wrong is not None:
        expected = f"a folder with {', '.join(AUTHORS_FILES.values())} in it or below it"
        raise ConfigError(one_line(f"{AUTHORS}: got {show(str(folder), 200)}, expected {expected}, but {wrong}"))
    return found


# --------------------------------------------------------------------------------------------- settings


def scenario(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The market ``name`` of a validated configuration, a copy; the keys are the fields of ``Market``.

    Raises:
        ConfigError: there is no such scenario.
    """
    return _named(config, "scenarios", name)


def comparison(config: Mapping[str, Any], name: str) -> dict[str, str]:
    """The two policies that Figs 2 and 3 compare: recipe by algorithm, Nash-DQN's first."""
    recipes = config["comparisons"][name]
    return {section: recipes[section] for section in COMPARED if recipes.get(section) is not None}


def nash_dqn_settings(config: Mapping[str, Any], scenario: str, recipe: str, beta: float | str) -> dict[str, Any]:
    """All that determines a Nash-DQN training, in one dict.

    One dict, as Snakemake compares the parameters of a job as a set of values without their names.

    Args:
        config: a validated configuration.
        scenario: a name from ``scenarios``.
        recipe: a name from ``nash_dqn``.
        beta: weight of the penalty, in place of the recipe's own; text is read by ``parse_beta``.

    Returns:
        ``scenario`` and ``recipe_name`` (names), ``game`` (fields of ``Market``), ``recipe`` (the recipe with
        beta in ``penalty``, without seeds), ``seeds`` (the recipe's own, or the run's), ``device``.

    Raises:
        ConfigError: unknown scenario or recipe, or a malformed beta.
    """
    settings = _settings(config, scenario, "nash_dqn", recipe)
    settings["recipe"]["penalty"]["beta"] = parse_beta(beta if isinstance(beta, str) else format_beta(beta))
    return settings


def fictitious_play_settings(config: Mapping[str, Any], scenario: str, recipe: str) -> dict[str, Any]:
    """All that determines a fictitious-play training; as ``nash_dqn_settings``, without a beta.

    Raises:
        ConfigError: unknown scenario or recipe.
    """
    return _settings(config, scenario, "fictitious_play", recipe)


def self_play_settings(config: Mapping[str, Any], scenario: str, recipe: str) -> dict[str, Any]:
    """All that determines a self-play training; as ``nash_dqn_settings``, without a beta.

    Raises:
        ConfigError: unknown scenario or recipe.
    """
    return _settings(config, scenario, "self_play", recipe)


def ablation_settings(config: Mapping[str, Any], scenario: str, setting: str) -> dict[str, Any]:
    """All that determines a training of the ablation; as ``nash_dqn_settings``, ``recipe_name`` being the setting's.

    Raises:
        ConfigError: unknown scenario or setting.
    """
    known = ablation.settings(config["nash_dqn"], config["ablation"])
    if setting not in known:
        fail(("ablation",), setting, f"a setting ({', '.join(known)})", suggestion(setting, known))
    return {
        "scenario": scenario,
        "recipe_name": setting,
        "game": _named(config, "scenarios", scenario),
        "recipe": recipe_of("nash_dqn", known[setting].recipe, ("ablation", setting)),
        "seeds": list(config["ablation"]["seeds"]),
        "device": config["device"],
    }


def general_games(config: Mapping[str, Any]) -> list[str]:
    """Names of the games of section ``games``, then of the markets with more and more agents."""
    return [*config["games"], *(f"{MANY}{count}" for count in config["general"]["many_players"]["agents"])]


def general_game(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    """What :func:`nash_dqn.games.catalogue.make` makes the game of that name of: ``game`` and ``settings``.

    Raises:
        ConfigError: there is no such game.
    """
    if name not in general_games(config):
        known = general_games(config)
        fail(("games",), name, f"a game ({', '.join(known)})", suggestion(name, known))
    if name in config["games"]:
        return {key: copy.deepcopy(config["games"][name][key]) for key in ("game", "settings")}
    return market_of_many(config, int(name.removeprefix(MANY)))


def market_of_many(config: Mapping[str, Any], n_agents: int) -> dict[str, Any]:
    """The same of a market whose impact is shared among so many agents (:func:`nash_dqn.games.mean_field.shared`)."""
    market = _named(config, "scenarios", config["general"]["many_players"]["scenario"])
    factor = market["n_agents"] / n_agents
    shared = {key: market[key] * factor for key in ("eta", "gamma")}
    return {"game": "market.Market", "settings": {**market, "n_agents": n_agents, **shared}}


def general_settings(config: Mapping[str, Any], algorithm: str, name: str) -> dict[str, Any]:
    """All that determines a training in a game of :func:`general_games`; as ``nash_dqn_settings``.

    ``scenario`` is the game's name, ``game`` its :func:`general_game`.

    Raises:
        ConfigError: there is no such game.
    """
    game, general = general_game(config, name), config["general"]
    entry = config["games"].get(name, general["many_players"])
    return {
        "scenario": name,
        "recipe_name": general[algorithm],
        "game": game,
        "recipe": general_recipe(config, algorithm, entry[algorithm], ("games", name, algorithm)),
        "seeds": list(entry.get("seeds", general["seeds"])),
        "device": config["device"],
    }


def _settings(config: Mapping[str, Any], scenario: str, section: str, recipe: str) -> dict[str, Any]:
    game, training = _named(config, "scenarios", scenario), _named(config, section, recipe)
    training.pop("seeds", None)  # who is trained, not how
    return {
        "scenario": scenario,
        "recipe_name": recipe,
        "game": game,
        "recipe": training,
        "seeds": list(_seeds(config, section, recipe)),
        "device": config["device"],
    }


def _seeds(config: Mapping[str, Any], section: str, recipe: str) -> list[int]:
    """The recipe's own seeds, or the run's."""
    own: list[int] | None = config[section][recipe].get("seeds")
    seeds: list[int] = config["seeds"] if own is None else own
    return seeds


def _named(config: Mapping[str, Any], section: str, name: str) -> dict[str, Any]:
    check_name((section,), name, config, section)
    result: dict[str, Any] = copy.deepcopy(config[section][name])
    return result
