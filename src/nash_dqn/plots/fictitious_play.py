"""Is it fictitious play that fails, or its learner: best responses of three learners, round by round."""

from __future__ import annotations

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
from nash_dqn.plots.tables import check, check_values
from nash_dqn.studies.fictitious_play import OPPONENTS

TABLE = "fictitious_play"
COLUMNS = ("scenario", "learner", "sees", "opponents", "seed", "round", "measure", "value")

_LOOKS = {
    ("exact", "same"): (GREY, "exact best responses"),
    ("gradient", "same"): (GREEN, "by gradients, class same"),
    ("gradient", "memory"): (BLUE, "by gradients, class memory"),
    ("ddpg", "same"): (ORANGE, "by DDPG"),
}
_MARKERS = {"exact": "", "gradient": "o", "ddpg": "s"}
_LABELS = {"error": "relative RMS error", "gain": "gain of agent 1 (currency)"}
_LOWEST = {"error": 1e-4, "gain": FLOOR}  # smaller values stand there: errors of single precision, noise of gains


def plot(fictitious_play: DataFrame) -> Figure:
    """Draw what is left after each round, a column of panels for each scenario and a row for each kind of opponents.

    Small circles and squares are trainings, lines geometric means over those that have not diverged, bands their 95 %
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
            for scenario, axes in zip(scenarios, panels, strict=True):
                of = drawn[(drawn["scenario"] == scenario) & (drawn["opponents"] == opponents)]
                _draw(axes, of)
                axes.set(xlabel="", ylabel="")
            panels[0].set_ylabel(f"against the {opponents}")
        for scenario, axes in zip(scenarios, rows[0], strict=True):
            measure = drawn.loc[drawn["scenario"] == scenario, "measure"].iloc[0]
            log_scale(axes.yaxis)
            axes.annotate(_LABELS[measure], (0, 1.16), xycoords="axes fraction", annotation_clip=False)
        for axes in rows[-1]:
            axes.set_xlabel("best response")
            log_scale(axes.xaxis)
        title_panels(rows.flat, [f"{scenario}, {opponents}" for opponents in OPPONENTS for scenario in scenarios])
        legend(figure, ncols=4)
    return figure


def _draw(axes: Axes, rows: DataFrame) -> None:
    """Draw one panel's learners."""
    for (learner, sees), (colour, label) in _LOOKS.items():
        of = rows[(rows["learner"] == learner) & (rows["sees"] == sees)]
        if of.empty:
            continue
        lost = of.loc[of["value"].isna(), "round"].unique()
        of = of.assign(value=of["value"].clip(lower=of["measure"].map(_LOWEST))).dropna(subset="value")
        means = of.groupby("round")["value"].apply(lambda values: geometric_mean(values.to_numpy()))
        middle, low, high = zip(*means, strict=True) if len(means) else ((), (), ())
        look = {"color": colour, "marker": _MARKERS[learner] or None, "ms": 4, "mew": 0, "label": label}
        seaborn.lineplot(x=means.index, y=middle, legend=False, ax=axes, **look)
        axes.fill_between(means.index, low, high, color=colour, alpha=0.2, lw=0)
        if of["seed"].nunique() > 1:
            seaborn.scatterplot(of, x="round", y="value", color=colour, s=4, alpha=0.7, legend=False, ax=axes)
        edge = {"transform": axes.get_xaxis_transform(), "clip_on": False, "color": DIVERGED}
        if len(lost):
            axes.plot(lost, [1] * len(lost), "x", ms=4, label="some training diverged", **edge)
