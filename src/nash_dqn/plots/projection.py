"""What a deviator gains where projected policies settle: exactly, and as trained."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullFormatter
from pandas import DataFrame

from nash_dqn.plots.style import BLUE, DIVERGED, GREEN, ORANGE, new_figure, scale_log, style, title_panel
from nash_dqn.plots.tables import grid, require_columns, select, truths

TABLE, TRAINED = "projection", "exploitability"
COLUMNS = ("scenario", "target", "exploration", "converged", "gain")
TRAINED_COLUMNS = ("scenario", "recipe", "seed", "deviator", "player", "gain")

_TARGETS = {
    "nash": (BLUE, "o", "fitted to the Nash point of Q"),
    "reply": (GREEN, "s", "fitted to the best reply to the others"),
}
_DEVIATOR = "same"  # sees what the policy sees, as exact deviators do


def plot(projection: DataFrame, trained: DataFrame, exploration: float) -> Figure:
    """Draw exact gains against the exploration under which agents are fitted, a panel per scenario.

    Args:
        projection: columns scenario, target, exploration, converged, gain; every target with the same explorations.
            What did not converge is a cross on the upper edge.
        trained: columns scenario, recipe, seed, deviator, player, gain: trainings in the same scenarios, of which those
            deviators of player 1 are drawn that see what the policy sees.
        exploration: of the trainings, at their end.

    Raises:
        ValueError: if a column, a scenario or a combination of target and exploration is missing or stands twice.
    """
    require_columns(projection, TABLE, COLUMNS)
    require_columns(trained, TRAINED, TRAINED_COLUMNS)
    trained = trained.assign(player=trained["player"].astype(str))
    scenarios = list(projection["scenario"].unique())
    lost = not truths(projection, TABLE, "converged").all()
    with style():
        figure = new_figure(75)
        for index, (scenario, axes) in enumerate(
            zip(scenarios, np.ravel(figure.subplots(1, len(scenarios))), strict=True)
        ):
            exact = select(projection, TABLE, scenario=scenario)
            seeds = select(trained, TRAINED, scenario=scenario, deviator=_DEVIATOR, player="1")["gain"]
            _draw(axes, exact, seeds.to_numpy(), exploration)
            title_panel(axes, index, f"scenario {scenario}")
            axes.set_xlabel("exploration in the fit (shares/hour)")
        figure.axes[0].set_ylabel("gain of agent 1 (currency)")
        figure.legend(handles=_legend(lost), loc="outside lower center", ncols=2)
    return figure


def _draw(axes: Axes, exact: DataFrame, seeds: np.ndarray, exploration: float) -> None:
    """Draw a curve per target, and the gain of each training."""
    (targets, levels), gains = grid(exact, TABLE, ("target", "exploration"), "gain")
    finite = np.concatenate([gains[np.isfinite(gains)], seeds[np.isfinite(seeds)]])
    low, high = (finite.min() / 1.5, finite.max() * 1.5) if finite.size else (1e-3, 1.0)
    axes.set_xscale("log")
    scale_log(axes, low, high)
    axes.set_ylim(low, high)
    axes.set_xticks(levels, [f"{level:g}" for level in levels])
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    for target, of in zip(targets, gains, strict=True):
        colour, marker, _ = _TARGETS[target]
        axes.plot(levels, of, marker=marker, ms=3.5, lw=1, color=colour, gid=f"exact {target}")
        missing = levels[~np.isfinite(of)]
        look: dict[str, Any] = {"ls": "", "marker": "x", "ms": 6, "color": colour, "clip_on": False, "zorder": 4}
        if missing.size:
            axes.plot(missing, np.full(missing.size, high), gid=f"not settled {target}", **look)
    axes.plot(np.full(len(seeds), exploration), seeds, "D", ms=4, mfc="none", mew=0.9, color=ORANGE, gid="trained")


def _legend(lost: bool) -> list[Line2D]:
    handles = [
        Line2D([], [], color=colour, marker=marker, ms=3.5, label=f"{target}: {text}")
        for target, (colour, marker, text) in _TARGETS.items()
    ]
    handles.append(Line2D([], [], color=ORANGE, marker="D", mfc="none", ls="", label="nash, one training"))
    if lost:
        handles.append(Line2D([], [], color=DIVERGED, marker="x", ls="", label="does not settle"))
    return handles
