"""How policy iteration by least squares is trained."""

from __future__ import annotations

from nash_dqn.settings.fields import Number, Settings, Whole, at_least, knob, settings
from nash_dqn.settings.game import ObservationSpec


@settings
class Fall(Settings):
    """Standard deviation of the Gaussian exploration: that of all agents stays, that of agent 1 alone falls."""

    start: Number = knob("Of all agents, and of agent 1 alone at the first iteration", "shares/hour", gt=0)
    end: Number = knob("What that of agent 1 alone falls to, geometrically; at most start", "shares/hour", gt=0)
    share: Number = knob("Share of the run over which it falls", "1", gt=0, le=1)

    def __post_init__(self) -> None:
        at_least(self, "start", "end")

    def at(self, fraction: float) -> float:
        """That of agent 1 alone after a fraction in [0, 1] of the run."""
        return self.start * (self.end / self.start) ** min(1.0, fraction / self.share)


@settings
class LeastSquaresRecipe(Settings):
    """Settings of policy iteration by least squares.

    An iteration plays fresh episodes. In the first half all agents explore; they tell what the policy is worth. In the
    rest agent 1 explores alone; they tell which reply to the others can be played on what an agent sees.
    """

    observation: ObservationSpec = knob("What agents see; a decision point's action is linear in it")
    iterations: Whole = knob("Evaluations, each with a step towards the reply", "iterations", ge=1)
    episodes_per_iteration: Whole = knob("Fresh episodes played per iteration", "episodes", ge=2)
    exploration: Fall
    forgetting: Number = knob("Weight of what is older by an iteration in the fit of Q", "1", ge=0, lt=1)
    damping: Number = knob("Share of the way to the reply that the policy goes in an iteration", "1", gt=0, le=1)
    averaged: Number = knob("Share of the run, its last, whose mean policy is returned", "1", gt=0, le=1)
    history_every: Whole = knob("Iterations per row of history.csv", "iterations", default=10, ge=1)
