"""What has to agree between the sections of a configuration: names that refer to others, and values."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import Any

from nash_dqn.pairing import member_pairs
from nash_dqn.published import AUTHORS_POLICIES
from nash_dqn.settings import ablation
from nash_dqn.settings.fields import ConfigError, Path, dotted, fail, show, suggestion

__all__ = ["check", "check_name", "is_linear"]

_SCENARIOS = (
    "run.scenarios",
    "penalty_study.scenarios",
    "outside_learners.scenarios",
    "equilibrium_path.start",
    "equilibrium_path.end",
    "projection.scenarios",
    "many_players.scenario",
    "ablation.scenarios",
)
"""Where names from ``scenarios`` stand, one or a list of them."""

_POLICIES: Mapping[str, str | None] = {
    "exploitability.policies": None,
    "exploitability.reference": "self_play",
    "data_efficiency.reference": "self_play",
    "ddpg_best_response.policy": "fictitious_play",
    "ddpg_best_response.opponents": None,
    "outside_learners.policy": "fictitious_play",
    "outside_learners.opponents": None,
    "equilibrium_path.policies": "self_play",
    "beta_sweep.policy": "nash_dqn",
    "penalty_study.policies": "nash_dqn",
    "projection.policy": "nash_dqn",
    "robustness.policies": None,
    "many_players.policy": "nash_dqn",
    "ablation.base": "nash_dqn",
    "ablation.goal": "nash_dqn",
}
"""Where names from ``policies`` stand, one or a list of them, and by which algorithm they are trained."""


def check(config: Mapping[str, Any]) -> None:
    """Refuse a configuration, complete otherwise, whose sections do not agree.

    Raises:
        ConfigError: at the first that does not.
    """
    _check_names(config)
    _check_comparisons(config)
    _check_sweeps(config)
    _check_linear(config)
    _check_outside_learners(config)
    _check_ablation(config)


def check_name(at: Path, name: str, known: Iterable[str], section: str) -> None:
    """Refuse a name that is none of those known from a section of the configuration.

    Raises:
        ConfigError: it is not.
    """
    known = list(known)
    if name not in known:
        fail(at, name, f"a name from {section} ({', '.join(known)})", suggestion(name, known))


def _check_policy(config: Mapping[str, Any], at: Path, name: str, algorithm: str | None = None) -> None:
    check_name(at, name, config["policies"], "policies")
    if algorithm is not None and config["policies"][name]["algorithm"] != algorithm:
        fail(at, name, f"a policy of algorithm {algorithm} ({', '.join(_of(config, algorithm))})")


def _of(config: Mapping[str, Any], algorithm: str) -> list[str]:
    return [name for name, policy in config["policies"].items() if policy["algorithm"] == algorithm]


def _named(config: Any, path: str) -> list[tuple[Path, str]]:
    """Each name that stands at that dotted path, and where it stands."""
    at = path.split(".")
    for key in at:
        config = config[key]
    return [(at, config)] if isinstance(config, str) else [((*at, k), name) for k, name in enumerate(config)]


def _check_names(config: Mapping[str, Any]) -> None:
    for name in config["policies"]:
        if name in AUTHORS_POLICIES:
            raise ConfigError(f"policies: got the name {show(name)}, expected another, as that of the authors' own")
    for path in _SCENARIOS:
        for at, name in _named(config, path):
            check_name(at, name, config["scenarios"], "scenarios")
    for at, name in _named(config, "beta_sweep.scenarios"):
        check_name(at, name, config["run"]["scenarios"], "run.scenarios")
    for path, algorithm in _POLICIES.items():
        for at, name in _named(config, path):
            _check_policy(config, at, name, algorithm)
    for section in ("exploitability", "data_efficiency"):
        # Without its own exploitability, nothing tells how good a reference is.
        measured = config["exploitability"]["policies"]
        check_name((section, "reference"), config[section]["reference"], measured, "exploitability.policies")
    for section, of in (("lq.policies", config["lq"]["policies"]), ("games", config["games"])):
        for scenario, policies in of.items():
            check_name(section.split("."), scenario, config["scenarios"], "scenarios")
            for index, name in enumerate(policies):
                _check_policy(config, (*section.split("."), scenario, index), name)


def _check_comparisons(config: Mapping[str, Any]) -> None:
    policies = config["policies"]
    for k, pair in enumerate(config["run"]["comparisons"]):
        at = ("run", "comparisons", k)
        for index, name in enumerate(pair):
            check_name((*at, index), name, policies, "policies")
        if [policies[name]["algorithm"] == "nash_dqn" for name in pair] != [True, False]:
            fail(at, pair, "a policy of algorithm nash_dqn, and one of another algorithm")
        seeds = {name: policies[name]["seeds"] or config["seeds"] for name in pair}
        try:
            member_pairs(*seeds.values())
        except ValueError:
            found = " and ".join(f"{show(of)} of {name}" for name, of in seeds.items())
            wanted = "a seed that both have, or a single seed of one of them"
            raise ConfigError(f"{dotted(at)}: got the seeds {found}, expected {wanted}") from None


def _check_sweeps(config: Mapping[str, Any]) -> None:
    """Policies that are trained at several betas have the loss that is compared, and histories where it is read off."""
    study = config["penalty_study"]
    _check_read_off(config, "beta_sweep", "policy")
    _check_read_off(config, "penalty_study", "policies")
    for name, scenario in itertools.product(study["policies"], study["scenarios"]):
        policy = config["policies"][name]
        played = policy["episodes_per_iteration"] * config["scenarios"][scenario]["n_steps"]
        counts = [digit * 10**power for power in range(4, 12) for digit in (1, 2, 5)]
        kept = [n // played for n in counts if n % played == 0 and n <= played * policy["iterations"]]
        for index, iteration in enumerate(study["iterations"]):
            if iteration not in kept:
                wanted = f"one of {', '.join(map(str, kept))}, after which policies of {name} are kept"
                fail(("penalty_study", "iterations", index), iteration, wanted)


def _check_read_off(config: Mapping[str, Any], section: str, key: str) -> None:
    """Each policy's loss is (17), and its history has whole windows before the iterations of the section."""
    window = config[section]["window"]
    for at, name in _named(config, f"{section}.{key}"):
        policy = config["policies"][name]
        if policy["policy"] != "nash" or policy["critic"] is not None:
            fail(at, name, "one with policy: nash and critic: null, whose loss is (17)")
        if policy["patience"] is not None:
            fail(at, name, "one with patience: null, which reaches every iteration")
        every = policy["history_every"]
        if window % every:
            fail((section, "window"), window, f"a multiple of history_every ({every}) of {name}")
        for index, iteration in enumerate(config[section]["iterations"]):
            if iteration % every or not window <= iteration <= policy["iterations"]:
                wanted = f"a multiple of {every} from {window} to {policy['iterations']}, the iterations of {name}"
                fail((section, "iterations", index), iteration, wanted)


def _check_linear(config: Mapping[str, Any]) -> None:
    """Scenarios with a known answer have one; the projection's policy is projected and sees what an agent sees."""
    linear = [*_named(config, "projection.scenarios"), *_named(config, "many_players.scenario")]
    linear += [(("lq", "policies"), name) for name in config["lq"]["policies"]]
    for at, name in linear:
        if not is_linear(config["scenarios"][name]):
            fail(at, name, 'a scenario with impact "linear" or "none" and price_floor null')
    path = ("fictitious_play", "policies")
    for name, policies in config["fictitious_play"]["policies"].items():
        check_name(path, name, config["scenarios"], "scenarios")
        linear_one = is_linear(config["scenarios"][name])
        for index, policy in enumerate(policies):
            _check_policy(config, (*path, name, index), policy, "fictitious_play")
            if linear_one and config["policies"][policy]["observation"]["inventories"] != "visible":
                fail((*path, name, index), policy, "one with observation.inventories: visible")
    fitted = config["projection"]["policy"]
    if config["policies"][fitted]["policy"] != "projected":
        fail(("projection", "policy"), fitted, "one with policy: projected")
    if config["policies"][fitted]["observation"]["inventories"] != "private":
        fail(("projection", "policy"), fitted, "one with observation.inventories: private")


def is_linear(scenario: Mapping[str, Any]) -> bool:
    """Whether it is a market with linear impact, or none, and no price floor."""
    return scenario.get("impact") in ("linear", "none") and scenario["price_floor"] is None


def _check_outside_learners(config: Mapping[str, Any]) -> None:
    """The common budget is a whole number of every learner's updates."""
    section = config["outside_learners"]
    budget, policy = section["transitions"], config["policies"][section["policy"]]
    for name in section["scenarios"]:
        steps = config["scenarios"][name]["n_steps"]
        for learner, size in (
            ("Stable-Baselines3, its environments", section["environments"]),
            ("DDPG, an epoch's", policy["episodes_per_epoch"] * steps),
            ("gradients, an iteration's", config["exploitability"]["episodes"] * steps),
        ):
            if budget % size:
                fail(("outside_learners", "transitions"), budget, f"a multiple of {size} (of {learner})")


def _check_ablation(config: Mapping[str, Any]) -> None:
    """Each difference between the two policies has one switch, and names are those of no other policy."""
    section, path = config["ablation"], ("ablation", "switches")
    base, goal = (config["policies"][section[end]] for end in ("base", "goal"))
    keys = [key for key in base if key not in ablation.NOT_SWITCHED]
    differing = [key for key in keys if base[key] != goal[key]]
    if not differing:
        fail(("ablation", "goal"), section["goal"], f"a policy that differs from base ({section['base']})")
    switch_of: dict[str, str] = {}
    for switch, of_switch in section["switches"].items():
        for index, key in enumerate(of_switch):
            if key not in keys:
                wanted = f"a key of a nash_dqn policy but {', '.join(ablation.NOT_SWITCHED)}"
                fail((*path, switch, index), key, wanted, suggestion(key, keys))
            if key in switch_of:
                fail((*path, switch, index), key, f"each key in one switch, but {switch_of[key]} has it too")
            switch_of[key] = switch
    for key in differing:
        if key not in switch_of:
            wanted = f"every key in which {section['base']} and {section['goal']} differ, but {key} has no switch"
            fail(path, list(section["switches"]), wanted)
    ends = [section["base"], section["goal"]]
    for name, variants in section["variants"].items():
        if name not in ends:
            raise ConfigError(
                f"ablation.variants: got the name {show(name)}, expected base or goal ({', '.join(ends)})"
            )
        for variant, values in variants.items():
            at = ("ablation", "variants", name, variant)
            if variant in section["switches"]:
                fail(at, values, "a name that is no switch's")
            for key in ablation.NOT_SWITCHED:
                if key in values:
                    fail((*at, key), values[key], f"no {key}, as they are those of the policy it starts from")
    for name, setting in ablation.settings(config["policies"], section).items():
        if setting.kind != "base" and name in config["policies"]:
            raise ConfigError(f"policies: got the name {show(name)}, expected another, as that of an ablation's policy")
