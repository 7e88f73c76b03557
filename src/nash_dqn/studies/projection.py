r"""Where projected policies settle, exactly: the linear-quadratic market with hidden inventories.

A projected policy (:mod:`nash_dqn.agents.nash_dqn`) is fitted, where agent 1 explores alone, to the Nash point of an
action value that sees everything. With linear impact and policies that are linear in what agents see, action values are
quadratic and states have exact second moments, so that a round of that procedure, with all the data in the world, is
linear algebra:

1. Q_i of playing the policy, by the recursion of :mod:`nash_dqn.games.lq`, in the state x = (z, past flows);
2. the target of agent 1's action: Q's Nash point mu(x), which Algorithm 1 offers; or the best reply to what the others
   play, argmax_a Q_1(x; a, pi_{-1}), the same where the others see enough to play mu;
3. least squares of the target on what agent 1 sees, over the states it visits while it explores.

A policy that a round leaves as it is, is where training ends; what a deviator gains there, training cannot mend.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import pandas as pd
from scipy.optimize import minimize

from nash_dqn.games.base import ObservationSpec
from nash_dqn.games.lq import (
    FloatArray,
    LinearPolicies,
    LQGame,
    LQStep,
    action_value,
    evaluate_policies,
    state_moments,
)
from nash_dqn.games.market import Market

__all__ = ["COLUMNS", "FixedPoint", "Target", "deviation_gain", "evaluate", "fixed_point", "projected"]

Target = Literal["nash", "reply"]

COLUMNS = ("target", "exploration", "converged", "iterations", "value", "gain", "share")

# Features whose correlations have eigenvalues below this are the same feature twice, such as flows at the first step.
_COLLINEAR = 1e-11
_SEARCH = {"maxiter": 2000, "maxfun": 4000, "ftol": 1e-15, "gtol": 1e-12, "maxcor": 50}


class FixedPoint(NamedTuple):
    """Where the projection settles.

    Attributes:
        gains: ``[M, F]``, u = -gains o, o what an agent sees.
        converged: whether the last round moved no agent's action by more than the tolerance.
        iterations: rounds.
    """

    gains: FloatArray
    converged: bool
    iterations: int


def market_with_flows(market: Market) -> LQGame:
    """:meth:`Market.as_lq` over x = (S - theta, Y, q_1..q_N, y_1..y_N), y_i = q_i - q_{i,0} the past flow of agent i.

    Raises:
        ValueError: the market is not linear-quadratic.
    """
    game = market.as_lq()
    n, agents = game.state_dim, market.n_agents
    kept = np.concatenate([np.arange(n), n + agents + np.arange(1 + agents)])  # where y = (z, 1, u) stands in (x, 1, u)

    def step(old: LQStep) -> LQStep:
        transition, control = np.eye(n + agents), np.zeros((n + agents, agents))
        transition[:n, :n], control[:n] = old.transition, old.control
        control[n:] = market.dt * np.eye(agents)
        reward = np.zeros((agents, n + 2 * agents + 1, n + 2 * agents + 1))
        reward[:, kept[:, None], kept] = old.reward
        noise = np.concatenate([old.noise, np.zeros((agents, old.noise.shape[1]))])
        return LQStep(transition, control, np.concatenate([old.drift, np.zeros(agents)]), noise, reward)

    covariance = np.zeros((n + agents, n + agents))
    covariance[:n, :n] = game.initial_covariance
    return LQGame(
        action_dims=game.action_dims,
        steps=tuple(step(old) for old in game.steps),
        terminal=np.zeros((agents, n + agents + 1, n + agents + 1)),
        discount=game.discount,
        initial_mean=np.zeros(n + agents),
        initial_covariance=covariance,
    )


def views(market: Market, spec: ObservationSpec) -> FloatArray:
    """What each agent sees as linear forms of x, ``[N, F, 2 + 2N]``: :meth:`Market.observe` without time and scales.

    Raises:
        ValueError: the others' inventories are seen.
    """
    if spec.inventories != "private":
        raise ValueError(f"observation.inventories = {spec.inventories!r}: allowed is 'private'")
    agents = market.n_agents
    unit = np.eye(2 + 2 * agents)
    price, impact, inventory, flow = unit[0], unit[1], unit[2 : 2 + agents], unit[2 + agents :]
    seen = []
    for i in range(agents):
        others = flow.sum(0) - flow[i] if spec.order_flow == "others_mean" else flow.sum(0)
        scale = max(agents - 1, 1) if spec.order_flow == "others_mean" else 1
        rows = [price if spec.price == "S" else price - impact, impact, others / scale, inventory[i]]
        seen.append([*rows, flow[i]] if spec.own_flow else rows)
    return np.array(seen)


def profile(seen: FloatArray, gains: FloatArray, own: FloatArray | None = None) -> LinearPolicies:
    """Everybody plays u = -gains o, ``[M, F]``; agent 1, where ``own`` is given, u = -own o."""
    joint = np.einsum("mf,ifn->min", gains, seen)
    if own is not None:
        joint[:, 0] = own @ seen[0]
    return LinearPolicies(joint, np.zeros(joint.shape[:2]))


def liquidation(market: Market, features: int) -> FloatArray:
    """Gains ``[M, F]`` that sell what is held at a constant rate until the end: a policy to begin with."""
    gains = np.zeros((market.n_steps, features))
    gains[:, 3] = 1 / (market.horizon - market.dt * np.arange(market.n_steps))
    return gains


def projected(game: LQGame, seen: FloatArray, gains: FloatArray, target: Target, exploration: float) -> FloatArray:
    """One round: the gains ``[M, F]`` that agent 1 is fitted to when everybody plays ``gains``.

    Args:
        game: of :func:`market_with_flows`.
        seen: of :func:`views`.
        gains: ``[M, F]``.
        target: what agent 1's action is fitted to.
        exploration: standard deviation of its exploration, shares/hour.
    """
    policies, n = profile(seen, gains), game.state_dim
    values = evaluate_policies(game, policies).matrices
    moments = _moments(game, policies, exploration)
    fitted = np.empty_like(gains)
    for m in range(game.n_steps):
        # Half the derivative of Q_i with respect to u_i, a row over (x, 1, u) for each player.
        rows = np.stack([action_value(game, m, i, values[m + 1, i])[n + 1 + i] for i in range(game.n_players)])
        if target == "nash":
            wanted = np.linalg.solve(rows[:, n + 1 :], -rows[:, :n])[0]
        else:
            others = rows[0, n + 2 :] @ -policies.gains[m, 1:]
            wanted = -(rows[0, :n] + others) / rows[0, n + 1]
        fitted[m] = -_least_squares(seen[0] @ moments[m] @ seen[0].T, seen[0] @ moments[m] @ wanted)
    return fitted


def fixed_point(
    market: Market,
    spec: ObservationSpec,
    target: Target,
    exploration: float,
    damping: float,
    iterations: int,
    tolerance: float,
) -> FixedPoint:
    """Repeat :func:`projected`, a share ``damping`` of the way each round, from :func:`liquidation`.

    Args:
        market: linear-quadratic.
        spec: what agents see.
        target: what agent 1's action is fitted to.
        exploration: standard deviation of its exploration, shares/hour.
        damping: in (0, 1]; an undamped round overshoots where features are nearly collinear.
        iterations: rounds at most.
        tolerance: converged when a round would change actions by less than this in root mean square, shares/hour.

    Raises:
        ValueError: the market is not linear-quadratic, or ``target`` unknown.
    """
    if target not in get_args(Target):
        raise ValueError(f"target = {target!r}: allowed are {', '.join(map(repr, get_args(Target)))}")
    game, seen = market_with_flows(market), views(market, spec)
    gains = liquidation(market, seen.shape[1])
    for done in range(1, iterations + 1):
        change = projected(game, seen, gains, target, exploration) - gains
        if not np.isfinite(change).all():
            return FixedPoint(gains, False, done)
        moments = _moments(game, profile(seen, gains))[:-1]
        size = np.einsum("mf,fa,mab,gb,mg->m", change, seen[0], moments, seen[0], change)
        if size.max() < tolerance**2:
            return FixedPoint(gains, True, done)
        gains = gains + damping * change
    return FixedPoint(gains, False, iterations)


def deviation_gain(game: LQGame, seen: FloatArray, gains: FloatArray, exploration: float) -> tuple[float, float]:
    """What agent 1 gains by its best linear policy of what it sees while the others play ``gains``, and their value.

    A local optimum, found from ``gains`` by a quasi-Newton method with exact gradients; ``exploration``, in
    shares/hour, only sets the scales in which it searches.
    """
    start = game.initial_mean, game.initial_covariance
    value = float(evaluate_policies(game, profile(seen, gains), [0]).expected(*start)[0])
    scales = []
    for covariance in _moments(game, profile(seen, gains), exploration)[:-1]:
        sizes, directions = np.linalg.eigh(seen[0] @ covariance @ seen[0].T)
        scales.append(directions / np.sqrt(np.maximum(sizes, 1e-9)))
    basis = np.array(scales)

    def objective(flat: FloatArray) -> tuple[float, FloatArray]:
        own = gains + np.einsum("mab,mb->ma", basis, flat.reshape(gains.shape))
        worth, slope = _value_and_gradient(game, seen, gains, own)
        return -worth, -np.einsum("mab,ma->mb", basis, slope).ravel()

    found = minimize(objective, np.zeros(gains.size), jac=True, method="L-BFGS-B", options=_SEARCH)
    return float(-found.fun) - value, value


def evaluate(
    market: Market,
    spec: ObservationSpec,
    explorations: Sequence[float],
    damping: float,
    iterations: int,
    tolerance: float,
) -> pd.DataFrame:
    """What a deviator gains where projections settle, for each target and exploration (see :func:`fixed_point`).

    Returns:
        Table with :data:`COLUMNS`: ``exploration`` in shares/hour; ``value`` of playing the policy and ``gain`` of a
        deviator that sees as much, $; ``share`` = gain / abs(value). Empty: what does not converge.
    """
    game, seen = market_with_flows(market), views(market, spec)
    rows: list[tuple[Any, ...]] = []
    for target, exploration in itertools.product(get_args(Target), explorations):
        point = fixed_point(market, spec, target, exploration, damping, iterations, tolerance)
        gain = value = math.nan
        if point.converged:
            gain, value = deviation_gain(game, seen, point.gains, exploration)
        rows.append((target, exploration, point.converged, point.iterations, value, gain, gain / abs(value)))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _moments(game: LQGame, policies: LinearPolicies, exploration: float = 0.0) -> FloatArray:
    """Second moments ``[M + 1, n, n]`` of the states visited while agent 1 explores."""
    steps = tuple(
        dataclasses.replace(step, noise=np.concatenate([step.noise, exploration * step.control[:, :1]], 1))
        for step in game.steps
    )
    return state_moments(dataclasses.replace(game, steps=steps), policies).covariance


def _least_squares(second_moment: FloatArray, moment_with_target: FloatArray) -> FloatArray:
    """Coefficients of the best linear prediction; the smallest in standardised features where these are collinear."""
    scale = np.sqrt(np.maximum(second_moment.diagonal(), np.finfo(float).tiny))
    inverse = np.linalg.pinv(second_moment / np.outer(scale, scale), rcond=_COLLINEAR, hermitian=True)
    coefficients: FloatArray = inverse @ (moment_with_target / scale) / scale
    return coefficients


def _value_and_gradient(game: LQGame, seen: FloatArray, gains: FloatArray, own: FloatArray) -> tuple[float, FloatArray]:
    """J_1 when agent 1 plays ``own`` and the others ``gains``, and its derivative with respect to ``own``, ``[M, F]``.

    dJ/dk_m = -gamma^m E[dQ_1/du_1 o^T], the deterministic policy gradient.
    """
    policies, n = profile(seen, gains, own), game.state_dim
    values = evaluate_policies(game, policies, [0])
    moments = _moments(game, policies)
    slope = np.empty_like(own)
    for m in range(game.n_steps):
        row = 2 * action_value(game, m, 0, values.matrices[m + 1, 0])[n + 1]
        marginal = row[:n] - row[n + 1 :] @ policies.gains[m]  # dQ_1/du_1 as a linear form of x
        slope[m] = -(game.discount[0] ** m) * marginal @ moments[m] @ seen[0].T
    worth = values.expected(game.initial_mean, game.initial_covariance)[0]
    return float(worth), slope
