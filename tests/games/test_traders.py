"""Different traders in one market: the market itself where they are alike, and what differs where they are not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from nash_dqn.games.base import ObservationSpec
from nash_dqn.games.lq import solve_nash
from nash_dqn.games.market import Market
from nash_dqn.games.traders import Traders
from nash_dqn.seeding import generator

MARKET = Market(
    n_agents=5, horizon=5.0, n_steps=10, kappa=0.5, theta=10.0, sigma=0.1, gamma=0.02, rho=0.5, eta=0.05,
    b1=0.1, b2=0.1, b3=0.03, discount=0.9, impact="linear", price_floor=None,
)  # fmt: skip
SHARED = ("horizon", "n_steps", "kappa", "theta", "sigma", "gamma", "rho", "eta", "impact", "price_floor")
# The same agents, in two groups of equal preferences.
ALIKE = Traders(
    sizes=(2, 3), b1=(0.1,) * 2, b2=(0.1,) * 2, b3=(0.03,) * 2, discount=(0.9,) * 2, initial_inventory_mean=(0.0,) * 2,
    initial_inventory_var=(50.0,) * 2, **{name: getattr(MARKET, name) for name in SHARED},
)  # fmt: skip


def test_agents_who_are_alike_play_the_market_to_the_bit() -> None:
    market = replace(MARKET, impact="sqrt", price_floor=0.01)
    game = replace(ALIKE, impact="sqrt", price_floor=0.01)
    normal = torch.randn(50, market.normals_per_episode, generator=generator(1, "traders"))
    shocks = market.shocks_from_normals(normal)
    assert all(torch.equal(a, b) for a, b in zip(game.shocks_from_normals(normal), shocks, strict=True))
    ours, theirs = game.reset(shocks), market.reset(shocks)
    spec = ObservationSpec(own_flow=True, inventories="visible")
    for m in range(market.n_steps):
        rates = 3 * torch.randn(50, 5, 1, generator=generator(m, "traders", "rates"))
        ours, our_rewards = game.step(ours, rates, shocks)
        theirs, rewards = market.step(theirs, rates, shocks)
        assert torch.equal(our_rewards, rewards)
        assert all(torch.equal(torch.as_tensor(a), torch.as_tensor(b)) for a, b in zip(ours, theirs, strict=True))
        torch.testing.assert_close(game.observe(ours, spec).own, market.observe(theirs, spec).own, rtol=1e-6, atol=1e-6)
    assert game.action_scale == pytest.approx(market.scales.rate, rel=1e-12)
    away = torch.randn(50, 1, 1, generator=generator(2, "traders"))
    torch.testing.assert_close(game.excursion(ours, away), market.excursion(theirs, away))


@pytest.mark.parametrize("step", [0, 9])
def test_rewards_by_hand(step: int) -> None:
    """r_i = q'_i (S' - S) - (b1 nu_i^2 + b3 q'_i^2) dt - 1{last step} b2 q'_i^2, each group with its own b."""
    game = Traders()
    shocks = game.sample_shocks(4, generator(2, "traders")).map(torch.Tensor.double)
    state = game.reset(shocks)._replace(step=step)
    rates = torch.tensor([[1.0, -2.0, 3.0, 0.5, -1.5]] * 4, dtype=torch.float64)
    after, rewards = game.step(state, rates.unsqueeze(-1), shocks)
    for i, (b1, b2, b3) in enumerate([(0.1, 0.2, 0.05)] * 2 + [(0.15, 0.1, 0.0)] * 3):
        held = state.inventory[:, i] + 0.5 * rates[:, i]
        expected = held * (after.price - state.price) - 0.5 * (b1 * rates[:, i] ** 2 + b3 * held**2)
        expected -= b2 * held**2 if step == 9 else 0.0
        torch.testing.assert_close(rewards[:, i], expected, rtol=1e-12, atol=1e-12)


def test_without_impact_each_group_liquidates_at_its_own_constant_rate() -> None:
    """b2 / (b1 + b2 time left), Almgren and Chriss (2000) without risk aversion, whatever the others do."""
    game = replace(Traders(), eta=0.0, impact="none", b3=(0.0, 0.0), discount=(1.0, 1.0))
    gains = solve_nash(game.as_lq()).policies.gains
    left = 0.5 * np.arange(10, 0, -1)
    for agent, b1, b2 in ((0, 0.1, 0.2), (1, 0.1, 0.2), (2, 0.15, 0.1), (4, 0.15, 0.1)):
        np.testing.assert_allclose(gains[:, agent, 2 + agent], b2 / (b1 + b2 * left), rtol=1e-12)
        np.testing.assert_allclose(np.delete(gains[:, agent, 2:], agent, axis=1), 0.0, atol=1e-14)
