"""Symmetric self-play by gradients through the simulator: how the equilibrium references are found.

One policy is shared by all agents. Each iteration improves agent 0's total reward by its gradient with respect to agent
0's policy alone, through the market and the others' reactions, while the others play a frozen copy; a policy from which
no such step gains is an equilibrium, equation (2), within its class. This uses the simulator's derivatives, which
Algorithms 1 and 2 do not: it is a yardstick, not a competitor, and only its measured exploitability can certify it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from nash_dqn.agents import training
from nash_dqn.agents.ddpg import LEARNER, OPPONENTS
from nash_dqn.agents.decorrelation import decorrelating_basis
from nash_dqn.agents.learner import Learner, half_cosine
from nash_dqn.agents.noise import Leaves, Noise
from nash_dqn.agents.training import TrainingResult
from nash_dqn.checkpoint import Checkpoint
from nash_dqn.games.market import Market, Shocks
from nash_dqn.networks import ObservationNetwork
from nash_dqn.seeding import generator
from nash_dqn.settings.self_play import SelfPlayRecipe
from nash_dqn.trees import tensor_map

Recipe = SelfPlayRecipe


class SelfPlay(training.Algorithm):
    """The policy of K members and the frozen copy that their opponents play."""

    name = "self_play"
    statistics = ("reward",)
    state_names = ("done", "learner", "opponents", "noise")

    def __init__(self, game: Market, recipe: SelfPlayRecipe, seeds: Sequence[int], device: torch.device) -> None:
        self.game: Market = game
        self.recipe, self._device = recipe, device
        own, items = game.observation_size(recipe.observation)
        streams = [generator(seed, self.name, "initialisation") for seed in seeds]
        basis = decorrelating_basis(game, recipe.observation)
        network = ObservationNetwork.create(
            own, items, (), recipe.hidden, game.action_dim, streams, skip=(game.n_steps, 1), basis=basis
        )
        self.learner = Learner.create(tensor_map(lambda t: t.to(device), network), recipe.learning_rate)
        self.opponents = self.learner.snapshot()
        self._leaves: Leaves = {"environment": (torch.randn, (recipe.episodes_per_iteration, game.normals_per_episode))}
        self.noise = Noise.create(seeds, self.name, self._leaves, length=1)

    @property
    def columns(self) -> dict[str, Any]:
        """The iteration to come."""
        return {"iteration": self.done + 1}

    @property
    def policy(self) -> ObservationNetwork:
        """What agents play."""
        return self.learner.network

    def weights(self) -> dict[str, Tensor]:
        """All weights by name, ``[K, ...]``, without gradients, sharing memory."""
        return {name: tensor.detach() for name, tensor in self.policy.state_dict("actor").items()}

    def iterate(self) -> Tensor:
        """One gradient step over fresh episodes; the mean total rewards ``[1, K]`` before it."""
        (normals,) = self.noise.draw(self._leaves, self.done, self._device)
        rewards = self.step(self.game.shocks_from_normals(normals), half_cosine(self.done / self.total))
        self.done += 1
        return rewards.unsqueeze(0)

    def rewards(self, shocks: Shocks) -> Tensor:
        """Agent 0's total discounted reward ``[K, E]``, with its gradient."""
        game = self.game
        state = game.reset(shocks)
        total = torch.zeros_like(shocks.price)
        for m in range(game.n_steps):
            observation = game.observe(state, self.recipe.observation)
            actions = self.policy(observation, LEARNER)
            if game.n_agents > 1:
                actions = torch.cat((actions, self.opponents(observation, OPPONENTS)), -2)
            state, rewards = game.step(state, actions, shocks)
            total = torch.add(total, rewards[..., 0], alpha=game.discount**m)
        return total

    def step(self, shocks: Shocks, rate: float) -> Tensor:
        """One gradient step at ``rate`` times the learning rate; the mean total rewards ``[K]`` before it."""
        value = self.rewards(shocks).mean(1)
        self.learner.step(-value.sum(), rate)
        with torch.no_grad():
            torch._foreach_lerp_(self.opponents.parameters, self.policy.parameters, self.recipe.opponent_rate)
        return value.detach()


def train(
    game: Market,
    recipe: SelfPlayRecipe,
    seeds: Sequence[int],
    device: torch.device | str = "cpu",
    checkpoint: Checkpoint | None = None,
    **meta: Any,
) -> TrainingResult:
    """Self-play for an ensemble, a member per seed.

    A member whose rewards or weights are not finite has diverged and leaves the ensemble with its weights of the last
    check that found it sound; the record says so. ``meta`` (scenario, policy, ...) goes into the record and the
    weights' metadata. An interrupted training goes on from its ``checkpoint``.
    """
    algorithm = SelfPlay(game, recipe, seeds, torch.device(device))
    return training.train(algorithm, seeds, device, checkpoint, meta, watched="reward")
