"""Symmetric self-play by gradients through the simulator: how the equilibrium references are found.

One policy is shared by all agents. Each iteration improves agent 0's total reward by its gradient with respect to agent
0's policy alone, through the market and the others' reactions, while the others play a frozen copy; a policy from which
no such step gains is an equilibrium, equation (2), within its class. This uses the simulator's derivatives, which
Algorithms 1 and 2 do not: it is a yardstick, not a competitor, and only its measured exploitability can certify it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import pandas as pd
import torch
from torch import Tensor

from nash_dqn.agents.ddpg import LEARNER, OPPONENTS
from nash_dqn.agents.decorrelation import decorrelating_basis
from nash_dqn.agents.learner import Learner, half_cosine
from nash_dqn.agents.result import Run, TrainingResult
from nash_dqn.agents.snapshots import Snapshots
from nash_dqn.checkpoint import Checkpoint, resumed
from nash_dqn.games.market import Market, Shocks
from nash_dqn.grouped_networks import from_state, to_state
from nash_dqn.networks import ObservationNetwork
from nash_dqn.progress import Progress
from nash_dqn.seeding import generator
from nash_dqn.settings.self_play import SelfPlayRecipe


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


class Trainer:
    """Self-play, iteration by iteration, and its history."""

    def __init__(self, game: Market, recipe: SelfPlayRecipe, seeds: Sequence[int], device: torch.device) -> None:
        self.game, self.recipe, self.seeds = game, recipe, list(seeds)
        self.agent = SelfPlay(game, recipe, seeds, device)
        self.done = 0
        self.rows: list[dict[str, Any]] = []
        """The history so far, a row per seed and time."""
        self._device = device
        self._streams = [generator(seed, "self_play", "environment") for seed in seeds]
        self._recent: list[Tensor] = []
        self._progress = Progress(recipe.iterations)

    @property
    def transitions(self) -> int:
        """Joint transitions played so far."""
        return self.done * self.recipe.episodes_per_iteration * self.game.n_steps

    def iterate(self) -> None:
        """One gradient step over fresh episodes, and a row of history where one is due."""
        recipe, drawn = self.recipe, (self.recipe.episodes_per_iteration, self.game.normals_per_episode)
        normals = torch.stack([torch.randn(drawn, generator=stream) for stream in self._streams]).to(self._device)
        rate = half_cosine(self.done / recipe.iterations)
        self._recent.append(self.agent.step(self.game.shocks_from_normals(normals), rate))
        self.done += 1
        if self.done % recipe.history_every == 0 or self.done == recipe.iterations:
            rewards = torch.stack(self._recent).mean(0).tolist()
            self.rows += [
                {"seed": seed, "iteration": self.done, "transitions": self.transitions, "reward": reward}
                for seed, reward in zip(self.seeds, rewards, strict=True)
            ]
            self._progress.report(self.done, "mean reward " + " ".join(f"{reward:.4g}" for reward in rewards))
            self._recent = []

    def state(self) -> dict[str, Any]:
        """How far it is, its history, and what the rest depends on."""
        return {
            "done": self.done,
            "total": self.recipe.iterations,
            "rows": self.rows,
            "recent": torch.stack(self._recent) if self._recent else None,
            "streams": [stream.get_state() for stream in self._streams],
            "policy": self.agent.policy.state(),
            "opponents": to_state(self.agent.opponents),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from such a state."""
        self.done, self.rows = state["done"], state["rows"]
        self._recent = [] if state["recent"] is None else list(state["recent"])
        self._streams = [torch.Generator().set_state(stream) for stream in state["streams"]]
        self.agent.policy.restore(state["policy"])
        self.agent.opponents = cast("ObservationNetwork", from_state(state["opponents"]))


def train(
    game: Market,
    recipe: SelfPlayRecipe,
    seeds: Sequence[int],
    device: torch.device | str = "cpu",
    checkpoint: Checkpoint | None = None,
    **meta: Any,
) -> TrainingResult:
    """Self-play for an ensemble, a member per seed.

    The record says of each member whether it diverged, that is, whether its weights are finite. ``meta`` (scenario,
    recipe, ...) goes into the record and the weights' metadata. An interrupted training goes on from its
    ``checkpoint``.
    """
    run = Run("self_play", game, recipe, seeds, device, meta)
    trainer = Trainer(game, recipe, seeds, torch.device(device))
    snapshots = Snapshots(seeds)
    everyone = range(len(seeds))
    keep = resumed(checkpoint, run=run, trainer=trainer, snapshots=snapshots)
    while trainer.done < recipe.iterations:
        keep()
        trainer.iterate()
        if snapshots.due(trainer.transitions):
            snapshots.take(trainer.transitions, everyone, trainer.agent.policy.frozen)

    history = pd.DataFrame(trainer.rows).sort_values("seed", kind="stable", ignore_index=True)
    weights = {name: tensor.detach().cpu().clone() for name, tensor in trainer.agent.weights().items()}
    finite = torch.stack([tensor.isfinite().flatten(1).all(1) for tensor in weights.values()]).all(0).tolist()
    members = [
        {
            "seed": row["seed"],
            "iterations": recipe.iterations,
            "transitions": trainer.transitions,
            "stopped": "iterations" if sound else "diverged",
            "diverged": not sound,
            "final_reward": row["reward"] if sound else None,
        }
        for row, sound in zip(trainer.rows[-len(seeds) :], finite, strict=True)
    ]
    return run.result(weights, snapshots, history, members)
