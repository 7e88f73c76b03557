"""Fig. 3: what agent 1 earns when it, the others, or all follow Nash-DQN's policy or another algorithm's.

The paper's design is a histogram of points, each the mean total reward of agent 1 over many paths, for four
profiles. The other policy is fictitious play's in the paper, and here also that of self-play by gradients.

===============  ============  ============
profile          agent 1       the others
===============  ============  ============
``all_other``    other policy  other policy
``first_nash``   Nash-DQN      other policy
``all_nash``     Nash-DQN      Nash-DQN
``first_other``  other policy  Nash-DQN
===============  ============  ============

Two questions are asked, with the others' policy held fixed: is ``first_nash`` better than ``all_other``, and
``first_other`` better than ``all_nash``? Each is answered by two designs. *independent* is the paper's: both
profiles on their own random numbers, Welch's test over points. *common*: both on the same random numbers,
paired test over points, which takes the noise of the paths out of the difference.

Random streams: 0 ``all_other`` and, common, ``first_nash``; 1 ``first_nash``, independent; 2 ``all_nash`` and,
common, ``first_other``; 3 ``first_other``, independent. All pairs of seeds play on the same streams, so that they
differ by training.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from nash_dqn.evaluation.rollout import Assignment, play
from nash_dqn.evaluation.statistics import Comparison, paired_test, pooled_test, welch_test
from nash_dqn.games.base import Game
from nash_dqn.pairing import member_pairs
from nash_dqn.policy import Policy
from nash_dqn.seeding import generator

__all__ = ["COLUMNS", "PAIRS", "POOLED", "PROFILES", "TEST_COLUMNS", "evaluate", "tests"]

PROFILES = ("all_other", "first_nash", "all_nash", "first_other")
PAIRS = (("first_nash", "all_other"), ("first_other", "all_nash"))
"""The profiles that are compared, deviation first: differences are what agent 1 gains by it."""
POOLED = "pooled"
"""Scope of the tests over all pairs of seeds."""

COLUMNS = ("seed_nash", "seed_other", "profile", "design", "point", "reward", "reward_sd", "paths")
TEST_COLUMNS = (
    "pair",
    "scope",
    "test",
    "n",
    "mean_difference",
    "low",
    "high",
    "statistic",
    "df",
    "p_value",
    "effect_size",
    "reject",
)

_BLOCK = 1000  # paths whose random numbers are in memory at a time; part of what a seed means
_DESIGN = {"welch": "independent", "paired": "common"}


class _Run(NamedTuple):
    """A profile on a stream of random numbers, and the designs it serves."""

    profile: str
    stream: int
    designs: tuple[str, ...]


_RUNS = (
    _Run("all_other", 0, ("independent", "common")),
    _Run("first_nash", 0, ("common",)),
    _Run("first_nash", 1, ("independent",)),
    _Run("all_nash", 2, ("independent", "common")),
    _Run("first_other", 2, ("common",)),
    _Run("first_other", 3, ("independent",)),
)


def evaluate(
    game: Game, nash: Policy, other: Policy, points: int, paths: int, seed: int, seat: int = 0
) -> pd.DataFrame:
    """Play the four profiles.

    Trainings are paired as in :func:`nash_dqn.pairing.member_pairs`: by the seeds that both policies have, or all with
    the only one.

    Args:
        game: the game.
        nash: Nash-DQN's policy.
        other: the other algorithm's policy; the two may observe different features.
        points: points per profile and design, each on its own random numbers.
        paths: paths averaged in a point.
        seed: of the random streams.
        seat: the agent that deviates, which stands for agent 1: where agents differ, one of any group.

    Returns:
        Table with :data:`COLUMNS`, a row per pair of seeds, profile, design and point: ``reward`` is the mean
        of agent 1's total reward (the objective (22) less the constant q_0 S_0) over the point's paths,
        ``reward_sd`` the paths' standard deviation. Runs that serve both designs are listed under each.

    Raises:
        ValueError: trainings that cannot be paired, fewer than one point or two paths, or no such agent.
    """
    if not 0 <= seat < game.n_agents:
        raise ValueError(f"seat = {seat}: the game has agents 0 to {game.n_agents - 1}")
    if points < 1 or paths < 2:
        raise ValueError(f"points = {points}, paths = {paths}: at least 1 point of 2 paths is needed")
    members_nash, members_other = zip(*member_pairs(nash.seeds, other.seeds), strict=True)
    nash, other = nash.select(members_nash), other.select(members_other)
    first, others = [seat], [agent for agent in range(game.n_agents) if agent != seat]
    profiles: dict[str, list[Assignment]] = {
        "all_other": [(other, slice(None))],
        "first_nash": [(nash, first), (other, others)],
        "all_nash": [(nash, slice(None))],
        "first_other": [(other, first), (nash, others)],
    }
    rows: list[dict[str, Any]] = []
    for run in _RUNS:
        for point in range(points):
            means, sds = _point(game, profiles[run.profile], paths, (seed, run.stream, point), seat)
            rows += [
                {
                    "seed_nash": nash.seeds[k],
                    "seed_other": other.seeds[k],
                    "profile": run.profile,
                    "design": design,
                    "point": point,
                    "reward": float(means[k]),
                    "reward_sd": float(sds[k]),
                    "paths": paths,
                }
                for k in range(len(nash.seeds))
                for design in run.designs
            ]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    order = {name: position for position, name in enumerate(PROFILES)}
    return table.sort_values(
        ["seed_nash", "seed_other", "profile", "design", "point"],
        key=lambda column: column.map(order) if column.name == "profile" else column,
        ignore_index=True,
    )


def tests(table: pd.DataFrame, alpha: float) -> pd.DataFrame:
    """Compare the profiles of each of :data:`PAIRS` at level ``alpha``.

    Args:
        table: what :func:`evaluate` returns, of one scenario and comparison.
        alpha: level of the tests and intervals.

    Returns:
        Table with :data:`TEST_COLUMNS`. Scope ``"a-b"`` (seeds of Nash-DQN and the other policy): Welch's test over the
        points of the independent design and the paired test over those of the common design; ``n`` points.
        Scope ``"pooled"``: one value for each pair of seeds, the mean difference in that design, and a t test
        over them; ``n`` pairs of seeds. Where one policy has one training, they tell what another training of the other
        policy would give. Differences are deviation less no deviation, in units of the reward.
        Where a test is undefined (one pair of seeds, one point, or rewards that are not finite) its numbers
        and ``reject`` are empty.
    """
    rewards = table.set_index(["design", "seed_nash", "seed_other", "profile", "point"])["reward"].sort_index()
    seed_pairs = list(dict.fromkeys(zip(table["seed_nash"].tolist(), table["seed_other"].tolist(), strict=True)))
    rows: list[dict[str, Any]] = []
    for deviation, base in PAIRS:
        for name, test in (("welch", welch_test), ("paired", paired_test)):
            differences = []
            for a, b in seed_pairs:
                x, y = (rewards.loc[_DESIGN[name], a, b, profile].to_numpy() for profile in (deviation, base))
                finite = bool(np.isfinite(x).all() and np.isfinite(y).all())
                result = test(x, y, alpha) if finite and len(x) > 1 else None
                differences.append(float(x.mean() - y.mean()) if finite else math.nan)
                rows.append(_row(f"{deviation}-{base}", f"{a}-{b}", name, len(x), differences[-1], result))
            mean = float(np.mean(differences))
            pooled = pooled_test(differences, alpha) if math.isfinite(mean) and len(differences) > 1 else None
            rows.append(_row(f"{deviation}-{base}", POOLED, name, len(differences), mean, pooled))
    return pd.DataFrame(rows, columns=list(TEST_COLUMNS)).astype({"reject": "boolean"})


def _point(
    game: Game, profile: list[Assignment], paths: int, key: tuple[int, int, int], seat: int
) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation ``[K]`` of an agent's total reward over the paths of a point: seed, stream, point."""
    count, mean, squares = 0, torch.zeros(()), torch.zeros(())
    for rewards in _rewards(game, profile, paths, key, seat):
        # Chan's update: blocks are merged without the cancellation that sums of squares suffer.
        size = rewards.shape[1]
        block_mean = rewards.mean(1)
        shift = block_mean - mean
        squares = (
            squares + (rewards - block_mean.unsqueeze(1)).square().sum(1) + shift**2 * (count * size / (count + size))
        )
        mean = mean + shift * (size / (count + size))
        count += size
    return mean, torch.sqrt(squares / (count - 1))


def _rewards(
    game: Game, profile: list[Assignment], paths: int, key: tuple[int, int, int], seat: int
) -> Iterator[Tensor]:
    """An agent's total rewards ``[K, block]`` in double precision, block by block."""
    seed, stream, point = key
    source = generator(seed, "cross_play", stream, point)
    for start in range(0, paths, _BLOCK):
        shocks = game.sample_shocks(min(_BLOCK, paths - start), source)
        yield play(game, profile, shocks)[..., seat].double()


def _row(pair: str, scope: str, test: str, n: int, difference: float, result: Comparison | None) -> dict[str, Any]:
    """A row of the table; the test's numbers are empty where it is undefined."""
    names = ("low", "high", "statistic", "df", "p_value", "effect_size")
    return {
        "pair": pair,
        "scope": scope,
        "test": test,
        "n": n,
        "mean_difference": difference,
        **{name: getattr(result, name) if result else math.nan for name in names},
        "reject": result.reject if result else None,
    }
