"""The figures of more and more players show errors, rates and costs."""

import numpy as np
import pytest
from pandas import DataFrame

from nash_dqn.evaluation.statistics import tidy
from nash_dqn.plots.many_players import plot, plot_cost
from tests.plots.looking import fits, series, words

AGENTS = (2, 20, 200)


@pytest.fixture
def errors() -> DataFrame:
    seeds = {"agents": AGENTS, "algorithm": ["nash_dqn"], "seed": [1, 2, 3]}
    table = tidy({**seeds, "visited_by": ["learned", "exact"], "step": ["0", "all"]})
    return table.assign(relative=0.01 * table["seed"] * table["visited_by"].map({"learned": 1, "exact": 3}))


@pytest.fixture
def limit() -> DataFrame:
    return DataFrame([(n, 2 / n, 3 / n**2) for n in AGENTS], columns=["agents", "distance", "left"])


def test_errors_medians_slopes_and_what_has_no_number(errors: DataFrame, limit: DataFrame) -> None:
    lost = (errors["agents"] == 200) & (errors["seed"] == 1)
    figure = plot(errors.assign(relative=errors["relative"].mask(lost)), limit.iloc[::-1])
    left = figure.axes[0]
    np.testing.assert_allclose(series(left, "median"), np.array([[[2, 2], [20, 2], [200, 2.5]]]))
    (seeds,) = series(left, "one seed")
    np.testing.assert_allclose(seeds[:, 0], 3 * [2] + 3 * [20] + 2 * [200])
    np.testing.assert_allclose(seeds[:, 1], [1, 2, 3, 1, 2, 3, 2, 3])
    np.testing.assert_array_equal(series(left, "diverged"), [[[200, 1]]])
    text = words(figure)
    assert "slope at the end \N{MINUS SIGN}1.00" in text and "slope at the end \N{MINUS SIGN}2.00" in text
    assert fits(figure)


def test_cost() -> None:
    figure = plot_cost([{"agents": n, "parameters": 5000, "median_ms": 0.5 * n} for n in AGENTS])
    np.testing.assert_allclose(series(figure.axes[0], "time, slope at the end 1.00"), [[[n, 0.5 * n] for n in AGENTS]])
    assert list(np.asarray(figure.axes[1].lines[0].get_ydata())) == [5000] * 3
    assert fits(figure)


def test_what_cannot_be_drawn(errors: DataFrame, limit: DataFrame) -> None:
    with pytest.raises(ValueError, match="mean_field_limit: column left is missing"):
        plot(errors, limit.drop(columns="left"))
    with pytest.raises(ValueError, match="many_players: no row with step=all"):
        plot(errors[errors["step"] != "all"], limit)
    with pytest.raises(ValueError, match="training cost: 1 rows, without a second one"):
        plot_cost([{"agents": 2, "parameters": 1, "median_ms": 1.0}])
    with pytest.raises(ValueError, match="training cost: 3 rows, without parameters"):
        plot_cost([{"agents": n, "median_ms": 1.0} for n in AGENTS])
