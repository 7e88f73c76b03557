"""Accuracy against the data used, or the time: exploitability, and distance to the equilibrium reference.

Two figures: measured seconds differ from run to run, and stand in the second alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

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
    "gain",
    "relative_distance",
)
GAINS = "exploitability"
GAINS_COLUMNS = ("scenario", "algorithm", "recipe", "seed", "deviator", "player", "high")

_COLOURS = {"nash_dqn": (BLUE, SKY, GREEN, PURPLE), "fictitious_play": (ORANGE, BROWN, YELLOW, PINK)}
_MARKERS = {"nash_dqn": "o", "fictitious_play": "s"}
_FLOOR = 1e-4  # smaller gains, and those that are not positive, are drawn there


class _Measure(NamedTuple):
    """What a panel shows."""

    column: str
    title: str


_MEASURES = (_Measure("gain", "exploitability"), _Measure("relative_distance", "distance to the reference"))


class _Against(NamedTuple):
    """What the panels of a figure show it against."""

    column: str
    name: str
    label: str


_DATA = _Against("transitions", "data", "joint transitions")
_TIME = _Against("wall_seconds", "time", "wall time of all seeds together (s)")

# The page, in millimetres.
_LEFT, _RIGHT = 19.0, 3.0  # of each panel
_TOP, _ABOVE, _HEIGHT, _BELOW = 7.0, 10.5, 55.0, 12.0
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
        return DataFrame([row for part in rows for row in part.to_dict("records")], columns=rows[0].columns)


def plot(data_efficiency: DataFrame, exploitability: DataFrame, *, level: float = DATA_LEVEL) -> Figure:
    """Draw exploitability and relative distance to the reference against joint transitions.

    Thin lines are seeds, thick ones medians over seeds: a training that stopped early counts with its last policy, one
    that diverged as infinitely far off. Dotted lines are the published trainings' budgets, in million transitions. A
    line of text says how exploitable the reference itself is.

    Args:
        data_efficiency: columns scenario, algorithm (nash_dqn, fictitious_play), recipe, seed, deviator, reference,
            transitions, gain (currency units), relative_distance; one scenario. A row without numbers is where a
            training diverged. The table may be empty: then no training was long enough.
        exploitability: columns scenario, algorithm, recipe, seed, deviator, player, high; the same scenario. Of this,
            self-play's recipe named as reference counts.
        level: gain of the dashed line.

    Raises:
        ValueError: if a column is missing, an algorithm is unknown, or scenarios, deviators or references differ.
    """
    return _figure(data_efficiency, exploitability, _DATA, level)


def plot_time(
    data_efficiency: DataFrame,
    exploitability: DataFrame,
    records: Sequence[Mapping[str, Any]],
    *,
    level: float = DATA_LEVEL,
) -> Figure:
    """Draw the same against the seconds since the start of the training of all seeds.

    Args:
        data_efficiency: as for :func:`plot`.
        exploitability: as for :func:`plot`.
        records: of the trainings: algorithm, recipe_name, ``snapshots`` with transitions and wall_seconds. Where a
            training diverged is drawn at the last policy kept of it: the second is not known.
        level: gain of the dashed line.

    Raises:
        ValueError: as for :func:`plot`; if a record lacks the time of a policy.
    """
    seconds = {
        (record["algorithm"], record["recipe_name"], kept["transitions"]): float(kept["wall_seconds"])
        for record in records
        for kept in record["snapshots"]
    }
    rows = data_efficiency.to_dict("records")
    at = [seconds.get((row["algorithm"], row["recipe"], row["transitions"]), math.nan) for row in rows]
    for row, time in zip(rows, at, strict=True):
        if math.isnan(time) and math.isfinite(row["gain"]):
            name = f"{row['algorithm']} {row['recipe']}"
            raise ValueError(f"{TABLE}: no record has the time of {name} after {row['transitions']} transitions")
    return _figure(data_efficiency.assign(wall_seconds=at), exploitability, _TIME, level)


def _figure(data_efficiency: DataFrame, exploitability: DataFrame, against: _Against, level: float) -> Figure:
    require_columns(exploitability, GAINS, GAINS_COLUMNS)
    scenario = only(exploitability, GAINS, "scenario")
    heading = f"Accuracy against {against.name}, scenario {scenario}"
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

    handles = _legend(series, against, level)
    legend = math.ceil(len(handles) / _LEGEND_COLUMNS) * _LEGEND_LINE
    height = _TOP + _ABOVE + _HEIGHT + _BELOW + legend + _NOTE
    width = WIDTH_MM / len(_MEASURES) - _LEFT - _RIGHT

    with style():
        figure = new_figure(height, layout=None)
        figure.text(2 / WIDTH_MM, 1 - 2 / height, heading, ha="left", va="top", fontsize=9)
        for at, measure in enumerate(_MEASURES):
            ends = _limits(series, measure.column, level)
            left, bottom = _LEFT + at * (_LEFT + width + _RIGHT), height - _TOP - _ABOVE - _HEIGHT
            box = (left / WIDTH_MM, bottom / height, width / WIDTH_MM, _HEIGHT / height)
            axes = figure.add_axes(box, xscale="log")
            axes.set_gid(f"{measure.column} {against.column}")
            title_panel(axes, at, f"{measure.title} against {against.name}", pad=_TITLE)
            scale_log(axes, *ends)
            axes.set_ylim(ends)
            axes.grid(color="0.92", lw=0.5)
            axes.set_axisbelow(True)
            for one in series:
                _draw(axes, one, measure.column, against.column)
            if measure.column == "gain":
                axes.axhline(level, color="0.35", lw=0.8, ls="--", zorder=1, gid="level")
            if against is _DATA:
                _mark_budgets(axes, series)
            axes.set_ylabel(labels[measure.column])
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
    """Give the panels the same ends."""
    ends = np.array([axes.get_xlim() for axes in panels])
    for axes in panels:
        axes.set_xlim(ends[:, 0].min(), ends[:, 1].max())


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
    median = _median(one, column, along)
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


def _median(one: _Series, column: str, along: str) -> DataFrame:
    """Median over seeds whenever a policy was kept, where it is finite: columns ``along`` and this."""
    rows = []
    for transitions, of_seeds in one.kept(column).groupby("transitions"):
        values = []
        for of_seed in one.seeds.values():
            so_far = _numbers(of_seed[of_seed["transitions"] <= transitions], column)
            values.append(so_far[-1] if len(so_far) and np.isfinite(so_far[-1]) else np.inf)
        rows.append((of_seeds[along].iloc[0], float(np.median(values))))  # the same for all: they train side by side
    table = DataFrame(rows, columns=[along, column], dtype=np.float64)
    return table[np.isfinite(table[column])]


def _mark_budgets(axes: Axes, series: Sequence[_Series]) -> None:
    """Mark the joint transitions of the published trainings, which are written above the panel."""
    for algorithm in dict.fromkeys(one.algorithm for one in series):
        budget, colour = BUDGETS[algorithm], ALGORITHM_COLOURS[algorithm]
        axes.axvline(budget, color=colour, lw=1, ls=":", zorder=1, gid=f"budget {algorithm}")
        axes.annotate(
            f"{budget / 1e6:g}",
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


def _legend(series: Sequence[_Series], against: _Against, level: float) -> list[Line2D]:
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
        Line2D([], [], color="0.35", lw=0.8, ls="--", label=f"gain {level:g}"),
    ]
    if against is _DATA:
        handles.append(Line2D([], [], color="0.3", lw=1, ls=":", label="published budget (million)"))
    if any(not np.isfinite(_numbers(rows, "gain")).all() for one in series for rows in one.seeds.values()):
        handles.append(Line2D([], [], color=DIVERGED, marker="x", mew=1.2, ms=4.5, ls="", label="diverged"))
    return handles
