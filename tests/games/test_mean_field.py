"""Many traders: small problems against the full game, and the limit against consistency and against large N."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from nash_dqn.config import game_of
from nash_dqn.games import lq
from nash_dqn.games.catalogue import make
from nash_dqn.games.lq import LQGame, LQStep, NoEquilibriumError, solve_nash
from nash_dqn.games.market import Market
from nash_dqn.games.mean_field import (
    exploitability,
    mean_field_equilibrium,
    shared,
    symmetric_equilibrium,
    symmetric_profile,
)
from nash_dqn.seeding import generator
from tests.common import CONFIG, joint_policies
from tests.common import LINEAR as GENERAL

RELEASED: Any = make(**game_of(CONFIG, "lq_code"))
WITHOUT_IMPACT = replace(GENERAL, impact="none")


def test_sharing_among_more_keeps_the_total_impact_and_among_fewer_that_of_each() -> None:
    with pytest.raises(ValueError, match="n_agents = 0: allowed is an integer >= 1"):
        shared(RELEASED, 0)
    with pytest.raises(ValueError, match="n_agents = 1: allowed is an integer >= 2"):
        symmetric_equilibrium(shared(RELEASED, 1))
    with pytest.raises(ValueError, match="impact = 'sqrt'"):
        mean_field_equilibrium(replace(RELEASED, impact="sqrt"))
    market = shared(RELEASED, 20)
    assert market.n_agents == 20
    assert market.eta * 20 == pytest.approx(0.25, rel=1e-14) and market.gamma * 20 == pytest.approx(0.1, rel=1e-14)
    assert shared(RELEASED, 5) == RELEASED and shared(RELEASED, 2) == replace(RELEASED, n_agents=2)


@pytest.mark.parametrize(("market", "n"), [(GENERAL, 5), (WITHOUT_IMPACT, 2)])
def test_small_problem_is_the_full_game(market: Market, n: int) -> None:
    market = shared(market, n)
    game = market.as_lq()
    policies, values = solve_nash(game)
    gains, value = symmetric_equilibrium(market)
    np.testing.assert_allclose(joint_policies(gains, n).gains, policies.gains, atol=1e-11)
    np.testing.assert_allclose(value, values.expected(game.initial_mean, game.initial_covariance), rtol=1e-10)


def test_what_a_deviator_gains_is_what_the_full_game_says() -> None:
    """Of any symmetric profile, where noise matters too."""
    gains = np.random.default_rng(1).normal(scale=0.2, size=(4, 4))
    expected = lq.exploitability(GENERAL.as_lq(), joint_policies(gains, GENERAL.n_agents))
    np.testing.assert_allclose(exploitability(GENERAL, gains), expected, rtol=1e-9)


def test_unshared_impact_has_none_at_eight_agents() -> None:
    """The same step as the full game names, and an equilibrium at seven."""
    with pytest.raises(NoEquilibriumError, match="step 8, 8 agents: .*not strictly concave"):
        symmetric_equilibrium(replace(RELEASED, n_agents=8))
    with pytest.raises(NoEquilibriumError, match="step 8, player 0: .*not strictly concave"):
        solve_nash(replace(RELEASED, n_agents=8).as_lq())
    assert symmetric_equilibrium(replace(RELEASED, n_agents=7)).value == pytest.approx(71.5, abs=0.1)


def test_conditions_that_are_singular_together_are_named() -> None:
    """One step of section 6: v is undetermined where 2 b1 + 2 b2 h = (N + 1) c h, c = eta + gamma, or, in the limit,

    where 2 b1 + 2 b2 h = h N c. Here h = 1/2, b1 = b2 = 0.1 and N = 5.
    """
    one_step = replace(RELEASED, n_steps=1, horizon=0.5, gamma=0.0)
    with pytest.raises(NoEquilibriumError, match="step 0, 5 agents: the joint first-order conditions are singular"):
        symmetric_equilibrium(replace(one_step, eta=0.1))
    with pytest.raises(NoEquilibriumError, match="step 0: the mean rate that is consistent with itself is not unique"):
        mean_field_equilibrium(replace(one_step, eta=0.12))


@pytest.mark.parametrize("market", [GENERAL, WITHOUT_IMPACT])
def test_in_the_limit_the_best_answer_to_the_mean_is_the_mean(market: Market) -> None:
    """One trader's control problem against a mean that moves on its own, (p, Y, m, q), solved as any other.

    Built from the equations of section 6 alone; that its solution is the policy whose mean m follows is equilibrium.
    """
    gains = mean_field_equilibrium(market).gains
    dt, eta = market.dt, market.n_agents * market.eta
    gamma = market.n_agents * market.gamma if market.impact == "linear" else 0.0
    steps = []
    for m, (k_price, k_impact, k_own, k_mean) in enumerate(gains):
        mean_rate = -np.array([k_price, k_impact, k_own + k_mean, 0.0, 0.0, 0.0])  # of y = (p, Y, m, q, 1, u)
        price, impact, mean, own, _, rate = np.eye(6)
        new_impact = math.exp(-market.rho * dt) * impact + gamma * dt * mean_rate
        change = (-market.kappa * price + eta * mean_rate) * dt + new_impact - impact
        held = own + dt * rate
        forward = np.array([price + change, new_impact, mean + dt * mean_rate, held])
        paid = 0.5 * (np.outer(held, change) + np.outer(change, held)) - market.b1 * dt * np.outer(rate, rate)
        paid -= (market.b3 * dt + (market.b2 if m == market.n_steps - 1 else 0.0)) * np.outer(held, held)
        noise = np.array([[market.sigma * math.sqrt(dt)], [0.0], [0.0], [0.0]])
        steps.append(LQStep(forward[:, :4], forward[:, 5:], forward[:, 4], noise, paid[None]))
    spread = np.diag([market.price_sd**2, market.impact_sd**2, 0.0, market.initial_inventory_var])
    discount = np.array([float(market.discount)])
    game = LQGame((1,), tuple(steps), np.zeros((1, 5, 5)), discount, np.zeros(4), spread)
    policies, values = solve_nash(game)
    np.testing.assert_allclose(policies.gains[:, 0], gains[:, [0, 1, 3, 2]], rtol=1e-10, atol=1e-12)
    worth = values.expected(game.initial_mean, game.initial_covariance)[0]
    assert mean_field_equilibrium(market).value == pytest.approx(worth, rel=1e-10)


def test_limit_is_the_same_however_many_share_the_impact() -> None:
    limit = mean_field_equilibrium(RELEASED)
    for n in (7, 100, 1000):
        again = mean_field_equilibrium(shared(RELEASED, n))
        np.testing.assert_allclose(again.gains, limit.gains, rtol=1e-12)
        assert again.value == pytest.approx(limit.value, rel=1e-12)


def test_distance_to_the_limit_falls_as_1_over_n() -> None:
    """Gains and values at rate 1/N; what the limit's policy leaves to a deviator, of second order in that, 1/N^2."""
    market = GENERAL
    limit, sizes = mean_field_equilibrium(market), np.array([100, 200, 400, 800])
    finite = [symmetric_equilibrium(shared(market, int(n))) for n in sizes]
    gains = [np.linalg.norm(e.gains - limit.gains) for e in finite]
    values = [abs(e.value - limit.value) for e in finite]
    left = [exploitability(shared(market, int(n)), limit.gains) for n in sizes]
    for distance, rate in ((gains, -1.0), (values, -1.0), (left, -2.0)):
        slope = np.polyfit(np.log(sizes), np.log(distance), 1)[0]
        assert slope == pytest.approx(rate, abs=0.03)


def test_value_of_a_thousand_agents_is_their_mean_return() -> None:
    """In the market itself, where means over agents stand for most of the averaging."""
    game = shared(RELEASED, 1000)
    gains, value = symmetric_equilibrium(game)
    episodes = 500
    shocks = game.sample_shocks(episodes, generator(3, "mean_field")).map(torch.Tensor.double)
    state, total = game.reset(shocks), torch.zeros(episodes, dtype=torch.float64)
    act = symmetric_profile(game, gains)
    for _ in range(game.n_steps):
        actions = act(state)
        state, rewards = game.step(state, actions, shocks)
        total += rewards.mean(-1)
    assert abs(total.mean().item() - value) < 3.5 * total.std().item() / math.sqrt(episodes)
    assert total.std().item() / math.sqrt(episodes) < 0.02 * abs(value)


def test_symmetric_profile_acts_as_the_matrices_of_the_full_game() -> None:
    """u = -K z of each agent, against gains over the state of all of them."""
    market = GENERAL
    policies = solve_nash(market.as_lq()).policies
    act = symmetric_profile(market, symmetric_equilibrium(market).gains)
    shocks = market.sample_shocks(20, generator(4, "states"))
    state = market.reset(shocks)
    for m in range(market.n_steps):
        exact = policies.offsets[m] - market.state_vector(state).double().numpy() @ policies.gains[m].T
        np.testing.assert_allclose(act(state)[..., 0].numpy(), exact, atol=1e-5)  # states are in single precision
        state, _ = market.step(state, act(state).float(), shocks)
