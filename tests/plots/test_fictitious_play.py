"""The figure of fictitious play shows each learner's rounds, and which were lost."""

import math

import numpy as np
import pytest
from pandas import DataFrame

from nash_dqn.plots.fictitious_play import COLUMNS, plot
from tests.plots.looking import fits, series


@pytest.fixture
def table() -> DataFrame:
    """A twin with exact responses, whose third DDPG training is lost, and a market without exact ones."""
    rows = [
        ("lq_code", "exact", "same", of, 0, n, measure, 0.5**n)
        for of in ("last", "average")
        for n in (1, 2, 4)
        for measure in ("error", "coefficient")
    ]
    for scenario, measure in (("lq_code", "error"), ("code", "gain")):
        rows += [
            (scenario, "ddpg", "same", "last", k, n, measure, math.nan if (k, n) == (3, 4) else 0.1 * 2**k)
            for k in (1, 2, 3)
            for n in (2, 4)
        ]
    rows += [("code", "gradient", sees, "average", k, 1, "gain", -1.0) for sees in ("same", "memory") for k in (1, 2)]
    return DataFrame(rows, columns=list(COLUMNS))


def test_rounds_of_each_learner(table: DataFrame) -> None:
    figure = plot(table)
    twin, market, _, below = figure.axes
    np.testing.assert_allclose(series(twin, "exact best responses"), [[[1, 0.5], [2, 0.25], [4, 0.0625]]])
    # Geometric means of 0.2, 0.4, 0.8, and of the first two.
    np.testing.assert_allclose(series(market, "by DDPG"), [[[2, 0.4], [4, 0.1 * 2**1.5]]])
    np.testing.assert_array_equal(series(twin, "some training diverged"), [[[4, 1]]])
    np.testing.assert_allclose(series(below, "by gradients, class memory"), [[[1, 1e-4]]])  # no logarithm below
    assert [axes.get_title("left") for axes in figure.axes][:2] == ["(a) lq_code", "(b) code"]
    assert [axes.get_ylabel() for axes in figure.axes[2:]] == [
        "relative RMS error,\nagainst the average",
        "gain of agent 1 ($),\nagainst the average",
    ]
    assert fits(figure)


def test_what_is_wrong_with_a_table_is_said(table: DataFrame) -> None:
    with pytest.raises(ValueError, match="fictitious_play: learner = 'sarsa': allowed are exact, gradient, ddpg"):
        plot(table.assign(learner="sarsa"))
    with pytest.raises(ValueError, match="fictitious_play: opponents = 'next': allowed are last, average"):
        plot(table.assign(opponents="next"))
