"""Nash-DQN, Algorithm 1: an actor-critic whose Q is locally linear-quadratic, so that mu is its Nash point."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from nash_dqn.advantage import AdvantageParameters, label_invariant_advantage, output_size, unpack
from nash_dqn.agents.episodes import Act, Episodes, Replay, next_values, play_episodes
from nash_dqn.agents.learner import Learner, TrainingResult
from nash_dqn.agents.monitor import EarlyStopping, Monitor
from nash_dqn.games.base import ObservationSpec
from nash_dqn.games.market import Market, Shocks
from nash_dqn.networks import ObservationNetwork
from nash_dqn.policy import describe, mu_network
from nash_dqn.seeding import generator

LOSS_EPISODES = 10
"""Losses are summed over the samples of this many episodes: the normalisation of the published loss axis."""

_BLOCK = 50  # iterations whose random numbers are drawn in one call


class Exploration(NamedTuple):
    """Linear schedule from ``start`` to ``end`` over the run."""

    start: float
    end: float

    def at(self, fraction: float) -> float:
        """Value after a fraction in [0, 1] of the run."""
        return self.start + (self.end - self.start) * fraction


class Penalty(NamedTuple):
    """Regulariser of equation (23): beta |psi(x)|_1, or beta |psi(x)|^2 (released code), per sample."""

    norm: Literal["l1", "squared"]
    beta: float

    def __call__(self, psi: Tensor) -> Tensor:
        """``[..., d] -> [...]``."""
        return self.beta * (psi.abs() if self.norm == "l1" else psi.square()).sum(-1)


@dataclass(frozen=True)
class NashDQNRecipe:
    """Settings of Algorithm 1; config/README.md gives each value's source.

    Attributes:
        observation: what agents see.
        value_hidden: hidden layers of the value network.
        advantage_hidden: hidden layers of the advantage network.
        phi_hidden: hidden layers of the DeepSets phi of either network.
        iterations: B, at most; one iteration plays fresh episodes and makes one optimiser step per network.
        episodes_per_iteration: fresh episodes an iteration plays.
        minibatch_episodes: whole episodes in a minibatch.
        replay_episodes: capacity of the replay buffer; equal to ``episodes_per_iteration`` and ``minibatch_episodes``
            means each episode is used once.
        learning_rate: of AdamW, both networks.
        weight_decay: decoupled.
        exploration: sigma_b, standard deviation of the exploration noise, shares/hour.
        penalty: on psi, equation (23).
        target_refresh: iterations between copies of the value network to the target network; None for no target
            network.
        gradient_clip: largest gradient norm of a member's network; None for no limit.
        early_stopping: None to run all iterations.
        divergence_factor: a member whose mean loss exceeds this multiple of its best, or is not finite, has diverged.
        history_every: iterations between rows of the history, each a mean over them, and between divergence checks.
    """

    observation: ObservationSpec
    value_hidden: Sequence[int]
    advantage_hidden: Sequence[int]
    phi_hidden: Sequence[int]
    iterations: int
    episodes_per_iteration: int
    minibatch_episodes: int
    replay_episodes: int
    learning_rate: float
    weight_decay: float
    exploration: Exploration
    penalty: Penalty
    target_refresh: int | None
    gradient_clip: float | None
    early_stopping: EarlyStopping | None
    divergence_factor: float
    history_every: int

    @staticmethod
    def from_dict(settings: Mapping[str, Any]) -> NashDQNRecipe:
        """Recipe from its configuration.

        Raises:
            TypeError: a key is missing or unknown.
            ValueError: a value is not allowed.
        """
        stopping = settings["early_stopping"]
        return NashDQNRecipe(
            **{
                **settings,
                "observation": ObservationSpec(**settings["observation"]),
                "exploration": Exploration(**settings["exploration"]),
                "penalty": Penalty(**settings["penalty"]),
                "early_stopping": None if stopping is None else EarlyStopping(**stopping),
            }
        )


def exploring(advantage: ObservationNetwork, noise: Tensor) -> Act:
    """Play u = mu(x) + noise, ``[K, E, M, N, d]``."""
    mu, steps = mu_network(advantage, noise.shape[-1]), noise.unbind(2)
    return lambda state, observation: mu(observation) + steps[state.step]


def bellman_residuals(
    game: Market, advantage: ObservationNetwork, value: ObservationNetwork, episodes: Episodes
) -> Tensor:
    """V(x) + A(x; u) - r - gamma V(x'), ``[K, E, M, N]``: the error that (17) squares."""
    values = value(episodes.observation).squeeze(-1)
    target = torch.add(episodes.rewards, next_values(values), alpha=game.discount)
    return values + advantage_of(advantage, episodes)[0] - target


def advantage_of(network: ObservationNetwork, episodes: Episodes) -> tuple[Tensor, AdvantageParameters]:
    """A(x; u) ``[K, E, M, N]`` of the actions played, and the parameters at x."""
    parameters = unpack(network(episodes.observation), episodes.actions.shape[-1])
    return label_invariant_advantage(episodes.actions - parameters.mu, parameters), parameters


def member_sum(samples: Tensor) -> Tensor:
    """Sum of ``[K, E, M, N]`` over a member's samples, scaled to :data:`LOSS_EPISODES` episodes: ``[K]``."""
    return samples.flatten(1).sum(1) * (LOSS_EPISODES / samples.shape[1])


class _Noise:
    """Each member's random numbers, drawn block by block from its own generators."""

    def __init__(self, game: Market, recipe: NashDQNRecipe, seeds: Sequence[int], device: torch.device) -> None:
        self._device = device
        episodes = recipe.episodes_per_iteration
        self._normals = (_BLOCK, episodes, game.normals_per_episode)
        self._exploration = (_BLOCK, episodes, game.n_steps, game.n_agents, game.action_dim)
        self._uniforms = (_BLOCK, recipe.minibatch_episodes)
        self._streams = [
            [generator(seed, "nash_dqn", name) for name in ("environment", "exploration", "replay")] for seed in seeds
        ]
        self._block: list[Tensor] = []

    def draw(self, iteration: int) -> list[Tensor]:
        """Normals of the shocks ``[K, E, .]`` and of exploration ``[K, E, M, N, d]``, replay uniforms ``[K, E]``."""
        if iteration % _BLOCK == 0:
            drawn = [
                (
                    torch.randn(self._normals, generator=environment),
                    torch.randn(self._exploration, generator=exploration),
                    torch.rand(self._uniforms, generator=replay),
                )
                for environment, exploration, replay in self._streams
            ]
            self._block = [torch.stack(leaf, 1).to(self._device) for leaf in zip(*drawn, strict=True)]
        return [leaf[iteration % _BLOCK] for leaf in self._block]

    def select(self, members: Sequence[int]) -> None:
        """Keep only some members' streams."""
        self._streams = [self._streams[k] for k in members]
        self._block = [leaf[:, list(members)] for leaf in self._block]


class NashDQN:
    """The two networks of the actor-critic and one iteration's updates, for the members still training."""

    def __init__(self, game: Market, recipe: NashDQNRecipe, seeds: Sequence[int], device: torch.device) -> None:
        self.game, self.recipe = game, recipe
        own, items = game.observation_size(recipe.observation)

        def learner(name: str, hidden: Sequence[int], outputs: int) -> Learner:
            streams = [generator(seed, "nash_dqn", "initialisation", name) for seed in seeds]
            network = ObservationNetwork.create(own, items, recipe.phi_hidden, hidden, outputs, streams)
            network = network.map(lambda t: t.to(device))
            return Learner(network, recipe.learning_rate, recipe.weight_decay, recipe.gradient_clip)

        self.advantage = learner("advantage", recipe.advantage_hidden, output_size(game.action_dim))
        self.value = learner("value", recipe.value_hidden, 1)
        self.target = None if recipe.target_refresh is None else self.value.snapshot()

    def play(self, shocks: Shocks, exploration: Tensor) -> Episodes:
        """Fresh episodes with u = mu(x) + exploration."""
        act = exploring(self.advantage.frozen, exploration)
        return play_episodes(self.game, self.recipe.observation, act, shocks)

    def update(self, episodes: Episodes) -> Tensor:
        """One optimiser step over theta_V, then one over theta_A, each with the other held fixed (Algorithm 1).

        V(x') is a constant in either step. Returns, per member, the loss (17) before the steps, the penalty, and the
        mean absolute psi: ``[3, K]``.
        """
        observation = episodes.observation
        advantage, parameters = advantage_of(self.advantage.network, episodes)

        values = self.value.network(observation).squeeze(-1)
        target = self._target(episodes, values.detach())
        loss = member_sum((values + advantage.detach() - target).square())
        self.value.step(loss.sum())

        with torch.no_grad():
            values = self.value.network(observation).squeeze(-1)
            if self.target is None:
                target = self._target(episodes, values)
        penalty = member_sum(self.recipe.penalty(parameters.psi))
        self.advantage.step((member_sum((values + advantage - target).square()) + penalty).sum())
        return torch.stack((loss, penalty, parameters.psi.abs().flatten(1).mean(1))).detach()

    def _target(self, episodes: Episodes, values: Tensor) -> Tensor:
        """Target r + gamma V(x'), V the target network or, without one, the given values."""
        if self.target is not None:
            with torch.no_grad():
                values = self.target(episodes.observation).squeeze(-1)
        return torch.add(episodes.rewards, next_values(values), alpha=self.game.discount)

    def refresh_target(self) -> None:
        """Copy the value network to the target network."""
        self.target = self.value.snapshot()

    def select(self, members: Sequence[int]) -> None:
        """Keep only some members."""
        self.advantage.select(members)
        self.value.select(members)
        if self.target is not None:
            self.target = self.target.map(lambda t: t[list(members)])

    def weights(self) -> dict[str, Tensor]:
        """Copies of all weights by name, ``[K, ...]``."""
        return {
            **self.advantage.snapshot().state_dict("advantage"),
            **self.value.snapshot().state_dict("value"),
        }


class Trainer:
    """Algorithm 1, iteration by iteration, for the members still training."""

    def __init__(self, game: Market, recipe: NashDQNRecipe, seeds: Sequence[int], device: torch.device) -> None:
        self.game, self.recipe = game, recipe
        self.agent = NashDQN(game, recipe, seeds, device)
        self._noise = _Noise(game, recipe, seeds, device)
        once = recipe.replay_episodes == recipe.episodes_per_iteration == recipe.minibatch_episodes
        self._replay = None if once else Replay(recipe.replay_episodes)
        self.done = 0

    @property
    def sigma_b(self) -> float:
        """Standard deviation of the exploration in the iteration to come."""
        return self.recipe.exploration.at(self.done / max(self.recipe.iterations - 1, 1))

    @property
    def transitions(self) -> int:
        """Joint transitions played so far."""
        return self.done * self.recipe.episodes_per_iteration * self.game.n_steps

    def iterate(self) -> Tensor:
        """Play fresh episodes, store them, sample a minibatch, update; returns :meth:`NashDQN.update`'s statistics."""
        normals, exploration, uniforms = self._noise.draw(self.done)
        episodes = self.agent.play(self.game.shocks_from_normals(normals), exploration * self.sigma_b)
        if self._replay is not None:
            self._replay.add(episodes)
            episodes = self._replay.sample(uniforms)
        statistics = self.agent.update(episodes)
        self.done += 1
        if self.recipe.target_refresh is not None and self.done % self.recipe.target_refresh == 0:
            self.agent.refresh_target()
        return statistics

    def select(self, members: Sequence[int]) -> None:
        """Keep only some members."""
        for part in (self.agent, self._noise, self._replay):
            if part is not None:
                part.select(members)


def train(
    game: Market, recipe: NashDQNRecipe, seeds: Sequence[int], device: torch.device | str = "cpu", **meta: Any
) -> TrainingResult:
    """Algorithm 1 for an ensemble, a member per seed.

    A member that stops early or diverges leaves the ensemble; a diverged one keeps its weights of the last check that
    found it sound, and the record says so. ``meta`` (scenario, recipe, ...) goes into the record and the weights'
    metadata.
    """
    started = time.perf_counter()
    trainer = Trainer(game, recipe, seeds, torch.device(device))
    monitor = Monitor(
        *(seeds, ("loss", "penalty", "psi_abs"), recipe.iterations, recipe.history_every),
        *(recipe.divergence_factor, recipe.early_stopping, trainer.agent.weights()),
    )
    while monitor.active and trainer.done < recipe.iterations:
        sigma_b = trainer.sigma_b
        monitor.add(trainer.iterate())
        if monitor.due(trainer.done):
            columns = {"iteration": trainer.done, "exploration": sigma_b}
            kept = monitor.check(trainer.done, trainer.transitions, trainer.agent.weights, **columns)
            if len(kept) < len(monitor.active):
                monitor.select(kept)
                trainer.select(kept)

    record = {
        "algorithm": "nash_dqn",
        **meta,
        "device": str(device),
        "config": {"game": dataclasses.asdict(game), "recipe": dataclasses.asdict(recipe)},
        "seeds": list(seeds),
        "wall_seconds": time.perf_counter() - started,
        "members": monitor.record(),
    }
    metadata = describe("nash_dqn", recipe.observation, seeds, game.action_dim, None, **meta)
    return TrainingResult(monitor.weights(), metadata, monitor.history(), record)
