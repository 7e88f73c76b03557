"""Playing a game with fixed policies: the objective (1) by simulation.

Policies are deterministic and so is the game given its shocks, so the same shocks give common random numbers:
two profiles played on them differ by what the policies do and by nothing else.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from nash_dqn.games.base import Game, Shocks, State, discounts
from nash_dqn.policy import Policy

__all__ = [
    "Agents",
    "Assignment",
    "Transition",
    "joint_action",
    "members_of",
    "play",
    "repeated",
    "seats_of",
    "sound_weights",
    "trajectory",
]

Agents = slice | Sequence[int]
"""Some of the agents 0..N-1."""

Assignment = tuple[Policy, Agents]
"""A policy and the agents that follow it."""

CHUNK = 4000
"""Episodes x members played at a time: enough to hide the calls' overhead, few enough for a core's cache."""


class Transition(NamedTuple):
    """One step of a batch of episodes: the state, what the agents did there, and what it paid."""

    state: Any
    actions: Tensor
    """``[K, E, N, d]``"""
    rewards: Tensor
    """``[K, E, N]``"""


class Seat(NamedTuple):
    """A policy and neighbouring agents that follow it."""

    policy: Policy
    agents: slice


@torch.no_grad()
def play(game: Game, assignments: Sequence[Assignment], shocks: Shocks, *, chunk: int = CHUNK) -> Tensor:
    """Total discounted reward sum_m gamma^m r_i, equation (1), of each member, episode and agent.

    Args:
        game: the game.
        assignments: pairs of a policy and the agents that follow it; every agent exactly once. Member k of
            each policy meets member k of the others; a policy of one member meets every member of the others.
        shocks: the random numbers of E episodes, leaves ``[E, ...]``; the same for all members.
        chunk: episodes times members in memory at a time. Memory does not grow with E beyond shocks and
            result, and the result does not depend on it, except by rounding.

    Returns:
        ``[K, E, N]``.

    Raises:
        ValueError: an agent without or with two policies, or policies whose numbers of members do not fit.
    """
    members, episodes = members_of(assignments), len(next(iter(shocks)))
    rows = max(1, chunk // max(members, 1))
    totals = next(iter(shocks)).new_empty(members, episodes, game.n_agents)
    for start in range(0, episodes, rows):
        part = slice(start, start + rows)
        totals[:, part] = _total_reward(game, assignments, shocks.map(operator.itemgetter(part)))
    return totals


def trajectory(game: Game, assignments: Sequence[Assignment], shocks: Shocks) -> Iterator[Transition]:
    """Play E episodes at once, step by step; arguments and errors as for :func:`play`.

    Gradients are recorded unless the caller switches them off.
    """
    members = members_of(assignments)
    seats = seats_of(assignments, game.n_agents, members)
    shocks = shocks.map(lambda leaf: leaf.expand(members, *leaf.shape))
    state = game.reset(shocks)
    for _ in range(game.n_steps):
        actions = joint_action(game, seats, state)
        after, rewards = game.step(state, actions, shocks)
        yield Transition(state, actions, rewards)
        state = after


def repeated(state: State, members: int) -> State:
    """The states of one member, leaves ``[1, ...]``, for each of several."""
    step, *leaves = state
    kind: Any = type(state)
    repeats: State = kind(step, *(leaf.expand(members, *leaf.shape[1:]) for leaf in leaves))
    return repeats


def sound_weights(policy: Policy) -> Tensor:
    """Whether each member's weights are finite, ``[K]``: clipped, even others would give a finite action."""
    finite = [tensor.isfinite().flatten(1).all(1) for tensor in policy.network.parameters]
    return torch.stack(finite).all(0) if finite else torch.ones(len(policy.seeds), dtype=torch.bool)


def _total_reward(game: Game, assignments: Sequence[Assignment], shocks: Shocks) -> Tensor:
    total: Tensor | None = None
    for m, transition in enumerate(trajectory(game, assignments, shocks)):
        if total is None:
            total, discount = transition.rewards, transition.rewards.new_tensor(discounts(game))
        else:
            total.addcmul_(transition.rewards, discount**m)
    assert total is not None  # a game has at least one step
    return total


def joint_action(game: Game, seats: Sequence[Seat], state: State) -> Tensor:
    """Actions ``[K, E, N, d]``: each policy is evaluated for its own agents only."""
    observed = {seat.policy.observation: game.observe(state, seat.policy.observation) for seat in seats}
    actions = [policy(observed[policy.observation], agents) for policy, agents in seats]
    return actions[0] if len(actions) == 1 else torch.cat(actions, dim=-2)


def members_of(assignments: Sequence[Assignment]) -> int:
    """Number of members K that play side by side."""
    counts = sorted({len(policy.seeds) for policy, _ in assignments})
    if len(set(counts) - {1}) > 1:
        raise ValueError(f"policies of {', '.join(map(str, counts))} members cannot meet: give equal numbers, or 1")
    return max(counts, default=0)


def seats_of(assignments: Sequence[Assignment], n_agents: int, members: int) -> list[Seat]:
    """Seats in the order of the agents, every policy with all members."""
    owners: dict[int, list[int]] = {}
    for position, (_, agents) in enumerate(assignments):
        for agent in range(n_agents)[agents] if isinstance(agents, slice) else agents:
            owners.setdefault(agent, []).append(position)
    if sorted(owners) != list(range(n_agents)) or any(len(found) > 1 for found in owners.values()):
        counts = {agent: len(owners[agent]) for agent in sorted(owners)}
        raise ValueError(f"every agent 0..{n_agents - 1} needs exactly one policy, got {counts} (agent: policies)")
    seats = []
    for position, group in itertools.groupby(range(n_agents), key=lambda agent: owners[agent][0]):
        neighbours = list(group)
        policy = assignments[position][0]
        policy = policy if len(policy.seeds) == members else policy.select([0] * members)
        seats.append(Seat(policy, slice(neighbours[0], neighbours[-1] + 1)))
    return seats
