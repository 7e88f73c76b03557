"""What every game is asked for: the market's answers, and discounts of groups."""

from dataclasses import replace

import pytest
import torch

from nash_dqn.games.base import Game, LinearQuadratic, discounts
from nash_dqn.games.market import Market
from nash_dqn.seeding import generator

MARKET = Market(
    n_agents=3, horizon=2.0, n_steps=4, kappa=0.5, theta=10.0, sigma=0.1, gamma=0.02, rho=0.7, eta=0.05, b1=0.11,
    b2=0.13, discount=0.9, impact="linear", price_floor=None,
)  # fmt: skip


def test_the_market_is_a_game_of_one_group() -> None:
    game: LinearQuadratic = MARKET  # mypy's test of the interface
    assert (game.n_agents, game.n_steps, game.action_dim, game.groups) == (3, 4, 1, (range(3),))
    assert game.action_scale == MARKET.scales.rate
    assert discounts(game) == [0.9, 0.9, 0.9]


def test_the_state_vector_is_the_state_of_the_matrices() -> None:
    """A step of the game without noise is one of the matrices."""
    shocks = MARKET.sample_shocks(5, generator(1, "test_base")).map(torch.Tensor.double)
    shocks = shocks._replace(noise=torch.zeros_like(shocks.noise))
    state = MARKET.reset(shocks)
    actions = torch.arange(15.0, dtype=torch.float64).view(5, 3, 1)
    after, _ = MARKET.step(state, actions, shocks)
    step = MARKET.as_lq().steps[0]
    matrices = (torch.from_numpy(of) for of in (step.transition, step.control, step.drift))
    transition, control, drift = matrices
    expected = MARKET.state_vector(state) @ transition.T + actions.flatten(1) @ control.T + drift
    torch.testing.assert_close(MARKET.state_vector(after), expected)


def test_discounts_of_groups() -> None:
    class Two:
        n_agents, groups, discount = 3, (range(2), range(2, 3)), (0.9, 0.5)

    two: Game = Two()  # type: ignore[assignment]
    assert discounts(two) == [0.9, 0.9, 0.5]
    Two.discount = (0.9, 0.5, 0.1)  # type: ignore[assignment]
    with pytest.raises(
        ValueError, match=r"^discount = \(0\.9, 0\.5, 0\.1\): allowed is a number, or one for each of 2"
    ):
        discounts(two)
    assert discounts(replace(MARKET, discount=1)) == [1.0, 1.0, 1.0]
