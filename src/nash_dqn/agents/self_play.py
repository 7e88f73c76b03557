"""Symmetric self-play by gradients through the simulator: how the equilibrium references are found.

One policy is shared by all agents. Each iteration improves agent 0's total reward by its gradient with respect to agent
0's policy alone, through the market and the others' reactions, while the others play a frozen copy; a policy from which
no such step gains is an equilibrium, equation (2), within its class. This uses the simulator's derivatives, which
Algorithms 1 and 2 do not: it is a yardstick, not a competitor, and only its measured exploitability can certify it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from nash_dqn.agents.ddpg import LEARNER, OPPONENTS
from nash_dqn.agents.decorrelation import decorrelating_basis
from nash_dqn.agents.learner import Learner, half_cosine
from nash_dqn.agents.result import Run, TrainingResult
from nash_dqn.agents.snapshots import Snapshots
from nash_dqn.games.base import ObservationSpec
from nash_dqn.games.market import Market, Shocks
from nash_dqn.networks import ObservationNetwork
from nash_dqn.progress import Progress
from nash_dqn.seeding import generator


@dataclass(frozen=True)
class SelfPlayRecipe:
    """Settings of self-play.

    Attributes:
        observation: what agents see.
        hidden: hidden layers of the policy, beside which it has linear terms per step; its inputs are decorrelated.
        iterations: gradient steps.
        episodes_per_iteration: fresh episodes for each.
        learning_rate: of Adam, falling to zero along a half cosine.
        opponent_rate: share by which the frozen copy moves towards the policy after each step; 1 copies it, less damps.
        history_every: iterations between rows of the history.
    """

    observation: ObservationSpec
    hidden: Sequence[int]
    iterations: int
    episodes_per_iteration: int
    learning_rate: float
    opponent_rate: float
    history_every: int

    @staticmethod
    def from_dict(settings: Mapping[str, Any]) -> SelfPlayRecipe:
        """Recipe from its configuration.

        Raises:
            TypeError: a key is missing or unknown.
            ValueError: a value is not allowed.
        """
        return SelfPlayRecipe(**{**settings, "observation": ObservationSpec(**settings["observation"])})


class SelfPlay:
    """The policy of K members and the frozen copy that their opponents play."""

    def __init__(self, game: Market, recipe: SelfPlayRecipe, seeds: Sequence[int], device: torch.device) -> None:
        self.game, self.recipe = game, recipe
        own, items = game.observation_size(recipe.observation)
        streams = [generator(seed, "self_play", "initialisation") for seed in seeds]
        basis = decorrelating_basis(game, recipe.observation)
        network = ObservationNetwork.create(
            own, items, (), recipe.hidden, game.action_dim, streams, skip=(game.n_steps, 1), basis=basis
        )
        self.policy = Learner(network.map(lambda t: t.to(device)), recipe.learning_rate, 0.0, None)
        self.opponents = self.policy.snapshot()

    def rewards(self, shocks: Shocks) -> Tensor:
        """Agent 0's total discounted reward ``[K, E]``, with its gradient."""
        game = self.game
        state = game.reset(shocks)
        total = torch.zeros_like(shocks.price)
        for m in range(game.n_steps):
            observation = game.observe(state, self.recipe.observation)
            actions = self.policy.network(observation, LEARNER)
            if game.n_agents > 1:
                actions = torch.cat((actions, self.opponents(observation, OPPONENTS)), -2)
            state, rewards = game.step(state, actions, shocks)
            total = torch.add(total, rewards[..., 0], alpha=game.discount**m)
        return total

    def step(self, shocks: Shocks, rate: float) -> Tensor:
        """One gradient step at ``rate`` times the learning rate; the mean total rewards ``[K]`` before it."""
        value = self.rewards(shocks).mean(1)
        self.policy.step(-value.sum(), rate)
        torch._foreach_lerp_(self.opponents.parameters, self.policy.frozen.parameters, self.recipe.opponent_rate)
        return value.detach()

    def weights(self) -> dict[str, Tensor]:
        """All weights by name, ``[K, ...]``, sharing memory."""
        return self.policy.frozen.state_dict("actor")


def train(
    game: Market, recipe: SelfPlayRecipe, seeds: Sequence[int], device: torch.device | str = "cpu", **meta: Any
) -> TrainingResult:
    """Self-play for an ensemble, a member per seed.

    The record says of each member whether it diverged, that is, whether its weights are finite. ``meta`` (scenario,
    recipe, ...) goes into the record and the weights' metadata.
    """
    run = Run("self_play", game, recipe, seeds, device, meta)
    device = torch.device(device)
    trainer = SelfPlay(game, recipe, seeds, device)
    streams = [generator(seed, "self_play", "environment") for seed in seeds]
    drawn = (recipe.episodes_per_iteration, game.normals_per_episode)
    snapshots = Snapshots(seeds)
    everyone = range(len(seeds))
    rows: list[dict[str, Any]] = []
    recent: list[Tensor] = []
    progress = Progress(recipe.iterations)
    for done in range(1, recipe.iterations + 1):
        normals = torch.stack([torch.randn(drawn, generator=stream) for stream in streams]).to(device)
        recent.append(trainer.step(game.shocks_from_normals(normals), half_cosine((done - 1) / recipe.iterations)))
        transitions = done * recipe.episodes_per_iteration * game.n_steps
        if snapshots.due(transitions):
            snapshots.take(transitions, everyone, trainer.policy.frozen)
        if done % recipe.history_every == 0 or done == recipe.iterations:
            rewards = torch.stack(recent).mean(0).tolist()
            rows += [
                {"seed": seed, "iteration": done, "transitions": transitions, "reward": reward}
                for seed, reward in zip(seeds, rewards, strict=True)
            ]
            progress.report(done, "mean reward " + " ".join(f"{reward:.4g}" for reward in rewards))
            recent = []

    history = pd.DataFrame(rows).sort_values("seed", kind="stable", ignore_index=True)
    weights = {name: tensor.detach().cpu().clone() for name, tensor in trainer.weights().items()}
    finite = torch.stack([tensor.isfinite().flatten(1).all(1) for tensor in weights.values()]).all(0).tolist()
    members = [
        {
            "seed": seed,
            "iterations": recipe.iterations,
            "transitions": transitions,
            "stopped": "iterations" if sound else "diverged",
            "diverged": not sound,
            "final_reward": reward if sound else None,
        }
        for seed, sound, reward in zip(seeds, finite, rewards, strict=True)
    ]
    return run.result(weights, snapshots, history, members)
