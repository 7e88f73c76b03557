"""DDPG: the best response of one agent to opponents that play a fixed policy, learned from transitions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, Protocol

import torch
from torch import Tensor

from nash_dqn.agents.episodes import Episodes, next_values, play_episodes
from nash_dqn.agents.learner import Learner
from nash_dqn.games.base import Game, Observation, ObservationSpec, Shocks, discounts
from nash_dqn.networks import GroupedNetwork, Network, create
from nash_dqn.seeding import generator
from nash_dqn.trees import Stateful, copied, tensor_map

LEARNER = slice(0, 1)
"""Where all agents are one group agent 0 learns (the paper's agent 1); the others are the opponents."""
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
    @property
    def action_scale(self) -> float | None: ...  # noqa: D102
    @property
    def returned(self) -> Literal["target", "online"]: ...  # noqa: D102
    @property
    def optimisers(self) -> Literal["renewed", "kept"]: ...  # noqa: D102


class Excursions(NamedTuple):
    """Epsilon-greedy exploration: where the learner leaves its policy, and for what (:meth:`Game.excursion`).

    Attributes:
        explore: ``[K, E, M]`` whether it does so at a step.
        normals: ``[K, E, M, d]`` standard normals, the excursion's.
        sd: spread of what it leads to; None for the game's own.
    """

    explore: Tensor
    normals: Tensor
    sd: float | None


Opponents = Callable[[Any, Observation], Tensor]
"""Actions ``[K, E, N - 1, d]`` of all agents but the learner, in their order, at a state, shown as an observation by
the learner's specification."""


class DDPG(Stateful):
    """Actor u(x) and critic Q(x, u) with target copies, for K members; the first agent of a group learns.

    The actor's network gives actions, and the critic's takes them, in units of ``scale``.
    """

    state_names = ("actor", "critic", "target_actor", "target_critic")

    def __init__(
        self, game: Game, settings: DDPGSettings, seeds: Sequence[int], device: torch.device, group: int = 0
    ) -> None:
        self.game, self.settings = game, settings
        first = game.groups[group].start
        self.learner = slice(first, first + 1)
        self.discount = discounts(game)[first]
        self.scale = game.action_scale if settings.action_scale is None else settings.action_scale
        own, items = game.observation_size(settings.observation)

        def learner(name: str, inputs: int, hidden: Sequence[int], outputs: int) -> Learner[Network]:
            streams = [generator(seed, "ddpg", "initialisation", name) for seed in seeds]
            network = create(game.groups, inputs, items, settings.phi_hidden, hidden, outputs, streams)
            if isinstance(network, GroupedNetwork):  # its own group's alone
                network = GroupedNetwork((network.networks[group],))
            network = tensor_map(lambda t: t.to(device), network)
            return Learner.create(network, settings.learning_rate, settings.weight_decay, settings.gradient_clip)

        self.actor = learner("actor", own, settings.actor_hidden, game.action_dim)
        self.critic = learner("critic", own + game.action_dim, settings.critic_hidden, 1)
        self.target_actor = self.actor.snapshot()
        self.target_critic = self.critic.snapshot()

    @property
    def found(self) -> tuple[Network, Network]:
        """What a best response returns, actor and critic as they are in training; shares memory."""
        if self.settings.returned == "target":
            return self.target_actor, self.target_critic
        return self.actor.network, self.critic.network

    @property
    def policy(self) -> Network:
        """The actor that a best response returns, of which the last layer is multiplied by the scale of actions."""
        return self.found[0].with_outputs(lambda tensor: tensor * self.scale)

    def restart(self) -> None:
        """Begin another best response where the last one ended: all networks are what it returned."""
        actor, critic = (copied(network) for network in self.found)
        renew = self.settings.optimisers == "renewed"
        self.actor, self.critic = self.actor.with_network(actor, renew), self.critic.with_network(critic, renew)
        self.target_actor, self.target_critic = actor, critic

    def play(self, opponents: Opponents, shocks: Shocks, excursions: Excursions) -> Episodes:
        """Fresh episodes of the exploring learner against the opponents."""
        game, actor, bound = self.game, self.actor.network, self.settings.action_bound
        explore = excursions.explore.unsqueeze(-1).unsqueeze(-1).unbind(2)
        normals, learner, scale = excursions.normals.unsqueeze(-2).unbind(2), self.learner, self.scale

        def act(state: Any, observation: Observation) -> Tensor:
            m = state.step
            away = game.excursion(state, normals[m], excursions.sd)[..., learner, :]
            action = torch.where(explore[m], away, scale * actor(observation, learner)).clamp_(-bound, bound)
            if game.n_agents == 1:
                return action
            others = opponents(state, observation)
            return torch.cat((others[..., : learner.start, :], action, others[..., learner.start :, :]), -2)

        return play_episodes(game, self.settings.observation, act, shocks)

    def update(self, episodes: Episodes) -> Tensor:
        """One step of the critic, one of the actor, and the targets' move towards them.

        Returns the critic's mean squared error before its step and the mean return of the learner, ``[2, K]``.
        """
        observation = episodes.observation
        rewards = episodes.rewards[..., self.learner]
        with torch.no_grad():
            action = self.target_actor(observation, self.learner)  # not clipped, as in the released code
            values = self.target_critic(observation, self.learner, action).squeeze(-1)
            target = torch.add(rewards, next_values(values), alpha=self.discount)

        played = episodes.actions[..., self.learner, :] / self.scale
        quality = self.critic.network(observation, self.learner, played).squeeze(-1)
        error = (quality - target).square().flatten(1).mean(1)
        self.critic.step(error.sum())

        action = self.actor.network(observation, self.learner)
        quality = self.critic.network(observation, self.learner, action)
        self.actor.step(-quality.flatten(1).mean(1).sum())

        rate = self.settings.target_rate
        with torch.no_grad():
            for online, target_network in ((self.actor, self.target_actor), (self.critic, self.target_critic)):
                torch._foreach_lerp_(target_network.parameters, online.network.parameters, rate)
        return torch.stack((error, rewards.sum((2, 3)).mean(1))).detach()
