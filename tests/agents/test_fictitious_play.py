"""Algorithm 2 end to end: its history and files, and members that do not disturb each other.

Who plays what when, and what is returned, is held against the same written out in test_released_code.py.
"""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from nash_dqn.agents.ddpg import DDPG
from nash_dqn.agents.episodes import Episodes
from nash_dqn.agents.fictitious_play import FictitiousPlay, FictitiousPlayRecipe, train
from nash_dqn.artifacts import write_training
from nash_dqn.games.base import Observation
from nash_dqn.networks import ObservationNetwork
from nash_dqn.policy import load_policy
from tests.common import FICTITIOUS_PLAY, FILES
from tests.common import SMALL as GAME


def recipe(**changes: Any) -> FictitiousPlayRecipe:
    return FictitiousPlayRecipe.from_dict({**FICTITIOUS_PLAY, **changes})


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
    ends = [(m["seed"], m["iterations"], m["transitions"], m["stopped"]) for m in members]
    assert ends == [(3, 70, 420, "iterations"), (8, 70, 420, "iterations")]
    assert result.record["config"]["recipe"]["opponents"] == "last"
    write_training(result, *(tmp_path / name for name in FILES))
    policy = load_policy(tmp_path / "weights.safetensors")
    assert (policy.algorithm, policy.bound, policy.meta) == ("fictitious_play", 50.0, {"scenario": "toy"})
    observation = Observation(torch.ones(2, 4, 3, 5), None)
    actor = ObservationNetwork.from_state_dict(result.tensors, "actor")
    assert torch.equal(policy(observation), actor(observation).clamp(-50, 50))


def test_it_has_a_policy_in_the_first_best_response_and_at_the_end_of_each_later_one() -> None:
    """After each of 3 epochs, and of twice 2."""
    trainer = FictitiousPlay(GAME, recipe(first_epochs=3, epochs=2), [3], torch.device("cpu"))
    has = []
    for _ in range(trainer.total):
        trainer.iterate()
        has.append(trainer.has_policy)
    assert has == [True, True, True, False, True, False, True]


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
