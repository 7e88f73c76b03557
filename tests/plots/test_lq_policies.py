from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from pandas import DataFrame

from nash_dqn.evaluation import lq_error
from nash_dqn.plots.lq_policies import ERROR_COLUMNS, SCATTER_COLUMNS, plot
from nash_dqn.plots.style import ALGORITHM_COLOURS

Find = Callable[..., list[Any]]
STEPS = 4
RECIPES = {("nash_dqn", "paper"): 0.2, ("nash_dqn", "accurate"): 0.02, ("fictitious_play", "last"): 0.3}


@pytest.fixture
def errors() -> DataFrame:
    """Relative error: the recipe's size times the seed (1, 2, 4) times (1 + m), over all steps ten times the size."""
    rows = [
        ("lq", algorithm, recipe, seed, visitor, step, size * seed * factor * (1 if visitor == "learned" else 0.5))
        for (algorithm, recipe), size in RECIPES.items()
        for seed in (1, 2, 4)
        for visitor in ("exact", "learned")
        for step, factor in (*((str(m), 1.0 + m) for m in range(STEPS)), ("all", 10.0))
    ]
    return DataFrame(rows, columns=list(ERROR_COLUMNS)).sample(frac=1, random_state=np.random.default_rng(1))


@pytest.fixture
def scatter() -> DataFrame:
    """Twenty actions a seed and step, learned = (1 + size) exact."""
    rows = [
        ("lq", algorithm, recipe, seed, step, exact, (1 + size) * exact)
        for (algorithm, recipe), size in RECIPES.items()
        for seed in (1, 2, 4)
        for step in range(STEPS)
        for exact in np.linspace(-3.0, 2.5, 20) * (1 + step)
    ]
    return DataFrame(rows, columns=list(SCATTER_COLUMNS))


def order(errors: DataFrame) -> list[tuple[str, str]]:
    """The recipes as the table lists them, which is the order of the rows of the figure."""
    return list(dict.fromkeys(zip(errors["algorithm"], errors["recipe"], strict=True)))


def test_columns_are_those_of_the_tables_that_are_made() -> None:
    assert set(ERROR_COLUMNS) - {"scenario"} <= set(lq_error.COLUMNS)
    assert set(SCATTER_COLUMNS) - {"scenario"} <= set(lq_error.SCATTER_COLUMNS)


@pytest.mark.parametrize("visitor", lq_error.VISITED_BY)
def test_lines_are_the_errors_and_their_medians(
    errors: DataFrame, scatter: DataFrame, find: Find, visitor: str
) -> None:
    figure = plot(errors, scatter)
    (axes,) = find(figure, f"errors-{visitor}")
    half = 1 if visitor == "learned" else 0.5
    for at, key in enumerate(order(errors)):
        size = 100 * RECIPES[key] * half
        lines = [line for line in find(figure, f"seed-{at}") if line.axes is axes]
        expected = [[size * seed * (1 + m) for m in range(STEPS)] for seed in (1, 2, 4)]
        np.testing.assert_allclose([line.get_ydata() for line in lines], expected)
        (median,) = (line for line in find(figure, f"median-{at}") if line.axes is axes)
        np.testing.assert_allclose(median.get_ydata(), expected[1])
        dots = [line.get_ydata()[0] for line in find(figure, f"all-{at}") if line.axes is axes]
        np.testing.assert_allclose(dots, [10 * size * seed for seed in (1, 2, 4)])
        (whole,) = (line for line in find(figure, f"median-all-{at}") if line.axes is axes)
        np.testing.assert_allclose(whole.get_ydata(), 20 * size)


def test_a_colour_is_an_algorithm_and_a_line_a_recipe(errors: DataFrame, scatter: DataFrame, find: Find) -> None:
    figure = plot(errors, scatter)
    looks = []
    for at, (algorithm, _) in enumerate(order(errors)):
        line = find(figure, f"median-{at}")[0]
        assert to_hex(line.get_color()) == ALGORITHM_COLOURS[algorithm]
        looks.append((line.get_color(), line.get_linestyle()))
        assert to_hex(find(figure, "actions")[at * STEPS].get_color()) == ALGORITHM_COLOURS[algorithm]
    assert len(set(looks)) == 3


def test_target_is_a_dashed_line_in_sight(errors: DataFrame, scatter: DataFrame, find: Find) -> None:
    errors = errors[errors["recipe"] == "last"]
    for factor in (1e-3, 1e3):  # all errors below it, all above it
        lines = find(plot(errors.assign(relative=factor * errors["relative"]), scatter), "target")
        assert len(lines) == 2
        for line in lines:
            assert set(line.get_ydata()) == {5.0}
            assert line.get_linestyle() == "--"
            low, high = line.axes.get_ylim()
            assert low < 5.0 < high
            assert line.axes.get_yscale() == "log"
    assert find(plot(errors, scatter, target=0.1), "target")[0].get_ydata()[0] == 10.0


def test_medians_are_written_with_the_number_of_seeds(
    errors: DataFrame, scatter: DataFrame, words: Callable[[Figure], str]
) -> None:
    text = words(plot(errors, scatter))
    assert "Nash-DQN accurate: all steps 40.0 %, median of 3 seeds" in text
    assert "Nash-DQN accurate: all steps 20.0 %, median of 3 seeds" in text  # in states the equilibrium visits
    assert "FP last: all steps 600 %, median of 3 seeds" in text
    one = plot(errors[errors["seed"] == 2], scatter)
    assert "Nash-DQN accurate: all steps 40.0 %, median of 1 seed" in words(one)


def test_actions_are_drawn_at_their_decision_point(errors: DataFrame, scatter: DataFrame, find: Find) -> None:
    figure = plot(errors, scatter)
    for at, (algorithm, recipe) in enumerate(order(errors)):
        rows = scatter[(scatter["algorithm"] == algorithm) & (scatter["recipe"] == recipe)]
        for column in range(STEPS):
            (axes,) = find(figure, f"actions-{at}-{column}")
            (points,) = (line for line in find(figure, "actions") if line.axes is axes)
            of_step = rows[rows["step"] == column]
            np.testing.assert_array_equal(points.get_xdata(), of_step["exact"])
            np.testing.assert_array_equal(points.get_ydata(), of_step["learned"])
            assert axes.get_xlim() == axes.get_ylim()
            assert axes.get_xlim()[1] > of_step[["exact", "learned"]].abs().to_numpy().max()
            assert axes.get_title(loc="left") == f"$m$ = {column}"
    assert not find(figure, "off-scale")


def test_of_many_decision_points_first_and_last_are_among_those_shown(find: Find) -> None:
    steps = [*map(str, range(10)), "all"]
    rows = [("lq", "nash_dqn", "a", 1, visitor, step, 0.1) for visitor in ("learned", "exact") for step in steps]
    points = [("lq", "nash_dqn", "a", 1, step, 1.0, 1.1) for step in range(10)]
    figure = plot(DataFrame(rows, columns=list(ERROR_COLUMNS)), DataFrame(points, columns=list(SCATTER_COLUMNS)))
    titles = [find(figure, f"actions-0-{column}")[0].get_title(loc="left") for column in range(5)]
    assert titles == ["$m$ = 0", "$m$ = 2", "$m$ = 4", "$m$ = 7", "$m$ = 9"]
    labels = [label.get_text() for label in find(figure, "errors-exact")[0].get_xticklabels()]
    assert labels == steps  # in the order of time, not of the alphabet


def test_seeds_that_are_not_finite_are_named_and_in_no_median(
    errors: DataFrame, scatter: DataFrame, find: Find, words: Callable[[Figure], str]
) -> None:
    lost = (errors["recipe"] == "accurate") & (errors["seed"] == 4) & (errors["step"] == "all")
    figure = plot(errors.assign(relative=errors["relative"].mask(lost)), scatter)
    text = words(figure)
    assert "Not drawn, as weights or actions are not finite: Nash-DQN accurate seed 4." in text
    assert "Nash-DQN accurate: all steps 30.0 %, median of 2 of 3 seeds" in text
    at = order(errors).index(("nash_dqn", "accurate"))
    assert len(find(figure, f"seed-{at}")) == 2 * 2
    (axes,) = find(figure, f"actions-{at}-0")
    (points,) = (line for line in find(figure, "actions") if line.axes is axes)
    assert len(points.get_xdata()) == 2 * 20
    assert "Not drawn" not in words(plot(errors, scatter))


def test_a_recipe_without_a_finite_seed_is_said_to_have_none(
    errors: DataFrame, scatter: DataFrame, words: Callable[[Figure], str]
) -> None:
    lost = errors["algorithm"] == "fictitious_play"
    rest = scatter[scatter["algorithm"] != "fictitious_play"]
    text = words(plot(errors.assign(relative=errors["relative"].mask(lost)), rest))
    assert "FP last: nothing finite, 0 of 3 seeds" in text
    assert "FP last seeds 1, 2, 4." in text


def test_a_seed_far_off_does_not_stretch_the_panels(
    errors: DataFrame, scatter: DataFrame, find: Find, words: Callable[[Figure], str]
) -> None:
    wild = (scatter["recipe"] == "paper") & (scatter["seed"] == 1) & (scatter["step"] == 3)
    figure = plot(errors, scatter.assign(learned=scatter["learned"].mask(wild, 1e6)))
    (text,) = find(figure, "off-scale")
    assert text.get_text() == "20 off scale"
    assert text.axes.get_gid() == f"actions-{order(errors).index(('nash_dqn', 'paper'))}-3"
    assert text.axes.get_xlim()[1] < 50


def test_nothing_is_cut_off(errors: DataFrame, scatter: DataFrame, overhang: Callable[[Figure], float]) -> None:
    lost = (errors["seed"] == 4) & (errors["step"] == "all")
    assert overhang(plot(errors.assign(relative=errors["relative"].mask(lost)), scatter)) <= 0
    one = (table[table["recipe"] == "last"] for table in (errors, scatter))
    assert overhang(plot(*one)) <= 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda e, s: (e.drop(columns="relative"), s), "lq_error: column relative is missing"),
        (lambda e, s: (e, s.drop(columns="learned")), "lq_scatter: column learned is missing"),
        (lambda e, s: (e, s[:0]), "lq_scatter: the table has no rows"),
        (lambda e, s: (e, s.assign(scenario="other")), "lq_scatter: scenario other is not that of lq_error, lq"),
        (lambda e, s: (e[e["step"] != "all"], s), "lq_error: step must be 0, 1, .. and all; found 0, 1, 2, 3"),
        (lambda e, s: (e[e["visited_by"] != "exact"], s), "visited_by must be learned and exact; found learned"),
        (lambda e, s: (e.assign(seed=1), s), "lq_error: more than one row with seed=1"),
        (lambda e, s: (e[1:], s), "lq_error: no row with seed="),
        (lambda e, s: (e.assign(algorithm="ppo"), s), "algorithm = 'ppo': allowed are nash_dqn, fictitious_play"),
    ],
)
def test_what_is_wrong_with_the_tables_is_said(
    errors: DataFrame,
    scatter: DataFrame,
    change: Callable[[DataFrame, DataFrame], tuple[DataFrame, DataFrame]],
    message: str,
) -> None:
    with pytest.raises(ValueError, match=message):
        plot(*change(errors, scatter))
