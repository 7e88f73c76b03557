"""The figures of more and more players show errors, rates and costs."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from pandas import DataFrame

from nash_dqn.plots.many_players import plot, plot_cost

Find = Callable[[Figure, str], list[Any]]
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


def test_medians_over_seeds_and_all_of_them(errors: DataFrame, limit: DataFrame, find: Find) -> None:
    figure = plot(errors, limit)
    (median,), (seeds,) = find(figure, "median"), find(figure, "seeds")
    np.testing.assert_array_equal(median.get_xdata(), AGENTS)
    np.testing.assert_allclose(median.get_ydata(), [2, 2, 2])
    np.testing.assert_allclose(sorted(seeds.get_ydata()), [1, 1, 1, 2, 2, 2, 3, 3, 3])


def test_slopes_are_of_logarithms(errors: DataFrame, limit: DataFrame, words: Callable[[Figure], str]) -> None:
    text = words(plot(errors, limit.iloc[::-1]))
    assert "slope \N{MINUS SIGN}1.00" in text and "slope \N{MINUS SIGN}2.00" in text


def test_no_point_is_cut_off(errors: DataFrame, find: Find) -> None:
    # far above one at two agents, as in the market
    limit = DataFrame([(n, 2 / n, 3000 / n**3) for n in (2, 5, 10, 20)], columns=["agents", "distance", "left"])
    figure = plot(errors, limit)
    for line in (*find(figure, "distance"), *find(figure, "left"), *find(figure, "seeds")):
        low, high = line.axes.get_ylim()
        assert (line.get_ydata() > low).all() and (line.get_ydata() < high).all()


def test_what_has_no_number_is_a_cross(errors: DataFrame, limit: DataFrame, find: Find) -> None:
    lost = (errors["agents"] == 200) & (errors["seed"] == 1)
    figure = plot(errors.assign(relative=errors["relative"].mask(lost)), limit)
    np.testing.assert_allclose(find(figure, "median")[0].get_ydata(), [2, 2, 2.5])
    (cross,) = [line for line in figure.axes[0].lines if line.get_marker() == "x"]
    np.testing.assert_array_equal(cross.get_xydata(), [[200, figure.axes[0].get_ylim()[1]]])


def test_cost(find: Find, words: Callable[[Figure], str], overhang: Callable[[Figure], float]) -> None:
    cost = [{"agents": n, "parameters": 5000, "median_ms": 0.5 * n} for n in AGENTS]
    figure = plot_cost(cost)
    np.testing.assert_allclose(find(figure, "time")[0].get_ydata(), [1, 10, 100])
    np.testing.assert_array_equal(find(figure, "parameters")[0].get_ydata(), [5000] * 3)
    assert "slope 1.00" in words(figure)
    assert overhang(figure) < 0
    with pytest.raises(ValueError, match="training cost: 1 rows, without a second one"):
        plot_cost(cost[:1])
    with pytest.raises(ValueError, match="training cost: 3 rows, without parameters"):
        plot_cost([{"agents": n, "median_ms": 1.0} for n in AGENTS])


def test_what_cannot_be_drawn(errors: DataFrame, limit: DataFrame, overhang: Callable[[Figure], float]) -> None:
    assert overhang(plot(errors, limit)) < 0
    with pytest.raises(ValueError, match="mean_field_limit: column left is missing"):
        plot(errors, limit.drop(columns="left"))
    with pytest.raises(ValueError, match="many_players: no row with step=all"):
        plot(errors[errors["step"] != "all"], limit)
