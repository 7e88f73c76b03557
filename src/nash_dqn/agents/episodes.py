"""Episodes as the trainers see them: played, stored, replayed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from nash_dqn.games.base import Game, Observation, ObservationSpec, Shocks, discounts


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

    @property
    def leaves(self) -> list[Tensor]:
        """All tensors."""
        observations = [self.observation] if self.critic is None else [self.observation, self.critic]
        seen = [leaf for observation in observations for leaf in (observation.own, observation.items)]
        return [leaf for leaf in (*seen, self.actions, self.rewards) if leaf is not None]

    def map(self, function: Callable[[Tensor], Tensor]) -> Episodes:
        """Apply a function to each tensor."""
        return Episodes(
            self.observation.map(function),
            None if self.critic is None else self.critic.map(function),
            function(self.actions),
            function(self.rewards),
        )


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
        count = episodes.rewards.shape[1]
        slots = (self._next + torch.arange(count, device=episodes.rewards.device)) % self.capacity
        for store, leaf in zip(self._store.leaves, episodes.leaves, strict=True):
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

    def state(self) -> dict[str, Any]:
        """The episodes stored, sharing memory, and where the ring stands."""
        store = self._store
        seen = () if store is None else (store.observation, store.critic)
        return {
            "size": self.size,
            "next": self._next,
            "seen": [None if o is None else {"own": o.own, "items": o.items} for o in seen],
            "played": None if store is None else {"actions": store.actions, "rewards": store.rewards},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from such a state."""
        self.size, self._next = state["size"], state["next"]
        if state["played"] is not None:
            observation, critic = (None if seen is None else Observation(**seen) for seen in state["seen"])
            assert observation is not None
            self._store = Episodes(observation, critic, **state["played"])

    def select(self, members: Sequence[int]) -> None:
        """Keep only some members' episodes."""
        if self._store is not None:
            self._store = self._store.map(lambda leaf: leaf[list(members)])


def next_values(values: Tensor) -> Tensor:
    """V(x') along the episode: values ``[K, E, M, ...]`` one step later, zero at the end of the horizon."""
    return torch.cat((values[:, :, 1:], torch.zeros_like(values[:, :, :1])), 2)


def bootstrap(game: Game, rewards: Tensor, values: Tensor) -> Tensor:
    """Targets r + gamma V(x'), ``[K, E, M, N]``; where agents discount alike, of some of them, ``[K, E, M, n]``."""
    if isinstance(game.discount, int | float):
        return torch.add(rewards, next_values(values), alpha=game.discount)
    return torch.addcmul(rewards, next_values(values), rewards.new_tensor(discounts(game)))
