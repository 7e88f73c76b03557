"""The figure of where projected policies settle shows exact gains, trainings, and what does not settle."""

import math

import numpy as np
import pytest
from pandas import DataFrame

from nash_dqn.evaluation.statistics import tidy
from nash_dqn.plots.projection import plot
from tests.plots.looking import fits, series

NASH, REPLY = "nash: fitted to the Nash point of Q", "reply: fitted to the best reply to the others"


@pytest.fixture
def exact() -> DataFrame:
    """Two scenarios; in the second, the best reply does not settle at the smallest exploration."""
    table = tidy({"scenario": ["lq_code", "twin"], "target": ["nash", "reply"], "exploration": [2.0, 1.0, 0.5]})
    lost = (table["scenario"] == "twin") & (table["target"] == "reply") & (table["exploration"] == 0.5)
    gain = table["exploration"] * table["scenario"].map({"lq_code": 0.01, "twin": 0.02})
    return table.assign(converged=~lost, gain=gain.mask(lost))


@pytest.fixture
def trained() -> DataFrame:
    table = tidy({"scenario": ["lq_code", "twin"], "seed": [1, 2], "deviator": ["same", "memory"], "player": [1, 2]})
    return table.assign(gain=0.01 * table["seed"])


def test_exact_gains_and_trainings(exact: DataFrame, trained: DataFrame) -> None:
    figure = plot(exact, trained, 1.5)
    for axes, size in zip(figure.axes, (0.01, 0.02), strict=True):
        np.testing.assert_allclose(series(axes, NASH), [[[x, size * x] for x in (0.5, 1, 2)]])
        np.testing.assert_allclose(series(axes, "nash, one training"), [[[1.5, 0.01], [1.5, 0.02]]])
    assert fits(figure)


def test_what_does_not_settle_is_a_cross_on_the_edge(exact: DataFrame, trained: DataFrame) -> None:
    first, second = plot(exact, trained, 1.5).axes
    assert not series(first, "does not settle")
    np.testing.assert_array_equal(series(second, "does not settle"), [[[0.5, 1]]])
    nothing = plot(exact.assign(converged=False, gain=math.nan), trained.assign(gain=math.nan), 1.5)
    assert [len(points) for points in series(nothing.axes[0], "does not settle")] == [3, 3]


def test_what_is_wrong_with_a_table_is_said(exact: DataFrame, trained: DataFrame) -> None:
    with pytest.raises(ValueError, match="exploitability: no row with scenario=lq_code"):
        plot(exact, trained[trained["scenario"] == "twin"], 1.5)
    with pytest.raises(ValueError, match="projection: no row with scenario=lq_code, target=nash, exploration=2"):
        plot(exact.drop(index=0), trained, 1.5)
