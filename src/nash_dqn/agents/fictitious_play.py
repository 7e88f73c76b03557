"""Fictitious play, Algorithm 2: DDPG best responses, each against the policies found before.

Where agents differ, an iteration has a best response of each group, all against the same past policies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

import torch
from torch import Tensor

from nash_dqn.agents.ddpg import DDPG, LEARNER, Excursions, Opponents
from nash_dqn.agents.monitor import Monitor
from nash_dqn.agents.noise import Leaf, Noise
from nash_dqn.agents.result import Run, TrainingResult
from nash_dqn.agents.snapshots import Snapshots
from nash_dqn.checkpoint import Checkpoint, resumed
from nash_dqn.games.base import Game, Observation
from nash_dqn.grouped_networks import GroupedNetwork, from_state, to_state
from nash_dqn.networks import ActionMap, Network
from nash_dqn.settings.fictitious_play import EpsilonGreedy as EpsilonGreedy
from nash_dqn.settings.fictitious_play import FictitiousPlayRecipe


class PastPolicies:
    """The policies the opponents may play: no trading at first, then the actor of each best response."""

    def __init__(self, mode: Literal["last", "average"], bound: float) -> None:
        self._mode, self._bound = mode, bound
        self._actors: list[ActionMap] = []
        self._stacked: ActionMap | None = None

    def __len__(self) -> int:
        return len(self._actors) + 1

    def append(self, actor: ActionMap) -> None:
        """Add the policy of a best response, a network ``[K, ...]``."""
        self._actors.append(actor)
        self._restack()

    def select(self, members: Sequence[int]) -> None:
        """Keep only some members' policies."""
        index = list(members)
        self._actors = [actor.map(lambda t: t[index]) for actor in self._actors]
        self._restack()

    def state(self) -> dict[str, Any]:
        """Each best response's actor, sharing memory; in training, where there is a state to keep, all are networks."""
        return {"actors": [to_state(cast("Network", actor)) for actor in self._actors]}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from such a state."""
        self._actors = [from_state(actor) for actor in state["actors"]]
        self._restack()

    def _restack(self) -> None:
        if self._mode == "average" and self._actors:
            first, *rest = self._actors
            self._stacked = first.map(lambda *tensors: torch.stack(tensors, 1), *rest)

    def opponents(self, draws: Tensor, learner: slice = LEARNER, action_dim: int = 1) -> Opponents:
        """The opponents' actions in an epoch; ``draws`` ``[K, E]`` in [0, 1) choose their policy in each episode."""
        if not self._actors:
            return lambda _, seen: seen.own.new_zeros(*seen.own.shape[:-2], seen.own.shape[-2] - 1, action_dim)
        if self._mode == "last":
            last = self._actors[-1]
            return lambda _, observation: _others(last, observation, learner).clamp(-self._bound, self._bound)
        return self._mixture(draws, learner)

    def _mixture(self, draws: Tensor, learner: slice) -> Opponents:
        """Each episode its own network: members and episodes together form an ensemble of K E networks."""
        choice = (draws * len(self)).long()
        trades = (choice > 0)[..., None, None]
        rows = torch.arange(choice.shape[0], device=choice.device).unsqueeze(1)
        index = (choice - 1).clamp(min=0)
        assert self._stacked is not None
        networks = self._stacked.map(lambda t: t[rows, index].flatten(0, 1))

        def act(_: Any, observation: Observation) -> Tensor:
            flat = observation.map(lambda leaf: leaf.flatten(0, 1).unsqueeze(1))
            actions = _others(networks, flat, learner).squeeze(1).unflatten(0, choice.shape)
            return torch.where(trades, actions.clamp(-self._bound, self._bound), torch.zeros_like(actions))

        return act


def _others(actor: ActionMap, observation: Observation, learner: slice) -> Tensor:
    """Actions of all agents but the learner."""
    after = actor(observation, slice(learner.stop, None))
    return after if learner.start == 0 else torch.cat((actor(observation, slice(0, learner.start)), after), -2)


def _joined(networks: Sequence[Network]) -> Network:
    """The groups' networks as one."""
    groups = [network for of in networks if isinstance(of, GroupedNetwork) for network in of.networks]
    return GroupedNetwork(tuple(groups)) if groups else networks[0]


class Trainer:
    """Algorithm 2, epoch by epoch, for the members still training."""

    def __init__(self, game: Game, recipe: FictitiousPlayRecipe, seeds: Sequence[int], device: torch.device) -> None:
        self.game, self.recipe = game, recipe
        self.agents = [DDPG(game, recipe, seeds, device, group) for group in range(len(game.groups))]
        self.past = PastPolicies(recipe.opponents, recipe.action_bound)
        episodes = recipe.episodes_per_epoch
        leaves: dict[str, Leaf] = {
            "environment": (torch.randn, (episodes, game.normals_per_episode)),
            "explore": (torch.rand, (episodes, game.n_steps)),
            "target": (torch.randn, (episodes, game.n_steps, game.action_dim)),
            "opponents": (torch.rand, (episodes,)),
        }
        names = ["fictitious_play", *(f"fictitious_play, group {g}" for g in range(1, len(game.groups)))]
        self._noises = [Noise(seeds, name, leaves, device) for name in names]
        self.done = 0

    @property
    def transitions(self) -> int:
        """Joint transitions played so far."""
        return self.done * self.recipe.episodes_per_epoch * self.game.n_steps * len(self.agents)

    @property
    def policy(self) -> Network:
        """What the best response at hand would return as it stands, for every agent of the learners' groups to play."""
        return _joined([agent.policy for agent in self.agents])

    def restart(self) -> None:
        """The best response at hand is done: its policy joins the past ones, and the next one begins."""
        self.past.append(self.policy.map(Tensor.clone))
        for agent in self.agents:
            agent.restart()

    def epoch(self, fraction: float) -> Tensor:
        """One DDPG epoch after a fraction, in [0, 1), of the current best response.

        Returns :meth:`DDPG.update`'s statistics, their mean over the groups.
        """
        statistics = []
        for agent, noise in zip(self.agents, self._noises, strict=True):
            normals, uniforms, targets, draws = noise.draw(self.done)
            exploration = self.recipe.exploration
            excursions = Excursions(uniforms < exploration.at(fraction), targets, exploration.target_sd)
            opponents = self.past.opponents(draws, agent.learner, self.game.action_dim)
            episodes = agent.play(opponents, self.game.shocks_from_normals(normals), excursions)
            statistics.append(agent.update(episodes))
        self.done += 1
        return statistics[0] if len(statistics) == 1 else torch.stack(statistics).mean(0)

    def weights(self) -> dict[str, Tensor]:
        """Weights of what the best response at hand would return, by name, ``[K, ...]``."""
        critic = _joined([agent.found[1] for agent in self.agents])
        return {**self.policy.state_dict("actor"), **critic.state_dict("critic")}

    def select(self, members: Sequence[int]) -> None:
        """Keep only some members."""
        for agent, noise in zip(self.agents, self._noises, strict=True):
            agent.select(members)
            noise.select(members)
        self.past.select(members)

    def state(self) -> dict[str, Any]:
        """How far it is, and what the rest depends on."""
        return {
            "done": self.done,
            "total": self.recipe.total_epochs,
            "agents": [agent.state() for agent in self.agents],
            "past": self.past.state(),
            "noises": [noise.state() for noise in self._noises],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from such a state."""
        self.done = state["done"]
        self.past.restore(state["past"])
        for agent, noise, of_agent, of_noise in zip(
            self.agents, self._noises, state["agents"], state["noises"], strict=True
        ):
            agent.restore(of_agent)
            noise.restore(of_noise)


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
    says so. ``meta`` (scenario, recipe, ...) goes into the record and the metadata of the
    weights. An interrupted training goes on from its ``checkpoint``.
    """
    run = Run("fictitious_play", game, recipe, seeds, device, meta, recipe.action_bound)
    trainer = Trainer(game, recipe, seeds, torch.device(device))
    monitor = Monitor(
        *(seeds, ("critic_loss", "reward"), recipe.total_epochs, recipe.history_every, trainer.weights()),
        watched="critic_loss",
        largest_loss=recipe.largest_loss,
    )
    snapshots = Snapshots(seeds)
    keep = resumed(checkpoint, run=run, trainer=trainer, monitor=monitor, snapshots=snapshots)

    def take_if_due() -> None:
        if snapshots.due(trainer.transitions):
            snapshots.take(trainer.transitions, monitor.active, trainer.policy)

    first, start = recipe.position(trainer.done)
    for iteration in range(first, recipe.iterations):
        epochs = recipe.epochs if iteration else recipe.first_epochs
        for epoch in range(start, epochs):
            if not monitor.active:
                break
            keep()
            monitor.add(trainer.epoch(epoch / epochs), trainer.weights)
            if iteration == 0:
                take_if_due()
            if monitor.due(trainer.done):
                columns = {"iteration": iteration, "epoch": trainer.done}
                kept = monitor.check(trainer.done, trainer.transitions, trainer.weights, **columns)
                if len(kept) < len(monitor.active):
                    monitor.select(kept)
                    trainer.select(kept)
        take_if_due()  # later ones at the ends of best responses: in between there is no policy of Algorithm 2
        trainer.restart()
        start = 0

    return run.result(monitor.weights(), snapshots, monitor.history(), monitor.record())
