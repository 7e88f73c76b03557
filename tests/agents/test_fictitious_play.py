"""Algorithm 2 end to end: members, seeds, history, and who plays what when."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from nash_dqn.agents.ddpg import DDPG, Excursions, Opponents
from nash_dqn.agents.episodes import Episodes
from nash_dqn.agents.fictitious_play import EpsilonGreedy, FictitiousPlayRecipe, train
from nash_dqn.artifacts import write_training
from nash_dqn.games.base import Observation
from nash_dqn.games.market import Shocks
from nash_dqn.networks import Network, ObservationNetwork
from nash_dqn.policy import load_policy
from nash_dqn.seeding import generator
from nash_dqn.trees import copied
from tests.common import FICTITIOUS_PLAY, FILES
from tests.common import SMALL as GAME


def recipe(**changes: Any) -> FictitiousPlayRecipe:
    return FictitiousPlayRecipe.from_dict({**FICTITIOUS_PLAY, **changes})


class Recorder:
    """What each epoch of a run played, and with what."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.shocks: list[Shocks] = []
        self.excursions: list[Excursions] = []
        self.episodes: list[Episodes] = []
        self.used: list[Episodes] = []
        self.policies: list[Network] = []
        play, update = DDPG.play, DDPG.update

        def recording_play(agent: DDPG, opponents: Opponents, shocks: Shocks, excursions: Excursions) -> Episodes:
            self.policies.append(copied(agent.policy))
            self.shocks.append(shocks)
            self.excursions.append(excursions)
            self.episodes.append(play(agent, opponents, shocks, excursions))
            return self.episodes[-1]

        def recording_update(agent: DDPG, episodes: Episodes) -> Tensor:
            self.used.append(episodes)
            return update(agent, episodes)

        monkeypatch.setattr(DDPG, "play", recording_play)
        monkeypatch.setattr(DDPG, "update", recording_update)


def test_history_and_record_of_a_run(tmp_path: Any) -> None:
    """30 epochs, then twice 20: a row every ten, with the iteration it ends in; two episodes of three steps each."""
    result = train(GAME, recipe(), [3, 8], scenario="toy")
    history = result.history
    assert history.columns.tolist() == ["seed", "iteration", "epoch", "transitions", "critic_loss", "reward"]
    assert history["seed"].tolist() == [3] * 7 + [8] * 7
    assert history["iteration"].tolist() == [0, 0, 0, 1, 1, 2, 2] * 2
    assert history["epoch"].tolist() == [10, 20, 30, 40, 50, 60, 70] * 2
    assert history["transitions"].tolist() == [60, 120, 180, 240, 300, 360, 420] * 2
    assert np.isfinite(history[["critic_loss", "reward"]].to_numpy()).all()
    members = result.record["members"]
    assert [(m["seed"], m["iterations"], m["transitions"], m["stopped"]) for m in members] == [
        (3, 70, 420, "iterations"),
        (8, 70, 420, "iterations"),
    ]
    assert result.record["config"]["recipe"]["opponents"] == "last"
    write_training(result, *(tmp_path / name for name in FILES))
    policy = load_policy(tmp_path / "weights.safetensors")
    assert (policy.algorithm, policy.bound, policy.meta) == ("fictitious_play", 50.0, {"scenario": "toy"})
    observation = Observation(torch.ones(2, 4, 3, 5), None)
    actor = ObservationNetwork.from_state_dict(result.tensors, "actor")
    assert torch.equal(policy(observation), actor(observation).clamp(-50, 50))


def test_others_play_the_last_best_response(monkeypatch: pytest.MonkeyPatch) -> None:
    """Algorithm 2: nobody trades at first; then all others play agent 0's policy as the last best response left it."""
    recorder = Recorder(monkeypatch)
    train(GAME, recipe(returned="online", optimisers="kept"), [3, 8])
    assert len(recorder.episodes) == 70
    for epoch, episodes in enumerate(recorder.episodes):
        others = episodes.actions[..., 1:, :]
        if epoch < 30:
            assert not others.any()
        else:
            # The policy at the start of this best response is the one that the last returned.
            frozen = recorder.policies[30 if epoch < 50 else 50]
            torch.testing.assert_close(others, frozen(episodes.observation, slice(1, None)), rtol=1e-4, atol=1e-5)


def test_others_play_any_past_policy_in_average_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the third best response: not trading, or the first or the second best response, the same for all others."""
    recorder = Recorder(monkeypatch)
    train(GAME, recipe(opponents="average"), [3])
    seen = []
    for episodes in recorder.episodes[50:]:
        others = episodes.actions[..., 1:, :]
        candidates = [torch.zeros_like(others)]
        candidates += [recorder.policies[start](episodes.observation, slice(1, None)) for start in (30, 50)]
        for e in range(2):
            fits = [torch.allclose(others[0, e], one[0, e], rtol=1e-4, atol=1e-5) for one in candidates]
            assert sum(fits) == 1
            seen.append(fits.index(True))
    assert np.bincount(seen, minlength=3).min() >= 5  # of 40 episodes, a third each


def test_weights_are_those_of_the_last_best_response(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the target networks; the actor's rates in shares/hour, the critic as in training."""
    recorder, networks = Recorder(monkeypatch), dict[str, Network]()
    update = DDPG.update

    def recording_update(agent: DDPG, episodes: Episodes) -> Tensor:
        statistics = update(agent, episodes)
        for name in ("actor", "critic"):
            networks[name] = copied(getattr(agent, f"target_{name}"))
        return statistics

    monkeypatch.setattr(DDPG, "update", recording_update)
    result = train(GAME, recipe(), [3, 8])
    observation = recorder.episodes[-1].observation
    actor, critic = (ObservationNetwork.from_state_dict(result.tensors, name) for name in ("actor", "critic"))
    torch.testing.assert_close(actor(observation), 1.5 * networks["actor"](observation))
    actions = recorder.episodes[-1].actions
    agents = slice(None)
    assert torch.equal(critic(observation, agents, actions), networks["critic"](observation, agents, actions))


def test_exploration_falls_within_each_best_response(monkeypatch: pytest.MonkeyPatch) -> None:
    """Epsilon from 0.6 to 0.2 linearly, which it would reach at the epoch after the last, anew in each; normal targets
    of the spread that the recipe says.
    """
    recorder = Recorder(monkeypatch)
    at, fractions = EpsilonGreedy.at, []

    def recording_at(exploration: EpsilonGreedy, fraction: float) -> float:
        fractions.append(fraction)
        return at(exploration, fraction)

    monkeypatch.setattr(EpsilonGreedy, "at", recording_at)
    train(GAME, recipe(episodes_per_epoch=200, exploration={"start": 0.6, "end": 0.2, "target_sd": 10}), [3])
    course = np.concatenate([np.arange(30) / 30, *[np.arange(20) / 20] * 2])
    np.testing.assert_allclose(fractions, course, rtol=1e-12)
    share = np.array([excursions.explore.double().mean() for excursions in recorder.excursions])
    np.testing.assert_allclose(share, 0.6 - 0.4 * course, atol=4.5 * 0.5 / np.sqrt(600))
    targets = torch.stack([excursions.normals.squeeze(-1) for excursions in recorder.excursions])
    assert targets.std().item() == pytest.approx(1.0, rel=0.02)
    assert abs(targets.mean().item()) < 0.025
    assert {excursions.sd for excursions in recorder.excursions} == {10}


def test_each_episode_is_fresh_and_used_once(monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder(monkeypatch)
    train(GAME, recipe(), [3])
    assert len(recorder.used) == len(recorder.episodes) == 70
    assert all(used is played for used, played in zip(recorder.used, recorder.episodes, strict=True))
    starts = torch.cat([shocks.price for shocks in recorder.shocks], 1)
    assert len(starts.unique()) > 0.95 * starts.numel()
    # The environment's numbers are the seed's own stream, block by block.
    normals = torch.randn(50, 2, GAME.normals_per_episode, generator=generator(3, "fictitious_play", "environment"))
    assert torch.equal(recorder.shocks[49].noise[0], GAME.shocks_from_normals(normals[49]).noise)


def test_a_larger_critic_loss_than_allowed_is_divergence() -> None:
    """In a single epoch (released code); it is found by the next row of history."""
    whole = train(GAME, recipe(history_every=1), [3, 8]).history
    limit = 0.9 * whole[whole["seed"] == 8]["critic_loss"].max()
    first = int(whole[(whole["seed"] == 8) & (whole["critic_loss"] > limit)]["epoch"].min())
    assert whole[whole["seed"] == 3]["critic_loss"].max() < limit
    result = train(GAME, recipe(largest_loss=limit), [3, 8])
    assert [member["iterations"] for member in result.record["members"]] == [70, 10 * math.ceil(first / 10)]
    assert [member["diverged"] for member in result.record["members"]] == [False, True]
    assert (result.history["critic_loss"] < limit).all(), "no mean is above the limit"


@pytest.mark.parametrize("mode", ["last", "average"])
def test_a_member_goes_on_as_alone_when_another_diverges(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Member 0 is driven out in the second best response: the other's networks, streams and past policies stay put.

    70 epochs: more than one block of random numbers. To the rounding of 70 steps in single precision.
    """
    update = DDPG.update
    epochs: list[None] = []

    def failing(agent: DDPG, episodes: Episodes) -> Tensor:
        statistics = update(agent, episodes)
        epochs.append(None)
        if len(epochs) == 35:
            statistics[0, 0] = torch.nan
        return statistics

    alone = train(GAME, recipe(opponents=mode), [8])
    monkeypatch.setattr(DDPG, "update", failing)
    together = train(GAME, recipe(opponents=mode), [3, 8])
    assert [member["iterations"] for member in together.record["members"]] == [40, 70]
    assert [member["diverged"] for member in together.record["members"]] == [True, False]
    rows = together.history[together.history["seed"] == 8].reset_index(drop=True)
    pd.testing.assert_frame_equal(rows, alone.history, rtol=1e-3)
    for name, tensor in alone.tensors.items():
        torch.testing.assert_close(together.tensors[name][1:2], tensor, rtol=1e-3, atol=1e-4)
