"""Whole runs of Algorithm 1 against the same written out, and each member against itself alone."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from nash_dqn.advantage import mu_network
from nash_dqn.agents.episodes import Episodes
from nash_dqn.agents.nash_dqn import NashDQN, NashDQNRecipe, train
from nash_dqn.agents.training import describe
from nash_dqn.artifacts import write_training
from nash_dqn.games.base import Observation, ObservationSpec
from nash_dqn.games.market import Market
from nash_dqn.networks import ObservationNetwork
from nash_dqn.policy import load_policy
from nash_dqn.seeding import generator
from nash_dqn.trees import tensor_map
from tests.common import CENTRAL, EVERYTHING, FILES, PROJECTED, RESETS, SMALL, target
from tests.common import nash_dqn as recipe

GAME = replace(SMALL, n_agents=2)
CPU = torch.device("cpu")


def plain_run(
    game: Market, made: NashDQNRecipe, seed: int
) -> tuple[list[dict[str, Tensor]], list[Tensor], list[tuple[bool, bool]]]:
    """Algorithm 1 for one seed, written out: what `train` does without its monitor and its bookkeeping.

    Returns:
        After each iteration the weights, the statistics [4], and whether weights were kept or taken back.
    """
    agent = NashDQN(game, made, [seed], CPU)
    streams = {name: generator(seed, "nash_dqn", name) for name in ("environment", "exploration", "replay")}
    good = {name: tensor.clone() for name, tensor in agent.weights().items()}
    blocks, weights, statistics, resets = 50, [], [], []
    noise_shape = (made.episodes_per_iteration, game.n_steps, game.n_agents, 1)
    normals = torch.randn(
        blocks, made.episodes_per_iteration, game.normals_per_episode, generator=streams["environment"]
    )
    noise = torch.randn(blocks, *noise_shape, generator=streams["exploration"])
    uniforms = torch.rand(blocks, made.minibatch_episodes, generator=streams["replay"])
    played: list[Episodes] = []
    for b in range(made.iterations):
        start, end = made.exploration.start, made.exploration.end
        sigma_b = start + (end - start) * b / made.iterations
        exploration = sigma_b * noise[b : b + 1]
        solo = {"all": made.episodes_per_iteration, "one": 0, "half": made.episodes_per_iteration // 2}
        exploration[:, solo[made.explorers] :, :, 1:] = 0.0
        episodes = agent.play(game.shocks_from_normals(normals[b : b + 1]), exploration)
        played += [
            tensor_map(lambda leaf, e=e: leaf[:, e : e + 1], episodes) for e in range(made.episodes_per_iteration)
        ]
        if made.replay_episodes > made.episodes_per_iteration:
            # A ring: while it fills slot s is episode s, then the latest with the same remainder.
            size = min(len(played), made.replay_episodes)
            last = {n % made.replay_episodes: n for n in range(len(played))}
            drawn = [played[last[int(u * size)]] for u in uniforms[b].tolist()]
            episodes = tensor_map(lambda *leaves: torch.cat(leaves, 1), *drawn)
        cosine = (1 + math.cos(math.pi * b / made.iterations)) / 2
        rate = cosine if made.learning_rate_schedule == "cosine" else 1.0
        statistics.append(agent.update(episodes, rate)[:, 0])
        kept = back = False
        if made.target and (b + 1) % made.target.refresh == 0:
            of, total = made.target.resets, statistics[-1][0].item()
            if of is not None and b + 1 >= of.after:
                kept, back = total < of.good_below, total >= of.above
            for name, tensor in agent.weights().items():
                if kept:
                    good[name] = tensor.clone()
                if back:
                    tensor.copy_(good[name])
            agent.target = agent.value.snapshot()
        resets.append((kept, back))
        weights.append({name: tensor.clone() for name, tensor in agent.weights().items()})
    return weights, statistics, resets


@pytest.mark.parametrize(
    "changes",
    [
        {"target": target(2, "random", RESETS), "p11": "absolute"},
        {"critic": EVERYTHING, "target": target(4), "gradient_clip": 5.0},
        CENTRAL,
        PROJECTED,
    ],
    ids=["replay-resets", "replay-critic-target", "central", "projected"],
)
def test_train_is_algorithm_1(changes: dict[str, Any]) -> None:
    """Weights and history of a run of 12 iterations against Algorithm 1 written out."""
    made = recipe(**changes)
    result = train(GAME, made, [3])
    weights, statistics, resets = plain_run(GAME, made, 3)
    assert result.tensors.keys() == weights[-1].keys()
    for name, tensor in weights[-1].items():
        torch.testing.assert_close(result.tensors[name], tensor)
    history = result.history
    columns = ["total_loss", "loss", "penalty", "psi_abs"]
    assert history.columns.tolist() == ["seed", "iteration", "exploration", "transitions", *columns, "resets"]
    assert history["seed"].tolist() == [3, 3, 3]
    assert history["iteration"].tolist() == [4, 8, 12]
    assert history["transitions"].tolist() == [b * made.episodes_per_iteration * 3 for b in (4, 8, 12)]
    assert history["exploration"].tolist() == pytest.approx([2 - 1.5 * b / 12 for b in (3, 7, 11)])
    means = torch.stack(statistics).unflatten(0, (3, 4)).mean(1)
    np.testing.assert_allclose(history[columns].to_numpy(), means.numpy(), rtol=1e-4)
    back = [sum(went_back for _, went_back in resets[:b]) for b in (4, 8, 12)]
    assert history["resets"].tolist() == back
    assert result.record["members"][0]["resets"] == back[-1]
    if made.target is not None and made.target.resets is not None:
        assert back[-1] > 0 and any(kept for kept, _ in resets), "or this tests nothing"


def test_the_best_iterations_weights_are_returned() -> None:
    """Those after the single iteration with the lowest watched loss, which is neither the total's nor the last."""
    made = recipe(iterations=14, returned="best", watched="loss")
    result = train(GAME, made, [8])
    weights, statistics, _ = plain_run(GAME, made, 8)
    lowest = torch.stack(statistics).argmin(0)[:2].tolist()
    assert lowest[0] != lowest[1] and max(lowest) < 13, "or this tests nothing"
    best = lowest[1]
    assert result.record["members"][0]["returned_iteration"] == best + 1
    for name, tensor in weights[best].items():
        torch.testing.assert_close(result.tensors[name], tensor)


def test_a_member_is_trained_as_it_is_alone() -> None:
    """60 iterations: more than one block of random numbers. To the rounding of 60 steps in single precision."""
    made = recipe(iterations=60, **PROJECTED)
    together, alone = train(GAME, made, [3, 8, 5]), train(GAME, made, [8])
    for name, tensor in alone.tensors.items():
        torch.testing.assert_close(together.tensors[name][1:2], tensor, rtol=1e-3, atol=1e-4)
    assert together.record["members"][1]["iterations"] == alone.record["members"][0]["iterations"] == 60


def test_a_member_is_trained_as_it_is_alone_when_others_stop_early() -> None:
    """Their leaving must move neither its random numbers, its replay buffer, its optimiser, its target, nor what it has
    kept.
    """
    made = recipe(
        critic=EVERYTHING, skip_terms=True, learning_rate_schedule="cosine", returned="best", iterations=120,
        patience=12, history_every=3, target=target(7, "random", RESETS), replay_episodes=9,
    )  # fmt: skip
    seeds = [3, 8, 5, 6]
    together = train(GAME, made, seeds)
    stops = {member["iterations"] for member in together.record["members"]}
    assert len(stops) > 2, "members are to stop at different iterations, or this tests nothing"
    assert sum(member["resets"] for member in together.record["members"]) > 2
    assert {member["stopped"] for member in together.record["members"]} <= {"early_stopping", "iterations"}
    for k, seed in enumerate(seeds):
        alone = train(GAME, made, [seed])
        for name in ("iterations", "stopped", "returned_iteration", "resets"):
            assert alone.record["members"][0][name] == together.record["members"][k][name]
        for name, tensor in alone.tensors.items():
            torch.testing.assert_close(together.tensors[name][k : k + 1], tensor, rtol=1e-3, atol=1e-4)
        rows = together.history[together.history["seed"] == seed].reset_index(drop=True)
        pd.testing.assert_frame_equal(rows, alone.history, rtol=1e-3)


def test_divergence_is_recorded() -> None:
    """At an absurd learning rate: the weights are those before it, here the initial ones, and the record says so."""
    result = train(GAME, recipe(learning_rate=1e20, history_every=2, iterations=40), [3, 8])
    for member in result.record["members"]:
        assert (member["stopped"], member["diverged"]) == ("diverged", True)
        assert member["iterations"] < 40
    assert all(tensor.isfinite().all() for tensor in result.tensors.values())
    assert result.history["iteration"].max() == max(member["iterations"] for member in result.record["members"])


def test_a_loss_far_above_the_best_is_divergence() -> None:
    """Of the very loss: with a factor just above one, the first iteration that is worse than the best before."""
    losses = train(GAME, recipe(history_every=1), [3]).history["total_loss"]
    worse = int((losses > losses.cummin()).argmax()) + 1
    member = train(GAME, recipe(history_every=1, divergence_factor=1.0 + 1e-9), [3]).record["members"][0]
    assert (member["iterations"], member["stopped"]) == (worse, "diverged") and 1 < worse < 12
    assert member["returned_iteration"] == worse - 1


def test_record_and_metadata_of_a_run(tmp_path: Any) -> None:
    result = train(GAME, recipe(), [3, 8], scenario="toy", policy="text")
    assert result.record["seeds"] == [3, 8]
    assert result.record["config"]["game"]["n_agents"] == 2
    assert result.record["config"]["recipe"]["penalty"] == {"norm": "l1", "beta": 3.0}
    members = result.record["members"]
    assert [member["seed"] for member in members] == [3, 8]
    assert {(m["iterations"], m["transitions"], m["stopped"], m["diverged"]) for m in members} == {
        (12, 12 * 2 * 3, "iterations", False)
    }
    assert result.metadata == describe("nash_dqn", ObservationSpec(), [3, 8], 1, None, scenario="toy", policy="text")
    write_training(result, *(tmp_path / name for name in FILES))
    policy = load_policy(tmp_path / "weights.safetensors")
    observation = Observation(torch.ones(2, 4, 2, 5), None)
    advantage = ObservationNetwork.from_state_dict(result.tensors, "advantage")
    torch.testing.assert_close(policy(observation), advantage(observation)[..., :1])


def test_policies_are_kept_along_the_training(tmp_path: Any) -> None:
    """As soon as 10,000 and 20,000 joint transitions are reached: the policies of runs that end then."""
    episodes = dict.fromkeys(("episodes_per_iteration", "minibatch_episodes", "replay_episodes"), 1200)
    made = recipe(**episodes, skip_terms=True, exploration={"start": 1.0, "end": 1.0})
    result = train(GAME, made, [3, 8], scenario="toy")
    write_training(result, *(tmp_path / name for name in FILES))
    along = load_policy(tmp_path / "snapshots.safetensors")
    assert along.seeds == [3, 8, 3, 8]
    assert along.meta == {"scenario": "toy", "transitions": [10_800, 10_800, 21_600, 21_600]}
    assert [entry["transitions"] for entry in result.record["snapshots"]] == [10_800, 21_600]
    for rows, iterations in (([0, 1], 3), ([2, 3], 6)):
        ended = train(GAME, replace(made, iterations=iterations), [3, 8])
        mu = mu_network(ObservationNetwork.from_state_dict(ended.tensors, "advantage"), 1)
        kept = along.select(rows).network
        assert all(torch.equal(a, b) for a, b in zip(kept.parameters, mu.parameters, strict=True))
