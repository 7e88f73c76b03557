"""More and more players: what is learned against exact equilibria, their distance to the limit, and what it costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter
from pandas import DataFrame

from nash_dqn.plots.lq_policies import TARGET
from nash_dqn.plots.style import BLUE, DIVERGED, GREEN, GREY, ORANGE, SMALL, new_figure, scale_log, style, title_panel
from nash_dqn.plots.tables import require_columns, select

ERRORS, LIMIT = "many_players", "mean_field_limit"
ERROR_COLUMNS = ("agents", "algorithm", "seed", "visited_by", "step", "relative")
LIMIT_COLUMNS = ("agents", "distance", "left")
COST_KEYS = ("agents", "parameters", "median_ms")


def plot(errors: DataFrame, limit: DataFrame) -> Figure:
    """Draw errors of learned policies, and how finite games approach the limit of infinitely many players.

    Args:
        errors: columns agents, algorithm, seed, visited_by, step, relative; of Nash-DQN, over all steps and in the
            states that the learned policy visits, a dot per seed and a line through the medians. Seeds without finite
            errors are crosses on the upper edge.
        limit: columns agents, distance, left; lines with the slope between the two largest numbers of agents.

    Raises:
        ValueError: if a column or a row is missing.
    """
    require_columns(errors, ERRORS, ERROR_COLUMNS)
    require_columns(limit, LIMIT, LIMIT_COLUMNS)
    of_all = errors.assign(step=errors["step"].astype(str))
    learned = select(of_all, ERRORS, step="all", visited_by="learned", algorithm="nash_dqn")
    with style():
        figure = new_figure(68)
        left, right = figure.subplots(1, 2)
        _draw_errors(left, learned)
        title_panel(left, 0, "Nash-DQN against exact equilibria")
        _draw_limit(right, limit.sort_values("agents"))
        title_panel(right, 1, "finite games against the limit")
    return figure


def plot_cost(cost: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw the time of an iteration of one training, and the number of parameters, against the number of agents.

    Args:
        cost: with agents, parameters and median_ms, of :func:`nash_dqn.studies.many_players.training_cost`.

    Raises:
        ValueError: if there are fewer than two rows, or a key is missing.
    """
    missing = [key for key in COST_KEYS for row in cost if key not in row]
    if len(cost) < 2 or missing:
        raise ValueError(f"training cost: {len(cost)} rows, without {missing[0] if missing else 'a second one'}")
    agents, parameters, times = (np.array([float(row[key]) for row in cost]) for key in COST_KEYS)
    with style():
        figure = new_figure(68)
        left, right = figure.subplots(1, 2)
        left.plot(agents, times, "o-", color=BLUE, ms=3.5, gid="time")
        _slope(left, agents, times, BLUE)
        left.set_ylabel("median time of an iteration (ms)")
        right.plot(agents, parameters, "o-", color=BLUE, ms=3.5, gid="parameters")
        right.set_ylabel("parameters of one training")
        right.set_ylim(0, 1.25 * parameters.max())
        for index, (axes, title) in enumerate(zip((left, right), ("time", "parameters"), strict=True)):
            title_panel(axes, index, title)
            _agents_axis(axes, agents)
        scale_log(left, times.min() / 1.5, times.max() * 1.5)
    return figure


def _draw_errors(axes: Axes, learned: DataFrame) -> None:
    percent = 100 * learned["relative"].to_numpy(dtype=np.float64)
    agents = learned["agents"].to_numpy(dtype=np.float64)
    finite = np.isfinite(percent)
    counts = np.unique(agents)
    axes.plot(agents[finite], percent[finite], "o", ms=3, mfc="none", mec=BLUE, mew=0.7, gid="seeds")
    found = [count for count in counts if (finite & (agents == count)).any()]
    medians = [np.median(percent[finite & (agents == count)]) for count in found]
    axes.plot(found, medians, color=BLUE, gid="median")
    axes.axhline(100 * TARGET, color=GREY, ls="--", lw=0.8, zorder=0)
    values = np.append(percent[finite], 100 * TARGET)
    _agents_axis(axes, counts)
    low, high = values.min() / 1.5, values.max() * 1.5
    scale_log(axes, low, high)
    axes.set_ylim(low, high)
    if not finite.all():
        axes.plot(agents[~finite], np.full(int((~finite).sum()), high), "x", color=DIVERGED, ms=5, clip_on=False)
    axes.set_ylabel("relative RMS error (%)")


def _draw_limit(axes: Axes, limit: DataFrame) -> None:
    agents = limit["agents"].to_numpy(dtype=np.float64)
    names = {"distance": ("distance of gains (share)", GREEN, "o"), "left": ("left to gain (currency)", ORANGE, "s")}
    values = limit[list(names)].to_numpy(dtype=np.float64)
    _agents_axis(axes, agents)
    scale_log(axes, values.min(), values.max())
    axes.set_ylim(values.min() / 30, values.max() * 3)  # room for what is written below the line
    for column, (label, colour, marker) in names.items():
        of = limit[column].to_numpy(dtype=np.float64)
        axes.plot(agents, of, marker=marker, color=colour, ms=3.5, label=label, gid=column)
        _slope(axes, agents, of, colour)
    axes.legend()


def _slope(axes: Axes, agents: np.ndarray, values: np.ndarray, colour: str) -> None:
    """Write the slope of the logarithms between the two largest numbers of agents at the line's end."""
    rise = np.log(values[-1] / values[-2]) / np.log(agents[-1] / agents[-2])
    text = f"slope {rise:.2f}".replace("-", "\N{MINUS SIGN}")
    middle = np.sqrt(agents[-1] * agents[-2]), np.sqrt(values[-1] * values[-2])
    away, side = (8, "bottom") if rise > 0 else (-8, "top")  # on the side that the line leaves free
    axes.annotate(
        text, middle, xytext=(-6, away), textcoords="offset points", ha="right", va=side, fontsize=SMALL, color=colour
    )


def _agents_axis(axes: Axes, agents: np.ndarray) -> None:
    axes.set_xscale("log")
    axes.set_xticks(agents)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("agents N")
