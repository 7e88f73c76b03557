"""Learned policies against exact equilibria of games beyond the paper's, group by group."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from pandas import DataFrame

from nash_dqn.plots.lq_policies import TARGET
from nash_dqn.plots.style import (
    ALGORITHM_NAMES,
    BLUE,
    GREEN,
    GREY,
    PURPLE,
    new_figure,
    scale_log,
    style,
    title_panel,
)
from nash_dqn.plots.tables import grid, only, require_columns, select

ERRORS, SCATTER = "lq_error", "lq_scatter"
_NAMES = ("scenario", "group", "algorithm", "recipe", "seed")
ERROR_COLUMNS = (*_NAMES, "visited_by", "step", "relative")
SCATTER_COLUMNS = (*_NAMES, "step", "exact", "learned")

_GROUPS = (BLUE, GREEN, PURPLE)
_LINES = {"nash_dqn": "-", "fictitious_play": ":"}
_ALL, _VISITED_BY = "all", "learned"


def plot(lq_error: DataFrame, lq_scatter: DataFrame) -> Figure:
    """Draw learned against exact actions, and the relative error at each decision point, a row of panels per game.

    Left, a sample of Nash-DQN's actions over all seeds and decision points, and the line on which they are right.
    Right, the root-mean-square error over the states that the learned policy visits, divided by the RMS of the exact
    action there: thin lines and dots for each seed, thick ones for the median, at each decision point and over all of
    them. Colour is the group of agents, the style of line the algorithm. Seeds without finite errors are not drawn,
    and counted.

    Args:
        lq_error: columns scenario (the game), group, algorithm, recipe, seed, visited_by, step ("0" to "M - 1", or
            "all"), relative; in each game, a recipe of each algorithm.
        lq_scatter: columns scenario, group, algorithm, recipe, seed, step, exact, learned (units of an action).

    Raises:
        ValueError: if a column, or a row of a seed, is missing or stands twice, there are more groups than colours, or
            the tables' games differ.
    """
    require_columns(lq_error, ERRORS, ERROR_COLUMNS)
    require_columns(lq_scatter, SCATTER, SCATTER_COLUMNS)
    games = list(lq_error["scenario"].unique())
    if set(lq_scatter["scenario"]) - set(games):
        raise ValueError(f"{SCATTER}: its games are not those of {ERRORS}, {', '.join(games)}")
    if lq_error["group"].nunique() > len(_GROUPS):
        raise ValueError(f"{ERRORS}: {lq_error['group'].nunique()} groups, and there are {len(_GROUPS)} colours")
    with style():
        figure = new_figure(14 + 52 * len(games))
        panels = figure.subplots(len(games), 2, squeeze=False, width_ratios=(1, 1.9))
        for row, (game, (actions, errors)) in enumerate(zip(games, panels, strict=True)):
            groups = sorted(select(lq_error, ERRORS, scenario=game)["group"].unique())
            of_game = lq_scatter[(lq_scatter["scenario"] == game) & (lq_scatter["algorithm"] == "nash_dqn")]
            _draw_actions(actions, of_game, groups)
            title_panel(actions, 2 * row, f"{game}: actions")
            lost = _draw_errors(errors, select(lq_error, ERRORS, scenario=game, visited_by=_VISITED_BY), groups)
            title_panel(errors, 2 * row + 1, f"{game}: error{lost}")
        for axes, label in zip(panels[-1], ("exact", "decision point m"), strict=True):
            axes.set_xlabel(label)
        groups = sorted(lq_error["group"].unique())
        figure.legend(handles=_legend(groups, lq_error["algorithm"].unique()), loc="outside lower center", ncols=3)
    return figure


def _draw_actions(axes: Axes, scatter: DataFrame, groups: list[int]) -> None:
    for at, group in enumerate(groups):
        of = scatter[scatter["group"] == group]
        axes.plot(
            of["exact"], of["learned"], ".", ms=1.5, mew=0, color=_GROUPS[at], alpha=0.5, rasterized=True, zorder=2 - at
        )
    both = scatter[["exact", "learned"]].to_numpy()
    ends = np.array([both.min(), both.max()]) if both.size else np.array([-1.0, 1.0])
    axes.plot(ends, ends, color=GREY, lw=0.8, zorder=3)
    axes.set_aspect("equal")
    axes.set_ylabel("learned")
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_locator(MaxNLocator(4))


def _draw_errors(axes: Axes, errors: DataFrame, groups: list[int]) -> str:
    """Draw every seed and the median; returns how many seeds are left out, in words."""
    left_out = []
    shown = []
    last = 0
    for at, group in enumerate(groups):
        for algorithm, line in _LINES.items():
            rows = errors[(errors["group"] == group) & (errors["algorithm"] == algorithm)]
            if rows.empty:
                continue
            only(rows, ERRORS, "recipe")
            (seeds, steps), relative = grid(rows, ERRORS, ("seed", "step"), "relative")
            order = sorted(range(len(steps)), key=lambda k: (str(steps[k]) == _ALL, _number(steps[k])))
            percent = 100 * relative[:, order]
            finite = np.isfinite(percent).all(1)
            if not finite.all() and group == groups[0]:
                left_out.append(
                    f"{int((~finite).sum())} of {len(seeds)} seeds of {ALGORITHM_NAMES[algorithm]} diverged"
                )
            percent = percent[finite]
            if not len(percent):
                continue
            shown.append(percent)
            last = len(steps) - 1
            colour, place = _GROUPS[at], last + 0.6
            axes.plot(range(last), percent[:, :-1].T, line, color=colour, lw=0.4, alpha=0.5)
            axes.plot(range(last), np.median(percent, 0)[:-1], line, color=colour, lw=1.6, gid=f"{algorithm} {group}")
            filled = colour if algorithm == "nash_dqn" else "none"
            axes.plot(np.full(len(percent), place), percent[:, -1], "o", ms=2.5, mfc=filled, mec=colour, mew=0.6)
    axes.axhline(100 * TARGET, color=GREY, lw=0.8, ls="--", zorder=0)
    if shown:
        scale_log(axes, min(one.min() for one in shown), max(one.max() for one in shown))
    ticks = list(range(0, last, max(1, last // 5)))
    axes.set_xticks([*ticks, last + 0.6], [*(str(tick) for tick in ticks), "all"])
    axes.set_ylabel("relative RMS error (%)")
    return f"; {', '.join(left_out)}" if left_out else ""


def _number(step: object) -> int:
    return -1 if str(step) == _ALL else int(str(step))


def _legend(groups: list[int], algorithms: object) -> list[Line2D]:
    handles = [
        Line2D([], [], color=_GROUPS[at], marker="o", ls="", ms=3, label=f"group {group}")
        for at, group in enumerate(groups)
    ]
    handles += [
        Line2D([], [], color="black", ls=line, lw=1.2, label=ALGORITHM_NAMES[algorithm])
        for algorithm, line in _LINES.items()
        if algorithm in set(algorithms)  # type: ignore[call-overload]
    ]
    handles.append(Line2D([], [], color=GREY, ls="--", lw=0.8, label=f"{TARGET:.0%}"))
    return handles
