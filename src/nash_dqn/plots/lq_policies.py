"""Learned policies against the exact equilibrium of a linear-quadratic market."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from pandas import DataFrame

from nash_dqn.plots.style import (
    ALGORITHM_COLOURS,
    ALGORITHM_NAMES,
    DIVERGED,
    MM,
    SMALL,
    WIDTH_MM,
    compact,
    letter,
    new_figure,
    scale_log,
    style,
    title_panel,
)
from nash_dqn.plots.tables import grid, only, require_columns

ERRORS = "lq_error"
ERROR_COLUMNS = ("scenario", "algorithm", "recipe", "seed", "visited_by", "step", "relative")
SCATTER = "lq_scatter"
SCATTER_COLUMNS = ("scenario", "algorithm", "recipe", "seed", "step", "exact", "learned")
TARGET = 0.05
"""The dashed line: a relative error this small counts as having found the equilibrium."""

_ALL = "all"
_VISITORS = {"learned": "states the learned policy visits", "exact": "states the equilibrium visits"}
_LINE_STYLES = ("-", "--", ":", "-.")  # recipes of one algorithm
_SHOWN = 5  # decision points with a panel of their own
_SPOT = 0.75  # width of a recipe's place on the axis, in decision points, in the column over all of them
_FAR = 1.5  # actions this many times the typical seed's largest do not stretch a panel

# The page, in millimetres.
_LEFT, _RIGHT, _TOP = 14.0, 3.0, 8.0
_SIDE, _GAP, _HEADING, _BELOW = 25.0, 7.0, 9.0, 6.0  # square panels; what stands above and below a row of them
_ERROR_GAP, _ERROR_HEIGHT, _ERROR_BELOW = 8.0, 46.0, 10.0
_LINE, _LEGEND_LINE, _NOTE_CHARACTERS = 3.1, 4.0, 136


@dataclass(frozen=True)
class _Series:
    """The trainings of one recipe: relative errors [seeds, visitors, steps and all], and actions of finite seeds."""

    algorithm: str
    recipe: str
    line: str
    seeds: np.ndarray
    relative: np.ndarray
    actions: DataFrame

    @property
    def name(self) -> str:
        return f"{ALGORITHM_NAMES[self.algorithm]} {self.recipe}"

    @property
    def colour(self) -> str:
        return ALGORITHM_COLOURS[self.algorithm]

    @property
    def finite(self) -> np.ndarray:
        """Tell, [seeds], which are drawn."""
        return np.isfinite(self.relative).all(axis=(1, 2))

    @property
    def seed_count(self) -> str:
        drawn, seeds = int(self.finite.sum()), len(self.seeds)
        counted = f"{drawn} of {seeds}" if drawn < seeds else str(seeds)
        return f"{counted} seed{'s' if seeds > 1 else ''}"


def plot(lq_error: DataFrame, lq_scatter: DataFrame, *, target: float = TARGET) -> Figure:
    """Draw learned against exact actions, and the relative error at each decision point.

    A row of panels for each recipe shows a sample of actions at a few decision points, over all seeds, with the line
    on which they are right. Below is the root-mean-square error divided by the RMS of the exact action: thin lines
    and dots for each seed, thick ones for the median over seeds, at each decision point and over all of them. Colour
    is the algorithm; its recipes differ in the style of line. Seeds without finite errors are named, not drawn.

    Args:
        lq_error: columns scenario, algorithm (nash_dqn, fictitious_play), recipe, seed, visited_by (learned,
            exact), step ("0" to "M - 1", or "all"), relative; one scenario.
        lq_scatter: columns scenario, algorithm, recipe, seed, step, exact, learned (shares/hour); the same scenario.
        target: relative error of the dashed line.

    Raises:
        ValueError: if a column, or a row of a seed, is missing or stands twice, or the tables' scenarios differ.
    """
    require_columns(lq_error, ERRORS, ERROR_COLUMNS)
    require_columns(lq_scatter, SCATTER, SCATTER_COLUMNS)
    scenario, of_scatter = only(lq_error, ERRORS, "scenario"), only(lq_scatter, SCATTER, "scenario")
    if scenario != of_scatter:
        raise ValueError(f"{SCATTER}: scenario {of_scatter} is not that of {ERRORS}, {scenario}")
    steps = _steps(lq_error)
    series = _all_series(lq_error, lq_scatter, steps)
    shown = np.unique(np.linspace(0, steps - 1, min(_SHOWN, steps)).round().astype(int))
    limits = [_limit(series, step) for step in shown]
    notes = _notes(series)

    row = _HEADING + _SIDE + _BELOW
    text = len(series) * _LINE
    legend = (len(series) // 2 + 2) * _LEGEND_LINE
    errors_top = _TOP + len(series) * row + 7.0 + text + 7.0
    height = errors_top + _ERROR_HEIGHT + _ERROR_BELOW + legend + len(notes) * _LINE + 2.0

    with style():
        figure = new_figure(height, layout=None)
        heading = f"Learned against exact equilibrium actions, scenario {scenario}"
        figure.text(2 / WIDTH_MM, 1 - 2 / height, heading, ha="left", va="top", fontsize=9)
        for at, one in enumerate(series):
            top = _TOP + at * row
            title = f"{letter(at)} {one.name}: {one.seed_count}"
            figure.text(_LEFT / WIDTH_MM, 1 - (top + 2) / height, title, ha="left", va="top", fontsize=8)
            for column, (step, limit) in enumerate(zip(shown, limits, strict=True)):
                left = _LEFT + column * (_SIDE + _GAP)
                axes = _add_axes(figure, left, top + _HEADING, _SIDE, _SIDE)
                axes.set_gid(f"actions-{at}-{column}")
                _draw_actions(axes, one, int(step), limit)
                axes.set_title(f"$m$ = {step}", fontsize=SMALL, pad=2)
                if at == len(series) - 1:
                    axes.set_xlabel("exact (shares/hour)", labelpad=1)
                if column == 0:
                    axes.set_ylabel("learned (shares/hour)", labelpad=1)
        width = (WIDTH_MM - _LEFT - _RIGHT - _ERROR_GAP) / 2
        panels = []
        for at, (visitor, title) in enumerate(_VISITORS.items()):
            axes = _add_axes(figure, _LEFT + at * (width + _ERROR_GAP), errors_top, width, _ERROR_HEIGHT)
            axes.set_gid(f"errors-{visitor}")
            title_panel(axes, len(series) + at, title, pad=(text + 2.5) * 72 * MM)
            _draw_errors(axes, series, at, steps, target)
            panels.append(axes)
        _scale_errors(panels, series, target)
        panels[0].set_ylabel("relative RMS error (%)", labelpad=2)
        panels[1].tick_params(labelleft=False)
        bottom = 1 - (errors_top + _ERROR_HEIGHT + _ERROR_BELOW) / height
        figure.legend(
            handles=_legend(series, target),
            loc="upper left",
            bbox_to_anchor=(_LEFT / WIDTH_MM, bottom),
            ncols=2,
            borderaxespad=0,
            borderpad=0,
        )
        figure.text(
            _LEFT / WIDTH_MM,
            bottom - legend / height,
            "\n".join(notes),
            ha="left",
            va="top",
            fontsize=SMALL,
            color=DIVERGED,
            gid="notes",
        )
    return figure


def _steps(table: DataFrame) -> int:
    """Number of decision points M, of a table with steps "0" to "M - 1" and "all"."""
    found = {str(step) for step in table["step"]}
    steps = len(found) - 1
    if found != {*map(str, range(steps)), _ALL} or steps < 1:
        raise ValueError(f"{ERRORS}: step must be 0, 1, .. and {_ALL}; found {', '.join(sorted(found))}")
    return steps


def _all_series(errors: DataFrame, scatter: DataFrame, steps: int) -> list[_Series]:
    """The recipes in the order of the table."""
    series: list[_Series] = []
    place = {**{str(m): m for m in range(steps)}, _ALL: steps}
    errors = errors.assign(step=[place[str(step)] for step in errors["step"]])
    for (algorithm, recipe), rows in errors.groupby(["algorithm", "recipe"], sort=False):
        if algorithm not in ALGORITHM_NAMES:
            raise ValueError(f"{ERRORS}: algorithm = {algorithm!r}: allowed are {', '.join(ALGORITHM_NAMES)}")
        (seeds, visitors, _), relative = grid(rows, ERRORS, ("seed", "visited_by", "step"), "relative")
        if sorted(_VISITORS) != list(visitors):
            raise ValueError(f"{ERRORS}: visited_by must be {' and '.join(_VISITORS)}; found {', '.join(visitors)}")
        relative = relative[:, [list(visitors).index(visitor) for visitor in _VISITORS]]
        drawn = seeds[np.isfinite(relative).all(axis=(1, 2))]
        mine = (scatter["algorithm"] == algorithm) & (scatter["recipe"] == recipe) & scatter["seed"].isin(drawn)
        siblings = sum(one.algorithm == algorithm for one in series)
        line = _LINE_STYLES[siblings % len(_LINE_STYLES)]
        series.append(_Series(str(algorithm), str(recipe), line, seeds, relative, scatter[mine]))
    return series


def _limit(series: Sequence[_Series], step: int) -> float:
    """End of the axes of a decision point: the largest action, but not that of a few seeds that are far off."""
    largest = [
        float(of_seed[["exact", "learned"]].abs().to_numpy().max())
        for one in series
        for _, of_seed in one.actions[one.actions["step"] == step].groupby("seed")
    ]
    if not largest:
        return 1.0
    return 1.05 * (min(max(largest), _FAR * float(np.median(largest))) or 1.0)


def _notes(series: Sequence[_Series]) -> list[str]:
    """Lines that name the seeds which are not drawn, if any."""
    lost = [
        f"{one.name} seed{'s' if (~one.finite).sum() > 1 else ''} {', '.join(map(str, one.seeds[~one.finite]))}"
        for one in series
        if not one.finite.all()
    ]
    text = f"Not drawn, as weights or actions are not finite: {'; '.join(lost)}." if lost else ""
    return textwrap.wrap(text, _NOTE_CHARACTERS)


def _add_axes(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Axes by the place of their left upper corner and size, millimetres from the page's."""
    page_width, page_height = figure.get_size_inches() / MM
    bottom = page_height - top - height
    return figure.add_axes((left / page_width, bottom / page_height, width / page_width, height / page_height))


def _draw_actions(axes: Axes, one: _Series, step: int, limit: float) -> None:
    """Draw learned against exact actions at a decision point, and how many lie outside the panel."""
    points = one.actions[one.actions["step"] == step]
    exact, learned = points["exact"].to_numpy(float), points["learned"].to_numpy(float)
    axes.axline((0, 0), slope=1, color="0.4", lw=0.6, zorder=1)
    axes.plot(
        exact, learned, "o", ms=1.5, mew=0, alpha=0.35, color=one.colour, zorder=2, rasterized=True, gid="actions"
    )
    axes.set(xlim=(-limit, limit), ylim=(-limit, limit))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 5, 10]))
    axes.tick_params(labelsize=SMALL)
    outside = int((np.maximum(np.abs(exact), np.abs(learned)) > limit).sum())
    if outside:
        axes.text(
            0.03,
            0.97,
            f"{outside} off scale",
            transform=axes.transAxes,
            va="top",
            fontsize=SMALL,
            color=DIVERGED,
            gid="off-scale",
        )


def _draw_errors(axes: Axes, series: Sequence[_Series], visitor: int, steps: int, target: float) -> None:
    """Draw the errors (%) at each decision point, and, to the right, over all of them."""
    spots = steps + 0.25 + _SPOT * (np.arange(len(series)) + 0.5)
    axes.axhline(100 * target, color="0.35", lw=0.9, ls="--", zorder=1, gid="target")
    axes.axvline(steps - 0.15, color="0.8", lw=0.6)
    for at, one in enumerate(series):
        errors = 100 * one.relative[one.finite, visitor]
        spot = spots[at]
        for of_seed in errors:
            axes.plot(of_seed[:-1], one.line, color=one.colour, lw=0.6, alpha=0.6, gid=f"seed-{at}")
            axes.plot([spot], of_seed[-1:], "o", ms=2.5, mfc="none", mew=0.6, color=one.colour, gid=f"all-{at}")
        if len(errors):
            median = np.median(errors, axis=0)
            axes.plot(median[:-1], one.line, color=one.colour, lw=1.8, zorder=3, gid=f"median-{at}")
            axes.plot([spot - 0.25, spot + 0.25], median[[-1, -1]], color=one.colour, lw=1.8, gid=f"median-all-{at}")
            text = f"all steps {compact(median[-1])} %, median of {one.seed_count}"
        else:
            text = f"nothing finite, {one.seed_count}"
        axes.annotate(
            f"{one.name}: {text}",
            (0, 1),
            xycoords="axes fraction",
            xytext=(0, ((len(series) - at - 1) * _LINE + 1.2) * 72 * MM),
            textcoords="offset points",
            va="baseline",
            fontsize=SMALL,
            color=one.colour,
            gid="medians",
        )
    axes.set_xticks([*range(steps), spots.mean()], [*map(str, range(steps)), "all"])
    axes.set_xlim(-0.3, spots[-1] + _SPOT)
    axes.set_xlabel("decision point $m$", labelpad=1)


def _scale_errors(panels: Sequence[Axes], series: Sequence[_Series], target: float) -> None:
    """One logarithmic axis for both panels, on which the target is always seen."""
    errors = np.concatenate([one.relative[one.finite].ravel() for one in series] + [np.array([target])])
    positive = 100 * errors[errors > 0]
    for axes in panels:
        scale_log(axes, positive.min(), positive.max())
        axes.set_ylim(positive.min() / 1.2, positive.max() * 1.2)


def _legend(series: Sequence[_Series], target: float) -> list[Line2D]:
    """What the lines of the lower panels are."""
    return [
        *(Line2D([], [], color=one.colour, ls=one.line, lw=1.8, label=f"{one.name}, median") for one in series),
        Line2D([], [], color="0.3", lw=0.6, label="one seed"),
        Line2D([], [], color="0.3", marker="o", ms=2.5, mfc="none", mew=0.6, ls="", label="one seed, all steps"),
        Line2D([], [], color="0.35", ls="--", lw=0.9, label=f"target {compact(100 * target, 1)} %"),
    ]
