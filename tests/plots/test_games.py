"""The figure of games with known answers shows each game's actions and errors, by group and algorithm."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from pandas import DataFrame

from nash_dqn.plots.games import plot

Find = Callable[[Figure, str], list[Any]]
STEPS = ("0", "1", "2", "all")


@pytest.fixture
def errors() -> DataFrame:
    """Nash-DQN's error is 1 % a seed number, fictitious play's ten times that; twice in the second group."""
    rows = [
        (game, group, algorithm, "lq", seed, visited_by, step, group * factor * 0.01 * seed)
        for game, groups in (("traders", (1, 2)), ("interbank", (1,)))
        for group in groups
        for algorithm, factor in (("nash_dqn", 1), ("fictitious_play", 10))
        for seed in (1, 2, 3)
        for visited_by in ("learned", "exact")
        for step in STEPS
    ]
    names = ["scenario", "group", "algorithm", "recipe", "seed", "visited_by", "step", "relative"]
    return DataFrame(rows, columns=names)


@pytest.fixture
def scatter() -> DataFrame:
    rows = [
        (game, group, algorithm, "lq", 1, 0, exact, exact + (0 if algorithm == "nash_dqn" else 5))
        for game, group in (("traders", 1), ("traders", 2), ("interbank", 1))
        for algorithm in ("nash_dqn", "fictitious_play")
        for exact in (-1.0, 0.0, float(group))
    ]
    names = ["scenario", "group", "algorithm", "recipe", "seed", "step", "exact", "learned"]
    return DataFrame(rows, columns=names)


def test_medians_by_group_and_algorithm(errors: DataFrame, scatter: DataFrame, find: Find) -> None:
    figure = plot(errors, scatter)
    assert len(figure.axes) == 4
    first, second = find(figure, "nash_dqn 1")
    assert [line.axes for line in (first, second)] == [figure.axes[1], figure.axes[3]]
    np.testing.assert_allclose(first.get_ydata(), [2, 2, 2])
    np.testing.assert_allclose(find(figure, "fictitious_play 2")[0].get_ydata(), [40, 40, 40])
    assert len(find(figure, "nash_dqn 2")) == 1


def test_actions_are_nash_dqns(errors: DataFrame, scatter: DataFrame) -> None:
    figure = plot(errors, scatter)
    ones, twos, _ = figure.axes[0].lines
    np.testing.assert_array_equal(ones.get_ydata(), [-1, 0, 1])
    np.testing.assert_array_equal(twos.get_ydata(), [-1, 0, 2])


def test_steps_are_in_order_beyond_nine(errors: DataFrame, scatter: DataFrame, find: Find) -> None:
    """A table read back from a file has steps as text."""
    one = errors[(errors["scenario"] == "interbank") & (errors["step"] == "0")]
    many = [one.assign(step=str(m), relative=0.01 * (m + 1)) for m in range(12)]
    table = DataFrame({key: np.concatenate([part[key] for part in many] + [one[key]]) for key in errors.columns})
    table.loc[12 * len(one) :, "step"] = "all"
    figure = plot(table, scatter[scatter["scenario"] == "interbank"])
    np.testing.assert_allclose(find(figure, "nash_dqn 1")[0].get_ydata(), np.arange(1, 13))


def test_seeds_without_numbers_are_counted(
    errors: DataFrame, scatter: DataFrame, find: Find, words: Callable[[Figure], str]
) -> None:
    lost = (errors["scenario"] == "traders") & (errors["algorithm"] == "fictitious_play") & (errors["seed"] == 2)
    figure = plot(errors.assign(relative=errors["relative"].mask(lost)), scatter)
    assert "(b) traders: error; 1 of 3 seeds of FP diverged" in words(figure)
    np.testing.assert_allclose(find(figure, "fictitious_play 1")[0].get_ydata(), [20, 20, 20])
    assert "diverged" not in words(plot(errors, scatter))


def test_nothing_is_clipped(errors: DataFrame, scatter: DataFrame, overhang: Callable[[Figure], float]) -> None:
    assert overhang(plot(errors, scatter)) < 0


def test_what_cannot_be_drawn(errors: DataFrame, scatter: DataFrame) -> None:
    with pytest.raises(ValueError, match="lq_error: column group is missing"):
        plot(errors.drop(columns="group"), scatter)
    with pytest.raises(ValueError, match="lq_scatter: its games are not those of lq_error, traders"):
        plot(errors[errors["scenario"] == "traders"], scatter)
    with pytest.raises(ValueError, match="4 groups, and there are 3 colours"):
        plot(errors.assign(group=np.arange(len(errors)) % 4), scatter)
    with pytest.raises(ValueError, match="recipe must be the same in every row"):
        plot(errors.assign(recipe=[f"r{k % 2}" for k in range(len(errors))]), scatter)
