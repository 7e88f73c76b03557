"""Learned policies against exact equilibria of games beyond the paper's, group by group."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from pandas import DataFrame

from nash_dqn.plots.lq_policies import draw_errors, finish_errors
from nash_dqn.plots.style import ALGORITHM_NAMES, BLUE, GREEN, GREY, PURPLE, draw_marks, drawing, title_panels
from nash_dqn.plots.tables import check, only, select

ERRORS, SCATTER = "lq_error", "lq_scatter"
_NAMES = ("scenario", "policy", "algorithm", "group", "seed")
ERROR_COLUMNS = (*_NAMES, "visited_by", "step", "relative")
SCATTER_COLUMNS = (*_NAMES, "step", "exact", "learned")

_GROUPS = (BLUE, GREEN, PURPLE)
_LINES = {"nash_dqn": "-", "fictitious_play": ":"}


def plot(lq_error: DataFrame, lq_scatter: DataFrame) -> Figure:
    """Draw learned against exact actions, and the relative error at each decision point, a row of panels per game.

    Left, a sample of Nash-DQN's actions over all seeds and decision points, and the line on which they are right.
    Right, the root-mean-square error over the states that the learned policy visits, divided by the RMS of the exact
    action there: thin lines and dots for each seed, thick ones for the median, at each decision point and over all of
    them. Colour is the group of agents, the style of line the algorithm. Seeds without finite errors are not drawn,
    and counted.

    Args:
        lq_error: columns :data:`ERROR_COLUMNS`: scenario (the game), step ("0" to "M - 1", or "all"); in each game, a
            policy of each algorithm.
        lq_scatter: columns :data:`SCATTER_COLUMNS`, exact and learned in units of an action.

    Raises:
        ValueError: if a column, or a row of a seed, is missing or stands twice, there are more groups than colours, or
            the tables' games differ.
    """
    check(lq_error, ERRORS, ERROR_COLUMNS)
    games = list(lq_error["scenario"].unique())
    check(lq_scatter, SCATTER, SCATTER_COLUMNS, scenario=games)
    groups = sorted(lq_error["group"].unique())
    if len(groups) > len(_GROUPS):
        raise ValueError(f"{ERRORS}: {len(groups)} groups, and there are {len(_GROUPS)} colours")
    colours = dict(zip(groups, _GROUPS, strict=False))
    with drawing(24 + 54 * len(games), ncols=2) as figure:
        panels = figure.subplots(len(games), 2, squeeze=False, width_ratios=(1, 1.9))
        for game, (actions, errors) in zip(games, panels, strict=True):
            _draw_actions(actions, lq_scatter[lq_scatter["scenario"] == game], colours)
            rows = select(lq_error, ERRORS, scenario=game, visited_by="learned")
            for (group, algorithm), of in rows.groupby(["group", "algorithm"], sort=False):
                only(of, ERRORS, "policy")
                name = f"{game}, group {group}, {ALGORITHM_NAMES[algorithm]}"
                look = {"color": colours[group], "ls": _LINES[algorithm]}
                draw_errors(errors, of, name, look, 0.6 if algorithm == "nash_dqn" else 0.9)
            errors.set_ylabel("relative RMS error (%)")
            finish_errors(errors)
        for axes, label in zip(panels[-1], ("exact", "decision point m"), strict=True):
            axes.set_xlabel(label)
        title_panels(panels.flat, [f"{game}: {what}" for game in games for what in ("actions", "error")])
    return figure


def _draw_actions(axes: Axes, scatter: DataFrame, colours: dict[int, str]) -> None:
    """Draw Nash-DQN's actions and the diagonal."""
    scatter = scatter[scatter["algorithm"] == "nash_dqn"]
    for zorder, (group, colour) in enumerate(reversed(colours.items())):
        of = scatter[scatter["group"] == group]
        look = {"color": colour, "mfc": colour, "alpha": 0.5, "rasterized": True, "zorder": zorder}
        draw_marks(axes, of["exact"], of["learned"], ".", ms=1.5, mew=0, **look)
    axes.axline((0, 0), slope=1, color=GREY, lw=0.8, zorder=3)
    ends = np.nanquantile(scatter[["exact", "learned"]], (0, 1)) if len(scatter) else (-1, 1)
    axes.set(xlim=ends, ylim=ends, aspect="equal", ylabel="learned")
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_locator(MaxNLocator(4))
