"""The paper's claims: the published number, ours, and a verdict by a rule written before the full run.

The unit of replication is the seed (a training), or the pair of seeds where two algorithms meet: intervals
are 95 % Student t intervals over them and are empty for fewer than two. A claim that needs an interval is
then *inconclusive*.

Rules
    ``Fig 1: beta = 100 is optimal``
        d(b) = loss at beta = b less loss at beta = 100, paired by seed. *Holds* if the interval of d(b) lies
        above zero for every other b; *does not hold* if for some b it lies below zero at the level 5 % /
        (number of other b); else *inconclusive*.
    ``Fig 1: regularisation lowers the loss``
        *Holds* if the interval of d(0) lies above zero, *does not hold* if below, else *inconclusive*.
    ``Fig 2: essentially the same policies``
        D = RMS difference of the trading rates of Nash-DQN's and FP's policy with the same seed. The
        yardstick is Y = sqrt((A^2 + B^2) / 2), A and B the RMS difference between two trainings of Nash-DQN
        and of FP: were the two algorithms' policies the same but for training noise, D^2 and Y^2 would have
        the same mean. *Holds* if the mean of D is at most Y; *does not hold* if its whole interval lies above
        Y; else *inconclusive*. On the states of the figure (grid), and on those visited when all follow
        either policy.
    ``Fig 3: equal means not rejected``
        The paper's test for each pair of seeds: Welch over points on independent random numbers, at 5 %.
        *Holds* if no pair of seeds rejects, *does not hold* if more than half do, else *inconclusive*.
    ``Fig 3: equal means``
        What that test is meant to show, asked with common random numbers. *Does not hold* if the interval of
        the mean difference over pairs of seeds excludes zero, else *inconclusive*: not rejecting does not
        prove equality.

Quantities without a rule are *reported*. Members that diverged are left out of Fig. 1's means and counted in
a row of their own; anything else that is not finite leaves its quantity empty.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from nash_dqn.evaluation.cross_play import PAIRS, POOLED, PROFILES
from nash_dqn.evaluation.statistics import mean_interval, rms
from nash_dqn.published import FIG1_BEST_BETA, FIG1_LOSS, FIG3_MEANS, RELEASED_WEIGHTS_PAIRED

__all__ = ["ALPHA", "COLUMNS", "claims"]

Verdict = Literal["holds", "does not hold", "inconclusive", "reported"]

ALPHA = 0.05
"""Level of the rules above."""
COLUMNS = ("scenario", "claim", "quantity", "published", "ours", "low", "high", "seeds", "verdict")

_STATES = {"grid": ["grid"], "visited states": ["visited_a", "visited_b"]}


class _Row(NamedTuple):
    """A row of the table without its scenario; NaN is an empty field."""

    claim: str
    quantity: str
    published: float
    ours: float
    low: float
    high: float
    seeds: int
    verdict: Verdict


class _Estimate(NamedTuple):
    """A mean over seeds and its interval, NaN where undefined."""

    mean: float
    low: float
    high: float
    seeds: int


def claims(
    beta_sweep: pd.DataFrame, policy_distance: pd.DataFrame, cross_play: pd.DataFrame, tests: pd.DataFrame
) -> pd.DataFrame:
    """Judge every claim in every scenario by the rules of this module.

    Args:
        beta_sweep: columns scenario, beta, seed, loss, diverged (and others); one recipe.
        policy_distance: scenario, comparison and :data:`nash_dqn.evaluation.policy_grid.DISTANCE_COLUMNS`.
        cross_play: scenario, comparison and :data:`nash_dqn.evaluation.cross_play.COLUMNS`.
        tests: scenario, comparison and :data:`nash_dqn.evaluation.cross_play.TEST_COLUMNS`.

    Returns:
        Table with :data:`COLUMNS`. ``seeds`` counts trainings, or pairs of them, behind ``ours``.
    """
    rows = []
    for scenario in pd.unique(pd.concat([t["scenario"] for t in (beta_sweep, policy_distance, cross_play, tests)])):
        sweep, distances, rewards, tested = (
            t[t["scenario"] == scenario] for t in (beta_sweep, policy_distance, cross_play, tests)
        )
        found = [*_fig1(sweep)]
        for comparison, part in distances.groupby("comparison", sort=False):
            found += _fig2(str(comparison), part)
        for comparison, part in rewards.groupby("comparison", sort=False):
            found += _fig3(str(comparison), part, tested[tested["comparison"] == comparison])
        rows += [(scenario, *row) for row in found]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _fig1(sweep: pd.DataFrame) -> Iterator[_Row]:
    """Losses by beta, and the two claims on them."""
    if sweep.empty:
        return
    usable = sweep.assign(loss=sweep["loss"].where(~sweep["diverged"].astype(bool) & np.isfinite(sweep["loss"])))
    losses = usable.pivot(index="seed", columns="beta", values="loss")
    for beta in losses.columns:
        estimate = _estimate(losses[beta].dropna())
        yield _row("Fig 1: losses", f"loss at beta = {beta:g}", _published_loss(beta), estimate)
        lost = int(losses[beta].isna().sum())
        if lost:
            quantity = f"members of {len(losses)} that diverged at beta = {beta:g}"
            yield _row("Fig 1: losses", quantity, math.nan, _Estimate(lost, math.nan, math.nan, len(losses)))

    claim = f"Fig 1: beta = {FIG1_BEST_BETA:g} is optimal"
    means = losses.mean()
    best = float(means.idxmin()) if means.notna().any() else math.nan
    others = [beta for beta in losses.columns if beta != FIG1_BEST_BETA]
    known = FIG1_BEST_BETA in losses.columns
    differences = {beta: (losses[beta] - losses[FIG1_BEST_BETA]).dropna() for beta in others} if known else {}
    estimate = _Estimate(best, math.nan, math.nan, len(losses))
    yield _row(
        claim,
        "beta with the smallest mean loss",
        FIG1_BEST_BETA,
        estimate,
        _optimal(list(differences.values())),
    )
    for beta, values in differences.items():
        estimate = _estimate(values)
        quantity = f"loss at beta = {beta:g} less loss at beta = {FIG1_BEST_BETA:g}"
        published = _published_loss(beta) - _published_loss(FIG1_BEST_BETA)
        yield _row(claim, quantity, published, estimate)
        if beta == 0:
            verdict: Verdict = "inconclusive"
            if estimate.low > 0:
                verdict = "holds"
            elif estimate.high < 0:
                verdict = "does not hold"
            yield _row("Fig 1: regularisation lowers the loss", quantity, published, estimate, verdict)


def _optimal(differences: Sequence[pd.Series]) -> Verdict:
    """Verdict on the best beta from each other beta's loss less its own, by seed."""
    if differences and all(_estimate(values).low > 0 for values in differences):
        return "holds"
    if any(_estimate(values, ALPHA / len(differences)).high < 0 for values in differences):
        return "does not hold"
    return "inconclusive"


def _published_loss(beta: float) -> float:
    return FIG1_LOSS[beta].value if beta in FIG1_LOSS else math.nan


def _fig2(comparison: str, distances: pd.DataFrame) -> Iterator[_Row]:
    """Distance between the algorithms against that between trainings of one algorithm."""
    claim = "Fig 2: essentially the same policies"
    between = distances[distances["policy_a"] != distances["policy_b"]]
    within = distances[distances["policy_a"] == distances["policy_b"]]
    for label, states in _STATES.items():
        apart = _by_pair(between, states, "rms")
        where = f"{comparison}, {label}: "
        trainings = {
            name: _by_pair(within[within["policy_a"] == name], states, "rms")
            for name in [*between["policy_a"].unique(), *between["policy_b"].unique()]
        }
        sizes = [rms(values) if len(values) else math.nan for values in trainings.values()]
        yardstick = rms(sizes)
        estimate = _estimate(apart)
        verdict: Verdict = "inconclusive"
        if not math.isnan(estimate.low):
            if estimate.mean <= yardstick:
                verdict = "holds"
            elif estimate.low > yardstick:
                verdict = "does not hold"
        none = math.nan
        yield _row(claim, f"{where}RMS rate difference, shares/hour", none, estimate, verdict)
        expected = _Estimate(yardstick, none, none, estimate.seeds)
        yield _row(claim, f"{where}RMS rate difference expected from training noise, shares/hour", none, expected)
        for (name, values), size in zip(trainings.items(), sizes, strict=True):
            of_name = _Estimate(size, none, none, estimate.seeds if len(values) else 0)
            yield _row(claim, f"{where}RMS rate difference of two trainings of {name}, shares/hour", none, of_name)
        relative = _estimate(_by_pair(between, states, "relative"))
        yield _row(claim, f"{where}RMS rate difference relative to the rates", none, relative)


def _by_pair(distances: pd.DataFrame, states: list[str], column: str) -> pd.Series:
    """Root mean square over sets of states, for each pair of trainings."""
    part = distances[distances["states"].isin(states)]
    return part.groupby(["seed_a", "seed_b"])[column].apply(lambda values: rms(values.to_numpy()))


def _fig3(comparison: str, rewards: pd.DataFrame, tests: pd.DataFrame) -> Iterator[_Row]:
    """Rewards of the four profiles and the two claims on their differences."""
    independent = rewards[rewards["design"] == "independent"]
    for profile in PROFILES:
        part = independent[independent["profile"] == profile]
        # A point that is not finite must not be skipped, as pandas would.
        means = part.groupby(["seed_nash", "seed_fp"])["reward"].apply(lambda values: float(np.mean(values.to_numpy())))
        quantity = f"{comparison}: mean reward of agent 1, {profile}"
        yield _row("Fig 3: rewards", quantity, FIG3_MEANS[profile].value, _estimate(means))

    for deviation, base in PAIRS:
        pair = f"{deviation}-{base}"
        of_pair = tests[tests["pair"] == pair]
        name = f"{comparison}, {deviation} less {base}: "
        for test in ("welch", "paired"):
            of_test = of_pair[of_pair["test"] == test]
            single = of_test[of_test["scope"] != POOLED]
            rejected = single["reject"].astype("boolean")
            share = float(rejected.mean()) if len(single) and rejected.notna().all() else math.nan
            shares = _Estimate(share, math.nan, math.nan, len(single))
            pooled = _pooled(of_test[of_test["scope"] == POOLED])
            if test == "welch":
                verdict: Verdict = "inconclusive"
                if share == 0:
                    verdict = "holds"
                elif share > 0.5:
                    verdict = "does not hold"
                claim = "Fig 3: equal means not rejected"
                yield _row(claim, f"{name}share of seed pairs that reject, Welch's test", 0.0, shares, verdict)
                published = FIG3_MEANS[deviation].value - FIG3_MEANS[base].value
                yield _row(claim, f"{name}mean difference, independent random numbers", published, pooled)
            else:
                claim = "Fig 3: equal means"
                verdict = "does not hold" if pooled.low > 0 or pooled.high < 0 else "inconclusive"
                quantity = f"{name}mean difference, common random numbers (published: the authors' weights)"
                yield _row(claim, quantity, RELEASED_WEIGHTS_PAIRED[pair].value, pooled, verdict)
                yield _row(claim, f"{name}share of seed pairs that reject, paired test", math.nan, shares)


def _pooled(rows: pd.DataFrame) -> _Estimate:
    if rows.empty:
        return _Estimate(math.nan, math.nan, math.nan, 0)
    row = rows.iloc[0]
    return _Estimate(float(row["mean_difference"]), float(row["low"]), float(row["high"]), int(row["n"]))


def _estimate(values: pd.Series, alpha: float = ALPHA) -> _Estimate:
    """Mean and interval of one value per training (or pair), NaN where undefined or not finite."""
    x = values.to_numpy(dtype=np.float64)
    if not len(x) or not np.isfinite(x).all():
        return _Estimate(math.nan, math.nan, math.nan, len(x))
    if len(x) == 1:
        return _Estimate(float(x[0]), math.nan, math.nan, 1)
    return _Estimate(*mean_interval(x, alpha))


def _row(claim: str, quantity: str, published: float, estimate: _Estimate, verdict: Verdict = "reported") -> _Row:
    mean, low, high, seeds = estimate
    return _Row(claim, quantity, published, mean, low, high, seeds, verdict)
