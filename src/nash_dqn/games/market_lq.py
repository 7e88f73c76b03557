"""The market of section 6 as a linear-quadratic game, where its rules allow: an equilibrium to check against.

With linear transient impact (or none), no price floor and inventories that everybody sees, the market is a
linear-quadratic game in the visible state z = (S - theta, Y, q_1, ..., q_N), which :mod:`nash_dqn.games.lq`
solves exactly. The paper's own game (square-root impact, private inventories) is not of this kind.
"""

from __future__ import annotations

import math

import numpy as np

from nash_dqn.games.lq import FloatArray, LQGame, LQStep
from nash_dqn.games.market import Market


def market_lq(market: Market) -> LQGame:
    """The linear-quadratic game over z = (S - theta, Y, q_1, ..., q_N) that the market is; actions nu_i.

    Dynamics and rewards are those of :meth:`Market.step`, as linear and quadratic forms of (z, 1, nu). They
    differ in one place: the reward's noise q'_i sigma sqrt(dt) epsilon, whose mean is zero whatever the
    policies, is left out, so that values are means of the market's rewards. Player i maximises the mean of
    sum_m discount^m r_{i,m}; the penalty b2 is part of the last step's reward, as in the market. The initial
    mean and covariance are those of the market's initial distribution.

    With more agents of the same impact each, an equilibrium may cease to exist: :func:`solve_nash` says so.

    Raises:
        ValueError: ``impact`` is neither "linear" nor "none", or ``price_floor`` is not None.
    """
    if market.impact not in ("linear", "none"):
        raise ValueError(f"impact = {market.impact!r}: 'linear' or 'none' makes the market linear-quadratic")
    if market.price_floor is not None:
        raise ValueError(f"price_floor = {market.price_floor}: None makes the market linear-quadratic")
    agents, dt = market.n_agents, market.dt
    n = agents + 2
    # Each row of `unit` is one entry of y = (z, 1, nu) as a linear form of y.
    unit = np.eye(n + 1 + agents)
    price, impact, inventory, rates = unit[0], unit[1], unit[2:n], unit[n + 1 :]
    total = rates.sum(axis=0)

    next_impact = math.exp(-market.rho * dt) * impact
    if market.impact == "linear":
        next_impact = next_impact + market.gamma * dt * total
    price_change = dt * (market.eta * total - market.kappa * price) + next_impact - impact
    next_inventory = inventory + dt * rates
    dynamics = np.concatenate([(price + price_change)[None], next_impact[None], next_inventory])
    noise = np.zeros((n, 1))
    noise[0] = market.sigma * math.sqrt(dt)

    gain = next_inventory[:, :, None] * price_change  # q'_i (S' - S), made symmetric below
    holding = next_inventory[:, :, None] * next_inventory[:, None, :]
    running = 0.5 * (gain + gain.transpose(0, 2, 1)) - market.b3 * dt * holding
    running -= market.b1 * dt * rates[:, :, None] * rates[:, None, :]

    def step(reward: FloatArray) -> LQStep:
        return LQStep(dynamics[:, :n], dynamics[:, n + 1 :], dynamics[:, n], noise, reward)

    before, last = step(running), step(running - market.b2 * holding)
    variances = [market.price_sd**2, market.impact_sd**2, *[market.initial_inventory_var] * agents]
    return LQGame(
        action_dims=(1,) * agents,
        steps=(before,) * (market.n_steps - 1) + (last,),
        terminal=np.zeros((agents, n + 1, n + 1)),
        discount=np.full(agents, float(market.discount)),
        initial_mean=np.zeros(n),
        initial_covariance=np.diag(variances),
    )
