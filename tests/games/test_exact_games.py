"""What holds of every game whose equilibrium is known: the torch game and its matrices are one and the same game."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from nash_dqn.games.base import FeatureScales, ObservationSpec, discounts
from nash_dqn.games.basket import Basket
from nash_dqn.games.interbank import Interbank
from nash_dqn.games.lq import FloatArray, LinearPolicies, evaluate_policies, solve_nash
from nash_dqn.games.traders import Traders
from nash_dqn.seeding import generator
from tests.common import LINEAR

VISIBLE = ObservationSpec(inventories="visible")
# Every term present, no two parameters alike.
TRADERS = Traders(
    sizes=(1, 2, 1), b1=(0.1, 0.13, 0.17), b2=(0.2, 0.12, 0.07), b3=(0.05, 0.01, 0.03), discount=(0.9, 0.97, 1.0),
    initial_inventory_mean=(1.0, -2.0, 0.5), initial_inventory_var=(4.0, 9.0, 1.0), horizon=3.0, n_steps=4, kappa=0.4,
    theta=9.0, sigma=0.3, gamma=0.03, rho=0.7, eta=0.04, initial_price_sd=0.5, initial_impact_sd=0.2,
)  # fmt: skip
BASKET = Basket(
    n_agents=2, horizon=3.0, n_steps=4, kappa=(0.5, 0.3, 0.2), theta=(10.0, 20.0, 5.0), sigma=(0.1, 0.25, 0.2),
    correlation=((1.0, 0.6, -0.2), (0.6, 1.0, 0.1), (-0.2, 0.1, 1.0)),
    gamma=((0.02, 0.01, 0.0), (0.005, 0.03, 0.01), (-0.01, 0.0, 0.025)), rho=(0.5, 0.8, 0.3),
    eta=((0.05, 0.02, 0.01), (-0.01, 0.06, 0.0), (0.0, 0.02, 0.03)),
    b1=((0.1, 0.02, 0.0), (0.02, 0.12, 0.01), (0.0, 0.01, 0.15)),
    b2=((0.1, 0.03, 0.01), (0.03, 0.12, 0.0), (0.01, 0.0, 0.09)),
    b3=((0.02, 0.01, 0.0), (0.01, 0.04, 0.005), (0.0, 0.005, 0.03)), discount=0.9,
    initial_inventory_var=(4.0, 9.0, 2.0), initial_price_sd=(0.5, 0.3, 0.2), initial_impact_sd=(0.2, 0.1, 0.15),
)  # fmt: skip
INTERBANK = Interbank(
    n_agents=3, horizon=0.8, n_steps=4, a=0.7, q=0.9, epsilon=3.0, c=1.3, sigma=0.6, rho=0.3, initial_sd=0.7
)
GAMES = [LINEAR, TRADERS, BASKET, INTERBANK]
every_game = pytest.mark.parametrize("game", GAMES, ids=lambda game: type(game).__name__)


def without_noise(game: Any) -> Any:
    return replace(game, sigma=(0.0,) * game.action_dim if isinstance(game, Basket) else 0.0)


def returns_of(game: Any, policies: LinearPolicies, shocks: Any) -> FloatArray:
    """Discounted returns [E, N] in the torch game, in double precision."""
    state = game.reset(shocks)
    gamma, total = torch.tensor(discounts(game), dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    for m in range(game.n_steps):
        gains, offsets = torch.from_numpy(policies.gains[m]), torch.from_numpy(policies.offsets[m])
        actions = (offsets - game.state_vector(state) @ gains.T).unflatten(-1, (game.n_agents, game.action_dim))
        state, rewards = game.step(state, actions, shocks)
        total = total + gamma**m * rewards
    assert state.step == game.n_steps
    return np.asarray(total.numpy(), dtype=np.float64)


def shocks_of(game: Any, episodes: int, seed: int = 1) -> Any:
    """In double precision."""
    normal = torch.randn(
        episodes, game.normals_per_episode, generator=generator(seed, "exact_games"), dtype=torch.float64
    )
    return game.shocks_from_normals(normal)


def starts_of(game: Any, shocks: Any) -> FloatArray:
    return np.asarray(game.state_vector(game.reset(shocks)).numpy(), dtype=np.float64)


@every_game
def test_without_noise_values_are_the_returns_of_the_game(game: Any) -> None:
    """Any affine profile, from any state: right term by term, not at the equilibrium only."""
    game = without_noise(game)
    lq, rng = game.as_lq(), np.random.default_rng(0)
    shape = (game.n_steps, sum(lq.action_dims))
    # Gains small enough that ten steps of ten agents do not blow up.
    policies = LinearPolicies(rng.normal(scale=0.2, size=(*shape, lq.state_dim)), rng.normal(size=shape))
    shocks = shocks_of(game, 20)
    expected = evaluate_policies(lq, policies).at(0, starts_of(game, shocks))
    np.testing.assert_allclose(returns_of(game, policies, shocks), expected, rtol=1e-9, atol=1e-9)


@every_game
def test_equilibrium_values_are_the_mean_returns_of_the_game(game: Any) -> None:
    lq, episodes = game.as_lq(), 20_000
    policies, values = solve_nash(lq)
    shocks = shocks_of(game, episodes, seed=2)
    returns = returns_of(game, policies, shocks)
    expected = values.expected(lq.initial_mean, lq.initial_covariance)
    standard_error = returns.std(axis=0, ddof=1) / math.sqrt(episodes)
    assert (np.abs(returns.mean(axis=0) - expected) < 3.5 * standard_error).all()
    # Given where an episode starts less is left to chance.
    surprise = returns - values.at(0, starts_of(game, shocks))
    given_start = surprise.std(axis=0, ddof=1) / math.sqrt(episodes)
    assert (given_start < standard_error).all()
    assert (np.abs(surprise.mean(axis=0)) < 3.5 * given_start).all()


@every_game
def test_observations_have_their_size_and_are_of_order_one(game: Any) -> None:
    own_size, item_size = game.observation_size(VISIBLE)
    shocks = game.sample_shocks(4000, generator(7, "exact_games"))
    state = game.reset(shocks)
    seen = game.observe(state, VISIBLE)
    assert seen.own.shape == (4000, game.n_agents, own_size)
    assert seen.items is not None and seen.items.shape == (4000, game.n_agents, item_size)
    assert seen.own.dtype == torch.float32 and seen.step == 0
    assert (seen.own[..., 0] == -1).all()
    torch.testing.assert_close(seen.own[..., -item_size:], seen.items)
    size = seen.items.square().mean(0).sqrt()
    assert ((size > 0.2) & (size < 2.0)).all()
    while state.step < game.n_steps:
        state, _ = game.step(state, torch.zeros(4000, game.n_agents, game.action_dim), shocks)
    last = game.observe(state, VISIBLE).own
    assert (last[..., 0] == 1).all()
    assert last[..., 1:].square().mean((0, 1)).sqrt().max() < 3.0


@every_game
def test_leading_dimensions_are_arbitrary_and_actions_have_gradients(game: Any) -> None:
    """An ensemble [K, E] plays what its members [E] play alone."""
    shape = (2, 3, game.n_agents, game.action_dim)
    actions = torch.randn(shape, generator=generator(8, "exact_games"), dtype=torch.float64).requires_grad_()
    shocks = shocks_of(game, 6)
    ensemble = shocks.map(lambda leaf: leaf.unflatten(0, (2, 3)))
    state, rewards = game.step(game.reset(ensemble), actions, ensemble)
    member = ensemble.map(lambda leaf: leaf[1])
    state_alone, alone = game.step(game.reset(member), actions[1], member)
    torch.testing.assert_close(rewards[1], alone, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(game.state_vector(state)[1], game.state_vector(state_alone), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(game.observe(state, VISIBLE).own[1], game.observe(state_alone, VISIBLE).own)
    _, later = game.step(state, torch.zeros_like(actions), ensemble)
    (gradient,) = torch.autograd.grad((rewards + later)[..., 0].sum(), actions)
    assert (gradient != 0).all()  # the others' too: they move agent 0's prices, or the mean reserves


def test_a_game_that_hides_nothing_has_one_view() -> None:
    """No feature, and no scale, is quietly left out of account."""
    scales = FeatureScales(time_centre=0, time=1, price=1, impact=1, flow=1, inventory=1)
    others: dict[str, Any] = {
        "inventories": "private", "own_flow": True, "price": "S-Y", "order_flow": "others_mean", "scales": scales,
    }  # fmt: skip
    state = INTERBANK.reset(shocks_of(INTERBANK, 1))
    for name, value in others.items():
        with pytest.raises(ValueError, match=f"observation.{name} = .* only$"):
            INTERBANK.observe(state, replace(VISIBLE, **{name: value}))


def test_discounts_are_one_or_one_for_each_group() -> None:
    assert discounts(TRADERS) == [0.9, 0.97, 0.97, 1.0] and discounts(replace(LINEAR, discount=1)) == [1.0, 1.0, 1.0]
    wrong: Any = replace(TRADERS)
    object.__setattr__(wrong, "discount", (0.9, 0.5))
    with pytest.raises(ValueError, match=r"^discount = \(0\.9, 0\.5\): allowed is a number, or one for each of 3"):
        discounts(wrong)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Traders(sizes=()), r"sizes: got \[\], expected a list of at least 1, each a whole number >= 1"),
        (lambda: Traders(b1=(0.1,)), r"b1: got \[0.1\], expected 2 of them, one per group"),
        (lambda: Basket(eta=((1.0, 0.0),)), "eta: got .*, expected a 2 x 2 matrix"),
        (lambda: Basket(b1=((1.0, 2.0), (2.0, 1.0))), "b1: got .*, expected a symmetric, positive definite matrix"),
        (lambda: Basket(b2=((1.0, 0.1), (0.2, 1.0))), "b2: got .*, expected a symmetric, positive semidefinite matrix"),
        (lambda: Basket(correlation=((1.0, 0.0), (0.0, 2.0))), "correlation: got .*, expected .* unit diagonal"),
        (lambda: Interbank(q=2.0, epsilon=3.0), r"epsilon: got 3, expected at least q\^2 \(4\)"),
        (lambda: Interbank(c=math.inf), "c: got .inf, expected a number >= 0"),
    ],
)
def test_a_wrong_parameter_is_refused_in_one_line(build: Any, message: str) -> None:
    """A kind each."""
    with pytest.raises(ValueError, match=message) as error:
        build()
    assert "\n" not in str(error.value)
