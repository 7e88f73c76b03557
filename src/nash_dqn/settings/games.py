"""Games beyond the paper's market: what can be set, with the defaults of each."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from nash_dqn.settings.fields import Number, Settings, Whole, disagree, knob, like, settings
from nash_dqn.settings.game import ImpactLaw, MarketSettings

Vector = tuple[Number, ...]
Matrix = tuple[Vector, ...]
NotNegative = tuple[Annotated[Number, Field(ge=0)], ...]


def _sizes(of: object, names: tuple[str, ...], count: int, what: str) -> None:
    """Refuse, from within a class of settings, vectors that have not one entry for each of the ``count``."""
    for name in names:
        if len(getattr(of, name)) != count:
            disagree([name], getattr(of, name), f"{count} of them, one per {what}")


@settings
class TradersSettings(Settings):
    """Different traders in one market; where a setting is a list, it has an entry per group.

    The defaults are two traders who hold inventory that they must soon be rid of, and three patient ones who hold
    little: who provides liquidity, and what it earns, is for the equilibrium to say. The market's are the released
    code's, with linear impact.
    """

    sizes: tuple[Annotated[Whole, Field(ge=1)], ...] = knob(
        "Agents of each group, numbered group after group", "agents", default=(2, 3), min_length=1
    )
    b1: tuple[Annotated[Number, Field(gt=0)], ...] = knob("Cost of trading", "$ hour/share^2", default=(0.1, 0.15))
    b2: NotNegative = knob("Terminal inventory penalty", "$/share^2", default=(0.2, 0.1))
    b3: NotNegative = knob("Running inventory penalty", "$/(share^2 hour)", default=(0.05, 0.0))
    discount: tuple[Annotated[Number, Field(gt=0, le=1)], ...] = knob("Discount per step", "1", default=(0.95, 1.0))
    initial_inventory_mean: Vector = knob("Mean of the initial inventories", "shares", default=(5.0, 0.0))
    initial_inventory_var: NotNegative = knob(
        "Variance of the initial inventories, independent of each other", "shares^2", default=(50.0, 10.0)
    )
    horizon: Number = like(MarketSettings, "horizon", default=5.0)
    n_steps: Whole = like(MarketSettings, "n_steps", default=10)
    kappa: Number = like(MarketSettings, "kappa", default=0.5)
    theta: Number = like(MarketSettings, "theta", default=10.0)
    sigma: Number = like(MarketSettings, "sigma", default=0.1)
    gamma: Number = like(MarketSettings, "gamma", default=0.02)
    rho: Number = like(MarketSettings, "rho", default=0.5)
    eta: Number = like(MarketSettings, "eta", default=0.05)
    impact: ImpactLaw = like(MarketSettings, "impact", default="linear")
    price_floor: Number | None = like(MarketSettings, "price_floor", default=None)
    initial_price_sd: Number | None = like(MarketSettings, "initial_price_sd", default=None)
    initial_impact_sd: Number | None = like(MarketSettings, "initial_impact_sd", default=None)

    def __post_init__(self) -> None:
        names = ("b1", "b2", "b3", "discount", "initial_inventory_mean", "initial_inventory_var")
        _sizes(self, names, len(self.sizes), "group")


@settings
class BasketSettings(Settings):
    """Several correlated assets, traded by all; where a setting is a list, it has an entry per asset.

    The defaults are three traders and two assets whose prices move together, of which the second is the more volatile;
    buying one also raises the other, so that hedging one position with the other has a price.
    """

    n_agents: Whole = like(MarketSettings, "n_agents", default=3)
    horizon: Number = like(MarketSettings, "horizon", default=5.0)
    n_steps: Whole = like(MarketSettings, "n_steps", default=10)
    kappa: NotNegative = knob(
        "Mean reversion of each price; its length is the number of assets d", "1/hour", default=(0.5, 0.3), min_length=1
    )
    theta: Vector = knob("Level that each price reverts to", "$", default=(10.0, 20.0))
    sigma: NotNegative = knob("Volatility of each price", "$/sqrt(hour)", default=(0.1, 0.15))
    correlation: Matrix = knob(
        "Of the price noise and of the initial prices, [d, d], positive definite", "1", default=((1.0, 0.6), (0.6, 1.0))
    )
    gamma: Matrix = knob(
        "Transient impact, [d, d]; row k is what order flow in each asset does to asset k",
        "$/share",
        default=((0.02, 0.01), (0.01, 0.03)),
    )
    rho: NotNegative = knob("Decay of each transient impact", "1/hour", default=(0.5, 0.5))
    eta: Matrix = knob("Permanent impact, [d, d]", "$/share", default=((0.05, 0.02), (0.02, 0.06)))
    b1: Matrix = knob(
        "Cost of trading, [d, d], positive definite", "$ hour/share^2", default=((0.1, 0.02), (0.02, 0.12))
    )
    b2: Matrix = knob(
        "Terminal inventory penalty, [d, d], positive semidefinite", "$/share^2", default=((0.1, 0.03), (0.03, 0.12))
    )
    b3: Matrix = knob(
        "Running inventory penalty, [d, d], positive semidefinite. As a multiple of the covariance of the prices it is "
        "an aversion to risk, and the one place where correlation moves the equilibrium: noise moves its value only",
        "$/(share^2 hour)",
        default=((0.02, 0.018), (0.018, 0.045)),
    )
    discount: Number = like(MarketSettings, "discount", default=1.0)
    initial_inventory_var: NotNegative = knob(
        "Variance of the initial inventories in each asset", "shares^2", default=(50.0, 20.0)
    )
    initial_price_sd: NotNegative = knob(
        "Standard deviation of the initial prices about theta", "$", default=(0.3, 0.4)
    )
    initial_impact_sd: NotNegative = knob(
        "Standard deviation of the initial transient impacts", "$", default=(0.05, 0.075)
    )

    def __post_init__(self) -> None:
        assets = len(self.kappa)
        names = ("theta", "sigma", "rho", "initial_inventory_var", "initial_price_sd", "initial_impact_sd")
        _sizes(self, names, assets, "asset")
        for name in ("correlation", "gamma", "eta", "b1", "b2", "b3"):
            rows = getattr(self, name)
            if len(rows) != assets or any(len(row) != assets for row in rows):
                disagree([name], rows, f"a {assets} x {assets} matrix, row by row")
        for name, definite in (("correlation", True), ("b1", True), ("b2", False), ("b3", False)):
            matrix = np.array(getattr(self, name), dtype=np.float64)
            least = float(np.linalg.eigvalsh(matrix)[0])
            # A singular matrix's smallest eigenvalue is zero up to round-off.
            bound = 0.0 if definite else -1e-12 * float(np.abs(matrix).max())
            if not np.array_equal(matrix, matrix.T) or least < bound or (definite and least <= 0):
                kind = "positive definite" if definite else "positive semidefinite"
                disagree([name], getattr(self, name), f"a symmetric, {kind} matrix")
        if any(row[k] != 1 for k, row in enumerate(self.correlation)):
            disagree(["correlation"], self.correlation, "a matrix with a unit diagonal")


@settings
class InterbankSettings(Settings):
    """Banks that lend to each other, after Carmona, Fouque and Sun.

    The defaults are ten banks over one unit of time, with a, q and sigma of one and control cheap beside the cost of
    lying off the mean, so that most of the pull to the mean is the banks' own doing.
    """

    n_agents: Whole = knob("Number of banks N", "agents", default=10, ge=2)
    horizon: Number = knob("Length of the game T", "1", default=1.0, gt=0)
    n_steps: Whole = knob("Decision points M, T/M apart", "steps", default=10, ge=1)
    a: Number = knob("Rate at which reserves are drawn to their mean without control", "1", default=1.0, ge=0)
    q: Number = knob(
        "Weight of the incentive to lend above and borrow below the mean; q^2 <= epsilon keeps costs convex",
        "1",
        default=1.0,
        ge=0,
    )
    epsilon: Number = knob("Weight of the running cost of lying off the mean", "1", default=10.0, ge=0)
    c: Number = knob("Weight of the terminal cost of lying off the mean", "1", default=1.0, ge=0)
    sigma: Number = knob("Volatility", "1", default=1.0, ge=0)
    rho: Number = knob(
        "Weight of the common noise; the equilibrium depends neither on it nor on sigma, but values do: common noise "
        "moves no bank off the mean",
        "1",
        default=0.5,
        ge=-1,
        le=1,
    )
    initial_sd: Number = knob(
        "Standard deviation of the initial log-reserves about zero, independent", "1", default=1.0, ge=0
    )

    def __post_init__(self) -> None:
        if self.epsilon < self.q**2:
            disagree(["epsilon"], self.epsilon, f"at least q^2 ({self.q**2:g})")
