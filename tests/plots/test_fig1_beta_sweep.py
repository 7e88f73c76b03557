"""Figure 1 shows every training at every place, what was reset, what exploded, and the published curve beside it."""

from typing import Any

import numpy as np
import pytest
from pandas import DataFrame, concat

from nash_dqn.plots.fig1_beta_sweep import plot
from nash_dqn.published import FIG1_LOSS
from tests.plots.looking import fits, intervals, series, words

BETAS = [0, 1, 10, 25, 50, 75, 100, 500]
MEDIAN = "median of 3 seeds, range"


@pytest.fixture
def along(sweep: DataFrame) -> DataFrame:
    """Losses at two iterations, of which the later comes first in the table, and of the returned weights."""
    late = sweep.assign(measure="training", iteration=18000, loss=sweep["loss"] + 10)
    early = sweep.assign(measure="training", iteration=6000, loss=sweep["loss"] + 20)
    return concat([late, early, sweep], ignore_index=True)


def at(table: DataFrame, beta: float, seed: int, iteration: int = 18000) -> Any:
    return (table["beta"] == beta) & (table["seed"] == seed) & (table["iteration"] == iteration)


def test_medians_seeds_and_the_published_curve_in_every_panel(along: DataFrame) -> None:
    figure = plot(along)
    for axes, shift in zip(figure.axes, (20, 10, 0), strict=True):
        (median,) = series(axes, MEDIAN)
        assert median.tolist() == [[0, 86 + shift], [1, 80 + shift], [2, 60 + shift], [6, 53 + shift]]
        (seeds,) = series(axes, "one seed")
        assert sorted(seeds[:, 1]) == sorted(along.loc[: len(along) // 3 - 1, "loss"] - 10 + shift)
        (theirs,) = series(axes, "published (digitised, one run)")
        drawn = dict(zip((BETAS[int(place)] for place in theirs[:, 0]), theirs[:, 1], strict=True))
        assert drawn == {beta: point.value for beta, point in FIG1_LOSS.items()}
        bars = [line[:, 1] for line in intervals(axes) if line[0, 0] == 2]
        np.testing.assert_array_equal(bars, [[58 + shift, 65 + shift]])
    assert "returned weights, (17) alone" in words(figure)


def test_seeds_that_were_reset_are_crosses_and_count(along: DataFrame) -> None:
    along.loc[at(along, 0.0, 2), "resets"] = 3
    axes = plot(along).axes[1]
    (crosses,) = series(axes, "one seed, weights reset before")
    assert crosses[:, 1].tolist() == [96]
    assert 96 not in series(axes, "one seed")[0][:, 1]
    assert series(axes, MEDIAN)[0][0, 1] == 96


def test_an_explosion_does_not_stretch_the_axis(along: DataFrame) -> None:
    along.loc[at(along, 10.0, 3), "loss"] = 1e6
    along.loc[at(along, 1.0, 3), ["loss", "resets"]] = [1e5, 2]
    figure = plot(along)
    # 78 is the median of the panel of iteration 6,000; the published losses reach 86.
    top = figure.axes[0].get_ylim()[1]
    assert top == pytest.approx(2.5 * max(86.0, np.median([104, 106, 108, 99, 100, 104, 78, 80, 85, 72, 74, 73])))
    for place, label in ((2, "above the axis"), (1, "above the axis, weights reset before")):
        (triangle,) = series(figure.axes[1], label)
        assert triangle[0, 1] == pytest.approx(top)
        assert round(triangle[0, 0]) == place
    assert not series(figure.axes[1], "one seed, weights reset before")
    low, high = plot(along.assign(loss=along["loss"] / 100)).axes[0].get_ylim()
    assert low < 0.52 and high > 86


def test_diverged_seeds_are_counted_and_in_no_median(along: DataFrame) -> None:
    along.loc[at(along, 10.0, 3), ["loss", "diverged"]] = [1e9, True]
    along["diverged"] = along["diverged"].astype(bool)
    figure = plot(along)
    assert "1/3" in words(figure)
    assert series(figure.axes[1], MEDIAN)[0][2, 1] == 69  # of 68 and 70
    everything = plot(along.assign(diverged=True, loss=np.nan))
    assert words(everything).count("3/3") == 12


def test_panels_are_as_many_as_there_are_iterations(sweep: DataFrame) -> None:
    along = [sweep.assign(measure="training", iteration=10 * k) for k in (1, 2, 3)]
    one, four = plot(sweep), plot(concat([*along, sweep.assign(diverged=sweep["seed"] == 1)]))
    assert len(one.axes) == 1 and len(four.axes) == 4
    assert fits(one) and fits(four)


def test_what_is_wrong_with_a_table_is_said(along: DataFrame) -> None:
    for message, wrong in (
        ("beta_sweep: no row with beta=10.0, seed=2", along.drop(index=along.index[at(along, 10.0, 2)])),
        ("beta_sweep: more than one row with beta=0.0, seed=1", along.assign(beta=0.0)),
        ("beta_sweep: measure = 'late': allowed are training, returned", along.assign(measure="late")),
        ("beta_sweep: a loss is not finite, but", along.assign(loss=along["loss"].where(~at(along, 1.0, 2)))),
        ("beta_sweep: a loss is not finite, but", along.assign(diverged=None)),
    ):
        with pytest.raises(ValueError, match=message):
            plot(wrong)
