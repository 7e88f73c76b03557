"""Matrices derived from simulators, against matrices written by hand, and games that have none."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from nash_dqn.config import load_yaml
from nash_dqn.games.basket import Basket
from nash_dqn.games.derive import expand
from nash_dqn.games.interbank import Interbank, InterbankState
from nash_dqn.games.lq import FloatArray, LQGame, LQStep, solve_nash
from nash_dqn.games.market import Market
from nash_dqn.games.traders import Traders

SCENARIOS = load_yaml(Path(__file__).resolve().parents[2] / "config" / "config.yaml")["scenarios"]
LINEAR = Market(**SCENARIOS["lq_code"])
# Every term present, no two parameters alike.
GENERAL = replace(LINEAR, n_agents=3, n_steps=4, horizon=3.0, b2=0.2, b3=0.03, discount=0.9, initial_price_sd=0.3)

# --- by hand ------------------------------------------------------------------------------------------------

# Each row of `unit` is one entry of y = (z, 1, u) as a linear form of y.


def squares(rows: FloatArray, weights: FloatArray) -> FloatArray:
    """The forms [N, L, L] of x . W x, where rows [N, d, L] give x as linear forms of y."""
    return np.asarray(np.einsum("ida,de,ieb->iab", rows, weights, rows))


def market_by_hand(market: Market, groups: Traders | None = None) -> LQGame:
    """Dynamics and rewards of section 6, linear impact, over z = (S - theta, Y, q); costs of each agent, [N]."""
    agents, dt = market.n_agents, market.dt
    n = agents + 2
    source: Any = groups or market
    by_group = {name: getattr(source, name) for name in ("b1", "b2", "b3", "discount", "initial_inventory_var")}
    by_group["mean"] = groups.initial_inventory_mean if groups else 0.0
    of = {k: np.repeat(v, groups.sizes) if groups else np.full(agents, v) for k, v in by_group.items()}
    unit = np.eye(n + 1 + agents)
    price, impact, inventory, rates = unit[0], unit[1], unit[2:n], unit[n + 1 :]
    total = rates.sum(axis=0)
    next_impact = math.exp(-market.rho * dt) * impact
    if market.impact == "linear":
        next_impact = next_impact + market.gamma * dt * total
    change = dt * (market.eta * total - market.kappa * price) + next_impact - impact
    held = inventory + dt * rates
    dynamics = np.concatenate([(price + change)[None], next_impact[None], held])
    noise = np.zeros((n, 1))
    noise[0] = market.sigma * math.sqrt(dt)
    gain = held[:, :, None] * change  # q'_i (S' - S), made symmetric below
    holding, trading = (form[:, :, None] * form[:, None, :] for form in (held, rates))
    running = 0.5 * (gain + gain.transpose(0, 2, 1)) - dt * of["b3"][:, None, None] * holding
    running -= dt * of["b1"][:, None, None] * trading
    steps = [
        LQStep(dynamics[:, :n], dynamics[:, n + 1 :], dynamics[:, n], noise, reward)
        for reward in [running] * (market.n_steps - 1) + [running - of["b2"][:, None, None] * holding]
    ]
    return LQGame(
        action_dims=(1,) * agents,
        steps=tuple(steps),
        terminal=np.zeros((agents, n + 1, n + 1)),
        discount=of["discount"].astype(float),
        initial_mean=np.concatenate([[0.0, 0.0], of["mean"]]),
        initial_covariance=np.diag([market.price_sd**2, market.impact_sd**2, *of["initial_inventory_var"]]),
    )


def basket_by_hand(game: Basket) -> LQGame:
    """The equations of its module over z = (S - theta, Y, q_1, ..., q_N)."""
    d, agents, dt = game.action_dim, game.n_agents, game.dt
    names = ("kappa", "sigma", "rho", "gamma", "eta", "b1", "b2", "b3", "correlation", "initial_price_sd")
    of = {name: np.array(getattr(game, name)) for name in names}
    root = np.linalg.cholesky(of["correlation"])
    n = (agents + 2) * d
    unit = np.eye(n + 1 + agents * d)
    price, impact = unit[:d], unit[d : 2 * d]
    inventory, rates = unit[2 * d : n].reshape(agents, d, -1), unit[n + 1 :].reshape(agents, d, -1)
    total = rates.sum(axis=0)
    next_impact = np.exp(-of["rho"] * dt)[:, None] * impact + dt * (of["gamma"] @ total)
    change = dt * (of["eta"] @ total - of["kappa"][:, None] * price) + next_impact - impact
    held = inventory + dt * rates
    dynamics = np.concatenate([price + change, next_impact, held.reshape(agents * d, -1)])
    noise = np.zeros((n, d))
    noise[:d] = math.sqrt(dt) * of["sigma"][:, None] * root
    gain = np.einsum("ida,db->iab", held, change)
    running = 0.5 * (gain + gain.transpose(0, 2, 1)) - dt * (squares(rates, of["b1"]) + squares(held, of["b3"]))
    steps = [
        LQStep(dynamics[:, :n], dynamics[:, n + 1 :], dynamics[:, n], noise, reward)
        for reward in [running] * (game.n_steps - 1) + [running - squares(held, of["b2"])]
    ]
    spread = np.concatenate([np.zeros(d), np.square(game.initial_impact_sd), *[game.initial_inventory_var] * agents])
    covariance = np.diag(spread)
    covariance[:d, :d] = of["initial_price_sd"][:, None] * of["correlation"] * of["initial_price_sd"]
    discount, mean = np.full(agents, float(game.discount)), np.zeros(n)
    return LQGame((d,) * agents, tuple(steps), np.zeros((agents, n + 1, n + 1)), discount, mean, covariance)


def interbank_by_hand(game: Interbank) -> LQGame:
    """Euler's method for Carmona, Fouque and Sun (2015); the terminal cost stands in ``terminal``."""
    n, dt = game.n_agents, game.dt
    off_mean = np.full((n, n), 1.0 / n) - np.eye(n)  # (Xbar - X_i) as linear forms of x
    noise = np.column_stack([np.full(n, game.rho), math.sqrt(1 - game.rho**2) * np.eye(n)])
    reward, terminal = np.zeros((n, 2 * n + 1, 2 * n + 1)), np.zeros((n, n + 1, n + 1))
    for i, gap in enumerate(off_mean):
        rate = n + 1 + i
        reward[i, :n, :n] = -0.5 * dt * game.epsilon * np.outer(gap, gap)
        reward[i, rate, :n] = reward[i, :n, rate] = 0.5 * dt * game.q * gap
        reward[i, rate, rate] = -0.5 * dt
        terminal[i, :n, :n] = -0.5 * game.c * np.outer(gap, gap)
    transition = np.eye(n) + dt * game.a * off_mean
    step = LQStep(transition, dt * np.eye(n), np.zeros(n), game.sigma * math.sqrt(dt) * noise, reward)
    steps, covariance = (step,) * game.n_steps, game.initial_sd**2 * np.eye(n)
    return LQGame((1,) * n, steps, terminal, np.ones(n), np.zeros(n), covariance)


THREE = Traders(
    sizes=(1, 2, 1), b1=(0.1, 0.13, 0.17), b2=(0.2, 0.12, 0.07), b3=(0.05, 0.01, 0.03), discount=(0.9, 0.97, 1.0),
    initial_inventory_mean=(1.0, -2.0, 0.5), initial_inventory_var=(4.0, 9.0, 1.0), horizon=3.0, n_steps=4, kappa=0.4,
)  # fmt: skip
BY_HAND: list[tuple[Any, Callable[[], LQGame]]] = [
    (LINEAR, lambda: market_by_hand(LINEAR)),
    (GENERAL, lambda: market_by_hand(GENERAL)),
    (replace(GENERAL, impact="none", n_agents=1), lambda: market_by_hand(replace(GENERAL, impact="none", n_agents=1))),
    (THREE, lambda: market_by_hand(THREE.market, THREE)),
    (Basket(discount=0.9), lambda: basket_by_hand(Basket(discount=0.9))),
    (Interbank(n_agents=4), lambda: interbank_by_hand(Interbank(n_agents=4))),
]


@pytest.mark.parametrize(("game", "by_hand"), BY_HAND, ids=lambda each: type(each).__name__)
def test_derived_matrices_are_those_written_by_hand(game: Any, by_hand: Callable[[], LQGame]) -> None:
    """And so are equilibria and their values, where rewards at the end stand in the last step or in ``terminal``."""
    derived, written = game.as_lq(), by_hand()
    for name in ("discount", "initial_mean", "initial_covariance"):
        np.testing.assert_allclose(getattr(derived, name), getattr(written, name), rtol=1e-13, atol=1e-13)
    for m, (ours, theirs) in enumerate(zip(derived.steps, written.steps, strict=True)):
        for name in ("transition", "control", "drift"):
            np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), atol=1e-13)
        np.testing.assert_allclose(ours.noise @ ours.noise.T, theirs.noise @ theirs.noise.T, atol=1e-14)
        if m < game.n_steps - 1 or not written.terminal.any():
            np.testing.assert_allclose(ours.reward, theirs.reward, atol=1e-13)
    (policies, values), (expected, worth) = solve_nash(derived), solve_nash(written)
    np.testing.assert_allclose(policies.gains, expected.gains, rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(policies.offsets, expected.offsets, rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(values.matrices[:-1], worth.matrices[:-1], rtol=1e-10, atol=1e-12)


def test_equal_steps_are_one_step() -> None:
    assert len({id(step) for step in LINEAR.as_lq().steps}) == 2  # the last has the penalty of what is left


@dataclass(frozen=True)
class Bent(Interbank):
    """Not linear-quadratic, in one place."""

    n_agents: int = 3
    where: str = ""

    def step(self, state: InterbankState, actions: Tensor, shocks: Any) -> Any:
        """As the game's, but for what ``where`` says."""
        if self.where == "old noise" and state.step == 2:
            shocks = shocks._replace(noise=shocks.noise + shocks.noise.roll(1, -2))
        after, rewards = super().step(state, actions, shocks)
        first, third = torch.eye(3, dtype=rewards.dtype)[[0, 2]]
        if self.where == "transition" and state.step == 2:
            after = after._replace(reserves=after.reserves + 1e-4 * first * actions.squeeze(-1) ** 2)
        elif self.where == "volatility":
            after = after._replace(reserves=after.reserves + first * state.reserves * shocks.noise[..., state.step, 1:])
        elif self.where == "floor":
            after = after._replace(reserves=after.reserves.clamp(min=-50.0))
        elif self.where == "reward" and state.step == 1:
            rewards = rewards - 1e-4 * third * state.reserves**4
        return after, rewards


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("transition", "step 2: component 0 of the state is not linear: its derivatives vary"),
        ("volatility", "step 0: component 0 of the state is not linear"),
        ("floor", "step 0: component 0 of the state is not linear"),
        ("reward", "step 1: reward of agent 2 is not quadratic: its derivatives vary"),
        ("old noise", "step 2 has noise of the start or of an earlier step"),
    ],
)
def test_a_game_of_another_kind_is_told_where(where: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^not linear-quadratic: {message}[^\\n]*$"):
        Bent(where=where).as_lq()


def test_the_papers_market_is_of_another_kind() -> None:
    """Its settings say so; without them the derivatives would."""
    for change, message in (({"impact": "sqrt"}, "impact = 'sqrt'"), ({"price_floor": 0.01}, r"price_floor = 0\.01")):
        other: Any = replace(LINEAR, **change)
        with pytest.raises(ValueError, match=f"{message}.* makes the market linear-quadratic"):
            other.as_lq()
        with pytest.raises(ValueError, match="step 0: component 0 of the state is not linear"):
            super(Market, other).as_lq()
    with pytest.raises(ValueError, match="impact = 'sqrt'"):
        replace(Traders(), impact="sqrt").as_lq()


def test_noise_in_quadratic_rewards_is_part_of_their_mean() -> None:
    """The mean of (x + 3 w)^2 is x^2 + 9."""

    @dataclass(frozen=True)
    class Wobble(Interbank):
        n_agents: int = 2
        n_steps: int = 1

        def step(self, state: InterbankState, actions: Tensor, shocks: Any) -> Any:
            after, _ = super().step(state, actions, shocks)
            return after, -((state.reserves + 3 * shocks.noise[..., 0, 1:]) ** 2) - actions.squeeze(-1) ** 2

    reward = Wobble().as_lq().steps[0].reward
    expected = [np.diag([-1.0, 0, -9, -1, 0]), np.diag([0, -1.0, -9, 0, -1])]
    np.testing.assert_allclose(reward, expected, atol=1e-14)


def test_expansion_of_a_polynomial() -> None:
    def function(y: Tensor) -> Tensor:
        return torch.stack((1 + 2 * y[0] - y[1], 5 + y[0] + y[0] * y[1] + 3 * y[1] ** 2))

    value, slope, curvature = expand(function, 2, ("a", "b"), linear=1)
    np.testing.assert_allclose(value, [1, 5])
    np.testing.assert_allclose(slope, [[2, -1], [1, 0]])
    np.testing.assert_allclose(curvature, [[[0, 1], [1, 6]]])
    with pytest.raises(ValueError, match="^b is not linear"):
        expand(function, 2, ("a", "b"), linear=2)
