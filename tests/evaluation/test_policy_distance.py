"""Fig. 2's grid and the distance of policies, on policies whose rates are known."""

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest

from nash_dqn.evaluation.policy_distance import COLUMNS, DISTANCE_COLUMNS, Grid, distance, evaluate
from nash_dqn.evaluation.rollout import trajectory
from nash_dqn.games.base import ObservationSpec
from nash_dqn.seeding import generator
from tests.common import MARKET, linear

GRID = Grid(prices=[9.5, 10.0], impacts=[-0.2, 0.0, 0.2], inventories=[-10.0, 0.0, 4.0, 10.0])
CODE_SPEC = ObservationSpec(price="S-Y", order_flow="others_mean", own_flow=True)
A = [[0.3, -1.0, 0.5, -0.7, -3.0], [-0.2, 0.4, 0.1, 0.3, -2.0], [0.1, 0.1, 0.2, 0.0, -1.0]]
B = [[0.1, 1.5, -0.4, 0.6, -1.0, 0.3], [0.2, -0.3, 0.7, -0.5, -4.0, 0.2], [0.1, 0.2, 0.3, 0.4, -2.0, -0.1]]


def test_rates_are_those_of_the_labelled_states() -> None:
    text = linear(A, policy="nash-text")
    code = linear(B, spec=CODE_SPEC, algorithm="fictitious_play", policy="fp-code")
    table = evaluate(MARKET, [text, code], GRID)
    assert tuple(table.columns) == COLUMNS
    assert len(table) == 2 * 3 * MARKET.n_steps * 2 * 3 * 4
    assert not table.duplicated(list(COLUMNS[:-1])).any()
    assert sorted(set(table["time"])) == [0.0, 0.5, 1.0, 1.5]
    assert set(zip(table["policy"], table["algorithm"], strict=True)) == {
        ("nash-text", "nash_dqn"),
        ("fp-code", "fictitious_play"),
    }
    scales = MARKET.scales
    time = 2 * table["time"] / MARKET.horizon - 1
    for algorithm, weights in (("nash_dqn", A), ("fictitious_play", B)):
        for k, w in enumerate(weights):
            # Like for like: the label is the price S for both, also where a policy is given S - Y.
            price = table["price"] - (table["impact"] if algorithm == "fictitious_play" else 0)
            expected = (
                w[0] * time
                + w[1] * (price - MARKET.theta) / scales.price
                + w[2] * table["impact"] / scales.impact
                + w[4] * table["inventory"] / scales.inventory
            )
            rows = (table["algorithm"] == algorithm) & (table["seed"] == k + 1)
            assert table[rows]["rate"].to_numpy() == pytest.approx(expected[rows].to_numpy(), abs=1e-4)


def test_no_order_has_flown_and_nobody_else_holds_anything() -> None:
    for feature, spec in (
        *((3, ObservationSpec(order_flow=flow, own_flow=True)) for flow in ("total", "others_mean")),
        (5, ObservationSpec(own_flow=True)),
        (5, ObservationSpec(inventories="visible")),  # the mean of the others' inventories
    ):
        weights = [0.0] * 6
        weights[feature] = 1.0
        assert (evaluate(MARKET, [linear([weights], spec=spec)], GRID)["rate"] == 0).all(), spec


def test_grid_from_its_configuration() -> None:
    settings = {"prices": [10], "impacts": [0], "inventory": {"low": -10, "high": 10, "points": 41}, "seed": 1}
    grid = Grid.from_dict(settings)
    assert grid.inventories == np.linspace(-10, 10, 41).tolist()
    with pytest.raises(ValueError, match="impacts is empty"):
        Grid([1.0], [], [1.0])


def test_distance_of_constant_policies() -> None:
    a = linear([[0.0] * 5] * 2, [3.0, 1.0], policy="a")
    b = linear([[0.0] * 5] * 2, [-1.0, 1.0], algorithm="self_play", policy="b")
    table = distance(MARKET, a, b, GRID, visited_episodes=4, seed=1)
    assert tuple(table.columns) == DISTANCE_COLUMNS
    keyed = table.set_index(["policy_a", "policy_b", "seed_a", "seed_b"])
    for index, rms, rms_a, rms_b in (
        (("a", "b", 1, 1), 4.0, 3.0, 1.0),
        (("a", "b", 2, 2), 0.0, 1.0, 1.0),
        (("a", "a", 1, 2), 2.0, 3.0, 1.0),
        (("b", "b", 1, 2), 2.0, 1.0, 1.0),
    ):
        rows = keyed.loc[[index]]
        assert rows["states"].tolist() == ["grid", "visited_a", "visited_b"]
        assert rows["rms"].to_numpy() == pytest.approx(rms)
        assert rows["rms_a"].to_numpy() == pytest.approx(rms_a)
        assert rows["rms_b"].to_numpy() == pytest.approx(rms_b)
        assert rows["relative"].to_numpy() == pytest.approx(rms / math.sqrt((rms_a**2 + rms_b**2) / 2))
    assert len(table) == 4 * 3
    algorithms = {"a": "nash_dqn", "b": "self_play"}
    for side in ("a", "b"):
        assert table[f"algorithm_{side}"].tolist() == table[f"policy_{side}"].map(algorithms).tolist()


def test_grid_distance_is_that_of_the_table() -> None:
    a, b = linear(A, policy="a"), linear(B, spec=CODE_SPEC, algorithm="fictitious_play", policy="b")
    rates = evaluate(MARKET, [a, b], GRID)
    wide = rates.pivot(index=["impact", "price", "time", "inventory"], columns=["algorithm", "seed"], values="rate")
    table = distance(MARKET, a, b, GRID, 2, seed=1)
    grid = table[table["states"] == "grid"].set_index(["policy_a", "policy_b", "seed_a", "seed_b"])
    for index, x, y in (
        (("a", "b", 2, 2), ("nash_dqn", 2), ("fictitious_play", 2)),
        (("b", "b", 1, 3), ("fictitious_play", 1), ("fictitious_play", 3)),
    ):
        expected = float(np.sqrt(((wide[x] - wide[y]) ** 2).mean()))
        assert grid.loc[index, "rms"] == pytest.approx(expected, rel=1e-5)
        assert grid.loc[index, "rms_b"] == pytest.approx(float(np.sqrt((wide[y] ** 2).mean())), rel=1e-5)


def test_visited_states_are_those_of_the_named_policy() -> None:
    a, b = linear(A[:1], policy="a"), linear(B[:1], spec=CODE_SPEC, policy="b")
    table = distance(MARKET, a, b, GRID, 8, seed=1).set_index("states")
    shocks = MARKET.sample_shocks(8, generator(1, "visited"))
    for states, player, other, own in (("visited_a", a, b, "rms_a"), ("visited_b", b, a, "rms_b")):
        visited = [step.state for step in trajectory(MARKET, [(player, slice(None))], shocks)]
        difference = [(player.act(MARKET, state) - other.act(MARKET, state)).numpy() for state in visited]
        rates = [player.act(MARKET, state).numpy() for state in visited]
        assert table.loc[states, "rms"] == pytest.approx(float(np.sqrt(np.mean(np.square(difference)))), rel=1e-5)
        assert table.loc[states, own] == pytest.approx(float(np.sqrt(np.mean(np.square(rates)))), rel=1e-5)


def test_which_trainings_are_compared() -> None:
    a, b = linear(A, policy="a"), linear(B, spec=CODE_SPEC, policy="b")
    table = distance(MARKET, a, dataclasses.replace(b.select([2, 0]), seeds=[3, 1]), GRID, 2, seed=1)
    whole = distance(MARKET, a, b, GRID, 2, seed=1)
    kept = whole[whole["seed_a"].isin([1, 3]) & whole["seed_b"].isin([1, 3])]
    pd.testing.assert_frame_equal(table, kept.reset_index(drop=True))
    with pytest.raises(ValueError, match="seeds are 1, 2, 3 and 8, 9: at least one must be the same"):
        distance(MARKET, a, dataclasses.replace(a.select([0, 1]), seeds=[8, 9]), GRID, 2, seed=1)
    with pytest.raises(ValueError, match="visited_episodes = 0"):
        distance(MARKET, a, b, GRID, 0, seed=1)
    # One training is compared with all and has no spread.
    idle = linear([[0.0] * 5], policy="b")
    table = distance(MARKET, a, idle, GRID, 2, seed=1)
    pairs = table[["policy_a", "policy_b", "seed_a", "seed_b"]].drop_duplicates().itertuples(index=False, name=None)
    within = [("a", "a", 1, 2), ("a", "a", 1, 3), ("a", "a", 2, 3)]
    assert list(pairs) == [("a", "b", 1, 1), ("a", "b", 2, 1), ("a", "b", 3, 1), *within]
    alone = distance(MARKET, a.member(1), idle, GRID, 2, seed=1)
    second = table[(table["policy_b"] == "b") & (table["seed_a"] == 2)]
    np.testing.assert_allclose(second["rms"], alone["rms"], rtol=1e-5)
    # Policies that never trade have no relative distance.
    still = distance(MARKET, idle, idle, GRID, 2, seed=1)
    assert (still["rms"] == 0).all() and still["relative"].isna().all()
