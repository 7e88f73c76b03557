"""A small market and policies whose rates can be computed by hand."""

from collections.abc import Callable, Sequence

import pytest
import torch

from nash_dqn.games.base import ObservationSpec
from nash_dqn.games.market import Market
from nash_dqn.networks import MLP, ObservationNetwork
from nash_dqn.policy import Policy

LinearPolicy = Callable[..., Policy]


@pytest.fixture
def market() -> Market:
    """Three agents, four steps, discounting, every parameter different from zero and from one another."""
    return Market(
        n_agents=3,
        horizon=2.0,
        n_steps=4,
        kappa=0.5,
        theta=10.0,
        sigma=0.1,
        gamma=0.02,
        rho=0.7,
        eta=0.05,
        b1=0.11,
        b2=0.13,
        b3=0.03,
        discount=0.9,
        impact="sqrt",
        price_floor=0.01,
        initial_inventory_var=50.0,
        initial_price_sd=0.3,
        initial_impact_sd=0.06,
    )


@pytest.fixture
def linear() -> LinearPolicy:
    """Build a policy of K members: rate = weights . features + bias, one pair of weights and bias per member.

    Features, standardised: time, price, transient impact, order flow, own inventory(, own flow or others).
    """

    def build(
        weights: Sequence[Sequence[float]],
        biases: Sequence[float] | None = None,
        spec: ObservationSpec | None = None,
        algorithm: str = "nash_dqn",
        bound: float | None = None,
    ) -> Policy:
        weight = torch.tensor(weights).unsqueeze(-1)
        bias = torch.tensor(biases or [0.0] * len(weights)).view(-1, 1, 1)
        network = ObservationNetwork(None, MLP([weight], [bias]))
        seeds = list(range(1, len(weights) + 1))
        return Policy(network, spec or ObservationSpec(), seeds, algorithm, bound)

    return build
