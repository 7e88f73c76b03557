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
from functools import cached_property
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from nash_dqn.games.base import Game, Normals
from nash_dqn.games.lq import FloatArray
from nash_dqn.settings.games import BasketSettings


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


class Basket(BasketSettings, Game):
    """The game of these settings, and its dynamics; the module's docstring has the equations.

    Raises:
        ConfigError: a parameter is outside its range or of another size.
    """

    @property
    def action_dim(self) -> int:  # type: ignore[override]
        """d: each agent's action is its vector of trading rates nu, shares per hour of each asset."""
        return len(self.kappa)

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
    def start_normals(self) -> int:
        """Of each asset: S_0, Y_0, and q_0 of each agent."""
        return self.action_dim * (2 + self.n_agents)

    @property
    def step_normals(self) -> int:
        """One for each asset, correlated when the step uses them."""
        return self.action_dim

    def reset(self, shocks: Normals) -> BasketState:
        """State at m = 0."""
        constants = self._constants(shocks.start)
        start = shocks.start.unflatten(-1, (2 + self.n_agents, self.action_dim))
        return BasketState(
            step=0,
            price=constants.theta + start[..., 0, :] @ constants.price_root.T,
            impact=constants.impact_sd * start[..., 1, :],
            inventory=constants.inventory_sd * start[..., 2:, :],
        )

    def step(self, state: BasketState, actions: Tensor, shocks: Normals) -> tuple[BasketState, Tensor]:
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

    def features(self, state: BasketState) -> tuple[Tensor, Tensor]:
        """Prices and transient impacts, and each agent's inventories, by the market's scales, asset by asset.

        They are those of :attr:`nash_dqn.games.market.Market.scales`.
        """
        constants = self._constants(state.inventory)
        price = (state.price - constants.theta) / constants.price_scale
        return torch.cat(
            (price, state.impact / constants.impact_scale), -1
        ), state.inventory / constants.inventory_scale

    def state_vector(self, state: BasketState) -> Tensor:
        """The state ``[..., (N + 2) d]`` = (S - theta, Y, q_1, ..., q_N) of :meth:`as_lq`, float64."""
        price = state.price.double()
        return super().state_vector(state._replace(price=price - self._constants(price).theta))

    def state_of(self, step: int, vector: Tensor) -> BasketState:
        """The state at a step with this :meth:`state_vector`."""
        state: BasketState = super().state_of(step, vector)
        return state._replace(price=state.price + self._constants(vector).theta)

    @cached_property
    def _arrays(self) -> dict[str, FloatArray]:
        """The parameters that are vectors [d] or matrices [d, d], what follows from them, and scales."""
        names = ("kappa", "theta", "sigma", "gamma", "eta", "b1", "b2", "b3", "correlation", "rho")
        of = {name: np.array(getattr(self, name), dtype=np.float64) for name in names}
        root, sigma = np.linalg.cholesky(of["correlation"]), of["sigma"]
        var, price_sd = np.array(self.initial_inventory_var), np.array(self.initial_price_sd)
        impact_sd = np.array(self.initial_impact_sd)
        # Scales: what is reached when all agents liquidate at constant rates, as in Market.scales.
        rate = np.sqrt(self.n_agents * var) / self.horizon
        relaxed = np.array([self.horizon if r == 0 else -math.expm1(-r * self.horizon) / r for r in self.rho])
        impact_scale = np.hypot(impact_sd, relaxed * np.linalg.norm(of["gamma"] * rate, axis=1))
        price_scale = np.hypot(price_sd, sigma * math.sqrt(self.horizon))
        price_scale = np.hypot(price_scale, np.linalg.norm(of["eta"] * rate, axis=1) * self.horizon)
        scales = {"price": price_scale, "impact": impact_scale, "inventory": np.sqrt(var)}
        return of | {
            "decay": np.exp(-of["rho"] * self.dt),
            "noise": math.sqrt(self.dt) * sigma[:, None] * root,
            "inventory_sd": np.sqrt(var),
            "price_root": price_sd[:, None] * root,
            "impact_sd": impact_sd,
            **{f"{name}_scale": np.where(scale > 0, scale, 1.0) for name, scale in scales.items()},
        }

    def _constants(self, like: Tensor) -> SimpleNamespace:
        """:attr:`_arrays` as tensors of a tensor's type, on its device."""
        key = (like.dtype, like.device)
        if key not in self._tensors:
            of = {name: torch.from_numpy(array).to(like.dtype).to(like.device) for name, array in self._arrays.items()}
            self._tensors[key] = SimpleNamespace(**of)
        return self._tensors[key]

    @cached_property
    def _tensors(self) -> dict[Any, SimpleNamespace]:
        return {}


def _quadratic(vectors: Tensor, weights: Tensor) -> Tensor:
    """Products x . W x ``[...]`` of the vectors ``[..., d]``."""
    return ((vectors @ weights) * vectors).sum(-1)
