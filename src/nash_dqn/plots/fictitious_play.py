"""Is it fictitious play that fails, or its learner: best responses of three learners, round by round."""

from __future__ import annotations

from typing import Any

import numpy as np
import seaborn
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas import DataFrame

from nash_dqn.evaluation.statistics import FLOOR, geometric_mean
from nash_dqn.plots.style import (
    BLUE,
    DIVERGED,
    GREEN,
    GREY,
    ORANGE,
    legend,
    log_scale,
    new_figure,
    style,
    title_panels,
)
from nash_dqn.plots.tables import check, check_values, only

TABLE = "fictitious_play"
OPPONENTS = ("last", "average")
COLUMNS = ("scenario", "learner", "sees", "opponents", "seed", "round", "measure", "value")

_LOOKS = {
    ("exact", "same"): (GREY, "exact best responses"),
    ("gradient", "same"): (GREEN, "by gradients, class same"),
    ("gradient", "memory"): (BLUE, "by gradients, class memory"),
    ("ddpg", "same"): (ORANGE, "by DDPG"),
}
_MARKERS = {"exact": "", "gradient": "o", "ddpg": "s"}
_LABELS = {"error": "relative RMS error", "gain": "gain of agent 1 ($)"}
_LEAST_ERROR = 1e-4  # where axes of errors end: exact responses go on, learned ones do not get there


def plot(fictitious_play: DataFrame) -> Figure:
    """Draw what is left after each round, a column of panels for each scenario and a row for each kind of opponents.

    Dots are trainings, lines geometric means over those that have not diverged, bands their 95 %
    t intervals. A cross at the upper edge is a round in which some training has diverged.

    Args:
        fictitious_play: columns :data:`COLUMNS` of :mod:`nash_dqn.studies.fictitious_play`, of which ``error`` and
            ``gain`` are drawn.

    Raises:
        ValueError: if a column is missing, or a learner, class or kind of opponents is unknown.
    """
    check(fictitious_play, TABLE, COLUMNS)
    check_values(fictitious_play, TABLE, "learner", tuple(_MARKERS))
    check_values(fictitious_play, TABLE, "opponents", OPPONENTS)
    drawn = fictitious_play[fictitious_play["measure"].isin(_LABELS)]
    scenarios = list(drawn["scenario"].unique())
    with style():
        figure = new_figure(115)
        rows = figure.subplots(len(OPPONENTS), len(scenarios), sharex=True, sharey="col", squeeze=False)
        for opponents, panels in zip(OPPONENTS, rows, strict=True):
            shown = ""
            for scenario, axes in zip(scenarios, panels, strict=True):
                _draw(axes, drawn[(drawn["scenario"] == scenario) & (drawn["opponents"] == opponents)])
                measure = only(drawn[drawn["scenario"] == scenario], TABLE, "measure")
                if measure != shown:
                    axes.set_ylabel(f"{_LABELS[measure]},\nagainst the {opponents}")
                shown = measure
                log_scale(axes.yaxis)
                if measure == "error":
                    axes.set_ylim(bottom=_LEAST_ERROR)
        for axes in rows[-1]:
            axes.set_xlabel("best response")
            log_scale(axes.xaxis)
        title_panels(rows.flat, 2 * scenarios)
        legend(figure, ncols=4)
    return figure


def _draw(axes: Axes, rows: DataFrame) -> None:
    """Draw one panel's learners."""
    for (learner, sees), (colour, label) in _LOOKS.items():
        of = rows[(rows["learner"] == learner) & (rows["sees"] == sees)]
        if of.empty:
            continue
        lost = of.loc[of["value"].isna(), "round"].unique()
        if len(lost):
            edge: dict[str, Any] = {"transform": axes.get_xaxis_transform(), "clip_on": False, "color": DIVERGED}
            axes.plot(lost, [1] * len(lost), "x", ms=4, label="some training diverged", **edge)
        of = of.dropna(subset="value")
        of = of.assign(value=of["value"].where(of["measure"] == "error", of["value"].clip(lower=FLOOR)))
        means = of.groupby("round")["value"].apply(lambda values: geometric_mean(values.to_numpy()))
        middle, low, high = np.array(means.to_list()).reshape(-1, 3).T
        look: dict[str, Any] = {"color": colour, "marker": _MARKERS[learner] or None, "ms": 4, "mew": 0, "label": label}
        seaborn.lineplot(x=means.index, y=middle, legend=False, ax=axes, **look)
        axes.fill_between(means.index, low, high, color=colour, alpha=0.2, lw=0)
        if of["seed"].nunique() > 1:
            seaborn.scatterplot(of, x="round", y="value", color=colour, s=4, alpha=0.7, legend=False, ax=axes)
        axes.set(xlabel="", ylabel="")
