"""Exact fixed points of projected policies, against simulation, finite differences and the exact equilibrium."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from nash_dqn.games.base import ObservationSpec
from nash_dqn.games.lq import FloatArray, LinearPolicies, evaluate_policies, solve_nash, state_moments
from nash_dqn.games.market import Market, MarketState
from nash_dqn.seeding import generator
from nash_dqn.studies.projection import (
    COLUMNS,
    Target,
    _value_and_gradient,
    deviation_gain,
    evaluate,
    fixed_point,
    liquidation,
    market_with_flows,
    profile,
    projected,
    views,
)

MARKET = Market(
    n_agents=3, horizon=3.0, n_steps=4, kappa=0.5, theta=10.0, sigma=0.1, gamma=0.02, rho=0.5, eta=0.05,
    b1=0.1, b2=0.2, b3=0.03, discount=0.9, impact="linear", price_floor=None,
)  # fmt: skip
MEMORY = ObservationSpec(own_flow=True)


def gains_for(spec: ObservationSpec) -> FloatArray:
    """Some policy, not an equilibrium."""
    steady = liquidation(MARKET, 4 + spec.own_flow)
    noise: FloatArray = 0.1 * np.random.default_rng(0).normal(size=steady.shape)
    return steady + noise


def lifted(state: MarketState) -> FloatArray:
    """The state x = (S - theta, Y, q, y) of market_with_flows, ``[E, 2 + 2N]``."""
    common = torch.stack([state.price - MARKET.theta, state.impact], -1)
    flows = state.inventory - state.initial_inventory
    return np.asarray(torch.cat([common, state.inventory, flows], -1).numpy(), dtype=np.float64)


def test_views_are_what_the_market_shows() -> None:
    shocks = MARKET.sample_shocks(20, generator(1, "projection")).map(torch.Tensor.double)
    state = MARKET.reset(shocks)
    for _ in range(2):
        state, _ = MARKET.step(state, torch.randn(20, 3, 1, generator=generator(2, "projection")).double(), shocks)
    scales = MARKET.scales
    for spec in (ObservationSpec(), ObservationSpec(price="S-Y", order_flow="others_mean", own_flow=True)):
        sizes = np.array([scales.price, scales.impact, scales.inventory])
        shown = MARKET.observe(state, spec).own[..., 1:].numpy()
        seen = np.einsum("ifn,en->eif", views(MARKET, spec), lifted(state))
        ratio = shown / seen  # the market's scales, whatever they are, are the same for every agent and state
        np.testing.assert_allclose(ratio, np.broadcast_to(ratio[0, 0], ratio.shape), rtol=1e-9)
        np.testing.assert_allclose(1 / ratio[0, 0, [0, 1, 3]], sizes, rtol=1e-9)


def test_flows_add_nothing_to_the_game() -> None:
    """The exact equilibrium of the visible game, as policies that ignore past flows, is worth the same."""
    plain, game = MARKET.as_lq(), market_with_flows(MARKET)
    exact = solve_nash(plain)
    padded = np.concatenate([exact.policies.gains, np.zeros((4, 3, 3))], -1)
    values = evaluate_policies(game, LinearPolicies(padded, exact.policies.offsets))
    np.testing.assert_allclose(
        values.expected(game.initial_mean, game.initial_covariance),
        exact.values.expected(plain.initial_mean, plain.initial_covariance),
        rtol=1e-12,
    )


def test_values_and_moments_are_those_of_the_market() -> None:
    """Twenty thousand episodes in the market itself."""
    gains, episodes = gains_for(MEMORY), 20_000
    game, seen = market_with_flows(MARKET), views(MARKET, MEMORY)
    shocks = MARKET.sample_shocks(episodes, generator(3, "projection")).map(torch.Tensor.double)
    state, total = MARKET.reset(shocks), np.zeros(episodes)
    for m in range(MARKET.n_steps):
        actions = -np.einsum("f,ifn,en->ei", gains[m], seen, lifted(state))
        state, rewards = MARKET.step(state, torch.from_numpy(actions).unsqueeze(-1), shocks)
        total += MARKET.discount**m * rewards[:, 0].numpy()
    policies = profile(seen, gains)
    value = evaluate_policies(game, policies, [0]).expected(game.initial_mean, game.initial_covariance)[0]
    assert abs(total.mean() - value) < 4 * total.std() / np.sqrt(episodes)
    moments, sample = state_moments(game, policies).covariance[-1], lifted(state)
    spread = np.sqrt(np.outer(moments.diagonal(), moments.diagonal()))
    np.testing.assert_allclose(sample.T @ sample / episodes / spread, moments / spread, atol=0.04)


def test_gradient_by_finite_differences() -> None:
    gains = gains_for(MEMORY)
    game, seen = market_with_flows(MARKET), views(MARKET, MEMORY)
    own = gains + 0.05
    _, slope = _value_and_gradient(game, seen, gains, own)
    for at in np.ndindex(*own.shape):
        step = np.zeros_like(own)
        step[at] = 1e-5
        ahead, behind = (_value_and_gradient(game, seen, gains, own + sign * step)[0] for sign in (1, -1))
        assert slope[at] == pytest.approx((ahead - behind) / 2e-5, rel=1e-5, abs=1e-7)


def test_what_sees_everything_settles_at_the_exact_equilibrium() -> None:
    """For a lone agent nothing is hidden: either target's fixed point is the optimal control, whatever the noise."""
    alone = replace(MARKET, n_agents=1)
    exact = solve_nash(alone.as_lq()).policies.gains[:, 0]
    targets: list[tuple[Target, float]] = [("nash", 0.3), ("reply", 2.0)]
    for target, exploration in targets:
        point = fixed_point(alone, MEMORY, target, exploration, 0.5, 200, 1e-9)
        assert point.converged
        # Total and own flow are the same for a lone agent, and worth nothing beside its inventory.
        np.testing.assert_allclose(point.gains[1:, [0, 1, 3]], exact[1:], atol=1e-6)
        np.testing.assert_allclose(point.gains[1:, [2, 4]], 0, atol=1e-6)


def test_a_round_is_the_regression_of_simulated_targets() -> None:
    """The target by its definition, from an action value that simulation could give, regressed on simulated states."""
    gains, sigma, episodes = gains_for(MEMORY), 1.5, 40_000
    game, seen = market_with_flows(MARKET), views(MARKET, MEMORY)
    policies = profile(seen, gains)
    rng = np.random.default_rng(4)
    x = rng.multivariate_normal(np.zeros(8), game.initial_covariance, episodes)
    m = 2
    for at in range(m):
        u = policies.act(at, x)
        u[:, 0] += sigma * rng.normal(size=episodes)
        step = game.steps[at]
        x = x @ step.transition.T + u @ step.control.T + rng.normal(size=(episodes, 1)) @ step.noise.T
    # Action value of agent 1 by playing on: the last steps' rewards by quadratic forms, at three actions of its own.
    others = policies.act(m, x)

    def worth(action: FloatArray) -> FloatArray:
        u = others.copy()
        u[:, 0] = action
        step, total, factor, state = game.steps[m], np.zeros(episodes), 1.0, x
        for at in range(m, MARKET.n_steps):
            step = game.steps[at]
            u = u if at == m else policies.act(at, state)
            lifted_action = np.concatenate([state, np.ones((episodes, 1)), u], 1)
            total += factor * np.einsum("ea,ab,eb->e", lifted_action, step.reward[0], lifted_action)
            state, factor = state @ step.transition.T + u @ step.control.T, factor * MARKET.discount
        return total

    low, middle, high = (worth(np.full(episodes, a)) for a in (-1.0, 0.0, 1.0))
    best = (high - low) / (2 * (2 * middle - high - low))  # vertex of the parabola through the three
    fitted = np.linalg.lstsq(x @ seen[0].T, -best, rcond=None)[0]
    np.testing.assert_allclose(projected(game, seen, gains, "reply", sigma)[m], fitted, rtol=0.03, atol=0.02)


def test_a_best_reply_without_noise_leaves_a_deviator_nothing() -> None:
    """The gain vanishes with the noise that the policy is fitted under; fitted to mu it does not."""
    gains = []
    for exploration in (1.0, 0.25, 0.1):
        point = fixed_point(MARKET, MEMORY, "reply", exploration, 0.2, 2000, 1e-8)
        assert point.converged
        gains.append(deviation_gain(market_with_flows(MARKET), views(MARKET, MEMORY), point.gains, exploration)[0])
    assert gains[0] > 3 * gains[1] > 30 * gains[2] > 0
    nash = fixed_point(MARKET, MEMORY, "nash", 0.1, 0.2, 2000, 1e-8)
    assert nash.converged
    assert deviation_gain(market_with_flows(MARKET), views(MARKET, MEMORY), nash.gains, 0.1)[0] > 3 * gains[0]


def test_table() -> None:
    table = evaluate(MARKET, MEMORY, [1.0, 0.5], 0.2, 2000, 1e-7)
    assert list(table.columns) == list(COLUMNS)
    assert [*zip(table["target"], table["exploration"], strict=True)] == [
        (target, exploration) for target in ("nash", "reply") for exploration in (1.0, 0.5)
    ]
    np.testing.assert_allclose(table["share"], table["gain"] / table["value"].abs())
    short = evaluate(MARKET, MEMORY, [1.0], 0.2, 2, 1e-7)
    assert not short["converged"].any()
    assert short["gain"].isna().all()


def test_what_is_not_allowed_is_said() -> None:
    with pytest.raises(ValueError, match="inventories = 'visible': allowed is 'private'"):
        views(MARKET, ObservationSpec(inventories="visible"))
    with pytest.raises(ValueError, match="target = 'mu': allowed are 'nash', 'reply'"):
        fixed_point(MARKET, MEMORY, "mu", 1.0, 0.1, 1, 1e-6)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="impact = 'sqrt'"):
        fixed_point(replace(MARKET, impact="sqrt"), MEMORY, "nash", 1.0, 0.1, 1, 1e-6)
