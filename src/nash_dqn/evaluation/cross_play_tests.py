"""Fig. 3's tests: whether agent 1 gains by leaving a profile of :mod:`nash_dqn.evaluation.cross_play`.

Two questions are asked, with the others' policy held fixed: is ``first_nash`` better than ``all_other``, and
``first_other`` better than ``all_nash``? Each is answered by two designs. *independent* is the paper's: both
profiles on their own random numbers, Welch's test over points. *common*: both on the same random numbers,
paired test over points, which takes the noise of the paths out of the difference.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from nash_dqn.evaluation.statistics import Comparison, one_sample_test, welch_test

__all__ = ["COLUMNS", "PAIRS", "POOLED", "PROFILES", "TEST_COLUMNS", "tests"]

PROFILES = ("all_other", "first_nash", "all_nash", "first_other")
PAIRS = (("first_nash", "all_other"), ("first_other", "all_nash"))
"""The profiles that are compared, deviation first: differences are what agent 1 gains by it."""
POOLED = "pooled"
"""Scope of the tests over all pairs of seeds."""

COLUMNS = ("seed_nash", "seed_other", "profile", "design", "point", "reward", "reward_sd", "paths")
TEST_COLUMNS = ("pair", "scope", "test", "n", "mean_difference", *Comparison._fields)


def tests(table: pd.DataFrame, alpha: float) -> pd.DataFrame:
    """Compare the profiles of each of :data:`PAIRS` at level ``alpha``.

    Args:
        table: what :func:`nash_dqn.evaluation.cross_play.evaluate` returns, of one scenario and comparison.
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
    seed_pairs = table[["seed_nash", "seed_other"]].drop_duplicates().to_numpy()
    rows: list[tuple[Any, ...]] = []
    empty = (*[math.nan] * (len(Comparison._fields) - 1), None)
    for deviation, base in PAIRS:
        pair = f"{deviation}-{base}"
        for test, design in (("welch", "independent"), ("paired", "common")):
            differences = []
            for a, b in seed_pairs:
                x, y = (rewards.loc[design, a, b, profile].to_numpy() for profile in (deviation, base))
                finite = bool(np.isfinite(x).all() and np.isfinite(y).all())
                differences.append(float(x.mean() - y.mean()) if finite else math.nan)
                result: tuple[Any, ...] = empty
                if finite and len(x) > 1:
                    result = welch_test(x, y, alpha) if test == "welch" else one_sample_test(x - y, alpha)
                rows.append((pair, f"{a}-{b}", test, len(x), differences[-1], *result))
            mean = float(np.mean(differences))
            known = math.isfinite(mean) and len(differences) > 1
            result = one_sample_test(differences, alpha) if known else empty
            rows.append((pair, POOLED, test, len(differences), mean, *result))
    return pd.DataFrame(rows, columns=list(TEST_COLUMNS)).astype({"reject": "boolean"})
