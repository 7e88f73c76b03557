"""Is it fictitious play that fails, or its learner: best responses of each learner, round by round."""

from __future__ import annotations

import seaborn
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas import DataFrame

from nash_dqn.evaluation.statistics import FLOOR, geometric_mean
from nash_dqn.plots.style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    averaging,
    drawing,
    log_scale,
    mark_edge,
    title_panels,
)
from nash_dqn.plots.tables import check, only

TABLE = "fictitious_play"
OPPONENTS = ("last", "average")
COLUMNS = ("scenario", "learner", "sees", "opponents", "seed", "round", "measure", "value")

_LOOKS = {
    ("exact", "same"): (GREY, "exact best responses"),
    ("gradient", "same"): (GREEN, "by gradients, class same"),
    ("gradient", "memory"): (BLUE, "by gradients, class memory"),
    ("ddpg", "same"): (ORANGE, "by DDPG"),
    ("td3", "same"): (PURPLE, "by TD3"),
}
_MARKERS = {"exact": None, "gradient": "o", "ddpg": "s", "td3": "D"}
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
    check(fictitious_play, TABLE, COLUMNS, learner=_MARKERS, opponents=OPPONENTS)
    drawn = fictitious_play[fictitious_play["measure"].isin(_LABELS)]
    measures = {scenario: only(rows, TABLE, "measure") for scenario, rows in drawn.groupby("scenario", sort=False)}
    scenarios = list(measures)
    before = [None, *measures.values()]
    named = [scenario for scenario, last in zip(scenarios, before, strict=False) if measures[scenario] != last]
    with drawing(115, ncols=4) as figure:
        rows = figure.subplots(len(OPPONENTS), len(scenarios), sharex=True, sharey="col", squeeze=False)
        for opponents, panels in zip(OPPONENTS, rows, strict=True):
            for scenario, axes in zip(scenarios, panels, strict=True):
                _draw(axes, drawn[(drawn["scenario"] == scenario) & (drawn["opponents"] == opponents)])
            for scenario in named:
                label = f"{_LABELS[measures[scenario]]},\nagainst the {opponents}"
                panels[scenarios.index(scenario)].set_ylabel(label)
        for axes, scenario in zip(rows[-1], scenarios, strict=True):
            axes.set_xlabel("best response")
            log_scale(axes.xaxis)
            log_scale(axes.yaxis)
            if measures[scenario] == "error":
                axes.set_ylim(bottom=_LEAST_ERROR)
        title_panels(rows.flat, 2 * scenarios)
    return figure


def _draw(axes: Axes, rows: DataFrame) -> None:
    """Draw one panel's learners, before axes are logarithmic."""
    for (learner, sees), (colour, label) in _LOOKS.items():
        of = rows[(rows["learner"] == learner) & (rows["sees"] == sees)]
        mark_edge(axes, "top", of.loc[of["value"].isna(), "round"].unique(), "some training diverged")
        of = of.dropna(subset="value")
        if of.empty:
            continue
        of = of.assign(value=of["value"].where(of["measure"] == "error", of["value"].clip(lower=FLOOR)))
        look = {"color": colour, "marker": _MARKERS[learner], "ms": 4, "mew": 0, "label": label}
        seaborn.lineplot(of, x="round", y="value", legend=False, ax=axes, **look, **averaging(geometric_mean))
        if of["seed"].nunique() > 1:
            seaborn.scatterplot(of, x="round", y="value", color=colour, s=4, alpha=0.7, legend=False, ax=axes)
        axes.set(xlabel="", ylabel="")
