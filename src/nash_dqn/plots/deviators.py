"""How classes of deviators look in every figure."""

from __future__ import annotations

from typing import NamedTuple

from nash_dqn.plots.style import BLUE, GREEN, ORANGE

__all__ = ["DEVIATORS", "Look"]


class Look(NamedTuple):
    """How a class of deviators is drawn, and what it sees."""

    colour: str
    marker: str
    sees: str


DEVIATORS = {
    "same": Look(GREEN, "s", "sees what the policy sees"),
    "memory": Look(BLUE, "o", "also its own past order flow"),
    "history": Look(ORANGE, "D", "also all it saw before"),
}
