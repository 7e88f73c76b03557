"""Self-play where the equilibrium is known, whose gradient it follows, and what a run leaves behind."""

import dataclasses
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from nash_dqn.agents.learner import Learner
from nash_dqn.agents.self_play import SelfPlay, SelfPlayRecipe, train
from nash_dqn.artifacts import read_json, write_training
from nash_dqn.evaluation.rollout import play, trajectory
from nash_dqn.games import lq
from nash_dqn.games.base import ObservationSpec
from nash_dqn.networks import ObservationNetwork
from nash_dqn.policy import Policy, load_policy
from nash_dqn.seeding import generator
from nash_dqn.trees import copied, tensor_map
from tests.common import FILES, LQ_MARKET
from tests.common import SMALL as GAME

CPU = torch.device("cpu")
SETTINGS: dict[str, Any] = {
    "observation": {"own_flow": True}, "hidden": [5], "iterations": 60, "episodes_per_iteration": 64,
    "learning_rate": 0.02, "opponent_rate": 1.0, "history_every": 25,
}  # fmt: skip


def recipe(**changes: Any) -> SelfPlayRecipe:
    return SelfPlayRecipe.from_dict({**SETTINGS, **changes})


# Short and slow: far from the equilibrium a difference in rounding grows tenfold every few steps.
SHORT = recipe(iterations=30, episodes_per_iteration=128, learning_rate=0.005, history_every=10)


def policy_of(network: ObservationNetwork, spec: ObservationSpec) -> Policy:
    return Policy(network, spec, list(range(len(network.sigma.weights[0]))), "self_play")


@pytest.mark.parametrize(("agents", "inventories"), [(1, "private"), (3, "visible")])
def test_finds_the_exact_equilibrium_of_a_linear_quadratic_game(agents: int, inventories: str) -> None:
    """One agent alone: the linear-quadratic regulator. Three: the feedback equilibrium by coupled Riccati equations."""
    market = dataclasses.replace(LQ_MARKET, n_agents=agents, initial_inventory_var=4.0)
    settings = recipe(
        observation={"inventories": inventories}, hidden=[4], iterations=400, episodes_per_iteration=128,
        learning_rate=0.05,
    )  # fmt: skip
    result = train(market, settings, [3])
    exact = lq.solve_nash(market.as_lq())
    policy = policy_of(ObservationNetwork.from_state_dict(result.tensors, "actor"), settings.observation)
    shocks = market.sample_shocks(4000, generator(2, "test"))
    wrong, right = [], []
    for m, transition in enumerate(trajectory(market, [(policy, slice(None))], shocks)):
        actions = -market.state_vector(transition.state).float() @ torch.from_numpy(exact.policies.gains[m]).float().T
        wrong.append((transition.actions.squeeze(-1) - actions).square().mean())
        right.append(actions.square().mean())
    assert len(right) == market.n_steps
    assert math.sqrt(sum(wrong) / sum(right)) < 0.03
    # And it is worth what the equilibrium is, but for a sampling error of four standard errors.
    rewards = play(market, [(policy, slice(None))], shocks).double().mean((0, 2))
    game = market.as_lq()
    value = exact.values.expected(game.initial_mean, game.initial_covariance)[0]
    assert abs(float(rewards.mean()) - value) < 4 * float(rewards.std()) / math.sqrt(len(rewards))


@pytest.fixture
def doubled() -> SelfPlay:
    """Self-play in double precision whose opponents play something other than the policy."""
    trainer, other = (SelfPlay(GAME, recipe(), [seed], CPU) for seed in (3, 4))
    network = tensor_map(Tensor.double, trainer.learner.snapshot())
    assert network.skip is not None
    network.skip.copy_(torch.randn(network.skip.shape, generator=generator(5, "test"), dtype=torch.float64))
    trainer.learner = Learner.create(network, 0.01)
    trainer.opponents = tensor_map(Tensor.double, other.opponents)
    return trainer


def test_gradient_is_agent_0s_own_alone(doubled: SelfPlay) -> None:
    """Against finite differences of games played out: own weights move, the opponents' do not, but they react."""
    spec, shocks = doubled.recipe.observation, GAME.sample_shocks(8, generator(2, "test")).map(Tensor.double)
    rewards = doubled.rewards(shocks.map(lambda leaf: leaf[None]))
    assert rewards.shape == (1, 8)
    gradients = torch.autograd.grad(rewards.sum(), doubled.policy.parameters)

    def total(own: ObservationNetwork, others: ObservationNetwork) -> float:
        profile = [(policy_of(own, spec), [0]), (policy_of(others, spec), [1, 2])]
        return float(play(GAME, profile, shocks)[..., 0].sum())

    own, others = doubled.learner.snapshot(), doubled.opponents
    assert float(rewards.detach().sum()) == pytest.approx(total(own, others), rel=1e-10)
    for position, gradient in enumerate(gradients):
        entry = int(gradient.abs().argmax())
        moved = [copied(own) for _ in range(2)]
        for network, by in zip(moved, (1e-5, -1e-5), strict=True):
            network.parameters[position].view(-1)[entry] += by
        up, down = (total(network, others) for network in moved)
        assert float(gradient.flatten()[entry]) == pytest.approx((up - down) / 2e-5, rel=1e-5)
        assert abs(up - down) > 1e-7


def test_history_record_and_files_of_a_run(tmp_path: Any) -> None:
    """Rows at 25, 50 and, as it ends, 60 iterations of 64 episodes of three steps; a snapshot at 10,000 transitions."""
    result = train(GAME, recipe(), [3, 8], scenario="toy")
    assert result.history.columns.tolist() == ["seed", "iteration", "transitions", "reward"]
    assert result.history["seed"].tolist() == [3] * 3 + [8] * 3
    assert result.history["iteration"].tolist() == [25, 50, 60] * 2
    assert result.history["transitions"].tolist() == [4800, 9600, 11520] * 2
    paths = [tmp_path / name for name in FILES]
    write_training(result, *paths)

    policy, along = load_policy(paths[0]), load_policy(paths[1])
    assert (policy.algorithm, policy.seeds, policy.bound) == ("self_play", [3, 8], None)
    assert policy.meta == {"scenario": "toy"}
    assert policy.observation == ObservationSpec(own_flow=True)
    trained = policy_of(ObservationNetwork.from_state_dict(result.tensors, "actor"), policy.observation)
    shocks = GAME.sample_shocks(16, generator(2, "test"))
    rewards = play(GAME, [(policy, slice(None))], shocks)
    assert torch.equal(rewards, play(GAME, [(trained, slice(None))], shocks))
    # 53 x 64 x 3 is the first number of transitions over 10,000; the policy was nearly what it became.
    assert (along.seeds, along.meta) == ([3, 8], {"scenario": "toy", "transitions": [10176, 10176]})
    assert along.observation == policy.observation
    early = play(GAME, [(along, slice(None))], shocks)
    assert not torch.equal(early, rewards)
    torch.testing.assert_close(early, rewards, rtol=0.1, atol=0.1)

    record = read_json(paths[3])
    assert (record["algorithm"], record["scenario"], record["seeds"]) == ("self_play", "toy", [3, 8])
    assert record["config"]["game"] == dataclasses.asdict(GAME)
    assert record["config"]["recipe"] == {**SETTINGS, "observation": dataclasses.asdict(policy.observation)}
    assert [snapshot["transitions"] for snapshot in record["snapshots"]] == [10176]
    last = result.history.groupby("seed")["reward"].last()
    assert [member["final_reward"] for member in record["members"]] == [last[3], last[8]]


def test_history_is_the_mean_reward_of_the_policy_before_each_step(monkeypatch: pytest.MonkeyPatch) -> None:
    step, expected = SelfPlay.step, []

    def played(trainer: SelfPlay, shocks: Any, rate: float) -> Tensor:
        policy = policy_of(trainer.learner.snapshot(), trainer.recipe.observation)
        assert all(
            torch.equal(*pair) for pair in zip(policy.network.parameters, trainer.opponents.parameters, strict=True)
        )
        for k in range(2):
            of_member = shocks.map(lambda leaf, k=k: leaf[k])
            expected.append(float(play(GAME, [(policy.member(k), slice(None))], of_member)[..., 0].mean()))
        return step(trainer, shocks, rate)

    monkeypatch.setattr(SelfPlay, "step", played)
    result = train(GAME, recipe(iterations=6, history_every=3), [3, 8])
    means = np.array(expected).reshape(2, 3, 2).mean(1)  # [rows, iterations, members]
    np.testing.assert_allclose(result.history["reward"].to_numpy().reshape(2, 2).T, means, rtol=1e-4)


def test_episodes_are_fresh_steps_fade_out_and_opponents_follow(monkeypatch: pytest.MonkeyPatch) -> None:
    step, seen = SelfPlay.step, []

    def watched(trainer: SelfPlay, shocks: Any, rate: float) -> Tensor:
        seen.append((shocks.price, rate))
        before = copied(trainer.opponents)
        reported = step(trainer, shocks, rate)
        new = trainer.learner.snapshot()
        for old, now, target in zip(before.parameters, trainer.opponents.parameters, new.parameters, strict=True):
            torch.testing.assert_close(now, 0.75 * old + 0.25 * target, rtol=1e-5, atol=1e-6)
        return reported

    monkeypatch.setattr(SelfPlay, "step", watched)
    train(GAME, recipe(iterations=4, history_every=4, opponent_rate=0.25), [3, 8])
    prices = torch.stack([price for price, _ in seen])
    assert prices.shape == (4, 2, 64)
    assert prices.unique().numel() > 0.99 * prices.numel()
    # (1 + cos(pi i / 4)) / 2
    assert [rate for _, rate in seen] == pytest.approx([1.0, 0.5 + math.sqrt(0.125), 0.5, 0.5 - math.sqrt(0.125)])


def test_a_member_that_is_not_finite_is_recorded_and_leaves_the_others_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    build = SelfPlay.__init__

    def broken(trainer: SelfPlay, *arguments: Any) -> None:
        build(trainer, *arguments)
        if len(trainer.policy.parameters[0]) == 2:
            trainer.policy.parameters[0].data[0, 0, 0] = math.nan

    monkeypatch.setattr(SelfPlay, "__init__", broken)
    result, alone = train(GAME, SHORT, [3, 8]), train(GAME, SHORT, [8])
    members = result.record["members"]
    assert [(m["seed"], m["stopped"], m["diverged"]) for m in members] == [
        (3, "diverged", True),
        (8, "iterations", False),
    ]
    assert members[0]["final_reward"] is None
    rows = result.history[result.history["seed"] == 8].reset_index(drop=True)
    pd.testing.assert_frame_equal(rows, alone.history, rtol=1e-3)
    for name, tensor in alone.tensors.items():
        torch.testing.assert_close(result.tensors[name][1:], tensor, rtol=1e-3, atol=1e-4)
    paths = [tmp_path / name for name in FILES]
    write_training(result, *paths)
    assert read_json(paths[3])["members"] == members
    assert load_policy(paths[1]).seeds == [8]
