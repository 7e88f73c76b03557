"""The market against section 6 by hand, against plain Python, and what must hold of any market."""

import itertools
import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from nash_dqn.games.base import FeatureScales, ObservationSpec
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


@pytest.mark.parametrize(("law", "floor"), [("sqrt", 9.0), ("linear", None)])
def test_rewards_sum_to_the_objective_less_the_initial_mark(law: Any, floor: float | None) -> None:
    """Equation (22): X_T + q_T (S_T - b2 q_T) - b3 int q^2 dt, less q_0 S_0, whatever was traded, wherever S went."""
    game = replace(GENERAL, impact=law, price_floor=floor, initial_inventory_var=50.0)
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


@pytest.mark.parametrize(("step", "expected"), [(0, (0.95, -1.7)), (1, (0.95 - 9.075, -1.7 - 0.675))])
def test_one_step_by_hand(step: int, expected: tuple[float, float]) -> None:
    """dt = 1/2, exp(-rho dt) = 1/2, v = 5 - 1 = 4, so that sqrt|v| = 2, and sigma sqrt(dt) epsilon = 0.2.

    Y' = 0.2 / 2 + 0.4 * 2 / 2 = 0.5. S' = 9 + (0.5 * 1 + 0.1 * 4) / 2 + (0.5 - 0.2) + 0.2 = 9.95. q' = (5.5, -1.5).
    r = (5.5 * 0.95 - 0.1 * 25 / 2 - 0.2 * 30.25 / 2, -1.5 * 0.95 - 0.1 / 2 - 0.2 * 2.25 / 2) = (0.95, -1.7); the last
    of the two steps also costs 0.3 q'^2 = (9.075, 0.675).
    """
    game = Market(
        n_agents=2, horizon=1.0, n_steps=2, kappa=0.5, theta=10.0, sigma=0.2, gamma=0.4, rho=2 * math.log(2), eta=0.1,
        b1=0.1, b2=0.3, b3=0.2,
    )  # fmt: skip
    one = torch.ones((), dtype=torch.float64)
    held = torch.tensor([3.0, -1.0], dtype=torch.float64)
    noise = torch.full((2,), 7.0, dtype=torch.float64)
    noise[step] = math.sqrt(2)
    state = MarketState(step, 9.0 * one, 0.2 * one, held, 0.0 * held)
    rates = torch.tensor([[5.0], [-1.0]], dtype=torch.float64)
    after, rewards = game.step(state, rates, Shocks(one, one, held, noise))
    assert after.step == step + 1
    assert after.impact.item() == pytest.approx(0.5, abs=1e-8)
    assert after.price.item() == pytest.approx(9.95, abs=1e-8)
    assert after.inventory.tolist() == [5.5, -1.5]
    assert after.initial_inventory is state.initial_inventory
    assert rewards.tolist() == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize(
    "change",
    [
        {"price_floor": 9.0},
        {"impact": "linear", "price_floor": None},
        {"impact": "none"},
        {"n_agents": 1},
        {"n_agents": 3, "n_steps": 1, "horizon": 0.3},
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


def test_agents_can_be_relabelled() -> None:
    """Label invariance (section 4.1): permuted agents have permuted inventories, rewards and views, at equal prices."""
    shocks, rates = shocks_of(GENERAL, 20), rates_of(GENERAL, 20)
    order = [2, 0, 1]
    states, rewards = simulate(GENERAL, rates, shocks)
    permuted = shocks._replace(inventory=shocks.inventory[:, order])
    others, other_rewards = simulate(GENERAL, rates[..., order, :], permuted)
    torch.testing.assert_close(other_rewards, rewards[..., order], rtol=1e-12, atol=1e-12)
    for state, other in zip(states, others, strict=True):
        torch.testing.assert_close(other.price, state.price, rtol=1e-13, atol=0)
        torch.testing.assert_close(other.inventory, state.inventory[:, order])
        for spec in SPECS:
            seen, expected = GENERAL.observe(other, spec), GENERAL.observe(state, spec)
            torch.testing.assert_close(seen.own, expected.own[:, order])
            if expected.items is not None and seen.items is not None:
                torch.testing.assert_close(seen.items, expected.items[:, order])


# --- excursions ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("sd", "spread"), [(None, 2.0), (10.0, 10.0)])
def test_an_excursion_is_the_way_to_its_target_in_an_hour(sd: float | None, spread: float) -> None:
    """nu = z - q (released code), at every step alike; z of the initial inventories' spread, 2, or of a given one."""
    states, _ = simulate(GENERAL, rates_of(GENERAL, 5), shocks_of(GENERAL, 5))
    normals = torch.randn(5, 1, 1, generator=generator(3, "test_market")).double()
    for state in states[:-1]:
        rates = GENERAL.excursion(state, normals, sd)
        assert rates.shape == (5, 3, 1)
        for e in range(5):
            for i in range(3):
                expected = spread * normals[e].item() - state.inventory[e, i].item()
                assert rates[e, i].item() == pytest.approx(expected, rel=1e-12, abs=1e-12)


# --- gradients ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("law", ["sqrt", "linear"])
def test_differentiable_in_the_actions(law: Any) -> None:
    """Rewards and observations of a short game; away from v = 0, where the square root is steep."""
    game = replace(GENERAL, n_agents=2, n_steps=2, impact=law)
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


def test_a_scale_of_zero_is_one() -> None:
    still = replace(RELEASED, sigma=0.0, gamma=0.0, eta=0.0, initial_inventory_var=0.0)
    assert still.scales == (1.0, 1.0, 1.0, 1.0, 1.0)


@pytest.mark.parametrize("n_agents", [1, 3])
@pytest.mark.parametrize("scales", [None, SCALES], ids=["the game's", "its own"])
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
    """As a mapping, too; market and specification go by value, so that two with other scales share nothing."""
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


def test_visible_inventories_and_flows_hide_nothing() -> None:
    """The whole state can be read off one agent's features and the others' items: price, impact, every q and q_0."""
    spec = ObservationSpec("S-Y", "others_mean", own_flow=True, inventories="visible")
    states, _ = simulate(GENERAL, rates_of(GENERAL, 6), shocks_of(GENERAL, 6))
    for state in states:
        seen = GENERAL.observe(state, spec)
        assert seen.items is not None
        _, price, impact, _, held, flow = seen.own[:, 0].unbind(-1)
        scales = GENERAL.scales
        impact = impact * scales.impact
        inventory = torch.stack((held, *seen.items[:, 1:, 0].unbind(-1)), -1) * scales.inventory
        flows = torch.stack((flow, *seen.items[:, 1:, 1].unbind(-1)), -1) * scales.inventory
        torch.testing.assert_close(9.0 + price * scales.price + impact, state.price)
        torch.testing.assert_close(impact, state.impact)
        torch.testing.assert_close(inventory, state.inventory)
        torch.testing.assert_close(inventory - flows, state.initial_inventory)


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


def test_initial_distribution_as_configured() -> None:
    assert (GENERAL.price_sd, GENERAL.impact_sd) == (0.5, 0.2)
    certain = replace(GENERAL, initial_inventory_var=0.0, initial_price_sd=0.0, initial_impact_sd=0.0)
    state = certain.reset(shocks_of(certain, 3))
    assert (state.price == 9.0).all()
    assert not state.impact.any() and not state.inventory.any()


# --- parameters ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value"),
    {"n_agents": 2.0, "horizon": 0.0, "kappa": math.nan, "gamma": "0.02", "discount": 1.1, "impact": "cubic"}.items(),
)
def test_a_wrong_parameter_is_refused_in_one_line(field: str, value: Any) -> None:
    """A kind each: no whole number, at a bound, not finite, text, above a range, and none of the choices."""
    with pytest.raises(ValueError, match=rf"^{field}: got \S+, expected [^\n]*$"):
        replace(RELEASED, **{field: value})


def test_a_wrong_observation_is_refused_in_one_line() -> None:
    with pytest.raises(ValueError, match=r'^price: got "Y", expected [^\n]*$'):
        ObservationSpec(price="Y")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^flow: got 0, expected a number > 0 [^\n]*$"):
        replace(SCALES, flow=0)
