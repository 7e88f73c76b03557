"""Which trainings an ablation has, of the shipped configurations and of one small enough to be written down."""

import copy
import re
from typing import Any

import pytest

from nash_dqn.agents.nash_dqn import NashDQNRecipe
from nash_dqn.config import load_yaml, policy, training_settings, validate
from nash_dqn.settings.ablation import Setting, settings
from tests.common import ROOT

CONFIG = ROOT / "config" / "config.yaml"
SHIPPED = [[CONFIG], [CONFIG, ROOT / ".test" / "config" / "config.yaml"]]

POLICIES = {
    "plain": {"seeds": [1], "rate": 1, "width": [2], "depth": 3, "same": 0},
    "full": {"seeds": [1, 2], "rate": 10, "width": [20], "depth": 30, "same": 0},
    "unrelated": {},
}
SECTION = {
    "base": "plain",
    "goal": "full",
    "switches": {"speed": ["rate"], "none": ["same"], "size": ["width", "depth"]},
    "variants": {"full": {"wide": {"width": [99], "same": 1}}},
}


@pytest.fixture(params=SHIPPED, ids=["full", "smoke"])
def config(request: pytest.FixtureRequest) -> dict[str, Any]:
    return validate(load_yaml(*request.param))


def test_each_switch_is_added_to_the_one_and_removed_from_the_other() -> None:
    before = copy.deepcopy((POLICIES, SECTION))

    def recipe(rate: int, width: int, depth: int, seeds: list[int], same: int = 0) -> dict[str, Any]:
        return {"seeds": seeds, "rate": rate, "width": [width], "depth": depth, "same": same}

    assert settings(POLICIES, SECTION) == {
        "plain": Setting("plain", None, "base", recipe(1, 2, 3, [1])),
        "plain+speed": Setting("plain", "speed", "added", recipe(10, 2, 3, [1])),
        "plain+size": Setting("plain", "size", "added", recipe(1, 20, 30, [1])),
        "full": Setting("full", None, "base", recipe(10, 20, 30, [1, 2])),
        "full-speed": Setting("full", "speed", "removed", recipe(1, 20, 30, [1, 2])),
        "full-size": Setting("full", "size", "removed", recipe(10, 2, 3, [1, 2])),
        "full+wide": Setting("full", "wide", "variant", recipe(10, 99, 30, [1, 2], same=1)),
    }
    assert before == (POLICIES, SECTION)


def test_all_switches_together_lead_from_one_policy_to_the_other(config: dict[str, Any]) -> None:
    section = config["ablation"]
    found = settings(config["policies"], section)
    for here, there, sign in ((section["base"], section["goal"], "+"), (section["goal"], section["base"], "-")):
        recipe = dict(found[here].recipe)
        for switch, keys in section["switches"].items():
            changed = found.get(f"{here}{sign}{switch}", found[here]).recipe
            assert {key for key in recipe if changed[key] != found[here].recipe[key]} <= set(keys)
            recipe |= {key: changed[key] for key in keys}
        assert {**recipe, "seeds": 0} == {**config["policies"][there], "seeds": 0}


def test_every_setting_can_be_trained_and_has_a_name_fit_for_a_folder(config: dict[str, Any]) -> None:
    for name, setting in settings(config["policies"], config["ablation"]).items():
        assert re.fullmatch(r"[a-z0-9_+-]+", name)
        found = training_settings(config, "code", name)
        NashDQNRecipe.from_dict(found["recipe"])
        assert found["seeds"] == policy(config, setting.base)["seeds"]


def test_a_variant_takes_what_it_does_not_give_from_its_policy(config: dict[str, Any]) -> None:
    config["ablation"]["variants"]["nash-refined"] = {"blind": {"observation": {"own_flow": False}, "critic": None}}
    recipe = training_settings(validate(config), "code", "nash-refined+blind")["recipe"]
    assert recipe["observation"] == {**config["policies"]["nash-refined"]["observation"], "own_flow": False}
    assert recipe["critic"] is None
