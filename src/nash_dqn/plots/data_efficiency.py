"""Accuracy against the data and the time used: exploitability, and distance to the equilibrium reference."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from pandas import DataFrame

from nash_dqn.evaluation.claims import CERTIFIED, DATA_LEVEL
from nash_dqn.plots.style import (
    ALGORITHM_COLOURS,
    ALGORITHM_NAMES,
    BLUE,
    BROWN,
    DIVERGED,
    GREEN,
    ORANGE,
    PINK,
    PURPLE,
    SKY,
    SMALL,
    WIDTH_MM,
    YELLOW,
    compact,
    new_figure,
    scale_log,
    style,
    title_panel,
)
from nash_dqn.plots.tables import only, require_columns
from nash_dqn.published import BUDGETS

TABLE = "data_efficiency"
COLUMNS = (
    "scenario",
    "algorithm",
    "recipe",
    "seed",
    "deviator",
    "reference",
    "transitions",
    "wall_seconds",
    "gain",
    "relative_distance",
)
GAINS = "exploitability"
GAINS_COLUMNS = ("scenario", "algorithm", "recipe", "seed", "deviator", "player", "high")

_COLOURS = {"nash_dqn": (BLUE, SKY, GREEN, PURPLE), "fictitious_play": (ORANGE, BROWN, YELLOW, PINK)}
_MARKERS = {"nash_dqn": "o", "fictitious_play": "s"}
_FLOOR = 1e-4  # smaller gains, and those that are not positive, are drawn there


class _Measure(NamedTuple):
    """What a row of panels shows."""

    column: str
    title: str


_MEASURES = (_Measure("gain", "exploitability"), _Measure("relative_distance", "distance to the reference"))


class _Against(NamedTuple):
    """What a column of panels shows it against."""

    name: str
    label: str


_AGAINST = {
    "transitions": _Against("data", "joint transitions"),
    "wall_seconds": _Against("time", "wall time of all seeds together (s)"),
}

# The page, in millimetres.
_LEFT, _RIGHT, _GAP = 19.0, 3.0, 7.0
_TOP, _ABOVE, _HEIGHT, _BELOW = 7.0, 10.5, 42.0, 12.0
_LEGEND_LEFT, _LEGEND_LINE, _NOTE = 5.0, 4.0, 7.0
_LEGEND_COLUMNS = 3
_TITLE = 12.0  # points between a panel and its title, room for the budgets


@dataclass(frozen=True)
class _Series:
    """The trainings of a recipe: for each seed its rows by transitions, one without numbers where it diverged."""

    name: str
    algorithm: str
    colour: str
    seeds: Mapping[int, DataFrame]

    @property
    def counted(self) -> str:
        return f"{len(self.seeds)} seed{'s' if len(self.seeds) > 1 else ''}"

    def kept(self, column: str) -> DataFrame:
        """Rows of all seeds that have a number in the column."""
        rows = [rows[np.isfinite(_numbers(rows, column))] for rows in self.seeds.values()]
        return DataFrame([row for part in rows for row in part.to_dict("records")], columns=list(COLUMNS))


def plot(data_efficiency: DataFrame, exploitability: DataFrame, *, level: float = DATA_LEVEL) -> Figure:
    """Draw exploitability and relative distance to the reference against joint transitions and wall seconds.

    Thin lines are seeds, thick ones medians over seeds: a training that stopped early counts with its last policy, one
    that diverged as infinitely far off. Dotted lines are the published trainings' budgets. A line of text says how
    exploitable the reference itself is.

    Args:
        data_efficiency: columns scenario, algorithm (nash_dqn, fictitious_play), recipe, seed, deviator, reference,
            transitions, wall_seconds, gain (currency units), relative_distance; one scenario. A row without numbers is
            where a training diverged. The table may be empty: then no training was long enough.
        exploitability: columns scenario, algorithm, recipe, seed, deviator, player, high; the same scenario. Of this,
            self-play's recipe named as reference counts.
        level: gain of the dashed line.

    Raises:
        ValueError: if a column is missing, an algorithm is unknown, or scenarios, deviators or references differ.
    """
    require_columns(exploitability, GAINS, GAINS_COLUMNS)
    scenario = only(exploitability, GAINS, "scenario")
    heading = f"Accuracy against data and time, scenario {scenario}"
    if data_efficiency.empty:
        return _nothing(heading)
    require_columns(data_efficiency, TABLE, COLUMNS)
    if only(data_efficiency, TABLE, "scenario") != scenario:
        raise ValueError(f"{TABLE}: scenario {data_efficiency['scenario'].iloc[0]} is not that of {GAINS}, {scenario}")
    named = data_efficiency.assign(reference=data_efficiency["reference"].astype(object).fillna(""))
    deviator, reference = (only(named, TABLE, column) for column in ("deviator", "reference"))
    series = _all_series(data_efficiency)
    labels = {
        "gain": f"gain of one deviator of class\n{deviator} (currency)",
        "relative_distance": f"RMS difference to self-play\n{reference}, share of its actions",
    }

    handles = _legend(series, level)
    legend = math.ceil(len(handles) / _LEGEND_COLUMNS) * _LEGEND_LINE
    row = _ABOVE + _HEIGHT
    height = _TOP + len(_MEASURES) * row + _BELOW + legend + _NOTE
    width = (WIDTH_MM - _LEFT - _GAP - _RIGHT) / 2

    with style():
        figure = new_figure(height, layout=None)
        figure.text(2 / WIDTH_MM, 1 - 2 / height, heading, ha="left", va="top", fontsize=9)
        for at, measure in enumerate(_MEASURES):
            ends = _limits(series, measure.column, level)
            for place, (along, against) in enumerate(_AGAINST.items()):
                left, bottom = _LEFT + place * (width + _GAP), height - _TOP - (at + 1) * row
                box = (left / WIDTH_MM, bottom / height, width / WIDTH_MM, _HEIGHT / height)
                axes = figure.add_axes(box, xscale="log")
                axes.set_gid(f"{measure.column} {along}")
                title_panel(axes, 2 * at + place, f"{measure.title} against {against.name}", pad=_TITLE)
                scale_log(axes, *ends)
                axes.set_ylim(ends)
                axes.grid(color="0.92", lw=0.5)
                axes.set_axisbelow(True)
                for one in series:
                    _draw(axes, one, measure.column, along)
                if measure.column == "gain":
                    axes.axhline(level, color="0.35", lw=0.8, ls="--", zorder=1, gid="level")
                if along == "transitions":
                    axes.set_ylabel(labels[measure.column])
                    _mark_budgets(axes, series)
                else:
                    axes.tick_params(labelleft=False)
                if at == len(_MEASURES) - 1:
                    axes.set_xlabel(against.label)
        _share_x(figure.axes)
        at_left = _LEGEND_LEFT / WIDTH_MM
        figure.legend(
            handles=handles,
            loc="lower left",
            bbox_to_anchor=(at_left, _NOTE / height),
            ncols=_LEGEND_COLUMNS,
            borderaxespad=0,
            borderpad=0,
        )
        text, certified = _certificate(exploitability, str(deviator), str(reference))
        colour = "k" if certified else DIVERGED
        figure.text(at_left, 2 / height, text, ha="left", va="bottom", fontsize=SMALL, color=colour, gid="reference")
    return figure


def _limits(series: Sequence[_Series], column: str, level: float) -> tuple[float, float]:
    """Ends of the axis of a measure, which always shows the level of the gain."""
    drawn = np.concatenate([_heights(one.kept(column), column) for one in series])
    if column == "gain" or not drawn.size:
        drawn = np.append(drawn, level)
    return float(drawn.min() / 1.5), float(drawn.max() * 1.5)


def _share_x(panels: Sequence[Axes]) -> None:
    """Give the panels of a column the same ends, and numbers only below the lowest."""
    for column in (panels[::2], panels[1::2]):
        ends = np.array([axes.get_xlim() for axes in column])
        for axes in column:
            axes.set_xlim(ends[:, 0].min(), ends[:, 1].max())
        column[0].tick_params(labelbottom=False)


def _nothing(heading: str) -> Figure:
    """A figure that says that there is nothing to draw."""
    with style():
        figure = new_figure(20, layout=None)
        figure.text(0.01, 0.9, heading, ha="left", va="top", fontsize=9)
        figure.text(0.01, 0.3, "No training was long enough to keep a policy along the way.", ha="left", gid="nothing")
    return figure


def _all_series(table: DataFrame) -> list[_Series]:
    """The recipes in the order of the table."""
    series: list[_Series] = []
    for (algorithm, recipe), rows in table.groupby(["algorithm", "recipe"], sort=False):
        if algorithm not in _COLOURS:
            raise ValueError(f"{TABLE}: algorithm = {algorithm!r}: allowed are {', '.join(_COLOURS)}")
        colours = _COLOURS[str(algorithm)]
        colour = colours[sum(one.algorithm == algorithm for one in series) % len(colours)]
        seeds = {int(seed): of_seed.sort_values("transitions") for seed, of_seed in rows.groupby("seed")}
        series.append(_Series(f"{ALGORITHM_NAMES[str(algorithm)]} {recipe}", str(algorithm), colour, seeds))
    return series


def _numbers(rows: DataFrame, column: str) -> np.ndarray:
    return rows[column].to_numpy(dtype=np.float64)


def _heights(rows: DataFrame, column: str) -> np.ndarray:
    """The column's numbers as they are drawn, on an axis that has no zero."""
    return np.maximum(_numbers(rows, column), _FLOOR)


def _draw(axes: Axes, one: _Series, column: str, along: str) -> None:
    """Draw each seed, where it diverged, and the median."""
    gid = f"{one.name} {column} {along}"
    for seed, rows in one.seeds.items():
        kept = rows[np.isfinite(_numbers(rows, column))]
        axes.plot(kept[along], _heights(kept, column), color=one.colour, lw=0.6, alpha=0.65, gid=f"seed {gid} {seed}")
        lost = rows[~np.isfinite(_numbers(rows, "gain"))]
        if len(lost):
            # Its wall time is not known; what was kept last, or the upper edge, is the nearest place to show it.
            place = _numbers(lost, along)[:1]
            x = place if np.isfinite(place).all() else _numbers(kept, along)[-1:]
            y = _heights(kept, column)[-1:] if len(kept) else np.full(len(x), axes.get_ylim()[1])
            axes.plot(x, y[: len(x)], "x", color=DIVERGED, mew=1.2, ms=4.5, zorder=4, gid=f"diverged {gid} {seed}")
    median = _median(one, column)
    axes.plot(
        median[along],
        _heights(median, column),
        color=one.colour,
        lw=2,
        marker=_MARKERS[one.algorithm],
        ms=3.5,
        zorder=3,
        gid=f"median {gid}",
    )


def _median(one: _Series, column: str) -> DataFrame:
    """Median over seeds whenever a policy was kept, where it is finite: columns transitions, wall_seconds and this."""
    rows = []
    for transitions, of_time in one.kept(column).groupby("transitions"):
        values = []
        for of_seed in one.seeds.values():
            so_far = _numbers(of_seed[of_seed["transitions"] <= transitions], column)
            values.append(so_far[-1] if len(so_far) and np.isfinite(so_far[-1]) else np.inf)
        rows.append((transitions, of_time["wall_seconds"].max(), float(np.median(values))))
    table = DataFrame(rows, columns=["transitions", "wall_seconds", column], dtype=np.float64)
    return table[np.isfinite(table[column])]


def _mark_budgets(axes: Axes, series: Sequence[_Series]) -> None:
    """Mark the joint transitions of the published trainings, which are written above the panel."""
    for algorithm in dict.fromkeys(one.algorithm for one in series):
        budget, colour = BUDGETS[algorithm], ALGORITHM_COLOURS[algorithm]
        axes.axvline(budget, color=colour, lw=1, ls=":", zorder=1, gid=f"budget {algorithm}")
        axes.annotate(
            f"{budget / 1e6:g} million",
            (budget, 1),
            xycoords=axes.get_xaxis_transform(),
            xytext=(1, 2),
            textcoords="offset points",
            ha="right",
            fontsize=SMALL,
            color=colour,
        )


def _certificate(gains: DataFrame, deviator: str, reference: str) -> tuple[str, bool]:
    """What to say about the reference, and whether it can be called one."""
    if not reference:
        return "There is no reference.", False
    rows = gains[
        (gains["algorithm"] == "self_play")
        & (gains["recipe"] == reference)
        & (gains["deviator"] == deviator)
        & (gains["player"].astype(str) == "1")
    ]
    name = f"Reference: self-play {reference}"
    if rows.empty:
        return f"{name}, whose exploitability was not measured.", False
    high = float(np.max(_numbers(rows, "high")))
    if not math.isfinite(high):
        return f"{name}, which diverged.", False
    certified = high <= CERTIFIED
    verdict = "an equilibrium up to" if certified else "no equilibrium: more than"
    return f"{name}, exploitable by at most {compact(high, 2)} (95 %), {verdict} {CERTIFIED:g}.", certified


def _legend(series: Sequence[_Series], level: float) -> list[Line2D]:
    """What lines and markers are: those that occur."""
    handles = [
        Line2D(
            [],
            [],
            color=one.colour,
            lw=2,
            marker=_MARKERS[one.algorithm],
            ms=3.5,
            label=f"{one.name}, {one.counted}",
        )
        for one in series
    ]
    handles += [
        Line2D([], [], color="0.3", lw=2, label="median over seeds"),
        Line2D([], [], color="0.3", lw=0.6, label="one seed"),
        Line2D([], [], color="0.3", lw=1, ls=":", label="published budget"),
        Line2D([], [], color="0.35", lw=0.8, ls="--", label=f"gain {level:g}"),
    ]
    if any(not np.isfinite(_numbers(rows, "gain")).all() for one in series for rows in one.seeds.values()):
        handles.append(Line2D([], [], color=DIVERGED, marker="x", mew=1.2, ms=4.5, ls="", label="diverged"))
    return handles
