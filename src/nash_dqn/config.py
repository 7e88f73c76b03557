"""What each training is, by the name of its scenario and of its policy; the authors' files."""

import copy
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nash_dqn.settings import ablation
from nash_dqn.settings.agreement import check_name
from nash_dqn.settings.fields import ConfigError, fail, one_line, show, suggestion
from nash_dqn.settings.files import lay_over, load_yaml
from nash_dqn.settings.study import MARKET, policy_of, scenario_of, validate

__all__ = [
    "AUTHORS_FILES",
    "POLICY_PATTERN",
    "SCENARIO_PATTERN",
    "ConfigError",
    "at_beta",
    "authors_files",
    "differences",
    "format_beta",
    "game_of",
    "load_yaml",
    "parse_beta",
    "policy",
    "recipe",
    "scenario",
    "trained_otherwise",
    "training_settings",
    "validate",
    "versus",
    "with_players",
]

BETA_PATTERN = r"[0-9]+(?:\.[0-9]+)?(?:e-[0-9]+)?"
"""Regular expression of a beta in a name; ``parse_beta`` is stricter (one spelling per number)."""

SCENARIO_PATTERN = r"(?:\+players=[1-9][0-9]*)?"
"""Regular expression of what may follow the name of a scenario."""

POLICY_PATTERN = rf"(?:\+beta={BETA_PATTERN})?"
"""Regular expression of what may follow the name of a policy."""

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
        if len(paths) == 1:
            found[key] = str(paths[0])
        elif wrong is None:
            wrong = f"several are called {name}: {', '.join(map(str, paths))}" if paths else f"{name} is missing"
    if wrong is not None:
        expected = f"a folder with {', '.join(AUTHORS_FILES.values())} in it or below it"
        raise ConfigError(one_line(f"authors: got {show(str(folder), 200)}, expected {expected}, but {wrong}"))
    return found


# ----------------------------------------------------------------------------------------------- names


def scenario(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The scenario of that name, a copy: ``game``, and the fields of its class.

    Args:
        config: a validated configuration.
        name: a name from ``scenarios``; or of a market there, ``NAME+players=10``, with so many agents, among whom its
            impact is shared if they are more (:func:`nash_dqn.games.mean_field.shared`).

    Raises:
        ConfigError: there is no such scenario.
    """
    base, shared, count = name.partition("+players=")
    check_name(("scenarios",), base, config["scenarios"], "scenarios")
    found: dict[str, Any] = copy.deepcopy(config["scenarios"][base])
    if not shared:
        return found
    game = found.get("game", MARKET)
    if game != MARKET:
        fail(("scenarios",), name, f"a market before +players=; {base} is of {game}")
    factor = min(1.0, found["n_agents"] / int(count))
    of_many = {"n_agents": int(count), **{key: found[key] * factor for key in ("eta", "gamma")}}
    return scenario_of({**found, **of_many}, ("scenarios", name))


def with_players(scenario: str, count: int) -> str:
    """Name of the scenario whose impact is shared among so many agents."""
    return f"{scenario}+players={count}"


def game_of(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    """What :func:`nash_dqn.games.catalogue.make` makes the game of a scenario of: ``game`` and ``settings``.

    Raises:
        ConfigError: there is no such scenario.
    """
    settings = scenario(config, name)
    return {"game": settings.pop("game"), "settings": settings}


def policy(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    """How the policy of that name is trained, a copy: ``algorithm``, its settings, and ``seeds``.

    Args:
        config: a validated configuration.
        name: a name from ``policies``; or of one of Nash-DQN there, ``NAME+beta=10``, at that weight of the penalty; or
            one of the ablation's (:mod:`nash_dqn.settings.ablation`).

    Raises:
        ConfigError: there is no such policy, or the beta is malformed or the policy's own.
    """
    policies = config["policies"]
    base, swept, beta = name.partition("+beta=")
    if name in policies:
        found = copy.deepcopy(policies[name])
    elif base in policies and swept:
        if policies[base]["algorithm"] != "nash_dqn":
            fail(("policies",), name, f"a policy of algorithm nash_dqn before +beta=; {base} is none")
        if at_beta(config, base, parse_beta(beta)) != name:
            fail(("policies",), name, f"{base}, which has this beta")
        found = policy_of(lay_over(policies[base], {"penalty": {"beta": parse_beta(beta)}}), ("policies", name))
    else:
        ablated = ablation.settings(policies, config["ablation"])
        if name not in ablated:
            hint = suggestion(name, [*policies, *ablated])
            fail(("policies",), name, f"a name from policies ({', '.join(policies)})", hint)
        found = policy_of(ablated[name].recipe, ("policies", name))
    return {**found, "seeds": list(config["seeds"] if found["seeds"] is None else found["seeds"])}


def recipe(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    """What the algorithm of a policy is to be trained with: as :func:`policy`, less what says who is trained."""
    return {key: value for key, value in policy(config, name).items() if key not in ablation.NOT_SWITCHED}


def at_beta(config: Mapping[str, Any], name: str, beta: float) -> str:
    """Name of a policy of Nash-DQN at that weight of the penalty; its own needs no other."""
    own = config["policies"][name]["penalty"]["beta"]
    return name if own == beta else f"{name}+beta={format_beta(beta)}"


def versus(pair: Sequence[str]) -> str:
    """Name of the comparison of two policies."""
    return "-vs-".join(pair)


def training_settings(config: Mapping[str, Any], scenario: str, name: str) -> dict[str, Any]:
    """All that determines a training, in one dict, as Snakemake compares the parameters of a job without their names.

    Args:
        config: a validated configuration.
        scenario: name, as :func:`scenario` takes it.
        name: of the policy, as :func:`policy` takes it.

    Returns:
        ``scenario`` and ``policy`` (names), ``algorithm``, ``game`` (as :func:`game_of`), ``recipe`` (what the
        algorithm is to be trained with), ``seeds``, ``device``.

    Raises:
        ConfigError: there is no such scenario or policy.
    """
    found = policy(config, name)
    return {
        "scenario": scenario,
        "policy": name,
        "algorithm": found["algorithm"],
        "game": game_of(config, scenario),
        "recipe": recipe(config, name),
        "seeds": found["seeds"],
        "device": config["device"],
    }


def differences(one: Any, other: Any, key: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Dotted keys of values that differ, with both; None is the same as none."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for name in sorted(one.keys() | other.keys()):
            yield from differences(one.get(name), other.get(name), f"{key}.{name}" if key else name)
    elif one != other:
        yield key, one, other


def trained_otherwise(config: Mapping[str, Any], record: Mapping[str, Any]) -> list[str]:
    """What of a training's settings is other in the configuration, such as ``learning_rate: 0.003, now 0.001``.

    Args:
        config: a validated configuration.
        record: the training's, of ``run.json``; whatever else it is, nothing is other.
    """
    try:
        now = json.loads(json.dumps(training_settings(config, record["scenario"], record["policy"])))
        then = {**record["config"]["game"], **record["config"]["recipe"], "seeds": record["seeds"]}
    except (ConfigError, KeyError, TypeError):
        return []
    found = differences(then, {**now["game"]["settings"], **now["recipe"], "seeds": now["seeds"]})
    return [f"{key}: {show(before)}, now {show(after)}" for key, before, after in found]
