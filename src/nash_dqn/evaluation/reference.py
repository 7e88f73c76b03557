"""Trained policies beside the equilibrium reference: how far their actions are, and what they earn against each other.

Two profiles deviate from everybody following one policy: agent 1 follows the trained policy among references, and the
reference among trained policies. Against an equilibrium the first cannot gain, and by how little it loses says how
good a response the policy is; what the second gains is a lower bound of the trained policy's exploitability that needs
no training. All profiles share their random numbers, the stream (seed, ``reference``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from nash_dqn.evaluation.rollout import Assignment, play, repeated, trajectory
from nash_dqn.evaluation.statistics import mean_interval
from nash_dqn.games.base import Game, Shocks
from nash_dqn.policy import Policy
from nash_dqn.seeding import generator

__all__ = ["COLUMNS", "distances_to", "evaluate"]

COLUMNS = ("algorithm", "recipe", "seed", "quantity", "mean", "low", "high", "n")
"""Quantities: ``distance``, root mean square of the difference of the rates in states that the reference visits, shares
per hour; ``relative_distance``, the same over that of the reference's rates; ``value`` and ``reference_value``, agent
1's mean total reward (1) when all follow the policy or the reference; ``policy_among_references`` and
``reference_among_policies``, what agent 1 gains over these by deviating. ``n``: paths; distances have no interval."""

_FIRST, _OTHERS = slice(0, 1), slice(1, None)


@torch.no_grad()
def evaluate(
    game: Game, policies: Sequence[Policy], reference: Policy, paths: int, visited_episodes: int, seed: int
) -> pd.DataFrame:
    """Compare every member of the policies with the reference.

    Args:
        game: the game.
        policies: policies of one or more members each.
        reference: a policy of one member.
        paths: on which rewards are measured.
        visited_episodes: of the reference, where actions are compared.
        seed: of both.

    Returns:
        Table with :data:`COLUMNS`; numbers that are not finite, of trainings that diverged, are empty.

    Raises:
        ValueError: the reference has not one member, or fewer than two paths or one episode.
    """
    if len(reference.seeds) != 1:
        raise ValueError(f"reference has {len(reference.seeds)} members: allowed is one")
    if paths < 2 or visited_episodes < 1:
        raise ValueError(f"paths = {paths}, visited_episodes = {visited_episodes}: at least 2 and 1 are needed")
    shocks = game.sample_shocks(paths, generator(seed, "reference", "paths"))
    visited = game.sample_shocks(visited_episodes, generator(seed, "reference", "visited"))
    base = _first_reward(game, [(reference, slice(None))], shocks)
    rows: list[dict[str, Any]] = []
    for policy in policies:
        away, relative = distances_to(game, [policy], reference, visited)
        value = _first_reward(game, [(policy, slice(None))], shocks)
        rewards = {
            "value": value,
            "reference_value": base.expand_as(value),
            "policy_among_references": _first_reward(game, [(policy, _FIRST), (reference, _OTHERS)], shocks) - base,
            "reference_among_policies": _first_reward(game, [(reference, _FIRST), (policy, _OTHERS)], shocks) - value,
        }
        for k, member_seed in enumerate(policy.seeds):
            names = (policy.algorithm, policy.meta.get("recipe_name"), member_seed)
            numbers = [
                ("distance", away[k], np.nan, np.nan, visited_episodes),
                ("relative_distance", relative[k], np.nan, np.nan, visited_episodes),
                *((name, *_interval(reward[k])) for name, reward in rewards.items()),
            ]
            rows += [dict(zip(COLUMNS, (*names, *row), strict=True)) for row in numbers]
    return pd.DataFrame(rows, columns=list(COLUMNS))


@torch.no_grad()
def distances_to(
    game: Game, policies: Sequence[Policy], reference: Policy, shocks: Shocks
) -> tuple[list[float], list[float]]:
    """RMS of every member's actions less the reference's where the latter goes, and as a share of the reference's.

    NaN where an action is not finite; the shares, where the reference does not trade.
    """
    squares: list[Tensor] = []
    sizes: list[Tensor] = []
    for state, actions, _ in trajectory(game, [(reference, slice(None))], shocks):
        sizes.append(actions.double().square().mean())
        differences = [policy.act(game, repeated(state, len(policy.seeds))) - actions for policy in policies]
        squares.append(torch.cat([x.double().square().flatten(1).mean(1) for x in differences]))
    distance = torch.stack(squares).mean(0).sqrt()
    distance = distance.where(distance.isfinite(), torch.nan)
    size = torch.stack(sizes).mean().sqrt()
    return distance.tolist(), (distance / size if size > 0 else torch.full_like(distance, torch.nan)).tolist()


def _first_reward(game: Game, assignments: Sequence[Assignment], shocks: Shocks) -> Tensor:
    """Agent 1's total reward ``[K, paths]``, double precision."""
    return play(game, assignments, shocks)[..., 0].double()


def _interval(reward: Tensor) -> tuple[float, float, float, int]:
    """Mean, 95 % interval and number of paths; empty where a reward is not finite."""
    if not bool(reward.isfinite().all()):
        return np.nan, np.nan, np.nan, len(reward)
    return mean_interval(reward.numpy())
