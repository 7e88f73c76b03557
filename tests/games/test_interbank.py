"""Interbank lending: the equilibrium of Carmona, Fouque and Sun (2015), in continuous time and step by step."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from nash_dqn.games.interbank import Interbank, continuous_gain
from nash_dqn.games.lq import FloatArray, solve_nash
from nash_dqn.seeding import generator

GENERAL = Interbank(n_agents=3, horizon=0.8, n_steps=4, a=0.7, q=0.9, epsilon=3.0, c=1.3, sigma=0.6, rho=0.3)


def exact_gain(game: Interbank) -> FloatArray:
    """k [M] of u_i = k (Xbar - X_i), from the matrix solution, which must be of that form."""
    n = game.n_agents
    gains = solve_nash(game.as_lq()).policies.gains
    k = gains[:, 0, 0] / (1 - 1 / n)
    np.testing.assert_allclose(gains, k[:, None, None] * (np.eye(n) - 1 / n), atol=1e-12)
    return np.asarray(k)


@pytest.mark.parametrize("step", [0, 3])
def test_one_step_in_plain_python(step: int) -> None:
    shocks = GENERAL.sample_shocks(1, generator(1, "interbank")).map(lambda leaf: leaf[0].double())
    state = GENERAL.reset(shocks)._replace(step=step)
    u = [0.5, -1.0, 2.0]
    after, rewards = GENERAL.step(state, torch.tensor(u, dtype=torch.float64).unsqueeze(-1), shocks)
    x = state.reserves.tolist()
    mean, new = sum(x) / 3, []
    for i in range(3):
        noise = 0.3 * shocks.noise[step, 0].item() + math.sqrt(0.91) * shocks.noise[step, 1 + i].item()
        new.append(x[i] + 0.2 * (0.7 * (mean - x[i]) + u[i]) + 0.6 * math.sqrt(0.2) * noise)
    assert after.reserves.tolist() == pytest.approx(new, abs=1e-12)
    for i in range(3):
        cost = 0.2 * (u[i] ** 2 / 2 - 0.9 * u[i] * (mean - x[i]) + 1.5 * (mean - x[i]) ** 2)
        cost += 0.65 * (sum(new) / 3 - new[i]) ** 2 if step == 3 else 0.0
        assert rewards[i].item() == pytest.approx(-cost, abs=1e-12)


@pytest.mark.parametrize("game", [GENERAL, Interbank(n_agents=4, a=0.0, q=0.0, epsilon=0.0, c=2.0)])
def test_closed_form_solves_the_riccati_equation(game: Interbank) -> None:
    """Also where there is neither pull nor excess cost, and the form is another.

    eta' = 2 (a + q) eta + (1 - 1/N^2) eta^2 - (epsilon - q^2), eta_T = c, integrated numerically."""
    n, left = game.n_agents, np.linspace(0.0, game.horizon, 21)

    def against_time(_: float, eta: FloatArray) -> FloatArray:
        slope = 2 * (game.a + game.q) * eta + (1 - 1 / n**2) * eta**2 - (game.epsilon - game.q**2)
        return -slope

    eta = solve_ivp(against_time, (0, game.horizon), [game.c], t_eval=left, rtol=1e-11, atol=1e-13).y[0]
    expected = game.q + (1 - 1 / n) * eta
    np.testing.assert_allclose(continuous_gain(game, game.horizon - left), expected, rtol=1e-8)


def test_matrix_solution_is_the_scalar_recursion() -> None:
    """With V' = -(eta' z^2 / 2 + mu'), z = Xbar - X_i, and the others at k z, by hand:

    k = [q + (1 - 1/N) eta' (1 - a dt)] / [1 + (1 - 1/N) eta' dt],
    eta = (k^2 - 2 q k + epsilon) dt + eta' (1 - (a + k) dt)^2, and mu' grows by the noise's part in z,
    (1 - 1/N) sigma^2 (1 - rho^2) dt, times eta' / 2.
    """
    game = GENERAL
    n, dt, eta, mu, by_hand = game.n_agents, game.dt, game.c, 0.0, []
    share = 1 - 1 / n
    for _ in range(game.n_steps):
        mu += 0.5 * eta * share * game.sigma**2 * (1 - game.rho**2) * dt
        k = (game.q + share * eta * (1 - game.a * dt)) / (1 + share * eta * dt)
        eta = (k**2 - 2 * game.q * k + game.epsilon) * dt + eta * (1 - (game.a + k) * dt) ** 2
        by_hand.append(k)
    np.testing.assert_allclose(exact_gain(game), by_hand[::-1], rtol=1e-11)
    values = solve_nash(game.as_lq()).values
    start = np.linspace(-1.0, 2.0, n)
    expected = -0.5 * eta * (start.mean() - start) ** 2 - mu
    np.testing.assert_allclose(values.at(0, start), expected, rtol=1e-11)


def test_equilibrium_converges_to_that_in_continuous_time_at_rate_dt() -> None:
    n = 2
    steps = np.array([20, 40, 80])
    distance = []
    for m in steps:
        game = Interbank(n_agents=n, n_steps=int(m))
        distance.append(np.abs(exact_gain(game) - continuous_gain(game, game.dt * np.arange(m))).max())
    order = -np.diff(np.log2(distance))
    assert ((order > 0.9) & (order < 1.0)).all() and (np.diff(order) > 0).all()
    # Two step lengths extrapolated to none: the error of order dt goes, and with it nine tenths.
    fine, coarse = (exact_gain(Interbank(n_agents=n, n_steps=m))[0] for m in (80, 40))
    limit = continuous_gain(Interbank(n_agents=n), np.zeros(1))[0]
    assert abs(2 * fine - coarse - limit) < 0.05 * abs(fine - limit)
