"""What docs/other_games.md says of a game of one's own: its file, its numbers and its entry are tried as printed."""

from __future__ import annotations

import copy
import re
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from nash_dqn.agents import fictitious_play, nash_dqn
from nash_dqn.cli import main
from nash_dqn.config import general_game, general_settings, load_yaml, validate
from nash_dqn.games.catalogue import make
from nash_dqn.games.lq import evaluate_policies, solve_nash
from nash_dqn.seeding import generator

ROOT = Path(__file__).resolve().parents[2]
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
    changed = copy.deepcopy(load_yaml(ROOT / "config/config.yaml"))
    changed["games"] |= yaml.safe_load(block("yaml"))
    return validate(changed)


def test_the_check_prints_what_is_printed(config: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    command, _, expected = block("console").partition("\n")
    assert main(command.removeprefix("$ nash-dqn ").split()) == 0
    round_off = re.compile(r"\d\.\de[+-]\d+")
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


def test_simulator_and_matrices_are_the_same_game(config: dict[str, Any]) -> None:
    game: Any = make(**general_game(config, "oligopoly"))
    problem = game.as_lq()
    policies = solve_nash(problem).policies
    shocks = game.sample_shocks(200_000, generator(1, "own"))
    state, total = game.reset(shocks), torch.zeros(200_000, 3, dtype=torch.float64)
    for m in range(game.n_steps):
        actions = (
            torch.from_numpy(policies.offsets[m]) - game.state_vector(state) @ torch.from_numpy(policies.gains[m]).T
        )
        state, rewards = game.step(state, actions.unsqueeze(-1), shocks)
        total += game.discount**m * rewards
    exact = evaluate_policies(problem, policies).expected(problem.initial_mean, problem.initial_covariance)
    error = total.std(0) / len(total) ** 0.5
    assert ((total.mean(0) - torch.from_numpy(exact)).abs() < 4 * error).all()


def test_it_can_be_trained(config: dict[str, Any]) -> None:
    settings = general_settings(config, "nash_dqn", "oligopoly")
    recipe = {**settings["recipe"], "iterations": 20, "history_every": 10}
    result = nash_dqn.train(make(**settings["game"]), nash_dqn.NashDQNRecipe.from_dict(recipe), [1, 2])
    assert len(result.history) == 4 and np.isfinite(result.history["loss"]).all()


@pytest.mark.parametrize("spread", [None, 3.0])
def test_its_best_responses_can_be_learned(config: dict[str, Any], spread: float | None) -> None:
    """With excursions of the game's own size, 2 a / (N + 1) = 5, and of another."""
    settings = general_settings(config, "fictitious_play", "oligopoly")
    sizes = {"iterations": 2, "first_epochs": 10, "epochs": 10, "history_every": 10}
    exploration = {**settings["recipe"]["exploration"], "target_sd": spread}
    recipe = fictitious_play.FictitiousPlayRecipe.from_dict({**settings["recipe"], **sizes, "exploration": exploration})
    game: Any = make(**settings["game"])
    result = fictitious_play.train(game, recipe, [1, 2])
    assert len(result.history) == 4 and np.isfinite(result.history["critic_loss"]).all()
    state = game.reset(game.sample_shocks(4, generator(1, "own")))
    away = game.excursion(state, torch.tensor([[2.0]]), spread)
    assert torch.equal(away, torch.full((4, 3, 1), 2.0 * (spread or 5.0)))
