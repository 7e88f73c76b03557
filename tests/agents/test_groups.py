"""Both algorithms where agents differ and actions are vectors: what groups share, who plays what, an equilibrium."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Generator, Tensor

from nash_dqn.advantage import mu_network
from nash_dqn.agents import fictitious_play, nash_dqn
from nash_dqn.agents.ddpg import DDPG, Excursions
from nash_dqn.agents.episodes import Episodes, bootstrap
from nash_dqn.agents.fictitious_play import FictitiousPlay, FictitiousPlayRecipe
from nash_dqn.agents.learner import Learner
from nash_dqn.agents.nash_dqn import NashDQN, NashDQNRecipe, bellman_residuals
from nash_dqn.artifacts import write_tensors
from nash_dqn.evaluation import lq_error
from nash_dqn.games.base import Game, Observation, ObservationSpec
from nash_dqn.games.basket import Basket
from nash_dqn.games.traders import Traders
from nash_dqn.networks import GroupedNetwork
from nash_dqn.policy import Policy, load_policy
from nash_dqn.seeding import generator
from nash_dqn.trees import copied
from tests.common import FICTITIOUS_PLAY, NASH_DQN

SETTINGS: dict[str, Any] = {
    **NASH_DQN, "observation": {"inventories": "visible"}, "skip_terms": True, "value_hidden": [8],
    "advantage_hidden": [8], "phi_hidden": [4], "iterations": 6, "episodes_per_iteration": 4, "minibatch_episodes": 4,
    "replay_episodes": 4, "learning_rate": 0.02, "learning_rate_schedule": "cosine", "adam_beta2": 0.95,
    "weight_decay": 0.0, "exploration": {"start": 1.0, "end": 0.5}, "opponent_gradient": False,
    "penalty": {"norm": "l1", "beta": 0.0}, "gradient_clip": 1.0, "history_every": 3,
}  # fmt: skip
TARGET = {"refresh": 1, "start": "random", "resets": {"after": 2, "good_below": 1500.0, "above": 2000.0}}
"""Losses between which the toy's lie, so that weights are both kept and taken back."""
TRADERS, BASKET = Traders(sizes=(2, 3), horizon=2.0, n_steps=3), Basket(n_agents=2, horizon=2.0, n_steps=3)
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


# --- Algorithm 1 --------------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("changes", [{"policy": "projected"}, {"explorers": "one"}])
def test_what_groups_do_not_support_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^policy = '\w+', explorers = '\w+': in a game of 2 groups allowed are "):
        NashDQN(GAME, recipe(**changes), [1], CPU)


def test_files_say_the_groups(tmp_path: Path) -> None:
    result = nash_dqn.train(
        GAME, recipe(episodes_per_iteration=2000, minibatch_episodes=2000, replay_episodes=2000), [1, 2]
    )
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


def test_members_train_as_they_would_alone() -> None:
    made = recipe(returned="best", target=TARGET)
    both, alone = nash_dqn.train(GAME, made, [1, 2]), nash_dqn.train(GAME, made, [2])
    for name, tensor in alone.tensors.items():
        torch.testing.assert_close(both.tensors[name][1:], tensor, rtol=1e-4, atol=1e-5)


def test_the_residual_of_the_general_game_vanishes_at_the_equilibrium_learned() -> None:
    """Vector actions, different agents, different discounts: mu is the exact equilibrium, group by group, and Q fits
    rewards of explorers, too, which (10) does without error in a linear-quadratic game.
    """
    made = recipe(
        iterations=300, episodes_per_iteration=32, minibatch_episodes=32, replay_episodes=32, history_every=100
    )
    result = nash_dqn.train(GAME, made, [1])
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


# --- Algorithm 2 --------------------------------------------------------------------------------------------


def fp_recipe(**changes: Any) -> FictitiousPlayRecipe:
    small = {"observation": {"inventories": "visible"}, "first_epochs": 4, "epochs": 3, "episodes_per_epoch": 5}
    return FictitiousPlayRecipe.from_dict(
        {**FICTITIOUS_PLAY, **small, "action_scale": 2.0, "history_every": 2, **changes}
    )


def epochs_of(trainer: FictitiousPlay, monkeypatch: pytest.MonkeyPatch) -> list[Episodes]:
    """What the learners played in one epoch."""
    played: list[Episodes] = []
    play = DDPG.play

    def spy(agent: DDPG, *args: Any) -> Episodes:
        played.append(play(agent, *args))
        return played[-1]

    monkeypatch.setattr(DDPG, "play", spy)
    trainer.epoch(0.5)
    return played


@pytest.mark.parametrize("opponents", ["last", "average"])
def test_the_others_play_their_groups_past_policies(opponents: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """At first nothing, then each the past best response of its own group; the learner plays its present actor."""
    made = fp_recipe(opponents=opponents, exploration={"start": 0.0, "end": 0.0, "target_sd": None})
    trainer = FictitiousPlay(TRADERS, made, [1, 2], CPU)
    past = copied(trainer.policy)
    present = [agent.actor.snapshot().with_outputs(lambda t: 2.0 * t) for agent in trainer.agents]
    for learner, played in zip((0, 2), epochs_of(trainer, monkeypatch), strict=True):
        others = [i for i in range(5) if i != learner]
        assert (played.actions[..., others, :] == 0).all()
        at = slice(learner, learner + 1)
        torch.testing.assert_close(played.actions[..., at, :], present[learner // 2](played.observation, at))
    trainer.remember(past)
    for learner, played in zip((0, 2), epochs_of(trainer, monkeypatch), strict=True):
        others = [i for i in range(5) if i != learner]
        expected = past(played.observation)[..., others, :]
        same = (played.actions[..., others, :] - expected).abs().amax((2, 3, 4)) < 1e-5
        still = (played.actions[..., others, :] == 0).flatten(2).all(2)
        assert (same | still).all()
        assert same.any() and (opponents == "average" or same.all())


def test_groups_learn_from_their_own_learner_alone() -> None:
    """Another group's episodes move nothing but its own networks."""
    trainer = FictitiousPlay(TRADERS, fp_recipe(), [1], CPU)
    trainer.epoch(0.0)
    before = trainer.agents[0].actor.snapshot(), trainer.agents[1].actor.snapshot()
    shocks = TRADERS.sample_shocks(4, generator(1, "x")).map(lambda leaf: leaf[None])
    noise = generator(2, "x")
    excursions = Excursions(torch.ones(1, 4, 3, dtype=torch.bool), torch.randn(1, 4, 3, 1, generator=noise), None)
    opponents = trainer.opponents(torch.zeros(1, 4), trainer.agents[1].learner)
    trainer.agents[1].update(trainer.agents[1].play(opponents, shocks, excursions))
    pairs = zip(before, (agent.actor.network for agent in trainer.agents), strict=True)
    moved = [any(not torch.equal(a, b) for a, b in zip(x.parameters, y.parameters, strict=True)) for x, y in pairs]
    assert moved == [False, True]


@pytest.mark.parametrize(("game", "sizes", "opponents"), [(TRADERS, [2, 3], "last"), (BASKET, None, "average")])
def test_a_training_and_its_file(game: Game, sizes: list[int] | None, opponents: str, tmp_path: Path) -> None:
    result = fictitious_play.train(game, fp_recipe(opponents=opponents), [1, 2])
    assert result.history["transitions"].max() == 10 * 5 * 3 * len(game.groups)
    assert all(not member["diverged"] for member in result.record["members"])
    write_tensors(tmp_path / "weights", result.tensors, result.metadata)
    policy = load_policy(tmp_path / "weights")
    assert policy.meta.get("groups") == sizes
    assert isinstance(policy.network, GroupedNetwork) == (sizes is not None)
    state = game.reset(game.sample_shocks(5, generator(1, "x")).map(lambda leaf: leaf.expand(2, *leaf.shape)))
    assert policy.act(game, state).shape == (2, 5, game.n_agents, game.action_dim)
