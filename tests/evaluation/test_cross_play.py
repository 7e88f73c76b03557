"""The experiment of Fig. 3 on policies made by hand, and its tests on tables made by hand."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from nash_dqn.evaluation import cross_play
from nash_dqn.evaluation.rollout import play
from nash_dqn.games.base import ObservationSpec
from nash_dqn.games.market import Market
from nash_dqn.policy import Policy
from nash_dqn.seeding import generator

NASH = [[0.3, -1.0, 0.5, -0.7, -3.0], [-0.2, 0.4, 0.1, 0.3, -2.0]]
FP = [[0.1, 1.5, -0.4, 0.6, -1.0], [0.2, -0.3, 0.7, -0.5, -4.0]]
FP_SPEC = ObservationSpec(price="S-Y", order_flow="others_mean")

Linear = Callable[..., Policy]


@pytest.fixture
def policies(linear: Linear) -> tuple[Policy, Policy]:
    return linear(NASH), linear(FP, spec=FP_SPEC, algorithm="fictitious_play", bound=50.0)


def points_of(table: pd.DataFrame, profile: str, design: str, seed: int = 1) -> np.ndarray[Any, Any]:
    chosen = (table["profile"] == profile) & (table["design"] == design) & (table["seed_nash"] == seed)
    return table[chosen].sort_values("point")["reward"].to_numpy()


# --- evaluate ---------------------------------------------------------------------------------------


def test_table_holds_every_profile_design_and_point(market: Market, policies: tuple[Policy, Policy]) -> None:
    table = cross_play.evaluate(market, *policies, points=3, paths=20, seed=5)
    assert tuple(table.columns) == cross_play.COLUMNS
    assert len(table) == 2 * 4 * 2 * 3
    assert not table.duplicated(["seed_nash", "profile", "design", "point"]).any()
    assert (table["seed_nash"] == table["seed_other"]).all()
    assert set(table["profile"]) == {"all_other", "first_nash", "all_nash", "first_other"}
    assert (table["paths"] == 20).all()


@pytest.mark.parametrize(
    ("profile", "design", "stream", "first_is_nash", "others_are_nash"),
    [
        ("all_other", "independent", 0, False, False),
        ("all_other", "common", 0, False, False),
        ("first_nash", "common", 0, True, False),
        ("first_nash", "independent", 1, True, False),
        ("all_nash", "independent", 2, True, True),
        ("all_nash", "common", 2, True, True),
        ("first_other", "common", 2, False, True),
        ("first_other", "independent", 3, False, True),
    ],
)
def test_points_are_means_over_their_own_paths(
    market: Market,
    policies: tuple[Policy, Policy],
    profile: str,
    design: str,
    stream: int,
    first_is_nash: bool,
    others_are_nash: bool,
) -> None:
    nash, fp = policies
    table = cross_play.evaluate(market, nash, fp, points=2, paths=30, seed=5)
    first, others = (nash if first_is_nash else fp), (nash if others_are_nash else fp)
    for point in range(2):
        shocks = market.sample_shocks(30, generator(5, "cross_play", stream, point))
        rewards = play(market, [(first, [0]), (others, [1, 2])], shocks)[..., 0].double()
        chosen = (table["profile"] == profile) & (table["design"] == design) & (table["point"] == point)
        part = table[chosen].sort_values("seed_nash")
        assert part["reward"].to_numpy() == pytest.approx(rewards.mean(1).numpy(), rel=1e-5)
        assert part["reward_sd"].to_numpy() == pytest.approx(rewards.std(1).numpy(), rel=1e-5)


def test_policies_meet_on_the_seeds_that_both_have(market: Market, policies: tuple[Policy, Policy]) -> None:
    nash, fp = policies
    fewer = dataclasses.replace(fp.select([1, 0]), seeds=[2, 7])
    table = cross_play.evaluate(market, nash, fewer, points=2, paths=10, seed=5)
    whole = cross_play.evaluate(market, nash, fp, points=2, paths=10, seed=5)
    assert set(table["seed_nash"]) == set(table["seed_other"]) == {2}
    pd.testing.assert_frame_equal(table, whole[whole["seed_nash"] == 2].reset_index(drop=True))


def test_one_training_meets_every_one_of_the_other(market: Market, policies: tuple[Policy, Policy]) -> None:
    nash, fp = policies
    table = cross_play.evaluate(market, nash, fp.member(0), points=2, paths=10, seed=5)
    assert list(dict.fromkeys(zip(table["seed_nash"], table["seed_other"], strict=True))) == [(1, 1), (2, 1)]
    shocks = market.sample_shocks(10, generator(5, "cross_play", 0, 1))
    expected = play(market, [(nash.member(1), [0]), (fp.member(0), [1, 2])], shocks)[0, :, 0].mean()
    assert points_of(table, "first_nash", "common", seed=2)[1] == pytest.approx(float(expected), rel=1e-5)
    assert (points_of(table, "all_other", "common") == points_of(table, "all_other", "common", seed=2)).all()
    tested = cross_play.tests(table, 0.05)
    assert list(dict.fromkeys(tested["scope"])) == ["1-1", "2-1", "pooled"]


def test_many_paths_are_merged_block_by_block(
    market: Market, policies: tuple[Policy, Policy], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cross_play, "_BLOCK", 10)
    table = cross_play.evaluate(market, *policies, points=1, paths=25, seed=5)
    source = generator(5, "cross_play", 2, 0)
    blocks = [market.sample_shocks(paths, source) for paths in (10, 10, 5)]
    rewards = torch.cat([play(market, [(policies[0], slice(None))], block) for block in blocks], dim=1)
    rewards = rewards[..., 0].double()
    part = table[(table["profile"] == "all_nash") & (table["design"] == "common")].sort_values("seed_nash")
    assert part["reward"].to_numpy() == pytest.approx(rewards.mean(1).numpy())
    assert part["reward_sd"].to_numpy() == pytest.approx(rewards.std(1).numpy())


def test_common_random_numbers_make_equal_policies_equal(market: Market, linear: Linear) -> None:
    table = cross_play.evaluate(market, linear(NASH), linear(NASH), points=4, paths=10, seed=5)
    for deviation, base in cross_play.PAIRS:
        assert (points_of(table, deviation, "common") == points_of(table, base, "common")).all()
        assert (points_of(table, deviation, "independent") != points_of(table, base, "independent")).all()


def test_seeds_share_random_numbers_and_points_do_not(market: Market, linear: Linear) -> None:
    twins = linear([NASH[0], NASH[0]])
    table = cross_play.evaluate(market, twins, twins, points=5, paths=10, seed=5)
    for profile in cross_play.PROFILES:
        rewards = points_of(table, profile, "independent")
        assert (rewards == points_of(table, profile, "independent", seed=2)).all()
        assert len(set(rewards)) == 5


def test_more_points_add_to_the_first_ones(market: Market, policies: tuple[Policy, Policy]) -> None:
    few = cross_play.evaluate(market, *policies, points=2, paths=10, seed=5)
    many = cross_play.evaluate(market, *policies, points=4, paths=10, seed=5)
    pd.testing.assert_frame_equal(many[many["point"] < 2].reset_index(drop=True), few)


def test_what_cannot_be_played(market: Market, linear: Linear) -> None:
    others = dataclasses.replace(linear(FP), seeds=[3, 4])
    with pytest.raises(ValueError, match="seeds are 1, 2 and 3, 4: at least one must be the same"):
        cross_play.evaluate(market, linear(NASH), others, points=1, paths=2, seed=5)
    with pytest.raises(ValueError, match="points = 1, paths = 1"):
        cross_play.evaluate(market, linear(NASH), linear(FP), points=1, paths=1, seed=5)


def test_no_gradients_are_kept(market: Market, policies: tuple[Policy, Policy]) -> None:
    policies[0].network.parameters[0].requires_grad_()
    cross_play.evaluate(market, *policies, points=1, paths=2, seed=5)
    assert torch.is_grad_enabled()


# --- tests ------------------------------------------------------------------------------------------


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
        for profile in cross_play.PROFILES
        for design in ("independent", "common")
    }


def one(table: pd.DataFrame, pair: str, scope: str, test: str) -> pd.Series:
    chosen = table[(table["pair"] == pair) & (table["scope"] == scope) & (table["test"] == test)]
    assert len(chosen) == 1
    return chosen.iloc[0]


def test_each_seed_pair_is_tested_in_either_design() -> None:
    rewards = drawn([1, 2])
    table = cross_play.tests(rewards_table(rewards), alpha=0.05)
    assert tuple(table.columns) == cross_play.TEST_COLUMNS
    assert len(table) == 2 * 2 * (2 + 1)
    for deviation, base in (("first_nash", "all_other"), ("first_other", "all_nash")):
        for seed in (1, 2):
            row = one(table, f"{deviation}-{base}", f"{seed}-{seed}", "welch")
            x, y = (rewards[seed, profile, "independent"] for profile in (deviation, base))
            expected = stats.ttest_ind(x, y, equal_var=False)
            assert (row["statistic"], row["p_value"], row["df"]) == pytest.approx(tuple(expected) + (expected.df,))
            assert row["n"] == 6
            row = one(table, f"{deviation}-{base}", f"{seed}-{seed}", "paired")
            x, y = (rewards[seed, profile, "common"] for profile in (deviation, base))
            assert (row["statistic"], row["p_value"]) == pytest.approx(tuple(stats.ttest_rel(x, y)))
            assert row["mean_difference"] == pytest.approx(np.mean(x) - np.mean(y))


def test_pooled_tests_count_seed_pairs_not_points() -> None:
    rewards = drawn([1, 2, 3])
    table = cross_play.tests(rewards_table(rewards), alpha=0.05)
    for test, design in (("welch", "independent"), ("paired", "common")):
        row = one(table, "first_nash-all_other", "pooled", test)
        differences = [
            np.mean(rewards[s, "first_nash", design]) - np.mean(rewards[s, "all_other", design]) for s in (1, 2, 3)
        ]
        expected = stats.ttest_1samp(differences, 0)
        assert (row["n"], row["df"]) == (3, 2)
        assert (row["statistic"], row["p_value"]) == pytest.approx(tuple(expected))
        assert (row["low"], row["high"]) == pytest.approx(tuple(expected.confidence_interval()))


def test_a_real_difference_is_found_by_the_paired_test_alone() -> None:
    # A gain of 0.03 under noise of 0.1 a point that both profiles share: the paper's design cannot see it.
    random = np.random.default_rng(3)
    noise, gain = random.normal(0, 0.1, 50), random.normal(0.03, 0.002, 50)
    rewards = drawn([1], 50)
    rewards[1, "all_other", "independent"] = rewards[1, "all_other", "common"] = noise.tolist()
    rewards[1, "first_nash", "common"] = (noise + gain).tolist()
    rewards[1, "first_nash", "independent"] = (random.normal(0, 0.1, 50) + gain).tolist()
    table = cross_play.tests(rewards_table(rewards), alpha=0.05)
    assert one(table, "first_nash-all_other", "1-1", "paired")["reject"]
    assert not one(table, "first_nash-all_other", "1-1", "welch")["reject"]


def test_one_seed_pair_has_a_difference_but_no_pooled_test() -> None:
    row = one(cross_play.tests(rewards_table(drawn([1])), 0.05), "first_nash-all_other", "pooled", "paired")
    assert row["n"] == 1
    assert math.isfinite(row["mean_difference"])
    assert row[["low", "high", "statistic", "df", "p_value", "effect_size", "reject"]].isna().all()


def test_one_point_has_no_test() -> None:
    table = cross_play.tests(rewards_table(drawn([1, 2], points=1)), 0.05)
    assert one(table, "first_nash-all_other", "1-1", "welch")[["low", "p_value", "reject"]].isna().all()
    assert math.isfinite(one(table, "first_nash-all_other", "pooled", "welch")["p_value"])


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_rewards_that_are_not_finite_are_never_dropped(bad: float) -> None:
    rewards = drawn([1, 2, 3])
    rewards[2, "first_nash", "common"][4] = bad
    table = cross_play.tests(rewards_table(rewards), 0.05)
    for scope in ("2-2", "pooled"):
        row = one(table, "first_nash-all_other", scope, "paired")
        assert row[["mean_difference", "low", "p_value", "reject"]].isna().all()
    assert math.isfinite(one(table, "first_nash-all_other", "1-1", "paired")["p_value"])
    assert math.isfinite(one(table, "first_nash-all_other", "pooled", "welch")["p_value"])
