"""Errors against the exact equilibrium, of policies whose error is known."""

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nash_dqn.artifacts import read_table, write_csv
from nash_dqn.evaluation import lq_error
from nash_dqn.games.lq import FloatArray, LinearPolicies, NoEquilibriumError, exploitability, solve_nash, state_moments
from nash_dqn.games.market import Market
from nash_dqn.policy import Policy
from tests.common import MARKET, linear, playing


@pytest.fixture
def game() -> Market:
    """The market of these tests with linear impact and no floor; three agents, four steps."""
    return dataclasses.replace(MARKET, impact="linear", price_floor=None)


def exactly(
    game: Market, factors: Sequence[float], biases: Sequence[Sequence[float]] | None = None, name: str = "x"
) -> Policy:
    """Members that play ``factor`` times the equilibrium's action, plus a bias for each step."""
    gains = solve_nash(game.as_lq()).policies.gains[:, 0]  # of agent 0; by symmetry everybody's
    return playing(game, [factor * gains for factor in factors], biases, policy=name)


def column(table: pd.DataFrame, name: str, visited_by: str = "learned", seed: int = 1) -> FloatArray:
    """A column's values at steps 0, .., M - 1 and over all of them."""
    rows = table[(table["visited_by"] == visited_by) & (table["seed"] == seed)]
    return np.asarray(rows[name], dtype=np.float64)


def test_the_equilibrium_itself_has_no_error_in_a_row_per_policy_seed_visitor_and_step(
    game: Market, tmp_path: Path
) -> None:
    policies = [exactly(game, [1.0, 1.0], name="a"), linear([[0.0] * 5], algorithm="fictitious_play", policy="b")]
    table = lq_error.evaluate(game, policies, episodes=20, seed=7)
    assert tuple(table.columns) == lq_error.COLUMNS
    assert len(table) == (2 + 1) * 2 * (4 + 1)
    assert not table.duplicated(["policy", "algorithm", "seed", "visited_by", "step"]).any()
    assert table["step"].tolist() == ["0", "1", "2", "3", "all"] * 6
    exact, still = (table[table["policy"] == name] for name in ("a", "b"))
    assert exact["relative"].max() < 1e-5  # float32 against float64
    assert exact["rms_exact"].min() > 1.0
    assert (still["relative"] == 1.0).all()  # who never trades misses everything
    write_csv(tmp_path / "table.csv", table)
    assert read_table(tmp_path / "table.csv", lq_error.COLUMNS)["step"].tolist() == table["step"].tolist()


def test_a_tenth_too_much_is_an_error_of_a_tenth_where_it_leads(game: Market) -> None:
    """What the exact action would be there follows from the exact moments of the states that the profile visits."""
    table = lq_error.evaluate(game, [exactly(game, [1.0, 1.1])], episodes=20_000, seed=7)
    exact, sizes = solve_nash(game.as_lq()).policies, []
    for visited_by, factor in (("learned", 1.1), ("exact", 1.0)):
        moments = state_moments(game.as_lq(), LinearPolicies(factor * exact.gains, factor * exact.offsets))
        second = moments.covariance + moments.mean[:, :, None] * moments.mean[:, None, :]
        square = [np.mean(np.diag(exact.gains[m] @ second[m] @ exact.gains[m].T)) for m in range(4)]
        sizes.append(np.sqrt([*square, np.mean(square)]))
        np.testing.assert_allclose(column(table, "rms_exact", visited_by, seed=2), sizes[-1], rtol=0.02)
        np.testing.assert_allclose(column(table, "rms_error", visited_by, seed=2), 0.1 * sizes[-1], rtol=0.02)
        np.testing.assert_allclose(column(table, "relative", visited_by, seed=2), 0.1, rtol=1e-4)
    assert (np.abs(sizes[0][1:4] / sizes[1][1:4] - 1) > 0.03).all()  # the two kinds of states do differ


def test_everybody_starts_from_the_same_states(game: Market) -> None:
    policies = [exactly(game, [1.0, 1.0, 0.5], name="a"), exactly(game, [2.0], name="b")]
    table = lq_error.evaluate(game, policies, episodes=20, seed=7)
    assert table.loc[table["step"] == "0", "rms_exact"].nunique() == 1
    by_exact = table[table["visited_by"] == "exact"]
    assert (by_exact.groupby("step")["rms_exact"].nunique() == 1).all()
    twins = [column(table[table["policy"] == "a"], "rms_exact", seed=seed) for seed in (1, 2, 3)]
    np.testing.assert_array_equal(twins[0], twins[1])
    assert (twins[2][1:] != twins[0][1:]).all()


def test_a_member_that_is_not_finite_has_empty_numbers(game: Market) -> None:
    good, both = exactly(game, [0.9]), exactly(game, [1.0, 0.9])
    both.network.parameters[1][0] = math.nan
    table = lq_error.evaluate(game, [both], episodes=20, seed=7)
    alone = lq_error.evaluate(game, [good], episodes=20, seed=7)
    for visited_by in lq_error.VISITED_BY:
        for name in ("rms_error", "rms_exact", "relative"):
            assert np.isnan(column(table, name, visited_by, seed=1)).all()
            np.testing.assert_allclose(
                column(table, name, visited_by, seed=2), column(alone, name, visited_by), rtol=1e-5
            )
    assert set(lq_error.scatter(game, [both], episodes=5, seed=7)["seed"]) == {2}


def test_clipping_does_not_hide_weights_that_are_not_finite_nor_an_overflow(game: Market) -> None:
    clipped = linear([[0.0, 0.0, 0.0, 0.0, 1.0]], [math.inf], bound=50.0)
    assert lq_error.evaluate(game, [clipped], episodes=5, seed=7)["rms_error"].isna().all()
    assert lq_error.scatter(game, [clipped], episodes=5, seed=7).empty
    table = lq_error.evaluate(game, [linear([[0.0, 0.0, 0.0, 0.0, 1e25]])], episodes=5, seed=7)
    assert column(table, "rms_error")[0] > 1e24
    assert np.isnan(column(table, "rms_error")[-1])
    still = dataclasses.replace(game, sigma=0.0, initial_inventory_var=0.0, initial_price_sd=0.0, initial_impact_sd=0.0)
    table = lq_error.evaluate(still, [linear([[0.0] * 5], [0.25])], episodes=5, seed=7)
    assert (column(table, "rms_error", "exact") == 0.25).all()
    assert np.isnan(column(table, "relative", "exact")).all()  # the equilibrium does not trade


def test_what_cannot_be_compared(game: Market) -> None:
    policies = [linear([[0.0] * 5])]
    many = dataclasses.replace(
        game, n_agents=8, horizon=5.0, n_steps=10, rho=0.5, b1=0.1, b2=0.1, b3=0.0, discount=1.0
    )  # Table 1 with more agents of the same impact
    with pytest.raises(NoEquilibriumError, match=r"^Market of n_agents = 8: no exact .*not strictly concave"):
        lq_error.evaluate(many, policies, episodes=1, seed=7)
    with pytest.raises(ValueError, match="impact = 'sqrt'"):
        lq_error.evaluate(MARKET, policies, episodes=1, seed=7)
    with pytest.raises(ValueError, match="episodes = 0: at least 1"):
        lq_error.evaluate(game, policies, episodes=0, seed=7)


def test_what_an_error_costs_is_of_second_order(game: Market) -> None:
    """Also in docs/ground_truth.md: what an agent gains if everybody plays f times the equilibrium's gains."""
    factors = 0.95, 1.05, 0.90, 1.10, 1.20, 1.40
    for kappa, sigma, costs in (
        (0.1, 0.01, (0.0025, 0.0023, 0.0106, 0.0090, 0.034, 0.124)),
        (0.5, 0.1, (0.0023, 0.0021, 0.0098, 0.0081, 0.030, 0.108)),
    ):
        table1 = dataclasses.replace(
            game, n_agents=5, horizon=5.0, n_steps=10, kappa=kappa, sigma=sigma, rho=0.5, b1=0.1, b2=0.1, b3=0.0,
            discount=1.0, initial_price_sd=None, initial_impact_sd=None,
        )  # fmt: skip
        lq = table1.as_lq()
        exact = solve_nash(lq).policies
        gains = [exploitability(lq, LinearPolicies(f * exact.gains, exact.offsets))[0] for f in factors]
        np.testing.assert_allclose(gains, costs, rtol=0.03)
        assert gains[2] + gains[3] == pytest.approx(4 * (gains[0] + gains[1]), rel=0.02)


def test_scatter_is_a_sample_of_what_is_measured(game: Market) -> None:
    policies = [exactly(game, [1.0, 0.7], [[0.0] * 4, [0.3, 0.0, -0.4, 1.2]])]
    episodes = lq_error.SCATTER_POINTS // game.n_agents  # every action of every episode
    points = lq_error.scatter(game, policies, episodes, seed=7)
    assert tuple(points.columns) == lq_error.SCATTER_COLUMNS
    assert (points.groupby(["seed", "step"]).size() == episodes * game.n_agents).all()
    assert len(points) == 2 * 4 * episodes * game.n_agents
    table = lq_error.evaluate(game, policies, episodes, seed=7)
    squares = ((points["learned"] - points["exact"]) ** 2).groupby([points["seed"], points["step"]]).mean()
    for seed in (1, 2):
        np.testing.assert_allclose(squares[seed] ** 0.5, column(table, "rms_error", seed=seed)[:4], atol=2e-4)
    # A bias is the error, and steps are pooled by squares: 0.65^2 = (0.09 + 0.16 + 1.44) / 4.
    biased = lq_error.evaluate(game, [exactly(game, [1.0], [[0.3, 0.0, -0.4, 1.2]])], 50, seed=7)
    for visited_by in lq_error.VISITED_BY:
        errors = column(biased, "rms_error", visited_by)
        np.testing.assert_allclose(errors, [0.3, 0.0, 0.4, 1.2, 0.65], atol=1e-4)
        np.testing.assert_allclose(
            column(biased, "relative", visited_by), errors / column(biased, "rms_exact", visited_by)
        )


def test_scatter_takes_the_same_agents_of_every_seed(game: Market) -> None:
    policies = [exactly(game, [1.0, 1.0, 0.5])]
    points = lq_error.scatter(game, policies, episodes=500, seed=7)
    assert (points.groupby(["seed", "step"]).size() == lq_error.SCATTER_POINTS).all()
    first = points["step"] == 0
    start = [points[first & (points["seed"] == seed)]["exact"].to_numpy() for seed in (1, 3)]
    np.testing.assert_array_equal(*start)
