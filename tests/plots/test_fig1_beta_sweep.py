import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from pandas import DataFrame

from nash_dqn.plots.fig1_beta_sweep import plot
from nash_dqn.published import FIG1_LOSS


def at(sweep: DataFrame, beta: float, seed: int) -> Any:
    return (sweep["beta"] == beta) & (sweep["seed"] == seed)


def test_line_is_the_mean_over_seeds(sweep: DataFrame, find: Callable[..., list[Any]]) -> None:
    (line,) = find(plot(sweep), "mean")
    expected = sweep.groupby("beta")["loss"].mean()
    np.testing.assert_array_equal(line.get_xdata(), expected.index)
    np.testing.assert_allclose(line.get_ydata(), expected)


def test_every_seed_is_a_point(sweep: DataFrame, find: Callable[..., list[Any]]) -> None:
    drawn = np.array([line.get_ydata() for line in find(plot(sweep), "seed")])
    np.testing.assert_array_equal(drawn, sweep.pivot(index="seed", columns="beta", values="loss"))


def test_bars_are_students_intervals(sweep: DataFrame, find: Callable[..., list[Any]]) -> None:
    # 84, 86, 88: mean 86, standard deviation 2; t_{0.975, 2} = 4.302653 (any table of Student's distribution).
    (bars,) = find(plot(sweep), "interval")
    half = 4.302653 * 2 / math.sqrt(3)
    np.testing.assert_allclose(bars.get_segments()[0], [[0, 86 - half], [0, 86 + half]], rtol=1e-6)


def test_published_curve_stands_beside_ours(sweep: DataFrame, find: Callable[..., list[Any]]) -> None:
    figure = plot(sweep)
    (line,) = find(figure, "published")
    assert dict(zip(line.get_xdata(), line.get_ydata(), strict=True)) == {b: p.value for b, p in FIG1_LOSS.items()}
    assert len(figure.axes) == 1
    assert "published (digitised, one run)" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_a_curve_on_another_scale_gets_its_own_panel(sweep: DataFrame, find: Callable[..., list[Any]]) -> None:
    figure = plot(sweep.assign(loss=sweep["loss"] / 100))
    upper, lower = figure.axes
    assert find(figure, "mean")[0].axes is upper
    assert find(figure, "published")[0].axes is lower
    assert upper.get_ylim()[1] < 1.2
    assert lower.get_ylim()[0] > 40


def test_beta_axis_is_symlog_with_the_betas_as_ticks(sweep: DataFrame) -> None:
    axes = plot(sweep).axes[0]
    assert axes.get_xscale() == "symlog"
    assert list(axes.get_xticks()) == [0, 1, 10, 25, 50, 75, 100, 500]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0", "1", "10", "25", "50", "75", "100", "500"]


def test_losses_over_decades_get_a_log_axis(sweep: DataFrame) -> None:
    assert plot(sweep).axes[0].get_yscale() == "linear"
    steep = sweep.assign(loss=sweep["loss"].where(sweep["beta"] > 0, 30 * sweep["loss"]))
    assert plot(steep).axes[0].get_yscale() == "log"


def test_diverged_seeds_are_marked_and_in_no_mean(
    sweep: DataFrame, find: Callable[..., list[Any]], words: Callable[[Figure], str]
) -> None:
    sweep.loc[at(sweep, 10.0, 3), ["loss", "diverged"]] = [1e9, True]
    sweep["diverged"] = sweep["diverged"].astype(bool)
    figure = plot(sweep)
    (cross,) = find(figure, "diverged")
    assert list(cross.get_xdata()) == [10.0]
    assert cross.get_transform() is cross.axes.get_xaxis_transform() or list(cross.get_ydata()) == [1.0]
    assert "1/3" in words(figure)
    (line,) = find(figure, "mean")
    assert line.get_ydata()[2] == 59.0  # of 58 and 60
    assert figure.axes[0].get_ylim()[1] < 200  # the diverged loss does not stretch the axis


def test_a_beta_where_all_diverged_breaks_the_line(
    sweep: DataFrame, find: Callable[..., list[Any]], words: Callable[[Figure], str]
) -> None:
    figure = plot(sweep.assign(diverged=sweep["beta"] == 1.0))
    assert np.isnan(find(figure, "mean")[0].get_ydata()).tolist() == [False, True, False, False]
    assert "3/3" in words(figure)


def test_a_run_where_everything_diverged_still_shows_it(sweep: DataFrame, words: Callable[[Figure], str]) -> None:
    assert words(plot(sweep.assign(diverged=True, loss=math.nan))).count("3/3") == 4


def test_one_seed_has_no_interval(
    sweep: DataFrame, find: Callable[..., list[Any]], words: Callable[[Figure], str]
) -> None:
    figure = plot(sweep[sweep["seed"] == 1])
    assert "interval" not in words(figure)
    assert find(figure, "mean")[0].get_ydata().tolist() == [84, 79, 58, 52]


def test_nothing_is_cut_off(sweep: DataFrame, overhang: Callable[[Figure], float]) -> None:
    assert overhang(plot(sweep.assign(diverged=sweep["seed"] == 1))) <= 0
    assert overhang(plot(sweep.assign(loss=sweep["loss"] / 100))) <= 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="loss"), "beta_sweep: column loss is missing"),
        (lambda t: t.drop(index=t.index[at(t, 10.0, 2)]), "beta_sweep: no row with beta=10.0, seed=2"),
        (lambda t: t.assign(beta=0.0), "beta_sweep: more than one row with beta=0.0, seed=1"),
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
    sweep: DataFrame, change: Callable[[DataFrame], DataFrame], message: str
) -> None:
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        plot(change(sweep))
