"""Matrices derived from simulators, against matrices written by hand, and games that have none."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from nash_dqn.games.derive import expand
from nash_dqn.games.interbank import Interbank, InterbankState
from nash_dqn.games.lq import LQGame, LQStep
from nash_dqn.games.market import Market
from nash_dqn.games.traders import Traders
from tests.common import LINEAR


def market_by_hand(market: Market) -> LQGame:
    """Dynamics and rewards of section 6, linear impact or none, over z = (S - theta, Y, q)."""
    agents, dt = market.n_agents, market.dt
    n = agents + 2
    unit = np.eye(n + 1 + agents)  # each row is one entry of y = (z, 1, u) as a linear form of y
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
    running = 0.5 * (gain + gain.transpose(0, 2, 1)) - dt * (market.b3 * holding + market.b1 * trading)
    steps = [
        LQStep(dynamics[:, :n], dynamics[:, n + 1 :], dynamics[:, n], noise, reward)
        for reward in [running] * (market.n_steps - 1) + [running - market.b2 * holding]
    ]
    return LQGame(
        action_dims=(1,) * agents,
        steps=tuple(steps),
        terminal=np.zeros((agents, n + 1, n + 1)),
        discount=np.full(agents, market.discount),
        initial_mean=np.zeros(n),
        initial_covariance=np.diag([market.price_sd**2, market.impact_sd**2, *[market.initial_inventory_var] * agents]),
    )


@pytest.mark.parametrize("market", [LINEAR, replace(LINEAR, impact="none", n_agents=1)])
def test_derived_matrices_are_those_written_by_hand(market: Market) -> None:
    derived, written = market.as_lq(), market_by_hand(market)
    for name in ("discount", "initial_mean", "initial_covariance"):
        np.testing.assert_allclose(getattr(derived, name), getattr(written, name), rtol=1e-13, atol=1e-13)
    for ours, theirs in zip(derived.steps, written.steps, strict=True):
        for name in ("transition", "control", "drift", "reward"):
            np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), atol=1e-13)
        np.testing.assert_allclose(ours.noise @ ours.noise.T, theirs.noise @ theirs.noise.T, atol=1e-14)


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
