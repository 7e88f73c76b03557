"""The penalty study's figure shows each policy's losses and gains at both betas, and what was reset."""

import math

import numpy as np
import pytest
from pandas import DataFrame

from nash_dqn.plots.penalty_study import COLUMNS, plot
from tests.plots.looking import fits, intervals, series, words

NONE, PENALTY = r"$\beta$ = 0", r"$\beta$ = 100"


@pytest.fixture
def study() -> DataFrame:
    """Two policies; losses 30, 32, 37 at beta 0 and ten more at 100; seed 1 of the first reset at beta 0 late."""
    rows = []
    for base in ("nash-unstopped", "nash-others-constant"):
        for beta, more in ((0.0, 0), (100.0, 10)):
            for seed, loss in ((1, 30), (2, 32), (3, 37)):
                late = int((base, beta, seed) == ("nash-unstopped", 0.0, 1))
                common = ("code", base, beta, seed)
                rows += [(*common, "loss", at, float(loss + more), late * (at == 2000), False) for at in (1000, 2000)]
                rows += [(*common, "psi_abs", 1000, 0.05, 0, False)]
                gain = 0.1 * 2.0 ** (seed - 2) * (2 if beta else 1)
                rows += [(*common, "exploitability", 2000, gain, late, False)]
                rows += [(*common, "returned_exploitability", 700 + seed, gain / 2, 0, False)]
    return DataFrame(rows, columns=list(COLUMNS))


def test_losses_are_medians_and_ranges_of_seeds(study: DataFrame) -> None:
    """An explosion does not stretch the axis, which ends at twice the largest median of all."""
    figure = plot(study)
    for axes in figure.axes[:2]:
        medians = [
            np.asarray(line.get_xydata()).tolist() for line in axes.lines if len(np.asarray(line.get_xdata())) == 2
        ]
        assert medians[:2] == [[[1000, loss], [2000, loss]] for loss in (32, 42)]
        low, high = axes.collections[0].get_paths()[0].get_extents().intervaly
        assert (low, high) == (30, 37)
    study.loc[(study["iteration"] == 2000) & (study["seed"] == 1) & (study["measure"] == "loss"), "value"] = 1e8
    assert plot(study).axes[0].get_ylim() == (0, 89)  # of 40, 42, 42, 47, 47 and the explosion


def test_gains_are_seeds_and_geometric_means_with_intervals(study: DataFrame) -> None:
    """0.05, 0.1, 0.2 at beta 0: logarithms log 2 apart, t_{0.975, 2} log 2 / sqrt 3 to either side."""
    axes = plot(study).axes[2]
    np.testing.assert_allclose(series(axes, NONE)[0][:, 1], [0.1, 0.05])
    np.testing.assert_allclose(series(axes, PENALTY)[0][:, 1], [0.2, 0.1])
    half = math.exp(4.302653 * math.log(2) / math.sqrt(3))
    np.testing.assert_allclose(intervals(axes)[0][:, 1], [0.1 / half, 0.1 * half], rtol=1e-6)


def test_resets_are_crosses(study: DataFrame) -> None:
    figure = plot(study)
    (cross,) = [line for line in figure.axes[0].lines if line.get_marker() == "x"]
    assert list(np.asarray(cross.get_xdata())) == [2000]
    assert series(figure.axes[2], "weights reset")[0][:, 1].tolist() == [0.05]
    assert "weights reset" not in words(plot(study.assign(resets=0)))


def test_diverged_trainings_are_counted_and_in_no_average(study: DataFrame) -> None:
    lost = (
        (study["base"] == "nash-unstopped") & (study["seed"] == 3) & (study["iteration"] > 700) & (study["beta"] == 0)
    )
    study.loc[lost, ["value"]] = math.nan
    study.loc[lost, "diverged"] = True
    figure = plot(study)
    assert np.asarray(figure.axes[0].lines[0].get_ydata()).tolist() == [31, 31]
    assert series(figure.axes[2], NONE)[0][0, 1] == pytest.approx(math.sqrt(0.05 * 0.1))
    assert words(figure).count("1/3") == 2
    assert fits(figure)


def test_what_is_wrong_with_a_table_is_said(study: DataFrame) -> None:
    for message, wrong in (
        ("penalty_study: beta must have two values; found 0.0", study[study["beta"] == 0]),
        ("penalty_study: no row with measure=loss", study[study["measure"] != "loss"]),
        ("penalty_study: no row with base=nash-unstopped, beta=0.0, seed=1, iteration=1000", study.drop(index=0)),
    ):
        with pytest.raises(ValueError, match=message):
            plot(wrong)
