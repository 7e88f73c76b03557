"""Learned policies against the exact equilibrium of a linear-quadratic market."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from pandas import DataFrame

from nash_dqn.plots.style import ALGORITHM_COLOURS, DIVERGED, draw_marks, drawing, log_scale, title_panels
from nash_dqn.plots.tables import check, check_grid, only, select

ERRORS = "lq_error"
ERROR_COLUMNS = ("scenario", "policy", "algorithm", "seed", "visited_by", "step", "relative")
SCATTER = "lq_scatter"
SCATTER_COLUMNS = ("scenario", "policy", "seed", "step", "exact", "learned")
TARGET = 0.05
"""The dashed line: a relative error this small counts as having found the equilibrium."""

ALL = "all"
"""The step that stands for all of them."""

_VISITORS = {"learned": "states the learned policy visits", "exact": "states the equilibrium visits"}
_LINE_STYLES = ("-", "--", ":", "-.")  # policies of one algorithm
_SHOWN = 5  # decision points with a panel of their own
_FAR = 1.5  # actions this many times the typical seed's largest do not stretch a panel


def plot(lq_error: DataFrame, lq_scatter: DataFrame) -> Figure:
    """Draw learned against exact actions, and the relative error at each decision point.

    A row of panels for each policy shows a sample of actions at a few decision points, over all seeds, with the line
    on which they are right; actions far beyond a typical seed's stand on the edge. Below is the root-mean-square error
    divided by the RMS of the exact action: thin lines and dots for each seed, thick ones for the median over seeds, at
    each decision point and over all of them. Colour is the algorithm; its policies differ in the style of line. Seeds
    without finite errors are counted, not drawn.

    Args:
        lq_error: columns :data:`ERROR_COLUMNS`: visited_by (learned, exact), step ("0" to "M - 1", or "all"); one
            scenario.
        lq_scatter: columns :data:`SCATTER_COLUMNS`, exact and learned in shares/hour; the same scenario.

    Raises:
        ValueError: if a column, or a row of a seed, is missing or stands twice, an algorithm is unknown, or the
            tables' scenarios differ.
    """
    check(lq_error, ERRORS, ERROR_COLUMNS, visited_by=_VISITORS, algorithm=ALGORITHM_COLOURS)
    scenario = only(lq_error, ERRORS, "scenario")
    check(lq_scatter, SCATTER, SCATTER_COLUMNS, scenario=[scenario])
    algorithms = dict(zip(lq_error["policy"], lq_error["algorithm"], strict=True))
    lines = {algorithm: itertools.cycle(_LINE_STYLES) for algorithm in ALGORITHM_COLOURS}
    looks = {
        policy: {"color": ALGORITHM_COLOURS[algorithm], "ls": next(lines[algorithm])}
        for policy, algorithm in algorithms.items()
    }
    steps = np.sort(lq_scatter["step"].unique())
    shown = steps[np.unique(np.linspace(0, len(steps) - 1, min(_SHOWN, len(steps))).round().astype(int))]
    limits = {step: limit_of(lq_scatter[lq_scatter["step"] == step]) for step in shown}

    with drawing(95 + 38 * len(looks), f"scenario {scenario}") as figure:
        (above,), (below,) = figure.subfigures(2, 1, squeeze=False, height_ratios=(38 * len(looks), 80))
        rows = above.subplots(len(looks), len(shown), squeeze=False)
        for (policy, look), panels in zip(looks.items(), rows, strict=True):
            actions = lq_scatter[lq_scatter["policy"] == policy]
            for axes, step in zip(panels, shown, strict=True):
                draw_actions(axes, actions[actions["step"] == step], limits[step], look["color"])
            panels[0].set_ylabel(f"{policy}\nlearned (shares/hour)")
        above.supxlabel("exact (shares/hour)", fontsize="medium")
        errors_of = below.subplots(1, 2, sharey=True)
        for axes, visitor in zip(errors_of, _VISITORS, strict=True):
            for at, (policy, look) in enumerate(looks.items()):
                of = select(lq_error, ERRORS, visited_by=visitor, policy=policy)
                draw_errors(axes, of, policy, look, 0.6 + 0.5 * at)
            axes.set_xlabel("decision point $m$")
        errors_of[0].set_ylabel("relative RMS error (%)")
        finish_errors(errors_of[0])
        titles = [f"$m$ = {step}" for _ in looks for step in shown]
        title_panels([*rows.flat, *errors_of], [*titles, *_VISITORS.values()])
    return figure


def draw_errors(axes: Axes, rows: DataFrame, name: str, look: Mapping[str, Any], place: float) -> None:
    """Draw the errors (%) of one policy at each decision point, each seed's and the median, and over all of them.

    Args:
        axes: panel.
        rows: columns seed, step, relative. Seeds with an error that is not finite are only counted, in the legend.
        name: of the policy, in the legend.
        look: colour and style of the line.
        place: where the errors over all steps stand, right of the last step.
    """
    rows = rows.assign(step=rows["step"].astype(str))
    check_grid(rows, ERRORS, ("seed", "step"))
    percent = 100 * rows.pivot(index="step", columns="seed", values="relative")
    steps = [str(step) for step in range(len(percent) - 1)]
    if {*percent.index} != {*steps, ALL} or not steps:
        raise ValueError(f"{ERRORS}: step must be 0, 1, .. and {ALL}; found {', '.join(percent.index)}")
    sound = percent.loc[:, np.isfinite(percent).all()]
    counted = f"{sound.shape[1]} of {percent.shape[1]} seeds" if percent.shape[1] > 1 else "one seed"
    axes.plot(range(len(steps)), sound.loc[steps], lw=0.6, alpha=0.6, **look)
    axes.plot(range(len(steps)), sound.loc[steps].median(axis=1), lw=1.8, **look, label=f"{name}, median of {counted}")
    at = len(steps) - 1 + place
    draw_marks(axes, at, sound.loc[ALL], color=look["color"])
    axes.plot(at, sound.loc[ALL].median(), "_", ms=10, mew=1.8, color=look["color"])
    ticks = range(0, len(steps), max(1, len(steps) // 5))
    axes.set_xticks([*ticks, len(steps) - 0.2], [*map(str, ticks), ALL])


def finish_errors(axes: Axes) -> None:
    """Draw the target and scale the axis of errors."""
    for panel in axes.get_shared_y_axes().get_siblings(axes):
        panel.axhline(100 * TARGET, color="0.35", lw=0.9, ls="--", zorder=1, label=f"{TARGET:.0%}")
    log_scale(axes.yaxis)


def limit_of(scatter: DataFrame) -> float:
    """End of the axes of a panel: the largest action, but not that of a few seeds that are far off."""
    sizes = scatter[["exact", "learned"]].abs().max(axis=1).replace(np.inf, np.nan)
    largest = sizes.groupby([scatter["policy"], scatter["seed"]]).max()
    typical = _FAR * largest.median()
    return 1.05 * float(largest[largest <= typical].max() if (largest <= typical).any() else 1.0) or 1.0


def draw_actions(axes: Axes, scatter: DataFrame, limit: float, colour: str) -> None:
    """Draw the actions and the diagonal; what is off the scale stands on its edge."""
    axes.axline((0, 0), slope=1, color="0.4", lw=0.6, zorder=1)
    both = scatter[["exact", "learned"]].dropna()
    far = (both.abs() > limit).any(axis=1)
    look: dict[str, Any] = {"mew": 0, "zorder": 2, "rasterized": True}
    near, edge = both[~far], both[far].clip(-limit, limit)
    draw_marks(axes, near["exact"], near["learned"], ms=1.5, mfc=colour, color=colour, alpha=0.35, **look)
    look |= {"mfc": DIVERGED, "color": DIVERGED, "label": "off scale"}
    draw_marks(axes, edge["exact"], edge["learned"], "D", ms=2.5, **look)
    axes.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 5, 10]))
