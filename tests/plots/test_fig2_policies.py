from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from pandas import DataFrame

from nash_dqn.plots.fig2_policies import plot

COMPARED: dict[str, Any] = {"comparison": "paper", "policies": ["nash_dqn/paper", "fictitious_play/last"]}
IMPACTS = (-0.2, 0.0, 0.2)
PRICES = (9.5, 9.75, 10.0, 10.25, 10.5)
SIZES = (0.1, 0.2, 0.3)
Series = Callable[[Axes, str], list[np.ndarray]]
Words = Callable[[Figure], str]


@pytest.fixture(scope="module")
def policy_grid() -> DataFrame:
    """Rates -0.5 (q - q0) with q0 = 4 (10 - S) - 10 Y + shift by algorithm and seed: their zero line is q = q0."""
    shifts = {("nash_dqn", "paper"): (-1.0, 0.0, 1.0), ("fictitious_play", "last"): (0.0, 1.0, 2.0)}
    rows = [
        ("released", algorithm, recipe, seed, impact, price, time, inventory, -0.5 * (inventory - q0))
        for (algorithm, recipe), of_seeds in shifts.items()
        for seed, shift in enumerate(of_seeds, start=1)
        for impact in (-0.2, 0.0, 0.2)
        for price in (9.5, 9.75, 10.0, 10.25, 10.5)
        for q0 in (4 * (10 - price) - 10 * impact + shift,)
        for time in (0.0, 0.5, 1.0)
        for inventory in (-10.0, -5.0, 0.0, 5.0, 10.0)
    ]
    columns = ["scenario", "algorithm", "recipe", "seed", "impact", "price", "time", "inventory", "rate"]
    return DataFrame(rows, columns=columns)


@pytest.fixture(scope="module")
def policy_distance() -> DataFrame:
    rows = []
    for a, b, pairs in (
        ("nash_dqn/paper", "fictitious_play/last", ((1, 1), (2, 2), (3, 3))),
        ("nash_dqn/paper", "nash_dqn/paper", ((1, 2), (1, 3), (2, 3))),
        ("fictitious_play/last", "fictitious_play/last", ((1, 2), (1, 3), (2, 3))),
    ):
        for at, (first, second) in enumerate(pairs):
            for states, factor in (("grid", 1.0), ("visited_a", 2.0), ("visited_b", 3.0)):
                rms = factor * (0.1 + 0.1 * at)
                rows.append(("paper", a, b, first, second, states, rms, rms / 2))
    columns = ["comparison", "policy_a", "policy_b", "seed_a", "seed_b", "states", "rms", "relative"]
    return DataFrame(rows, columns=columns)


@pytest.fixture(scope="module")
def figure(policy_grid: DataFrame, policy_distance: DataFrame) -> Figure:
    """The full figure, which the tests below only look at: nine panels, the distances, two colour bars."""
    return plot(policy_grid, policy_distance, **COMPARED)


def small(policy_grid: DataFrame) -> DataFrame:
    return policy_grid[(policy_grid["impact"] == 0) & policy_grid["price"].isin([9.5, 10.5])]


def rates(policy_grid: DataFrame, algorithm: str, impact: float) -> np.ndarray:
    """Mean over seeds, [inventories, (prices, times)]."""
    rows = policy_grid[(policy_grid["algorithm"] == algorithm) & (policy_grid["impact"] == impact)]
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
        nash, fp = (rates(policy_grid, algorithm, impact) for algorithm in ("nash_dqn", "fictitious_play"))
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
        figure = plot(grid.assign(rate=factor * (grid["rate"].abs() + 0.1)), policy_distance, **COMPARED)
        bar = mesh(figure.axes[1]).colorbar
        assert bar is not None and bar.extend == extend
        assert len(figure.axes[0].collections) == 1


def distances(figure: Figure, series: Series, label: str) -> np.ndarray:
    """Distances and rows of the lowest panel, sorted."""
    (axes,) = [axes for axes in figure.axes if axes.get_xlabel().startswith("RMS")]
    (points,) = series(axes, label)
    return np.array(sorted(points.round(9).tolist()))


def test_distances_of_all_pairs_stand_below(figure: Figure, series: Series, fits: Callable[[Figure], bool]) -> None:
    for label, rows, shift in (
        ("Nash-DQN paper to FP last", (0, 1, 2), -0.2),
        ("two seeds of Nash-DQN paper", (0, 1, 1), 0.0),
        ("two seeds of FP last", (0, 2, 2), 0.2),
    ):
        expected = [(factor * size, row + shift) for factor, row in zip((1, 2, 3), rows, strict=True) for size in SIZES]
        np.testing.assert_allclose(distances(figure, series, label), sorted(np.round(expected, 9).tolist()))
    assert fits(figure)


def test_seeds_that_diverged_or_are_not_compared_are_left_out_and_counted(
    policy_grid: DataFrame, policy_distance: DataFrame, words: Words, series: Series
) -> None:
    grid = small(policy_grid).copy()
    grid.loc[(grid["algorithm"] == "fictitious_play") & (grid["seed"] == 3), "rate"] = np.nan
    figure = plot(grid, policy_distance, **COMPARED, diverged=[[1], []])
    kept = grid[~((grid["algorithm"] == "nash_dqn") & (grid["seed"] == 1)) & grid["rate"].notna()]
    for axes, algorithm in zip(figure.axes, ("nash_dqn", "fictitious_play"), strict=False):
        np.testing.assert_allclose(colours(axes), rates(kept, algorithm, 0.0))
    assert "Nash-DQN paper, 2 of 3 seeds" in words(figure) and "FP last, 2 of 3 seeds" in words(figure)
    assert distances(figure, series, "Nash-DQN paper to FP last")[0, 0] == 0.2  # only seed 2 is left in both
    compared = policy_distance[(policy_distance["seed_a"] < 3) & (policy_distance["seed_b"] < 3)]
    assert "Nash-DQN paper, 2 of 3 seeds" in words(plot(small(policy_grid), compared, **COMPARED))
    plot(small(policy_grid), policy_distance, **COMPARED, diverged=[[1, 2], [3]])  # no pair is left


def test_one_reference_meets_every_training(
    policy_grid: DataFrame,
    policy_distance: DataFrame,
    words: Words,
    series: Series,
    fits: Callable[[Figure], bool],
) -> None:
    grid = policy_grid[(policy_grid["algorithm"] == "nash_dqn") | (policy_grid["seed"] == 1)]
    grid = grid.replace({"fictitious_play": "self_play", "last": "memory"})
    apart = policy_distance[policy_distance["policy_a"] == "nash_dqn/paper"]
    apart = apart.replace("fictitious_play/last", "self_play/memory")
    apart["seed_b"] = apart["seed_b"].where(apart["policy_b"] == "nash_dqn/paper", 1)
    figure = plot(grid, apart, comparison="paper", policies=["nash_dqn/paper", "self_play/memory"])
    assert "self-play memory, one seed" in words(figure)
    assert len(distances(figure, series, "Nash-DQN paper to self-play memory")) == 9
    assert "FP" not in words(figure)
    assert fits(figure)


def test_rows_of_other_recipes_do_not_count(policy_grid: DataFrame, policy_distance: DataFrame) -> None:
    grid = small(policy_grid)
    other = grid[grid["algorithm"] == "nash_dqn"].assign(recipe="released", rate=99.0)
    figure = plot(grid.merge(other, how="outer"), policy_distance, **COMPARED)
    np.testing.assert_allclose(colours(figure.axes[0]), rates(grid, "nash_dqn", 0.0))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda g, d: (g[g["algorithm"] == "nash_dqn"], d), "policy_grid: no row with algorithm=fictitious_play, rec"),
        (lambda g, d: (g.drop(index=g.index[0]), d), "policy_grid: no row with seed=1, impact=0.0, price=9.5, time=0"),
        (lambda g, d: (g[(g["algorithm"] == "nash_dqn") | (g["time"] > 0)], d), "policy_grid: the levels of .* differ"),
        (
            lambda g, d: (g.assign(rate=g["rate"].where(g["algorithm"] == "nash_dqn")), d),
            "policy_grid: fictitious_play/last has no seed left to draw",
        ),
        (lambda g, d: (g, d.assign(comparison="released")), "policy_distance: no row with comparison=paper"),
        (lambda g, d: (g, d[d["policy_a"] == d["policy_b"]]), "policy_grid: nash_dqn/paper has no seed left to draw"),
        (lambda g, d: (g, d.replace("nash_dqn/paper", "q")), "policy_a = 'q': allowed are nash_dqn/paper, fictitious"),
    ],
)
def test_what_is_wrong_with_a_table_is_said(
    policy_grid: DataFrame,
    policy_distance: DataFrame,
    change: Callable[..., tuple[DataFrame, DataFrame]],
    message: str,
) -> None:
    grid, apart = change(small(policy_grid), policy_distance)
    with pytest.raises(ValueError, match=message):
        plot(grid, apart, **COMPARED)
