"""Distances and rewards beside the reference, of policies for which they are known."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from nash_dqn.evaluation import reference
from nash_dqn.evaluation.rollout import Assignment, play
from nash_dqn.games.base import ObservationSpec
from nash_dqn.games.lq import FloatArray
from nash_dqn.games.market import Market, Shocks
from nash_dqn.seeding import generator
from tests.common import MARKET, linear

REFERENCE = [[0.3, -1.0, 0.5, -0.7, -3.0]]
TWO = [[0.1, 1.5, -0.4, 0.6, -1.0, 0.8], [0.2, -0.3, 0.7, -0.5, -4.0, -0.6]]
TWO_SPEC = ObservationSpec(price="S-Y", order_flow="others_mean", own_flow=True)
QUANTITIES = [
    *("distance", "relative_distance", "value", "reference_value"),
    *("policy_among_references", "reference_among_policies"),
]
GAINS = QUANTITIES[4:]


def one(table: pd.DataFrame, quantity: str, seed: int = 1) -> pd.Series:
    chosen = table[(table["quantity"] == quantity) & (table["seed"] == seed)]
    assert len(chosen) == 1
    return chosen.iloc[0]


def test_table_has_a_row_per_policy_member_and_quantity() -> None:
    named = linear(TWO, spec=TWO_SPEC, policy="nash-text")
    other = linear(REFERENCE, algorithm="fictitious_play", policy="fp-code")
    policies = [named, other]
    table = reference.evaluate(MARKET, policies, linear(REFERENCE), paths=10, visited_episodes=3, seed=5)
    assert tuple(table.columns) == reference.COLUMNS
    assert table["quantity"].tolist() == QUANTITIES * 3
    assert table["seed"].tolist() == [1] * 6 + [2] * 6 + [1] * 6
    assert table["algorithm"].tolist() == ["nash_dqn"] * 12 + ["fictitious_play"] * 6
    assert table["policy"].tolist() == ["nash-text"] * 12 + ["fp-code"] * 6
    assert table["n"].tolist() == [3, 3, 10, 10, 10, 10] * 3
    assert (table[["low", "high"]].isna().all(axis=1) == (table["n"] == 3)).all()


def test_the_reference_itself_has_no_distance_and_gains_nothing() -> None:
    table = reference.evaluate(MARKET, [linear(REFERENCE * 2)], linear(REFERENCE), 50, 20, seed=5)
    for seed in (1, 2):
        assert [one(table, quantity, seed)["mean"] for quantity in ("distance", "relative_distance")] == [0, 0]
        for quantity in GAINS:  # float32: the reference alone is evaluated in other batches than beside itself
            assert one(table, quantity, seed)[["mean", "low", "high"]].tolist() == pytest.approx([0] * 3, abs=1e-6)
        value, base = (one(table, name, seed)[["mean", "low", "high"]] for name in ("value", "reference_value"))
        assert value.tolist() == pytest.approx(base.tolist())


def test_distances_are_measured_where_the_reference_leads() -> None:
    """At a constant rate c, inventories are q_0 + c t at time t; a policy c + w q is w q away from it."""
    c, w, scale = 3.0, -2.0, MARKET.scales.inventory
    policy = linear([[0.0, 0.0, 0.0, 0.0, w], [0.0, 0.0, 0.0, 0.0, 3 * w]], [c, c])
    table = reference.evaluate(MARKET, [policy], linear([[0.0] * 5], [c]), 2, 300, seed=5)
    start = MARKET.sample_shocks(300, generator(5, "reference", "visited")).inventory.double().numpy()
    held = np.stack([start + c * m * MARKET.dt for m in range(MARKET.n_steps)])
    expected = abs(w) * math.sqrt(np.mean(held**2)) / scale
    assert one(table, "distance", 1)["mean"] == pytest.approx(expected, rel=1e-5)
    assert one(table, "distance", 2)["mean"] == pytest.approx(3 * expected, rel=1e-5)
    assert one(table, "relative_distance", 1)["mean"] == pytest.approx(expected / c, rel=1e-5)


def alone(game: Market, assignments: list[Assignment], shocks: Shocks) -> FloatArray:
    """Agent 1's total rewards, one path at a time."""
    paths = (Shocks(*(leaf[e : e + 1] for leaf in shocks)) for e in range(len(shocks.price)))
    return np.array([float(play(game, assignments, path)[0, 0, 0]) for path in paths])


def test_rewards_are_those_of_single_plays() -> None:
    policies, base = linear(TWO, spec=TWO_SPEC), linear(REFERENCE)
    table = reference.evaluate(MARKET, [policies], base, 30, 2, seed=5)
    shocks = MARKET.sample_shocks(30, generator(5, "reference", "paths"))
    other = alone(MARKET, [(base, slice(None))], shocks)
    for k, policy in enumerate(map(policies.member, (0, 1))):
        value = alone(MARKET, [(policy, slice(None))], shocks)
        expected = {
            "value": value,
            "reference_value": other,
            "policy_among_references": alone(MARKET, [(policy, [0]), (base, [1, 2])], shocks) - other,
            "reference_among_policies": alone(MARKET, [(base, [0]), (policy, [1, 2])], shocks) - value,
        }
        for quantity, rewards in expected.items():
            half = stats.t.ppf(0.975, 29) * rewards.std(ddof=1) / math.sqrt(30)
            numbers = (rewards.mean(), rewards.mean() - half, rewards.mean() + half)
            row = one(table, quantity, k + 1)
            assert row[["mean", "low", "high"]].tolist() == pytest.approx(numbers, rel=1e-4, abs=1e-4)
            assert half > 1e-2  # far above the tolerance


def test_a_member_that_diverged_has_empty_numbers_and_harms_no_other() -> None:
    sound = [0.1, 1.5, -0.4, 0.6, -1.0]
    lone = reference.evaluate(MARKET, [linear([sound])], linear(REFERENCE), 10, 3, seed=5)
    for bad in (math.nan, 1e30):
        table = reference.evaluate(MARKET, [linear([sound, [bad] * 5])], linear(REFERENCE), 10, 3, seed=5)
        pd.testing.assert_frame_equal(table[table["seed"] == 1], lone, check_exact=False, rtol=1e-4)
        for quantity in ("value", *GAINS):
            assert one(table, quantity, 2)[["mean", "low", "high"]].isna().all()
            assert one(table, quantity, 2)["n"] == 10
        assert one(table, "reference_value", 2)["mean"] == pytest.approx(one(lone, "reference_value")["mean"])
        for quantity in ("distance", "relative_distance"):
            mean = one(table, quantity, 2)["mean"]
            assert math.isnan(mean) if not math.isfinite(bad) else mean > 1e28


def test_what_cannot_be_measured() -> None:
    with pytest.raises(ValueError, match="^reference has 2 members: allowed is one$"):
        reference.evaluate(MARKET, [linear(REFERENCE)], linear(REFERENCE * 2), 10, 3, seed=5)
    with pytest.raises(ValueError, match="^paths = 1, visited_episodes = 3: at least 2 and 1 are needed$"):
        reference.evaluate(MARKET, [linear(REFERENCE)], linear(REFERENCE), 1, 3, seed=5)
