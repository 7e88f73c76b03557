"""The market game of section 6, and what a policy sees of it."""

from __future__ import annotations

from typing import Literal

from nash_dqn.settings.fields import Flag, Number, Settings, Whole, disagree, knob, settings

ImpactLaw = Literal["sqrt", "linear", "none"]
PriceFeature = Literal["S", "S-Y"]
FlowFeature = Literal["total", "others_mean"]
Visibility = Literal["private", "visible"]


@settings
class MarketSettings(Settings):
    """Parameters of the market; symbols as in Table 1."""

    n_agents: Whole = knob("Number of agents N", "agents", ge=1)
    horizon: Number = knob("Length of the game T", "hours", gt=0)
    n_steps: Whole = knob("Decision points M, T/M hours apart", "steps", ge=1)
    kappa: Number = knob("Mean reversion of the price, (20)", "1/hour", ge=0)
    theta: Number = knob("Long-run price, (20)", "$")
    sigma: Number = knob("Volatility of the price, (20)", "$/sqrt(hour)", ge=0)
    gamma: Number = knob(
        "Transient impact of the total trading rate, (21); $/share when impact is linear", "$/sqrt(share hour)", ge=0
    )
    rho: Number = knob("Decay of the transient impact, (21)", "1/hour", ge=0)
    eta: Number = knob("Permanent impact of the total trading rate, (20)", "$/share", ge=0)
    b1: Number = knob(
        "Cost of trading, (22); positive, so that rewards are concave in an agent's own rate", "$ hour/share^2", gt=0
    )
    b2: Number = knob("Terminal inventory penalty, (22)", "$/share^2", ge=0)
    b3: Number = knob("Running inventory penalty, (22)", "$/(share^2 hour)", default=0.0, ge=0)
    discount: Number = knob("Discount per step, gamma_i in (1)", "1", default=1.0, gt=0, le=1)
    impact: ImpactLaw = knob(
        "Transient impact by the signed square root of the total rate, (21), by the rate, or none", default="sqrt"
    )
    price_floor: Number | None = knob("Lowest price, or null for none", "$", default=0.01)
    initial_inventory_var: Number = knob(
        "Variance of the initial inventories, normal about 0; released code: 50", "shares^2", default=50.0, ge=0
    )
    initial_price_sd: Number | None = knob(
        "Standard deviation of the initial price, normal about theta; null = the released code's, whose variance is "
        "the price's stationary standard deviation: square root of sigma sqrt((1 - exp(-2 kappa T))/(2 kappa)), or of "
        "sigma sqrt(T) at kappa = 0",
        "$",
        default=None,
        ge=0,
    )
    initial_impact_sd: Number | None = knob(
        "Standard deviation of the initial transient impact, normal about 0; null = 0.5 sigma", "$", default=None, ge=0
    )


@settings
class Scenario(MarketSettings):
    """A market that algorithms are run in."""

    n_agents: Whole = knob("Number of agents N", "agents", ge=2)
    theta: Number = knob("Long-run price, (20)", "$", gt=0)

    def __post_init__(self) -> None:
        if self.price_floor is not None and self.price_floor >= self.theta:
            disagree(["price_floor"], self.price_floor, f"a number below theta ({self.theta:g}) or null")


@settings
class FeatureScales(Settings):
    """Numbers that standardise what a policy sees, where they are not to follow from the game.

    Features are divided by them, the price after theta is subtracted.
    """

    time_centre: Number = knob("Time to go at which the time feature, (T - t - time_centre) / time, is zero", "hours")
    time: Number = knob("Of the time to go", "hours", gt=0)
    price: Number = knob("Of the price", "$", gt=0)
    impact: Number = knob("Of the transient impact", "$", gt=0)
    flow: Number = knob(
        "Of the order flow per agent, that is of its mean over the agents whose flow it sums", "shares", gt=0
    )
    inventory: Number = knob("Of inventories, and of an agent's own past order flow", "shares", gt=0)


@settings
class ObservationSpec(Settings):
    """Which features a policy is given; a property of the policy, so that different ones can meet in one game.

    All see the time, the transient impact and their own inventory.
    """

    price: PriceFeature = knob(
        "The price feature: S (text, section 6.1), or S less the transient impact, S-Y (released code)", default="S"
    )
    order_flow: FlowFeature = knob(
        "Past order flow as the total of all agents, sum_j (q_j - q_{j,0}) (text), or the mean of the others (released "
        "code)",
        default="total",
    )
    own_flow: Flag = knob("Whether an agent also sees its own past order flow, q_i - q_{i,0}", default=False)
    inventories: Visibility = knob(
        "Others' inventories hidden, or seen as a set, the input of the DeepSets branch; with own_flow each with its "
        "past order flow: then nothing of the state is hidden",
        default="private",
    )
    scales: FeatureScales | None = knob(
        "Numbers that standardise these features; null = sizes that the game implies", default=None
    )
