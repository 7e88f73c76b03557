"""The figures of more and more players show errors, rates and costs."""

import numpy as np
import pytest
from pandas import DataFrame

from nash_dqn.plots.many_players import plot, plot_cost
from tests.plots.looking import fits, series, words

AGENTS = (2, 20, 200)


@pytest.fixture
def errors() -> DataFrame:
    rows = [
        (agents, "nash_dqn", seed, visited_by, step, 0.01 * seed * factor)
        for agents in AGENTS
        for seed in (1, 2, 3)
        for visited_by, factor in (("learned", 1), ("exact", 3))
        for step in ("0", "all")
    ]
    return DataFrame(rows, columns=["agents", "algorithm", "seed", "visited_by", "step", "relative"])


@pytest.fixture
def limit() -> DataFrame:
    return DataFrame([(n, 2 / n, 3 / n**2) for n in AGENTS], columns=["agents", "distance", "left"])


def test_errors_medians_and_slopes(errors: DataFrame, limit: DataFrame) -> None:
    figure = plot(errors, limit.iloc[::-1])
    np.testing.assert_allclose(series(figure.axes[0], "median"), [[[n, 2] for n in AGENTS]])
    (seeds,) = series(figure.axes[0], "one seed")
    np.testing.assert_allclose(seeds, [[n, seed] for n in AGENTS for seed in (1, 2, 3)])
    text = words(figure)
    assert "slope at the end \N{MINUS SIGN}1.00" in text and "slope at the end \N{MINUS SIGN}2.00" in text
    assert fits(figure)


def test_what_has_no_number_is_a_cross(errors: DataFrame, limit: DataFrame) -> None:
    lost = (errors["agents"] == 200) & (errors["seed"] == 1)
    axes = plot(errors.assign(relative=errors["relative"].mask(lost)), limit).axes[0]
    np.testing.assert_allclose(series(axes, "median")[0][:, 1], [2, 2, 2.5])
    np.testing.assert_array_equal(series(axes, "diverged"), [[[200, 1]]])


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
