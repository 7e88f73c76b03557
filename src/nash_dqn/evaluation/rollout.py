"""Playing a game with fixed policies: the objective (1) by simulation.

Policies are deterministic and so is the game given its shocks, so the same shocks give common random numbers:
two profiles played on them differ by what the policies do and by nothing else.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from nash_dqn.games.base import Game, Shocks, State, discounts
from nash_dqn.policy import Policy

__all__ = [
    "FIRST",
    "OTHERS",
    "Agents",
    "Assignment",
    "Played",
    "Profile",
    "Transition",
    "check_seat",
    "mean_squares",
    "play",
    "repeated",
    "sound_weights",
    "steps",
    "trajectory",
]

Agents = slice | Sequence[int]
"""Some of the agents 0..N-1."""

FIRST, OTHERS = slice(0, 1), slice(1, None)
"""The agent that deviates, which the paper counts as 1, and all but it."""

Assignment = tuple[Policy, Agents]
"""A policy and the agents that follow it."""

Played = Policy | Sequence[Assignment]
"""A policy that all agents follow, or pairs of a policy and the agents that follow it, every agent exactly once.

Member k of each policy meets member k of the others; a policy of one member meets every member of the others."""

CHUNK = 4000
"""Episodes x members played at a time: enough to hide the calls' overhead, few enough for a core's cache."""


class Transition(NamedTuple):
    """One step of a batch of episodes: the state, what the agents did there, and what it paid."""

    state: Any
    actions: Tensor
    """``[K, E, N, d]``"""
    rewards: Tensor
    """``[K, E, N]``"""


class Profile:
    """Who plays what in a game, K members side by side.

    Attributes:
        members: K.
        assignments: policies of K members each and the neighbouring agents that follow them, in the agents' order.

    Raises:
        ValueError: an agent without or with two policies, or policies whose numbers of members do not fit.
    """

    def __init__(self, game: Game, played: Played) -> None:
        given = [(played, slice(None))] if isinstance(played, Policy) else played
        counts = sorted({len(policy.seeds) for policy, _ in given})
        if len(set(counts) - {1}) > 1:
            raise ValueError(f"policies of {', '.join(map(str, counts))} members cannot meet: give equal numbers, or 1")
        agents = range(game.n_agents)
        owners: dict[int, list[int]] = {}
        for position, (_, of) in enumerate(given):
            for agent in agents[of] if isinstance(of, slice) else of:
                owners.setdefault(agent, []).append(position)
        if sorted(owners) != list(agents) or any(len(found) > 1 for found in owners.values()):
            found = {agent: len(owners[agent]) for agent in sorted(owners)}
            raise ValueError(
                f"every agent 0..{len(agents) - 1} needs exactly one policy, got {found} (agent: policies)"
            )
        self.game, self.members = game, max(counts)
        self.assignments: list[tuple[Policy, slice]] = []
        for position, group in itertools.groupby(agents, key=lambda agent: owners[agent][0]):
            neighbours, (policy, _) = list(group), given[position]
            if len(policy.seeds) != self.members:
                policy = policy.select([0] * self.members)
            self.assignments.append((policy, slice(neighbours[0], neighbours[-1] + 1)))

    def act(self, state: State) -> Tensor:
        """Joint actions ``[K, E, N, d]``: each policy is evaluated for its own agents only."""
        specs = dict.fromkeys(policy.observation for policy, _ in self.assignments)  # in order: gradients depend on it
        observed = {spec: self.game.observe(state, spec) for spec in specs}
        actions = [policy(observed[policy.observation], agents) for policy, agents in self.assignments]
        for (policy, _), of_policy in zip(self.assignments, actions, strict=True):
            if of_policy.shape[-1] != self.game.action_dim:
                found = f"d = {of_policy.shape[-1]}, the game d = {self.game.action_dim}"
                raise ValueError(f"actions of {policy.name} have {found}")
        return actions[0] if len(actions) == 1 else torch.cat(actions, dim=-2)

    def policy_of(self, seat: int) -> Policy:
        """The policy that an agent follows."""
        check_seat(self.game, seat)
        return next(policy for policy, agents in self.assignments if agents.start <= seat < agents.stop)

    def repeat(self, times: int) -> list[Assignment]:
        """Assignments of every member that many times, side by side."""
        index = [k for k in range(self.members) for _ in range(times)]
        return [(policy.select(index), agents) for policy, agents in self.assignments]


def check_seat(game: Game, seat: int) -> None:
    """Raise ``ValueError`` where the game has no such agent."""
    if seat not in range(game.n_agents):
        raise ValueError(f"seat = {seat}: the game has agents 0 to {game.n_agents - 1}")


def steps(game: Game, act: Callable[[Any], Tensor], shocks: Shocks) -> Iterator[Transition]:
    """Play episodes step by step; leaves of the shocks and the joint action in a state have the same dimensions.

    Gradients are recorded unless the caller switches them off.
    """
    state = game.reset(shocks)
    for _ in range(game.n_steps):
        actions = act(state)
        after, rewards = game.step(state, actions, shocks)
        yield Transition(state, actions, rewards)
        state = after


def trajectory(game: Game, played: Played, shocks: Shocks) -> Iterator[Transition]:
    """:func:`steps` of E episodes of a profile at once; arguments and errors as for :func:`play`."""
    profile = Profile(game, played)
    return steps(game, profile.act, shocks.map(lambda leaf: leaf.expand(profile.members, *leaf.shape)))


@torch.no_grad()
def play(game: Game, played: Played, shocks: Shocks) -> Tensor:
    """Total discounted reward sum_m gamma^m r_i, equation (1), of each member, episode and agent.

    Memory does not grow with E beyond shocks and result.

    Args:
        game: the game.
        played: who plays what.
        shocks: the random numbers of E episodes, leaves ``[E, ...]``; the same for all members.

    Returns:
        ``[K, E, N]``.

    Raises:
        ValueError: a profile that cannot be played (:class:`Profile`).
    """
    profile = Profile(game, played)
    first = next(iter(shocks))
    totals = first.new_empty(profile.members, len(first), game.n_agents)
    discount = first.new_tensor(discounts(game))
    rows = max(1, CHUNK // profile.members)
    for start in range(0, len(first), rows):
        part = slice(start, start + rows)
        total = first.new_zeros(())
        for m, step in enumerate(trajectory(game, profile.assignments, shocks.map(operator.itemgetter(part)))):
            total = torch.addcmul(total, step.rewards, discount**m)
        totals[:, part] = total
    return totals


def mean_squares(actions: Iterable[tuple[Tensor, Tensor]]) -> Tensor:
    """Mean squares ``[M, 3, K]`` of a - b, a and b over all but steps and members, double precision.

    Args:
        actions: a and b at each step, ``[K, ...]``, b also ``[1, ...]``.
    """
    steps_ = [[x.double().square().flatten(1).mean(1) for x in (a - b, a, b)] for a, b in actions]
    return torch.stack([torch.stack([x.expand_as(of[0]) for x in of]) for of in steps_])


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
