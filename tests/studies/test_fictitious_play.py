"""Fictitious play by three learners, against a plain loop of its own, the exact equilibrium and a training."""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from nash_dqn.agents.fictitious_play import EpsilonGreedy, FictitiousPlayRecipe
from nash_dqn.config import load_yaml
from nash_dqn.evaluation.best_response import BestResponseSettings, DeviatorClass
from nash_dqn.games.base import VISIBLE, ObservationSpec
from nash_dqn.games.lq import FloatArray, solve_nash
from nash_dqn.games.market import Market
from nash_dqn.games.mean_field import symmetric_equilibrium
from nash_dqn.policy import Policy
from nash_dqn.seeding import generator
from nash_dqn.settings.measures import OutsideSettings
from nash_dqn.studies import outside_learners
from nash_dqn.studies.fictitious_play import (
    COLUMNS,
    OPPONENTS,
    Mean,
    Still,
    error_of,
    exact,
    linear_policy,
    of_ddpg,
    of_exact,
    of_gradients,
    of_td3,
    round_of,
)

SCENARIOS = load_yaml(Path(__file__).resolve().parents[2] / "config" / "config.yaml")["scenarios"]
TWINS = {name: Market(**SCENARIOS[name]) for name in ("lq_code", "lq_table1")}
SMALL = replace(TWINS["lq_code"], n_agents=3, n_steps=3, horizon=1.5, discount=0.9)
SETTINGS = BestResponseSettings(hidden=[8], iterations=80, episodes=32, learning_rate=0.05, restarts=1, seed=5)
RECIPE = FictitiousPlayRecipe(
    observation=VISIBLE, actor_hidden=[4], critic_hidden=[4], phi_hidden=[], iterations=3, first_epochs=20, epochs=10,
    episodes_per_epoch=5, learning_rate=0.01, weight_decay=0.0, target_rate=0.5,
    exploration=EpsilonGreedy(start=0.5, end=0.1), action_bound=50.0, opponents="last",
)  # fmt: skip


def plain_response(market: Market, others: FloatArray) -> FloatArray:
    """The best reply of agent 0, gains ``[M, N + 2]`` over (S - theta, Y, q), to others' ``[M, N - 1, N + 2]``.

    Equations (20) to (22) with linear impact written out, and the value's maximum over the agent's rate step by step: a
    quadratic through three points, one coefficient after another.
    """
    n, dt = market.n_agents, market.dt
    size = n + 2
    value, gains = np.zeros((size, size)), np.zeros((market.n_steps, size))
    for m in reversed(range(market.n_steps)):
        last = m == market.n_steps - 1

        def worth(x: FloatArray, u: float, m: int = m, last: bool = last, value: FloatArray = value) -> float:
            rates = np.concatenate([[u], -others[m] @ x])
            impact = math.exp(-market.rho * dt) * x[1] + market.gamma * dt * rates.sum()
            price = x[0] * (1 - market.kappa * dt) + market.eta * dt * rates.sum() + impact - x[1]
            held = x[2:] + dt * rates
            now = held[0] * (price - x[0]) - market.b1 * u * u * dt - market.b3 * held[0] ** 2 * dt
            now -= market.b2 * held[0] ** 2 * last
            after = np.concatenate([[price, impact], held])
            return float(now + market.discount * after @ value @ after)

        unit, zero = np.eye(size), np.zeros(size)
        curvature = 2 * worth(zero, 1.0)
        for a in range(size):  # d/du at u = 0 is linear in the state
            gains[m, a] = (worth(unit[a], 1.0) - worth(unit[a], -1.0)) / 2 / curvature
        best = [worth(unit[a], -gains[m, a]) for a in range(size)]
        value = np.diag(best)
        for a in range(size):
            for b in range(a):
                both = worth(unit[a] + unit[b], -(gains[m, a] + gains[m, b]))
                value[a, b] = value[b, a] = (both - best[a] - best[b]) / 2
    return gains


def others_of(gains: FloatArray) -> FloatArray:
    """The others' gains, where all follow agent 0's ``[M, N + 2]`` with their own inventory first."""
    rows = []
    for j in range(1, gains.shape[1] - 2):
        row = gains.copy()
        row[:, 2], row[:, 2 + j] = gains[:, 2 + j], gains[:, 2]
        rows.append(row)
    return np.stack(rows, 1)


def test_exact_responses_are_those_of_a_plain_loop() -> None:
    for opponents in OPPONENTS:
        past = [np.zeros((SMALL.n_steps, SMALL.n_agents + 2))]
        for _ in range(4):
            past.append(plain_response(SMALL, others_of(past[-1] if opponents == "last" else np.mean(past, 0))))
        for found, plain in zip(exact(SMALL, opponents, 4), past[1:], strict=True):
            np.testing.assert_allclose(found[:, :3], plain[:, :3], rtol=1e-9, atol=1e-12)
            np.testing.assert_allclose(found[:, 3], plain[:, 3:].sum(1), rtol=1e-9, atol=1e-12)


def test_it_is_geometric_against_the_last_and_slow_against_the_average() -> None:
    for market in TWINS.values():
        right = symmetric_equilibrium(market).gains
        errors = {of: np.array([np.abs(gains - right).max() for gains in exact(market, of, 40)]) for of in OPPONENTS}
        assert errors["last"][-1] < 1e-8
        np.testing.assert_allclose(errors["last"][5:] / errors["last"][4:-1], 0.61, atol=0.01)
        assert 0.3 < errors["average"][-1] < 0.5
        np.testing.assert_allclose(errors["average"][39] / errors["average"][19], 0.765, atol=0.02)  # about 1 / n^0.4


def test_exact_errors_are_shares_of_the_exact_action() -> None:
    table = of_exact(SMALL, 12, error_of(SMALL, 50, 3))
    assert list(table.columns) == list(COLUMNS) and len(table) == 2 * 2 * 12
    last = table[table["opponents"] == "last"].pivot(index="round", columns="measure", values="value")
    assert last["error"].is_monotonic_decreasing and last["error"].iloc[-1] < 0.01 * last["error"].iloc[0]


def test_a_linear_policy_plays_the_equilibrium_and_opponents_a_mean_with_no_trade_in_it() -> None:
    full, policy = solve_nash(SMALL.as_lq()).policies, linear_policy(SMALL, [symmetric_equilibrium(SMALL).gains])
    state = SMALL.reset(SMALL.sample_shocks(5, generator(1, "fictitious play")).map(lambda leaf: leaf.unsqueeze(0)))
    wanted = full.act(0, SMALL.state_vector(state).numpy())
    np.testing.assert_allclose(policy.act(SMALL, state)[..., 0], wanted, rtol=1e-3, atol=1e-5)
    mixed = replace(policy, network=Mean((Still(1), policy.network, policy.network)))
    torch.testing.assert_close(mixed.act(SMALL, state), 2 / 3 * policy.act(SMALL, state))


def test_gradient_responses_follow_exact_ones() -> None:
    """Of either opponents, the error is the exact response's to 0.05, and each training has its own random numbers."""
    measure = error_of(SMALL, 100, 3)
    table = of_gradients(SMALL, VISIBLE, ("same",), 2, 2, SETTINGS, "error", measure)
    assert list(table.columns) == list(COLUMNS) and len(table) == 2 * 2 * 2
    by = ["opponents", "measure", "round"]
    right = of_exact(SMALL, 2, measure).set_index(by)["value"]
    for place, rows in table.groupby(by):
        np.testing.assert_allclose(rows["value"], right[place], atol=0.05, err_msg=f"{place}")
        assert rows["value"].nunique() == 2


def test_measures_stand_with_their_round_and_training() -> None:
    few = replace(SETTINGS, iterations=2)
    classes: tuple[DeviatorClass, ...] = ("same", "memory")
    table = of_gradients(SMALL, ObservationSpec(), classes, 3, 2, few, "gain", lambda policy: range(len(policy.seeds)))
    assert list(table.columns) == list(COLUMNS) and set(table["sees"]) == set(classes)
    for _, rows in table.groupby(["sees", "opponents"]):
        wanted = [(n, k, 2 * (n - 1) + k - 1) for n in (1, 2, 3) for k in (1, 2)]
        assert [*rows[["round", "seed", "value"]].itertuples(index=False, name=None)] == wanted


def test_each_response_of_td3_meets_the_last_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody trades at first; no two responses share an environment's stream, which are those of seed, seed + 1, ..."""
    calls = []

    def answer(game: Market, others: Policy, learner: str, settings: OutsideSettings, seed: int) -> Policy:
        calls.append((others, seed))
        return linear_policy(game, [np.full((game.n_steps, 4), float(seed))])

    monkeypatch.setattr(outside_learners, "train", answer)
    settings = OutsideSettings(
        learners=["td3"], transitions=80, trainings=2, environments=4, action_bound=10.0, noise=1.0, seed=5
    )
    answered = iter(range(6))
    table = of_td3(SMALL, VISIBLE, 3, settings, "error", lambda policy: [float(next(answered))])
    rows = [*table[["seed", "round", "value"]].itertuples(index=False, name=None)]
    assert rows == [(1, 1, 0.0), (1, 2, 1.0), (1, 3, 2.0), (2, 1, 3.0), (2, 2, 4.0), (2, 3, 5.0)]
    assert list(table.columns) == list(COLUMNS) and set(table["learner"]) == {"td3"}
    assert [seed for _, seed in calls] == [5, 9, 13, 17, 21, 25]
    state = SMALL.reset(SMALL.sample_shocks(5, generator(1, "td3")).map(lambda leaf: leaf.unsqueeze(0)))
    plays = [others.act(SMALL, state) for others, _ in calls]
    for n, (actions, seed) in enumerate(zip(plays, [0, 5, 9, 0, 17, 21], strict=True)):
        wanted = linear_policy(SMALL, [np.full((SMALL.n_steps, 4), float(seed))]).act(SMALL, state)
        torch.testing.assert_close(actions, wanted, msg=f"response {n}")


def test_ddpg_by_round() -> None:
    """Only what a round returned counts, until a training diverged."""
    assert [round_of(RECIPE, of, 10) for of in (500, 1000, 1001, 1250, 1500, 2000)] == [None, 1, None, None, 2, 3]
    members = [{"seed": 7, "diverged": False, "transitions": 2000}, {"seed": 8, "diverged": True, "transitions": 1500}]
    record = {"config": {"recipe": asdict(RECIPE)}, "members": members}
    kept = [(7, 500, 9.0), (7, 1000, 3.0), (7, 2000, 2.0), (8, 1000, 4.0), (8, 1500, 5.0)]  # when it diverged
    found = of_ddpg(kept, record, 10, "gain")
    assert list(found.columns) == list(COLUMNS)
    rows = found[["round", "seed", "value"]].itertuples(index=False, name=None)
    np.testing.assert_equal([*rows], [(1, 7, 3.0), (1, 8, 4.0), (3, 7, 2.0), (3, 8, math.nan)])
    assert of_ddpg((), record, 10, "gain").empty
