"""More and more players: the way to the limit, and what training costs."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from nash_dqn.agents.nash_dqn import NashDQNRecipe
from nash_dqn.config import load_yaml, training_settings, validate
from nash_dqn.games.lq import LinearPolicies, evaluate_policies, exploitability, solve_nash
from nash_dqn.games.market import Market
from nash_dqn.games.mean_field import mean_field_equilibrium, shared
from nash_dqn.studies.many_players import LIMIT_COLUMNS, limit, training_cost
from tests.common import joint_policies

CONFIG = validate(load_yaml(Path(__file__).resolve().parents[2] / "config" / "config.yaml"))
TRAINING = training_settings(CONFIG, "lq_code", "nash-many")
MARKET = Market(**TRAINING["game"]["settings"])


def test_finite_games_against_the_full_solution() -> None:
    """Values, gains and best responses of three agents, from matrices of the state of all of them."""
    table = limit(MARKET, [3])
    assert tuple(table.columns) == LIMIT_COLUMNS
    row = table.iloc[0]
    full = shared(MARKET, 3).as_lq()
    policies: LinearPolicies = solve_nash(full).policies
    at_limit = mean_field_equilibrium(MARKET)
    of_limit = joint_policies(at_limit.gains, 3)
    value = evaluate_policies(full, policies).expected(full.initial_mean, full.initial_covariance)[0]
    assert row["value"] == pytest.approx(value, rel=1e-9)
    assert row["value_limit"] == at_limit.value
    assert row["left"] == pytest.approx(exploitability(full, of_limit)[0], rel=1e-6)
    # Gains over (p, Y, q_1, mean of the others' q), from those over all inventories.
    own = np.concatenate([policies.gains[:, 0, :3], 2 * policies.gains[:, 0, 3:4]], 1)
    distance = np.sqrt(((own - at_limit.gains) ** 2).sum() / (at_limit.gains**2).sum())
    assert row["distance"] == pytest.approx(distance, rel=1e-9)


def test_rates_to_the_limit() -> None:
    """An O(1/N) game leaves its limit's policy an O(1/N^2) deviation."""
    table = limit(MARKET, [500, 1000])
    ratio = table.iloc[0] / table.iloc[1]
    assert ratio["distance"] == pytest.approx(2, rel=0.01)
    assert ratio["left"] == pytest.approx(4, rel=0.02)


def test_cost_of_training() -> None:
    small = {"episodes_per_iteration": 2, "minibatch_episodes": 2, "replay_episodes": 2}
    recipe = NashDQNRecipe.from_dict({**TRAINING["recipe"], **small})
    rows = training_cost([shared(MARKET, count) for count in (2, 4)], recipe, 2)
    assert [row["agents"] for row in rows] == [2, 4]
    assert rows[0]["parameters"] == rows[1]["parameters"] > 1000
    assert all(0 < row["fastest_ms"] <= row["median_ms"] for row in rows)
    assert 100 < rows[0]["peak_memory_mib"] <= rows[1]["peak_memory_mib"] < 100_000
    with pytest.raises(ValueError, match="makes the market linear-quadratic"):
        limit(dataclasses.replace(MARKET, impact="sqrt"), [2])
