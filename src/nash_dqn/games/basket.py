"""Several correlated assets: N traders, each with a vector of trading rates, and prices with cross-impact.

The market of section 6 with linear impact for d assets at once, for actions that are vectors::

    S' = S + (kappa * (theta - S) + eta v) dt + (Y' - Y) + sqrt(dt) diag(sigma) C eps,   v = sum_i nu_i in R^d
    Y' = exp(-rho dt) * Y + gamma v dt,                                                  q_i' = q_i + nu_i dt
    r_i = q_i' . (S' - S) - (nu_i . b1 nu_i + q_i' . b3 q_i') dt - 1{last step} q_i' . b2 q_i'

with ``*`` entry by entry, eta, gamma, b1, b2, b3 of size d x d, eps standard normal in R^d and C the Cholesky factor
of the correlation. For d = 1 it is :class:`nash_dqn.games.market.Market` with linear impact and no price floor.
Matrices of linear impact: R. Almgren and N. Chriss, Optimal execution of portfolio transactions, Journal of Risk 3
(2000), appendix.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Generator, Tensor

from nash_dqn.games import checks
from nash_dqn.games.base import Observation, ObservationSpec
from nash_dqn.games.checks import Matrix
from nash_dqn.games.lq import FloatArray, LQGame, LQStep


class BasketShocks(NamedTuple):
    """Every random number of a batch of episodes.

    Attributes:
        price: ``[..., d]`` initial prices S_0.
        impact: ``[..., d]`` initial transient impacts Y_0.
        inventory: ``[..., N, d]`` initial inventories q_0 (shares).
        noise: ``[..., M, d]`` independent standard normals, correlated when a step uses them.
    """

    price: Tensor
    impact: Tensor
    inventory: Tensor
    noise: Tensor

    def map(self, function: Callable[[Tensor], Tensor]) -> BasketShocks:
        """Apply a function to each tensor."""
        return BasketShocks(*(function(leaf) for leaf in self))


class BasketState(NamedTuple):
    """State at a decision point; leading dimensions ``...`` are arbitrary.

    Attributes:
        step: m = 0..M; all episodes of a batch move together.
        price: ``[..., d]`` S.
        impact: ``[..., d]`` Y, transient impact.
        inventory: ``[..., N, d]`` q.
    """

    step: int
    price: Tensor
    impact: Tensor
    inventory: Tensor


class _Constants(NamedTuple):
    """The parameters that are vectors [d] or matrices [d, d], as tensors of one type on one device."""

    kappa: Tensor
    theta: Tensor
    decay: Tensor
    gamma: Tensor
    eta: Tensor
    noise: Tensor
    b1: Tensor
    b2: Tensor
    b3: Tensor
    inventory_sd: Tensor
    price_root: Tensor
    impact_sd: Tensor
    price_scale: Tensor
    impact_scale: Tensor
    inventory_scale: Tensor


@dataclass(frozen=True)
class Basket:
    """Parameters and dynamics; the module's docstring has the equations.

    The defaults are three traders and two assets whose prices move together (correlation 0.6), of which the second is
    the more volatile; buying one also raises the other, so that hedging one position with the other has a price.

    Attributes:
        n_agents: N, number of traders.
        horizon: T, hours.
        n_steps: M, decision points; a step lasts T / M hours.
        kappa: mean reversion of each price, 1/hour, [d]; its length is the number of assets.
        theta: level each price reverts to, [d].
        sigma: volatility of each price per square-root hour, [d].
        correlation: of the price noise and of the initial prices, [d, d], positive definite with unit diagonal.
        gamma: transient impact [d, d]; row k is what order flow in each asset does to asset k.
        rho: decay of each transient impact, 1/hour, [d].
        eta: permanent impact [d, d].
        b1: cost of trading [d, d], positive definite.
        b2: penalty on terminal inventories [d, d], positive semidefinite.
        b3: running penalty on inventories per hour [d, d], positive semidefinite. As a multiple of the covariance
            diag(sigma) correlation diag(sigma) it is an aversion to risk, and the one place where the
            correlation moves the equilibrium: the noise itself moves its value only.
        discount: gamma_i of the general game, per step.
        initial_inventory_var: variance of each entry of q_0, [d].
        initial_price_sd: standard deviation of S_0 about theta, [d].
        initial_impact_sd: standard deviation of Y_0, [d].

    Raises:
        ValueError: a parameter is outside its range or of another size.
    """

    n_agents: int = 3
    horizon: float = 5.0
    n_steps: int = 10
    kappa: tuple[float, ...] = (0.5, 0.3)
    theta: tuple[float, ...] = (10.0, 20.0)
    sigma: tuple[float, ...] = (0.1, 0.15)
    correlation: Matrix = ((1.0, 0.6), (0.6, 1.0))
    gamma: Matrix = ((0.02, 0.01), (0.01, 0.03))
    rho: tuple[float, ...] = (0.5, 0.5)
    eta: Matrix = ((0.05, 0.02), (0.02, 0.06))
    b1: Matrix = ((0.1, 0.02), (0.02, 0.12))
    b2: Matrix = ((0.1, 0.03), (0.03, 0.12))
    b3: Matrix = ((0.02, 0.018), (0.018, 0.045))
    discount: float = 1.0
    initial_inventory_var: tuple[float, ...] = (50.0, 20.0)
    initial_price_sd: tuple[float, ...] = (0.3, 0.4)
    initial_impact_sd: tuple[float, ...] = (0.05, 0.075)

    def __post_init__(self) -> None:
        for name in ("n_agents", "n_steps"):
            checks.integer(name, getattr(self, name), 1)
        checks.number("horizon", self.horizon, lambda v: v > 0, "a finite number > 0")
        checks.number("discount", self.discount, lambda v: 0 < v <= 1, "a number in (0, 1]")
        if not isinstance(self.kappa, list | tuple) or not self.kappa:
            raise ValueError(f"kappa = {self.kappa!r}: allowed is a number for each asset")
        d = len(self.kappa)
        settled: list[tuple[str, Any]] = [
            ("theta", checks.vector("theta", self.theta, d, lambda v: True, "a finite number"))
        ]
        for name in ("kappa", "sigma", "rho", "initial_inventory_var", "initial_price_sd", "initial_impact_sd"):
            vector = checks.vector(name, getattr(self, name), d, lambda v: v >= 0, "a finite number >= 0")
            settled.append((name, vector))
        settled += [(name, checks.matrix(name, getattr(self, name), d)) for name in ("gamma", "eta")]
        for name in ("b2", "b3"):
            settled.append((name, checks.matrix(name, getattr(self, name), d, "positive semidefinite")))
        for name in ("correlation", "b1"):
            settled.append((name, checks.matrix(name, getattr(self, name), d, "positive definite")))
        if any(row[k] != 1 for k, row in enumerate(self.correlation)):
            raise ValueError(f"correlation = {self.correlation!r}: allowed is a matrix with a unit diagonal")
        checks.settle(self, settled)

    @property
    def action_dim(self) -> int:
        """d: each agent's action is its vector of trading rates nu, shares per hour of each asset."""
        return len(self.kappa)

    @property
    def groups(self) -> tuple[range, ...]:
        """One: all agents have the same preferences."""
        return (range(self.n_agents),)

    @property
    def dt(self) -> float:
        """Length of a step, hours."""
        return self.horizon / self.n_steps

    @property
    def action_scale(self) -> float:
        """Typical trading rate, shares/hour: liquidation within the horizon, root mean square over the assets."""
        scale = math.sqrt(sum(self.initial_inventory_var) / self.action_dim) / self.horizon
        return scale if scale > 0 else 1.0

    @property
    def normals_per_episode(self) -> int:
        """Number of standard normals an episode needs."""
        return self.action_dim * (2 + self.n_agents + self.n_steps)

    def shocks_from_normals(self, normal: Tensor) -> BasketShocks:
        """Shocks from standard normals ``[..., d (2 + N + M)]`` in the order S_0, Y_0, q_0 by agent, noise by step."""
        constants, n = self._constants(normal), self.n_agents
        normal = normal.unflatten(-1, (2 + n + self.n_steps, self.action_dim))
        return BasketShocks(
            price=constants.theta + normal[..., 0, :] @ constants.price_root.T,
            impact=constants.impact_sd * normal[..., 1, :],
            inventory=constants.inventory_sd * normal[..., 2 : 2 + n, :],
            noise=normal[..., 2 + n :, :],
        )

    def sample_shocks(self, episodes: int, generator: Generator) -> BasketShocks:
        """Draw every random number of ``episodes`` episodes."""
        normal = torch.randn(episodes, self.normals_per_episode, generator=generator, device=generator.device)
        return self.shocks_from_normals(normal)

    def reset(self, shocks: BasketShocks) -> BasketState:
        """State at m = 0."""
        return BasketState(0, shocks.price, shocks.impact, shocks.inventory)

    def step(self, state: BasketState, actions: Tensor, shocks: BasketShocks) -> tuple[BasketState, Tensor]:
        """One step of the module's equations: next state and rewards ``[..., N]`` of the rates ``[..., N, d]``."""
        dt, constants = self.dt, self._constants(actions)
        total = actions.sum(-2)
        impact = constants.decay * state.impact + dt * (total @ constants.gamma.T)
        drift = constants.kappa * (constants.theta - state.price) + total @ constants.eta.T
        noise = shocks.noise.select(-2, state.step) @ constants.noise.T
        price = state.price + dt * drift + (impact - state.impact) + noise
        inventory = state.inventory + dt * actions
        penalty = dt * constants.b3 + (constants.b2 if state.step == self.n_steps - 1 else 0.0)
        rewards = (inventory * (price - state.price).unsqueeze(-2)).sum(-1)
        rewards = rewards - dt * _quadratic(actions, constants.b1) - _quadratic(inventory, penalty)
        return BasketState(state.step + 1, price, impact, inventory), rewards

    def excursion(self, state: BasketState, normals: Tensor, sd: float | None = None) -> Tensor:
        """Rates ``[..., N, d]`` towards random inventories, as in the market, asset by asset."""
        spread = self._constants(normals).inventory_scale if sd is None else sd
        return spread * normals - state.inventory

    def observation_size(self, spec: ObservationSpec) -> tuple[int, int]:
        """Number of own features F = 1 + 3 d and of features I = d of each agent's item."""
        checks.only_visible("the basket", spec)
        return 1 + 3 * self.action_dim, self.action_dim

    def observe(self, state: BasketState, spec: ObservationSpec) -> Observation:
        """Standardised observation of every agent; nothing is hidden.

        Own features ``[..., N, 1 + 3 d]``: time from -1 to 1, prices, transient impacts, own inventories; items
        ``[..., N, d]``: inventories. Scales are the market's, asset by asset
        (:attr:`nash_dqn.games.market.Market.scales`).
        """
        checks.only_visible("the basket", spec)
        constants = self._constants(state.inventory)
        items = state.inventory / constants.inventory_scale
        time = torch.full_like(items[..., :1], 2 * state.step / self.n_steps - 1)
        price = (state.price - constants.theta) / constants.price_scale
        shared = torch.cat((price, state.impact / constants.impact_scale), -1).unsqueeze(-2)
        shared = shared.expand(*items.shape[:-1], 2 * self.action_dim)
        return Observation(torch.cat((time, shared, items), -1), items, state.step)

    def as_lq(self) -> LQGame:
        """The linear-quadratic game over z = (S - theta, Y, q_1, ..., q_N), n = (N + 2) d; actions nu_1, ..., nu_N.

        The reward's noise, whose mean is zero whatever the policies, is left out.
        """
        d, agents, dt = self.action_dim, self.n_agents, self.dt
        kappa, decay, gamma, eta = (self._arrays[name] for name in ("kappa", "decay", "gamma", "eta"))
        n = (agents + 2) * d
        # Each row of `unit` is one entry of y = (z, 1, nu) as a linear form of y.
        unit = np.eye(n + 1 + agents * d)
        price, impact = unit[:d], unit[d : 2 * d]
        inventory, rates = unit[2 * d : n].reshape(agents, d, -1), unit[n + 1 :].reshape(agents, d, -1)
        total = rates.sum(axis=0)

        next_impact = decay[:, None] * impact + dt * (gamma @ total)
        price_change = dt * (eta @ total - kappa[:, None] * price) + next_impact - impact
        next_inventory = inventory + dt * rates
        dynamics = np.concatenate([price + price_change, next_impact, next_inventory.reshape(agents * d, -1)])
        noise = np.zeros((n, d))
        noise[:d] = self._arrays["noise"]

        gain = np.einsum("ida,db->iab", next_inventory, price_change)  # made symmetric below
        running = 0.5 * (gain + gain.transpose(0, 2, 1)) - dt * _form(rates, self._arrays["b1"])
        running -= dt * _form(next_inventory, self._arrays["b3"])

        def step(reward: FloatArray) -> LQStep:
            return LQStep(dynamics[:, :n], dynamics[:, n + 1 :], dynamics[:, n], noise, reward)

        before, last = step(running), step(running - _form(next_inventory, self._arrays["b2"]))
        root = self._arrays["price_root"]
        covariance = np.diag(
            np.concatenate([np.zeros(d), np.square(self.initial_impact_sd), *[self.initial_inventory_var] * agents])
        )
        covariance[:d, :d] = root @ root.T
        return LQGame(
            action_dims=(d,) * agents,
            steps=(before,) * (self.n_steps - 1) + (last,),
            terminal=np.zeros((agents, n + 1, n + 1)),
            discount=np.full(agents, float(self.discount)),
            initial_mean=np.zeros(n),
            initial_covariance=0.5 * (covariance + covariance.T),
        )

    def state_vector(self, state: BasketState) -> Tensor:
        """The state z ``[..., (N + 2) d]`` of :meth:`as_lq`, float64."""
        theta = torch.tensor(self.theta, dtype=torch.float64, device=state.price.device)
        leaves = (state.price.double() - theta, state.impact.double(), state.inventory.double().flatten(-2))
        return torch.cat(leaves, -1)

    @cached_property
    def _arrays(self) -> dict[str, FloatArray]:
        """What :class:`_Constants` holds, in NumPy."""
        root = np.linalg.cholesky(np.array(self.correlation, dtype=np.float64))
        sigma, rho, var = (np.array(v, dtype=np.float64) for v in (self.sigma, self.rho, self.initial_inventory_var))
        gamma, eta = np.array(self.gamma, dtype=np.float64), np.array(self.eta, dtype=np.float64)
        price_sd, impact_sd = np.array(self.initial_price_sd), np.array(self.initial_impact_sd)
        # Scales: what is reached when all agents liquidate at constant rates, as in Market.scales.
        rate = np.sqrt(self.n_agents * var) / self.horizon
        relaxed = np.array([self.horizon if r == 0 else -math.expm1(-r * self.horizon) / r for r in rho])
        impact_scale = np.hypot(impact_sd, relaxed * np.linalg.norm(gamma * rate, axis=1))
        price_scale = np.hypot(price_sd, sigma * math.sqrt(self.horizon))
        price_scale = np.hypot(price_scale, np.linalg.norm(eta * rate, axis=1) * self.horizon)
        return {
            "kappa": np.array(self.kappa, dtype=np.float64),
            "theta": np.array(self.theta, dtype=np.float64),
            "decay": np.exp(-rho * self.dt),
            "gamma": gamma,
            "eta": eta,
            "noise": math.sqrt(self.dt) * sigma[:, None] * root,
            "b1": np.array(self.b1, dtype=np.float64),
            "b2": np.array(self.b2, dtype=np.float64),
            "b3": np.array(self.b3, dtype=np.float64),
            "inventory_sd": np.sqrt(var),
            "price_root": price_sd[:, None] * root,
            "impact_sd": impact_sd,
            "price_scale": np.where(price_scale > 0, price_scale, 1.0),
            "impact_scale": np.where(impact_scale > 0, impact_scale, 1.0),
            "inventory_scale": np.where(var > 0, np.sqrt(var), 1.0),
        }

    def _constants(self, like: Tensor) -> _Constants:
        key = (like.dtype, like.device)
        if key not in self._tensors:
            self._tensors[key] = _Constants(
                **{name: torch.from_numpy(array).to(like.dtype).to(like.device) for name, array in self._arrays.items()}
            )
        return self._tensors[key]

    @cached_property
    def _tensors(self) -> dict[Any, _Constants]:
        return {}


def _quadratic(vectors: Tensor, weights: Tensor) -> Tensor:
    """Products x . W x ``[...]`` of the vectors ``[..., d]``."""
    return ((vectors @ weights) * vectors).sum(-1)


def _form(rows: FloatArray, weights: FloatArray) -> FloatArray:
    """The quadratic forms [N, L, L] of y that x . W x is, where the rows [N, d, L] give x as linear forms of y."""
    return np.asarray(np.einsum("ida,de,ieb->iab", rows, weights, rows), dtype=np.float64)
