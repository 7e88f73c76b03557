"""How policy iteration by least squares is trained."""

from __future__ import annotations

from nash_dqn.settings.fields import Number, Settings, Whole, at_least, knob, settings
from nash_dqn.settings.game import ObservationSpec


@settings
class Explorers(Settings):
    """Standard deviations of the Gaussian exploration, of the two halves of the episodes."""

    first: Number = knob(
        "Of all agents in the first iteration, which says what is a wide variation", "shares/hour", gt=0
    )
    all: Number = knob("Of all agents later on, where all explore", "shares/hour", gt=0)
    one: Number = knob("Of agent 1, where it explores alone", "shares/hour", gt=0)


@settings
class Damping(Settings):
    """Factor d of an iteration's step towards the reply, which rises geometrically.

    Along what varies as much as in the first iteration a step goes d/2 of the way.
    """

    start: Number = knob("At the first iteration", "1", gt=0, le=2)
    end: Number = knob("From half of the run on; at least start", "1", gt=0, le=2)

    def __post_init__(self) -> None:
        at_least(self, "end", "start")

    def at(self, fraction: float) -> float:
        """That after a fraction in [0, 1] of the run."""
        return self.start * (self.end / self.start) ** min(1.0, 2 * fraction)


@settings
class LeastSquaresRecipe(Settings):
    """Settings of policy iteration by least squares.

    An iteration plays fresh episodes. In the first half all agents explore; they tell what the policy is worth. In the
    rest agent 1 explores alone; they tell which reply to the others can be played on what an agent sees.
    """

    observation: ObservationSpec = knob("What agents see; a decision point's action is linear in it")
    iterations: Whole = knob("Evaluations, each with a step towards the reply", "iterations", ge=1)
    episodes_per_iteration: Whole = knob("Fresh episodes played per iteration", "episodes", ge=2)
    exploration: Explorers
    damping: Damping
    averaged: Number = knob("Share of the run, its last, whose mean policy is returned", "1", gt=0, le=1)
    history_every: Whole = knob("Iterations per row of history.csv", "iterations", default=10, ge=1)
