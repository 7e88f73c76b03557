"""Stable-Baselines3's learners beside ours: equal terms, repeatable, and nothing of theirs left behind."""

import dataclasses
import random
import sys
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from nash_dqn.agents.fictitious_play import EpsilonGreedy, FictitiousPlayRecipe
from nash_dqn.evaluation.best_response import BestResponseSettings
from nash_dqn.evaluation.exploitability import BestResponseError, evaluate
from nash_dqn.evaluation.rollout import play
from nash_dqn.evaluation.statistics import mean_interval
from nash_dqn.games.base import ObservationSpec
from nash_dqn.policy import Policy
from nash_dqn.seeding import generator
from nash_dqn.studies import outside_learners
from nash_dqn.studies.outside_learners import COLUMNS, OutsideSettings, compare, ddpg_comparison, train
from tests.common import MARKET, linear

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
def drifting() -> Policy:
    """Everybody buys five shares an hour, whatever happens: trading back is a large gain."""
    return linear([[0.0] * 5], [5.0], policy="drift")


def rows_of(policy: Policy, rows: int = 20) -> Any:
    seen = torch.randn(rows, 5, generator=generator(1, "test_outside_learners")).numpy()
    act: Any = policy.network
    return act.act(seen)


LONGER = dataclasses.replace(RECIPE, actor_hidden=[16], critic_hidden=[16], first_epochs=300, opponents="average")
SOME = BestResponseSettings(hidden=[8], iterations=150, episodes=16, learning_rate=0.05, restarts=2, seed=7)
FEW = dataclasses.replace(SOME, iterations=10)
TEXT = [[0.3, -1.0, 0.5, -0.7, -3.0], [-0.2, 0.4, 0.1, 0.3, -2.0]]


def test_ddpg_beside_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against agents that drift, both find something, and DDPG less than gradients."""
    spec = ObservationSpec(price="S-Y", order_flow="others_mean")
    drifting = linear([[0.0] * 5], [5.0], spec=spec, policy="drift")
    actors: list[Policy] = []
    train_ddpg = outside_learners._train_ddpg

    def spy(*args: Any) -> tuple[Policy, int]:
        actor, transitions = train_ddpg(*args)
        actors.append(actor)
        return actor, transitions

    monkeypatch.setattr(outside_learners, "_train_ddpg", spy)
    table = ddpg_comparison(MARKET, drifting, LONGER, SOME, 500, 200, 7)
    assert tuple(table.columns) == (*outside_learners.LEARNER_COLUMNS, outside_learners.SECONDS)
    assert list(zip(table["learner"], table["deviator"], strict=True)) == [
        ("ddpg", "same"),
        ("gradient", "same"),
        ("gradient", "memory"),
    ]
    assert (table["opponents"] == "drift, seed 1").all()
    assert table["transitions"].tolist() == [2 * 300 * 10 * 4, 2 * 150 * 16 * 4, 2 * 150 * 16 * 4]
    assert table[outside_learners.SECONDS].min() > 0
    assert table["low"][0] > 0
    assert table["gain"][0] < table["gain"][1]
    # DDPG's row is what its best actor on validation paths gains on the fresh ones, seeing what the policy sees.
    (actor,) = actors
    assert actor.observation == spec

    def gains(name: str, paths: int) -> Tensor:
        shocks = MARKET.sample_shocks(paths, generator(7, "exploitability", name))
        base = play(MARKET, [(drifting, slice(None))], shocks)[..., 0].double()
        return play(MARKET, [(actor, [0]), (drifting, [1, 2])], shocks)[..., 0].double() - base

    best = int(gains("validation", 200).mean(1).argmax())
    expected = mean_interval(gains("paths", 500)[best].numpy())
    assert tuple(table.loc[0, ["gain", "low", "high"]]) == pytest.approx(expected[:3], rel=1e-4)
    # The gradient rows are those of the table of exploitabilities.
    rows = evaluate(MARKET, drifting, SOME, 500, 200).query("player == '1'")
    np.testing.assert_allclose(table.loc[1:, ["gain", "low", "high"]], rows[["gain", "low", "high"]], rtol=1e-4)


def test_ddpg_trains_against_the_policy_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    played: list[Tensor] = []
    update = outside_learners.FictitiousPlay.epoch

    def spy(self: Any, fraction: float) -> Tensor:
        play_once = self.agents[0].play

        def keep(*args: Any) -> Any:
            episodes = play_once(*args)
            played.append(episodes.actions)
            return episodes

        monkeypatch.setattr(self.agents[0], "play", keep)
        return update(self, fraction)

    monkeypatch.setattr(outside_learners.FictitiousPlay, "epoch", spy)
    recipe = dataclasses.replace(LONGER, first_epochs=1)
    ddpg_comparison(MARKET, linear([[0.0] * 5], [5.0]), recipe, FEW, 5, 5, 7, deviators=())
    (actions,) = played
    torch.testing.assert_close(actions[..., 1:, :], torch.full_like(actions[..., 1:, :], 5.0))
    assert actions[..., 0, :].std() > 0


def test_ddpg_that_is_not_finite_is_an_error_and_answers_one_policy() -> None:
    policy = linear(TEXT, policy="text")
    with pytest.raises(ValueError, match="policy has 2 members: allowed is one"):
        ddpg_comparison(MARKET, policy, LONGER, FEW, 5, 5, 7)
    recipe = dataclasses.replace(LONGER, first_epochs=20, learning_rate=1e20)
    with pytest.raises(BestResponseError, match="DDPG's best response to text, seed 1: none of 2 restarts"):
        ddpg_comparison(MARKET, policy.member(0), recipe, FEW, 5, 5, 7, deviators=())


def test_a_row_for_each_learner_and_training(drifting: Policy) -> None:
    pytest.importorskip("stable_baselines3", reason="the optional extra [sb3]")
    table = compare(MARKET, drifting, SETTINGS, RECIPE, GRADIENT, 50)
    assert tuple(table.columns) == (*COLUMNS, outside_learners.SECONDS)
    expected = [("ddpg", "same"), ("gradient", "same"), ("gradient", "memory"), ("sb3_td3", "same")]
    assert list(zip(table["seed"], table["learner"], table["deviator"], strict=True)) == [
        (seed, *names) for seed in (5, 9) for names in expected
    ]
    assert (table["opponents"] == "drift, seed 1").all()
    assert (table["transitions"] == 160).all()  # 4 epochs of 10 episodes, 5 iterations of 8, of 4 steps each
    assert table[outside_learners.SECONDS].min() > 0
    # All on the same paths; a row is what that training's policy gains on them.
    shocks = MARKET.sample_shocks(50, generator(5, "exploitability", "paths"))
    base = play(MARKET, [(drifting, slice(None))], shocks)[0, :, 0].double()
    response = train(MARKET, drifting, "td3", SETTINGS, 9)
    gain = play(MARKET, [(response, [0]), (drifting, [1, 2])], shocks)[0, :, 0].double() - base
    row = table.query("learner == 'sb3_td3' and seed == 9")[["gain", "low", "high"]]
    np.testing.assert_allclose(row.to_numpy()[0], mean_interval(gain.numpy())[:3], rtol=1e-4)


def test_the_same_seed_learns_the_same_and_leaves_global_generators_alone(drifting: Policy) -> None:
    pytest.importorskip("stable_baselines3", reason="the optional extra [sb3]")
    before = random.getstate()
    first, again, other = (train(MARKET, drifting, "td3", SETTINGS, seed) for seed in (5, 5, 6))
    assert (rows_of(first) == rows_of(again)).all()
    assert (rows_of(first) != rows_of(other)).any()
    assert random.getstate() == before  # NumPy's and torch's are watched in every test
    assert abs(rows_of(first)).max() <= SETTINGS.action_bound
    assert first.observation == drifting.observation and first.name == "sb3_td3"


def test_without_the_library_one_line_says_how_to_get_it(drifting: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "stable_baselines3", None)
    message = r"^stable_baselines3 is not installed; the optional extra \[sb3\] brings it: pip install -e '\.\[sb3\]'"
    for ask in (
        lambda: train(MARKET, drifting, "td3", SETTINGS, 5),
        lambda: compare(MARKET, drifting, SETTINGS, RECIPE, GRADIENT, 50),
    ):
        with pytest.raises(ModuleNotFoundError, match=message):
            ask()


def test_budgets_that_a_learner_cannot_meet(drifting: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outside_learners, "_stable_baselines3", lambda: None)
    for budget, message in (
        (100, r"transitions = 100: allowed is a multiple of the transitions of our learners' epochs \(40\)"),
        (40, r"transitions = 40: allowed is a multiple of the transitions of our learners' iterations \(32\)"),
    ):
        settings = dataclasses.replace(SETTINGS, transitions=budget)
        with pytest.raises(ValueError, match=message):
            compare(MARKET, drifting, settings, RECIPE, GRADIENT, 50)


def test_no_two_trainings_share_an_environments_stream() -> None:
    seeds = dataclasses.replace(SETTINGS, trainings=3).seeds
    streams = [seed + k for seed in seeds for k in range(SETTINGS.environments)]
    assert len(set(streams)) == len(streams)
