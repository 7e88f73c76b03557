"""Equilibria and folds that are known exactly, and derivatives against finite differences."""

import dataclasses
import logging
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from nash_dqn.agents.least_squares import linear_network
from nash_dqn.evaluation.rollout import play
from nash_dqn.games import lq
from nash_dqn.games.base import ObservationSpec
from nash_dqn.games.market import Market
from nash_dqn.policy import Policy
from nash_dqn.seeding import generator
from nash_dqn.studies import equilibrium_path
from nash_dqn.studies.equilibrium_path import COLUMNS, PathSettings, SmoothedMarket, _Problem, follow
from tests.common import SMALL

SPEC, MEMORY = ObservationSpec(), ObservationSpec(own_flow=True)
START = dataclasses.replace(SMALL, price_floor=None, initial_price_sd=0.3, initial_impact_sd=0.1)
END = dataclasses.replace(START, kappa=0.4, sigma=0.08)
SETTINGS = PathSettings(
    width=1.0, paths=40, start_iterations=100, step=0.05, largest_step=1.0, points=20, beyond_fold=0.03, seed=1
)
WIDE = dataclasses.replace(SETTINGS, width=1e4)  # shares/hour: so wide that what is left is gamma / sqrt(w) times v


def balanced(size: int) -> Tensor:
    """Points with mean zero and unit covariance exactly: on them, means of quadratic forms are expectations."""
    return math.sqrt(size) * torch.cat((torch.eye(size, dtype=torch.float64), -torch.eye(size, dtype=torch.float64)))


class Expected(_Problem):
    """The equations in expectation: exact for linear-quadratic games."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._normals = balanced(self._start.normals_per_episode)


def regulator(market: Market, width: float) -> tuple[Tensor, float]:
    """Exact coefficients [M, F] of a lone agent where impact is linear, gamma v / sqrt(w), and its exact value."""
    twin = dataclasses.replace(market, n_agents=1, impact="linear", gamma=market.gamma / math.sqrt(width))
    game, scales = twin.as_lq(), market.scales
    exact = lq.solve_nash(game)
    gains = exact.policies.gains[:, 0] * np.array([scales.price, scales.impact, scales.inventory])
    theta = -np.insert(gains, 2, 0.0, axis=1)  # order flow tells a lone agent nothing
    return torch.from_numpy(theta), float(exact.values.expected(game.initial_mean, game.initial_covariance)[0])


def coefficients(size: int, name: str) -> Tensor:
    return torch.randn(size, generator=generator(1, "test", name), dtype=torch.float64)


def smoothed_step(market: Market, rates: list[float]) -> Tensor:
    """Transient impact after a step of one agent from Y = 0.2 at these rates."""
    market = dataclasses.replace(market, n_agents=1)
    shocks = market.sample_shocks(len(rates), generator(1, "test")).map(Tensor.double)
    state = market.reset(shocks._replace(impact=torch.full_like(shocks.impact, 0.2)))
    return market.step(state, torch.tensor(rates, dtype=torch.float64)[:, None, None], shocks)[0].impact


def smoothed(width: float, **changes: Any) -> SmoothedMarket:
    return SmoothedMarket(**{**dataclasses.asdict(START), **changes}, width=width)


def test_smoothed_impact_is_the_square_root_away_from_zero_and_linear_near_it() -> None:
    rates = [-9.0, -0.3, 0.0, 0.5, 4.0]
    torch.testing.assert_close(smoothed_step(smoothed(1e-6), rates), smoothed_step(START, rates))
    linear = dataclasses.replace(START, impact="linear", gamma=START.gamma / math.sqrt(1e4))
    torch.testing.assert_close(smoothed_step(smoothed(1e4), rates), smoothed_step(linear, rates), rtol=1e-7, atol=0)
    # v = 3 and w = 4: v / (v^2 + w^2)^(1/4) = 3 / sqrt(5)
    expected = 0.2 * math.exp(-0.25) + 0.1 * 0.5 * 3 / math.sqrt(5)
    assert float(smoothed_step(smoothed(4.0), [3.0])) == pytest.approx(expected)


@pytest.fixture
def problem() -> _Problem:
    return _Problem(START, END, MEMORY, SETTINGS)


def test_value_is_that_of_the_game_played_with_linear_policies(problem: _Problem) -> None:
    own, others = (coefficients(13, name) for name in ("own", "others"))
    policies = []
    for theta in (own, others):
        skip = torch.zeros(3, 6, dtype=torch.float64)
        skip[0, [1, 2, 4]], skip[1:, 1:] = theta[:3], theta[3:].view(2, 5)
        policies.append(Policy(linear_network(skip[None, :, :, None]), MEMORY, [1], "self_play"))
    # Half-way, geometrically: kappa sqrt(0.5 0.4), sigma sqrt(0.1 0.08).
    market = smoothed(1.0, kappa=math.sqrt(0.2), sigma=math.sqrt(0.008))
    normals = torch.randn(40, 8, generator=generator(1, "equilibrium_path"), dtype=torch.float64)
    shocks = market.shocks_from_normals(normals)
    rewards = play(market, [(policies[0], [0]), (policies[1], [1, 2])], shocks)
    assert float(problem.value(own, others, 0.5)) == pytest.approx(float(rewards[..., 0].mean()), rel=1e-12)


def test_derivatives_are_those_of_finite_differences(problem: _Problem) -> None:
    theta, h = coefficients(13, "own"), 1e-4
    steps = h * torch.eye(13, dtype=torch.float64)
    g, hessian, cross, value = problem.derivatives(theta, 0.5)
    assert value == pytest.approx(float(problem.value(theta, theta, 0.5)))
    torch.testing.assert_close(problem.gradient(theta, 0.5), g)

    def slope(function: Any, by: Tensor) -> Any:
        return (function(by) - function(-by)) / (2 * h)

    own_slopes = [slope(lambda by: problem.value(theta + by, theta, 0.5), step) for step in steps]
    torch.testing.assert_close(torch.stack(own_slopes), g, rtol=1e-5, atol=1e-7)
    # g moves with both sets of coefficients where all agents change theirs ...
    columns = [slope(lambda by: problem.gradient(theta + by, 0.5), step) for step in steps]
    torch.testing.assert_close(torch.stack(columns, 1), hessian + cross, rtol=1e-5, atol=1e-6)
    # ... and by the Hessian alone where agent 0 does.
    for step in steps:
        ends = [problem.value(theta + by, theta, 0.5) for by in (10 * step, 0 * step, -10 * step)]
        curvature = float(ends[0] - 2 * ends[1] + ends[2]) / (100 * h**2)
        assert curvature == pytest.approx(float(step @ hessian @ step) / h**2, rel=1e-4, abs=1e-6)
    assert cross.abs().max() > 1e-3
    by_t = (problem.gradient(theta, 0.501) - problem.gradient(theta, 0.499)) / 0.002
    torch.testing.assert_close(problem.by_t(theta, 0.5), by_t, rtol=1e-4, atol=1e-7)


def test_a_lone_agents_path_is_that_of_the_exact_regulators(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(equilibrium_path, "_Problem", Expected)
    start, end = (dataclasses.replace(market, n_agents=1, gamma=1.0, initial_impact_sd=0.5) for market in (START, END))
    table = follow(start, end, SPEC, WIDE)
    assert table.columns.tolist() == list(COLUMNS)
    assert table["point"].tolist() == list(range(len(table)))
    assert 2 < len(table) < 20
    assert (table["t"].iloc[0], table["t"].iloc[-1]) == (0.0, 1.0)
    assert (table["t"].diff().iloc[1:] > 0).all()
    for row in table.itertuples():
        kappa, sigma = 0.5 * 0.8**row.t, 0.1 * 0.8**row.t
        assert (row.kappa, row.sigma) == pytest.approx((kappa, sigma))
        theta, value = regulator(dataclasses.replace(start, kappa=kappa, sigma=sigma), WIDE.width)
        assert row.value == pytest.approx(value, rel=1e-9)
        assert row.coefficients == pytest.approx(float(theta.norm()), rel=1e-5)
        assert row.residual < 1e-8
        # Nobody reacts: the Jacobian is the Hessian, symmetric and negative definite.
        assert row.own_curvature < 0
        assert row.jacobian == pytest.approx(row.own_curvature)
        assert row.smallest_singular == pytest.approx(-row.own_curvature)
        assert row.condition >= 1


class Fold(_Problem):
    """One coefficient with g = 0.3 - t - (theta - 2)^2: equilibria 2 +- sqrt(0.3 - t), which meet at t = 0.3."""

    def value(self, own: Tensor, others: Tensor, t: float, normals: Tensor | None = None) -> Tensor:
        return (own * (others + 0.3 - t - (others - 2).square()) - own.square() / 2).sum()

    def first(self) -> Tensor:
        return torch.tensor([2.6], dtype=torch.float64)


def test_the_path_gets_round_a_fold_and_is_left_beyond_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(equilibrium_path, "_Problem", Fold)
    table = follow(START, END, SPEC, dataclasses.replace(SETTINGS, largest_step=0.1, points=100))
    theta, t = table["coefficients"].to_numpy(), table["t"].to_numpy()
    np.testing.assert_allclose((theta - 2) ** 2 + t, 0.3, atol=1e-7)
    assert theta[0] == pytest.approx(2 + math.sqrt(0.3))
    assert (np.diff(theta) < 0).all(), "from the upper branch to the lower one, never back"
    assert 0.29 < t.max() <= 0.3
    assert t[-1] <= t.max() - SETTINGS.beyond_fold < t[-2]
    assert theta[-1] < 2
    # Of a single coefficient all spectra are known.
    np.testing.assert_allclose(table["own_curvature"], -1.0)
    np.testing.assert_allclose(table["jacobian"], -2 * (theta - 2))
    np.testing.assert_allclose(table["smallest_singular"], 2 * np.abs(theta - 2))
    np.testing.assert_allclose(table["condition"], 1.0)
    assert follow(START, END, SPEC, dataclasses.replace(SETTINGS, points=3))["point"].tolist() == [0, 1, 2]


def test_a_long_last_step_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    """g = -atan(theta - 30 t): from more than 1.39 away, which is where steps of 8 land, Newton's method diverges."""

    class Steep(Fold):
        def value(self, own: Tensor, others: Tensor, t: float, normals: Tensor | None = None) -> Tensor:
            return (own * (others - torch.atan(others - 30 * t)) - own.square() / 2).sum()

        def first(self) -> Tensor:
            return torch.tensor([0.1], dtype=torch.float64)

    monkeypatch.setattr(equilibrium_path, "_Problem", Steep)
    table = follow(START, END, SPEC, dataclasses.replace(SETTINGS, step=8.0, largest_step=8.0, points=10))
    assert table["t"].iloc[-1] == 1.0
    np.testing.assert_allclose(table["coefficients"], 30 * table["t"], atol=1e-7)
    assert len(table) == 5  # at arclengths 0, 8, 16, 24 and 30


def test_a_path_that_is_lost_is_reported(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    class Lost(Fold):
        beyond = 0.1

        def value(self, own: Tensor, others: Tensor, t: float, normals: Tensor | None = None) -> Tensor:
            return super().value(own, others, t) * (1.0 if t < self.beyond else math.nan)

    monkeypatch.setattr(equilibrium_path, "_Problem", Lost)
    with caplog.at_level(logging.WARNING):
        table = follow(START, END, SPEC, SETTINGS)
    assert 0.09 < table["t"].iloc[-1] < 0.1
    (record,) = caplog.records
    assert record.message.startswith(f"the path is lost at t = {table['t'].iloc[-1]:.4f}")
    monkeypatch.setattr(Lost, "beyond", 0.0)
    with pytest.raises(ValueError, match="no equilibrium found at t = 0"):
        follow(START, END, SPEC, SETTINGS)


def test_games_that_no_path_joins() -> None:
    for end in (dataclasses.replace(END, b1=0.2), dataclasses.replace(END, impact="linear")):
        with pytest.raises(ValueError, match="games of square-root impact that differ in kappa and sigma alone"):
            follow(START, end, SPEC, SETTINGS)
    with pytest.raises(ValueError, match="inventories = 'visible': allowed is 'private'"):
        follow(START, END, ObservationSpec(inventories="visible"), SETTINGS)
