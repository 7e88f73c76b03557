"""Intervals and tests for the comparisons: explicit about the unit of replication, never silent.

Three units of replication occur and must not be mixed up:

* a *path* (one simulated episode): its spread is averaged away inside a point;
* a *point* (the mean of many paths, Fig. 3's unit): says how sure the simulation is about **these trained
  policies**;
* a *seed pair* (two trainings): says what another training would have given, however precise each difference is.

Functions take one-dimensional arrays and raise ``ValueError`` on values that are not finite or too few for
the question, so that an undefined interval is always the caller's explicit decision.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy

__all__ = [
    "FLOOR",
    "Comparison",
    "Interval",
    "geometric_mean",
    "mean_interval",
    "one_sample_test",
    "rms",
    "tidy",
    "welch_test",
]

FLOOR = 1e-4
"""Gains below it, which the measurement hardly tells from zero, count as this in geometric means: a logarithm must
exist."""


class Interval(NamedTuple):
    """A mean with its two-sided Student t interval."""

    mean: float
    low: float
    high: float
    n: int


class Comparison(NamedTuple):
    """A two-sided test of a mean difference, in the units of the values."""

    low: float
    high: float
    """Bounds of the ``1 - alpha`` interval of the difference."""
    statistic: float
    """Student's t."""
    df: float
    """Degrees of freedom (Welch-Satterthwaite for two independent samples)."""
    p_value: float
    effect_size: float
    """Cohen's d with the root mean variance (two samples), or d_z, the mean over the sd of differences."""
    reject: bool
    """Whether equal means are rejected at level ``alpha``."""


def mean_interval(values: npt.ArrayLike, alpha: float = 0.05) -> Interval:
    """Mean of independent values and its ``1 - alpha`` Student t interval.

    Raises:
        ValueError: fewer than two values, values that are not finite, or ``alpha`` outside (0, 1).
    """
    x = _sample(values, "values")
    mean, half = float(x.mean()), _quantile(alpha, len(x) - 1) * _sd(x) / math.sqrt(len(x))
    return Interval(mean, mean - half, mean + half, len(x))


def geometric_mean(values: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    """Geometric mean of positive numbers ``[n]`` and its 95 % t interval; nan where there are too few for either."""
    logs = np.log(values)
    if len(logs) < 2:
        return (float(values[0]) if len(values) else math.nan), math.nan, math.nan
    mean, low, high, _ = mean_interval(logs)
    return math.exp(mean), math.exp(low), math.exp(high)


def welch_test(first: npt.ArrayLike, second: npt.ArrayLike, alpha: float = 0.05) -> Comparison:
    """Welch's test: equal means of two independent samples, variances unequal (``scipy.stats.ttest_ind``).

    The paper's Fig. 3 compares its histograms this way: 100 points a profile, the two profiles simulated
    independently. The difference is ``first - second``, the effect size ``difference / sqrt((var_1 + var_2) / 2)``.

    Raises:
        ValueError: a sample with fewer than two values or with values that are not finite.
    """
    a, b = _sample(first, "first"), _sample(second, "second")
    scale = math.sqrt((_sd(a) ** 2 + _sd(b) ** 2) / 2)
    if scale == 0:
        return _without_spread(float(a[0] - b[0]), len(a) + len(b) - 2)
    result = scipy.stats.ttest_ind(a, b, equal_var=False)
    low, high = map(float, result.confidence_interval(1 - alpha))
    tested = float(result.statistic), float(result.df), float(result.pvalue)
    return Comparison(low, high, *tested, float(a.mean() - b.mean()) / scale, tested[2] < alpha)


def one_sample_test(differences: npt.ArrayLike, alpha: float = 0.05) -> Comparison:
    """One-sample t test of a mean difference of zero; of pairs of values it is the paired test.

    The effect size is d_z, the mean difference over the standard deviation of the differences.

    Raises:
        ValueError: fewer than two differences, differences that are not finite, or ``alpha`` outside (0, 1).
    """
    x = _sample(differences, "differences")
    n, mean, sd, quantile = len(x), float(x.mean()), _sd(x), _quantile(alpha, len(x) - 1)
    if sd == 0:
        return _without_spread(float(x[0]), n - 1)
    error = sd / math.sqrt(n)
    statistic = mean / error
    p_value = 2 * float(scipy.stats.t.sf(abs(statistic), n - 1))
    bounds = mean - quantile * error, mean + quantile * error
    return Comparison(*bounds, statistic, n - 1, p_value, mean / sd, p_value < alpha)


def rms(values: npt.ArrayLike) -> float:
    """Root mean square of all entries; raises ``ValueError`` for an empty array."""
    x = np.asarray(values, dtype=np.float64)
    if x.size == 0:
        raise ValueError("rms of an empty array is undefined")
    return float(np.sqrt(np.mean(np.square(x))))


def tidy(axes: Mapping[str, Sequence[Any]], **columns: npt.ArrayLike) -> pd.DataFrame:
    """A row for each combination of the axes' values, the last fastest; columns broadcast to ``[axis, ..., axis]``."""
    index, shape = pd.MultiIndex.from_product(list(axes.values()), names=list(axes)), [len(a) for a in axes.values()]
    flat = {name: np.broadcast_to(np.asarray(values), shape).ravel() for name, values in columns.items()}
    return index.to_frame(index=False).assign(**flat)


def _without_spread(difference: float, df: float) -> Comparison:
    """The limit of the t test, where identical policies on common random numbers end up."""
    statistic = math.copysign(math.inf, difference) if difference else 0.0
    return Comparison(difference, difference, statistic, df, float(difference == 0), statistic, reject=difference != 0)


def _sample(values: npt.ArrayLike, name: str) -> npt.NDArray[np.float64]:
    x = np.asarray(values, dtype=np.float64)
    if x.ndim != 1 or len(x) < 2:
        raise ValueError(f"{name} must be one-dimensional with at least two entries, got shape {x.shape}")
    bad = int(np.count_nonzero(~np.isfinite(x)))
    if bad:
        raise ValueError(f"{name} must be finite, but {bad} of {len(x)} entries are not")
    return x


def _sd(x: npt.NDArray[np.float64]) -> float:
    # Equal values have no spread; their computed mean may still be off by a rounding error.
    return 0.0 if np.all(x == x[0]) else float(x.std(ddof=1))


def _quantile(alpha: float, df: int) -> float:
    """Student's t of a two-sided interval."""
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must lie strictly between 0 and 1, got {alpha}")
    return float(scipy.stats.t.ppf(1 - alpha / 2, df))
