"""The experiment of Fig. 3 on policies made by hand, and its tests on tables made by hand."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from nash_dqn.evaluation import cross_play, cross_play_tests
from nash_dqn.evaluation.rollout import play
from nash_dqn.games.base import ObservationSpec
from nash_dqn.policy import Policy
from nash_dqn.seeding import generator
from tests.common import MARKET, linear

NASH = [[0.3, -1.0, 0.5, -0.7, -3.0], [-0.2, 0.4, 0.1, 0.3, -2.0]]
FP = [[0.1, 1.5, -0.4, 0.6, -1.0], [0.2, -0.3, 0.7, -0.5, -4.0]]
FP_SPEC = ObservationSpec(price="S-Y", order_flow="others_mean")


@pytest.fixture
def policies() -> tuple[Policy, Policy]:
    return linear(NASH), linear(FP, spec=FP_SPEC, algorithm="fictitious_play", bound=50.0)


def points_of(table: pd.DataFrame, profile: str, design: str, seed: int = 1) -> np.ndarray[Any, Any]:
    chosen = (table["profile"] == profile) & (table["design"] == design) & (table["seed_nash"] == seed)
    return table[chosen].sort_values("point")["reward"].to_numpy()


def test_points_are_means_over_their_own_paths(
    policies: tuple[Policy, Policy], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Agent 1's and the others' policy and the stream in either design; 30 paths in blocks of 20."""
    monkeypatch.setattr(cross_play, "_BLOCK", 20)
    nash, fp = policies
    table = cross_play.evaluate(MARKET, nash, fp, points=2, paths=30, seed=5)
    assert tuple(table.columns) == cross_play.COLUMNS
    assert len(table) == 2 * 4 * 2 * 2 and (table["paths"] == 30).all()
    assert (table["seed_nash"] == table["seed_other"]).all()
    for profile, first, others, independent, common in (
        ("all_other", fp, fp, 0, 0),
        ("first_nash", nash, fp, 1, 0),
        ("all_nash", nash, nash, 2, 2),
        ("first_other", fp, nash, 3, 2),
    ):
        for design, stream in (("independent", independent), ("common", common)):
            for point in range(2):
                source = generator(5, "cross_play", stream, point)
                blocks = [MARKET.sample_shocks(paths, source) for paths in (20, 10)]
                played = [play(MARKET, [(first, [0]), (others, [1, 2])], block)[..., 0] for block in blocks]
                rewards = torch.cat(played, 1).double()
                chosen = (table["profile"] == profile) & (table["design"] == design) & (table["point"] == point)
                assert table[chosen]["reward"].to_numpy() == pytest.approx(rewards.mean(1).numpy(), rel=1e-5)
                assert table[chosen]["reward_sd"].to_numpy() == pytest.approx(rewards.std(1).numpy(), rel=1e-5)


def test_trainings_meet_on_the_seeds_that_both_have_or_all_the_only_one(policies: tuple[Policy, Policy]) -> None:
    nash, fp = policies
    whole = cross_play.evaluate(MARKET, nash, fp, points=2, paths=10, seed=5)
    fewer = dataclasses.replace(fp.select([1, 0]), seeds=[2, 7])
    table = cross_play.evaluate(MARKET, nash, fewer, points=2, paths=10, seed=5)
    pd.testing.assert_frame_equal(table, whole[whole["seed_nash"] == 2].reset_index(drop=True))
    table = cross_play.evaluate(MARKET, nash, fp.member(0), points=2, paths=10, seed=5)
    shocks = MARKET.sample_shocks(10, generator(5, "cross_play", 0, 1))
    expected = play(MARKET, [(nash.member(1), [0]), (fp.member(0), [1, 2])], shocks)[0, :, 0].mean()
    assert points_of(table, "first_nash", "common", seed=2)[1] == pytest.approx(float(expected), rel=1e-5)
    assert (points_of(table, "all_other", "common") == points_of(table, "all_other", "common", seed=2)).all()
    tested = cross_play_tests.tests(table, 0.05)
    assert list(dict.fromkeys(tested["scope"])) == ["1-1", "2-1", "pooled"]


def test_what_shares_random_numbers() -> None:
    """Profiles in the common design and seeds do, points and independent profiles do not; more points add to fewer."""
    twins = linear([NASH[0], NASH[0]])
    table = cross_play.evaluate(MARKET, twins, twins, points=4, paths=10, seed=5)
    for deviation, base in cross_play_tests.PAIRS:
        assert (points_of(table, deviation, "common") == points_of(table, base, "common")).all()
        assert (points_of(table, deviation, "independent") != points_of(table, base, "independent")).all()
    for profile in cross_play_tests.PROFILES:
        rewards = points_of(table, profile, "independent")
        assert (rewards == points_of(table, profile, "independent", seed=2)).all()
        assert len(set(rewards)) == 4
    few = cross_play.evaluate(MARKET, twins, twins, points=2, paths=10, seed=5)
    pd.testing.assert_frame_equal(table[table["point"] < 2].reset_index(drop=True), few)


def test_what_cannot_be_played() -> None:
    others = dataclasses.replace(linear(FP), seeds=[3, 4])
    with pytest.raises(ValueError, match="seeds are 1, 2 and 3, 4: at least one must be the same"):
        cross_play.evaluate(MARKET, linear(NASH), others, points=1, paths=2, seed=5)
    with pytest.raises(ValueError, match="points = 1, paths = 1"):
        cross_play.evaluate(MARKET, linear(NASH), linear(FP), points=1, paths=1, seed=5)


def rewards_table(rewards: Mapping[tuple[int, str, str], list[float]]) -> pd.DataFrame:
    """A table of points from {(seed, profile, design): rewards}, out of order on purpose."""
    rows = [
        (seed, seed, profile, design, point, reward, 1.0, 1000)
        for (seed, profile, design), values in rewards.items()
        for point, reward in reversed(list(enumerate(values)))
    ]
    return pd.DataFrame(rows, columns=list(cross_play.COLUMNS))


def drawn(seeds: list[int], points: int = 6) -> dict[tuple[int, str, str], list[float]]:
    random = np.random.default_rng(3)
    return {
        (seed, profile, design): random.normal(-1.3, 0.1, points).tolist()
        for seed in seeds
        for profile in cross_play_tests.PROFILES
        for design in ("independent", "common")
    }


def one(table: pd.DataFrame, pair: str, scope: str, test: str) -> pd.Series:
    chosen = table[(table["pair"] == pair) & (table["scope"] == scope) & (table["test"] == test)]
    assert len(chosen) == 1
    return chosen.iloc[0]


def test_tests_are_scipys_of_each_seed_pair_and_over_seed_pairs() -> None:
    """Welch's over the points of the independent design, paired over those of the common one, one-sample pooled."""
    rewards = drawn([1, 2, 3])
    table = cross_play_tests.tests(rewards_table(rewards), alpha=0.05)
    assert tuple(table.columns) == cross_play_tests.TEST_COLUMNS
    assert len(table) == 2 * 2 * (3 + 1)
    for deviation, base in cross_play_tests.PAIRS:
        for test, design in (("welch", "independent"), ("paired", "common")):
            means = []
            for seed in (1, 2, 3):
                x, y = (np.array(rewards[seed, profile, design]) for profile in (deviation, base))
                means.append(x.mean() - y.mean())
                expected = stats.ttest_ind(x, y, equal_var=False) if test == "welch" else stats.ttest_rel(x, y)
                row = one(table, f"{deviation}-{base}", f"{seed}-{seed}", test)
                found = tuple(row[["n", "mean_difference", "statistic", "p_value", "df"]])
                assert found == pytest.approx((6, means[-1], *expected, expected.df))
            expected = stats.ttest_1samp(means, 0)
            row = one(table, f"{deviation}-{base}", "pooled", test)
            assert tuple(row[["n", "df", "statistic", "p_value"]]) == pytest.approx((3, 2, *expected))
            assert tuple(row[["low", "high"]]) == pytest.approx(tuple(expected.confidence_interval()))


def test_what_is_undefined_is_empty_and_rewards_that_are_not_finite_are_never_dropped() -> None:
    row = one(cross_play_tests.tests(rewards_table(drawn([1])), 0.05), "first_nash-all_other", "pooled", "paired")
    assert row["n"] == 1
    assert math.isfinite(row["mean_difference"])
    assert row[["low", "high", "statistic", "df", "p_value", "effect_size", "reject"]].isna().all()
    table = cross_play_tests.tests(rewards_table(drawn([1, 2], points=1)), 0.05)
    assert one(table, "first_nash-all_other", "1-1", "welch")[["low", "p_value", "reject"]].isna().all()
    assert math.isfinite(one(table, "first_nash-all_other", "pooled", "welch")["p_value"])
    rewards = drawn([1, 2, 3])
    rewards[2, "first_nash", "common"][4] = math.inf
    table = cross_play_tests.tests(rewards_table(rewards), 0.05)
    for scope in ("2-2", "pooled"):
        row = one(table, "first_nash-all_other", scope, "paired")
        assert row[["mean_difference", "low", "p_value", "reject"]].isna().all()
    assert math.isfinite(one(table, "first_nash-all_other", "1-1", "paired")["p_value"])
    assert math.isfinite(one(table, "first_nash-all_other", "pooled", "welch")["p_value"])
