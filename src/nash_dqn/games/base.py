"""What a game shows its players: the observation and its specification."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

from torch import Tensor

PriceFeature = Literal["S", "S-Y"]
FlowFeature = Literal["total", "others_mean"]
Visibility = Literal["private", "visible"]


class Observation(NamedTuple):
    """What every agent sees, standardised, for a batch of states.

    Attributes:
        own: ``[..., N, F]``: the features of agent i that are not label-invariant, one row per agent.
        items: ``[..., N, I]``: one label-invariant item per agent, or None. Agent i sees the *set* of the
            items of all j != i; keeping one item per agent, not one set per agent, is what keeps memory O(N).
        step: the decision point m of all of them, or None where the tensors hold every step, along dimension -3.
    """

    own: Tensor
    items: Tensor | None
    step: int | None = None

    def map(self, function: Callable[[Tensor], Tensor]) -> Observation:
        """Apply a function to each tensor."""
        return Observation(function(self.own), None if self.items is None else function(self.items), self.step)


@dataclass(frozen=True)
class ObservationSpec:
    """Which features a policy is given; a property of the policy, so that different ones can meet in one game.

    Attributes:
        price: ``"S"``, the price (text, section 6.1), or ``"S-Y"``, the price less the transient impact (released
            code).
        order_flow: ``"total"``, sum_j (q_j - q_{j,0}) over all agents (text), or ``"others_mean"``, the mean over the
            others (released code).
        own_flow: also the agent's own past order flow, q_i - q_{i,0}.
        inventories: ``"private"`` (the paper) or ``"visible"``, the others' inventories as a label-invariant set, with
            ``own_flow`` each with its past order flow: then nothing of the state is hidden.

    Raises:
        ValueError: a field holds none of its allowed values.
    """

    price: PriceFeature = "S"
    order_flow: FlowFeature = "total"
    own_flow: bool = False
    inventories: Visibility = "private"

    def __post_init__(self) -> None:
        for name, allowed in (
            ("price", get_args(PriceFeature)),
            ("order_flow", get_args(FlowFeature)),
            ("own_flow", (True, False)),
            ("inventories", get_args(Visibility)),
        ):
            value = getattr(self, name)
            if value not in allowed:
                raise ValueError(f"observation.{name} = {value!r}: allowed are {', '.join(map(repr, allowed))}")
