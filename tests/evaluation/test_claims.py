"""Each rule gives each verdict on tables made for it."""

import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nash_dqn.artifacts import read_table, write_csv
from nash_dqn.evaluation import claims as module
from nash_dqn.evaluation import cross_play
from nash_dqn.evaluation.claims import COLUMNS, claims
from nash_dqn.evaluation.policy_grid import DISTANCE_COLUMNS
from nash_dqn.evaluation.statistics import mean_interval

OPTIMAL = "Fig 1: beta = 100 is optimal"
LOWERS = "Fig 1: regularisation lowers the loss"
SAME = "Fig 2: essentially the same policies"
NOT_REJECTED = "Fig 3: equal means not rejected"
EQUAL = "Fig 3: equal means"

SWEEP = ("scenario", "recipe", "beta", "seed", "loss", "loss_se", "episodes", "diverged")


# --- tables -----------------------------------------------------------------------------------------


def sweep(losses: Mapping[float, Sequence[float]], diverged: Sequence[tuple[float, int]] = ()) -> pd.DataFrame:
    """Losses by beta, one per seed 1, 2, ..; in the named (beta, seed) the member diverged."""
    rows = [
        ("table1", "paper", beta, seed, loss, 0.1, 1000, (beta, seed) in diverged)
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
        (scenario, "paper", a, b, *pair, states, rms, 2.0, 2.0, rms / 2)
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
        for deviation, base in cross_play.PAIRS:
            noise = random.normal(-1.3, shared_noise, (2, points))
            small = random.normal(0, 0.001, (2, points))
            for profile, design, values in (
                (base, "independent", noise[0]),
                (base, "common", noise[0]),
                (deviation, "independent", noise[1] + gain + small[0]),
                (deviation, "common", noise[0] + gain + small[1]),
            ):
                rows += [("table1", "paper", seed, seed, profile, design, p, x, 3.0, 100) for p, x in enumerate(values)]
    return pd.DataFrame(rows, columns=["scenario", "comparison", *cross_play.COLUMNS])


def compared(points: pd.DataFrame) -> pd.DataFrame:
    names = ["scenario", "comparison"]
    tables = {key: cross_play.tests(group, 0.05) for key, group in points.groupby(names)}
    return pd.concat(tables, names=names).reset_index(names)


def judged(
    losses: pd.DataFrame | None = None, apart: pd.DataFrame | None = None, points: pd.DataFrame | None = None
) -> pd.DataFrame:
    """The claims on the tables given, the other tables empty."""
    losses = sweep({}) if losses is None else losses
    apart = distances([], [], []) if apart is None else apart
    points = rewards([]) if points is None else points
    tests = compared(points) if len(points) else points.head(0).assign(**dict.fromkeys(cross_play.TEST_COLUMNS))
    return claims(losses, apart, points, tests)


def verdicts(table: pd.DataFrame, claim: str) -> list[str]:
    """Verdicts of a claim's rows, those that are merely reported left out."""
    return [v for v in table[table["claim"] == claim]["verdict"] if v != "reported"]


def row(table: pd.DataFrame, quantity: str) -> pd.Series:
    chosen = table[table["quantity"] == quantity]
    assert len(chosen) == 1, f"{len(chosen)} rows {quantity!r} among {table['quantity'].tolist()}"
    return chosen.iloc[0]


# --- Fig 1 ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("losses", "optimal", "lowers"),
    [
        # Clearly below both others at every seed.
        ({0: [86, 87, 88], 10: [59, 60, 61], 100: [53, 54, 55]}, "holds", "holds"),
        # One other beta is clearly better.
        ({0: [86, 87, 88], 10: [43, 44, 45], 100: [53, 54, 55]}, "does not hold", "holds"),
        # Better on average, but not at every seed.
        ({0: [86, 87, 88], 10: [52, 60, 56], 100: [53, 54, 55]}, "inconclusive", "holds"),
        # Without regularisation the loss is lower.
        ({0: [33, 34, 35.5], 10: [59, 60, 61], 100: [53, 54, 55]}, "does not hold", "does not hold"),
        # One seed: nothing is known about another training.
        ({0: [86], 10: [59], 100: [53]}, "inconclusive", "inconclusive"),
    ],
)
def test_verdicts_on_the_regulariser(losses: dict[float, list[float]], optimal: str, lowers: str) -> None:
    table = judged(sweep(losses))
    assert verdicts(table, OPTIMAL) == [optimal]
    assert verdicts(table, LOWERS) == [lowers]


def test_one_of_many_betas_below_by_chance_is_not_enough() -> None:
    # d(10) has an interval below zero at 5 % but not at 5 % / 7: with seven others one such is luck.
    others: dict[float, list[float]] = {beta: [60.0, 61.0, 62.5] for beta in (0, 1, 25, 50, 75, 500)}
    difference = [-1.0, -2.0, -1.4]
    assert mean_interval(difference).high < 0 < mean_interval(difference, 0.05 / 7).high
    table = judged(sweep({**others, 100: [50.0] * 3, 10: [50 + d for d in difference]}))
    assert verdicts(table, OPTIMAL) == ["inconclusive"]


def test_losses_stand_beside_the_published_ones() -> None:
    table = judged(sweep({0: [86, 87, 88], 33: [1, 2, 3], 100: [53, 54, 58]}))
    at_0, at_33 = row(table, "loss at beta = 0"), row(table, "loss at beta = 33")
    assert (at_0["published"], at_0["ours"], at_0["seeds"], at_0["verdict"]) == (86.0, 87.0, 3, "reported")
    assert (at_0["low"], at_0["high"]) == pytest.approx(mean_interval([86, 87, 88])[1:3])
    assert math.isnan(at_33["published"])
    assert row(table, "beta with the smallest mean loss")[["published", "ours"]].tolist() == [100, 33]
    difference = table[(table["claim"] == LOWERS)].iloc[0]
    assert difference["quantity"] == "loss at beta = 0 less loss at beta = 100"
    assert difference["published"] == pytest.approx(86.0 - 53.7)
    assert (difference["low"], difference["high"]) == pytest.approx(mean_interval([33, 33, 30])[1:3])


def test_members_that_diverged_are_left_out_and_counted() -> None:
    losses: dict[float, list[float]] = {0: [86, 87, 88], 100: [53, 54, 1e9, 55], 500: [math.nan] * 4}
    table = judged(sweep(losses, diverged=[(100, 3), *((500, seed) for seed in (1, 2, 3, 4))]))
    at_100 = row(table, "loss at beta = 100")
    assert (at_100["ours"], at_100["seeds"]) == (54.0, 3)
    assert row(table, "members of 4 that diverged at beta = 100")["ours"] == 1
    assert row(table, "members of 4 that diverged at beta = 500")["ours"] == 4
    assert math.isnan(row(table, "loss at beta = 500")["ours"])
    # Seeds 1 and 2 alone are pairs; the beta without a single loss keeps the claim open.
    assert table[table["claim"] == LOWERS].iloc[0]["seeds"] == 2
    assert verdicts(table, OPTIMAL) == ["inconclusive"]


def test_a_sweep_without_the_published_optimum_decides_nothing() -> None:
    table = judged(sweep({0: [86, 87], 50: [53, 54]}))
    assert verdicts(table, OPTIMAL) == ["inconclusive"]
    assert row(table, "beta with the smallest mean loss")["ours"] == 50
    assert LOWERS not in set(table["claim"])


# --- Fig 2 ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("between", "nash", "fp", "verdict"),
    [
        ([0.9, 1.0, 1.1], [1.0] * 3, [1.2] * 3, "holds"),
        ([1.9, 2.0, 2.1], [1.0] * 3, [1.2] * 3, "does not hold"),
        ([0.5, 1.5, 2.5], [1.0] * 3, [1.2] * 3, "inconclusive"),
        ([0.1], [], [], "inconclusive"),
    ],
)
def test_verdicts_on_the_distance_of_policies(
    between: list[float], nash: list[float], fp: list[float], verdict: str
) -> None:
    table = judged(apart=distances(between, nash, fp))
    assert verdicts(table, SAME) == [verdict] * 2  # on the grid and on visited states


def test_the_yardstick_is_what_training_noise_alone_would_give() -> None:
    # Two algorithms whose trainings scatter around one and the same policy, one five times as much as the other.
    random = np.random.default_rng(0)
    nash, fp = random.normal(0, 0.5, (200, 50)), random.normal(0, 0.1, (200, 50))
    rms = lambda x: np.sqrt(np.mean(np.square(x), axis=-1)).tolist()  # noqa: E731
    pairs = np.array(list(itertools.combinations(range(200), 2)))
    within = [rms(x[pairs[:, 0]] - x[pairs[:, 1]]) for x in (nash, fp)]
    table = judged(apart=distances(rms(nash - fp), *within))
    expected = row(table, "paper, grid: RMS rate difference expected from training noise, shares/hour")["ours"]
    assert expected == pytest.approx(math.sqrt(0.5**2 + 0.1**2), rel=0.03)
    assert row(table, "paper, grid: RMS rate difference, shares/hour")["ours"] == pytest.approx(expected, rel=0.03)


def test_distances_are_reported_beside_the_rule() -> None:
    table = judged(apart=distances([0.9, 1.0, 1.1], [1.0] * 3, [1.2] * 3))
    relative = row(table, "paper, visited states: RMS rate difference relative to the rates")
    assert (relative["ours"], relative["seeds"]) == (pytest.approx(0.5), 3)
    name = "paper, grid: RMS rate difference of two trainings of fictitious_play, shares/hour"
    assert row(table, name)["ours"] == pytest.approx(1.2)


def test_a_distance_that_is_not_finite_is_not_skipped() -> None:
    apart = distances([0.9, 1.0, 1.1], [1.0] * 3, [1.2] * 3)
    apart.loc[(apart["states"] == "visited_a") & (apart["seed_b"] == 2), "rms"] = math.nan
    table = judged(apart=apart)
    assert verdicts(table, SAME) == ["holds", "inconclusive"]
    assert math.isnan(row(table, "paper, visited states: RMS rate difference, shares/hour")["ours"])


# --- Fig 3 ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gains", "not_rejected", "equal"),
    [
        # Lost in the noise of independent points, plain on common ones.
        ([0.02, 0.021, 0.022], "holds", "does not hold"),
        # Plain in either design.
        ([1.0, 1.1, 1.2], "does not hold", "does not hold"),
        # One training of three differs.
        ([0.0, 0.0, 1.0], "inconclusive", "inconclusive"),
        # One pair of trainings: the paper's test can be repeated, nothing can be said about trainings.
        ([0.02], "holds", "inconclusive"),
    ],
)
def test_verdicts_on_equal_means(gains: list[float], not_rejected: str, equal: str) -> None:
    table = judged(points=rewards(gains))
    assert verdicts(table, NOT_REJECTED) == [not_rejected] * 2
    assert verdicts(table, EQUAL) == [equal] * 2


def test_rewards_and_differences_stand_beside_the_published_ones() -> None:
    table = judged(points=rewards([0.02, 0.021, 0.022], shared_noise=0.01))
    profile = row(table, "paper: mean reward of agent 1, all_fp")
    assert profile["published"] == -1.349
    assert profile["ours"] == pytest.approx(-1.3, abs=0.01)
    assert profile["low"] < profile["ours"] < profile["high"]
    name = "paper, first_nash less all_fp: mean difference, "
    assert row(table, name + "independent random numbers")["published"] == pytest.approx(-1.375 + 1.349)
    common = row(table, name + "common random numbers (published: the authors' weights)")
    assert common["published"] == -0.0307
    assert common["ours"] == pytest.approx(0.021, abs=0.001)
    assert common["seeds"] == 3
    share = row(table, "paper, first_nash less all_fp: share of seed pairs that reject, paired test")
    assert (share["ours"], share["seeds"]) == (1.0, 3)


def test_rewards_that_are_not_finite_decide_nothing() -> None:
    points = rewards([0.02, 0.021, 0.022])
    points.loc[(points["profile"] == "first_nash") & (points["seed_nash"] == 2), "reward"] = math.nan
    table = judged(points=points)
    assert verdicts(table, NOT_REJECTED) == ["inconclusive", "holds"]
    assert verdicts(table, EQUAL) == ["inconclusive", "does not hold"]
    assert math.isnan(row(table, "paper: mean reward of agent 1, first_nash")["ours"])


# --- the whole table --------------------------------------------------------------------------------


def test_verdicts_survive_files(tmp_path: Path) -> None:
    losses = sweep({0: [86, 87, 88], 100: [53, 54, 55], 500: [1, 2, 3]}, diverged=[(500, 1)])
    apart, points = distances([0.9, 1.0, 1.1], [1.0] * 3, [1.2] * 3), rewards([0.02, 0.021, 0.022])
    tables = {"sweep": losses, "apart": apart, "points": points, "tests": compared(points)}
    for name, table in tables.items():
        write_csv(tmp_path / name, table)
    read = [read_table(tmp_path / name, list(table.columns)) for name, table in tables.items()]
    pd.testing.assert_frame_equal(claims(*read), claims(*tables.values()))


def test_scenarios_and_comparisons_are_judged_apart() -> None:
    near, far = distances([0.9, 1.0, 1.1], [1.0] * 3, [1.2] * 3), distances([2.9, 3.0, 3.1], [1.0] * 3, [1.2] * 3)
    both = pd.concat([near, far.assign(comparison="released"), near.assign(scenario="released")])
    table = judged(apart=both)
    assert tuple(table.columns) == COLUMNS
    for scenario, comparison, verdict in (
        ("table1", "paper", "holds"),
        ("table1", "released", "does not hold"),
        ("released", "paper", "holds"),
    ):
        rows = table[(table["scenario"] == scenario) & table["quantity"].str.startswith(f"{comparison}, ")]
        assert set(verdicts(rows, SAME)) == {verdict}
    assert not table.duplicated(["scenario", "claim", "quantity"]).any()


def test_every_claim_is_explained_where_its_rule_stands() -> None:
    table = judged(sweep({0: [1, 2], 100: [1, 2]}), distances([1, 2], [1], [1]), rewards([0.0, 0.1]))
    explained = " ".join((module.__doc__ or "").split())
    for claim in table[table["verdict"] != "reported"]["claim"].unique():
        assert f"``{claim}``" in explained
