"""Different traders in one market: groups that differ in costs, patience and what they have to trade.

The price moves as in :mod:`nash_dqn.games.market`; the groups differ in b1, b2, b3, discount and initial inventory,
which is Remark 4.1's setting: agents are interchangeable within a group, not across groups. With linear impact, no
price floor and visible inventories the game is linear-quadratic.
"""

from __future__ import annotations

import math
from functools import cached_property
from itertools import accumulate

from torch import Tensor

from nash_dqn.games.base import Game, Observation, ObservationSpec
from nash_dqn.games.lq import LQGame
from nash_dqn.games.market import Market, MarketState, Shocks
from nash_dqn.settings.games import TradersSettings


class Traders(TradersSettings, Game):
    """The game of these settings, and its dynamics, which are those of :class:`nash_dqn.games.market.Market`.

    Raises:
        ConfigError: a parameter is outside its range, or has not one entry per group.
    """

    @cached_property
    def market(self) -> Market:
        """The market in which everyone has the first group's preferences.

        Its variance of q_0 is the mean over all agents of q_0's second moment, so that its scales suit all of them.
        """
        moments = zip(self.sizes, self.initial_inventory_mean, self.initial_inventory_var, strict=True)
        second_moment = sum(size * (mean**2 + var) for size, mean, var in moments) / sum(self.sizes)
        return Market(
            n_agents=sum(self.sizes),
            horizon=self.horizon,
            n_steps=self.n_steps,
            kappa=self.kappa,
            theta=self.theta,
            sigma=self.sigma,
            gamma=self.gamma,
            rho=self.rho,
            eta=self.eta,
            b1=self.b1[0],
            b2=self.b2[0],
            b3=self.b3[0],
            impact=self.impact,
            price_floor=self.price_floor,
            initial_inventory_var=second_moment,
            initial_price_sd=self.initial_price_sd,
            initial_impact_sd=self.initial_impact_sd,
        )

    @property
    def groups(self) -> tuple[range, ...]:
        """The agents of each group."""
        ends = list(accumulate(self.sizes))
        return tuple(range(end - size, end) for size, end in zip(self.sizes, ends, strict=True))

    @property
    def n_agents(self) -> int:
        """N, of all groups."""
        return sum(self.sizes)

    @property
    def action_scale(self) -> float:
        """Of each agent's action, its trading rate: shares/hour."""
        return self.market.action_scale

    @property
    def normals_per_episode(self) -> int:
        """Number of standard normals an episode needs."""
        return self.market.normals_per_episode

    def shocks_from_normals(self, normal: Tensor) -> Shocks:
        """Shocks from standard normals ``[..., 2 + N + M]`` in the order S_0, Y_0, q_0, noise."""
        shocks = self.market.shocks_from_normals(normal)
        mean = normal.new_tensor(self._of_agents(self.initial_inventory_mean))
        sd = normal.new_tensor([math.sqrt(var) for var in self._of_agents(self.initial_inventory_var)])
        return shocks._replace(inventory=mean + sd * normal[..., 2 : 2 + self.n_agents])

    def reset(self, shocks: Shocks) -> MarketState:
        """State at m = 0."""
        return self.market.reset(shocks)

    def step(self, state: MarketState, actions: Tensor, shocks: Shocks) -> tuple[MarketState, Tensor]:
        """One step of the market; in the rewards ``[..., N]`` each agent has its own group's b1, b2 and b3."""
        after, rewards = self.market.step(state, actions, shocks)
        rates, inventory = actions.squeeze(-1), after.inventory
        trading, running, terminal = (rewards.new_tensor(extra) for extra in self._beyond_first)
        penalty = self.market.dt * running + (terminal if after.step == self.n_steps else 0.0)
        return after, rewards - self.market.dt * trading * rates.square() - penalty * inventory.square()

    def excursion(self, state: MarketState, normals: Tensor, sd: float | None = None) -> Tensor:
        """Rates ``[..., N, 1]`` towards random inventories, as in the market."""
        return self.market.excursion(state, normals, sd)

    def observation_size(self, spec: ObservationSpec) -> tuple[int, int]:
        """Number of own features F and of features I of each agent's item."""
        return self.market.observation_size(spec)

    def observe(self, state: MarketState, spec: ObservationSpec) -> Observation:
        """The market's standardised observation of every agent (:meth:`nash_dqn.games.market.Market.observe`)."""
        return self.market.observe(state, spec)

    def as_lq(self) -> LQGame:
        """The linear-quadratic game over (S - theta, Y, q_1, ..., q_N), where that of the market is.

        Raises:
            ValueError: ``impact`` is neither "linear" nor "none", or ``price_floor`` is not None.
        """
        self.market.require_linear()
        return super().as_lq()

    def state_vector(self, state: MarketState) -> Tensor:
        """The market's."""
        return self.market.state_vector(state)

    def state_of(self, step: int, vector: Tensor) -> MarketState:
        """The market's."""
        return self.market.state_of(step, vector)

    def _of_agents(self, values: tuple[float, ...]) -> list[float]:
        """The value of each agent's group, [N]."""
        return [value for size, value in zip(self.sizes, values, strict=True) for _ in range(size)]

    @cached_property
    def _beyond_first(self) -> tuple[list[float], list[float], list[float]]:
        """By how much each agent's b1, b3 and b2 exceed those of the first group, [N] each."""
        trading, running, terminal = (
            [value - values[0] for value in self._of_agents(values)] for values in (self.b1, self.b3, self.b2)
        )
        return trading, running, terminal
