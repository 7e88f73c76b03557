"""Intervals and tests against textbook examples, hand calculation and scipy."""

import math

import numpy as np
import pytest
from scipy import stats

from nash_dqn.evaluation.statistics import geometric_mean, mean_interval, one_sample_test, rms, tidy, welch_test

# Student (1908), "The probable error of a mean", section IX: additional hours of sleep of ten patients under
# two drugs. R's documentation of t.test(sleep) quotes the paired t statistic, 4.0621 (p = 0.002833).
SLEEP_1 = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
SLEEP_2 = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]


def test_interval_by_hand() -> None:
    """Mean 2, sd 1, standard error 1 / sqrt(3), two degrees of freedom."""
    for alpha, quantile in ((0.05, 4.302653), (0.1, 2.919986)):
        half = quantile / math.sqrt(3)
        assert mean_interval([1.0, 2.0, 3.0], alpha) == pytest.approx((2, 2 - half, 2 + half, 3), rel=1e-6)


def test_students_sleep_data() -> None:
    """Also R: t.test(extra ~ group, data = sleep): t = -1.8608, df = 17.776, p = 0.07939, [-3.3654832, 0.2054832]."""
    paired = one_sample_test(np.subtract(SLEEP_2, SLEEP_1))
    assert (paired.df, paired.reject) == (9, True)
    assert (paired.statistic, paired.p_value) == (pytest.approx(4.0621, abs=5e-5), pytest.approx(0.002833, abs=5e-7))
    assert (paired.low, paired.high) == pytest.approx((0.7001142, 2.4598858), abs=1e-6)
    assert paired.effect_size == pytest.approx(4.0621 / math.sqrt(10), abs=5e-5)
    welch = welch_test(SLEEP_1, SLEEP_2)
    assert (welch.statistic, welch.p_value) == (pytest.approx(-1.8608, abs=5e-5), pytest.approx(0.07939, abs=5e-6))
    assert welch.df == pytest.approx(17.776, abs=5e-4)
    assert (welch.low, welch.high) == pytest.approx((-3.3654832, 0.2054832), abs=1e-6)
    assert not welch.reject and welch_test(SLEEP_1, SLEEP_2, alpha=0.1).reject


def test_tests_agree_with_scipy_on_unequal_sizes_and_levels() -> None:
    random = np.random.default_rng(0)
    a, b = random.normal(0, 1, 30), random.normal(0.4, 3, 12)
    for result, expected in (
        (welch_test(a, b, 0.01), stats.ttest_ind(a, b, equal_var=False)),
        (one_sample_test(a[:12] - b, 0.01), stats.ttest_rel(a[:12], b)),
    ):
        assert (result.statistic, result.p_value, result.df) == pytest.approx((*expected, expected.df))
        assert (result.low, result.high) == pytest.approx(tuple(expected.confidence_interval(0.99)))
    spread = np.sqrt((a.var(ddof=1) + b.var(ddof=1)) / 2)
    assert welch_test(a, b).effect_size == pytest.approx((a.mean() - b.mean()) / spread)


def test_samples_without_spread_are_equal_or_certainly_different() -> None:
    """Two equal policies on common random numbers: no spread in the differences, no rejection."""
    for result in (one_sample_test([0.0] * 10), welch_test([0.1] * 3, [0.1] * 4)):
        assert (result.low, result.high, result.effect_size, result.p_value, result.reject) == (0, 0, 0, 1, False)
    result = one_sample_test([-0.5] * 3)
    assert (result.low, result.high, result.statistic) == (-0.5, -0.5, -math.inf)
    assert (result.p_value, result.reject) == (0.0, True)


def test_questions_without_an_answer_are_refused() -> None:
    for first, second, message in (
        ([1.0], [1.0, 2.0], "first must be one-dimensional with at least two"),
        ([1.0, 2.0], [[1.0], [2.0]], "second must be one-dimensional"),
        ([1.0, math.nan, math.inf], [1.0, 2.0, 3.0], "first must be finite, but 2 of 3"),
    ):
        with pytest.raises(ValueError, match=message):
            welch_test(first, second)
    for test in (mean_interval, one_sample_test):
        with pytest.raises(ValueError, match="strictly between 0 and 1"):
            test([1.0, 2.0], 1.0)
        with pytest.raises(ValueError, match="at least two"):
            test([1.0])
    with pytest.raises(ValueError, match="empty"):
        rms([])


def test_means_of_squares_and_of_logarithms() -> None:
    """The logarithms of 1, 2, 4 are 0, 1, 2 times log 2: mean and standard deviation are both log 2."""
    assert rms([[3.0, -4.0], [0.0, 0.0]]) == 2.5
    half = 4.302653 / math.sqrt(3)
    assert geometric_mean(np.array([1.0, 2.0, 4.0])) == pytest.approx((2, 2 ** (1 - half), 2 ** (1 + half)), rel=1e-6)
    assert geometric_mean(np.array([3.0, 3.0])) == pytest.approx((3, 3, 3))
    assert geometric_mean(np.array([3.0])) == pytest.approx((3, math.nan, math.nan), nan_ok=True)
    assert np.isnan(geometric_mean(np.empty(0))).all()


def test_a_tidy_table_has_a_row_for_each_combination() -> None:
    table = tidy({"seed": [2, 1], "step": ["a", "b"]}, x=np.arange(4).reshape(2, 2), y=np.array([[5], [6]]), z="same")
    assert table.to_numpy().tolist() == [
        [2, "a", 0, 5, "same"], [2, "b", 1, 5, "same"], [1, "a", 2, 6, "same"], [1, "b", 3, 6, "same"],
    ]  # fmt: skip
