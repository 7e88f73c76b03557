from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from pandas import DataFrame, concat

from nash_dqn.evaluation.statistics import tidy
from nash_dqn.plots.fig2_policies import plot
from nash_dqn.plots.style import ALGORITHM_COLOURS
from tests.plots.looking import fits, series, words

COMPARED = "nash-text-vs-fp-code"
RECORDS: list[dict[str, Any]] = [
    {"policy": policy, "algorithm": algorithm, "members": [{"seed": seed, "diverged": False} for seed in (1, 2, 3)]}
    for policy, algorithm in (("nash-text", "nash_dqn"), ("fp-code", "fictitious_play"))
]
IMPACTS = (-0.2, 0.0, 0.2)
PRICES = (9.5, 9.75, 10.0, 10.25, 10.5)
SIZES = (0.1, 0.2, 0.3)


@pytest.fixture(scope="module")
def policy_grid() -> DataFrame:
    """Rates -0.5 (q - q0) with q0 = 4 (10 - S) - 10 Y + shift by policy and seed: their zero line is q = q0."""
    axes: dict[str, Any] = {"policy": ["nash-text", "fp-code"], "seed": [1, 2, 3], "impact": IMPACTS, "price": PRICES}
    table = tidy({**axes, "time": (0.0, 0.5, 1.0), "inventory": (-10.0, -5.0, 0.0, 5.0, 10.0)})
    shift = table["seed"] - 2.0 + (table["policy"] == "fp-code")
    q0 = 4 * (10 - table["price"]) - 10 * table["impact"] + shift
    return table.assign(scenario="code", rate=-0.5 * (table["inventory"] - q0))


@pytest.fixture(scope="module")
def policy_distance() -> DataFrame:
    rows = []
    for a, b, pairs in (
        ("nash-text", "fp-code", ((1, 1), (2, 2), (3, 3))),
        ("nash-text", "nash-text", ((1, 2), (1, 3), (2, 3))),
        ("fp-code", "fp-code", ((1, 2), (1, 3), (2, 3))),
    ):
        for at, (first, second) in enumerate(pairs):
            for states, factor in (("grid", 1.0), ("visited_a", 2.0), ("visited_b", 3.0)):
                rms = factor * (0.1 + 0.1 * at)
                rows.append((COMPARED, a, b, first, second, states, rms, rms / 2))
    columns = ["comparison", "policy_a", "policy_b", "seed_a", "seed_b", "states", "rms", "relative"]
    return DataFrame(rows, columns=columns)


@pytest.fixture(scope="module")
def figure(policy_grid: DataFrame, policy_distance: DataFrame) -> Figure:
    """The full figure, which the tests below only look at: nine panels, the distances, two colour bars."""
    return plot(policy_grid, policy_distance, RECORDS, comparison=COMPARED)


def small(policy_grid: DataFrame) -> DataFrame:
    return policy_grid[(policy_grid["impact"] == 0) & policy_grid["price"].isin([9.5, 10.5])]


def rates(policy_grid: DataFrame, policy: str, impact: float) -> np.ndarray:
    """Mean over seeds, [inventories, (prices, times)]."""
    rows = policy_grid[(policy_grid["policy"] == policy) & (policy_grid["impact"] == impact)]
    return rows.pivot_table(index="inventory", columns=["price", "time"], values="rate", aggfunc="mean").to_numpy()


def mesh(axes: Axes) -> QuadMesh:
    (found,) = [artist for artist in axes.collections if isinstance(artist, QuadMesh)]
    return found


def colours(axes: Axes) -> np.ndarray:
    """The numbers behind the colours, [inventories, (prices, times)]."""
    values = mesh(axes).get_array()
    assert values is not None
    return np.asarray(values)


def test_colours_are_the_mean_rates_of_the_table_and_their_difference(figure: Figure, policy_grid: DataFrame) -> None:
    for at, impact in enumerate(IMPACTS):
        nash, fp = (rates(policy_grid, policy, impact) for policy in ("nash-text", "fp-code"))
        for row, expected in enumerate((nash, fp, nash - fp)):
            axes = figure.axes[3 * row + at]
            np.testing.assert_allclose(colours(axes), expected)
            # The fixture's policies differ by a shift of q0 by one share, so by 0.5 shares/hour everywhere.
            assert mesh(axes).get_clim() == ((-10, 10) if row < 2 else pytest.approx((-0.5, 0.5)))


def test_lines_are_where_rates_are_zero(figure: Figure) -> None:
    """At Y = 0 the fixture's rates vanish at q = 4 (10 - S) + shift, with shifts -1, 0, 1 by seed and 0 in the mean."""
    lines = [line for line in figure.axes[1].collections if not isinstance(line, QuadMesh)]
    expected = [4 * (10 - price) + shift for shift in (-1, 0, 1, 0) for price in PRICES]
    drawn = [np.asarray(line.get_paths()[0].vertices) for line in lines]
    np.testing.assert_allclose([vertices[:, 1].mean() for vertices in drawn], expected, atol=1e-9)
    np.testing.assert_allclose([vertices[:, 0].min() for vertices in drawn], 4 * [0, 3, 6, 9, 12])
    assert len(figure.axes[7].collections) == 1  # none on differences


def test_colour_bar_tells_when_rates_go_beyond_it(policy_grid: DataFrame, policy_distance: DataFrame) -> None:
    """Rates that do not change sign have no line."""
    grid = small(policy_grid)
    for factor, extend in ((1.0, "neither"), (3.0, "both")):
        figure = plot(
            grid.assign(rate=factor * (grid["rate"].abs() + 0.1)), policy_distance, RECORDS, comparison=COMPARED
        )
        bar = mesh(figure.axes[1]).colorbar
        assert bar is not None and bar.extend == extend
        assert len(figure.axes[0].collections) == 1


def distances(figure: Figure, label: str) -> np.ndarray:
    """Distances and rows of the lowest panel, sorted."""
    (axes,) = [axes for axes in figure.axes if axes.get_xlabel().startswith("RMS")]
    (points,) = series(axes, label)
    return np.array(sorted(points.round(9).tolist()))


def test_distances_of_all_pairs_stand_below(figure: Figure) -> None:
    for label, rows, shift in (
        ("nash-text to fp-code", (0, 1, 2), -0.2),
        ("two seeds of nash-text", (0, 1, 1), 0.0),
        ("two seeds of fp-code", (0, 2, 2), 0.2),
    ):
        expected = [(factor * size, row + shift) for factor, row in zip((1, 2, 3), rows, strict=True) for size in SIZES]
        np.testing.assert_allclose(distances(figure, label), sorted(np.round(expected, 9).tolist()))
    drawn = {line.get_label(): line.get_color() for axes in figure.axes for line in axes.lines}
    assert drawn["two seeds of nash-text"] == ALGORITHM_COLOURS["nash_dqn"]
    assert drawn["two seeds of fp-code"] == ALGORITHM_COLOURS["fictitious_play"]
    assert fits(figure)


def diverged(*of: list[int]) -> list[dict[str, Any]]:
    """Records of both trainings, these seeds diverged."""
    return [
        {**record, "members": [{**member, "diverged": member["seed"] in lost} for member in record["members"]]}
        for record, lost in zip(RECORDS, of, strict=True)
    ]


def test_seeds_that_diverged_or_are_not_compared_are_left_out_and_counted(
    policy_grid: DataFrame, policy_distance: DataFrame
) -> None:
    grid = small(policy_grid).copy()
    grid.loc[(grid["policy"] == "fp-code") & (grid["seed"] == 3), "rate"] = np.nan
    other = grid[grid["policy"] == "nash-text"].assign(policy="nash-code", rate=99.0)  # it does not count
    figure = plot(concat([grid, other]), policy_distance, diverged([1], []), comparison=COMPARED)
    kept = grid[~((grid["policy"] == "nash-text") & (grid["seed"] == 1)) & grid["rate"].notna()]
    for axes, policy in zip(figure.axes, ("nash-text", "fp-code"), strict=False):
        np.testing.assert_allclose(colours(axes), rates(kept, policy, 0.0))
    assert "nash-text, 2 of 3 seeds" in words(figure) and "fp-code, 2 of 3 seeds" in words(figure)
    assert distances(figure, "nash-text to fp-code")[0, 0] == 0.2  # only seed 2 is left in both
    compared = policy_distance[(policy_distance["seed_a"] < 3) & (policy_distance["seed_b"] < 3)]
    assert "nash-text, 2 of 3 seeds" in words(plot(small(policy_grid), compared, RECORDS, comparison=COMPARED))
    plot(small(policy_grid), policy_distance, diverged([1, 2], [3]), comparison=COMPARED)  # no pair is left


def test_one_reference_meets_every_training(policy_grid: DataFrame, policy_distance: DataFrame) -> None:
    grid = policy_grid[(policy_grid["policy"] == "nash-text") | (policy_grid["seed"] == 1)]
    apart = policy_distance[policy_distance["policy_a"] == "nash-text"].replace("fp-code", "reference")
    apart["seed_b"] = apart["seed_b"].where(apart["policy_b"] == "nash-text", 1)
    records = [
        RECORDS[0],
        {"policy": "reference", "algorithm": "self_play", "members": [{"seed": 1, "diverged": False}]},
    ]
    figure = plot(grid.replace("fp-code", "reference"), apart, records, comparison=COMPARED)
    assert "reference, one seed" in words(figure)
    assert len(distances(figure, "nash-text to reference")) == 9
    assert fits(figure)


def test_what_is_wrong_with_a_table_is_said(policy_grid: DataFrame, policy_distance: DataFrame) -> None:
    grid, apart = small(policy_grid), policy_distance
    first = grid["policy"] == "nash-text"
    for message, tables in (
        ("policy_grid: no row with policy=fp-code", (grid[first], apart)),
        ("policy_grid: no row with seed=1, impact=0.0, price=9.5, time=0", (grid.drop(index=grid.index[0]), apart)),
        ("policy_grid: the levels of .* differ", (grid[first | (grid["time"] > 0)], apart)),
        ("policy_grid: fp-code has no seed left to draw", (grid.assign(rate=grid["rate"].where(first)), apart)),
        ("policy_distance: no row with comparison=nash-text-vs-fp-c", (grid, apart.assign(comparison="a-vs-b"))),
        ("policy_distance: no row between two policies", (grid, apart[apart["policy_a"] == apart["policy_b"]])),
        ("records: there is none of nash-code", (grid, apart.replace("nash-text", "nash-code"))),
        ("policy_a must be the same in ev", (grid, concat([apart, apart.assign(policy_a="nash-code")]))),
    ):
        with pytest.raises(ValueError, match=message):
            plot(*tables, RECORDS, comparison=COMPARED)
