"""The paper's claims: the published number, ours, and a verdict by a rule written before the full run.

The unit of replication is the seed (a training), or the pair of seeds where two algorithms meet: intervals
are 95 % Student t intervals over them and are empty for fewer than two. A claim that needs an interval is
then *inconclusive*. The claims of Figs 2 and 3 are about Nash-DQN and fictitious play (FP): they are judged for each
comparison of these two, and for no other. The authors' own policies are one training of each.

Rules
    Claims on Fig 1 are judged in each *place*: by the loss along the training (the mean total loss, V + A, of a window
    before an iteration), and by that of the returned weights, (17). d(b) = loss at beta = b less loss at beta = 100,
    paired by seed.

    ``Fig 1: beta = 100 is optimal``
        *Holds* if the interval of d(b) lies above zero for every other b; *does not hold* if for some b it lies
        below zero at the level 5 % / (number of other b); else *inconclusive*.
    ``Fig 1: the lowest loss stands out from its neighbours``
        Not the paper's: whether the beta of the lowest mean loss is better than the next smaller and the next larger
        beta. *Holds* if the interval of either neighbour's loss less its own lies above zero, at the level 5 % /
        (pairs of neighbours), as each might have been the lowest; else *inconclusive*. The row shows the neighbour
        whose interval reaches lower.
    ``Fig 1: regularisation lowers the loss``
        *Holds* if the interval of d(0) lies above zero, *does not hold* if below, else *inconclusive*.
    ``Fig 1: one pair of trainings may fall as published``
        The published fall is of one training at either beta. *Holds* if it lies in the 95 % t prediction interval of
        d(0) of one more seed, *does not hold* if outside: a wide interval holds much.
    ``Fig 1: one training a beta tells 5 % apart``
        Not the paper's, which calls 53.7 the best of 53.7 to 57.3. C = standard deviation over seeds as a share of the
        mean, root mean square over betas; its 95 % interval is chi-squared's, as if betas were independent and losses
        normal. Two single trainings differ at 5 % from 1.96 sqrt(2) C on. *Holds* if the interval of C lies at or below
        5 % / (1.96 sqrt(2)) = 1.8 %, *does not hold* if above, else *inconclusive*.
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
    ``Nash equilibrium: learned policies``
        G = what one deviating agent that also remembers its own past order flow (class ``memory``) gains
        against the others' learned policy, a lower bound of what it could gain. The limit is 1.5 % of the size
        of that policy's mean value. *Does not hold* if the interval of G lies above the limit, or if every
        training diverged; *holds* if it lies at or below the limit and no training diverged; else
        *inconclusive*.
    ``Nash equilibrium: self-play reference``
        Not the paper's: whether self-play by gradients found what distances and values can be measured
        against. The seed with the highest end of its interval of G (over paths, here) decides. *Holds* if
        that end is at most 0.002; *does not hold* if that seed's lower end is above, or it diverged; else
        *inconclusive*. A bound holds for its class of deviators only.
    ``Data efficiency: Nash-DQN against fictitious play``
        Stated without a figure. Two quantities for each training: its exploitability G (class ``memory``) with
        the last policy kept at or before 2,000,000 joint transitions, Nash-DQN's published budget; and the
        joint transitions after which G is at most 0.15, about a tenth of the game's value, in all policies
        kept from there on. A training that diverged is from there on infinitely exploitable, and never
        reaches the level. *Holds* if every training of Nash-DQN is below every one of fictitious play; *does
        not hold* if every one is above; else *inconclusive*, as with so few trainings that chance would
        separate them in more than 5 % of cases (10 % with three of each, 3 % with four). The verdict's row has
        the ratio of the medians, and as interval its range, from the lowest over the highest to the highest
        over the lowest.

Quantities without a rule are *reported*. Members that diverged are left out of Fig. 1's losses and counted in
a row of their own, as are those whose weights were reset, which stay in; anything else that is not finite leaves its
quantity empty.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from scipy import special

from nash_dqn.evaluation.cross_play import PAIRS, POOLED, PROFILES
from nash_dqn.evaluation.statistics import mean_interval, rms
from nash_dqn.published import (
    AUTHORS,
    AUTHORS_POLICIES,
    BUDGETS,
    FIG1_BEST_BETA,
    FIG1_LOSS,
    FIG3_MEANS,
    RELEASED_SCENARIO,
    RELEASED_WEIGHTS_EXPLOITABILITY,
    RELEASED_WEIGHTS_PAIRED,
)

__all__ = ["ALPHA", "CERTIFIED", "COLUMNS", "DATA_LEVEL", "EQUILIBRIUM_SHARE", "RESOLUTION", "claims"]

Verdict = Literal["holds", "does not hold", "inconclusive", "reported"]

ALPHA = 0.05
"""Level of the rules above."""
CERTIFIED = 0.002
"""Exploitability (currency units) up to which self-play counts as an equilibrium to measure others against."""
EQUILIBRIUM_SHARE = 0.015
"""Exploitability, as a share of the size of the value, up to which a learned policy counts as an equilibrium."""
DATA_LEVEL = 0.15
"""Exploitability (currency units) whose price in joint transitions is compared."""
RESOLUTION = 0.05
"""Share of a loss by which Fig. 1's smallest differences between betas differ."""
COLUMNS = ("scenario", "claim", "quantity", "published", "ours", "low", "high", "seeds", "verdict")

_NORMAL = 1.96  # quantile of the normal distribution, of two-sided tests at 5 %
_COUNTERPART = ("fictitious_play/", f"{AUTHORS}/fp")  # whose policies Figs 2 and 3 of the paper compare Nash-DQN's with
_AUTHORS = {"nash_dqn": f"{AUTHORS}/nash", "fictitious_play": f"{AUTHORS}/fp"}
_DEVIATOR = "memory"  # the class of deviators by which policies are judged
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
    beta_sweep: pd.DataFrame,
    policy_distance: pd.DataFrame,
    cross_play: pd.DataFrame,
    tests: pd.DataFrame,
    exploitability: pd.DataFrame,
    data_efficiency: pd.DataFrame,
) -> pd.DataFrame:
    """Judge every claim in every scenario by the rules of this module.

    Args:
        beta_sweep: scenario and others of :data:`nash_dqn.evaluation.beta_sweep.COLUMNS`; one recipe.
        policy_distance: scenario, comparison and :data:`nash_dqn.evaluation.policy_distance.DISTANCE_COLUMNS`, policies
            named ``algorithm/recipe``.
        cross_play: scenario, comparison, other (``algorithm/recipe`` of Nash-DQN's counterpart) and
            :data:`nash_dqn.evaluation.cross_play.COLUMNS`.
        tests: scenario, comparison, other and :data:`nash_dqn.evaluation.cross_play.TEST_COLUMNS`.
        exploitability: columns scenario, algorithm, recipe, seed, deviator, player, gain, low, high, value (and
            others); the rows of player 1 count, empty numbers are trainings that diverged.
        data_efficiency: scenario and :data:`nash_dqn.evaluation.data_efficiency.COLUMNS`.

    Returns:
        Table with :data:`COLUMNS`. ``seeds`` counts trainings, or pairs of them, behind ``ours``; of two groups
        of trainings, the smaller. Where ``published`` is a number of the authors' weights, it is the one measured here,
        if their policies are in the tables.
    """
    rows = []
    tables = (beta_sweep, policy_distance, cross_play, tests, exploitability, data_efficiency)
    for scenario in pd.unique(pd.concat([t["scenario"] for t in tables])):
        sweep, distances, rewards, tested, gains, learning = (t[t["scenario"] == scenario] for t in tables)
        found = [*_fig1(sweep)]
        for comparison, part in distances.groupby("comparison", sort=False):
            if part["policy_b"].str.startswith(_COUNTERPART).any():
                found += _fig2(str(comparison), part)
        theirs = _paired_of_authors(tested)
        for (comparison, other), part in rewards.groupby(["comparison", "other"], sort=False):
            if other.startswith(_COUNTERPART):
                published = {} if comparison == AUTHORS else theirs
                found += _fig3(str(comparison), part, tested[tested["comparison"] == comparison], published)
        first = gains[gains["player"].astype(str) == "1"]
        for (algorithm, recipe, deviator), part in first.groupby(["algorithm", "recipe", "deviator"], sort=False):
            if algorithm == "self_play":
                found.append(_reference(f"self_play/{recipe}", str(deviator), part))
            else:
                gain = _gain_of_authors(first, str(scenario), algorithm, str(deviator))
                found += _equilibrium(_name(f"{algorithm}/{recipe}"), str(deviator), part, gain)
        found += _data_efficiency(learning[learning["deviator"] == _DEVIATOR])
        rows += [(scenario, *row) for row in found]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _fig1(sweep: pd.DataFrame) -> Iterator[_Row]:
    """Losses by beta and the claims on them, along the training and of the returned weights."""
    training = sweep[sweep["measure"] == "training"]
    for iteration, rows in training.groupby("iteration"):
        yield from _fig1_at(f"training, iteration {iteration:,}", rows)
    returned = sweep[sweep["measure"] == "returned"]
    if len(returned):
        yield from _fig1_at("returned weights", returned)


def _fig1_at(place: str, rows: pd.DataFrame) -> Iterator[_Row]:
    """The same at one place, a row per beta and seed."""
    usable = rows.assign(loss=rows["loss"].where(~rows["diverged"].astype(bool) & np.isfinite(rows["loss"])))
    losses = usable.pivot(index="seed", columns="beta", values="loss")
    reset = rows.pivot(index="seed", columns="beta", values="resets") > 0
    claim, none = "Fig 1: losses", math.nan
    for beta in losses.columns:
        known = losses[beta].dropna()
        spread = _Estimate(float(known.median()), float(known.min()), float(known.max()), len(known))
        yield _row(claim, f"{place}: loss at beta = {beta:g}, median and range", _published_loss(beta), spread)
        for what, count in (("diverged", losses[beta].isna().sum()), ("were reset", reset[beta].sum())):
            if count:
                quantity = f"{place}: trainings of {len(losses)} that {what} at beta = {beta:g}"
                yield _row(claim, quantity, none, _Estimate(int(count), none, none, len(losses)))

    means = losses.mean()
    best = float(means.idxmin()) if means.notna().any() else none
    others = [beta for beta in losses.columns if beta != FIG1_BEST_BETA]
    known_best = FIG1_BEST_BETA in losses.columns
    differences = {beta: _difference(losses, beta, FIG1_BEST_BETA) for beta in others} if known_best else {}
    quantity, estimate = f"{place}: beta with the smallest mean loss", _Estimate(best, none, none, len(losses))
    verdict = _optimal(list(differences.values()))
    yield _row(f"Fig 1: beta = {FIG1_BEST_BETA:g} is optimal", quantity, FIG1_BEST_BETA, estimate, verdict)
    if math.isfinite(best) and len(means) > 1:
        yield _stands_out(place, losses, best)
    if 0 in differences:
        yield from _falls(place, differences[0])
    yield _resolution(place, losses)


def _stands_out(place: str, losses: pd.DataFrame, best: float) -> _Row:
    """Whether the lowest mean loss can be told from those next to it."""
    betas = sorted(losses.columns)
    at = betas.index(best)
    level = ALPHA / (len(betas) - 1)
    found = {
        beta: _estimate(_difference(losses, beta, best), level)
        for beta in (*betas[max(at - 1, 0) : at], *betas[at + 1 : at + 2])
    }
    closest = min(found, key=lambda beta: (math.isfinite(found[beta].low), found[beta].low))
    verdict: Verdict = "holds" if all(estimate.low > 0 for estimate in found.values()) else "inconclusive"
    quantity = f"{place}: loss at beta = {closest:g} less loss at beta = {best:g}"
    published = _published_loss(closest) - _published_loss(best)
    claim = "Fig 1: the lowest loss stands out from its neighbours"
    return _row(claim, quantity, published, found[closest], verdict)


def _falls(place: str, fall: pd.Series) -> Iterator[_Row]:
    """Whether the loss at beta = 100 is below that at beta = 0, and whether one training may fall as published."""
    estimate = _estimate(fall)
    quantity = f"{place}: loss at beta = 0 less loss at beta = {FIG1_BEST_BETA:g}"
    published = _published_loss(0) - _published_loss(FIG1_BEST_BETA)
    verdict: Verdict = "inconclusive"
    if estimate.low > 0:
        verdict = "holds"
    elif estimate.high < 0:
        verdict = "does not hold"
    yield _row("Fig 1: regularisation lowers the loss", quantity, published, estimate, verdict)
    half = (estimate.high - estimate.mean) * math.sqrt(estimate.seeds + 1)
    single = estimate._replace(low=estimate.mean - half, high=estimate.mean + half)
    verdict = "inconclusive"
    if math.isfinite(half):
        verdict = "holds" if single.low <= published <= single.high else "does not hold"
    claim = "Fig 1: one pair of trainings may fall as published"
    yield _row(claim, f"{quantity}, interval of one more seed", published, single, verdict)


def _resolution(place: str, losses: pd.DataFrame) -> _Row:
    """The spread of a single training between seeds, pooled over betas."""
    counts, none = losses.count(), math.nan
    freedom = int((counts[counts > 1] - 1).sum())
    estimate = _Estimate(none, none, none, len(losses))
    verdict: Verdict = "inconclusive"
    if freedom:
        squares = float((losses.var() / losses.mean() ** 2 * (counts - 1)).sum())
        low, high = (math.sqrt(squares / special.chdtri(freedom, q)) for q in (ALPHA / 2, 1 - ALPHA / 2))
        estimate = _Estimate(math.sqrt(squares / freedom), low, high, len(losses))
        limit = RESOLUTION / (_NORMAL * math.sqrt(2))
        if estimate.high <= limit:
            verdict = "holds"
        elif estimate.low > limit:
            verdict = "does not hold"
    quantity = f"{place}: spread of one training between seeds, as a share of its mean"
    return _row(f"Fig 1: one training a beta tells {100 * RESOLUTION:g} % apart", quantity, none, estimate, verdict)


def _difference(losses: pd.DataFrame, beta: float, other: float) -> pd.Series:
    """Loss at beta less that at the other, by seed."""
    return (losses[beta] - losses[other]).dropna()


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
            quantity = f"{where}RMS rate difference of two trainings of {_name(name)}, shares/hour"
            yield _row(claim, quantity, none, of_name)
        relative = _estimate(_by_pair(between, states, "relative"))
        yield _row(claim, f"{where}RMS rate difference relative to the rates", none, relative)


def _by_pair(distances: pd.DataFrame, states: list[str], column: str) -> pd.Series:
    """Root mean square over sets of states, for each pair of trainings."""
    part = distances[distances["states"].isin(states)]
    return part.groupby(["seed_a", "seed_b"])[column].apply(lambda values: rms(values.to_numpy()))


def _fig3(comparison: str, rewards: pd.DataFrame, tests: pd.DataFrame, paired: Mapping[str, float]) -> Iterator[_Row]:
    """Rewards of the four profiles and the two claims on their differences; ``paired`` are the authors', by pair."""
    independent = rewards[rewards["design"] == "independent"]
    for profile in PROFILES:
        part = independent[independent["profile"] == profile]
        # A point that is not finite must not be skipped, as pandas would.
        means = part.groupby(["seed_nash", "seed_other"])["reward"].apply(
            lambda values: float(np.mean(values.to_numpy()))
        )
        quantity = f"{comparison}: mean reward of agent 1, {_of_fp(profile)}"
        yield _row("Fig 3: rewards", quantity, FIG3_MEANS[profile].value, _estimate(means))

    for deviation, base in PAIRS:
        pair = f"{deviation}-{base}"
        of_pair = tests[tests["pair"] == pair]
        name = f"{comparison}, {_of_fp(deviation)} less {_of_fp(base)}: "
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
                known = " (published: the authors' weights)" if pair in paired else ""
                quantity = f"{name}mean difference, common random numbers{known}"
                yield _row(claim, quantity, paired.get(pair, math.nan), pooled, verdict)
                yield _row(claim, f"{name}share of seed pairs that reject, paired test", math.nan, shares)


def _of_fp(profile: str) -> str:
    """Name of a profile where the other policy is fictitious play's."""
    return profile.replace("other", "fp")


def _pooled(rows: pd.DataFrame) -> _Estimate:
    if rows.empty:
        return _Estimate(math.nan, math.nan, math.nan, 0)
    row = rows.iloc[0]
    return _Estimate(float(row["mean_difference"]), float(row["low"]), float(row["high"]), int(row["n"]))


def _paired_of_authors(tests: pd.DataFrame) -> dict[str, float]:
    """Paired differences between the authors' policies, by pair: measured here, or else published."""
    rows = tests[(tests["comparison"] == AUTHORS) & (tests["test"] == "paired") & (tests["scope"] == POOLED)]
    measured = dict(zip(rows["pair"], rows["mean_difference"].astype(float), strict=True))
    return measured or {pair: number.value for pair, number in RELEASED_WEIGHTS_PAIRED.items()}


def _gain_of_authors(gains: pd.DataFrame, scenario: str, algorithm: str, deviator: str) -> float:
    """What a deviator gains against the authors' policy of that algorithm: measured here, or else published."""
    if algorithm == AUTHORS:
        return math.nan
    named = gains["algorithm"] + "/" + gains["recipe"]
    measured = gains[(named == _AUTHORS[algorithm]) & (gains["deviator"] == deviator)]
    if len(measured):
        return float(measured["gain"].mean())
    known = RELEASED_WEIGHTS_EXPLOITABILITY.get((algorithm, deviator)) if scenario == RELEASED_SCENARIO else None
    return math.nan if known is None else known.value


def _name(policy: str) -> str:
    """``algorithm/recipe``, or what the authors' policies are called."""
    return AUTHORS_POLICIES.get(policy, policy)


def _equilibrium(policy: str, deviator: str, gains: pd.DataFrame, published: float) -> Iterator[_Row]:
    """What a deviator gains against the trainings of one recipe, player 1's rows."""
    claim = "Nash equilibrium: learned policies"
    sound = gains[np.isfinite(gains["gain"].to_numpy(dtype=np.float64))]
    lost = len(gains) - len(sound)
    estimate = _estimate(sound["gain"])
    limit = EQUILIBRIUM_SHARE * abs(float(sound["value"].mean()))
    verdict: Verdict = "reported"
    if deviator == _DEVIATOR:
        verdict = "inconclusive"
        if estimate.low > limit or not len(sound):
            verdict = "does not hold"
        elif estimate.high <= limit and not lost:
            verdict = "holds"
    none = math.nan
    yield _row(claim, f"{policy}: gain of a deviator of class {deviator}", published, estimate, verdict)
    if deviator == _DEVIATOR:
        allowed = _Estimate(limit, none, none, len(sound))
        yield _row(claim, f"{policy}: {EQUILIBRIUM_SHARE:.1%} of the size of its value", none, allowed)
        if lost:
            quantity = f"{policy}: trainings of {len(gains)} that diverged"
            yield _row(claim, quantity, none, _Estimate(lost, none, none, len(gains)))


def _reference(policy: str, deviator: str, gains: pd.DataFrame) -> _Row:
    """Whether self-play is an equilibrium, by the seed with the highest end of its interval over paths."""
    quantity = f"{policy}: gain of a deviator of class {deviator}, highest of the seeds"
    highs = gains["high"].to_numpy(dtype=np.float64)
    worst = gains.iloc[int(np.argmax(np.where(np.isfinite(highs), highs, np.inf)))]
    gain, low, high = (float(worst[column]) for column in ("gain", "low", "high"))
    verdict: Verdict = "inconclusive"
    if high <= CERTIFIED:
        verdict = "holds"
    elif low > CERTIFIED or not math.isfinite(high):
        verdict = "does not hold"
    estimate = _Estimate(gain, low, high, len(gains))
    return _row("Nash equilibrium: self-play reference", quantity, math.nan, estimate, verdict)


def _data_efficiency(learning: pd.DataFrame) -> Iterator[_Row]:
    """Exploitability at equal data, and the data to a level of it, of every recipe and pair of recipes."""
    claim = "Data efficiency: Nash-DQN against fictitious play"
    budget = BUDGETS["nash_dqn"]
    at_budget = f"exploitability at {budget:,} joint transitions"
    to_level = f"joint transitions to an exploitability of {DATA_LEVEL:g}"
    found: dict[str, dict[str, dict[str, list[float]]]] = {}
    for (algorithm, recipe), part in learning.groupby(["algorithm", "recipe"], sort=False):
        trainings = [of_seed.sort_values("transitions") for _, of_seed in part.groupby("seed")]
        of_recipe = {
            at_budget: [_gain_within(rows, budget) for rows in trainings],
            to_level: [_transitions_to(rows, DATA_LEVEL) for rows in trainings],
        }
        found.setdefault(str(algorithm), {})[f"{algorithm}/{recipe}"] = of_recipe
        for quantity, values in of_recipe.items():
            middle, low, high = (_finite(x) for x in (np.median(values), min(values), max(values)))
            estimate = _Estimate(middle, low, high, len(values))
            yield _row(claim, f"{algorithm}/{recipe}: {quantity}, median and range", math.nan, estimate)
        never = sum(not math.isfinite(value) for value in of_recipe[to_level])
        quantity = f"{algorithm}/{recipe}: trainings of {len(trainings)} that do not reach {DATA_LEVEL:g}"
        yield _row(claim, quantity, math.nan, _Estimate(never, math.nan, math.nan, len(trainings)))
    for nash, of_nash in found.get("nash_dqn", {}).items():
        for fp, of_fp in found.get("fictitious_play", {}).items():
            for quantity in (at_budget, to_level):
                ours, theirs = of_nash[quantity], of_fp[quantity]
                label = f"{nash} over {fp}: ratio of {quantity}"
                yield _row(claim, label, math.nan, _ratio(ours, theirs), _separated(ours, theirs))


def _gain_within(training: pd.DataFrame, budget: int) -> float:
    """Exploitability of the last policy kept within the budget; infinite after a divergence, and before the first."""
    gains = training.loc[training["transitions"] <= budget, "gain"].to_numpy(dtype=np.float64)
    return float(gains[-1]) if len(gains) and math.isfinite(gains[-1]) else math.inf


def _transitions_to(training: pd.DataFrame, level: float) -> float:
    """Joint transitions from which on the exploitability is at most the level; infinite if it is not so at last."""
    needed = math.inf
    for transitions, gain in training[["transitions", "gain"]].to_numpy(dtype=np.float64)[::-1]:
        if not gain <= level:
            break
        needed = float(transitions)
    return needed


def _separated(first: Sequence[float], second: Sequence[float]) -> Verdict:
    """Whether the first are all below the second, and that by more than chance."""
    chance = 2 / math.comb(len(first) + len(second), len(first))
    if chance <= ALPHA and max(first) < min(second):
        return "holds"
    if chance <= ALPHA and min(first) > max(second):
        return "does not hold"
    return "inconclusive"


def _ratio(first: Sequence[float], second: Sequence[float]) -> _Estimate:
    """Ratio of the medians, and from the lowest over the highest to the highest over the lowest."""
    pairs = ((np.median(first), np.median(second)), (min(first), max(second)), (max(first), min(second)))
    middle, low, high = (_finite(a / b) if math.isfinite(b) and b > 0 else math.nan for a, b in pairs)
    return _Estimate(middle, low, high, min(len(first), len(second)))


def _finite(value: float) -> float:
    return float(value) if math.isfinite(value) else math.nan


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
