"""Episodes as the trainers see them: played, stored, replayed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from nash_dqn.games.base import Observation, ObservationSpec
from nash_dqn.games.market import Market, MarketState, Shocks


class Episodes(NamedTuple):
    """Transitions of whole episodes, time along dimension 2: x' of step m is x of step m + 1.

    Attributes:
        own: ``[K, E, M, N, F]`` observations.
        items: ``[K, E, M, N, I]`` label-invariant items, or None.
        actions: ``[K, E, M, N, d]`` actions played.
        rewards: ``[K, E, M, N]``.
    """

    own: Tensor
    items: Tensor | None
    actions: Tensor
    rewards: Tensor

    @property
    def observation(self) -> Observation:
        """Observations of all steps."""
        return Observation(self.own, self.items)

    def map(self, function: Callable[[Tensor], Tensor]) -> Episodes:
        """Apply a function to each tensor."""
        items = None if self.items is None else function(self.items)
        return Episodes(function(self.own), items, function(self.actions), function(self.rewards))


Act = Callable[[MarketState, Observation], Tensor]
"""Every agent's action ``[K, E, N, d]`` at a state, seen as an observation."""


def play_episodes(game: Market, spec: ObservationSpec, act: Act, shocks: Shocks) -> Episodes:
    """Play whole episodes, shocks ``[K, E, ...]``, and record their transitions, without gradients."""
    steps = []
    with torch.no_grad():
        state = game.reset(shocks)
        for _ in range(game.n_steps):
            observation = game.observe(state, spec)
            action = act(state, observation)
            state, reward = game.step(state, action, shocks)
            steps.append((observation.own, observation.items, action, reward))
        own, items, actions, rewards = zip(*steps, strict=True)
        return Episodes(
            torch.stack(own, 2),
            None if items[0] is None else torch.stack(items, 2),
            torch.stack(actions, 2),
            torch.stack(rewards, 2),
        )


class Replay:
    """Replay buffer D of whole episodes, a ring of fixed capacity for each member."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.size = 0
        self._next = 0
        self._store: Episodes | None = None

    def add(self, episodes: Episodes) -> None:
        """Store E episodes over the oldest."""
        if self._store is None:
            self._store = episodes.map(lambda leaf: leaf.new_empty(leaf.shape[0], self.capacity, *leaf.shape[2:]))
        count = episodes.own.shape[1]
        slots = (self._next + torch.arange(count, device=episodes.own.device)) % self.capacity
        for store, leaf in zip(self._store, episodes, strict=True):
            if store is not None and leaf is not None:
                store[:, slots] = leaf
        self._next = (self._next + count) % self.capacity
        self.size = min(self.size + count, self.capacity)

    def sample(self, uniforms: Tensor) -> Episodes:
        """Episodes with replacement: ``[K, E]`` uniforms in [0, 1) choose each member's."""
        if self._store is None:
            raise ValueError("replay is empty: add episodes before sampling")
        slots = (uniforms * self.size).long()
        rows = torch.arange(slots.shape[0], device=slots.device).unsqueeze(1)
        return self._store.map(lambda leaf: leaf[rows, slots])

    def select(self, members: Sequence[int]) -> None:
        """Keep only some members' episodes."""
        if self._store is not None:
            self._store = self._store.map(lambda leaf: leaf[list(members)])


def next_values(values: Tensor) -> Tensor:
    """V(x') along the episode: values ``[K, E, M, ...]`` one step later, zero at the end of the horizon."""
    return torch.cat((values[:, :, 1:], torch.zeros_like(values[:, :, :1])), 2)
