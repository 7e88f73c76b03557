"""Nash-DQN, Algorithm 1: an actor-critic whose Q is locally linear-quadratic, so that mu is its Nash point.

The theory's state is visible; the experiment's inventories are not. Agents that play mu of what they see take V of it
for the value of a state, which it is not. A projected policy does without: Q is a function of the whole state, which
only its training sees, and what agents play is its Nash point as far as they can see it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from nash_dqn.advantage import (
    AdvantageParameters,
    GroupedParameters,
    grouped_advantage,
    grouped_output_size,
    label_invariant_advantage,
    output_size,
    unpack,
    unpack_groups,
)
from nash_dqn.agents.episodes import Act, Episodes, Replay, bootstrap, play_episodes
from nash_dqn.agents.learner import Learner
from nash_dqn.agents.monitor import Monitor
from nash_dqn.agents.noise import Leaf, Noise
from nash_dqn.agents.result import Run, TrainingResult
from nash_dqn.agents.snapshots import Snapshots
from nash_dqn.checkpoint import Checkpoint, resumed
from nash_dqn.games.base import Game, Observation, ObservationSpec, Shocks
from nash_dqn.grouped_networks import GroupedNetwork, create, from_state, to_state
from nash_dqn.networks import Network
from nash_dqn.policy import mu_network
from nash_dqn.seeding import generator
from nash_dqn.settings.nash_dqn import Exploration as Exploration
from nash_dqn.settings.nash_dqn import NashDQNRecipe as NashDQNRecipe
from nash_dqn.settings.nash_dqn import P11Form
from nash_dqn.settings.nash_dqn import Penalty as Penalty
from nash_dqn.settings.nash_dqn import Resets as Resets
from nash_dqn.settings.nash_dqn import Target as Target

LOSS_EPISODES = 10
"""Losses are summed over the samples of this many episodes: the normalisation of the published loss axis."""


Parameters = AdvantageParameters | GroupedParameters


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


def advantage_of(
    network: Network,
    seen: Observation,
    actions: Tensor,
    agents: slice = slice(None),
    opponent_gradient: bool = True,
    p11: P11Form = "cholesky",
) -> tuple[Tensor, Parameters]:
    """A(x; u) ``[K, E, M, n]`` of these agents' actions while the others play mu, and the parameters.

    ``actions`` are ``[K, E, M, N, d]``. Without ``opponent_gradient`` the deviations delta_{-i} are constants. With a
    network for each group, of all agents.
    """
    raw, d = network(seen, agents), actions.shape[-1]
    parameters: Parameters
    if isinstance(network, GroupedNetwork):
        parameters = unpack_groups(raw, d, network.groups, p11)
    else:
        parameters = unpack(raw, d, p11)
    return deviation_advantage(actions[..., agents, :], parameters, opponent_gradient), parameters


def deviation_advantage(actions: Tensor, parameters: Parameters, opponent_gradient: bool) -> Tensor:
    """(15), or between groups its counterpart, at delta = u - mu: actions ``[..., n, d] -> [..., n]``."""
    delta = actions - parameters.mu
    opponents = delta if opponent_gradient else delta.detach()
    if isinstance(parameters, GroupedParameters):
        return grouped_advantage(delta, parameters, opponents)
    return label_invariant_advantage(delta, parameters, opponents)


def projection_loss(policy: Tensor, parameters: Parameters) -> Tensor:
    """|pi(o) - mu(x)|^2_{P11} of a policy's actions ``[..., n, d] -> [..., n]``, mu and P11 constants.

    With the others at mu, V less this is what an agent's action pi(o) is worth at x, so that its mean over what the
    agent cannot see is best at the best reply to o.
    """
    gap = policy - parameters.mu.detach()
    return torch.einsum("...a,...ab,...b->...", gap, parameters.p11.detach(), gap)


def member_sum(samples: Tensor) -> Tensor:
    """Sum of ``[K, E, M, n]`` over a member's samples, scaled to :data:`LOSS_EPISODES` episodes: ``[K]``."""
    return samples.flatten(1).sum(1) * (LOSS_EPISODES / samples.shape[1])


class NashDQN:
    """The networks of A, V and a projected policy, and one iteration's updates, for the members still training."""

    def __init__(self, game: Game, recipe: NashDQNRecipe, seeds: Sequence[int], device: torch.device) -> None:
        if len(game.groups) > 1 and (recipe.policy != "nash" or recipe.explorers != "all"):
            raise ValueError(
                f"policy = {recipe.policy!r}, explorers = {recipe.explorers!r}: in a game of {len(game.groups)} groups "
                "allowed are 'nash' and 'all'"
            )
        self.game, self.recipe = game, recipe

        agents_see, critic_sees = recipe.observation, recipe.critic or recipe.observation

        def learner(
            name: str, sees: ObservationSpec, hidden: Sequence[int], outputs: int, degree: int
        ) -> Learner[Network]:
            own, items = game.observation_size(sees)
            streams = [generator(seed, "nash_dqn", "initialisation", name) for seed in seeds]
            skip = (game.n_steps, degree) if recipe.skip_terms else None
            network = create(game.groups, own, items, recipe.phi_hidden, hidden, outputs, streams, skip)
            network = network.map(lambda t: t.to(device))
            return Learner(network, recipe.learning_rate, recipe.weight_decay, recipe.gradient_clip, recipe.adam_beta2)

        sees, groups, d = critic_sees if recipe.policy == "projected" else agents_see, len(game.groups), game.action_dim
        size = output_size(d) if groups == 1 else grouped_output_size(d, groups)
        self.advantage = learner("advantage", sees, recipe.advantage_hidden, size, degree=1)
        self.value = learner("value", critic_sees, recipe.value_hidden, 1, degree=2)
        self.target: Network | None = None
        if recipe.target is not None and recipe.target.start == "random":
            self.target = learner("target", critic_sees, recipe.value_hidden, 1, degree=2).snapshot()
        elif recipe.target is not None:
            self.target = self.value.snapshot()
        self._good: tuple[Network, Network] | None = None
        if recipe.target is not None and recipe.target.resets is not None:
            self._good = self.advantage.snapshot(), self.value.snapshot()
        self.actor: Learner[Network] | None = None
        if recipe.policy == "projected":
            self.actor = learner("actor", agents_see, recipe.advantage_hidden, game.action_dim, degree=1)

    @property
    def policy(self) -> Network:
        """What agents play; mu shares memory with the advantage network."""
        return mu_network(self.advantage.frozen, self.game.action_dim) if self.actor is None else self.actor.frozen

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

        values = self._values(self.value.frozen, seen)
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

    def refresh_target(self, total_loss: Tensor, done: int) -> Tensor:
        """After ``done`` iterations: keep good weights, take them back where training exploded, copy V to the target.

        ``total_loss`` ``[K]`` is that of the last iteration. Returns whether a member went back, ``[K]``.
        """
        assert self.recipe.target is not None
        resets, back = self.recipe.target.resets, torch.zeros_like(total_loss, dtype=torch.bool)
        if resets is not None and self._good is not None and done >= resets.after:
            good, back = total_loss < resets.good_below, ~(total_loss < resets.above)  # NaN is an explosion too
            for learner, kept in zip((self.advantage, self.value), self._good, strict=True):
                for current, remembered in zip(learner.frozen.parameters, kept.parameters, strict=True):
                    like = (-1, *[1] * (current.dim() - 1))
                    remembered.copy_(torch.where(good.view(like), current, remembered))
                    current.copy_(torch.where(back.view(like), remembered, current))
        self.target = self.value.snapshot()
        return back

    def select(self, members: Sequence[int]) -> None:
        """Keep only some members."""
        if self._good is not None:
            advantage, value = (network.map(lambda t: t[list(members)]) for network in self._good)
            self._good = advantage, value
        for part in (self.advantage, self.value, self.actor):
            if part is not None:
                part.select(members)
        if self.target is not None:
            self.target = self.target.map(lambda t: t[list(members)])

    def state(self) -> dict[str, Any]:
        """Networks, optimiser states, target and good weights, sharing memory."""
        return {
            "good": None if self._good is None else [to_state(network) for network in self._good],
            "advantage": self.advantage.state(),
            "value": self.value.state(),
            "actor": None if self.actor is None else self.actor.state(),
            "target": None if self.target is None else to_state(self.target),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from such a state."""
        self.advantage.restore(state["advantage"])
        self.value.restore(state["value"])
        if self.actor is not None:
            self.actor.restore(state["actor"])
        if self.target is not None:
            self.target = from_state(state["target"])
        if self._good is not None:
            advantage, value = (from_state(network) for network in state["good"])
            self._good = advantage, value

    def weights(self) -> dict[str, Tensor]:
        """All weights by name, ``[K, ...]``, sharing memory."""
        networks = {"advantage": self.advantage, "value": self.value, "actor": self.actor}
        return {
            name: tensor
            for of, learner in networks.items()
            if learner is not None
            for name, tensor in learner.frozen.state_dict(of).items()
        }


class Trainer:
    """Algorithm 1, iteration by iteration, for the members still training."""

    def __init__(self, game: Game, recipe: NashDQNRecipe, seeds: Sequence[int], device: torch.device) -> None:
        self.game, self.recipe = game, recipe
        self.agent = NashDQN(game, recipe, seeds, device)
        leaves: dict[str, Leaf] = {
            "environment": (torch.randn, (recipe.episodes_per_iteration, game.normals_per_episode)),
            "exploration": (
                torch.randn,
                (recipe.episodes_per_iteration, game.n_steps, game.n_agents, game.action_dim),
            ),
            "replay": (torch.rand, (recipe.minibatch_episodes,)),
        }
        self._noise = Noise(seeds, "nash_dqn", leaves, device)
        self._replay = None if recipe.once else Replay(recipe.replay_episodes)
        self._explores = torch.ones(recipe.episodes_per_iteration, 1, game.n_agents, 1, device=device)
        self._explores[recipe.solo, :, 1:] = 0.0
        self.done = 0

    @property
    def sigma_b(self) -> float:
        """Standard deviation of the exploration in the iteration to come."""
        return self.recipe.exploration.at(self.done / self.recipe.iterations)

    @property
    def transitions(self) -> int:
        """Joint transitions played so far."""
        return self.done * self.recipe.episodes_per_iteration * self.game.n_steps

    def iterate(self) -> Tensor:
        """Play fresh episodes, store them, sample a minibatch, update.

        Returns :meth:`NashDQN.update`'s statistics, and whether a member's weights were reset: ``[5, K]``.
        """
        normals, exploration, uniforms = self._noise.draw(self.done)
        exploration = exploration * (self.sigma_b * self._explores)
        episodes = self.agent.play(self.game.shocks_from_normals(normals), exploration)
        if self._replay is not None:
            self._replay.add(episodes)
            episodes = self._replay.sample(uniforms)
        statistics = self.agent.update(episodes, self.recipe.rate(self.done / self.recipe.iterations))
        self.done += 1
        back = torch.zeros_like(statistics[0], dtype=torch.bool)
        if self.recipe.target is not None and self.done % self.recipe.target.refresh == 0:
            back = self.agent.refresh_target(statistics[0], self.done)
        return torch.cat((statistics, back.unsqueeze(0)))

    def select(self, members: Sequence[int]) -> None:
        """Keep only some members."""
        for part in (self.agent, self._noise, self._replay):
            if part is not None:
                part.select(members)

    def state(self) -> dict[str, Any]:
        """How far it is, and what the rest depends on."""
        return {
            "done": self.done,
            "total": self.recipe.iterations,
            "agent": self.agent.state(),
            "noise": self._noise.state(),
            "replay": None if self._replay is None else self._replay.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from such a state."""
        self.done = state["done"]
        self.agent.restore(state["agent"])
        self._noise.restore(state["noise"])
        if self._replay is not None:
            self._replay.restore(state["replay"])


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
    found sound, and the record says so. ``meta`` (scenario, recipe, ...) goes into the record and the weights'
    metadata. An interrupted training goes on from its ``checkpoint``.
    """
    run = Run("nash_dqn", game, recipe, seeds, device, meta)
    trainer = Trainer(game, recipe, seeds, torch.device(device))
    monitor = Monitor(
        *(seeds, ("total_loss", "loss", "penalty", "psi_abs", "resets"), recipe.iterations, recipe.history_every),
        trainer.agent.weights(),
        counted=("resets",),
        watched=recipe.watched,
        divergence_factor=recipe.divergence_factor,
        patience=recipe.patience,
        returned=recipe.returned,
    )
    snapshots = Snapshots(seeds)
    keep = resumed(checkpoint, run=run, trainer=trainer, monitor=monitor, snapshots=snapshots)
    while monitor.active and trainer.done < recipe.iterations:
        keep()
        sigma_b = trainer.sigma_b
        monitor.add(trainer.iterate(), trainer.agent.weights)
        if snapshots.due(trainer.transitions):
            snapshots.take(trainer.transitions, monitor.active, trainer.agent.policy)
        if monitor.due(trainer.done):
            columns = {"iteration": trainer.done, "exploration": sigma_b}
            kept = monitor.check(trainer.done, trainer.transitions, trainer.agent.weights, **columns)
            if len(kept) < len(monitor.active):
                monitor.select(kept)
                trainer.select(kept)

    return run.result(monitor.weights(), snapshots, monitor.history(), monitor.record())
