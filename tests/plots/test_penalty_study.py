"""The penalty study's figure shows each recipe's losses and gains at both betas, and what was reset."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from pandas import DataFrame

from nash_dqn.plots.penalty_study import COLUMNS, plot

Find = Callable[[Figure, str], list[Any]]


@pytest.fixture
def study() -> DataFrame:
    """Two recipes; losses 30, 32, 37 at beta 0 and ten more at 100; seed 1 of the first recipe reset at beta 0 late."""
    rows = []
    for recipe in ("unstopped", "others_constant"):
        for beta, more in ((0.0, 0), (100.0, 10)):
            for seed, loss in ((1, 30), (2, 32), (3, 37)):
                late = int((recipe, beta, seed) == ("unstopped", 0.0, 1))
                common = ("released", recipe, beta, seed)
                rows += [(*common, "loss", at, float(loss + more), late * (at == 2000), False) for at in (1000, 2000)]
                rows += [(*common, "psi_abs", 1000, 0.05, 0, False)]
                gain = 0.1 * 2.0 ** (seed - 2) * (2 if beta else 1)
                rows += [(*common, "exploitability", 2000, gain, late, False)]
                rows += [(*common, "returned_exploitability", 700 + seed, gain / 2, 0, False)]
    return DataFrame(rows, columns=list(COLUMNS))


def test_losses_are_medians_and_ranges_of_seeds(study: DataFrame, find: Find) -> None:
    figure = plot(study)
    upper = figure.axes[:2]
    drawn = [(line.axes, list(line.get_xdata()), list(line.get_ydata())) for line in find(figure, "median")]
    assert drawn == [(axes, [1000, 2000], [loss] * 2) for axes in upper for loss in (32, 42)]
    low, high = find(figure, "range")[0].get_paths()[0].get_extents().intervaly
    assert (low, high) == (30, 37)


def test_gains_are_seeds_and_geometric_means_with_intervals(study: DataFrame, find: Find) -> None:
    """0.05, 0.1, 0.2 at beta 0: logarithms log 2 apart, t_{0.975, 2} log 2 / sqrt 3 to either side."""
    figure = plot(study)
    means = [line for line in find(figure, "mean") if line.axes is figure.axes[2]]
    assert [line.get_ydata()[0] for line in means] == pytest.approx([0.1, 0.05, 0.2, 0.1])
    half = math.exp(4.302653 * math.log(2) / math.sqrt(3))
    bars = find(figure, "interval")[0].get_segments()[0][:, 1]
    np.testing.assert_allclose(bars, [0.1 / half, 0.1 * half], rtol=1e-6)
    assert [label.get_text() for label in figure.axes[2].get_xticklabels()] == ["2k", "returned"]


def test_resets_are_crosses(study: DataFrame, find: Find, words: Callable[[Figure], str]) -> None:
    figure = plot(study)
    (cross,) = find(figure, "reset")
    assert (cross.axes, list(cross.get_xdata())) == (figure.axes[0], [2000])
    of_seeds = [line for line in find(figure, "seed") if line.get_marker() == "x" and len(line.get_ydata())]
    assert [(line.axes, list(line.get_ydata())) for line in of_seeds] == [(figure.axes[2], [0.05])]
    assert "weights reset" in words(figure)
    assert "weights reset" not in words(plot(study.assign(resets=0)))


def test_an_explosion_does_not_stretch_the_axis(study: DataFrame) -> None:
    """The axis ends at twice the largest of the medians: 44.5 of 40, 42, 42, 47, 47 and the explosion."""
    study.loc[(study["iteration"] == 2000) & (study["seed"] == 1) & (study["measure"] == "loss"), "value"] = 1e8
    assert plot(study).axes[0].get_ylim() == (0, 89)


def test_diverged_trainings_are_counted_and_in_no_average(
    study: DataFrame, find: Find, words: Callable[[Figure], str], overhang: Callable[[Figure], float]
) -> None:
    lost = (study["recipe"] == "unstopped") & (study["seed"] == 3) & (study["iteration"] > 700) & (study["beta"] == 0)
    study.loc[lost, ["value"]] = math.nan
    study.loc[lost, "diverged"] = True
    figure = plot(study)
    assert find(figure, "median")[0].get_ydata().tolist() == [31, 31]
    assert find(figure, "mean")[0].get_ydata()[0] == pytest.approx(math.sqrt(0.05 * 0.1))
    counts = [(text.axes, text.get_text()) for text in find(figure, "diverged")]
    assert counts == [(figure.axes[2], "1/3")] * 2
    assert "diverged" in words(figure)
    assert overhang(figure) <= 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="value"), "penalty_study: column value is missing"),
        (lambda t: t[t["beta"] == 0], "penalty_study: beta must have two values; found 0.0"),
        (lambda t: t[t["measure"] != "loss"], "penalty_study: no row with measure=loss"),
        (lambda t: t.drop(index=0), "penalty_study: no row with seed=1, iteration=1000"),
        (lambda t: t.assign(seed=1), "penalty_study: more than one row with seed=1, iteration=1000"),
        (lambda t: t.assign(scenario=t["recipe"]), "penalty_study: scenario must be the same in every row"),
    ],
)
def test_what_is_wrong_with_a_table_is_said(
    study: DataFrame, change: Callable[[DataFrame], DataFrame], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        plot(change(study))
