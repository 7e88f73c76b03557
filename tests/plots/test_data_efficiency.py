from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from pandas import DataFrame

from nash_dqn.plots.data_efficiency import plot, plot_time

Find = Callable[[Figure, str], list[Any]]
Words = Callable[[Figure], str]

COUNTS = (10_000, 100_000, 1_000_000)
RECORDS = [
    {
        "algorithm": algorithm,
        "recipe_name": recipe,
        "snapshots": [{"transitions": count, "wall_seconds": count / 1e4} for count in COUNTS],
    }
    for algorithm, recipe in (("nash_dqn", "paper"), ("fictitious_play", "last"))
]


@pytest.fixture
def learning() -> DataFrame:
    """Nash-DQN: seed 2 stops early, seed 3 diverges at 500,000 transitions. FP: three seeds to the end."""
    rows = []
    for algorithm, recipe in (("nash_dqn", "paper"), ("fictitious_play", "last")):
        for seed in (1, 2, 3):
            for at, count in enumerate(COUNTS):
                where = ("released", algorithm, recipe, seed, "memory", "memory")
                if algorithm == "nash_dqn" and at == 2 and seed > 1:
                    if seed == 3:
                        rows.append((*where, 500_000, np.nan, np.nan))
                    continue
                gain = seed * 10.0 ** (1 - at)
                rows.append((*where, count, gain, gain / 20))
    columns = ["scenario", "algorithm", "recipe", "seed", "deviator", "reference"]
    return DataFrame(rows, columns=[*columns, "transitions", "gain", "relative_distance"])


@pytest.fixture
def gains() -> DataFrame:
    """How exploitable the reference is: by 0.0012 at most; other rows do not count."""
    rows = [
        ("released", "self_play", "memory", 1, "memory", "1", 0.0012),
        ("released", "self_play", "memory", 2, "memory", "1", 0.0008),
        ("released", "self_play", "memory", 1, "memory", "nashconv", 0.5),
        ("released", "self_play", "memory", 1, "same", "1", 0.5),
        ("released", "self_play", "same", 1, "memory", "1", 0.5),
        ("released", "nash_dqn", "memory", 1, "memory", "1", 0.5),
    ]
    return DataFrame(rows, columns=["scenario", "algorithm", "recipe", "seed", "deviator", "player", "high"])


def test_each_seed_is_a_line_in_each_panel(learning: DataFrame, gains: DataFrame, find: Find) -> None:
    figures = {"transitions": plot(learning, gains), "wall_seconds": plot_time(learning, gains, RECORDS)}
    for (along, figure), unit in zip(figures.items(), (1.0, 1e4), strict=True):
        for column, factor in (("gain", 1.0), ("relative_distance", 0.05)):
            (line,) = find(figure, f"seed FP last {column} {along} 2")
            np.testing.assert_allclose(line.get_xdata(), np.array(COUNTS) / unit)
            np.testing.assert_allclose(line.get_ydata(), factor * np.array([20.0, 2.0, 0.2]))
        titles = [axes.get_title(loc="left") for axes in figure.axes]
        assert [title[:3] for title in titles] == ["(a)", "(b)"]


def test_medians_keep_what_stopped_and_count_what_diverged(learning: DataFrame, gains: DataFrame, find: Find) -> None:
    figure = plot(learning, gains)
    (fp,) = find(figure, "median FP last gain transitions")
    np.testing.assert_allclose(fp.get_ydata(), [20.0, 2.0, 0.2])
    # At the end: 0.1, 2 of the training that stopped early, and infinity.
    (nash,) = find(figure, "median Nash-DQN paper gain transitions")
    np.testing.assert_allclose(nash.get_ydata(), [20.0, 2.0, 2.0])
    (nash,) = find(plot_time(learning, gains, RECORDS), "median Nash-DQN paper gain wall_seconds")
    np.testing.assert_allclose(nash.get_xdata(), [1.0, 10.0, 100.0])
    np.testing.assert_allclose(nash.get_ydata(), [20.0, 2.0, 2.0])


def test_a_median_that_is_infinite_is_not_drawn(learning: DataFrame, gains: DataFrame, find: Find) -> None:
    lost = learning[(learning["algorithm"] == "nash_dqn") & (learning["seed"] != 2)]
    figure = plot(lost, gains)
    (median,) = find(figure, "median Nash-DQN paper gain transitions")
    assert list(median.get_xdata()) == list(COUNTS[:2])


def test_a_divergence_is_marked_where_it_happened(
    learning: DataFrame, gains: DataFrame, find: Find, words: Words
) -> None:
    figure = plot(learning, gains)
    (mark,) = find(figure, "diverged Nash-DQN paper gain transitions 3")
    assert (mark.get_xdata()[0], mark.get_ydata()[0]) == (500_000, pytest.approx(3.0))
    # When it happened is not known: the last policy kept stands for it.
    (mark,) = find(plot_time(learning, gains, RECORDS), "diverged Nash-DQN paper gain wall_seconds 3")
    assert (mark.get_xdata()[0], mark.get_ydata()[0]) == (pytest.approx(10.0), pytest.approx(3.0))
    assert "\ndiverged" in words(figure)
    assert "\ndiverged" not in words(plot(learning[learning["algorithm"] == "fictitious_play"], gains))


def test_a_training_that_diverged_before_anything_was_kept(learning: DataFrame, gains: DataFrame, find: Find) -> None:
    early = learning[learning["gain"].isna()].assign(transitions=900)
    figure = plot(early, gains)
    (mark,) = find(figure, "diverged Nash-DQN paper gain transitions 3")
    top = figure.axes[0].get_ylim()[1]
    assert (mark.get_xdata()[0], mark.get_ydata()[0]) == (900, pytest.approx(top))
    (mark,) = find(plot_time(early, gains, RECORDS), "diverged Nash-DQN paper gain wall_seconds 3")
    assert len(mark.get_xdata()) == 0


def test_published_budgets_and_the_level_are_on_the_page(learning: DataFrame, gains: DataFrame, find: Find) -> None:
    figure = plot(learning, gains, level=0.15)
    for algorithm, budget in (("nash_dqn", 2_000_000), ("fictitious_play", 10_500_000)):
        lines = find(figure, f"budget {algorithm}")
        assert [line.get_xdata()[0] for line in lines] == [budget] * 2
        assert all(line.axes.get_xlim()[0] < budget < line.axes.get_xlim()[1] for line in lines)
    assert [line.get_ydata()[0] for line in find(figure, "level")] == [0.15]
    only_fp = plot(learning[learning["algorithm"] == "fictitious_play"], gains)
    assert not find(only_fp, "budget nash_dqn")


@pytest.mark.parametrize(
    ("high", "text"),
    [
        (0.0012, "exploitable by at most 0.0012 (95 %), an equilibrium up to 0.002."),
        (0.0031, "exploitable by at most 0.0031 (95 %), no equilibrium: more than 0.002."),
        (np.nan, "Reference: self-play memory, which diverged."),
    ],
)
def test_the_reference_is_called_what_it_is(
    learning: DataFrame, gains: DataFrame, find: Find, high: float, text: str
) -> None:
    gains.loc[0, "high"] = high
    (note,) = find(plot(learning, gains), "reference")
    assert note.get_text().endswith(text)


def test_a_reference_that_was_not_measured_or_not_given(learning: DataFrame, gains: DataFrame, find: Find) -> None:
    (note,) = find(plot(learning, gains[gains["algorithm"] != "self_play"]), "reference")
    assert note.get_text().endswith("was not measured.")
    without = learning.assign(reference=np.nan, relative_distance=np.nan)
    (note,) = find(plot(without, gains), "reference")
    assert note.get_text() == "There is no reference."


def test_gains_that_are_not_positive_stay_on_the_axis(learning: DataFrame, gains: DataFrame, find: Find) -> None:
    learning.loc[learning["transitions"] == 1_000_000, "gain"] = -0.001
    (line,) = find(plot(learning, gains), "seed FP last gain transitions 1")
    assert line.get_ydata()[-1] == pytest.approx(1e-4)


def test_an_empty_table_gives_a_figure_that_says_so(learning: DataFrame, gains: DataFrame, find: Find) -> None:
    for figure in (plot(learning.head(0), gains), plot_time(learning.head(0), gains, RECORDS)):
        assert len(find(figure, "nothing")) == 1
        assert not figure.axes


def test_nothing_is_cut_off(learning: DataFrame, gains: DataFrame, overhang: Callable[[Figure], float]) -> None:
    more = [learning.assign(recipe=f"recipe_number_{k}") for k in range(3)]
    many = DataFrame([row for part in more for row in part.to_dict("records")])
    for table in (learning, many, learning.head(0)):
        assert overhang(plot(table, gains)) <= 0
    assert overhang(plot_time(learning, gains, RECORDS)) <= 0


def test_what_does_not_belong_together_is_refused(learning: DataFrame, gains: DataFrame) -> None:
    with pytest.raises(ValueError, match=r"^data_efficiency: scenario released is not that of exploitability, table1$"):
        plot(learning, gains.assign(scenario="table1"))
    with pytest.raises(ValueError, match=r"^data_efficiency: algorithm = 'dqn': allowed are nash_dqn, "):
        plot(learning.assign(algorithm="dqn"), gains)
    with pytest.raises(ValueError, match=r"^data_efficiency: deviator must be the same in every row"):
        plot(learning.assign(deviator=["same", *["memory"] * (len(learning) - 1)]), gains)
    with pytest.raises(ValueError, match=r"^data_efficiency: no record has the time of nash_dqn paper after 10000 tr"):
        plot_time(learning, gains, RECORDS[1:])
