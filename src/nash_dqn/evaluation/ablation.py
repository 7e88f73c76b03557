"""What each change of a recipe buys: exploitability of the trainings of an ablation, and factors against their base.

Exploitability is positive and spans decades, so averages over seeds are geometric, and a change is a factor: below one,
it helps. The unit of replication is the seed, which fixes a training's random numbers, so that factors are paired.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from nash_dqn.evaluation.statistics import mean_interval

__all__ = ["COLUMNS", "FLOOR", "SEED_COLUMNS", "by_seed", "geometric_mean", "table"]

FLOOR = 1e-4
"""Gains below it, which the measurement hardly tells from zero, count as this in averages: a logarithm must exist."""

_NAMES = ("scenario", "setting", "base", "change", "kind")
SEED_COLUMNS = (*_NAMES, "seed", "deviator", "gain", "low", "high", "value", "share", "diverged")
COLUMNS = (
    *_NAMES,
    "deviator",
    "seeds",
    "diverged",
    "gain",
    "low",
    "high",
    "value",
    "share",
    "pairs",
    "factor",
    "factor_low",
    "factor_high",
)


def by_seed(exploitability: pd.DataFrame, settings: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """What agent 1 gains by deviating from each training.

    Args:
        exploitability: tables of :func:`nash_dqn.evaluation.exploitability.evaluate` with a scenario; ``recipe`` is the
            name of a setting.
        settings: ``setting``, ``base``, ``change`` and ``kind`` (:class:`nash_dqn.ablation.Setting`) of each.

    Returns:
        Table with :data:`SEED_COLUMNS`, a row per setting, seed and deviator, in the order of the settings;
        ``diverged`` are trainings without numbers.

    Raises:
        ValueError: a setting has no row.
    """
    rows = exploitability[exploitability["player"].astype(str) == "1"].rename(columns={"recipe": "setting"})
    for entry in settings:
        if entry["setting"] not in set(rows["setting"]):
            raise ValueError(f"exploitability: no row of player 1 with recipe={entry['setting']}")
    found = pd.DataFrame(list(settings)).merge(rows, on="setting", validate="one_to_many")
    return found.assign(diverged=found["gain"].isna())[list(SEED_COLUMNS)]


def table(seeds: pd.DataFrame) -> pd.DataFrame:
    """Averages over the seeds of each setting.

    Args:
        seeds: table of :func:`by_seed`.

    Returns:
        Table with :data:`COLUMNS`, a row per setting and deviator: of ``seeds`` trainings, ``diverged`` of which are in
        no average, the geometric mean ``gain`` with its 95 % t interval (of logarithms) ``low`` to ``high``; the mean
        ``value`` without deviation, and ``share`` = gain / abs(value); and ``factor``, the gain over the base's, over
        ``pairs`` of trainings with the same seed of which neither diverged. Empty: what too few trainings do not tell,
        and the base's own factor.
    """
    rows = []
    for key, group in seeds.groupby(["setting", "deviator"], sort=False):
        gain = _gains(group)
        first = group.iloc[0]
        mean, low, high = geometric_mean(gain.to_numpy())
        value = float(group["value"].mean())
        factors = np.empty(0)
        if first["kind"] != "base":
            base = _gains(seeds[(seeds["setting"] == first["base"]) & (seeds["deviator"] == key[1])])
            factors = (gain / base).dropna().to_numpy()
        numbers = (len(group), int(group["diverged"].sum()), mean, low, high, value, mean / abs(value))
        rows.append((*first[list(_NAMES)], key[1], *numbers, len(factors), *geometric_mean(factors)))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def geometric_mean(values: np.ndarray) -> tuple[float, float, float]:
    """Geometric mean of positive numbers ``[n]`` and its 95 % t interval; nan where there are too few for either."""
    logs = np.log(values)
    if len(logs) < 2:
        return (float(values[0]) if len(values) else math.nan), math.nan, math.nan
    interval = mean_interval(logs)
    return math.exp(interval.mean), math.exp(interval.low), math.exp(interval.high)


def _gains(rows: pd.DataFrame) -> pd.Series:
    """Gain by seed of the trainings that did not diverge, from the floor up."""
    return rows[~rows["diverged"]].set_index("seed")["gain"].clip(lower=FLOOR)
