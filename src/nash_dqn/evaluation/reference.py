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

from nash_dqn.evaluation.rollout import FIRST, OTHERS, Played, mean_squares, play, repeated, trajectory
from nash_dqn.evaluation.statistics import mean_interval
from nash_dqn.games.base import Game, Shocks
from nash_dqn.policy import Policy
from nash_dqn.seeding import generator

__all__ = ["COLUMNS", "distances_to", "evaluate"]

COLUMNS = ("policy", "algorithm", "seed", "quantity", "mean", "low", "high", "n")
"""Quantities: ``distance``, root mean square of the difference of the rates in states that the reference visits, shares
per hour; ``relative_distance``, the same over that of the reference's rates; ``value`` and ``reference_value``, agent
1's mean total reward (1) when all follow the policy or the reference; ``policy_among_references`` and
``reference_among_policies``, what agent 1 gains over these by deviating. ``n``: paths; distances have no interval."""


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
    rows: list[tuple[Any, ...]] = []

    def value(played: Played) -> Tensor:
        """Agent 1's total reward ``[K, paths]``, double precision."""
        return play(game, played, shocks)[..., 0].double()

    base = value(reference)
    for policy in policies:
        distances = zip(("distance", "relative_distance"), distances_to(game, policy, reference, visited), strict=True)
        own = value(policy)
        rewards = {
            "value": own,
            "reference_value": base.expand_as(own),
            "policy_among_references": value([(policy, FIRST), (reference, OTHERS)]) - base,
            "reference_among_policies": value([(reference, FIRST), (policy, OTHERS)]) - own,
        }
        numbers = {name: [(x, np.nan, np.nan, visited_episodes) for x in found] for name, found in distances}
        numbers |= {name: [_interval(of_member) for of_member in reward] for name, reward in rewards.items()}
        for k, of_seed in enumerate(policy.seeds):
            names = policy.name, policy.algorithm, of_seed
            rows += [(*names, quantity, *found[k]) for quantity, found in numbers.items()]
    return pd.DataFrame(rows, columns=list(COLUMNS))


@torch.no_grad()
def distances_to(game: Game, policy: Policy, reference: Policy, shocks: Shocks) -> tuple[list[float], list[float]]:
    """RMS of every member's actions less the reference's where the latter goes, and as a share of the reference's.

    NaN where an action is not finite; the shares, where the reference does not trade.
    """
    visited = trajectory(game, reference, shocks)
    squares = mean_squares((policy.act(game, repeated(s, len(policy.seeds))), actions) for s, actions, _ in visited)
    distance, _, size = squares.mean(0).sqrt()
    distance = distance.where(distance.isfinite(), torch.nan)
    return distance.tolist(), (distance / size.where(size > 0, torch.nan)).tolist()


def _interval(reward: Tensor) -> tuple[float, float, float, int]:
    """Mean, 95 % interval and number of paths; empty where a reward is not finite."""
    if not bool(reward.isfinite().all()):
        return np.nan, np.nan, np.nan, len(reward)
    return mean_interval(reward.numpy())
