"""Episodes as the trainers see them: played, stored, replayed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from nash_dqn.games.base import Game, Observation, ObservationSpec, Shocks, discounts
from nash_dqn.trees import tensor_map


class Episodes(NamedTuple):
    """Transitions of whole episodes, time along dimension 2: x' of step m is x of step m + 1.

    Attributes:
        observation: what agents saw, ``[K, E, M, N, F]``, and items.
        critic: what a centralised critic sees, in the same form, or None where it sees no more than the agents.
        actions: ``[K, E, M, N, d]`` actions played.
        rewards: ``[K, E, M, N]``.
    """

    observation: Observation
    critic: Observation | None
    actions: Tensor
    rewards: Tensor

    @property
    def seen_by_critic(self) -> Observation:
        """What the value network sees."""
        return self.observation if self.critic is None else self.critic


Act = Callable[[Any, Observation], Tensor]
"""Every agent's action ``[K, E, N, d]`` at a state, seen as an observation."""


def play_episodes(
    game: Game, spec: ObservationSpec, act: Act, shocks: Shocks, critic: ObservationSpec | None = None
) -> Episodes:
    """Play whole episodes, shocks ``[K, E, ...]``, and record their transitions, without gradients."""
    steps = []
    with torch.no_grad():
        state = game.reset(shocks)
        for _ in range(game.n_steps):
            observation = game.observe(state, spec)
            central = None if critic is None else game.observe(state, critic)
            action = act(state, observation)
            state, reward = game.step(state, action, shocks)
            steps.append((observation, central, action, reward))
        observations, centrals, actions, rewards = zip(*steps, strict=True)
        return Episodes(
            _stack(observations),
            None if critic is None else _stack(centrals),
            torch.stack(actions, 2),
            torch.stack(rewards, 2),
        )


def _stack(observations: Sequence[Observation]) -> Observation:
    """Observations of all steps, along dimension 2."""
    own = torch.stack([observation.own for observation in observations], 2)
    items = [observation.items for observation in observations if observation.items is not None]
    return Observation(own, torch.stack(items, 2) if items else None)


class Replay(NamedTuple):
    """Replay buffer D of whole episodes, a ring for each member.

    Attributes:
        store: leaves ``[K, capacity, ...]``.
        size: episodes in it.
        next: where the next one goes.
    """

    store: Episodes
    size: int = 0
    next: int = 0

    @staticmethod
    def like(episodes: Episodes, capacity: int) -> Replay:
        """An empty one for such episodes."""
        return Replay(tensor_map(lambda leaf: leaf.new_zeros(leaf.shape[0], capacity, *leaf.shape[2:]), episodes))

    def add(self, episodes: Episodes) -> Replay:
        """With E episodes over the oldest, in the same memory."""
        capacity, count = self.store.rewards.shape[1], episodes.rewards.shape[1]
        slots = (self.next + torch.arange(count, device=episodes.rewards.device)) % capacity

        def put(store: Tensor, leaf: Tensor) -> Tensor:
            store[:, slots] = leaf
            return store

        store = tensor_map(put, self.store, episodes)
        return Replay(store, min(self.size + count, capacity), (self.next + count) % capacity)

    def sample(self, uniforms: Tensor) -> Episodes:
        """Episodes with replacement: ``[K, E]`` uniforms in [0, 1) choose each member's."""
        slots = (uniforms * self.size).long()
        rows = torch.arange(slots.shape[0], device=slots.device).unsqueeze(1)
        return tensor_map(lambda leaf: leaf[rows, slots], self.store)


def next_values(values: Tensor) -> Tensor:
    """V(x') along the episode: values ``[K, E, M, ...]`` one step later, zero at the end of the horizon."""
    return torch.cat((values[:, :, 1:], torch.zeros_like(values[:, :, :1])), 2)


def bootstrap(game: Game, rewards: Tensor, values: Tensor) -> Tensor:
    """Targets r + gamma V(x'), ``[K, E, M, N]``; where agents discount alike, of some of them, ``[K, E, M, n]``."""
    if isinstance(game.discount, int | float):
        return torch.add(rewards, next_values(values), alpha=game.discount)
    return torch.addcmul(rewards, next_values(values), rewards.new_tensor(discounts(game)))
