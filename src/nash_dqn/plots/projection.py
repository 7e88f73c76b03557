"""What a deviator gains where projected policies settle: exactly, and as trained."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas import DataFrame, Series

from nash_dqn.plots.style import (
    BLUE,
    GREEN,
    ORANGE,
    draw_marks,
    drawing,
    log_levels,
    log_scale,
    mark_edge,
    title_panels,
)
from nash_dqn.plots.tables import check, check_grid, of_agent_1, select, truths

TABLE, TRAINED = "projection", "exploitability"
COLUMNS = ("scenario", "target", "exploration", "converged", "gain")
TRAINED_COLUMNS = ("scenario", "seed", "deviator", "player", "gain")

_TARGETS = {
    "nash": (BLUE, "o", "nash: fitted to the Nash point of Q"),
    "reply": (GREEN, "s", "reply: fitted to the best reply to the others"),
}
_DEVIATOR = "same"  # sees what the policy sees, as exact deviators do


def plot(projection: DataFrame, trained: DataFrame, exploration: float) -> Figure:
    """Draw exact gains against the exploration under which agents are fitted, a panel per scenario.

    Args:
        projection: columns :data:`COLUMNS`, gain in $; every target with the same explorations (shares/hour). What did
            not converge is a cross on the upper edge.
        trained: columns :data:`TRAINED_COLUMNS`: trainings in the same scenarios, of which those deviators of player 1
            are drawn that see what the policy sees.
        exploration: of the trainings, at their end.

    Raises:
        ValueError: if a column, a scenario or a combination of target and exploration is missing or stands twice.
    """
    check(projection, TABLE, COLUMNS)
    check(trained, TRAINED, TRAINED_COLUMNS)
    truths(projection, TABLE, "converged")
    check_grid(projection, TABLE, ("scenario", "target", "exploration"))
    trained = of_agent_1(trained, TRAINED)
    scenarios = list(projection["scenario"].unique())
    with drawing(75, ncols=2) as figure:
        panels = np.ravel(figure.subplots(1, len(scenarios)))
        for scenario, axes in zip(scenarios, panels, strict=True):
            seeds = select(trained, TRAINED, scenario=scenario, deviator=_DEVIATOR)["gain"]
            _draw(axes, projection[projection["scenario"] == scenario], seeds, exploration)
        panels[0].set_ylabel("gain of agent 1 ($)")
        title_panels(panels, [f"scenario {scenario}" for scenario in scenarios])
    return figure


def _draw(axes: Axes, exact: DataFrame, seeds: Series, exploration: float) -> None:
    """Draw a curve per target, and the gain of each training."""
    for target, (colour, marker, label) in _TARGETS.items():
        of = exact[exact["target"] == target].sort_values("exploration")
        axes.plot(of["exploration"], of["gain"], marker=marker, ms=3.5, lw=1, color=colour, label=label)
        mark_edge(axes, "top", of.loc[~np.isfinite(of["gain"]), "exploration"], "does not settle", color=colour, ms=6)
    draw_marks(axes, exploration, seeds, "D", color=ORANGE, ms=4, mew=0.9, label="nash, one training")
    log_scale(axes.yaxis)
    log_levels(axes, exact["exploration"])
    axes.set_xlabel("exploration in the fit (shares/hour)")
