"""Which trainings an ablation has, of the shipped configurations and of one small enough to be written down."""

import copy
import re
from pathlib import Path
from typing import Any

import pytest

from nash_dqn.agents.nash_dqn import NashDQNRecipe
from nash_dqn.config import ConfigError, ablation_settings, load_yaml, nash_dqn_settings, validate
from nash_dqn.settings.ablation import Setting, settings

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ROOT / "config" / "config.yaml"
SHIPPED = [[CONFIG], [CONFIG, ROOT / ".test" / "config" / "config.yaml"]]

RECIPES = {
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
    before = copy.deepcopy((RECIPES, SECTION))
    assert settings(RECIPES, SECTION) == {
        "plain": Setting("plain", None, "base", {"rate": 1, "width": [2], "depth": 3, "same": 0}),
        "plain+speed": Setting("plain", "speed", "added", {"rate": 10, "width": [2], "depth": 3, "same": 0}),
        "plain+size": Setting("plain", "size", "added", {"rate": 1, "width": [20], "depth": 30, "same": 0}),
        "full": Setting("full", None, "base", {"rate": 10, "width": [20], "depth": 30, "same": 0}),
        "full-speed": Setting("full", "speed", "removed", {"rate": 1, "width": [20], "depth": 30, "same": 0}),
        "full-size": Setting("full", "size", "removed", {"rate": 10, "width": [2], "depth": 3, "same": 0}),
        "full+wide": Setting("full", "wide", "variant", {"rate": 10, "width": [99], "depth": 30, "same": 1}),
    }
    assert before == (RECIPES, SECTION)


def test_all_switches_together_lead_from_one_recipe_to_the_other(config: dict[str, Any]) -> None:
    section = config["ablation"]
    found = settings(config["nash_dqn"], section)
    for here, there, sign in ((section["base"], section["goal"], "+"), (section["goal"], section["base"], "-")):
        recipe = dict(found[here].recipe)
        for switch, keys in section["switches"].items():
            changed = found.get(f"{here}{sign}{switch}", found[here]).recipe
            assert {key for key in recipe if changed[key] != found[here].recipe[key]} <= set(keys)
            recipe |= {key: changed[key] for key in keys}
        assert recipe == found[there].recipe
        assert recipe == {key: value for key, value in config["nash_dqn"][there].items() if key != "seeds"}


def test_names_are_fit_for_folders_and_wildcards(config: dict[str, Any]) -> None:
    for name in settings(config["nash_dqn"], config["ablation"]):
        assert re.fullmatch(r"[a-z0-9_+-]+", name)


def test_every_setting_is_a_recipe_that_can_be_trained(config: dict[str, Any]) -> None:
    for name in settings(config["nash_dqn"], config["ablation"]):
        NashDQNRecipe.from_dict(ablation_settings(config, "released", name)["recipe"])


def test_settings_of_a_training(config: dict[str, Any]) -> None:
    before = copy.deepcopy(config)
    base = config["ablation"]["base"]
    own = ablation_settings(config, "released", base)
    plain = nash_dqn_settings(config, "released", base, config["nash_dqn"][base]["penalty"]["beta"])
    assert own == {**plain, "seeds": config["ablation"]["seeds"]}
    name = f"{base}+{next(iter(config['ablation']['switches']))}"
    assert ablation_settings(config, "released", name)["recipe_name"] == name
    own["recipe"]["penalty"]["beta"] = 7
    own["seeds"].append(9)
    assert config == before


def test_unknown_settings_are_refused(config: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r'ablation: got "paper-one_explorer", expected a setting \(paper, paper\+'):
        ablation_settings(config, "released", "paper-one_explorer")
    with pytest.raises(ConfigError, match='scenarios: got "table2"'):
        ablation_settings(config, "table2", "paper")


def test_a_variant_takes_what_it_does_not_give_from_its_recipe(config: dict[str, Any]) -> None:
    config["ablation"]["variants"]["refined"] = {"blind": {"observation": {"own_flow": False}, "critic": None}}
    recipe = ablation_settings(validate(config), "released", "refined+blind")["recipe"]
    assert recipe["observation"] == {**config["nash_dqn"]["refined"]["observation"], "own_flow": False}
    assert recipe["critic"] is None
