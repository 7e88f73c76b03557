"""Several assets: one is the market, uncoupled ones are separate games, and coupled ones are, in another basis."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from nash_dqn.games.base import ObservationSpec
from nash_dqn.games.basket import Basket, BasketState
from nash_dqn.games.lq import Equilibrium, FloatArray, solve_nash
from nash_dqn.games.market import Market
from nash_dqn.seeding import generator
from tests.common import LINEAR as MARKET


def single(market: Market) -> Basket:
    """A market as a basket of one asset."""
    assert market.initial_price_sd is not None and market.initial_impact_sd is not None
    return Basket(
        n_agents=market.n_agents, horizon=market.horizon, n_steps=market.n_steps, kappa=(market.kappa,),
        theta=(market.theta,), sigma=(market.sigma,), correlation=((1.0,),), gamma=((market.gamma,),),
        rho=(market.rho,), eta=((market.eta,),), b1=((market.b1,),), b2=((market.b2,),), b3=((market.b3,),),
        discount=market.discount, initial_inventory_var=(market.initial_inventory_var,),
        initial_price_sd=(market.initial_price_sd,), initial_impact_sd=(market.initial_impact_sd,),
    )  # fmt: skip


def of_asset(basket: Basket, k: int) -> Basket:
    """The game in one asset of a basket, without the others."""
    vectors = ("kappa", "theta", "sigma", "rho", "initial_inventory_var", "initial_price_sd", "initial_impact_sd")
    matrices = ("correlation", "gamma", "eta", "b1", "b2", "b3")
    change: dict[str, Any] = {name: (getattr(basket, name)[k],) for name in vectors}
    change |= {name: ((getattr(basket, name)[k][k],),) for name in matrices}
    return replace(basket, **change)


def solved(game: Basket) -> tuple[Equilibrium, FloatArray]:
    """The equilibrium and its values [N] over the initial distribution."""
    lq = game.as_lq()
    equilibrium = solve_nash(lq)
    return equilibrium, equilibrium.values.expected(lq.initial_mean, lq.initial_covariance)


def test_one_asset_is_the_linear_market() -> None:
    game = single(MARKET)
    normal = torch.randn(30, MARKET.normals_per_episode, generator=generator(1, "basket"), dtype=torch.float64)
    ours, theirs = game.shocks_from_normals(normal), MARKET.shocks_from_normals(normal)
    state, other = game.reset(ours), MARKET.reset(theirs)
    spec = ObservationSpec(inventories="visible")
    for m in range(MARKET.n_steps):
        rates = torch.randn(30, 3, 1, generator=generator(m, "basket", "rates"), dtype=torch.float64)
        for sd in (None, 7.0):
            away, market_away = game.excursion(state, rates, sd), MARKET.excursion(other, rates, sd)
            torch.testing.assert_close(away, market_away, rtol=1e-12, atol=1e-12)
        state, our_rewards = game.step(state, rates, ours)
        other, rewards = MARKET.step(other, rates, theirs)
        torch.testing.assert_close(our_rewards, rewards, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(state.price.squeeze(-1), other.price, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(state.impact.squeeze(-1), other.impact, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(state.inventory.squeeze(-1), other.inventory, rtol=1e-12, atol=1e-12)
        seen, market_seen = game.observe(state, spec), MARKET.observe(other, spec)
        without_order_flow = market_seen.own[..., [0, 1, 2, 4]]
        torch.testing.assert_close(seen.own, without_order_flow, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(seen.items, market_seen.items, rtol=1e-12, atol=1e-12)
    gains = solve_nash(MARKET.as_lq()).policies.gains
    np.testing.assert_allclose(solved(game)[0].policies.gains, gains, rtol=1e-10)


@pytest.mark.parametrize("step", [0, 9])
def test_one_step_asset_by_asset_in_plain_python(step: int) -> None:
    game = Basket(eta=((0.05, 0.02), (-0.01, 0.06)), gamma=((0.02, 0.015), (0.005, 0.03)))
    shocks = game.sample_shocks(1, generator(2, "basket")).map(torch.Tensor.double)
    start = game.reset(shocks)
    state = BasketState(step, start.price[0], start.impact[0], start.inventory[0])
    nu = [[1.0, -2.0], [3.0, 0.5], [-0.7, 1.2]]
    after, rewards = game.step(state, torch.tensor(nu, dtype=torch.float64), shocks.map(lambda leaf: leaf[0]))
    z, total, change = shocks.noise[0, step].tolist(), [sum(column) for column in zip(*nu, strict=True)], []
    noise = [0.1 * z[0], 0.15 * (0.6 * z[0] + 0.8 * z[1])]  # correlation 0.6 = 3/5, so the other weight is 4/5
    for k in range(2):
        price, impact = state.price[k].item(), state.impact[k].item()
        new_impact = impact * np.exp(-0.25) + 0.5 * sum(game.gamma[k][l] * total[l] for l in range(2))
        drift = game.kappa[k] * (game.theta[k] - price) + sum(game.eta[k][l] * total[l] for l in range(2))
        change.append(0.5 * drift + new_impact - impact + np.sqrt(0.5) * noise[k])
        assert after.impact[k].item() == pytest.approx(new_impact, abs=1e-12)
        assert after.price[k].item() == pytest.approx(price + change[k], abs=1e-12)
    for i, rates in enumerate(nu):
        held = [state.inventory[i, k].item() + 0.5 * rates[k] for k in range(2)]
        expected = sum(h * c for h, c in zip(held, change, strict=True))
        for k in range(2):
            for l in range(2):
                expected -= 0.5 * (game.b1[k][l] * rates[k] * rates[l] + game.b3[k][l] * held[k] * held[l])
                expected -= game.b2[k][l] * held[k] * held[l] if step == 9 else 0.0
        assert rewards[i].item() == pytest.approx(expected, abs=1e-11)


def test_two_assets_alike_separate_into_their_sum_and_difference() -> None:
    """Where all matrices are [[a, b], [b, a]] the portfolios (1, 1) / sqrt 2 and (1, -1) / sqrt 2 do not interact:

    a rotation leaves mark-to-market gains as they are, and each portfolio is a game with the eigenvalues a + b, a - b.
    """
    pairs = {"gamma": (0.03, 0.01), "eta": (0.05, 0.02), "b1": (0.1, 0.03), "b2": (0.12, 0.05), "b3": (0.03, 0.01)}
    matrices: dict[str, Any] = {name: ((a, b), (b, a)) for name, (a, b) in pairs.items()}
    twins = Basket(
        kappa=(0.4, 0.4), theta=(10.0, 10.0), sigma=(0.1, 0.1), rho=(0.5, 0.5), correlation=((1.0, 0.6), (0.6, 1.0)),
        initial_inventory_var=(50.0, 50.0), initial_price_sd=(0.3, 0.3), initial_impact_sd=(0.05, 0.05),
        **matrices,
    )  # fmt: skip
    (policies, _), values = solved(twins)
    rotation = np.array([[1.0, 1.0], [1.0, -1.0]]) / np.sqrt(2)
    worth = np.zeros(3)
    for k, sign in enumerate((1, -1)):
        share = np.sqrt(1 + 0.6 * sign)  # prices of the portfolio: sigma^2 (1 +- correlation)
        change: dict[str, Any] = {name: ((a + sign * b,),) for name, (a, b) in pairs.items()}
        one = replace(of_asset(twins, 0), sigma=(0.1 * share,), initial_price_sd=(0.3 * share,), **change)
        (alone, _), value = solved(one)
        blocks = policies.gains.reshape(10, 3, 2, 5, 2)  # step, agent, asset; state's entry, asset
        rotated = np.einsum("a,miajb,lb->lmij", rotation[k], blocks, rotation)
        np.testing.assert_allclose(rotated[k], alone.gains, atol=1e-12)
        np.testing.assert_allclose(rotated[1 - k], 0.0, atol=1e-12)
        # The twins' initial impacts are uncorrelated, so that both portfolios' have the same variance.
        worth += value
    np.testing.assert_allclose(values, worth, rtol=1e-12)
