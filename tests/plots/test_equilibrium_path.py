from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from pandas import DataFrame

from nash_dqn.plots.equilibrium_path import COLUMNS, ENDS, plot
from nash_dqn.studies import equilibrium_path

Find = Callable[[Figure, str], list[Any]]
PANELS = ("value", "smallest_singular")


@pytest.fixture
def paths() -> DataFrame:
    """Without memory the path turns back at t = 0.35, its fourth point; with memory it arrives at t = 1."""
    along = {"same": (0.0, 0.1, 0.3, 0.35, 0.32, 0.31), "memory": (0.0, 0.25, 0.5, 0.75, 1.0)}
    rows = [
        (policy, at, t, 0.5 * 0.2**t, 0.1 * 0.1**t, -1.4 - t - 0.01 * at, 1e-3 * (abs(0.35 - t) + 1e-3))
        for policy, ts in along.items()
        for at, t in enumerate(ts)
    ]
    return DataFrame(rows, columns=list(COLUMNS)).sample(frac=1, random_state=np.random.default_rng(1))


def test_columns_are_those_of_the_table_that_is_made() -> None:
    assert set(COLUMNS) - {"policy"} <= set(equilibrium_path.COLUMNS)


@pytest.mark.parametrize("panel", PANELS)
def test_lines_are_the_paths_in_the_order_of_their_points(paths: DataFrame, find: Find, panel: str) -> None:
    figure = plot(paths)
    (axes,) = find(figure, panel)
    for policy in ("same", "memory"):
        rows = paths[paths["policy"] == policy].sort_values("point")
        (line,) = find(figure, f"{policy} {panel}")
        assert line.axes is axes
        np.testing.assert_array_equal(line.get_xdata(), rows["kappa"])
        np.testing.assert_array_equal(line.get_ydata(), rows[panel])
    left, right = axes.get_xlim()
    assert left > 0.5 > 0.1 > right, "from the released code's kappa on the left to Table 1's on the right"
    assert axes.get_xscale() == "log"
    assert axes.get_yscale() == ("linear" if panel == "value" else "log")
    low, high = axes.get_ylim()
    assert low < paths[panel].min() < paths[panel].max() < high


def test_fold_is_marked_at_the_furthest_point(paths: DataFrame, find: Find) -> None:
    figure = plot(paths)
    for panel in PANELS:
        (ring,) = find(figure, f"fold same {panel}")
        row = paths[(paths["policy"] == "same") & (paths["point"] == 3)].iloc[0]
        assert (ring.get_xdata()[0], ring.get_ydata()[0]) == (row["kappa"], row[panel])
        assert not find(figure, f"fold memory {panel}")
    labels = find(figure, "fold-label")
    # 0.5 x 0.2^0.35 and 0.1 x 0.1^0.35
    assert [label.get_text() for label in labels] == [r"fold: $\kappa$ 0.285, $\sigma$ 0.045"] * 2
    assert [label.axes.get_gid() for label in labels] == list(PANELS)


def test_legend_says_where_each_path_leads(paths: DataFrame, words: Callable[[Figure], str]) -> None:
    text = words(plot(paths))
    assert "same: sees what the text says; folds" in text
    assert "memory: also its own past order flow; arrives" in text
    assert "fold: two equilibria meet and vanish" in text
    unfinished = words(plot(paths[(paths["policy"] == "memory") & (paths["point"] < 3)]))
    assert r"followed to $\kappa$ = 0.224" in unfinished  # 0.5 x 0.2^0.5
    assert "fold:" not in unfinished
    assert "same:" not in unfinished


def test_ends_are_marked_and_named(paths: DataFrame, find: Find, words: Callable[[Figure], str]) -> None:
    figure = plot(paths)
    for name, kappa in ENDS.items():
        assert [line.get_xdata()[0] for line in find(figure, f"end {name}")] == [kappa] * 2
    assert ENDS == {"released": 0.5, "Table 1": 0.1}
    other = plot(paths, ends={"first": 0.6, "second": 0.05})
    assert "from scenario first towards second" in words(other)
    assert find(other, "value")[0].get_xlim()[0] > 0.6
    assert find(other, "value")[0].get_xlim()[1] < 0.05


@pytest.mark.parametrize("points", [1, 6])
def test_nothing_reaches_over_the_page(paths: DataFrame, overhang: Callable[[Figure], float], points: int) -> None:
    """Also where a path was lost at once."""
    assert overhang(plot(paths[paths["point"] < points])) < 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"policy": "history"}, "policy = 'history': allowed are same, memory"),
        ({"point": 1}, "more than one row with policy=memory, point=1|more than one row with policy=same, point=1"),
        ({"kappa": 0.0}, "kappa = 0: allowed is a finite number > 0"),
        ({"smallest_singular": -1.0}, "smallest_singular = -1: allowed is a finite number > 0"),
        ({"value": np.nan}, "value = nan: allowed is a finite number"),
        ({"t": np.inf}, "t = inf: allowed is a finite number"),
    ],
)
def test_tables_that_cannot_be_drawn(paths: DataFrame, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"equilibrium_path: ({message})"):
        plot(paths.assign(**change))


def test_a_missing_column_and_an_empty_table(paths: DataFrame) -> None:
    with pytest.raises(ValueError, match="equilibrium_path: column sigma is missing"):
        plot(paths.drop(columns="sigma"))
    with pytest.raises(ValueError, match="equilibrium_path: the table has no rows"):
        plot(paths.iloc[:0])


@pytest.mark.parametrize("ends", [{"a": 0.5}, {"a": 0.1, "b": 0.5}, {"a": 0.5, "b": 0.0}])
def test_ends_that_are_not_allowed(paths: DataFrame, ends: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="allowed are two positive numbers, the first larger than the second"):
        plot(paths, ends=ends)
