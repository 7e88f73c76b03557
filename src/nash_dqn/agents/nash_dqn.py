"""Nash-DQN, Algorithm 1: an actor-critic whose Q is locally linear-quadratic, so that mu is its Nash point.

The theory's state is visible; the experiment's inventories are not. Agents that play mu of what they see take V of it
for the value of a state, which it is not. A projected policy does without: Q is a function of the whole state, which
only its training sees, and what agents play is its Nash point as far as they can see it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from nash_dqn.advantage import (
    P11Form,
    Parameters,
    advantage_of,
    advantage_size,
    deviation_advantage,
    mu_network,
    projection_loss,
)
from nash_dqn.agents import training
from nash_dqn.agents.episodes import Act, Episodes, Replay, bootstrap, play_episodes
from nash_dqn.agents.learner import Learner, half_cosine
from nash_dqn.agents.noise import Leaves, Noise
from nash_dqn.agents.training import TrainingResult
from nash_dqn.checkpoint import Checkpoint
from nash_dqn.games.base import Game, Observation, ObservationSpec, Shocks
from nash_dqn.networks import Network, create
from nash_dqn.seeding import generator
from nash_dqn.settings.nash_dqn import Exploration as Exploration
from nash_dqn.settings.nash_dqn import NashDQNRecipe as NashDQNRecipe
from nash_dqn.settings.nash_dqn import Penalty as Penalty
from nash_dqn.settings.nash_dqn import Resets as Resets
from nash_dqn.settings.nash_dqn import Target as Target
from nash_dqn.trees import tensor_map

Recipe = NashDQNRecipe

LOSS_EPISODES = 10
"""Losses are summed over the samples of this many episodes: the normalisation of the published loss axis."""


def relative_rate(recipe: NashDQNRecipe, fraction: float) -> float:
    """Learning rate after a fraction in [0, 1) of the run, relative to its start."""
    return 1.0 if recipe.learning_rate_schedule == "constant" else half_cosine(fraction)


def exploring(policy: Network, noise: Tensor) -> Act:
    """Play u = mu(x) + noise, ``[K, E, M, N, d]``; the policy's first outputs are mu."""
    mu, steps = mu_network(policy, noise.shape[-1]), noise.unbind(2)
    return lambda state, observation: mu(observation) + steps[state.step]


def bellman_residuals(
    game: Game, advantage: Network, value: Network, episodes: Episodes, p11: P11Form = "cholesky"
) -> Tensor:
    """V(x) + A(x; u) - r - gamma V(x'), ``[K, E, M, N]``: the error that (17) squares, of agents that play A's mu."""
    values = value(episodes.seen_by_critic).squeeze(-1)
    target = bootstrap(game, episodes.rewards, values)
    return values + advantage_of(advantage, episodes.observation, episodes.actions, p11=p11)[0] - target


def member_sum(samples: Tensor) -> Tensor:
    """Sum of ``[K, E, M, n]`` over a member's samples, scaled to :data:`LOSS_EPISODES` episodes: ``[K]``."""
    return samples.flatten(1).sum(1) * (LOSS_EPISODES / samples.shape[1])


class NashDQN(training.Algorithm):
    """Algorithm 1: the networks of A, V and a projected policy, and their training, for the members still training."""

    name = "nash_dqn"
    statistics = ("total_loss", "loss", "penalty", "psi_abs", "resets")
    state_names = ("done", "advantage", "value", "actor", "target", "good", "noise", "replay")

    def __init__(self, game: Game, recipe: NashDQNRecipe, seeds: Sequence[int], device: torch.device) -> None:
        if len(game.groups) > 1 and (recipe.policy != "nash" or recipe.explorers != "all"):
            raise ValueError(
                f"policy = {recipe.policy!r}, explorers = {recipe.explorers!r}: in a game of {len(game.groups)} groups "
                "allowed are 'nash' and 'all'"
            )
        self.game, self.recipe, self._device = game, recipe, device

        agents_see, critic_sees = recipe.observation, recipe.critic or recipe.observation

        def network(name: str, sees: ObservationSpec, hidden: Sequence[int], outputs: int, degree: int) -> Network:
            own, items = game.observation_size(sees)
            streams = [generator(seed, "nash_dqn", "initialisation", name) for seed in seeds]
            skip = (game.n_steps, degree) if recipe.skip_terms else None
            made = create(game.groups, own, items, recipe.phi_hidden, hidden, outputs, streams, skip)
            return tensor_map(lambda t: t.to(device), made)

        def learner(of: Network) -> Learner[Network]:
            return Learner.create(
                of, recipe.learning_rate, recipe.weight_decay, recipe.gradient_clip, recipe.adam_beta2
            )

        sees, d = critic_sees if recipe.policy == "projected" else agents_see, game.action_dim
        size = advantage_size(d, len(game.groups))
        self.advantage = learner(network("advantage", sees, recipe.advantage_hidden, size, degree=1))
        self.value = learner(network("value", critic_sees, recipe.value_hidden, 1, degree=2))
        self.target: Network | None = None
        if recipe.target is not None and recipe.target.start == "random":
            self.target = network("target", critic_sees, recipe.value_hidden, 1, degree=2)
        elif recipe.target is not None:
            self.target = self.value.snapshot()
        self.good: tuple[Network, Network] | None = None
        if recipe.target is not None and recipe.target.resets is not None:
            self.good = self.advantage.snapshot(), self.value.snapshot()
        self.actor: Learner[Network] | None = None
        if recipe.policy == "projected":
            self.actor = learner(network("actor", agents_see, recipe.advantage_hidden, d, degree=1))

        episodes = recipe.episodes_per_iteration
        self._leaves: Leaves = {
            "environment": (torch.randn, (episodes, game.normals_per_episode)),
            "exploration": (torch.randn, (episodes, game.n_steps, game.n_agents, d)),
            "replay": (torch.rand, (recipe.minibatch_episodes,)),
        }
        self.noise = Noise.create(seeds, self.name, self._leaves)
        self.replay: Replay | None = None
        self._explores = torch.ones(episodes, 1, game.n_agents, 1, device=device)
        self._explores[recipe.solo, :, 1:] = 0.0

    @property
    def sigma_b(self) -> float:
        """Standard deviation of the exploration in the iteration to come."""
        return self.recipe.exploration.at(self.done / self.total)

    @property
    def columns(self) -> dict[str, Any]:
        """The iteration to come, and its exploration."""
        return {"iteration": self.done + 1, "exploration": self.sigma_b}

    @property
    def policy(self) -> Network:
        """What agents play; mu shares memory with the advantage network."""
        return mu_network(self.advantage.network, self.game.action_dim) if self.actor is None else self.actor.network

    def weights(self) -> dict[str, Tensor]:
        """All weights by name, ``[K, ...]``, without gradients, sharing memory."""
        networks = {"advantage": self.advantage, "value": self.value, "actor": self.actor}
        return {
            name: tensor.detach()
            for of, learner in networks.items()
            if learner is not None
            for name, tensor in learner.network.state_dict(of).items()
        }

    def iterate(self) -> Tensor:
        """Play fresh episodes, store them, sample a minibatch, update.

        Returns :meth:`update`'s statistics, and whether a member's weights were reset: ``[5, K]``, double precision.
        """
        normals, exploration, uniforms = self.noise.draw(self._leaves, self.done, self._device)
        exploration = exploration * (self.sigma_b * self._explores)
        episodes = self.play(self.game.shocks_from_normals(normals), exploration)
        if not self.recipe.once:
            stored = Replay.like(episodes, self.recipe.replay_episodes) if self.replay is None else self.replay
            self.replay = stored.add(episodes)
            episodes = self.replay.sample(uniforms)
        statistics = self.update(episodes, relative_rate(self.recipe, self.done / self.total))
        self.done += 1
        back = torch.zeros_like(statistics[0], dtype=torch.bool)
        if self.recipe.target is not None and self.done % self.recipe.target.refresh == 0:
            back = self.refresh_target(statistics[0], self.done)
        return torch.cat((statistics, back.unsqueeze(0))).double()

    def play(self, shocks: Shocks, exploration: Tensor) -> Episodes:
        """Fresh episodes of the policy with exploration added."""
        act = exploring(self.policy, exploration)
        return play_episodes(self.game, self.recipe.observation, act, shocks, self.recipe.critic)

    def update(self, episodes: Episodes, rate: float = 1.0) -> Tensor:
        """One optimiser step over theta_V, then one over theta_A, each with the other held fixed (Algorithm 1).

        V(x') is a constant in either step. A projected policy, whose actions pi are not mu, has the value V of
        playing pi: A(x; u) - A(x; pi) is what u gains over it; a third step fits it anew. ``rate`` multiplies the
        learning rate.

        Returns:
            Per member, ``[4, K]``: the total loss, which is (17) before the step of V plus (17) before the step of A,
            with the penalty both times (what the released code prints, and stops by); (17) before either step; the
            penalty; the mean absolute psi.
        """
        recipe, seen = self.recipe, episodes.seen_by_critic
        agents, rewards = recipe.learners, episodes.rewards[..., recipe.learners]
        observed = episodes.observation if self.actor is None else seen
        network = self.advantage.network
        advantage, parameters = advantage_of(
            network, observed, episodes.actions, agents, recipe.opponent_gradient, recipe.p11
        )
        played = None
        if self.actor is not None:
            played = self.actor.network(episodes.observation, agents)
            advantage = advantage - deviation_advantage(played.detach(), parameters, recipe.opponent_gradient)

        values = self.value.network(seen, agents).squeeze(-1)
        fixed = None if self.target is None else bootstrap(self.game, rewards, self._values(self.target, seen))
        target = bootstrap(self.game, rewards, values.detach()) if fixed is None else fixed
        loss = member_sum((values + advantage.detach() - target).square())
        self.value.step(loss.sum(), rate)

        values = self._values(self.value.network, seen)
        target = bootstrap(self.game, rewards, values) if fixed is None else fixed
        penalty = member_sum(recipe.penalty(parameters.psi))
        after = member_sum((values + advantage - target).square())
        self.advantage.step((after + penalty).sum(), rate)
        if self.actor is not None and played is not None:
            self.actor.step(self._projection(played, parameters).sum(), rate)
        psi_abs = parameters.psi.abs().flatten(1).mean(1)
        return torch.stack((loss + after + 2 * penalty, loss, penalty, psi_abs)).detach()

    def _projection(self, played: Tensor, parameters: Parameters) -> Tensor:
        """What the actor minimises, summed per member: over agent 0's samples of solo episodes, if there are such."""
        gap = projection_loss(played, parameters)
        if self.recipe.explorers == "half":
            gap = gap[:, self.recipe.solo, :, :1]
        return member_sum(gap)

    def _values(self, network: Network, seen: Observation) -> Tensor:
        """V ``[K, E, M, n]`` without gradients."""
        with torch.no_grad():
            return network(seen, self.recipe.learners).squeeze(-1)

    @torch.no_grad()
    def refresh_target(self, total_loss: Tensor, done: int) -> Tensor:
        """After ``done`` iterations: keep good weights, take them back where training exploded, copy V to the target.

        ``total_loss`` ``[K]`` is that of the last iteration. Returns whether a member went back, ``[K]``.
        """
        assert self.recipe.target is not None
        resets, back = self.recipe.target.resets, torch.zeros_like(total_loss, dtype=torch.bool)
        if resets is not None and self.good is not None and done >= resets.after:
            good, back = total_loss < resets.good_below, ~(total_loss < resets.above)  # NaN is an explosion too
            for learner, kept in zip((self.advantage, self.value), self.good, strict=True):
                for current, remembered in zip(learner.network.parameters, kept.parameters, strict=True):
                    like = (-1, *[1] * (current.dim() - 1))
                    remembered.copy_(torch.where(good.view(like), current, remembered))
                    current.copy_(torch.where(back.view(like), remembered, current))
        self.target = self.value.snapshot()
        return back


def train(
    game: Game,
    recipe: NashDQNRecipe,
    seeds: Sequence[int],
    device: torch.device | str = "cpu",
    checkpoint: Checkpoint | None = None,
    **meta: Any,
) -> TrainingResult:
    """Algorithm 1 for an ensemble, a member per seed.

    A member that stops early or diverges leaves the ensemble; of one that diverged, weights are returned that were
    found sound, and the record says so. ``meta`` (scenario, policy, ...) goes into the record and the weights'
    metadata. An interrupted training goes on from its ``checkpoint``.
    """
    return training.train(
        *(NashDQN(game, recipe, seeds, torch.device(device)), seeds, device, checkpoint, meta),
        watched=recipe.watched,
        counted=("resets",),
        divergence_factor=recipe.divergence_factor,
        patience=recipe.patience,
        returned=recipe.returned,
    )
