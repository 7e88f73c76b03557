"""The market of section 6: N traders, one asset, permanent and transient price impact.

Everything random is drawn beforehand (:class:`Shocks`), so the game itself is a deterministic, differentiable function
of shocks and actions: the same shocks give common random numbers, and gradients flow through the actions.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor

from nash_dqn.games.base import FeatureScales, Game, Observation, ObservationSpec
from nash_dqn.games.lq import LQGame
from nash_dqn.settings.game import ImpactLaw as ImpactLaw
from nash_dqn.settings.game import MarketSettings

# sign(v) sqrt|v| is evaluated as v / sqrt(|v| + EPS): the same to 5e-9 relative at |v| = 1 share/hour, zero at zero,
# and with a finite slope there, which gradients through the simulator need.
_SQRT_EPS = 1e-8


class Shocks(NamedTuple):
    """Every random number of a batch of episodes.

    Attributes:
        price: ``[...]`` initial price S_0.
        impact: ``[...]`` initial transient impact Y_0.
        inventory: ``[..., N]`` initial inventories q_0 (shares).
        noise: ``[..., M]`` standard normal increments of the price.
    """

    price: Tensor
    impact: Tensor
    inventory: Tensor
    noise: Tensor

    def map(self, function: Callable[[Tensor], Tensor]) -> Shocks:
        """Apply a function to each tensor (slicing episodes, moving to a device, adding an ensemble dimension)."""
        return Shocks(*(function(leaf) for leaf in self))


class MarketState(NamedTuple):
    """State at a decision point; leading dimensions ``...`` are arbitrary, such as [episodes] or [members, episodes].

    Attributes:
        step: m = 0..M; all episodes of a batch move together.
        price: ``[...]`` S.
        impact: ``[...]`` Y, transient impact.
        inventory: ``[..., N]`` q.
        initial_inventory: ``[..., N]`` q_0; order flow is q - q_0.
    """

    step: int
    price: Tensor
    impact: Tensor
    inventory: Tensor
    initial_inventory: Tensor


class Scales(NamedTuple):
    """Sizes by which observations and actions are divided (see :attr:`Market.scales`)."""

    price: float
    impact: float
    flow: float
    inventory: float
    rate: float


class Market(MarketSettings, Game):
    """The game of these settings, and its dynamics."""

    @property
    def action_scale(self) -> float:
        """Of each agent's action, its trading rate nu: shares/hour."""
        return self.scales.rate

    @property
    def dt(self) -> float:
        """Length of a step, hours."""
        return self.horizon / self.n_steps

    @property
    def price_sd(self) -> float:
        """Standard deviation of the initial price."""
        if self.initial_price_sd is not None:
            return self.initial_price_sd
        if self.kappa == 0:
            stationary = self.sigma * math.sqrt(self.horizon)  # the limit kappa -> 0
        else:
            stationary = self.sigma * math.sqrt(-math.expm1(-2 * self.kappa * self.horizon) / (2 * self.kappa))
        return math.sqrt(stationary)

    @property
    def impact_sd(self) -> float:
        """Standard deviation of the initial transient impact."""
        return 0.5 * self.sigma if self.initial_impact_sd is None else self.initial_impact_sd

    @cached_property
    def scales(self) -> Scales:
        """Constants that standardise observations, derived from the scenario alone.

        They are the sizes a feature reaches when all agents liquidate at constant rates, v = -sum_j q_{j,0} / T:
        inventory, flow and rate by the initial distribution; price by its initial spread, its noise over the horizon
        and the permanent impact eta |v| T; transient impact by its initial spread and its level after T hours at
        sd(v). A scale that would be zero (such as a deterministic start) is 1.
        """
        inventory = math.sqrt(self.initial_inventory_var)
        flow = math.sqrt(self.n_agents) * inventory
        rate = flow / self.horizon
        relaxed = self.horizon if self.rho == 0 else -math.expm1(-self.rho * self.horizon) / self.rho
        pressure = {"sqrt": math.sqrt(rate), "linear": rate, "none": 0.0}[self.impact]
        impact = math.hypot(self.impact_sd, self.gamma * pressure * relaxed)
        price = math.hypot(self.price_sd, self.sigma * math.sqrt(self.horizon), self.eta * rate * self.horizon)
        sizes = (price, impact, flow, inventory, inventory / self.horizon)
        return Scales(*(size if size > 0 else 1.0 for size in sizes))

    def observation_size(self, spec: ObservationSpec) -> tuple[int, int]:
        """Number of own features F and of label-invariant features I per agent (0 when inventories are private)."""
        return 5 + spec.own_flow, 1 + spec.own_flow if spec.inventories == "visible" else 0

    @property
    def normals_per_episode(self) -> int:
        """Number of standard normals an episode needs."""
        return 2 + self.n_agents + self.n_steps

    def shocks_from_normals(self, normal: Tensor) -> Shocks:
        """Shocks from standard normals ``[..., 2 + N + M]`` in the order S_0, Y_0, q_0, noise."""
        n = self.n_agents
        return Shocks(
            price=self.theta + self.price_sd * normal[..., 0],
            impact=self.impact_sd * normal[..., 1],
            inventory=math.sqrt(self.initial_inventory_var) * normal[..., 2 : 2 + n],
            noise=normal[..., 2 + n :],
        )

    def require_linear(self) -> None:
        """Raise ValueError unless impact is linear, or none, without a price floor: no other market is."""
        if self.impact not in ("linear", "none"):
            raise ValueError(f"impact = {self.impact!r}: 'linear' or 'none' makes the market linear-quadratic")
        if self.price_floor is not None:
            raise ValueError(f"price_floor = {self.price_floor}: None makes the market linear-quadratic")

    def as_lq(self) -> LQGame:
        """The linear-quadratic game over (S - theta, Y, q_1, ..., q_N) that it is where inventories are visible.

        Raises:
            ValueError: ``impact`` is neither "linear" nor "none", or ``price_floor`` is not None.
        """
        self.require_linear()
        return super().as_lq()

    def state_vector(self, state: MarketState) -> Tensor:
        """The state ``[..., N + 2]`` = (S - theta, Y, q_1, ..., q_N) of :meth:`as_lq`, float64."""
        common = torch.stack([state.price.double() - self.theta, state.impact.double()], dim=-1)
        return torch.cat([common, state.inventory.double()], dim=-1)

    def state_of(self, step: int, vector: Tensor) -> MarketState:
        """A state with this :meth:`state_vector`, as if nothing had been traded."""
        inventory = vector[..., 2:]
        return MarketState(step, vector[..., 0] + self.theta, vector[..., 1], inventory, inventory)

    def reset(self, shocks: Shocks) -> MarketState:
        """State at m = 0."""
        return MarketState(0, shocks.price, shocks.impact, shocks.inventory, shocks.inventory)

    def step(self, state: MarketState, actions: Tensor, shocks: Shocks) -> tuple[MarketState, Tensor]:
        """One step of the released code's discretisation of equations (20)-(22).

        Args:
            state: at step m < M.
            actions: ``[..., N, 1]`` trading rates, shares/hour.
            shocks: of the whole episode; step m uses ``noise[..., m]``.

        Returns:
            The next state and the rewards ``[..., N]``: r_i = q'_i (S' - S) - b1 nu_i^2 dt - b3 q'_i^2 dt, less
            b2 q'_i^2 in the last step. Undiscounted, they sum to (22) less the constant q_0 S_0 (mark to market).
        """
        dt = self.dt
        rates = actions.squeeze(-1)
        total = rates.sum(-1)
        impact = self._next_impact(state.impact, total)
        price = torch.add(self.kappa * self.theta * dt, state.price, alpha=1 - self.kappa * dt)
        price = torch.add(price, total, alpha=self.eta * dt) + (impact - state.impact)
        price = torch.add(price, shocks.noise.select(-1, state.step), alpha=self.sigma * math.sqrt(dt))
        if self.price_floor is not None:
            price = price.clamp(min=self.price_floor)
        inventory = torch.add(state.inventory, rates, alpha=dt)

        holding = inventory * (price - state.price).unsqueeze(-1)
        penalty = self.b3 * dt + (self.b2 if state.step == self.n_steps - 1 else 0.0)
        if penalty:
            holding = torch.addcmul(holding, inventory, inventory, value=-penalty)
        rewards = torch.addcmul(holding, rates, rates, value=-self.b1 * dt)
        return MarketState(state.step + 1, price, impact, inventory, state.initial_inventory), rewards

    def _next_impact(self, impact: Tensor, total: Tensor) -> Tensor:
        """Equation (21) over one step: Y' = Y exp(-rho dt) + gamma h(v) dt, h the impact law."""
        decayed = impact * math.exp(-self.rho * self.dt)
        if self.impact == "none" or self.gamma == 0:
            return decayed
        pressure = total if self.impact == "linear" else total * torch.rsqrt(total.abs() + _SQRT_EPS)
        return torch.add(decayed, pressure, alpha=self.gamma * self.dt)

    def excursion(self, state: MarketState, normals: Tensor, sd: float | None = None) -> Tensor:
        """Rates ``[..., N, 1]`` z - q, which would take an hour to an inventory z ~ N(0, sd^2) (released code).

        ``sd`` is in shares; None for that of the initial inventories.
        """
        spread = self.scales.inventory if sd is None else sd
        return spread * normals - state.inventory.unsqueeze(-1)

    def observe(self, state: MarketState, spec: ObservationSpec) -> Observation:
        """Standardised observation of every agent (section 6.1), ``own`` of shape ``[..., N, F]``.

        Feature order: time, price, transient impact, order flow, own inventory (, own past order flow). Time runs from
        -1 to 1 over the horizon; the others are divided by :attr:`scales`, price after theta is subtracted. With
        scales of its own (:class:`nash_dqn.games.base.FeatureScales`) a specification has them instead, and time to go.
        """
        inventory = state.inventory
        flow = inventory - state.initial_inventory
        order_flow = flow.sum(-1, keepdim=True)
        if spec.order_flow == "others_mean":
            order_flow = order_flow - flow
        price = state.price if spec.price == "S" else state.price - state.impact
        time = torch.full_like(inventory, state.step)
        shared = (price.unsqueeze(-1), state.impact.unsqueeze(-1), order_flow)
        features = [time, *(feature.expand_as(inventory) for feature in shared), inventory]
        if spec.own_flow:
            features.append(flow)
        offset, factor = self._standardisation(spec, inventory)
        own = torch.addcmul(offset, torch.stack(features, -1), factor)
        items = own[..., 4:] if spec.inventories == "visible" else None
        return Observation(own, items, state.step)

    def _standardisation(self, spec: ObservationSpec, like: Tensor) -> tuple[Tensor, Tensor]:
        """Offsets and factors ``[F]`` of the own features, of a tensor's type and on its device."""
        key = (spec, like.dtype, like.device)
        if key not in self._standardisations:
            count = self.n_agents if spec.order_flow == "total" else max(self.n_agents - 1, 1)  # whose flow is summed
            scales: Scales | FeatureScales = self.scales if spec.scales is None else spec.scales
            if spec.scales is None:
                time, at_start = self.n_steps / 2, -1.0
                flow = self.scales.flow * (1 if spec.order_flow == "total" else count / math.sqrt(self.n_agents))
            else:
                time, at_start = (
                    -spec.scales.time / self.dt,
                    (self.horizon - spec.scales.time_centre) / spec.scales.time,
                )
                flow = spec.scales.flow * count
            units = [time, scales.price, scales.impact, flow, scales.inventory]
            units += [scales.inventory] if spec.own_flow else []
            factor = torch.tensor(units, dtype=torch.float64).reciprocal()
            offset = torch.zeros_like(factor)
            offset[0], offset[1] = at_start, -self.theta / scales.price
            self._standardisations[key] = tuple(leaf.to(like.dtype).to(like.device) for leaf in (offset, factor))
        return self._standardisations[key]

    @cached_property
    def _standardisations(self) -> dict[Any, Any]:
        return {}
