"""The paper's claims: the published number, ours, and a verdict by a rule written before the full run.

A claim is said once: a function with its text, its rule as docstring (:data:`RULES` has all of them), the quantities it
reports and the verdict. The table of all rows is claims.csv; the page of the record shows the rows that are judged.

The unit of replication is the seed (a training), or the pair of seeds where two algorithms meet: intervals are 95 %
Student t intervals over them and are empty for fewer than two. A claim that needs an interval is then *inconclusive*.
Quantities without a rule are *reported*. Anything that is not finite leaves its quantity empty, but for what a rule
says.

Claims on Fig 1 are judged in each *place*: by the loss along the training (the mean total loss, V + A, of a window
before an iteration), and by that of the returned weights, (17). There d(b) is the loss at beta = b less the loss at
beta = 100, paired by seed; trainings that diverged are left out and counted, those whose weights were reset stay in
and are counted. The claims of Figs 2 and 3 are about Nash-DQN and fictitious play (FP): they are judged for each
comparison of these two, and for no other. The authors' own policies are one training of each.
"""

from __future__ import annotations

import inspect
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from scipy import special

from nash_dqn.evaluation.cross_play_tests import PAIRS, POOLED, PROFILES
from nash_dqn.evaluation.statistics import Interval, mean_interval, rms
from nash_dqn.published import (
    AUTHORS_POLICIES,
    BUDGETS,
    CODE_SCENARIO,
    FIG1_BEST_BETA,
    FIG1_LOSS,
    FIG3_MEANS,
    RELEASED_WEIGHTS_EXPLOITABILITY,
    RELEASED_WEIGHTS_PAIRED,
)

__all__ = ["CERTIFIED", "COLUMNS", "DATA_LEVEL", "RULES", "claims"]

Verdict = Literal["holds", "does not hold", "inconclusive", "reported"]

ALPHA = 0.05
"""Level of the rules."""
CERTIFIED = 0.002
"""Exploitability ($) up to which self-play counts as an equilibrium to measure others against."""
EQUILIBRIUM_SHARE = 0.015
"""Exploitability, as a share of the size of the value, up to which a learned policy counts as an equilibrium."""
DATA_LEVEL = 0.15
"""Exploitability ($) whose price in joint transitions is compared."""
RESOLUTION = 0.05
"""Share of a loss by which Fig. 1's smallest differences between betas differ."""
COLUMNS = ("scenario", "claim", "quantity", "published", "ours", "low", "high", "seeds", "verdict")
RULES: dict[str, str] = {}
"""The rule of each claim that is judged, fixed beforehand."""

_NORMAL = 1.96  # quantile of the normal distribution, of two-sided tests at 5 %
_BUDGET = BUDGETS["nash_dqn"]
_DEVIATOR = "memory"  # the class of deviators by which policies are judged
_STATES = {"grid": ["grid"], "visited states": ["visited_a", "visited_b"]}


class _Row(NamedTuple):
    """A quantity of a claim: ours with its interval over seeds, NaN where undefined, and what is published."""

    quantity: str
    ours: Interval
    verdict: Verdict = "reported"
    published: float = math.nan


def _claim(text: str) -> Callable[[Callable[..., Iterable[_Row]]], Callable[..., list[tuple[str, _Row]]]]:
    """Make a function, whose docstring is the rule and which yields a claim's rows, list them with the claim's text."""

    def decorate(judge: Callable[..., Iterable[_Row]]) -> Callable[..., list[tuple[str, _Row]]]:
        if judge.__doc__:
            RULES[text] = inspect.cleandoc(judge.__doc__)
        return lambda *tables: [(text, row) for row in judge(*tables)]

    return decorate


def claims(
    beta_sweep: pd.DataFrame,
    policy_distance: pd.DataFrame,
    cross_play: pd.DataFrame,
    tests: pd.DataFrame,
    exploitability: pd.DataFrame,
    data_efficiency: pd.DataFrame,
    trainings: Sequence[Mapping[str, Any]] = (),
) -> pd.DataFrame:
    """Judge every claim in every scenario by the rules of this module.

    Args:
        beta_sweep: :data:`nash_dqn.evaluation.beta_sweep.COLUMNS`, of one base.
        policy_distance: scenario, comparison and :data:`nash_dqn.evaluation.policy_distance.DISTANCE_COLUMNS`.
        cross_play: scenario, comparison, other and other_algorithm (Nash-DQN's counterpart) and
            :data:`nash_dqn.evaluation.cross_play.COLUMNS`.
        tests: scenario, comparison, other and :data:`nash_dqn.evaluation.cross_play_tests.TEST_COLUMNS`.
        exploitability: scenario and :data:`nash_dqn.evaluation.exploitability.COLUMNS`; the rows of player 1 count,
            empty numbers are trainings that diverged.
        data_efficiency: scenario and :data:`nash_dqn.evaluation.data_efficiency.COLUMNS`.
        trainings: records of the trainings behind these, of which those that were restored are counted.

    Returns:
        Table with :data:`COLUMNS`. ``seeds`` counts trainings, or pairs of them, behind ``ours``; of two groups
        of trainings, the smaller. Where ``published`` is a number of the authors' weights, it is the one measured here,
        if their policies are in the tables.
    """
    rows = []
    tables = (beta_sweep, policy_distance, cross_play, tests, exploitability, data_efficiency)
    for scenario in pd.unique(pd.concat([table["scenario"] for table in tables])):
        sweep, distances, rewards, tested, gains, learning = (t[t["scenario"] == scenario] for t in tables)
        found = [*_restored([record for record in trainings if record["scenario"] == scenario]), *_fig1(sweep)]
        for comparison, part in distances.groupby("comparison", sort=False):
            if (part["algorithm_b"] == "fictitious_play").any():
                found += _same_policies(str(comparison), part)
        differences = _paired_of_authors(tested)
        played = rewards[rewards["other_algorithm"] == "fictitious_play"]
        for (comparison, other), part in played.groupby(["comparison", "other"], sort=False):
            found += _rewards(comparison, part)
            for pair in PAIRS:
                own = tested[(tested["comparison"] == comparison) & (tested["pair"] == "-".join(pair))]
                found += _not_rejected(comparison, pair, own)
                found += _equal_means(comparison, pair, own, {} if other in AUTHORS_POLICIES else differences)
        first = gains[gains["player"].astype(str) == "1"]
        for (policy, algorithm, deviator), part in first.groupby(["policy", "algorithm", "deviator"], sort=False):
            if algorithm == "self_play":
                found += _reference(policy, deviator, part)
            else:
                theirs = math.nan
                if policy not in AUTHORS_POLICIES:
                    theirs = _gain_of_authors(first, str(scenario), algorithm, deviator)
                found += _equilibrium(policy, deviator, part, theirs)
        found += _data_efficiency(learning[learning["deviator"] == _DEVIATOR])
        rows += [(scenario, claim, row.quantity, row.published, *row.ours, row.verdict) for claim, row in found]
    return pd.DataFrame(rows, columns=list(COLUMNS))


@_claim("Trainings")
def _restored(records: Sequence[Mapping[str, Any]]) -> Iterator[_Row]:
    count = sum("restored" in record for record in records)
    if count:
        yield _Row("restored from the repository's record, not trained by this run", _number(count, len(records)))


# ------------------------------------------------------------------------------------------------------ Fig 1


def _fig1(sweep: pd.DataFrame) -> Iterator[tuple[str, _Row]]:
    """The claims on losses by beta, along the training and of the returned weights."""
    training, returned = (sweep[sweep["measure"] == measure] for measure in ("training", "returned"))
    places = {f"training, iteration {iteration:,}": rows for iteration, rows in training.groupby("iteration")}
    for place, rows in {**places, "returned weights": returned}.items():
        if rows.empty:
            continue
        usable = rows.assign(loss=rows["loss"].where(~rows["diverged"].astype(bool) & np.isfinite(rows["loss"])))
        losses = usable.pivot(index="seed", columns="beta", values="loss")
        yield from _losses(place, losses, rows.pivot(index="seed", columns="beta", values="resets") > 0)
        yield from _optimal(place, losses)
        means = losses.mean()
        if means.notna().any() and len(means) > 1:
            yield from _stands_out(place, losses, float(means.idxmin()))
        if {0, FIG1_BEST_BETA} <= set(losses.columns):
            yield from _lowers(place, losses)
            yield from _as_published(place, losses)
        yield from _resolves(place, losses)


@_claim("Fig 1: losses")
def _losses(place: str, losses: pd.DataFrame, reset: pd.DataFrame) -> Iterator[_Row]:
    for beta in losses.columns:
        known = losses[beta].dropna()
        spread = Interval(float(known.median()), float(known.min()), float(known.max()), len(known))
        quantity = f"{place}: loss at beta = {beta:g}, median and range"
        yield _Row(quantity, spread, published=_published_loss(beta))
        for what, count in (("diverged", losses[beta].isna().sum()), ("were reset", reset[beta].sum())):
            if count:
                quantity = f"{place}: trainings of {len(losses)} that {what} at beta = {beta:g}"
                yield _Row(quantity, _number(int(count), len(losses)))


@_claim(f"Fig 1: beta = {FIG1_BEST_BETA:g} is optimal")
def _optimal(place: str, losses: pd.DataFrame) -> Iterator[_Row]:
    """*Holds* if the interval of d(b) lies above zero for every other b; *does not hold* if for some b it lies below
    zero at the level 5 % / (number of other b); else *inconclusive*.
    """
    others = [beta for beta in losses.columns if beta != FIG1_BEST_BETA and FIG1_BEST_BETA in losses.columns]
    differences = [_difference(losses, beta, FIG1_BEST_BETA) for beta in others]
    verdict = _verdict(
        bool(differences) and all(_estimate(values).low > 0 for values in differences),
        any(_estimate(values, ALPHA / len(differences)).high < 0 for values in differences),
    )
    means = losses.mean()
    best = float(means.idxmin()) if means.notna().any() else math.nan
    yield _Row(f"{place}: beta with the smallest mean loss", _number(best, len(losses)), verdict, FIG1_BEST_BETA)


@_claim("Fig 1: the lowest loss stands out from its neighbours")
def _stands_out(place: str, losses: pd.DataFrame, best: float) -> Iterator[_Row]:
    """Not the paper's: whether the beta of the lowest mean loss is better than the next smaller and the next larger
    beta. *Holds* if the interval of either neighbour's loss less its own lies above zero, at the level 5 % / (pairs of
    neighbours), as each might have been the lowest; else *inconclusive*. The row shows the neighbour whose interval
    reaches lower.
    """
    betas = sorted(losses.columns)
    at = betas.index(best)
    found = {
        beta: _estimate(_difference(losses, beta, best), ALPHA / (len(betas) - 1))
        for beta in (*betas[max(at - 1, 0) : at], *betas[at + 1 : at + 2])
    }
    closest = min(found, key=lambda beta: (math.isfinite(found[beta].low), found[beta].low))
    verdict = _verdict(all(estimate.low > 0 for estimate in found.values()))
    published = _published_loss(closest) - _published_loss(best)
    yield _Row(f"{place}: loss at beta = {closest:g} less loss at beta = {best:g}", found[closest], verdict, published)


_FALL = f"loss at beta = 0 less loss at beta = {FIG1_BEST_BETA:g}"


@_claim("Fig 1: regularisation lowers the loss")
def _lowers(place: str, losses: pd.DataFrame) -> Iterator[_Row]:
    """*Holds* if the interval of d(0) lies above zero, *does not hold* if below, else *inconclusive*."""
    fall = _estimate(_difference(losses, 0, FIG1_BEST_BETA))
    verdict = _verdict(fall.low > 0, fall.high < 0)
    yield _Row(f"{place}: {_FALL}", fall, verdict, _published_loss(0) - _published_loss(FIG1_BEST_BETA))


@_claim("Fig 1: one pair of trainings may fall as published")
def _as_published(place: str, losses: pd.DataFrame) -> Iterator[_Row]:
    """The published fall is of one training at either beta. *Holds* if it lies in the 95 % t prediction interval of
    d(0) of one more seed, *does not hold* if outside: a wide interval holds much.
    """
    fall = _estimate(_difference(losses, 0, FIG1_BEST_BETA))
    half = (fall.high - fall.mean) * math.sqrt(fall.n + 1)
    single = fall._replace(low=fall.mean - half, high=fall.mean + half)
    published = _published_loss(0) - _published_loss(FIG1_BEST_BETA)
    known = math.isfinite(half)
    verdict = _verdict(known and single.low <= published <= single.high, known)
    yield _Row(f"{place}: {_FALL}, interval of one more seed", single, verdict, published)


@_claim(f"Fig 1: one training a beta tells {100 * RESOLUTION:g} % apart")
def _resolves(place: str, losses: pd.DataFrame) -> Iterator[_Row]:
    """Not the paper's, which calls 53.7 the best of 53.7 to 57.3. C = standard deviation over seeds as a share of the
    mean, root mean square over betas; its 95 % interval is chi-squared's, as if betas were independent and losses
    normal. Two single trainings differ at 5 % from 1.96 sqrt(2) C on. *Holds* if the interval of C lies at or below
    5 % / (1.96 sqrt(2)) = 1.8 %, *does not hold* if above, else *inconclusive*.
    """
    counts = losses.count()
    freedom = int((counts[counts > 1] - 1).sum())
    estimate = _number(math.nan, len(losses))
    if freedom:
        squares = float((losses.var() / losses.mean() ** 2 * (counts - 1)).sum())
        low, high = (math.sqrt(squares / special.chdtri(freedom, q)) for q in (ALPHA / 2, 1 - ALPHA / 2))
        estimate = Interval(math.sqrt(squares / freedom), low, high, len(losses))
    limit = RESOLUTION / (_NORMAL * math.sqrt(2))
    quantity = f"{place}: spread of one training between seeds, as a share of its mean"
    yield _Row(quantity, estimate, _verdict(estimate.high <= limit, estimate.low > limit))


def _difference(losses: pd.DataFrame, beta: float, other: float) -> pd.Series:
    """Loss at beta less that at the other, by seed."""
    return (losses[beta] - losses[other]).dropna()


def _published_loss(beta: float) -> float:
    return FIG1_LOSS[beta].value if beta in FIG1_LOSS else math.nan


# ------------------------------------------------------------------------------------------------- Figs 2 and 3


@_claim("Fig 2: essentially the same policies")
def _same_policies(comparison: str, distances: pd.DataFrame) -> Iterator[_Row]:
    """D = RMS difference of the trading rates of Nash-DQN's and FP's policy with the same seed. The yardstick is
    Y = sqrt((A^2 + B^2) / 2), A and B the RMS difference between two trainings of Nash-DQN and of FP: were the two
    algorithms' policies the same but for training noise, D^2 and Y^2 would have the same mean. *Holds* if the mean of D
    is at most Y; *does not hold* if its whole interval lies above Y; else *inconclusive*. On the states of the figure
    (grid), and on those visited when all follow either policy.
    """
    same = distances["policy_a"] == distances["policy_b"]
    between, within = distances[~same], distances[same]
    for label, states in _STATES.items():
        where = f"{comparison}, {label}: RMS rate difference"
        apart = _estimate(_by_pair(between, states, "rms"))
        noise = {
            name: _by_pair(within[within["policy_a"] == name], states, "rms")
            for name in [*between["policy_a"].unique(), *between["policy_b"].unique()]
        }
        sizes = {name: rms(values) if len(values) else math.nan for name, values in noise.items()}
        yardstick = rms([*sizes.values()])
        verdict = _verdict(not math.isnan(apart.low) and apart.mean <= yardstick, apart.low > yardstick)
        yield _Row(f"{where}, shares/hour", apart, verdict)
        yield _Row(f"{where} expected from training noise, shares/hour", _number(yardstick, apart.n))
        for name, size in sizes.items():
            number = _number(size, apart.n if len(noise[name]) else 0)
            yield _Row(f"{where} of two trainings of {name}, shares/hour", number)
        yield _Row(f"{where} relative to the rates", _estimate(_by_pair(between, states, "relative")))


def _by_pair(distances: pd.DataFrame, states: list[str], column: str) -> pd.Series:
    """Root mean square over sets of states, for each pair of trainings."""
    part = distances[distances["states"].isin(states)]
    return part.groupby(["seed_a", "seed_b"])[column].apply(lambda values: rms(values.to_numpy()))


@_claim("Fig 3: rewards")
def _rewards(comparison: str, rewards: pd.DataFrame) -> Iterator[_Row]:
    independent = rewards[rewards["design"] == "independent"]
    for profile in PROFILES:
        pairs = independent[independent["profile"] == profile].groupby(["seed_nash", "seed_other"])["reward"]
        means = pairs.apply(lambda values: float(np.mean(values.to_numpy())))  # pandas would skip what is not finite
        quantity = f"{comparison}: mean reward of agent 1, {_of_fp(profile)}"
        yield _Row(quantity, _estimate(means), published=FIG3_MEANS[profile].value)


@_claim("Fig 3: equal means not rejected")
def _not_rejected(comparison: str, pair: tuple[str, str], tests: pd.DataFrame) -> Iterator[_Row]:
    """The paper's test for each pair of seeds: Welch over points on independent random numbers, at 5 %. *Holds* if no
    pair of seeds rejects, *does not hold* if more than half do, else *inconclusive*.
    """
    welch = tests[tests["test"] == "welch"]
    share = _rejecting(welch)
    verdict = _verdict(share.mean == 0, share.mean > 0.5)
    name = f"{comparison}, {' less '.join(map(_of_fp, pair))}: "
    yield _Row(f"{name}share of seed pairs that reject, Welch's test", share, verdict, 0.0)
    published = FIG3_MEANS[pair[0]].value - FIG3_MEANS[pair[1]].value
    yield _Row(f"{name}mean difference, independent random numbers", _pooled(welch), published=published)


@_claim("Fig 3: equal means")
def _equal_means(
    comparison: str, pair: tuple[str, str], tests: pd.DataFrame, theirs: Mapping[str, float]
) -> Iterator[_Row]:
    """What that test is meant to show, asked with common random numbers. *Does not hold* if the interval of the mean
    difference over pairs of seeds excludes zero, else *inconclusive*: not rejecting does not prove equality.
    """
    paired = tests[tests["test"] == "paired"]
    pooled = _pooled(paired)
    verdict = _verdict(False, pooled.low > 0 or pooled.high < 0)
    source = " (published: the authors' weights)" if "-".join(pair) in theirs else ""
    name = f"{comparison}, {' less '.join(map(_of_fp, pair))}: "
    published = theirs.get("-".join(pair), math.nan)
    yield _Row(f"{name}mean difference, common random numbers{source}", pooled, verdict, published)
    yield _Row(f"{name}share of seed pairs that reject, paired test", _rejecting(paired))


def _of_fp(profile: str) -> str:
    """Name of a profile where the other policy is fictitious play's."""
    return profile.replace("other", "fp")


def _rejecting(tests: pd.DataFrame) -> Interval:
    """Share of the pairs of seeds whose test rejects; empty where one is undefined."""
    single = tests[tests["scope"] != POOLED]
    rejected = single["reject"].astype("boolean")
    return _number(float(rejected.mean()) if len(single) and rejected.notna().all() else math.nan, len(single))


def _pooled(tests: pd.DataFrame) -> Interval:
    """Mean difference over all pairs of seeds."""
    row = tests[tests["scope"] == POOLED].iloc[0]
    return Interval(float(row["mean_difference"]), float(row["low"]), float(row["high"]), int(row["n"]))


def _paired_of_authors(tests: pd.DataFrame) -> dict[str, float]:
    """Paired differences between the authors' policies, by pair: measured here, or else published."""
    rows = tests[tests["other"].isin(AUTHORS_POLICIES) & (tests["test"] == "paired") & (tests["scope"] == POOLED)]
    measured = dict(zip(rows["pair"], rows["mean_difference"].astype(float), strict=True))
    return measured or {pair: number.value for pair, number in RELEASED_WEIGHTS_PAIRED.items()}


# --------------------------------------------------------------------------------------------- Nash equilibrium


@_claim("Nash equilibrium: learned policies")
def _equilibrium(policy: str, deviator: str, gains: pd.DataFrame, published: float) -> Iterator[_Row]:
    """G = what one deviating agent that also remembers its own past order flow (class ``memory``) gains against the
    others' learned policy, a lower bound of what it could gain. The limit is 1.5 % of the size of that policy's mean
    value. *Does not hold* if the interval of G lies above the limit, or if every training diverged; *holds* if it lies
    at or below the limit and no training diverged; else *inconclusive*.
    """
    sound = gains[np.isfinite(gains["gain"].to_numpy(dtype=np.float64))]
    lost = len(gains) - len(sound)
    estimate = _estimate(sound["gain"])
    limit = EQUILIBRIUM_SHARE * abs(float(sound["value"].mean()))
    verdict = _verdict(estimate.high <= limit and not lost, sound.empty or estimate.low > limit)
    judged = deviator == _DEVIATOR
    quantity = f"{policy}: gain of a deviator of class {deviator}"
    yield _Row(quantity, estimate, verdict if judged else "reported", published)
    if judged:
        yield _Row(f"{policy}: {EQUILIBRIUM_SHARE:.1%} of the size of its value", _number(limit, len(sound)))
    if judged and lost:
        yield _Row(f"{policy}: trainings of {len(gains)} that diverged", _number(lost, len(gains)))


@_claim("Nash equilibrium: self-play reference")
def _reference(policy: str, deviator: str, gains: pd.DataFrame) -> Iterator[_Row]:
    """Not the paper's: whether self-play by gradients found what distances and values can be measured against. The seed
    with the highest end of its interval of G (over paths, here) decides. *Holds* if that end is at most 0.002; *does
    not hold* if that seed's lower end is above, or it diverged; else *inconclusive*. A bound holds for its class of
    deviators only.
    """
    highs = gains["high"].to_numpy(dtype=np.float64)
    worst = gains.iloc[int(np.argmax(np.where(np.isfinite(highs), highs, np.inf)))]
    estimate = Interval(float(worst["gain"]), float(worst["low"]), float(worst["high"]), len(gains))
    verdict = _verdict(estimate.high <= CERTIFIED, estimate.low > CERTIFIED or not math.isfinite(estimate.high))
    yield _Row(f"{policy}: gain of a deviator of class {deviator}, highest of the seeds", estimate, verdict)


def _gain_of_authors(gains: pd.DataFrame, scenario: str, algorithm: str, deviator: str) -> float:
    """What a deviator gains against the authors' policy of that algorithm: measured here, or else published."""
    theirs = gains["policy"].isin(AUTHORS_POLICIES) & (gains["algorithm"] == algorithm)
    measured = gains[theirs & (gains["deviator"] == deviator)]
    if len(measured):
        return float(measured["gain"].mean())
    known = RELEASED_WEIGHTS_EXPLOITABILITY.get((algorithm, deviator)) if scenario == CODE_SCENARIO else None
    return math.nan if known is None else known.value


# ---------------------------------------------------------------------------------------------- data efficiency


@_claim("Data efficiency: Nash-DQN against fictitious play")
def _data_efficiency(learning: pd.DataFrame) -> Iterator[_Row]:
    """Stated without a figure. Two quantities for each training: its exploitability G (class ``memory``) with the last
    policy kept at or before 2,000,000 joint transitions, Nash-DQN's published budget; and the joint transitions after
    which G is at most 0.15, about a tenth of the game's value, in all policies kept from there on. A training that
    diverged is from there on infinitely exploitable, and never reaches the level. *Holds* if every training of Nash-DQN
    is below every one of fictitious play; *does not hold* if every one is above; else *inconclusive*, as with so few
    trainings that chance would separate them in more than 5 % of cases (10 % with three of each, 3 % with four). The
    verdict's row has the ratio of the medians, and as interval its range, from the lowest over the highest to the
    highest over the lowest.
    """
    at_budget = f"exploitability at {_BUDGET:,} joint transitions"
    to_level = f"joint transitions to an exploitability of {DATA_LEVEL:g}"
    found: list[tuple[str, str, dict[str, list[float]]]] = []
    for (policy, algorithm), part in learning.groupby(["policy", "algorithm"], sort=False):
        trainings = [of_seed.sort_values("transitions") for _, of_seed in part.groupby("seed")]
        of_policy = {
            at_budget: [_gain_within_budget(rows) for rows in trainings],
            to_level: [_transitions_to_level(rows) for rows in trainings],
        }
        found.append((policy, algorithm, of_policy))
        for quantity, values in of_policy.items():
            middle, low, high = (_finite(x) for x in (np.median(values), min(values), max(values)))
            yield _Row(f"{policy}: {quantity}, median and range", Interval(middle, low, high, len(values)))
        never = _number(sum(not math.isfinite(value) for value in of_policy[to_level]), len(trainings))
        yield _Row(f"{policy}: trainings of {len(trainings)} that do not reach {DATA_LEVEL:g}", never)
    for (nash, first, of_nash), (fp, second, of_fp) in itertools.product(found, found):
        if (first, second) == ("nash_dqn", "fictitious_play"):
            for quantity, ours in of_nash.items():
                theirs = of_fp[quantity]
                yield _Row(f"{nash} over {fp}: ratio of {quantity}", _ratio(ours, theirs), _separated(ours, theirs))


def _gain_within_budget(training: pd.DataFrame) -> float:
    """Exploitability of the last policy kept within the budget; infinite after a divergence, and before the first."""
    gains = training.loc[training["transitions"] <= _BUDGET, "gain"].to_numpy(dtype=np.float64)
    return float(gains[-1]) if len(gains) and math.isfinite(gains[-1]) else math.inf


def _transitions_to_level(training: pd.DataFrame) -> float:
    """Joint transitions from which on the exploitability is at most the level; infinite if it is not so at last."""
    needed = math.inf
    for transitions, gain in training[["transitions", "gain"]].to_numpy(dtype=np.float64)[::-1]:
        if not gain <= DATA_LEVEL:
            break
        needed = float(transitions)
    return needed


def _separated(first: Sequence[float], second: Sequence[float]) -> Verdict:
    """Whether the first are all below the second, and that by more than chance."""
    by_chance = 2 / math.comb(len(first) + len(second), len(first)) > ALPHA
    return _verdict(not by_chance and max(first) < min(second), not by_chance and min(first) > max(second))


def _ratio(first: Sequence[float], second: Sequence[float]) -> Interval:
    """Ratio of the medians, and from the lowest over the highest to the highest over the lowest."""
    pairs = ((np.median(first), np.median(second)), (min(first), max(second)), (max(first), min(second)))
    middle, low, high = (_finite(a / b) if math.isfinite(b) and b > 0 else math.nan for a, b in pairs)
    return Interval(middle, low, high, min(len(first), len(second)))


# ----------------------------------------------------------------------------------------------------- estimates


def _finite(value: float) -> float:
    return float(value) if math.isfinite(value) else math.nan


def _number(value: float, seeds: int) -> Interval:
    """A number without an interval."""
    return Interval(value, math.nan, math.nan, seeds)


def _estimate(values: pd.Series, alpha: float = ALPHA) -> Interval:
    """Mean and interval of one value per training (or pair), NaN where undefined or not finite."""
    x = values.to_numpy(dtype=np.float64)
    if not len(x) or not np.isfinite(x).all():
        return _number(math.nan, len(x))
    return _number(float(x[0]), 1) if len(x) == 1 else mean_interval(x, alpha)


def _verdict(holds: bool, fails: bool = False) -> Verdict:
    """What a rule says; a comparison with a number that is undefined, NaN, is false."""
    return "holds" if holds else "does not hold" if fails else "inconclusive"
