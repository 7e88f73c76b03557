"""Fictitious play, Algorithm 2: DDPG best responses, each against the policies found before.

Where agents differ, an iteration has a best response of each group, all against the same past policies.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from nash_dqn.agents import training
from nash_dqn.agents.ddpg import DDPG, LEARNER, Excursions, Opponents
from nash_dqn.agents.noise import Leaves, Noise
from nash_dqn.agents.training import TrainingResult
from nash_dqn.checkpoint import Checkpoint
from nash_dqn.games.base import Game, Observation
from nash_dqn.networks import ActionMap, GroupedNetwork, Network
from nash_dqn.settings.fictitious_play import EpsilonGreedy as EpsilonGreedy
from nash_dqn.settings.fictitious_play import FictitiousPlayRecipe
from nash_dqn.trees import copied, tensor_map

Recipe = FictitiousPlayRecipe


class FictitiousPlay(training.Algorithm):
    """Algorithm 2, epoch by epoch, for the members still training.

    Attributes:
        agents: a learner of each group.
        past: what the opponents play: None, no trading, before there is a best response; the last best response's
            actor; or those of all, along dimension 1, of which each episode draws one (or no trading).
    """

    name = "fictitious_play"
    statistics = ("critic_loss", "reward")
    state_names = ("done", "agents", "past", "noises")

    def __init__(self, game: Game, recipe: FictitiousPlayRecipe, seeds: Sequence[int], device: torch.device) -> None:
        self.game, self.recipe, self.bound, self._device = game, recipe, recipe.action_bound, device
        self.agents = [DDPG(game, recipe, seeds, device, group) for group in range(len(game.groups))]
        self.past: ActionMap | None = None
        episodes = recipe.episodes_per_epoch
        self._leaves: Leaves = {
            "environment": (torch.randn, (episodes, game.normals_per_episode)),
            "explore": (torch.rand, (episodes, game.n_steps)),
            "target": (torch.randn, (episodes, game.n_steps, game.action_dim)),
            "opponents": (torch.rand, (episodes,)),
        }
        names = [self.name, *(f"{self.name}, group {g}" for g in range(1, len(game.groups)))]
        self.noises = [Noise.create(seeds, name, self._leaves) for name in names]

    @property
    def total(self) -> int:
        """Epochs of the whole training."""
        return self.recipe.total_epochs

    @property
    def transitions(self) -> int:
        """Joint transitions played so far."""
        return self.done * self.recipe.episodes_per_epoch * self.game.n_steps * len(self.agents)

    @property
    def columns(self) -> dict[str, Any]:
        """The best response that the epoch to come belongs to, and that epoch."""
        return {"iteration": self.recipe.position(self.done)[0], "epoch": self.done + 1}

    @property
    def policy(self) -> Network:
        """What the best response at hand would return as it stands, for every agent of the learners' groups to play."""
        return _joined([agent.policy for agent in self.agents])

    @property
    def has_policy(self) -> bool:
        """In the first best response, and at the end of each later one: in between Algorithm 2 has no policy."""
        return self.done <= self.recipe.first_epochs or self.recipe.position(self.done)[1] == 0

    def weights(self) -> dict[str, Tensor]:
        """Weights of what the best response at hand would return, by name, ``[K, ...]``, without gradients."""
        critic = _joined([agent.found[1] for agent in self.agents])
        named = {**self.policy.state_dict("actor"), **critic.state_dict("critic")}
        return {name: tensor.detach() for name, tensor in named.items()}

    def iterate(self) -> Tensor:
        """One DDPG epoch; where the last one ended a best response, another one begins."""
        response, epoch = self.recipe.position(self.done)
        if response and epoch == 0:
            self.remember(copied(self.policy))
            for agent in self.agents:
                agent.restart()
        return self.epoch(epoch / (self.recipe.epochs if response else self.recipe.first_epochs)).double()

    def epoch(self, fraction: float) -> Tensor:
        """One DDPG epoch after a fraction, in [0, 1), of the current best response.

        Returns :meth:`DDPG.update`'s statistics, their mean over the groups.
        """
        statistics = []
        for agent, noise in zip(self.agents, self.noises, strict=True):
            normals, uniforms, targets, draws = noise.draw(self._leaves, self.done, self._device)
            exploration = self.recipe.exploration
            excursions = Excursions(uniforms < exploration.at(fraction), targets, exploration.target_sd)
            opponents = self.opponents(draws, agent.learner)
            episodes = agent.play(opponents, self.game.shocks_from_normals(normals), excursions)
            statistics.append(agent.update(episodes))
        self.done += 1
        return statistics[0] if len(statistics) == 1 else torch.stack(statistics).mean(0)

    def remember(self, actor: ActionMap) -> None:
        """The opponents may play this policy from now on, a network ``[K, ...]``."""
        if self.recipe.opponents == "average":
            actor = tensor_map(lambda tensor: tensor.unsqueeze(1), actor)
            if self.past is not None:
                actor = tensor_map(lambda *tensors: torch.cat(tensors, 1), self.past, actor)
        self.past = actor

    def opponents(self, draws: Tensor, learner: slice = LEARNER) -> Opponents:
        """The opponents' actions in an epoch; ``draws`` ``[K, E]`` in [0, 1) choose their policy in each episode."""
        past, bound, d = self.past, self.recipe.action_bound, self.game.action_dim
        if past is None:
            return lambda _, seen: seen.own.new_zeros(*seen.own.shape[:-2], seen.own.shape[-2] - 1, d)
        if self.recipe.opponents == "last":
            return lambda _, observation: _others(past, observation, learner).clamp(-bound, bound)

        # Each episode its own network: members and episodes together form an ensemble of K E networks.
        choice = (draws * (1 + past.parameters[0].shape[1])).long()
        trades = (choice > 0)[..., None, None]
        rows = torch.arange(choice.shape[0], device=choice.device).unsqueeze(1)
        index = (choice - 1).clamp(min=0)
        networks = tensor_map(lambda tensor: tensor[rows, index].flatten(0, 1), past)

        def act(_: Any, observation: Observation) -> Tensor:
            flat = tensor_map(lambda leaf: leaf.flatten(0, 1).unsqueeze(1), observation)
            actions = _others(networks, flat, learner).squeeze(1).unflatten(0, choice.shape)
            return torch.where(trades, actions.clamp(-bound, bound), torch.zeros_like(actions))

        return act


def _others(actor: ActionMap, observation: Observation, learner: slice) -> Tensor:
    """Actions of all agents but the learner."""
    after = actor(observation, slice(learner.stop, None))
    return after if learner.start == 0 else torch.cat((actor(observation, slice(0, learner.start)), after), -2)


def _joined(networks: Sequence[Network]) -> Network:
    """The groups' networks as one."""
    groups = [network for of in networks if isinstance(of, GroupedNetwork) for network in of.networks]
    return GroupedNetwork(tuple(groups)) if groups else networks[0]


def train(
    game: Game,
    recipe: FictitiousPlayRecipe,
    seeds: Sequence[int],
    device: torch.device | str = "cpu",
    checkpoint: Checkpoint | None = None,
    **meta: Any,
) -> TrainingResult:
    """Algorithm 2 for an ensemble, a member per seed; the policy is that of the last best response.

    A member that diverges leaves the ensemble with its weights of the last check that found it sound, and the record
    says so. ``meta`` (scenario, policy, ...) goes into the record and the metadata of the
    weights. An interrupted training goes on from its ``checkpoint``.
    """
    return training.train(
        *(FictitiousPlay(game, recipe, seeds, torch.device(device)), seeds, device, checkpoint, meta),
        watched="critic_loss",
        largest_loss=recipe.largest_loss,
    )
