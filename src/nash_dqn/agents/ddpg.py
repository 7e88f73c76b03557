"""DDPG: the best response of agent 0 to opponents that play a fixed policy, learned from transitions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from nash_dqn.agents.episodes import Episodes, next_values, play_episodes
from nash_dqn.agents.learner import Learner
from nash_dqn.games.base import Observation, ObservationSpec
from nash_dqn.games.market import Market, MarketState, Shocks
from nash_dqn.networks import ObservationNetwork
from nash_dqn.seeding import generator

LEARNER = slice(0, 1)
"""Agent 0 learns (the paper's agent 1); the others are the opponents."""
OPPONENTS = slice(1, None)


class DDPGSettings(Protocol):
    """What DDPG needs of a recipe; :class:`nash_dqn.agents.fictitious_play.FictitiousPlayRecipe` documents each."""

    @property
    def observation(self) -> ObservationSpec: ...  # noqa: D102
    @property
    def actor_hidden(self) -> Sequence[int]: ...  # noqa: D102
    @property
    def critic_hidden(self) -> Sequence[int]: ...  # noqa: D102
    @property
    def phi_hidden(self) -> Sequence[int]: ...  # noqa: D102
    @property
    def learning_rate(self) -> float: ...  # noqa: D102
    @property
    def weight_decay(self) -> float: ...  # noqa: D102
    @property
    def gradient_clip(self) -> float | None: ...  # noqa: D102
    @property
    def target_rate(self) -> float: ...  # noqa: D102
    @property
    def action_bound(self) -> float: ...  # noqa: D102


class Excursions(NamedTuple):
    """Epsilon-greedy exploration: where agent 0 leaves its policy and heads for a random inventory instead.

    Attributes:
        explore: ``[K, E, M]`` whether it does so at a step.
        target: ``[K, E, M]`` the inventory, approached at the constant rate that would arrive at the horizon.
    """

    explore: Tensor
    target: Tensor


Opponents = Callable[[MarketState, Observation], Tensor]
"""Actions ``[K, E, N - 1, d]`` of agents 1..N-1 at a state, shown as an observation by the learner's specification."""


class DDPG:
    """Actor u(x) and critic Q(x, u) with target copies, for K members."""

    def __init__(self, game: Market, settings: DDPGSettings, seeds: Sequence[int], device: torch.device) -> None:
        self.game, self.settings = game, settings
        own, items = game.observation_size(settings.observation)

        def learner(name: str, inputs: int, hidden: Sequence[int], outputs: int) -> Learner[ObservationNetwork]:
            streams = [generator(seed, "ddpg", "initialisation", name) for seed in seeds]
            network = ObservationNetwork.create(inputs, items, settings.phi_hidden, hidden, outputs, streams)
            network = network.map(lambda t: t.to(device))
            return Learner(network, settings.learning_rate, settings.weight_decay, settings.gradient_clip)

        self.actor = learner("actor", own, settings.actor_hidden, game.action_dim)
        self.critic = learner("critic", own + game.action_dim, settings.critic_hidden, 1)
        self.target_actor = self.actor.snapshot()
        self.target_critic = self.critic.snapshot()

    def play(self, opponents: Opponents, shocks: Shocks, excursions: Excursions) -> Episodes:
        """Fresh episodes of the exploring learner against the opponents."""
        game, actor, bound = self.game, self.actor.frozen, self.settings.action_bound
        explore, target = (leaf.unsqueeze(-1).unsqueeze(-1).unbind(2) for leaf in excursions)

        def act(state: MarketState, observation: Observation) -> Tensor:
            m = state.step
            heading = (target[m] - state.inventory[..., LEARNER].unsqueeze(-1)) / (game.horizon - m * game.dt)
            action = torch.where(explore[m], heading, actor(observation, LEARNER)).clamp_(-bound, bound)
            return action if game.n_agents == 1 else torch.cat((action, opponents(state, observation)), -2)

        return play_episodes(game, self.settings.observation, act, shocks)

    def update(self, episodes: Episodes) -> Tensor:
        """One step of the critic, one of the actor, and the targets' move towards them.

        Returns the critic's mean squared error before its step and the mean return of the learner, ``[2, K]``.
        """
        observation, bound = episodes.observation, self.settings.action_bound
        scale = self.game.scales.rate
        rewards = episodes.rewards[..., LEARNER]
        with torch.no_grad():
            action = self.target_actor(observation, LEARNER).clamp_(-bound, bound)
            values = self.target_critic(observation, LEARNER, action / scale).squeeze(-1)
            target = torch.add(rewards, next_values(values), alpha=self.game.discount)

        played = episodes.actions[..., LEARNER, :] / scale
        quality = self.critic.network(observation, LEARNER, played).squeeze(-1)
        error = (quality - target).square().flatten(1).mean(1)
        self.critic.step(error.sum())

        action = self.actor.network(observation, LEARNER)
        quality = self.critic.frozen(observation, LEARNER, action / scale)
        self.actor.step(-quality.flatten(1).mean(1).sum())

        rate = self.settings.target_rate
        for online, target_network in ((self.actor, self.target_actor), (self.critic, self.target_critic)):
            torch._foreach_lerp_(target_network.parameters, online.frozen.parameters, rate)
        return torch.stack((error, rewards.sum((2, 3)).mean(1))).detach()

    def select(self, members: Sequence[int]) -> None:
        """Keep only some members."""
        index = list(members)
        self.actor.select(index)
        self.critic.select(index)
        self.target_actor = self.target_actor.map(lambda t: t[index])
        self.target_critic = self.target_critic.map(lambda t: t[index])
