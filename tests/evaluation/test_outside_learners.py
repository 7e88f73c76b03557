"""Stable-Baselines3's learners beside ours: equal terms, repeatable, and nothing of theirs left behind."""

import dataclasses
import random
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from nash_dqn.agents.fictitious_play import EpsilonGreedy, FictitiousPlayRecipe
from nash_dqn.evaluation import outside_learners
from nash_dqn.evaluation.best_response import BestResponseSettings
from nash_dqn.evaluation.outside_learners import COLUMNS, OutsideSettings, compare, train
from nash_dqn.evaluation.rollout import play
from nash_dqn.evaluation.statistics import mean_interval
from nash_dqn.games.base import ObservationSpec
from nash_dqn.games.market import Market
from nash_dqn.policy import Policy
from nash_dqn.seeding import generator

Linear = Callable[..., Policy]

SETTINGS = OutsideSettings(
    learners=["td3"], transitions=160, trainings=2, environments=4, action_bound=10.0, noise=1.0, seed=5
)
GRADIENT = BestResponseSettings(hidden=[8], iterations=1, episodes=8, learning_rate=0.05, restarts=1, seed=0)
RECIPE = FictitiousPlayRecipe(
    observation=ObservationSpec(), actor_hidden=[8], critic_hidden=[8], phi_hidden=[], iterations=1, first_epochs=1,
    epochs=1, episodes_per_epoch=10, learning_rate=0.01, weight_decay=0.0, target_rate=0.5,
    exploration=EpsilonGreedy(0.5, 0.05, None), action_bound=50.0, action_scale=None, returned="online",
    optimisers="renewed", opponents="last", gradient_clip=None, largest_loss=None, history_every=1,
)  # fmt: skip


@pytest.fixture
def drifting(linear: Linear) -> Policy:
    """Everybody buys five shares an hour, whatever happens: trading back is a large gain."""
    return dataclasses.replace(linear([[0.0] * 5], [5.0]), meta={"recipe_name": "drift"})


def rows_of(policy: Policy, rows: int = 20) -> Any:
    seen = torch.randn(rows, 5, generator=generator(1, "test_outside_learners")).numpy()
    act: Any = policy.network
    return act.act(seen)


# --- what needs the library -------------------------------------------------------------------------


def test_a_row_for_each_learner_and_training(market: Market, drifting: Policy) -> None:
    pytest.importorskip("stable_baselines3", reason="the optional extra [sb3]")
    comparison = compare(market, drifting, SETTINGS, RECIPE, GRADIENT, 50)
    table = comparison.table
    assert tuple(table.columns) == COLUMNS
    expected = [("ddpg", "same"), ("gradient", "same"), ("gradient", "memory"), ("sb3_td3", "same")]
    assert list(zip(table["seed"], table["learner"], table["deviator"], strict=True)) == [
        (seed, *names) for seed in (5, 9) for names in expected
    ]
    assert (table["opponents"] == "nash_dqn/drift, seed 1").all()
    assert (table["transitions"] == 160).all()  # 4 epochs of 10 episodes, 5 iterations of 8, of 4 steps each
    assert len(comparison.wall_seconds) == len(table) and min(comparison.wall_seconds) > 0
    # All on the same paths; a row is what that training's policy gains on them.
    shocks = market.sample_shocks(50, generator(5, "exploitability", "paths"))
    base = play(market, [(drifting, slice(None))], shocks)[0, :, 0].double()
    response = train(market, drifting, "td3", SETTINGS, 9)
    gain = play(market, [(response, [0]), (drifting, [1, 2])], shocks)[0, :, 0].double() - base
    row = table.query("learner == 'sb3_td3' and seed == 9")[["gain", "low", "high"]]
    np.testing.assert_allclose(row.to_numpy()[0], mean_interval(gain.numpy())[:3], rtol=1e-4)


def test_the_library_finds_the_gain_of_trading_back(market: Market, drifting: Policy) -> None:
    pytest.importorskip("stable_baselines3", reason="the optional extra [sb3]")
    settings = dataclasses.replace(SETTINGS, transitions=1600)
    response = train(market, drifting, "ddpg", settings, 5)
    shocks = market.sample_shocks(200, generator(5, "exploitability", "paths"))
    base = play(market, [(drifting, slice(None))], shocks)[0, :, 0]
    gain = play(market, [(response, [0]), (drifting, [1, 2])], shocks)[0, :, 0] - base
    assert mean_interval(gain.double().numpy())[1] > 0


def test_the_same_seed_learns_the_same_and_leaves_global_generators_alone(market: Market, drifting: Policy) -> None:
    pytest.importorskip("stable_baselines3", reason="the optional extra [sb3]")
    before = random.getstate()
    first, again, other = (train(market, drifting, "td3", SETTINGS, seed) for seed in (5, 5, 6))
    assert (rows_of(first) == rows_of(again)).all()
    assert (rows_of(first) != rows_of(other)).any()
    assert random.getstate() == before  # NumPy's and torch's are watched in every test
    assert abs(rows_of(first)).max() <= SETTINGS.action_bound
    assert first.observation == drifting.observation and first.algorithm == "sb3_td3"


# --- what does not ----------------------------------------------------------------------------------


def test_without_the_library_one_line_says_how_to_get_it(
    market: Market, drifting: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "stable_baselines3", None)
    message = r"^stable_baselines3 is not installed; the optional extra \[sb3\] brings it: pip install -e '\.\[sb3\]'"
    for ask in (
        lambda: train(market, drifting, "td3", SETTINGS, 5),
        lambda: compare(market, drifting, SETTINGS, RECIPE, GRADIENT, 50),
    ):
        with pytest.raises(ModuleNotFoundError, match=message):
            ask()


def test_budgets_that_a_learner_cannot_meet(market: Market, drifting: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outside_learners, "_stable_baselines3", lambda: None)
    for budget, message in (
        (100, r"transitions = 100: allowed is a multiple of the transitions of our learners' epochs \(40\)"),
        (40, r"transitions = 40: allowed is a multiple of the transitions of our learners' iterations \(32\)"),
    ):
        settings = dataclasses.replace(SETTINGS, transitions=budget)
        with pytest.raises(ValueError, match=message):
            compare(market, drifting, settings, RECIPE, GRADIENT, 50)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("transitions", 0, r"transitions: got 0, expected a whole number >= 1"),
        ("trainings", 1.5, r"trainings: got 1.5, expected a whole number >= 1"),
        ("environments", True, r"environments: got true, expected a whole number >= 1"),
        ("action_bound", 0, r"action_bound: got 0, expected a number > 0"),
        ("noise", float("nan"), r"noise: got .nan, expected a number >= 0"),
    ],
)
def test_settings_out_of_range(name: str, value: object, message: str) -> None:
    changed: dict[str, Any] = {name: value}
    with pytest.raises(ValueError, match=f"^{message}"):
        dataclasses.replace(SETTINGS, **changed)


def test_no_two_trainings_share_an_environments_stream() -> None:
    seeds = dataclasses.replace(SETTINGS, trainings=3).seeds
    streams = [seed + k for seed in seeds for k in range(SETTINGS.environments)]
    assert len(set(streams)) == len(streams)
