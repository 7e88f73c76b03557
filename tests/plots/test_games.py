"""The figure of games with known answers shows each game's actions and errors, by group and algorithm."""

import numpy as np
import pytest
from pandas import DataFrame, concat

from nash_dqn.evaluation.statistics import tidy
from nash_dqn.plots.games import plot
from tests.plots.looking import fits, series

STEPS = ("0", "1", "2", "all")


@pytest.fixture
def errors() -> DataFrame:
    """Nash-DQN's error is 1 % a seed number, fictitious play's ten times that; twice in the second group."""
    names = {"scenario": ["traders", "interbank"], "algorithm": ["nash_dqn", "fictitious_play"]}
    table = tidy({**names, "group": [1, 2], "seed": [1, 2, 3], "visited_by": ["learned", "exact"], "step": STEPS})
    factor = table["algorithm"].map({"nash_dqn": 0.01, "fictitious_play": 0.1})
    table = table.assign(policy=table["algorithm"], relative=table["group"] * table["seed"] * factor)
    return table[(table["scenario"] == "traders") | (table["group"] == 1)]


@pytest.fixture
def scatter() -> DataFrame:
    rows = [
        (game, algorithm, algorithm, group, 1, 0, exact, exact + (0 if algorithm == "nash_dqn" else 5))
        for game, group in (("traders", 1), ("traders", 2), ("interbank", 1))
        for algorithm in ("nash_dqn", "fictitious_play")
        for exact in (-1.0, 0.0, float(group))
    ]
    names = ["scenario", "policy", "algorithm", "group", "seed", "step", "exact", "learned"]
    return DataFrame(rows, columns=names)


def test_actions_of_nash_dqn_and_medians_by_group_and_algorithm(errors: DataFrame, scatter: DataFrame) -> None:
    figure = plot(errors, scatter)
    _, twos, _, ones = figure.axes[0].lines  # the first group on top, each with the diagonal
    np.testing.assert_array_equal(ones.get_ydata(), [-1, 0, 1])
    np.testing.assert_array_equal(twos.get_ydata(), [-1, 0, 2])
    for axes, game, groups in ((figure.axes[1], "traders", (1, 2)), (figure.axes[3], "interbank", (1,))):
        for group in groups:
            for name, percent in (("Nash-DQN", 2), ("FP", 20)):
                (median,) = series(axes, f"{game}, group {group}, {name}, median of 3 of 3 seeds")
                np.testing.assert_allclose(median[:, 1], [percent * group] * 3)
    assert fits(figure)


def test_steps_are_in_order_beyond_nine(errors: DataFrame, scatter: DataFrame) -> None:
    """A table read back from a file has steps as text."""
    one = errors[(errors["scenario"] == "interbank") & (errors["step"] == "0")]
    parts = [one.assign(step=str(m), relative=0.01 * (m + 1)) for m in range(12)] + [one.assign(step="all")]
    figure = plot(concat(parts), scatter[scatter["scenario"] == "interbank"])
    (median,) = series(figure.axes[1], "interbank, group 1, Nash-DQN, median of 3 of 3 seeds")
    np.testing.assert_allclose(median[:, 1], np.arange(1, 13))


def test_what_cannot_be_drawn(errors: DataFrame, scatter: DataFrame) -> None:
    with pytest.raises(ValueError, match="lq_scatter: scenario = 'interbank': allowed are traders"):
        plot(errors[errors["scenario"] == "traders"], scatter)
    with pytest.raises(ValueError, match="4 groups, and there are 3 colours"):
        plot(errors.assign(group=np.arange(len(errors)) % 4), scatter)
    with pytest.raises(ValueError, match="policy must be the same in every row"):
        plot(errors.assign(policy=[f"r{k % 2}" for k in range(len(errors))]), scatter)
