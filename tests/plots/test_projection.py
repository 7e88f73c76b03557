"""The figure of where projected policies settle shows exact gains, trainings, and what does not settle."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from pandas import DataFrame

from nash_dqn.plots.projection import plot

Find = Callable[[Figure, str], list[Any]]


@pytest.fixture
def exact() -> DataFrame:
    """Two scenarios; in the second, the best reply does not settle at the smallest exploration."""
    rows = [
        (scenario, target, noise, not (scenario == "twin" and (target, noise) == ("reply", 0.5)), size * noise)
        for scenario, size in (("lq_released", 0.01), ("twin", 0.02))
        for target in ("nash", "reply")
        for noise in (2.0, 1.0, 0.5)
    ]
    table = DataFrame(rows, columns=["scenario", "target", "exploration", "converged", "gain"])
    return table.assign(gain=table["gain"].where(table["converged"]))


@pytest.fixture
def trained() -> DataFrame:
    rows = [
        (scenario, "refined", seed, deviator, player, 0.01 * seed)
        for scenario in ("lq_released", "twin")
        for seed in (1, 2)
        for deviator in ("same", "memory")
        for player in (1, 2)
    ]
    return DataFrame(rows, columns=["scenario", "recipe", "seed", "deviator", "player", "gain"])


def test_curves_are_the_exact_gains_from_little_exploration_to_much(
    exact: DataFrame, trained: DataFrame, find: Find
) -> None:
    figure = plot(exact, trained, 1.5)
    first, second = find(figure, "exact nash")
    assert [line.axes for line in (first, second)] == figure.axes
    np.testing.assert_array_equal(first.get_xdata(), [0.5, 1, 2])
    np.testing.assert_allclose(first.get_ydata(), [0.005, 0.01, 0.02])
    np.testing.assert_allclose(second.get_ydata(), [0.01, 0.02, 0.04])


def test_trainings_stand_at_their_exploration(exact: DataFrame, trained: DataFrame, find: Find) -> None:
    for line in find(plot(exact, trained, 1.5), "trained"):
        np.testing.assert_array_equal(line.get_xdata(), [1.5, 1.5])
        np.testing.assert_allclose(line.get_ydata(), [0.01, 0.02])


def test_what_does_not_settle_is_a_cross_above(
    exact: DataFrame, trained: DataFrame, find: Find, words: Callable[[Figure], str]
) -> None:
    figure = plot(exact, trained, 1.5)
    (cross,) = find(figure, "not settled reply")
    assert cross.axes is figure.axes[1]
    assert (list(cross.get_xdata()), list(cross.get_ydata())) == ([0.5], [figure.axes[1].get_ylim()[1]])
    assert "does not settle" in words(figure)
    settled = exact.assign(converged=True, gain=0.01)
    assert "does not settle" not in words(plot(settled, trained, 1.5))
    nothing = plot(exact.assign(converged=False, gain=math.nan), trained.assign(gain=math.nan), 1.5)
    assert len(find(nothing, "not settled nash")[0].get_xdata()) == 3


def test_nothing_is_cut_off(exact: DataFrame, trained: DataFrame, overhang: Callable[[Figure], float]) -> None:
    assert overhang(plot(exact, trained, 1.5)) <= 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda e, t: (e.drop(columns="gain"), t), "projection: column gain is missing"),
        (lambda e, t: (e, t[t["scenario"] == "twin"]), "exploitability: no row with scenario=lq_released"),
        (lambda e, t: (e.drop(index=0), t), "projection: no row with target=nash, exploration=2.0"),
    ],
)
def test_what_is_wrong_with_a_table_is_said(
    exact: DataFrame, trained: DataFrame, change: Callable[..., tuple[DataFrame, DataFrame]], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        plot(*change(exact, trained), 1.5)
