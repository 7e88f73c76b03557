"""More and more players: what is learned against exact equilibria, their distance to the limit, and what it costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas import DataFrame

from nash_dqn.plots.lq_policies import finish_errors
from nash_dqn.plots.style import BLUE, DIVERGED, GREEN, ORANGE, legend, log_scale, new_figure, style, title_panels
from nash_dqn.plots.tables import check, select

ERRORS, LIMIT = "many_players", "mean_field_limit"
ERROR_COLUMNS = ("agents", "algorithm", "seed", "visited_by", "step", "relative")
LIMIT_COLUMNS = ("agents", "distance", "left")
COST_KEYS = ("agents", "parameters", "median_ms")


def plot(errors: DataFrame, limit: DataFrame) -> Figure:
    """Draw errors of learned policies, and how finite games approach the limit of infinitely many players.

    Args:
        errors: columns agents, algorithm, seed, visited_by, step, relative; of Nash-DQN, over all steps and in the
            states that the learned policy visits, a circle per seed and a line through the medians. Seeds without
            finite errors are crosses on the upper edge.
        limit: columns agents, distance, left; lines with the slope between the two largest numbers of agents.

    Raises:
        ValueError: if a column or a row is missing.
    """
    check(errors, ERRORS, ERROR_COLUMNS)
    check(limit, LIMIT, LIMIT_COLUMNS)
    of_all = errors.assign(step=errors["step"].astype(str), percent=100 * errors["relative"])
    learned = select(of_all, ERRORS, step="all", visited_by="learned", algorithm="nash_dqn")
    limit = limit.sort_values("agents")
    with style():
        figure = new_figure(80)
        left, right = figure.subplots(1, 2)
        sound = learned[np.isfinite(learned["percent"])]
        medians = sound.groupby("agents")["percent"].median()
        circle: dict[str, Any] = {"ms": 3, "mfc": "none", "mew": 0.7, "color": BLUE}
        left.plot(sound["agents"], sound["percent"], "o", label="one seed", **circle)
        left.plot(medians.index, medians, color=BLUE, label="median")
        lost = learned.loc[~np.isfinite(learned["percent"]), "agents"]
        if len(lost):
            edge: dict[str, Any] = {"transform": left.get_xaxis_transform(), "clip_on": False, "color": DIVERGED}
            left.plot(lost, [1] * len(lost), "x", ms=5, label="diverged", **edge)
        left.set_ylabel("relative RMS error (%)")
        finish_errors(left)
        for column, name, look in (
            ("distance", "distance of gains (share)", {"marker": "o", "color": GREEN}),
            ("left", "left to gain ($)", {"marker": "s", "color": ORANGE}),
        ):
            right.plot(limit["agents"], limit[column], label=_with_slope(name, limit["agents"], limit[column]), **look)
        log_scale(right.yaxis)
        _agents_axis(left, learned["agents"])
        _agents_axis(right, limit["agents"])
        title_panels((left, right), ("Nash-DQN against exact equilibria", "finite games against the limit"))
        legend(figure)
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
    table = DataFrame(list(cost))
    with style():
        figure = new_figure(75)
        left, right = figure.subplots(1, 2)
        label = _with_slope("time", table["agents"], table["median_ms"])
        left.plot(table["agents"], table["median_ms"], "o-", color=BLUE, label=label)
        left.set_ylabel("median time of an iteration (ms)")
        log_scale(left.yaxis)
        right.plot(table["agents"], table["parameters"], "o-", color=BLUE)
        right.set_ylabel("parameters of one training")
        right.set_ylim(0, 1.25 * table["parameters"].max())
        for axes in (left, right):
            _agents_axis(axes, table["agents"])
        title_panels((left, right), ("time", "parameters"))
        legend(figure)
    return figure


def _with_slope(name: str, agents: Any, values: Any) -> str:
    """The name and the slope of the logarithms between the two largest numbers of agents."""
    slope = np.diff(np.log(values))[-1] / np.diff(np.log(agents))[-1]
    return f"{name}, slope at the end {slope:.2f}".replace("-", "\N{MINUS SIGN}")


def _agents_axis(axes: Axes, agents: Any) -> None:
    axes.set_xscale("log")
    counts = np.unique(agents)
    axes.set_xticks(counts, [f"{count:g}" for count in counts])
    axes.set_xticks([], minor=True)
    axes.set_xlabel("agents N")
