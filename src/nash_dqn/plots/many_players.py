"""More and more players: what is learned against exact equilibria, their distance to the limit, and what it costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from pandas import DataFrame

from nash_dqn.plots.lq_policies import finish_errors
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
from nash_dqn.plots.tables import check, select

ERRORS, LIMIT = "many_players", "mean_field_limit"
ERROR_COLUMNS = ("agents", "algorithm", "seed", "visited_by", "step", "relative")
LIMIT_COLUMNS = ("agents", "distance", "left")
COST_KEYS = ("agents", "parameters", "median_ms")


def plot(errors: DataFrame, limit: DataFrame) -> Figure:
    """Draw errors of learned policies, and how finite games approach the limit of infinitely many players.

    Args:
        errors: columns :data:`ERROR_COLUMNS`; of Nash-DQN, over all steps and in the states that the learned policy
            visits, a circle per seed and a line through the medians. Seeds without finite errors are crosses on the
            upper edge.
        limit: columns :data:`LIMIT_COLUMNS`; lines with the slope between the two largest numbers of agents.

    Raises:
        ValueError: if a column or a row is missing.
    """
    check(errors, ERRORS, ERROR_COLUMNS)
    check(limit, LIMIT, LIMIT_COLUMNS)
    of_all = errors.assign(step=errors["step"].astype(str), percent=100 * errors["relative"])
    learned = select(of_all, ERRORS, step="all", visited_by="learned", algorithm="nash_dqn")
    limit = limit.sort_values("agents")
    with drawing(80, ncols=2) as figure:  # a column for each panel
        left, right = figure.subplots(1, 2)
        sound = learned[np.isfinite(learned["percent"])]
        draw_marks(left, sound["agents"], sound["percent"], ms=3, color=BLUE, label="one seed")
        left.plot(sound.groupby("agents")["percent"].median(), color=BLUE, label="median")
        mark_edge(left, "top", learned.loc[~np.isfinite(learned["percent"]), "agents"], "diverged")
        left.set_ylabel("relative RMS error (%)")
        finish_errors(left)
        for column, name, look in (
            ("distance", "distance of gains (share)", {"marker": "o", "color": GREEN}),
            ("left", "left to gain ($)", {"marker": "s", "color": ORANGE}),
        ):
            right.plot(limit["agents"], limit[column], label=_with_slope(name, limit["agents"], limit[column]), **look)
        log_scale(right.yaxis)
        for axes, table in ((left, learned), (right, limit)):
            log_levels(axes, table["agents"])
            axes.set_xlabel("agents N")
        title_panels((left, right), ("Nash-DQN against exact equilibria", "finite games against the limit"))
    return figure


def plot_cost(cost: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw the time of an iteration of one training, and the number of parameters, against the number of agents.

    Args:
        cost: with :data:`COST_KEYS`, of :func:`nash_dqn.studies.many_players.training_cost`.

    Raises:
        ValueError: if there are fewer than two rows, or a key is missing.
    """
    missing = [key for key in COST_KEYS for row in cost if key not in row]
    if len(cost) < 2 or missing:
        raise ValueError(f"training cost: {len(cost)} rows, without {missing[0] if missing else 'a second one'}")
    table = DataFrame(list(cost))
    with drawing(75) as figure:
        left, right = figure.subplots(1, 2)
        label = _with_slope("time", table["agents"], table["median_ms"])
        left.plot(table["agents"], table["median_ms"], "o-", color=BLUE, label=label)
        log_scale(left.yaxis)
        right.plot(table["agents"], table["parameters"], "o-", color=BLUE)
        right.set_ylim(0, 1.25 * table["parameters"].max())
        for axes, label in ((left, "median time of an iteration (ms)"), (right, "parameters of one training")):
            log_levels(axes, table["agents"])
            axes.set(xlabel="agents N", ylabel=label)
        title_panels((left, right), ("time", "parameters"))
    return figure


def _with_slope(name: str, agents: Any, values: Any) -> str:
    """The name and the slope of the logarithms between the two largest numbers of agents."""
    slope = np.diff(np.log(values))[-1] / np.diff(np.log(agents))[-1]
    return f"{name}, slope at the end {slope:.2f}".replace("-", "\N{MINUS SIGN}")
