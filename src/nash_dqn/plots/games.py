"""Learned policies against exact equilibria of games beyond the paper's, group by group."""

from __future__ import annotations

from matplotlib.figure import Figure
from pandas import DataFrame

from nash_dqn.plots.lq_policies import draw_actions, draw_errors, finish_errors, limit_of
from nash_dqn.plots.style import ALGORITHM_NAMES, BLUE, GREEN, PURPLE, drawing, title_panels
from nash_dqn.plots.tables import check, only, select

ERRORS, SCATTER = "lq_error", "lq_scatter"
_NAMES = ("scenario", "policy", "algorithm", "group", "seed")
ERROR_COLUMNS = (*_NAMES, "visited_by", "step", "relative")
SCATTER_COLUMNS = (*_NAMES, "step", "exact", "learned")

_GROUPS = (BLUE, GREEN, PURPLE)
_LINES = {"nash_dqn": "-", "fictitious_play": ":"}


def plot(lq_error: DataFrame, lq_scatter: DataFrame) -> Figure:
    """Draw learned against exact actions, and the relative error at each decision point, a row of panels per game.

    Left, a sample of Nash-DQN's actions over all seeds and decision points, and the line on which they are right;
    actions far beyond a typical seed's stand on the edge.
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
            of_nash = lq_scatter[(lq_scatter["scenario"] == game) & (lq_scatter["algorithm"] == "nash_dqn")]
            for group in reversed(groups):  # the first on top
                draw_actions(actions, of_nash[of_nash["group"] == group], limit_of(of_nash), colours[group])
            actions.set_ylabel("learned")
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
