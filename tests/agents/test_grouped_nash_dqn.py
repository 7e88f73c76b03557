"""Algorithm 1 where agents differ and actions are vectors: what groups share, files, and a known equilibrium."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Generator, Tensor

from nash_dqn.advantage import mu_network
from nash_dqn.agents.episodes import bootstrap
from nash_dqn.agents.learner import Learner
from nash_dqn.agents.nash_dqn import NashDQN, NashDQNRecipe, bellman_residuals, train
from nash_dqn.artifacts import write_tensors
from nash_dqn.evaluation import lq_error
from nash_dqn.games.base import Game, Observation, ObservationSpec
from nash_dqn.networks import GroupedNetwork
from nash_dqn.policy import Policy, load_policy
from nash_dqn.seeding import generator

SETTINGS: dict[str, Any] = {
    "observation": {"inventories": "visible"}, "critic": None, "policy": "nash", "p11": "cholesky", "skip_terms": True,
    "value_hidden": [8], "advantage_hidden": [8], "phi_hidden": [4], "iterations": 6, "episodes_per_iteration": 4,
    "minibatch_episodes": 4, "replay_episodes": 4, "learning_rate": 0.02, "learning_rate_schedule": "cosine",
    "adam_beta2": 0.95, "weight_decay": 0.0, "exploration": {"start": 1.0, "end": 0.5}, "explorers": "all",
    "opponent_gradient": False, "penalty": {"norm": "l1", "beta": 0.0}, "target": None, "gradient_clip": 1.0,
    "watched": "total_loss", "patience": None, "returned": "last", "divergence_factor": 1e6, "history_every": 3,
}  # fmt: skip
TARGET = {"refresh": 1, "start": "random", "resets": {"after": 2, "good_below": 1500.0, "above": 2000.0}}
"""Losses between which the toy's lie, so that weights are both kept and taken back."""
CPU = torch.device("cpu")


class Start(NamedTuple):
    """Initial positions, ``[..., N, 2]``."""

    positions: Tensor

    def map(self, function: Any) -> "Start":
        return Start(function(self.positions))


class Positions(NamedTuple):
    """``positions`` as in :class:`Start`."""

    step: int
    positions: Tensor


@dataclass(frozen=True)
class Crowd(Game):
    """Agents that dislike being far from the origin and moving along with others; plane positions x' = x + u.

    r_i = -a_i |x_i'|^2 - |u_i|^2 - c_i u_i . J sum_{j != i} u_j, J a quarter turn plus 1/2: everything differs between
    groups.
    """

    n_steps: int = 2
    away: tuple[float, ...] = (1.0, 0.4)
    together: tuple[float, ...] = (0.6, -0.3)
    discount: tuple[float, ...] = (0.5, 0.9)

    groups = (range(1), range(1, 3))
    n_agents = 3
    action_dim = 2
    action_scale = 1.0
    normals_per_episode = 6

    def observation_size(self, spec: ObservationSpec) -> tuple[int, int]:
        return 3, 2

    def shocks_from_normals(self, normal: Tensor) -> Start:
        return Start(normal.unflatten(-1, (3, 2)))

    def sample_shocks(self, episodes: int, generator: Generator) -> Start:
        return self.shocks_from_normals(torch.randn(episodes, 6, generator=generator))

    def reset(self, shocks: Start) -> Positions:
        return Positions(0, shocks.positions)

    def step(self, state: Positions, actions: Tensor, shocks: Start) -> tuple[Positions, Tensor]:
        after = state.positions + actions
        others = actions.sum(-2, keepdim=True) - actions
        turned = others @ actions.new_tensor([[0.5, 1.0], [-1.0, 0.5]])
        away, together = (
            actions.new_tensor([v for v, g in zip(of, self.groups, strict=True) for _ in g])
            for of in (self.away, self.together)
        )
        rewards = -away * after.square().sum(-1) - actions.square().sum(-1) - together * (actions * turned).sum(-1)
        return Positions(state.step + 1, after), rewards

    def observe(self, state: Positions, spec: ObservationSpec) -> Observation:
        time = torch.full_like(state.positions[..., :1], float(state.step))
        return Observation(torch.cat((time, state.positions), -1), state.positions, state.step)

    def excursion(self, state: Positions, normals: Tensor, sd: float | None = None) -> Tensor:
        return (1.0 if sd is None else sd) * normals - state.positions


GAME = Crowd()


def recipe(**changes: Any) -> NashDQNRecipe:
    return NashDQNRecipe.from_dict({**SETTINGS, **changes})


def test_groups_learn_from_their_own_rewards_alone() -> None:
    """The same actions and states, other rewards of one group: the other's networks make the same step, to the bit."""
    agents = [NashDQN(GAME, recipe(), [1, 2], CPU) for _ in range(2)]
    stream = generator(1, "test_grouped")
    shocks = GAME.shocks_from_normals(torch.randn(2, 4, 6, generator=stream))
    episodes = agents[0].play(shocks, torch.randn(2, 4, 2, 3, 2, generator=stream))
    better = episodes.rewards + torch.tensor([0.0, 100.0, 100.0])
    agents[0].update(episodes)
    agents[1].update(episodes._replace(rewards=better))
    first, second = (agent.weights() for agent in agents)
    for name in first:
        assert torch.equal(first[name], second[name]) == ("group_0" in name), name


def test_each_group_has_its_own_discount() -> None:
    rewards, values = torch.ones(1, 1, 2, 3), torch.full((1, 1, 2, 3), 10.0)
    assert bootstrap(GAME, rewards, values)[0, 0].tolist() == [[6.0, 10.0, 10.0], [1.0, 1.0, 1.0]]


@pytest.mark.parametrize("changes", [{"policy": "projected"}, {"explorers": "one"}, {"explorers": "half"}])
def test_what_groups_do_not_support_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^policy = '\w+', explorers = '\w+': in a game of 2 groups allowed are "):
        NashDQN(GAME, recipe(**changes), [1], CPU)


def test_files_say_the_groups(tmp_path: Path) -> None:
    result = train(GAME, recipe(episodes_per_iteration=2000, minibatch_episodes=2000, replay_episodes=2000), [1, 2])
    path = tmp_path / "weights.safetensors"
    write_tensors(path, result.tensors, result.metadata)
    policy = load_policy(path)
    assert (policy.meta["groups"], result.record["groups"]) == ([1, 2], [1, 2])
    assert isinstance(policy.network, GroupedNetwork)
    state = GAME.reset(GAME.sample_shocks(5, generator(1, "x")).map(lambda leaf: leaf.expand(2, *leaf.shape)))
    advantage = GroupedNetwork.from_state_dict(result.tensors, "advantage", [1, 2])
    expected = mu_network(advantage, 2)(GAME.observe(state, policy.observation))
    assert expected.shape == (2, 5, 3, 2)
    assert torch.equal(policy.act(GAME, state), expected)
    of_second = policy.member(1).act(GAME, GAME.reset(Start(state.positions[1:])))
    torch.testing.assert_close(of_second, expected[1:])
    write_tensors(path, *result.snapshots)
    kept = load_policy(path)
    assert kept.meta["transitions"] == [12_000, 12_000, 20_000, 20_000]
    assert kept.act(GAME, GAME.reset(Start(state.positions[:1].expand(4, 5, 3, 2)))).shape == (4, 5, 3, 2)


@pytest.mark.parametrize("changes", [{}, {"returned": "best", "target": TARGET}], ids=["last", "best-resets"])
def test_members_train_as_they_would_alone(changes: dict[str, Any]) -> None:
    both, alone = train(GAME, recipe(**changes), [1, 2]), train(GAME, recipe(**changes), [2])
    for name, tensor in alone.tensors.items():
        torch.testing.assert_close(both.tensors[name][1:], tensor, rtol=1e-4, atol=1e-5)


def test_the_residual_of_the_general_game_vanishes_at_the_equilibrium_learned() -> None:
    """Vector actions, different agents, different discounts: mu is the exact equilibrium, group by group, and Q fits
    rewards of explorers, too, which (10) does without error in a linear-quadratic game.
    """
    made = recipe(
        iterations=300, episodes_per_iteration=32, minibatch_episodes=32, replay_episodes=32, history_every=100
    )
    result = train(GAME, made, [1])
    advantage, value = (GroupedNetwork.from_state_dict(result.tensors, name, [1, 2]) for name in ("advantage", "value"))
    policy = Policy(mu_network(advantage, 2), made.observation, [1], "nash_dqn")
    for group in GAME.groups:
        table = lq_error.evaluate(GAME, [policy], 500, 3, group)
        assert table["relative"].max() < 0.05
    agent = NashDQN(GAME, made, [1], CPU)
    agent.advantage = Learner.create(advantage, 0.0)
    stream = generator(5, "test_grouped")
    played = agent.play(
        GAME.shocks_from_normals(torch.randn(1, 200, 6, generator=stream)),
        0.5 * torch.randn(1, 200, 2, 3, 2, generator=stream),
    )
    residuals = bellman_residuals(GAME, advantage, value, played)
    assert residuals.square().mean() < 1e-3 * played.rewards.square().mean()


def test_a_group_of_one_differs_from_the_others() -> None:
    """One network for all could not: with everybody alike the exact gains are others."""
    alike = dataclasses.replace(GAME, away=(0.4, 0.4), together=(-0.3, -0.3), discount=(0.9, 0.9))
    shocks = GAME.sample_shocks(50, generator(1, "x")).map(torch.Tensor.double)
    state = GAME.reset(shocks)
    actions = [lq_error._exact_actions(game)(state) for game in (GAME, alike)]
    assert (actions[0][:, 0] - actions[1][:, 0]).abs().mean() > 0.1
