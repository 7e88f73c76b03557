"""Features in the basis are uncorrelated and of unit variance on episodes that the basis has not seen."""

import dataclasses
import math

import pytest
import torch
from torch import Tensor

from nash_dqn.agents.decorrelation import decorrelating_basis
from nash_dqn.games.base import ObservationSpec
from nash_dqn.games.market import Market
from nash_dqn.seeding import generator
from tests.common import SHORT

# Little price noise: price, transient impact and order flow are nearly one direction.
MARKET = dataclasses.replace(SHORT, kappa=0.1, sigma=0.01)
SPECS = [ObservationSpec(price="S-Y", order_flow="others_mean"), ObservationSpec(own_flow=True, inventories="visible")]


def observed(market: Market, spec: ObservationSpec, episodes: int) -> list[Tensor]:
    """Own features [E, N, F] of each step when all liquidate, -q / (T - t), with noise of 0.3 of the rate's scale."""
    shocks = market.sample_shocks(episodes, generator(7, "test", "episodes")).map(Tensor.double)
    stream = generator(7, "test", "noise")
    state, features = market.reset(shocks), []
    for m in range(market.n_steps):
        features.append(market.observe(state, spec).own)
        noise = torch.randn(episodes, market.n_agents, generator=stream, dtype=torch.float64)
        rates = -state.inventory / (market.horizon - m * market.dt) + 0.3 * market.scales.rate * noise
        state, _ = market.step(state, rates.unsqueeze(-1), shocks)
    return features


def second_moments(features: Tensor) -> Tensor:
    flat = features.flatten(0, -2)
    return flat.T @ flat / len(flat)


@pytest.mark.parametrize("spec", SPECS)
def test_features_of_fresh_episodes_have_unit_covariance(spec: ObservationSpec) -> None:
    basis = decorrelating_basis(MARKET, spec).double()
    raw = observed(MARKET, spec, 20_000)
    size = MARKET.observation_size(spec)[0]
    assert basis.shape == (MARKET.n_steps, size, size)
    for m in range(1, MARKET.n_steps):
        moments = second_moments((raw[m] @ basis[m])[..., 1:])
        torch.testing.assert_close(moments, torch.eye(size - 1, dtype=torch.float64), rtol=0, atol=0.1)
    assert (basis[:, 0, 0] == 1).all() and not basis[:, 0, 1:].any() and not basis[:, 1:, 0].any(), "time is left alone"
    # In plain features the same second moments are nearly singular: there is something to decorrelate.
    assert torch.linalg.cond(second_moments(raw[-1][..., 1:])) > 50


def test_a_direction_without_spread_keeps_its_scale() -> None:
    """Before the first trade there is no flow, and the other features are independent: their scales are known."""
    basis = decorrelating_basis(MARKET, ObservationSpec(own_flow=True))[0, 1:, 1:].double()
    scales = MARKET.scales
    sd = torch.tensor([MARKET.price_sd / scales.price, MARKET.impact_sd / scales.impact, 1.0], dtype=torch.float64)
    moved = [0, 1, 3]  # price, transient impact, own inventory
    gram = basis @ basis.T  # the inverse of the second moments, but 1 along the flows
    torch.testing.assert_close(gram[[2, 4]][:, [2, 4]], torch.eye(2, dtype=torch.float64), rtol=0, atol=1e-6)
    assert gram[[2, 4]][:, moved].abs().max() < 1e-6 * float(gram.max())
    torch.testing.assert_close(gram[moved][:, moved].diagonal().rsqrt(), sd, rtol=0.03, atol=0)


def test_features_that_are_always_the_same_number_are_not_blown_up() -> None:
    """A lone trader's own flow is the order flow, so one direction of the two never varies."""
    market, spec = dataclasses.replace(MARKET, n_agents=1), ObservationSpec(own_flow=True)
    basis = decorrelating_basis(market, spec).double()
    for m, features in enumerate(observed(market, spec, 2000)[1:], start=1):
        moments = torch.linalg.eigvalsh(second_moments((features @ basis[m])[..., 1:]))
        assert moments[0] < 1e-6
        assert moments[1] > 0.8
        difference = torch.tensor([0.0, 0.0, 1.0, 0.0, -1.0], dtype=torch.float64) / math.sqrt(2)
        assert float((difference @ basis[m, 1:, 1:]).norm()) == pytest.approx(1.0, abs=1e-3)
