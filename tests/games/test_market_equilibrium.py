"""What is known of the linear market's equilibrium: by hand, in limits, from another implementation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nash_dqn.games.lq import FloatArray, LinearPolicies, NoEquilibriumError, evaluate_policies, solve_nash
from nash_dqn.games.market import Market

# Table 1 with the released code's kappa and sigma, linear impact and no price floor.
MARKET = Market(
    n_agents=5, horizon=5.0, n_steps=10, kappa=0.5, theta=10.0, sigma=0.1, gamma=0.02, rho=0.5, eta=0.05,
    b1=0.1, b2=0.1, b3=0.0, discount=1.0, impact="linear", price_floor=None,
)  # fmt: skip


def test_what_price_noise_is_worth_by_hand() -> None:
    """One agent without impact, two steps, from S = theta, Y = 0, q = 0.

    At kappa = 0 the price is a martingale and noise is worth nothing. At kappa > 0 the last rate is -K p at a
    price p off theta, with K = kappa dt / (2 (b1 + b2 dt)), and is worth (b1 + b2 dt) dt K^2 p^2.
    """
    market = replace(
        MARKET, n_agents=1, n_steps=2, horizon=1.0, impact="none", eta=0.0, rho=0.0, kappa=0.0,
        initial_inventory_var=0.0, initial_price_sd=0.0, initial_impact_sd=0.0,
    )  # fmt: skip
    game = market.as_lq()
    worth = solve_nash(game).values.expected(game.initial_mean, game.initial_covariance)
    assert worth == pytest.approx(0.0, abs=1e-15)
    game = replace(market, kappa=0.5).as_lq()
    dt, cost = 0.5, 0.1 + 0.1 * 0.5
    gain = 0.5 * dt / (2 * cost)
    policies, values = solve_nash(game)
    assert policies.gains[1, 0, 0] == pytest.approx(gain, rel=1e-13)
    worth = values.expected(game.initial_mean, game.initial_covariance)
    assert worth == pytest.approx(cost * dt * gain**2 * market.sigma**2 * dt, rel=1e-12)


# First row of K at the released code's and at Table 1's kappa and sigma, first and last step, as another
# implementation of the recursion gave it: price, transient impact, own inventory, each other's inventory.
KNOWN = {
    (0.5, 0.1): {0: (3.7555, 1.4183, 0.2308, 0.0680), 9: (2.7778, 2.4578, 0.6813, 0.1908)},
    (0.1, 0.01): {0: (1.6917, 3.1298, 0.3044, 0.1526), 9: (0.5556, 2.4578, 0.6813, 0.1908)},
}


@pytest.mark.parametrize("kappa, sigma", KNOWN)
def test_gains_of_the_five_agent_market(kappa: float, sigma: float) -> None:
    game = replace(MARKET, kappa=kappa, sigma=sigma).as_lq()
    policies, values = solve_nash(game)
    for m, (price, impact, own, other) in KNOWN[kappa, sigma].items():
        for i in range(5):
            expected = np.array([price, impact, *[other] * 5])
            expected[2 + i] = own
            np.testing.assert_allclose(policies.gains[m, i], expected, atol=5e-5)
    np.testing.assert_allclose(policies.offsets, 0.0, atol=1e-12)
    if kappa == 0.1:
        worth = values.expected(game.initial_mean, game.initial_covariance)
        np.testing.assert_allclose(worth, -2.05, atol=5e-3)


def test_last_step_by_hand() -> None:
    """One step is a static game: at S = theta, Y = 0, r_i = q'_i c v dt - b1 v_i^2 dt - b2 q'_i^2.

    With c = eta + gamma, v = sum_j v_j, q'_i = q_i + v_i dt its derivative in v_i, over dt, is
    c v dt + c q'_i - 2 b1 v_i - 2 b2 q'_i.
    """
    market = replace(MARKET, n_steps=1, horizon=0.5)
    gains = solve_nash(market.as_lq()).policies.gains[0, :, 2:]
    c, dt, b1, b2 = 0.07, 0.5, 0.1, 0.1
    rates = -gains @ np.diag([3.0, -1.0, 0.5, 2.0, 7.0])  # rates [i, j] when only agent j holds anything
    for j, held in enumerate([3.0, -1.0, 0.5, 2.0, 7.0]):
        after = held * (np.arange(5) == j) + rates[:, j] * dt
        slope = c * rates[:, j].sum() * dt + c * after - 2 * b1 * rates[:, j] - 2 * b2 * after
        np.testing.assert_allclose(slope, 0.0, atol=1e-14)


def liquidation_gains(market: Market) -> FloatArray:
    """b2 / (b1 + b2 time left) [M]: by (22) an agent whose trades move no price trades at a constant rate."""
    left = market.dt * np.arange(market.n_steps, 0, -1)
    return np.asarray(market.b2 / (market.b1 + market.b2 * left), dtype=np.float64)


def test_an_agent_without_impact_liquidates_at_a_constant_rate() -> None:
    """Almgren and Chriss, Optimal execution of portfolio transactions (2000), without risk aversion."""
    market = replace(MARKET, n_agents=1, eta=0.0, impact="none")
    gains = solve_nash(market.as_lq()).policies.gains[:, 0]
    np.testing.assert_allclose(gains[:, 2], liquidation_gains(market), rtol=1e-12)


def test_many_small_agents_approach_the_agent_without_impact_at_rate_1_over_n() -> None:
    """Impact eta / N and gamma / N an agent: the own-inventory gain nears its limit, log-log slope -1."""
    sizes = np.array([10, 20, 40, 80])
    distance = []
    for n in sizes:
        market = replace(MARKET, n_agents=int(n), eta=0.25 / n, gamma=0.1 / n)
        gains = solve_nash(market.as_lq()).policies.gains[:, 0, 2]
        distance.append(np.linalg.norm(gains - liquidation_gains(market)))
    slope = np.polyfit(np.log(sizes), np.log(distance), 1)[0]
    assert slope == pytest.approx(-1.0, abs=0.03)


def test_eight_agents_of_the_same_impact_have_no_equilibrium() -> None:
    """In the step before the last profit from the others' reaction grows with the square of one's rate."""
    market = replace(MARKET, n_agents=8)
    with pytest.raises(NoEquilibriumError, match="step 8, player 0: .*not strictly concave"):
        solve_nash(market.as_lq())
    last = solve_nash(replace(market, n_steps=1, horizon=0.5).as_lq()).policies
    game = replace(market, n_steps=2, horizon=1.0).as_lq()
    worth = []
    for rate in (-1.0, 0.0, 1.0):
        gains, offsets = np.zeros((2, 8, 10)), np.zeros((2, 8))
        gains[1], offsets[0, 0] = last.gains[0], rate
        worth.append(evaluate_policies(game, LinearPolicies(gains, offsets)).at(0, np.zeros(10))[0])
    assert worth[0] - 2 * worth[1] + worth[2] > 0.01
