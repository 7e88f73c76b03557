"""Each rule gives each verdict on tables made for it."""

import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from nash_dqn.artifacts import read_table, write_csv
from nash_dqn.evaluation import cross_play_tests
from nash_dqn.evaluation.claims import COLUMNS, RULES, claims
from nash_dqn.evaluation.policy_distance import DISTANCE_COLUMNS
from nash_dqn.evaluation.statistics import mean_interval

OPTIMAL = "Fig 1: beta = 100 is optimal"
LOWERS = "Fig 1: regularisation lowers the loss"
STANDS_OUT = "Fig 1: the lowest loss stands out from its neighbours"
AS_PUBLISHED = "Fig 1: one pair of trainings may fall as published"
RESOLVES = "Fig 1: one training a beta tells 5 % apart"
SAME = "Fig 2: essentially the same policies"
NOT_REJECTED = "Fig 3: equal means not rejected"
EQUAL = "Fig 3: equal means"
NASH = "Nash equilibrium: learned policies"
REFERENCE = "Nash equilibrium: self-play reference"
DATA = "Data efficiency: Nash-DQN against fictitious play"

GAINS = ("scenario", "policy", "algorithm", "seed", "deviator", "player", "gain", "low", "high", "value")
LEARNING = ("scenario", "policy", "algorithm", "seed", "deviator", "transitions", "gain")
SWEEP = ("scenario", "beta", "seed", "measure", "iteration", "loss", "resets", "diverged")
PLAYED = ["scenario", "comparison", "other", "other_algorithm"]
POLICIES = {"nash_dqn": "nash-text", "fictitious_play": "fp-code", "self_play": "reference"}
PAIR, OF_AUTHORS = "nash-text-vs-fp-code", "authors-nash-vs-authors-fp"


# --- tables -----------------------------------------------------------------------------------------


def sweep(
    losses: Mapping[float, Sequence[float]],
    diverged: Sequence[tuple[float, int]] = (),
    reset: Sequence[tuple[float, int]] = (),
    measure: str = "returned",
    iteration: int = 5000,
) -> pd.DataFrame:
    """Losses by beta, one per seed 1, 2, ..; in the named (beta, seed) the member diverged, or was reset."""
    rows = [
        ("table1", beta, seed, measure, iteration, loss, 2 * ((beta, seed) in reset), (beta, seed) in diverged)
        for beta, values in losses.items()
        for seed, loss in enumerate(values, 1)
    ]
    return pd.DataFrame(rows, columns=list(SWEEP))


def distances(
    between: Sequence[float], nash: Sequence[float], fp: Sequence[float], scenario: str = "table1"
) -> pd.DataFrame:
    """Distances between the algorithms for seeds 1, 2, .., and between trainings of each; equal in all states."""
    seeds = range(1, len(between) + 1)
    pairs = list(itertools.combinations(seeds, 2))
    rows = [
        (scenario, PAIR, POLICIES[a], POLICIES[b], a, b, *pair, states, rms, 2.0, 2.0, rms / 2)
        for a, b, seeds_of, values in (
            ("nash_dqn", "fictitious_play", [(s, s) for s in seeds], between),
            ("nash_dqn", "nash_dqn", pairs, nash),
            ("fictitious_play", "fictitious_play", pairs, fp),
        )
        for pair, rms in zip(seeds_of, values, strict=True)
        for states in ("grid", "visited_a", "visited_b")
    ]
    return pd.DataFrame(rows, columns=["scenario", "comparison", *DISTANCE_COLUMNS])


def rewards(gains: Sequence[float], shared_noise: float = 0.1, points: int = 20) -> pd.DataFrame:
    """Points in which agent 1 gains ``gains[s]`` by either deviation, give or take 0.001, for seeds 1, 2, ..."""
    random = np.random.default_rng(1)
    rows = []
    for seed, gain in enumerate(gains, 1):
        for deviation, base in cross_play_tests.PAIRS:
            noise = random.normal(-1.3, shared_noise, (2, points))
            small = random.normal(0, 0.001, (2, points))
            for profile, design, values in (
                (base, "independent", noise[0]),
                (base, "common", noise[0]),
                (deviation, "independent", noise[1] + gain + small[0]),
                (deviation, "common", noise[0] + gain + small[1]),
            ):
                labels = ("table1", PAIR, "fp-code", "fictitious_play", seed, seed, profile, design)
                rows += [(*labels, p, x, 3.0, 100) for p, x in enumerate(values)]
    return pd.DataFrame(rows, columns=[*PLAYED, *cross_play_tests.COLUMNS])


def compared(points: pd.DataFrame) -> pd.DataFrame:
    tables = {key: cross_play_tests.tests(group, 0.05) for key, group in points.groupby(PLAYED)}
    return pd.concat(tables, names=PLAYED).reset_index(PLAYED)


def gains(
    values: Sequence[float],
    algorithm: str = "nash_dqn",
    deviator: str = "memory",
    scenario: str = "code",
    half: float = 0.0001,
    policy: str | None = None,
) -> pd.DataFrame:
    """Exploitability of player 1 by seed 1, 2, ..; NaN is a diverged training. Other players' rows mislead.

    Policies are worth -1.4, so the limit of an equilibrium is 0.021.
    """
    policy = policy or POLICIES[algorithm]
    rows = [
        (scenario, policy, algorithm, seed, deviator, player, x, x - half, x + half, math.nan if x != x else -1.4)
        for seed, gain in enumerate(values, 1)
        for player, x in (("1", gain), ("2", 99.0), ("nashconv", 999.0))
    ]
    return pd.DataFrame(rows, columns=list(GAINS))


def learning(curves: Mapping[str, Sequence[Mapping[int, float]]]) -> pd.DataFrame:
    """Exploitability by joint transitions, a mapping for each seed 1, 2, .. of each algorithm; NaN: diverged there."""
    rows = [
        ("table1", POLICIES[algorithm], algorithm, seed, "memory", transitions, gain)
        for algorithm, seeds in curves.items()
        for seed, curve in enumerate(seeds, 1)
        for transitions, gain in curve.items()
    ]
    return pd.DataFrame(rows, columns=list(LEARNING)).sample(frac=1, random_state=1)  # order means nothing


def judged(**given: Any) -> pd.DataFrame:
    """The claims on the tables given, the other tables empty."""
    empty = {"losses": sweep({}), "apart": distances([], [], []), "points": rewards([]), "gained": gains([])}
    tables = {**empty, "learnt": learning({}), "trainings": (), **given}
    points = tables["points"]
    tests = compared(points) if len(points) else points.head(0).assign(**dict.fromkeys(cross_play_tests.TEST_COLUMNS))
    names = ("gained", "learnt", "trainings")
    return claims(tables["losses"], tables["apart"], points, tests, *(tables[name] for name in names))


def verdicts(table: pd.DataFrame, claim: str) -> list[str]:
    """Verdicts of a claim's rows, those that are merely reported left out."""
    return [v for v in table[table["claim"] == claim]["verdict"] if v != "reported"]


def row(table: pd.DataFrame, quantity: str) -> pd.Series:
    chosen = table[table["quantity"] == quantity]
    assert len(chosen) == 1, f"{len(chosen)} rows {quantity!r} among {table['quantity'].tolist()}"
    return chosen.iloc[0]


# --- Fig 1 ------------------------------------------------------------------------------------------


BY_CHANCE = [-1.0, -2.0, -1.4]  # an interval below zero at 5 % but not at 5 % / 7: among seven others one such is luck


def test_verdicts_on_the_regulariser() -> None:
    assert mean_interval(BY_CHANCE).high < 0 < mean_interval(BY_CHANCE, 0.05 / 7).high
    many = {**{beta: [60.0, 61.0, 62.5] for beta in (0.0, 1.0, 25.0, 50.0, 75.0, 500.0)}, 100.0: [50.0] * 3}
    cases: list[tuple[dict[float, list[float]], str, str]] = [
        # Clearly below both others at every seed.
        ({0: [86, 87, 88], 10: [59, 60, 61], 100: [53, 54, 55]}, "holds", "holds"),
        # Without regularisation the loss is lower.
        ({0: [33, 34, 35.5], 10: [59, 60, 61], 100: [53, 54, 55]}, "does not hold", "does not hold"),
        # One of many betas is better, by no more than chance.
        ({**many, 10: [50 + d for d in BY_CHANCE]}, "inconclusive", "holds"),
        # One seed: nothing is known about another training.
        ({0: [86], 10: [59], 100: [53]}, "inconclusive", "inconclusive"),
    ]
    for losses, optimal, lowers in cases:
        table = judged(losses=sweep(losses))
        assert (verdicts(table, OPTIMAL), verdicts(table, LOWERS)) == ([optimal], [lowers]), losses


def test_losses_stand_beside_the_published_ones() -> None:
    table = judged(losses=sweep({0: [86, 89, 88], 33: [1, 2, 3], 100: [53, 54, 58]}))
    at_0, at_33 = (row(table, f"returned weights: loss at beta = {beta}, median and range") for beta in (0, 33))
    assert at_0[["published", "ours", "low", "high", "seeds", "verdict"]].tolist() == [86, 88, 86, 89, 3, "reported"]
    assert math.isnan(at_33["published"])
    best = row(table, "returned weights: beta with the smallest mean loss")
    assert best[["published", "ours"]].tolist() == [100, 33]
    fall = table[table["claim"] == LOWERS].iloc[0]
    assert fall["quantity"] == "returned weights: loss at beta = 0 less loss at beta = 100"
    assert fall["published"] == pytest.approx(86.0 - 53.7)
    assert (fall["low"], fall["high"]) == pytest.approx(mean_interval([33, 35, 30])[1:3])


def test_every_iteration_and_the_returned_weights_are_judged_apart() -> None:
    """Late in training beta = 0 is worse, early it is better, and returned weights tell nothing."""
    early = sweep({0: [51, 50, 52], 100: [76, 75, 77]}, measure="training", iteration=6000)
    late = sweep({0: [106, 105, 107], 100: [62, 61, 63]}, measure="training", iteration=18000)
    found = judged(losses=pd.concat([late, sweep({0: [30, 36, 33], 100: [33, 33, 33]}), early]))
    falls = found[found["claim"] == LOWERS]
    assert dict(zip(falls["quantity"], falls["verdict"], strict=True)) == {
        "training, iteration 6,000: loss at beta = 0 less loss at beta = 100": "does not hold",
        "training, iteration 18,000: loss at beta = 0 less loss at beta = 100": "holds",
        "returned weights: loss at beta = 0 less loss at beta = 100": "inconclusive",
    }


def test_whether_one_pair_of_trainings_may_fall_as_published() -> None:
    """The prediction interval of 30, 31, 32 is 31 +- t_{0.975, 2} sqrt(1 + 1/3) = 31 +- 4.97; published are 32.3."""
    for shift, verdict in ((0, "holds"), (4, "holds"), (7, "does not hold")):
        table = judged(losses=sweep({0: [80 + shift, 81 + shift, 82 + shift], 100: [50, 50, 50]}))
        (fall,) = table[table["claim"] == AS_PUBLISHED].itertuples()
        assert (fall.ours, fall.low, fall.verdict) == (31 + shift, pytest.approx(26.032 + shift, abs=1e-3), verdict)
    assert verdicts(judged(losses=sweep({0: [86], 100: [53]})), AS_PUBLISHED) == ["inconclusive"]


def test_whether_the_lowest_loss_stands_out() -> None:
    assert mean_interval([1.0, 2.0, 1.6]).low > 0 > mean_interval([1.0, 2.0, 1.6], 0.05 / 3).low
    for at_25, at_100, verdict, closest in (
        ([60.0, 61.0, 62.0], [70.0, 71.0, 72.0], "holds", 25),
        # The neighbours differ by 1, 2 and 1.6 of 50: an interval above zero at 5 %, not at 5 % / 3.
        ([51.0, 52.0, 51.6], [70.0, 71.0, 72.0], "inconclusive", 25),
        ([60.0, 61.0, 62.0], [50.0, 53.0, 49.0], "inconclusive", 100),
    ):
        table = judged(losses=sweep({0: [80.0, 81.0, 83.0], 25: at_25, 50: [50.0, 50.0, 50.0], 100: at_100}))
        (found,) = table[table["claim"] == STANDS_OUT].itertuples()
        assert found.quantity == f"returned weights: loss at beta = {closest} less loss at beta = 50"
        assert found.verdict == verdict
        assert found.published == pytest.approx({25: 55.2, 100: 53.7}[closest] - 54.8)


def test_what_one_training_can_tell() -> None:
    """Of 90, 100, 110 the standard deviation is 10 %, and so pooled over betas of one or two such triples.

    With 4 degrees of freedom, sd times sqrt(4 / 11.143) and sqrt(4 / 0.4844) (any table of chi squared).
    """
    triple = [90.0, 100.0, 110.0]
    (found,) = (
        r for r in judged(losses=sweep({0: triple, 100: [2 * x for x in triple]})).itertuples() if r.claim == RESOLVES
    )
    assert found.quantity == "returned weights: spread of one training between seeds, as a share of its mean"
    assert (found.ours, found.low, found.high) == pytest.approx((0.1, 0.05991, 0.28737), rel=1e-3)
    assert found.verdict == "does not hold"
    assert verdicts(judged(losses=sweep({0: [100.0, 100.1, 99.9], 100: triple[1:2] * 3})), RESOLVES) == ["holds"]
    assert verdicts(judged(losses=sweep({0: [100.0, 102.0]})), RESOLVES) == ["inconclusive"]
    assert verdicts(judged(losses=sweep({0: [100.0]})), RESOLVES) == ["inconclusive"]


def test_members_that_diverged_are_left_out_and_counted_and_resets_counted() -> None:
    losses: dict[float, list[float]] = {0: [86, 87, 88], 100: [53, 54, 1e9, 55], 500: [math.nan] * 4}
    diverged = [(100, 3), *((500, seed) for seed in (1, 2, 3, 4))]
    table = judged(losses=sweep(losses, diverged, reset=[(0, 1), (0, 3)]))
    at_100 = row(table, "returned weights: loss at beta = 100, median and range")
    assert (at_100["ours"], at_100["seeds"]) == (54.0, 3)
    assert row(table, "returned weights: trainings of 4 that diverged at beta = 100")["ours"] == 1
    assert row(table, "returned weights: trainings of 4 that diverged at beta = 500")["ours"] == 4
    assert row(table, "returned weights: trainings of 4 that were reset at beta = 0")["ours"] == 2
    assert math.isnan(row(table, "returned weights: loss at beta = 500, median and range")["ours"])
    # Seeds 1 and 2 alone are pairs; the beta without a single loss keeps the claim open.
    assert table[table["claim"] == LOWERS].iloc[0]["seeds"] == 2
    assert verdicts(table, OPTIMAL) == ["inconclusive"]


def test_a_sweep_without_the_published_optimum_decides_nothing() -> None:
    table = judged(losses=sweep({0: [86, 87], 50: [53, 54]}))
    assert verdicts(table, OPTIMAL) == ["inconclusive"]
    assert row(table, "returned weights: beta with the smallest mean loss")["ours"] == 50
    assert not {LOWERS, AS_PUBLISHED} & set(table["claim"])


# --- Fig 2 ------------------------------------------------------------------------------------------


def test_verdicts_on_the_distance_of_policies() -> None:
    """Two trainings of Nash-DQN are 1 apart, of fictitious play 1.2; on the grid and on visited states alike."""
    for between, verdict in (
        ([0.9, 1.0, 1.1], "holds"),
        ([1.9, 2.0, 2.1], "does not hold"),
        ([0.5, 1.5, 2.5], "inconclusive"),
    ):
        assert verdicts(judged(apart=distances(between, [1.0] * 3, [1.2] * 3)), SAME) == [verdict] * 2


def test_the_yardstick_is_what_training_noise_alone_would_give() -> None:
    # Two algorithms whose trainings scatter around one and the same policy, one five times as much as the other.
    random = np.random.default_rng(0)
    nash, fp = random.normal(0, 0.5, (100, 50)), random.normal(0, 0.1, (100, 50))
    rms = lambda x: np.sqrt(np.mean(np.square(x), axis=-1)).tolist()  # noqa: E731
    pairs = np.array(list(itertools.combinations(range(100), 2)))
    within = [rms(x[pairs[:, 0]] - x[pairs[:, 1]]) for x in (nash, fp)]
    table = judged(apart=distances(rms(nash - fp), *within))
    expected = row(table, f"{PAIR}, grid: RMS rate difference expected from training noise, shares/hour")["ours"]
    assert expected == pytest.approx(math.sqrt(0.5**2 + 0.1**2), rel=0.03)
    assert row(table, f"{PAIR}, grid: RMS rate difference, shares/hour")["ours"] == pytest.approx(expected, rel=0.03)


def test_a_distance_that_is_not_finite_is_not_skipped() -> None:
    apart = distances([0.9, 1.0, 1.1], [1.0] * 3, [1.2] * 3)
    apart.loc[(apart["states"] == "visited_a") & (apart["seed_b"] == 2), "rms"] = math.nan
    table = judged(apart=apart)
    assert verdicts(table, SAME) == ["holds", "inconclusive"]
    assert math.isnan(row(table, f"{PAIR}, visited states: RMS rate difference, shares/hour")["ours"])


# --- Fig 3 ------------------------------------------------------------------------------------------


def test_verdicts_on_equal_means() -> None:
    for gained, not_rejected, equal in (
        # Lost in the noise of independent points, plain on common ones.
        ([0.02, 0.021, 0.022], "holds", "does not hold"),
        # Plain in either design.
        ([1.0, 1.1, 1.2], "does not hold", "does not hold"),
        # One training of three differs.
        ([0.0, 0.0, 1.0], "inconclusive", "inconclusive"),
        # One pair of trainings: the paper's test can be repeated, nothing can be said about trainings.
        ([0.02], "holds", "inconclusive"),
    ):
        table = judged(points=rewards(gained))
        assert verdicts(table, NOT_REJECTED) == [not_rejected] * 2, gained
        assert verdicts(table, EQUAL) == [equal] * 2, gained


def test_rewards_and_differences_stand_beside_the_published_ones() -> None:
    table = judged(points=rewards([0.02, 0.021, 0.022], shared_noise=0.01))
    profile = row(table, f"{PAIR}: mean reward of agent 1, all_fp")
    assert profile["published"] == -1.349
    assert profile["ours"] == pytest.approx(-1.3, abs=0.01)
    assert profile["low"] < profile["ours"] < profile["high"]
    name = f"{PAIR}, first_nash less all_fp: mean difference, "
    assert row(table, name + "independent random numbers")["published"] == pytest.approx(-1.375 + 1.349)
    common = row(table, name + "common random numbers (published: the authors' weights)")
    assert common["published"] == -0.0307
    assert common["ours"] == pytest.approx(0.021, abs=0.001)
    assert common["seeds"] == 3
    share = row(table, f"{PAIR}, first_nash less all_fp: share of seed pairs that reject, paired test")
    assert (share["ours"], share["seeds"]) == (1.0, 3)


def test_rewards_that_are_not_finite_decide_nothing() -> None:
    points = rewards([0.02, 0.021, 0.022])
    points.loc[(points["profile"] == "first_nash") & (points["seed_nash"] == 2), "reward"] = math.nan
    table = judged(points=points)
    assert verdicts(table, NOT_REJECTED) == ["inconclusive", "holds"]
    assert verdicts(table, EQUAL) == ["inconclusive", "does not hold"]
    assert math.isnan(row(table, f"{PAIR}: mean reward of agent 1, first_nash")["ours"])


def test_no_claim_is_about_self_play() -> None:
    """The paper's claims of Figs 2 and 3 are about Nash-DQN and fictitious play."""
    other = {"fp-code": "reference", "fictitious_play": "self_play"}
    apart = distances([1.9, 2.0, 2.1], [1.0] * 3, [1.2] * 3).replace(other)
    points = rewards([1.0, 1.1, 1.2]).replace(other)
    assert judged(apart=apart, points=points).empty


# --- the authors' policies ----------------------------------------------------------------------------


def test_the_authors_policies_are_judged_like_ours_and_stand_beside_them() -> None:
    """One training of each; what is measured of them takes the place of what was published of their weights."""
    ours, theirs = rewards([1.0, 1.1, 1.2]), rewards([0.5]).assign(comparison=OF_AUTHORS, other="authors-fp")
    theirs = theirs.assign(seed_nash=0, seed_other=0)
    apart = distances([0.9], [], []).assign(comparison=OF_AUTHORS, policy_a="authors-nash", policy_b="authors-fp")
    gained = [gains([0.11, 0.12, 0.13], name) for name in ("nash_dqn", "fictitious_play")]
    gained += [gains([0.4], policy="authors-nash"), gains([0.3], "fictitious_play", policy="authors-fp")]
    table = judged(apart=apart, points=pd.concat([ours, theirs]), gained=pd.concat(gained))
    assert verdicts(table, SAME) == ["inconclusive"] * 2  # there is no other training of theirs
    assert row(table, f"{OF_AUTHORS}, grid: RMS rate difference, shares/hour")["ours"] == pytest.approx(0.9)
    name = f"{OF_AUTHORS}, grid: RMS rate difference of two trainings of authors-fp, shares/hour"
    assert (row(table, name)["seeds"], math.isnan(row(table, name)["ours"])) == (0, True)
    assert row(table, f"{OF_AUTHORS}: mean reward of agent 1, first_fp")["published"] == -1.325
    gain = f"{OF_AUTHORS}, first_nash less all_fp: mean difference, common random numbers"
    assert row(table, gain)["ours"] == pytest.approx(0.5, abs=0.01)
    assert math.isnan(row(table, gain)["published"])
    beside = row(table, f"{gain.replace(OF_AUTHORS, PAIR)} (published: the authors' weights)")
    assert beside["published"] == row(table, gain)["ours"]
    for ours_, theirs_, gain_ in (("nash-text", "authors-nash", 0.4), ("fp-code", "authors-fp", 0.3)):
        found, beside = (row(table, f"{who}: gain of a deviator of class memory") for who in (theirs_, ours_))
        assert (found["ours"], found["seeds"], found["verdict"]) == (gain_, 1, "inconclusive")
        assert math.isnan(found["published"])
        assert beside["published"] == gain_
    assert not table.duplicated(["scenario", "claim", "quantity"]).any()


# --- Nash equilibrium ---------------------------------------------------------------------------------


def test_verdicts_on_learned_equilibria() -> None:
    for values, verdict in (
        ([0.010, 0.011, 0.012], "holds"),
        ([0.120, 0.125, 0.130], "does not hold"),
        # The interval covers the limit.
        ([0.010, 0.011, 0.040], "inconclusive"),
        # A training that diverged is no equilibrium, whatever the others are.
        ([0.010, 0.011, 0.012, math.nan], "inconclusive"),
        ([math.nan] * 3, "does not hold"),
    ):
        assert verdicts(judged(gained=gains(values)), NASH) == [verdict], values
    # Without any spread the interval is a point: 0.0234375, a sum of powers of two, is 1.5 % of 1.5625.
    at_limit = gains([0.0234375] * 4).assign(value=-1.5625)
    assert verdicts(judged(gained=at_limit), NASH) == ["holds"]
    assert verdicts(judged(gained=at_limit.assign(gain=0.0234376)), NASH) == ["does not hold"]


def test_gains_stand_beside_those_of_the_released_weights() -> None:
    """Which were measured at the released parameters."""
    deviators = ("same", "memory", "history")
    parts = [gains([0.08, 0.09, 0.13, math.nan], deviator=d, scenario=s) for d in deviators for s in ("code", "table1")]
    table = judged(gained=pd.concat(parts))
    for scenario, deviator, published, is_judged in (
        ("code", "same", 0.096, False),
        ("code", "memory", 0.127, True),
        ("code", "history", math.nan, False),
        ("table1", "memory", math.nan, True),
    ):
        found = row(table[table["scenario"] == scenario], f"nash-text: gain of a deviator of class {deviator}")
        assert found["published"] == pytest.approx(published, nan_ok=True)
        assert (found["ours"], found["seeds"]) == (pytest.approx(0.1), 3)
        assert (found["low"], found["high"]) == pytest.approx(mean_interval([0.08, 0.09, 0.13])[1:3])
        assert (found["verdict"] != "reported") == is_judged
    released = table[table["scenario"] == "code"]
    assert row(released, "nash-text: 1.5% of the size of its value")["ours"] == pytest.approx(0.021)
    assert row(released, "nash-text: trainings of 4 that diverged")["ours"] == 1


def test_verdicts_on_the_reference() -> None:
    """The worst seed decides; one is enough, as this self-play is either exploitable or not."""
    for values, verdict in (
        ([0.0004, 0.0019], "inconclusive"),
        ([0.0004, 0.0023], "does not hold"),
        ([0.0004, math.nan], "does not hold"),
        ([0.0004], "holds"),
    ):
        table = judged(gained=gains(values, "self_play", half=0.0002))
        assert verdicts(table, REFERENCE) == [verdict], values
        assert NASH not in set(table["claim"])
        found = row(table, "reference: gain of a deviator of class memory, highest of the seeds")
        ends = [values[-1], values[-1] - 0.0002, values[-1] + 0.0002]
        assert found[["ours", "low", "high"]].tolist() == pytest.approx(ends, nan_ok=True)


# --- data efficiency ----------------------------------------------------------------------------------

AT_BUDGET = "exploitability at 2,000,000 joint transitions"
TO_LEVEL = "joint transitions to an exploitability of 0.15"
FAST = {10_000: 1.0, 100_000: 0.12, 1_000_000: 0.05}
SLOW = {10_000: 3.0, 100_000: 2.0, 1_000_000: 0.4, 3_500_000: 0.14, 10_500_000: 0.04}
NEVER = {10_000: 3.0, 100_000: 2.0, 1_000_000: 0.4}
DIVERGED = {10_000: 1.0, 100_000: 0.12, 640_000: math.nan}


def test_verdicts_on_data_efficiency() -> None:
    """At the budget, and to the level."""
    for nash, fp, expected in (
        ([FAST] * 4, [SLOW] * 4, ["holds", "holds"]),
        # One training overlaps with the others'.
        ([FAST] * 3 + [SLOW], [SLOW] * 4, ["inconclusive", "inconclusive"]),
        # Three of each are separated by chance in one case of ten.
        ([FAST] * 3, [SLOW] * 3, ["inconclusive", "inconclusive"]),
        # Never is more than any number, and above is not below.
        ([NEVER] * 4, [FAST] * 4, ["does not hold", "does not hold"]),
        # A diverged training is the worst of all, not left out, but as bad as another.
        ([FAST] * 3 + [DIVERGED], [SLOW] * 4, ["inconclusive", "inconclusive"]),
        ([DIVERGED] * 4, [DIVERGED] * 4, ["inconclusive", "inconclusive"]),
        # After the budget it matters to the level only.
        ([FAST] * 4, [{**FAST, 3_000_000: math.nan}] * 4, ["inconclusive", "holds"]),
        # Having stopped early, it counts with what it had.
        ([{10_000: 1.0, 100_000: 0.3}] * 4, [SLOW] * 4, ["holds", "does not hold"]),
    ):
        table = judged(learnt=learning({"nash_dqn": nash, "fictitious_play": fp}))
        assert verdicts(table, DATA) == expected, (nash, fp)


def test_a_level_that_is_lost_again_is_not_reached() -> None:
    curve = {10_000: 0.1, 100_000: 0.3, 1_000_000: 0.15, 3_500_000: 0.14}
    table = judged(learnt=learning({"nash_dqn": [curve, {10_000: 0.1, 100_000: 0.3}, curve]}))
    found = row(table, f"nash-text: {TO_LEVEL}, median and range")
    assert found[["ours", "low", "high"]].tolist() == pytest.approx([1e6, 1e6, math.nan], nan_ok=True)
    never = row(table, "nash-text: trainings of 3 that do not reach 0.15")
    assert (never["ours"], never["seeds"]) == (1, 3)


def test_ratios_of_data_efficiency_are_reported_beside_the_verdict() -> None:
    nash = [{100_000: 1.0, 1_000_000: gain} for gain in (0.02, 0.04, 0.06, 0.10)]
    fp = [{100_000: 1.0, 1_000_000: gain} for gain in (0.2, 0.2, 0.3, 0.5)]
    table = judged(learnt=learning({"nash_dqn": nash, "fictitious_play": fp}))
    at_budget = row(table, f"nash-text over fp-code: ratio of {AT_BUDGET}")
    assert at_budget[["ours", "low", "high"]].tolist() == pytest.approx([0.05 / 0.25, 0.02 / 0.5, 0.10 / 0.2])
    assert (at_budget["seeds"], at_budget["verdict"]) == (4, "holds")
    of_nash = row(table, f"nash-text: {AT_BUDGET}, median and range")
    assert of_nash[["ours", "low", "high"]].tolist() == pytest.approx([0.05, 0.02, 0.10])
    to_level = row(table, f"nash-text over fp-code: ratio of {TO_LEVEL}")
    assert to_level[["ours", "low", "high"]].isna().all()
    assert to_level["verdict"] == "holds"


# --- the whole table --------------------------------------------------------------------------------


def test_verdicts_survive_files(tmp_path: Path) -> None:
    losses = sweep({0: [86, 87, 88], 100: [53, 54, 55], 500: [1, 2, 3]}, diverged=[(500, 1)])
    apart, points = distances([0.9, 1.0, 1.1], [1.0] * 3, [1.2] * 3), rewards([0.02, 0.021, 0.022])
    tables = {"sweep": losses, "apart": apart, "points": points, "tests": compared(points)}
    tables |= {"gained": gains([0.01, math.nan]), "learnt": learning({"nash_dqn": [FAST, DIVERGED]})}
    for name, table in tables.items():
        write_csv(tmp_path / name, table)
    read = [read_table(tmp_path / name, list(table.columns)) for name, table in tables.items()]
    pd.testing.assert_frame_equal(claims(*read), claims(*tables.values()))


def test_scenarios_and_comparisons_are_judged_apart() -> None:
    near, far = (distances(between, [1.0] * 3, [1.2] * 3) for between in ([0.9, 1.0, 1.1], [2.9, 3.0, 3.1]))
    points = rewards([0.02, 0.021, 0.022])
    both = pd.concat([near, far.assign(comparison="another"), near.assign(scenario="code")])
    table = judged(apart=both, points=pd.concat([points, points.assign(comparison="another")]))
    assert tuple(table.columns) == COLUMNS
    for scenario, comparison, verdict in (
        ("table1", PAIR, "holds"),
        ("table1", "another", "does not hold"),
        ("code", PAIR, "holds"),
    ):
        rows = table[(table["scenario"] == scenario) & table["quantity"].str.startswith(f"{comparison}, ")]
        assert set(verdicts(rows, SAME)) == {verdict}
    assert verdicts(table, EQUAL) == ["does not hold"] * 4
    assert not table.duplicated(["scenario", "claim", "quantity"]).any()


def test_trainings_that_were_restored_are_counted() -> None:
    of_table1 = distances([1, 2], [1], [1])
    apart = pd.concat([of_table1, of_table1.assign(scenario="code")])
    restored = {"scenario": "table1", "restored": {"date": "2026-01-01"}}
    table = judged(apart=apart, trainings=[restored, {"scenario": "table1"}, restored, {"scenario": "code"}])
    found = table[table["claim"] == "Trainings"]
    assert found[["scenario", "ours", "seeds", "verdict"]].to_numpy().tolist() == [["table1", 2, 3, "reported"]]


def test_every_claim_that_is_judged_has_a_rule() -> None:
    gained = pd.concat([gains([0.1, 0.2]), gains([0.1], "self_play")])
    learnt = learning({"nash_dqn": [FAST], "fictitious_play": [SLOW]})
    apart, points = distances([1, 2], [1], [1]), rewards([0.0, 0.1])
    table = judged(losses=sweep({0: [1, 2], 100: [1, 2]}), apart=apart, points=points, gained=gained, learnt=learnt)
    found = set(table[table["verdict"] != "reported"]["claim"])
    assert {NASH, REFERENCE, DATA} <= found
    assert found == set(RULES)
