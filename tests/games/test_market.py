"""The market against section 6 in plain Python, what must hold of any market, and known equilibria."""

import itertools
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from nash_dqn.games.base import FeatureScales, ObservationSpec
from nash_dqn.games.lq import solve_nash
from nash_dqn.games.market import Market, MarketState, Shocks
from nash_dqn.seeding import generator

# The released code's values (Table 1 but for kappa and sigma).
RELEASED = Market(
    n_agents=5, horizon=5.0, n_steps=10, kappa=0.5, theta=10.0, sigma=0.1, gamma=0.02, rho=0.5, eta=0.05,
    b1=0.1, b2=0.1,
)  # fmt: skip
# Every term present, no two parameters alike.
GENERAL = Market(
    n_agents=3, horizon=3.0, n_steps=4, kappa=0.4, theta=9.0, sigma=0.3, gamma=0.15, rho=0.7, eta=0.05,
    b1=0.11, b2=0.23, b3=0.031, discount=0.9, initial_inventory_var=4.0, initial_price_sd=0.5, initial_impact_sd=0.2,
)  # fmt: skip
SCALES = FeatureScales(time_centre=0.7, time=1.3, price=0.2, impact=0.04, flow=1.7, inventory=4.5)
SPECS = [
    ObservationSpec(price, flow, own_flow, inventories)
    for price in ("S", "S-Y")
    for flow in ("total", "others_mean")
    for own_flow in (False, True)
    for inventories in ("private", "visible")
]


def shocks_of(game: Market, episodes: int, seed: int = 1) -> Shocks:
    """In double precision."""
    return game.sample_shocks(episodes, generator(seed, "test_market")).map(Tensor.double)


def rates_of(game: Market, episodes: int, seed: int = 2) -> Tensor:
    """Arbitrary rates [E, M, N, 1] in double precision, shares/hour."""
    shape = (episodes, game.n_steps, game.n_agents, 1)
    return 3.0 * torch.randn(shape, generator=generator(seed, "test_market"), dtype=torch.float64)


def simulate(game: Market, rates: Tensor, shocks: Shocks) -> tuple[list[MarketState], Tensor]:
    """All M + 1 states, and the rewards [..., M, N], of rates [..., M, N, 1]."""
    states, rewards = [game.reset(shocks)], []
    for m in range(game.n_steps):
        state, reward = game.step(states[-1], rates[..., m, :, :], shocks)
        states.append(state)
        rewards.append(reward)
    return states, torch.stack(rewards, -2)


def plain_episode(game: Market, rates: list[list[float]], shocks: Shocks) -> list[dict[str, Any]]:
    """One episode in plain Python: equations (20)-(22) as the released code steps them.

    Returns:
        Price, impact, inventories and rewards after each step.
    """
    n, dt = game.n_agents, game.horizon / game.n_steps
    price, impact, held = shocks.price.item(), shocks.impact.item(), shocks.inventory.tolist()
    steps = []
    for m, nu in enumerate(rates):
        total = sum(nu)
        law = {"sqrt": math.copysign(math.sqrt(abs(total)), total), "linear": total, "none": 0.0}[game.impact]
        new_impact = impact * math.exp(-game.rho * dt) + game.gamma * law * dt
        new_price = price + (game.kappa * (game.theta - price) + game.eta * total) * dt + (new_impact - impact)
        new_price += game.sigma * math.sqrt(dt) * shocks.noise[m].item()
        if game.price_floor is not None:
            new_price = max(new_price, game.price_floor)
        held = [held[i] + nu[i] * dt for i in range(n)]
        rewards = [
            held[i] * (new_price - price) - game.b1 * nu[i] ** 2 * dt - game.b3 * held[i] ** 2 * dt for i in range(n)
        ]
        if m == game.n_steps - 1:
            rewards = [reward - game.b2 * q**2 for reward, q in zip(rewards, held, strict=True)]
        price, impact = new_price, new_impact
        steps.append({"price": price, "impact": impact, "inventory": held, "rewards": rewards})
    return steps


# --- dynamics and rewards -----------------------------------------------------------------------------------


def test_rewards_sum_to_the_objective_less_the_initial_mark() -> None:
    """Equation (22): X_T + q_T (S_T - b2 q_T) - b3 int q^2 dt, less q_0 S_0, whatever was traded, wherever S went."""
    game = replace(GENERAL, price_floor=9.0, initial_inventory_var=50.0)
    shocks, rates = shocks_of(game, 200), rates_of(game, 200)
    states, rewards = simulate(game, rates, shocks)
    cash = torch.zeros(200, 3, dtype=torch.float64)
    held_squared = torch.zeros_like(cash)
    for m in range(game.n_steps):
        nu = rates[:, m, :, 0]
        cash -= nu * (states[m].price[:, None] + game.b1 * nu) * 0.75
        held_squared += states[m + 1].inventory ** 2 * 0.75
    q, price = states[-1].inventory, states[-1].price[:, None]
    objective = cash + q * (price - game.b2 * q) - game.b3 * held_squared
    mark = states[0].inventory * states[0].price[:, None]
    assert game.b3 != 0
    torch.testing.assert_close(rewards.sum(-2), objective - mark, rtol=1e-12, atol=1e-11)


@pytest.mark.parametrize(
    "change",
    [
        {"price_floor": 9.0},
        {"impact": "linear", "price_floor": None},
        {"impact": "none", "n_agents": 1},
        {"n_agents": 2, "n_steps": 7, "horizon": 8.0, "b3": 0.0, "rho": 0.0, "gamma": 0.0},
    ],
)
def test_step_agrees_with_plain_python(change: dict[str, Any]) -> None:
    """For any N, T and M. The square root's finite slope at zero costs at most 1e-6 here."""
    game = replace(GENERAL, **change)
    shocks, rates = shocks_of(game, 6), rates_of(game, 6)
    states, rewards = simulate(game, rates, shocks)
    floored = 0
    for e in range(6):
        steps = plain_episode(game, rates[e, ..., 0].tolist(), Shocks(*(leaf[e] for leaf in shocks)))
        for m, expected in enumerate(steps):
            assert states[m + 1].price[e].item() == pytest.approx(expected["price"], abs=1e-6)
            assert states[m + 1].impact[e].item() == pytest.approx(expected["impact"], abs=1e-6)
            assert states[m + 1].inventory[e].tolist() == pytest.approx(expected["inventory"], abs=1e-12)
            assert rewards[e, m].tolist() == pytest.approx(expected["rewards"], abs=1e-5)
            floored += expected["price"] == game.price_floor
    assert floored or game.price_floor != 9.0, "the floor was never met"


# --- excursions ---------------------------------------------------------------------------------------------


def test_an_excursion_is_the_way_to_its_target_in_an_hour() -> None:
    """nu = z - q (released code), at every step alike; z of the initial inventories' spread, 2, or of a given one."""
    states, _ = simulate(GENERAL, rates_of(GENERAL, 5), shocks_of(GENERAL, 5))
    normals = torch.randn(5, 1, 1, generator=generator(3, "test_market")).double()
    for state, (sd, spread) in itertools.product(states[:-1], ((None, 2.0), (10.0, 10.0))):
        rates = GENERAL.excursion(state, normals, sd)
        assert rates.shape == (5, 3, 1)
        for e in range(5):
            for i in range(3):
                expected = spread * normals[e].item() - state.inventory[e, i].item()
                assert rates[e, i].item() == pytest.approx(expected, rel=1e-12, abs=1e-12)


# --- gradients ----------------------------------------------------------------------------------------------


def test_differentiable_in_the_actions() -> None:
    """Rewards and observations of a short game; away from v = 0, where the square root is steep."""
    game = replace(GENERAL, n_agents=2, n_steps=2)
    shocks, rates = shocks_of(game, 2), rates_of(game, 2)
    assert rates.sum((-1, -2)).abs().min() > 0.1

    def play(actions: Tensor) -> tuple[Tensor, ...]:
        states, rewards = simulate(game, actions, shocks)
        seen = game.observe(states[-1], ObservationSpec("S-Y", "others_mean", True, "visible"))
        assert seen.items is not None
        return rewards, seen.own, seen.items

    assert torch.autograd.gradcheck(play, rates.requires_grad_())


def test_gradients_are_finite_where_nobody_trades() -> None:
    """sign(v) sqrt|v| has an infinite slope at v = 0; the simulator's is finite, and zero trade has zero impact."""
    shocks = shocks_of(GENERAL, 4)
    for rates in (torch.zeros(4, 4, 3, 1), torch.tensor([1.0, -1.0, 0.0]).view(3, 1).repeat(4, 4, 1, 1)):
        rates = rates.double().requires_grad_()
        states, rewards = simulate(GENERAL, rates, shocks)
        decayed = shocks.impact * math.exp(-GENERAL.rho * GENERAL.horizon)
        torch.testing.assert_close(states[-1].impact, decayed, rtol=1e-12, atol=1e-15)
        (gradient,) = torch.autograd.grad(rewards.sum(), rates)
        assert gradient.isfinite().all()
        assert (gradient != 0).all()


# --- observations -------------------------------------------------------------------------------------------


def test_standardisation_constants_by_hand() -> None:
    """At the released values, with v = 5 agents liquidating: sd(v) = sqrt(5 * 50) / 5 = 3.1623 shares/hour.

    Price: initial spread 0.3157 (its square is 0.1 sqrt(1 - exp(-5)), the stationary standard deviation), noise
    0.1 sqrt(5), permanent impact 0.05 * 15.811. Impact: 0.05 and 0.02 sqrt(3.1623) (1 - exp(-2.5)) / 0.5.
    """
    scales = RELEASED.scales
    assert scales.inventory == pytest.approx(7.071068, rel=1e-6)
    assert scales.flow == pytest.approx(15.811388, rel=1e-6)
    assert scales.rate == pytest.approx(7.071068 / 5, rel=1e-6)
    assert scales.price == pytest.approx(math.sqrt(0.0996625 + 0.05 + 0.625), rel=1e-6)
    assert scales.impact == pytest.approx(math.hypot(0.05, 0.02 * 1.778279 * 1.835830), rel=1e-6)
    assert replace(RELEASED, impact="none").scales.impact == pytest.approx(0.05)
    linear = replace(RELEASED, impact="linear").scales.impact
    assert linear == pytest.approx(math.hypot(0.05, 0.02 * 3.162278 * 1.835830), rel=1e-6)
    undamped = replace(RELEASED, impact="linear", rho=0.0).scales.impact
    assert undamped == pytest.approx(math.hypot(0.05, 0.02 * 3.162278 * 5), rel=1e-6)


@pytest.mark.parametrize(("scales", "n_agents"), [(None, 3), (SCALES, 3), (SCALES, 1)])
def test_observations_agree_with_a_loop(scales: FeatureScales | None, n_agents: int) -> None:
    """Section 6.1: time, price, transient impact, order flow sum_j (q_j - q_{j,0}), own inventory (, own flow).

    Where inventories are visible, item j is q_j (, and with own flow its past order flow), in the same units. With
    scales of a specification's own: time to go less its centre, flow per agent whose flow is summed.
    """
    game, n, sd = replace(GENERAL, n_agents=n_agents), n_agents, 2.0
    rate = math.sqrt(n) * sd / 3.0
    price_unit = math.sqrt(0.5**2 + 0.3**2 * 3.0 + (0.05 * rate * 3.0) ** 2)
    impact_unit = math.hypot(0.2, 0.15 * math.sqrt(rate) * (1 - math.exp(-0.7 * 3.0)) / 0.7)
    states, _ = simulate(game, rates_of(game, 4), shocks_of(game, 4))
    for spec, (m, state) in itertools.product(SPECS, enumerate(states)):
        seen = game.observe(state, replace(spec, scales=scales))
        for e in range(4):
            held, start = state.inventory[e].tolist(), state.initial_inventory[e].tolist()
            flows = [q - q0 for q, q0 in zip(held, start, strict=True)]
            price, impact = state.price[e].item(), state.impact[e].item()
            price -= impact if spec.price == "S-Y" else 0.0
            for i in range(n):
                total = spec.order_flow == "total"
                whose = [flows[j] for j in range(n) if total or j != i]
                if scales is None:  # the mean of the others' flows is in units of one agent's inventory
                    flow = sum(whose) / (math.sqrt(n) * sd if total else max(n - 1, 1) * sd)
                    expected = [2 * m / 4 - 1, (price - 9.0) / price_unit, impact / impact_unit, flow, held[i] / sd]
                else:
                    flow = sum(whose) / max(len(whose), 1)
                    expected = [(3.0 - 0.75 * m - 0.7) / 1.3, (price - 9.0) / 0.2, impact / 0.04, flow / 1.7]
                    expected += [held[i] / 4.5]
                expected += [flows[i] / (sd if scales is None else 4.5)] if spec.own_flow else []
                assert seen.own[e, i].tolist() == pytest.approx(expected, rel=1e-12, abs=1e-12)
                assert (seen.items is None) == (spec.inventories == "private")
                if seen.items is not None:
                    assert seen.items[e, i].tolist() == pytest.approx(expected[4:], rel=1e-12, abs=1e-12)
        sizes = seen.own.shape[-1], 0 if seen.items is None else seen.items.shape[-1]
        assert game.observation_size(spec) == sizes and seen.step == m


def test_scales_are_told_in_a_specification() -> None:
    """As a mapping, too; what goes by value in them is not mixed up between two with other scales."""
    spec = ObservationSpec(scales=dict(vars(SCALES)))  # type: ignore[arg-type]
    assert spec == ObservationSpec(scales=SCALES) != ObservationSpec()
    state = GENERAL.reset(shocks_of(GENERAL, 5))
    plain = GENERAL.observe(state, ObservationSpec()).own
    own = GENERAL.observe(state, spec).own
    torch.testing.assert_close(own[..., 4] * 4.5, plain[..., 4] * 2.0)
    wider = GENERAL.observe(state, replace(spec, scales=replace(SCALES, inventory=9.0))).own
    torch.testing.assert_close(wider[..., 4], own[..., 4] / 2)
    assert torch.equal(wider[..., :4], own[..., :4])
    assert torch.equal(GENERAL.observe(state, ObservationSpec()).own, plain)
    with pytest.raises(ValueError, match="rate: unknown key"):
        ObservationSpec(scales={**vars(SCALES), "rate": 1.0})  # type: ignore[arg-type]


# --- random numbers -----------------------------------------------------------------------------------------


def test_initial_distribution() -> None:
    """The released code's: q_0 ~ N(0, 50) and Y_0 ~ N(0, (sigma / 2)^2); the noise is standard normal.

    S_0 has standard deviation 0.316 at the released values and 0.133 at Table 1's. Tolerances are 4 standard errors.
    """
    assert round(RELEASED.price_sd, 3) == 0.316
    table1 = replace(RELEASED, kappa=0.1, sigma=0.01)
    assert round(table1.price_sd, 3) == 0.133
    assert replace(RELEASED, kappa=0.0).price_sd == pytest.approx(math.sqrt(0.1 * math.sqrt(5)))
    assert replace(RELEASED, kappa=1e-9).price_sd == pytest.approx(math.sqrt(0.1 * math.sqrt(5)))
    episodes = 40_000
    shocks = RELEASED.sample_shocks(episodes, generator(1, "test_market"))
    assert [tuple(leaf.shape) for leaf in shocks] == [(episodes,), (episodes,), (episodes, 5), (episodes, 10)]
    sd = torch.tensor([math.sqrt(0.0996625), 0.05, *[math.sqrt(50)] * 5, *[1.0] * 10], dtype=torch.float64)
    drawn = torch.cat((shocks.price[:, None] - 10, shocks.impact[:, None], shocks.inventory, shocks.noise), 1)
    unit = drawn.double() / sd
    torch.testing.assert_close(unit.mean(0), torch.zeros(17).double(), rtol=0, atol=4 / math.sqrt(episodes))
    # Variances one, and every number independent of every other.
    covariance = unit.T @ unit / episodes
    torch.testing.assert_close(covariance, torch.eye(17).double(), rtol=0, atol=4 * math.sqrt(2 / episodes))
    assert unit.pow(4).mean().item() == pytest.approx(3.0, abs=0.1)  # normal, not merely of variance one
    assert (GENERAL.price_sd, GENERAL.impact_sd) == (0.5, 0.2)  # as configured


# --- the linear market's equilibrium, by hand and from another implementation --------------------------------

LINEAR = replace(RELEASED, impact="linear", price_floor=None)


def test_what_price_noise_is_worth_by_hand() -> None:
    """One agent without impact, two steps, from S = theta, Y = 0, q = 0.

    At kappa = 0 the price is a martingale and noise is worth nothing. At kappa > 0 the last rate is -K p at a
    price p off theta, with K = kappa dt / (2 (b1 + b2 dt)), and is worth (b1 + b2 dt) dt K^2 p^2.
    """
    market = replace(
        LINEAR, n_agents=1, n_steps=2, horizon=1.0, impact="none", eta=0.0, rho=0.0, kappa=0.0,
        initial_inventory_var=0.0, initial_price_sd=0.0, initial_impact_sd=0.0,
    )  # fmt: skip
    game = market.as_lq()
    worth = solve_nash(game).values.expected(game.initial_mean, game.initial_covariance)
    assert worth == pytest.approx(0.0, abs=1e-15)
    game = replace(market, kappa=0.5).as_lq()
    dt, cost = 0.5, 0.1 + 0.1 * 0.5
    gain = 0.5 * dt / (2 * cost)
    policies, values = solve_nash(game)
    assert policies.gains[1, 0, 0] == pytest.approx(gain, rel=1e-13)
    worth = values.expected(game.initial_mean, game.initial_covariance)
    assert worth == pytest.approx(cost * dt * gain**2 * market.sigma**2 * dt, rel=1e-12)


# First row of K at the released code's and at Table 1's kappa and sigma, first and last step, as another
# implementation of the recursion gave it: price, transient impact, own inventory, each other's inventory.
KNOWN = {
    (0.5, 0.1): {0: (3.7555, 1.4183, 0.2308, 0.0680), 9: (2.7778, 2.4578, 0.6813, 0.1908)},
    (0.1, 0.01): {0: (1.6917, 3.1298, 0.3044, 0.1526), 9: (0.5556, 2.4578, 0.6813, 0.1908)},
}


@pytest.mark.parametrize("kappa, sigma", KNOWN)
def test_gains_of_the_five_agent_market(kappa: float, sigma: float) -> None:
    game = replace(LINEAR, kappa=kappa, sigma=sigma).as_lq()
    policies, values = solve_nash(game)
    for m, (price, impact, own, other) in KNOWN[kappa, sigma].items():
        for i in range(5):
            expected = np.array([price, impact, *[other] * 5])
            expected[2 + i] = own
            np.testing.assert_allclose(policies.gains[m, i], expected, atol=5e-5)
    np.testing.assert_allclose(policies.offsets, 0.0, atol=1e-12)
    if kappa == 0.1:
        worth = values.expected(game.initial_mean, game.initial_covariance)
        np.testing.assert_allclose(worth, -2.05, atol=5e-3)


def test_last_step_by_hand() -> None:
    """One step is a static game: at S = theta, Y = 0, r_i = q'_i c v dt - b1 v_i^2 dt - b2 q'_i^2.

    With c = eta + gamma, v = sum_j v_j, q'_i = q_i + v_i dt its derivative in v_i, over dt, is
    c v dt + c q'_i - 2 b1 v_i - 2 b2 q'_i.
    """
    market = replace(LINEAR, n_steps=1, horizon=0.5)
    gains = solve_nash(market.as_lq()).policies.gains[0, :, 2:]
    c, dt, b1, b2 = 0.07, 0.5, 0.1, 0.1
    rates = -gains @ np.diag([3.0, -1.0, 0.5, 2.0, 7.0])  # rates [i, j] when only agent j holds anything
    for j, held in enumerate([3.0, -1.0, 0.5, 2.0, 7.0]):
        after = held * (np.arange(5) == j) + rates[:, j] * dt
        slope = c * rates[:, j].sum() * dt + c * after - 2 * b1 * rates[:, j] - 2 * b2 * after
        np.testing.assert_allclose(slope, 0.0, atol=1e-14)


# --- parameters ---------------------------------------------------------------------------------------------


def test_a_wrong_parameter_is_refused_in_one_line() -> None:
    """A kind each: no whole number, at a bound, not finite, text, above a range, and none of the choices."""
    wrong: dict[str, Any] = {
        "n_agents": 2.0, "horizon": 0.0, "kappa": math.nan, "gamma": "0.02", "discount": 1.1, "impact": "cubic",
    }  # fmt: skip
    for field, value in wrong.items():
        with pytest.raises(ValueError, match=rf"^{field}: got \S+, expected [^\n]*$"):
            replace(RELEASED, **{field: value})
    with pytest.raises(ValueError, match=r'^price: got "Y", expected [^\n]*$'):
        ObservationSpec(price="Y")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^flow: got 0, expected a number > 0 [^\n]*$"):
        replace(SCALES, flow=0)
