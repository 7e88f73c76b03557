from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from pandas import DataFrame

from nash_dqn.plots.fig2_policies import plot

COMPARED: dict[str, Any] = {"comparison": "paper", "policies": ["nash_dqn/paper", "fictitious_play/last"]}
IMPACTS = (-0.2, 0.0, 0.2)
PRICES = (9.5, 9.75, 10.0, 10.25, 10.5)


@pytest.fixture(scope="module")
def figure(policy_grid: DataFrame, policy_distance: DataFrame) -> Figure:
    """The full figure, which the tests below only look at."""
    return plot(policy_grid, policy_distance, **COMPARED)


def small(policy_grid: DataFrame) -> DataFrame:
    return policy_grid[(policy_grid["impact"] == 0) & policy_grid["price"].isin([9.5, 10.5])]


def rates(policy_grid: DataFrame, algorithm: str, impact: float, price: float) -> np.ndarray:
    """Mean over seeds, [inventories, times]."""
    rows = policy_grid[
        (policy_grid["algorithm"] == algorithm) & (policy_grid["impact"] == impact) & (policy_grid["price"] == price)
    ]
    return rows.pivot_table(index="inventory", columns="time", values="rate", aggfunc="mean").to_numpy()


def mesh(figure: Figure, find: Callable[..., list[Any]], row: int, panel: int, place: int) -> QuadMesh:
    (axes,) = find(figure, f"map-{row}-{panel}-{place}")
    (found,) = [artist for artist in axes.collections if isinstance(artist, QuadMesh)]
    return found


def colours(drawn: QuadMesh) -> np.ndarray:
    """The numbers behind the colours, [inventories, times]."""
    values = drawn.get_array()
    assert values is not None
    return np.asarray(values)


def test_layout_is_the_papers(figure: Figure) -> None:
    titles = [axes.get_title(loc="left") for axes in figure.axes if axes.get_title(loc="left")]
    minus = "\N{MINUS SIGN}"
    impacts = [f"{minus}0.2", "0.0", "0.2"]
    rows = ["Nash-DQN", "FP", "difference"]
    expected = [f"{row}, $Y$ = {impact}" for row in rows for impact in impacts]
    assert titles == [f"({letter}) {title}" for letter, title in zip("abcdefghi", expected, strict=True)]


def test_heat_maps_stand_side_by_side_by_price(figure: Figure, find: Callable[..., list[Any]]) -> None:
    for row in range(3):
        for panel in range(3):
            maps = [find(figure, f"map-{row}-{panel}-{place}")[0] for place in range(5)]
            assert [axes.get_xlabel() for axes in maps] == ["9.50", "9.75", "10.00", "10.25", "10.50"]
            edges = [axes.get_position() for axes in maps]
            assert all(left.x1 < right.x0 for left, right in zip(edges, edges[1:], strict=False))
    assert not find(figure, "map-0-0-5")
    assert not find(figure, "map-0-3-0")


@pytest.mark.parametrize(("row", "algorithm"), [(0, "nash_dqn"), (1, "fictitious_play")])
def test_colours_are_the_mean_rates_of_the_table(
    figure: Figure, policy_grid: DataFrame, find: Callable[..., list[Any]], row: int, algorithm: str
) -> None:
    for panel, impact in enumerate(IMPACTS):
        for place, price in enumerate(PRICES):
            drawn = mesh(figure, find, row, panel, place)
            np.testing.assert_allclose(colours(drawn), rates(policy_grid, algorithm, impact, price))
            assert drawn.get_clim() == (-10, 10)


def test_last_row_is_the_difference_on_its_own_scale(
    figure: Figure, policy_grid: DataFrame, find: Callable[..., list[Any]]
) -> None:
    # The fixture's policies differ by a shift of q0 by one share, so by 0.5 shares/hour everywhere.
    drawn = mesh(figure, find, 2, 1, 3)
    nash, fp = (rates(policy_grid, algorithm, 0.0, 10.25) for algorithm in ("nash_dqn", "fictitious_play"))
    np.testing.assert_allclose(colours(drawn), nash - fp)
    np.testing.assert_allclose(colours(drawn), -0.5)
    assert drawn.get_clim() == (-0.5, 0.5)


def test_lines_are_where_rates_are_zero(figure: Figure, find: Callable[..., list[Any]]) -> None:
    # At Y = 0 the fixture's rates vanish at q = 4 (10 - S) + shift, with shifts -1, 0, 1 by seed.
    for place, price in enumerate(PRICES):
        (axes,) = find(figure, f"map-0-1-{place}")
        (mean,) = [line for line in axes.collections if line.get_gid() == "mean-zero"]
        np.testing.assert_allclose(mean.get_paths()[0].vertices[:, 1], 4 * (10 - price), atol=1e-9)
        seeds = [line.get_paths()[0].vertices[:, 1] for line in axes.collections if line.get_gid() == "seed-zero"]
        assert [pytest.approx(4 * (10 - price) + shift) for shift in (-1, 0, 1)] == [line[0] for line in seeds]
    (difference,) = find(figure, "map-2-1-0")
    assert not [line for line in difference.collections if line.get_gid() in ("mean-zero", "seed-zero")]


def test_no_line_where_rates_do_not_change_sign(
    policy_grid: DataFrame, policy_distance: DataFrame, find: Callable[..., list[Any]]
) -> None:
    grid = small(policy_grid)
    figure = plot(grid.assign(rate=grid["rate"].abs() + 0.1), policy_distance, **COMPARED)
    assert not find(figure, "mean-zero")


def test_colour_bar_tells_when_rates_go_beyond_it(
    policy_grid: DataFrame, policy_distance: DataFrame, find: Callable[..., list[Any]]
) -> None:
    grid = small(policy_grid)
    for factor, extend in ((1.0, "neither"), (3.0, "both")):
        figure = plot(grid.assign(rate=factor * grid["rate"]), policy_distance, **COMPARED)
        bar = mesh(figure, find, 1, 0, 1).colorbar
        assert bar is not None
        assert bar.extend == extend


def test_distances_stand_below(figure: Figure, find: Callable[..., list[Any]]) -> None:
    (notes,) = find(figure, "notes")
    text = " ".join(notes.get_text().split())
    assert "mean of 3 seed pairs" in text
    assert "grid shown 0.200 [0.100, 0.300] (10%)" in text
    assert "visited by Nash-DQN 0.400 [0.200, 0.600] (20%)" in text
    assert "visited by FP 0.600 [0.300, 0.900] (30%)" in text
    assert "two seeds of one policy, on the grid shown: Nash-DQN 0.200" in text
    assert "two seeds of one policy, in states they visit: Nash-DQN 0.500 [0.200, 0.900] (25%); FP" in text
    assert "Bottom row: Nash-DQN less FP" in text
    assert "On the grid all past order flow is zero, an agent's own too" in text
    assert "Not drawn" not in text


def test_diverged_seeds_are_left_out_and_named(
    policy_grid: DataFrame, policy_distance: DataFrame, find: Callable[..., list[Any]]
) -> None:
    grid = small(policy_grid).copy()
    grid.loc[(grid["algorithm"] == "fictitious_play") & (grid["seed"] == 3), "rate"] = np.nan
    figure = plot(grid, policy_distance, **COMPARED, diverged=[[1], []])
    kept = grid[~((grid["algorithm"] == "nash_dqn") & (grid["seed"] == 1)) & grid["rate"].notna()]
    np.testing.assert_allclose(colours(mesh(figure, find, 0, 0, 1)), rates(kept, "nash_dqn", 0.0, 10.5))
    np.testing.assert_allclose(colours(mesh(figure, find, 1, 0, 1)), rates(kept, "fictitious_play", 0.0, 10.5))
    notes = find(figure, "notes")[0].get_text()
    assert "Not drawn: Nash-DQN seed 1 (training diverged)." in notes
    assert "Not drawn: FP seed 3 (rates are not finite)." in notes
    assert "one seed pair: grid shown 0.200 (10%)" in " ".join(notes.split())  # only seed 2 is left in both
    assert "on the grid shown: Nash-DQN 0.300 (15%); FP 0.100 (5%)." in " ".join(notes.split())


def test_seeds_of_one_policy_alone_are_left_out_and_named(
    policy_grid: DataFrame, policy_distance: DataFrame, find: Callable[..., list[Any]]
) -> None:
    grid = small(policy_grid)
    grid = grid[(grid["algorithm"] == "nash_dqn") | (grid["seed"] < 3)]
    compared = policy_distance[(policy_distance["seed_a"] < 3) & (policy_distance["seed_b"] < 3)]
    figure = plot(grid, compared, **COMPARED)
    kept = grid[grid["seed"] < 3]
    np.testing.assert_allclose(colours(mesh(figure, find, 0, 0, 1)), rates(kept, "nash_dqn", 0.0, 10.5))
    notes = find(figure, "notes")[0].get_text()
    assert "Means over seeds (Nash-DQN: seeds 1, 2; FP: seeds 1, 2)" in notes
    assert "Not drawn: Nash-DQN seed 3 (the other policy has no such seed)." in notes


def test_self_play_is_called_by_its_name(
    policy_grid: DataFrame,
    policy_distance: DataFrame,
    find: Callable[..., list[Any]],
    words: Callable[[Figure], str],
    overhang: Callable[[Figure], float],
) -> None:
    """One reference, which meets every training of Nash-DQN's."""
    grid = policy_grid[(policy_grid["algorithm"] == "nash_dqn") | (policy_grid["seed"] == 1)]
    grid = grid.replace({"fictitious_play": "self_play", "last": "memory"})
    distances = policy_distance[policy_distance["policy_a"] == "nash_dqn/paper"]
    distances = distances.replace("fictitious_play/last", "self_play/memory")
    distances["seed_b"] = distances["seed_b"].where(distances["policy_b"] == "nash_dqn/paper", 1)
    figure = plot(grid, distances, comparison="paper", policies=["nash_dqn/paper", "self_play/memory"])
    text = " ".join(words(figure).split())
    assert "scenario released: Nash-DQN (recipe paper) and self-play, memory" in text
    assert "(d) self-play, memory, $Y$" in text
    assert "Means over seeds (Nash-DQN: seeds 1, 2, 3; self-play, memory: seed 1)" in text
    assert "from Nash-DQN to self-play, memory in shares/hour" in text
    assert "visited by self-play, memory 0.600 [0.300, 0.900] (30%)" in text
    assert "on the grid shown: Nash-DQN 0.200 [0.100, 0.300] (10%); self-play, memory none." in text
    assert "FP" not in text
    assert "equilibrium" not in text
    assert overhang(figure) <= 0


def test_the_authors_policies_are_called_theirs(
    policy_grid: DataFrame,
    policy_distance: DataFrame,
    words: Callable[[Figure], str],
    overhang: Callable[[Figure], float],
) -> None:
    """One training of each, both under one algorithm."""
    grid = policy_grid[policy_grid["seed"] == 1].assign(seed=0)
    grid = grid.assign(recipe=grid["algorithm"].map({"nash_dqn": "nash", "fictitious_play": "fp"}), algorithm="authors")
    between = policy_distance[(policy_distance["seed_a"] == 1) & (policy_distance["seed_b"] == 1)]
    between = between.assign(comparison="authors", policy_a="authors/nash", policy_b="authors/fp", seed_a=0, seed_b=0)
    figure = plot(grid, between, comparison="authors", policies=["authors/nash", "authors/fp"])
    text = " ".join(words(figure).split())
    assert "scenario released: authors' Nash-DQN and authors' FP" in text
    assert "(a) authors' Nash-DQN, $Y$" in text
    assert "from authors' Nash-DQN to authors' FP in shares/hour" in text
    assert "one seed pair: grid shown 0.100 (5%); visited by authors' Nash-DQN 0.200 (10%)" in text
    assert "between two seeds" not in text
    assert overhang(figure) <= 0


def test_distances_may_be_lost_with_the_seeds(
    policy_grid: DataFrame, policy_distance: DataFrame, find: Callable[..., list[Any]]
) -> None:
    lost = [[1, 2], [3]]
    figure = plot(small(policy_grid), policy_distance, **COMPARED, diverged=lost)
    assert "no seed pair left: grid shown none;" in " ".join(find(figure, "notes")[0].get_text().split())


def test_one_seed_has_no_distance_between_trainings(
    policy_grid: DataFrame, policy_distance: DataFrame, find: Callable[..., list[Any]]
) -> None:
    grid = small(policy_grid)
    distances = policy_distance[(policy_distance["seed_a"] == 1) & (policy_distance["seed_b"] == 1)]
    figure = plot(grid[grid["seed"] == 1], distances, **COMPARED)
    notes = " ".join(find(figure, "notes")[0].get_text().split())
    assert "one seed pair: grid shown 0.100 (5%)" in notes
    assert "between two seeds" not in notes


def test_rows_of_other_recipes_do_not_count(
    policy_grid: DataFrame, policy_distance: DataFrame, find: Callable[..., list[Any]]
) -> None:
    grid = small(policy_grid)
    other = grid[grid["algorithm"] == "nash_dqn"].assign(recipe="released", rate=99.0)
    with_other = grid.merge(other, how="outer")
    figure = plot(with_other, policy_distance, **COMPARED)
    np.testing.assert_allclose(colours(mesh(figure, find, 0, 0, 0)), rates(grid, "nash_dqn", 0.0, 9.5))


def test_nothing_is_cut_off(
    figure: Figure, policy_grid: DataFrame, policy_distance: DataFrame, overhang: Callable[[Figure], float]
) -> None:
    assert overhang(figure) <= 0
    lost = [[1], [2, 3]]
    assert overhang(plot(small(policy_grid), policy_distance, **COMPARED, diverged=lost)) <= 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="impact"), "policy_grid: column impact is missing"),
        (lambda t: t[t["algorithm"] == "nash_dqn"], "policy_grid: no row with algorithm=fictitious_play, recipe=last"),
        (lambda t: t.drop(index=t.index[0]), "policy_grid: no row with seed=1, impact=0.0, price=9.5, time=0.0, inv"),
        (
            lambda t: t[(t["algorithm"] == "nash_dqn") | (t["time"] > 0)],
            "policy_grid: times of nash_dqn/paper and fictitious_play/last differ",
        ),
        (
            lambda t: t.assign(rate=t["rate"].where(t["algorithm"] == "nash_dqn")),
            r"policy_grid: fictitious_play/last has no seed left to draw: seed 1 \(rates are not finite\), seed 2",
        ),
    ],
)
def test_what_is_wrong_with_the_grid_is_said(
    policy_grid: DataFrame, policy_distance: DataFrame, change: Callable[[DataFrame], DataFrame], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        plot(change(small(policy_grid)), policy_distance, **COMPARED)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="rms"), "policy_distance: column rms is missing"),
        (lambda t: t.assign(comparison="released"), "policy_distance: no row with comparison=paper"),
        (lambda t: t[t["states"] == "grid"], "policy_distance: no row with states=visited_a"),
        (lambda t: t[t["policy_a"] == t["policy_b"]], "policy_distance: no row between two different policies"),
        (lambda t: t.replace("nash_dqn/paper", "q"), "policy 'q' is neither nash_dqn/paper nor fictitious_play/last"),
    ],
)
def test_what_is_wrong_with_the_distances_is_said(
    policy_grid: DataFrame, policy_distance: DataFrame, change: Callable[[DataFrame], DataFrame], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        plot(small(policy_grid), change(policy_distance), **COMPARED)
