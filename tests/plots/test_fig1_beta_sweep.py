"""Figure 1 shows every training at every place, what was reset, what exploded, and the published curve beside it."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from pandas import DataFrame, concat

from nash_dqn.plots.fig1_beta_sweep import plot
from nash_dqn.published import FIG1_LOSS

Find = Callable[..., list[Any]]
Words = Callable[[Figure], str]


@pytest.fixture
def along(sweep: DataFrame) -> DataFrame:
    """Losses at two iterations, of which the later comes first in the table, and of the returned weights."""
    late = sweep.assign(measure="training", iteration=18000, loss=sweep["loss"] + 10)
    early = sweep.assign(measure="training", iteration=6000, loss=sweep["loss"] + 20)
    return concat([late, early, sweep], ignore_index=True)


def at(table: DataFrame, beta: float, seed: int, iteration: int = 18000) -> Any:
    return (table["beta"] == beta) & (table["seed"] == seed) & (table["iteration"] == iteration)


def test_a_panel_for_each_iteration_and_one_for_the_returned_weights(along: DataFrame, find: Find) -> None:
    figure = plot(along)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == [
        *("(a) total loss, iteration 6,000", "(b) total loss, iteration 18,000", "(c) returned weights, (17) alone"),
    ]
    for line, axes, shift in zip(find(figure, "median"), figure.axes, (20, 10, 0), strict=True):
        assert line.axes is axes
        assert line.get_xdata().tolist() == [0, 1, 10, 100]
        assert line.get_ydata().tolist() == [86 + shift, 80 + shift, 60 + shift, 53 + shift]


def test_seeds_and_their_range(sweep: DataFrame, find: Find) -> None:
    figure = plot(sweep)
    drawn = np.array([line.get_ydata() for line in find(figure, "seed")])
    np.testing.assert_array_equal(drawn, sweep.pivot(index="seed", columns="beta", values="loss"))
    (bars,) = find(figure, "range")
    np.testing.assert_array_equal(bars.get_segments()[2], [[10, 58], [10, 65]])


def test_published_curve_stands_in_every_panel(along: DataFrame, find: Find, words: Words) -> None:
    figure = plot(along)
    for line in find(figure, "published"):
        drawn = dict(zip(line.get_xdata(), line.get_ydata(), strict=True))
        assert drawn == {beta: point.value for beta, point in FIG1_LOSS.items()}
    assert len(find(figure, "published")) == 3
    assert "published (digitised, one run)" in words(figure)


def test_beta_axis_is_symlog_with_the_betas_as_ticks(along: DataFrame) -> None:
    for axes in plot(along).axes:
        assert (axes.get_xscale(), axes.get_yscale()) == ("symlog", "log")
        assert list(axes.get_xticks()) == [0, 1, 10, 25, 50, 75, 100, 500]
        assert [label.get_text() for label in axes.get_xticklabels()] == ["0", "1", "10", "", "", "", "100", "500"]


def test_seeds_that_were_reset_are_crosses(along: DataFrame, find: Find, words: Words) -> None:
    assert "reset" not in words(plot(along))
    along.loc[at(along, 0.0, 2), "resets"] = 3
    figure = plot(along)
    crosses = [line for line in find(figure, "reset") if np.isfinite(line.get_ydata()).any()]
    assert [(line.axes, line.get_ydata()[0]) for line in crosses] == [(figure.axes[1], 96)]
    seeds = np.array([line.get_ydata()[0] for line in find(figure, "seed") if line.axes is figure.axes[1]])
    assert sorted(seeds[np.isfinite(seeds)]) == [94, 98]
    assert find(figure, "median")[1].get_ydata()[0] == 96  # a reset training counts
    assert "its weights were reset before" in words(figure)


def test_an_explosion_does_not_stretch_the_axis(along: DataFrame, find: Find, words: Words) -> None:
    assert "above the axis" not in words(plot(along))
    along.loc[at(along, 10.0, 3), "loss"] = 1e6
    figure = plot(along)
    # 92 is the median of the panel of iteration 6,000, above all published losses.
    assert figure.axes[0].get_ylim()[1] == pytest.approx(2.5 * 92)
    (triangle,) = find(figure, "above")
    assert (triangle.axes, list(triangle.get_xdata())) == (figure.axes[1], [10.0])
    assert "above the axis" in words(figure)
    along.loc[at(along, 10.0, 1), "loss"] = 1e7
    assert [line.get_ydata()[0] for line in find(plot(along), "above")] == [1.0, 0.95]


def test_losses_far_from_the_published_are_drawn_all_the_same(sweep: DataFrame) -> None:
    low, high = plot(sweep.assign(loss=100 * sweep["loss"])).axes[0].get_ylim()
    assert low < 53.7 and high > 8800
    low, high = plot(sweep.assign(loss=sweep["loss"] / 100)).axes[0].get_ylim()
    assert low < 0.52 and high > 86


def test_diverged_seeds_are_counted_and_in_no_median(along: DataFrame, find: Find, words: Words) -> None:
    along.loc[at(along, 10.0, 3), ["loss", "diverged"]] = [1e9, True]
    along["diverged"] = along["diverged"].astype(bool)
    figure = plot(along)
    (count,) = find(figure, "diverged")
    assert (count.axes, count.xy[0], count.get_text()) == (figure.axes[1], 10.0, "1/3")
    assert find(figure, "median")[1].get_ydata()[2] == 69  # of 68 and 70
    assert "diverged" in words(figure)


def test_a_beta_where_all_diverged_breaks_the_line(sweep: DataFrame, find: Find, words: Words) -> None:
    figure = plot(sweep.assign(diverged=sweep["beta"] == 1.0))
    assert np.isnan(find(figure, "median")[0].get_ydata()).tolist() == [False, True, False, False]
    assert "3/3" in words(figure)
    assert words(plot(sweep.assign(diverged=True, loss=math.nan))).count("3/3") == 4


def test_one_seed_has_no_range(sweep: DataFrame, find: Find, words: Words) -> None:
    figure = plot(sweep[sweep["seed"] == 1])
    assert not find(figure, "range") and "range" not in words(figure)
    assert find(figure, "median")[0].get_ydata().tolist() == [84, 79, 58, 52]


@pytest.mark.parametrize("iterations", [0, 1, 3, 5])
def test_nothing_is_cut_off(sweep: DataFrame, iterations: int, overhang: Callable[[Figure], float]) -> None:
    along = [sweep.assign(measure="training", iteration=10 * k) for k in range(1, iterations + 1)]
    assert overhang(plot(concat([*along, sweep.assign(diverged=sweep["seed"] == 1)]))) <= 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="loss"), "beta_sweep: column loss is missing"),
        (lambda t: t.drop(index=t.index[at(t, 10.0, 2)]), "beta_sweep: no row with beta=10.0, seed=2"),
        (lambda t: t.assign(beta=0.0), "beta_sweep: more than one row with beta=0.0, seed=1"),
        (lambda t: t.assign(measure="late"), "beta_sweep: measure must be training or returned; found late"),
        (
            lambda t: t.assign(recipe=t["seed"].map(str)),
            "beta_sweep: recipe must be the same in every row; found 1, 2, 3",
        ),
        (lambda t: t.assign(loss=t["loss"].where(~at(t, 1.0, 2))), "loss at beta=1.0, seed=2 is not finite, but"),
        (lambda t: t.assign(diverged="no"), "beta_sweep: diverged must hold True, False or nothing; found no"),
        (lambda t: t.assign(diverged=None), "beta_sweep: diverged must not be empty"),
    ],
)
def test_what_is_wrong_with_a_table_is_said(
    along: DataFrame, change: Callable[[DataFrame], DataFrame], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        plot(change(along))
