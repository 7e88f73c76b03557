r"""Many traders: the linear market shared among N, and its limit as N grows, a mean-field game with common noise.

:func:`shared` splits the impact of a market among more agents, eta and gamma in proportion to 1/N, so that all of them
together move the price as before. In what follows h = eta N and g = gamma N are these totals, and v the mean rate.

N agents (:func:`symmetric_equilibrium`)
    Where all others follow the same policy, what matters to agent i is z = (p, Y, q, m): p = S - theta, Y, its own
    inventory and the mean m of the others'. The policy is u = -K z, and the mean over the others of *their* z is P z,
    since the mean of the others' inventories, seen from j, averages over j != i to (q + (N - 2) m) / (N - 1). So the
    others' mean rate is w = -K P z, and the action value is a quadratic form in (z, u, w), of which the first-order
    condition (Definition 3.1) is linear in K: four unknowns a step for any N, where
    :func:`nash_dqn.games.lq.solve_nash` has N (N + 2).

N -> infinity (:func:`mean_field_equilibrium`)
    A trader without weight takes p, Y and the mean inventory m as given and moving on their own; the mean rate v is
    part of that. With c_m = b3 dt + [b2 in the last step] and the discount g_0, and k_{m+1} the gains of the next step
    (zero beyond the last), the derivative of its value in q is 2 b1 u (envelope theorem), so that its first-order
    condition is, with dp the mean change of the price,

        dp - 2 b1 u - 2 c (q + u dt) + 2 g_0 b1 u' = 0,    u' = -k_{m+1} (p', Y', q + u dt, m').

    Consistency asks that the mean of u over all traders be the v that moves p', Y' and m'. Averaged, where q = m, the
    condition is one linear equation for v; then each trader's own follows. No large N is involved.

Sources: M. Huang, R. Malhame and P. Caines, Large population stochastic dynamic games, Communications in Information
and Systems 6(3), 2006; P. Cardaliaguet and C.-A. Lehalle, Mean field game of controls and an application to trade
crowding, Mathematics and Financial Economics 12, 2018.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from nash_dqn.games.derive import expand
from nash_dqn.games.lq import (
    FloatArray,
    LinearPolicies,
    LQGame,
    LQStep,
    NoEquilibriumError,
    best_response,
    evaluate_policies,
)
from nash_dqn.games.market import Market, MarketState

_P, _Y, _Q, _M = range(4)  # z = (p, Y, q, m)
# Condition number beyond which first-order conditions count as singular.
_CONDITION_LIMIT = 1e12


class SharedEquilibrium(NamedTuple):
    """The symmetric equilibrium of a market.

    Attributes:
        gains: K [M, 4] of u = -K (S - theta, Y, q_i, mean of the others' q).
        value: what an agent's episode is worth on average, over the market's initial distribution, $.
    """

    gains: FloatArray
    value: float


def shared(market: Market, n_agents: int) -> Market:
    """The market's total impact shared among ``n_agents``: eta and gamma times market.n_agents / n_agents.

    Among fewer agents than the market has each keeps its impact: with more of it the equilibrium comes near a pole.

    Raises:
        ValueError: the market is not linear, or ``n_agents`` is no integer >= 1.
    """
    _check(market)
    if n_agents < 1:
        raise ValueError(f"n_agents = {n_agents}: allowed is an integer >= 1")
    factor = min(1.0, market.n_agents / n_agents)
    return replace(market, n_agents=n_agents, eta=market.eta * factor, gamma=market.gamma * factor)


def symmetric_equilibrium(market: Market) -> SharedEquilibrium:
    """The feedback Nash equilibrium of a linear market with visible inventories, in time that N does not enter.

    Raises:
        NoEquilibriumError: an agent's action value is not strictly concave in its rate, or the joint first-order
            conditions are singular; the message names the step.
        ValueError: the market is not linear, or has one agent.
    """
    _check(market, least=2)
    n, mixing = market.n_agents, _mixing(1.0 / market.n_agents)
    gains = np.empty((market.n_steps, 4))
    value = np.zeros((4, 4))
    for m in reversed(range(market.n_steps)):
        forward, reward = _step_forms(market, 1.0 / n, last=m == market.n_steps - 1)
        action_value = reward + market.discount * forward.T @ value @ forward
        of_state, of_own, of_others = action_value[4, :4], action_value[4, 4], action_value[4, 5]
        if not of_own < 0:
            raise NoEquilibriumError(
                f"step {m}, {n} agents: the action value is not strictly concave in an agent's own rate "
                f"(curvature {of_own:.3g}; it must be negative)"
            )
        # of_state z + of_own u + of_others w = 0 with u = -K z, w = -K P z
        joint = of_own * np.eye(4) + of_others * mixing
        if np.linalg.cond(joint) > _CONDITION_LIMIT:
            raise NoEquilibriumError(f"step {m}, {n} agents: the joint first-order conditions are singular")
        gains[m] = np.linalg.solve(joint.T, of_state)
        lift = np.vstack([np.eye(4), -gains[m], -gains[m] @ mixing])
        value = lift.T @ action_value @ lift
    return SharedEquilibrium(gains, _worth(_deviator_game(market, gains, 1.0 / n), gains))


def mean_field_equilibrium(market: Market) -> SharedEquilibrium:
    """The equilibrium of infinitely many traders who have the market's total impact N eta and N gamma together.

    Any ``shared(market, n)`` with more agents gives the same. The mean inventory is zero at first, and then what common
    price moves make of it.

    Raises:
        NoEquilibriumError: at some step no mean rate is consistent, or all are.
        ValueError: the market is not linear.
    """
    _check(market)
    gains = np.zeros((market.n_steps + 1, 4))
    shared_axes = [_P, _Y, _M]
    for m in reversed(range(market.n_steps)):
        # p', Y' and m' as linear forms of (p, Y, m) and of the mean rate v, which is that of all others
        forward, _ = _step_forms(market, 0.0, last=m == market.n_steps - 1)
        of_state, of_rate = forward[np.ix_(shared_axes, shared_axes)], forward[shared_axes, 5]
        after_shared, after_own = gains[m + 1, shared_axes], gains[m + 1, _Q]
        cost = market.b3 * market.dt + (market.b2 if m == market.n_steps - 1 else 0.0)
        onward = 2 * market.discount * market.b1
        # The condition as pull - own_curvature u - holding q + forcing v = 0, with pull linear in (p, Y, m).
        holding = 2 * cost + onward * after_own
        own_curvature = 2 * market.b1 + holding * market.dt
        pull = of_state[0] - np.array([1.0, 0.0, 0.0]) - onward * after_shared @ of_state
        forcing = of_rate[0] - onward * after_shared @ of_rate
        crowd = own_curvature - forcing
        if own_curvature + abs(forcing) > _CONDITION_LIMIT * abs(crowd):
            raise NoEquilibriumError(f"step {m}: the mean rate that is consistent with itself is not unique")
        mean_rate = (pull - holding * np.array([0.0, 0.0, 1.0])) / crowd  # v, where q = m
        gains[m, shared_axes] = -(pull + forcing * mean_rate) / own_curvature
        gains[m, _Q] = holding / own_curvature
    gains = gains[:-1]
    return SharedEquilibrium(gains, _worth(_deviator_game(market, gains, weight=0.0), gains))


def best_reply(market: Market, gains: FloatArray) -> FloatArray:
    """The gains [M, 4] of an agent's best policy while all others follow u = -K z, by Riccati's recursion.

    Best among all policies of the visible state: where the others are alike, z is all of it that matters.

    Args:
        market: linear.
        gains: K [M, 4].

    Raises:
        NoEquilibriumError: there is no best response.
        ValueError: the market is not linear, or has one agent.
    """
    _check(market, least=2)
    return best_response(_deviator_game(market, gains, 1.0 / market.n_agents), _policies(gains), player=0).gains[:, 0]


def exploitability(market: Market, gains: FloatArray) -> float:
    """What an agent gains by leaving u = -K z, gains K [M, 4], while all others follow it, $; zero at an equilibrium.

    Errors are those of :func:`best_reply`.
    """
    best = best_reply(market, gains)
    game = _deviator_game(market, gains, 1.0 / market.n_agents)
    return _worth(game, best) - _worth(game, gains)


def symmetric_profile(market: Market, gains: FloatArray) -> Callable[[MarketState], Tensor]:
    """The joint action ``[..., N, 1]``, float64, of all who follow u = -K (S - theta, Y, q_i, others' mean q), in O(N).

    Args:
        market: of at least two agents, who see all.
        gains: K [M, 4].
    """

    def act(state: MarketState) -> Tensor:
        of_price, of_impact, of_own, of_others = gains[state.step].tolist()
        inventory = state.inventory.double()
        others = (inventory.sum(-1, keepdim=True) - inventory) / (market.n_agents - 1)
        of_all = of_price * (state.price.double() - market.theta) + of_impact * state.impact.double()
        return -(of_all.unsqueeze(-1) + of_own * inventory + of_others * others).unsqueeze(-1)

    return act


def _deviator_game(market: Market, gains: FloatArray, weight: float) -> LQGame:
    mixing = _mixing(weight)
    noise = np.zeros((4, 1))
    noise[_P] = market.sigma * math.sqrt(market.dt)
    steps = []
    for m, gain in enumerate(gains):
        forward, reward = _step_forms(market, weight, last=m == market.n_steps - 1)
        lift = np.zeros((6, 6))  # (z, 1, u) -> (z, u, w)
        lift[:4, :4], lift[4, 5], lift[5, :4] = np.eye(4), 1.0, -gain @ mixing
        closed, paid = forward @ lift, lift.T @ reward @ lift
        steps.append(LQStep(closed[:, :4], closed[:, 5:], closed[:, 4], noise, 0.5 * (paid + paid.T)[None]))
    held = market.initial_inventory_var
    return LQGame(
        action_dims=(1,),
        steps=tuple(steps),
        terminal=np.zeros((1, 5, 5)),
        discount=np.array([float(market.discount)]),
        initial_mean=np.zeros(4),
        initial_covariance=np.diag([market.price_sd**2, market.impact_sd**2, held, held * weight / (1 - weight)]),
    )


def _policies(gains: FloatArray) -> LinearPolicies:
    return LinearPolicies(gains[:, None, :], np.zeros((len(gains), 1)))


def _worth(game: LQGame, gains: FloatArray) -> float:
    """Mean value of the deviator who follows the gains [M, 4]."""
    values = evaluate_policies(game, _policies(gains))
    return float(values.expected(game.initial_mean, game.initial_covariance)[0])


def _check(market: Market, least: int = 1) -> None:
    market.require_linear()
    if market.n_agents < least:
        raise ValueError(f"n_agents = {market.n_agents}: allowed is an integer >= {least}, to have others")


def _mixing(weight: float) -> FloatArray:
    """P [4, 4], with P z the mean of the others' z, where an agent's weight in the mean of all is 1/N, or 0."""
    own = weight / (1 - weight)  # 1 / (N - 1)
    mixing = np.zeros((4, 4))
    mixing[_P, _P] = mixing[_Y, _Y] = mixing[_Q, _M] = 1.0
    mixing[_M, _Q], mixing[_M, _M] = own, 1.0 - own
    return mixing


@lru_cache(maxsize=16)
def _step_forms(market: Market, weight: float, last: bool) -> tuple[FloatArray, FloatArray]:
    """Mean next z [4, 6] and reward [6, 6] of :meth:`Market.step`, as linear and quadratic forms of (z, u, w).

    w is the others' mean rate, and ``weight`` an agent's in the mean of all. They are those of a market of two agents,
    of whom the second trades what is left of the total rate N (weight u + (1 - weight) w). Only the last step differs.
    """
    pair, m = replace(market, n_agents=2), market.n_steps - 1 if last else 0
    calm = pair.shocks_from_normals(torch.zeros(pair.normals_per_episode, dtype=torch.float64))

    def step(y: Tensor) -> Tensor:
        price, impact, own, others, rate, others_rate = y
        rest = market.n_agents * (weight * rate + (1 - weight) * others_rate) - rate
        state = pair.state_of(m, torch.stack((price, impact, own, 0 * own)))
        after, rewards = pair.step(state, torch.stack((rate, rest)).unsqueeze(-1), calm)
        next_others = others + market.dt * others_rate
        return torch.cat((pair.state_vector(after)[:3], next_others.view(1), rewards[:1]))

    forms = expand(step, 6, ("price", "impact", "inventory", "mean inventory", "reward"), linear=4)
    return forms.slope[:4].numpy(), 0.5 * forms.curvature[0].numpy()
