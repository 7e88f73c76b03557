"""How self-play, which finds the equilibrium references, is trained."""

from __future__ import annotations

from nash_dqn.settings.fields import Layers, Number, Settings, Whole, knob, settings
from nash_dqn.settings.game import ObservationSpec


@settings
class SelfPlayRecipe(Settings):
    """Settings of symmetric self-play through the simulator's gradients."""

    observation: ObservationSpec = knob("What agents see")
    hidden: Layers = knob(
        "Hidden layers of the policy, which has a linear term per decision point beside them; inputs are decorrelated",
        "units",
        min_length=1,
    )
    iterations: Whole = knob("Gradient steps", "iterations", ge=1)
    episodes_per_iteration: Whole = knob("Fresh episodes per gradient step", "episodes", ge=1)
    learning_rate: Number = knob(
        "Adam's learning rate at the first step; it falls to zero along a half cosine", "1", gt=0
    )
    opponent_rate: Number = knob(
        "Share by which the copy that the others play moves to the policy after each step; 1 copies it, less damps",
        "1",
        default=1.0,
        gt=0,
        le=1,
    )
    history_every: Whole = knob("Iterations per row of history.csv", "iterations", default=100, ge=1)
