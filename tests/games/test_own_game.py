"""What docs/other_games.md says of a game of one's own: its file, its numbers and its entry are tried as printed."""

from __future__ import annotations

import re
import sys
import types
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from nash_dqn.agents import fictitious_play, nash_dqn
from nash_dqn.cli import main
from nash_dqn.config import load_yaml, training_settings, validate
from nash_dqn.games.catalogue import make
from nash_dqn.games.lq import solve_nash
from nash_dqn.seeding import generator
from nash_dqn.settings.files import lay_over
from tests.common import ROOT

TEXT = (ROOT / "docs/other_games.md").read_text("utf-8").partition("## Bring your own game")[2]


def block(language: str, index: int = 0) -> str:
    """A block of code in that language."""
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.M | re.S)[index]


@pytest.fixture
def config(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The configuration with the entry, while the file is where the text says."""
    name = "nash_dqn.games.oligopoly"
    module = types.ModuleType(name)
    monkeypatch.setitem(sys.modules, name, module)
    exec(compile(block("python"), f"<{name}>", "exec"), module.__dict__)
    return validate(lay_over(load_yaml(ROOT / "config/config.yaml"), yaml.safe_load(block("yaml"))))


def test_the_check_prints_what_is_printed(config: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    command, _, expected = block("console").partition("\n")
    assert main(command.removeprefix("$ nash-dqn ").split()) == 0
    round_off = re.compile(r"\d\.\de[+-]\d+|\d\.\d(?= standard)")
    assert round_off.sub("~", capsys.readouterr().out) == round_off.sub("~", expected)


def test_the_equilibrium_is_as_printed(config: dict[str, Any]) -> None:
    """And as known: in the last step marginal profit is zero at u = p - c."""
    exact = solve_nash(make("oligopoly.Oligopoly", {}).as_lq()).policies
    np.testing.assert_allclose(exact.gains[-1], -1, rtol=1e-12)
    np.testing.assert_allclose(exact.offsets[-1], -1, rtol=1e-12)
    lines = [re.findall(r"-?\d+\.\d*", line) for line in block("console", 1).splitlines() if line.startswith("[")]
    for m, printed in zip((-1, 0), lines, strict=True):
        expected = [*exact.gains[m].ravel(), *exact.offsets[m]]
        np.testing.assert_allclose([float(number) for number in printed], expected, rtol=1e-7)


def test_both_algorithms_can_be_trained_in_it(config: dict[str, Any]) -> None:
    """Fictitious play's excursions are of twice the typical size, 2 a / (N + 1) = 5, or of another."""
    settings = training_settings(config, "oligopoly", "nash-oligopoly")
    recipe = {**settings["recipe"], "iterations": 20, "history_every": 10}
    game = make(**settings["game"])
    result = nash_dqn.train(game, nash_dqn.NashDQNRecipe.from_dict(recipe), [1, 2])
    assert len(result.history) == 4 and np.isfinite(result.history["loss"]).all()
    settings = training_settings(config, "oligopoly", "fp-lq")
    recipe = {**settings["recipe"], "iterations": 2, "first_epochs": 10, "epochs": 10, "history_every": 10}
    result = fictitious_play.train(game, fictitious_play.FictitiousPlayRecipe.from_dict(recipe), [1, 2])
    assert len(result.history) == 4 and np.isfinite(result.history["critic_loss"]).all()
    state = game.reset(game.sample_shocks(4, generator(1, "own")))
    for spread in (None, 3.0):
        away = game.excursion(state, torch.tensor([[2.0]]), spread)
        assert torch.equal(away, torch.full((4, 3, 1), 2.0 * (spread or 5.0)))
