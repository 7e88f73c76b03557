"""Intervals and tests against textbook examples, hand calculation and scipy."""

import math

import numpy as np
import pytest
from scipy import stats

from nash_dqn.evaluation.statistics import mean_interval, paired_test, pooled_test, rms, welch_test

# Student (1908), "The probable error of a mean", section IX: additional hours of sleep of ten patients under
# two drugs. R's documentation of t.test(sleep) quotes the paired t statistic, 4.0621 (p = 0.002833).
SLEEP_1 = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
SLEEP_2 = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]


def test_interval_by_hand() -> None:
    # mean 2, sd 1, se 1/sqrt(3), t(0.975, 2) = 4.302653
    interval = mean_interval([1.0, 2.0, 3.0])
    assert interval.mean == 2.0
    assert interval.n == 3
    assert interval.high - 2 == pytest.approx(4.302653 / math.sqrt(3), rel=1e-6)
    assert interval.low == pytest.approx(4 - interval.high)


def test_interval_of_another_level() -> None:
    # t(0.95, 2) = 2.919986
    assert mean_interval([1.0, 2.0, 3.0], alpha=0.1).high - 2 == pytest.approx(2.919986 / math.sqrt(3), rel=1e-6)


def test_paired_on_students_sleep_data() -> None:
    result = paired_test(SLEEP_2, SLEEP_1)
    assert result.n == 10
    assert result.mean_difference == pytest.approx(1.58)
    assert result.statistic == pytest.approx(4.0621, abs=5e-5)
    assert result.df == 9
    assert result.p_value == pytest.approx(0.002833, abs=5e-7)
    assert (result.low, result.high) == pytest.approx((0.7001142, 2.4598858), abs=1e-6)
    assert result.effect_size == pytest.approx(4.0621 / math.sqrt(10), abs=5e-5)
    assert result.reject


def test_welch_on_students_sleep_data() -> None:
    # R: t.test(extra ~ group, data = sleep): t = -1.8608, df = 17.776, p = 0.07939, [-3.3654832, 0.2054832]
    result = welch_test(SLEEP_1, SLEEP_2)
    assert result.statistic == pytest.approx(-1.8608, abs=5e-5)
    assert result.df == pytest.approx(17.776, abs=5e-4)
    assert result.p_value == pytest.approx(0.07939, abs=5e-6)
    assert (result.low, result.high) == pytest.approx((-3.3654832, 0.2054832), abs=1e-6)
    assert not result.reject
    assert welch_test(SLEEP_1, SLEEP_2, alpha=0.1).reject


def test_tests_agree_with_scipy_on_unequal_sizes_and_levels() -> None:
    random = np.random.default_rng(0)
    a, b = random.normal(0, 1, 30), random.normal(0.4, 3, 12)
    welch, expected = welch_test(a, b, 0.01), stats.ttest_ind(a, b, equal_var=False)
    assert (welch.statistic, welch.p_value, welch.df) == pytest.approx(
        (expected.statistic, expected.pvalue, expected.df)
    )
    assert (welch.low, welch.high) == pytest.approx(tuple(expected.confidence_interval(0.99)))
    assert welch.n == 12
    assert welch.effect_size == pytest.approx((a.mean() - b.mean()) / np.sqrt((a.var(ddof=1) + b.var(ddof=1)) / 2))

    paired, expected = paired_test(a[:12], b, 0.01), stats.ttest_rel(a[:12], b)
    assert (paired.statistic, paired.p_value) == pytest.approx((expected.statistic, expected.pvalue))
    assert (paired.low, paired.high) == pytest.approx(tuple(expected.confidence_interval(0.99)))


def test_pooling_takes_seed_pairs_as_the_unit() -> None:
    # Three differences 1, 2, 3: mean 2, se 1/sqrt(3), so t = 2 sqrt(3) with 2 degrees of freedom.
    result = pooled_test([1.0, 2.0, 3.0])
    assert (result.n, result.df, result.mean_difference) == (3, 2, 2.0)
    assert result.statistic == pytest.approx(2 * math.sqrt(3))
    assert result.p_value == pytest.approx(stats.ttest_1samp([1.0, 2.0, 3.0], 0).pvalue)
    assert (result.low, result.high) == pytest.approx(mean_interval([1.0, 2.0, 3.0])[1:3])


@pytest.mark.parametrize("function", [pooled_test, mean_interval])
def test_one_seed_pair_has_no_interval(function: object) -> None:
    assert callable(function)
    with pytest.raises(ValueError, match="at least two"):
        function([1.0])


def test_identical_samples_are_not_different() -> None:
    # Two equal policies on common random numbers: no spread in the differences, no difference, no rejection.
    for result in (paired_test(SLEEP_1, SLEEP_1), welch_test([0.1] * 3, [0.1] * 4)):
        assert (result.mean_difference, result.low, result.high) == (0, 0, 0)
        assert (result.p_value, result.effect_size, result.reject) == (1, 0, False)


def test_a_constant_difference_is_certain() -> None:
    result = paired_test([1.0, 2.0, 3.0], [1.5, 2.5, 3.5])
    assert (result.low, result.mean_difference, result.high) == (-0.5, -0.5, -0.5)
    assert (result.statistic, result.p_value, result.reject) == (-math.inf, 0.0, True)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ([1.0], [1.0, 2.0], "first must be one-dimensional with at least two"),
        ([1.0, 2.0], [[1.0], [2.0]], "second must be one-dimensional"),
        ([1.0, math.nan, math.inf], [1.0, 2.0, 3.0], "first must be finite, but 2 of 3"),
    ],
)
def test_samples_that_cannot_be_tested(first: object, second: object, message: str) -> None:
    for test in (welch_test, paired_test):
        with pytest.raises(ValueError, match=message):
            test(first, second)  # type: ignore[arg-type]


def test_pairs_need_equal_lengths() -> None:
    with pytest.raises(ValueError, match="got 2 and 3"):
        paired_test([1.0, 2.0], [1.0, 2.0, 3.0])


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.1])
def test_levels_outside_the_unit_interval(alpha: float) -> None:
    with pytest.raises(ValueError, match="strictly between 0 and 1"):
        mean_interval([1.0, 2.0], alpha)


def test_rms() -> None:
    assert rms([[3.0, -4.0], [0.0, 0.0]]) == 2.5
    with pytest.raises(ValueError, match="empty"):
        rms([])
