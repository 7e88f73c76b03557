"""What each change from one recipe to another buys, in both directions, measured by exploitability."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from pandas import DataFrame, Series

from nash_dqn.evaluation.statistics import FLOOR
from nash_dqn.plots.deviators import DEVIATORS
from nash_dqn.plots.style import DIVERGED, SMALL, WIDTH_MM, compact, new_figure, style, title_panel
from nash_dqn.plots.tables import only, require_columns
from nash_dqn.studies.ablation import COLUMNS, SEED_COLUMNS

__all__ = ["COLUMNS", "SEED_COLUMNS", "plot"]

TABLE, SEEDS = "ablation", "ablation_seeds"


# The page, in millimetres.
_MARGIN, _LETTER = 3.0, 1.42  # beside the names on the left, width of a name's letters
_FACTOR, _DIVERGED = 11.5, 12.5  # columns of numbers to the right of each panel
_TOP, _TITLE, _AXIS = 9.5, 9.5, 6.0  # heading; above a panel: its title and heads of columns; below it: tick labels
_LINE, _BETWEEN = 2.5, 1.3  # for each deviator of a row, between rows
_GAP = 4.0  # between the two columns of panels
_LEGEND, _LEGEND_LINE, _LEGEND_COLUMNS = 5.0, 4.0, 3


class _Panel(NamedTuple):
    """One recipe with changes: ``changes`` from top to bottom, the recipe itself (None) first."""

    title: str
    base: str
    kind: str
    changes: list[str | None]
    column: int
    top: float
    named: bool


def plot(ablation: DataFrame, seeds: DataFrame) -> Figure:
    """Draw the mean exploitability of each setting with its interval, beside that of the recipe it changes.

    One panel for each direction, whose rows are the switches, and below it one for the recipe's variants, if any. The
    band is the interval of the recipe itself about its mean, the dotted line the mean of the other recipe. Numbers on
    the right are factors against the recipe, for the last class of deviators, in bold where their interval does not
    hold one, and how many trainings diverged. Seeds below the floor of averages stand on it, as arrows.

    Args:
        ablation: table of :func:`nash_dqn.studies.ablation.table`; one scenario.
        seeds: table of :func:`nash_dqn.studies.ablation.by_seed`, from which it was made.

    Raises:
        ValueError: if a column is missing, a deviator unknown, or the two directions have not the same switches.
    """
    require_columns(ablation, TABLE, COLUMNS)
    require_columns(seeds, SEEDS, SEED_COLUMNS)
    scenario = only(ablation, TABLE, "scenario")
    deviators = list(ablation["deviator"].unique())
    for name in deviators:
        if name not in DEVIATORS:
            raise ValueError(f"{TABLE}: deviator = {name!r}: allowed are {', '.join(DEVIATORS)}")
    row_height = _LINE * len(deviators) + _BETWEEN
    panels = _panels(ablation, row_height)
    handles = _legend(deviators, ablation, seeds)
    bottom = max(panel.top + len(panel.changes) * row_height for panel in panels) + _AXIS
    height = bottom + _LEGEND + math.ceil(len(handles) / _LEGEND_COLUMNS) * _LEGEND_LINE + 2
    # Names of variants of the second recipe stand where the first has no panel.
    names = [change for panel in panels if panel.column == 0 for change in panel.changes]
    left = _MARGIN + _LETTER * max(len(_label(change)) for change in names)
    beside = _FACTOR + (_DIVERGED if ablation["diverged"].any() else 0)
    width = (WIDTH_MM - left - _GAP) / 2 - beside
    low, high = _limits(ablation, seeds)

    with style():
        figure = new_figure(height, layout=None)
        heading = f"What each change buys: gain of one deviating agent, scenario {scenario}"
        figure.text(2 / WIDTH_MM, 1 - 2 / height, heading, ha="left", va="top", fontsize=9)
        note = (
            f"factor: the gain of {deviators[-1]} over that against the recipe, seed by seed; bold if its 95 % interval"
        )
        figure.text(2 / WIDTH_MM, 1 - 6.5 / height, f"{note} does not hold 1", ha="left", va="top", fontsize=SMALL)
        for index, panel in enumerate(panels):
            x, depth = left + panel.column * (width + beside + _GAP), len(panel.changes) * row_height
            box = (x / WIDTH_MM, 1 - (panel.top + depth) / height, width / WIDTH_MM, depth / height)
            axes = figure.add_axes(box, xscale="log")
            axes.set(xlim=(low, high), ylim=(depth, 0))
            title_panel(axes, index, panel.title, pad=12)
            _draw(axes, panel, ablation, seeds, deviators, row_height, width)
        figure.text(0.5, 1 - (bottom + 1) / height, "gain of agent 1 (currency)", ha="center", va="top", fontsize=8)
        place: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (_MARGIN / WIDTH_MM, 1.5 / height)}
        figure.legend(handles=handles, ncols=_LEGEND_COLUMNS, borderaxespad=0, borderpad=0, columnspacing=1.5, **place)
    return figure


def _panels(table: DataFrame, row_height: float) -> list[_Panel]:
    """The two directions side by side, then the variants of each recipe below its own."""
    bases = list(table.loc[table["kind"] == "base", "setting"].unique())
    added, removed = (list(table.loc[table["kind"] == kind, "change"].unique()) for kind in ("added", "removed"))
    if len(bases) != 2 or not added or sorted(added) != sorted(removed):
        raise ValueError(
            f"{TABLE}: two recipes and the same switches added and removed are needed; found {', '.join(bases)}, "
            f"{', '.join(added)} added, {', '.join(removed)} removed"
        )
    base, goal = bases
    top = _TOP + _TITLE
    panels = [
        _Panel(f"{base} with one change of {goal}", base, "added", [None, *added], 0, top, True),
        _Panel(f"{goal} without one change", goal, "removed", [None, *added], 1, top, False),
    ]
    top += row_height * (1 + len(added)) + _AXIS
    for column, name in enumerate(bases):
        variants = list(table.loc[(table["kind"] == "variant") & (table["base"] == name), "change"].unique())
        if variants:
            top += _TITLE
            panels.append(_Panel(f"{name}, other changes", name, "variant", [None, *variants], column, top, True))
            top += row_height * (1 + len(variants)) + _AXIS
    return panels


def _limits(table: DataFrame, seeds: DataFrame) -> tuple[float, float]:
    """Ends of the axis, the same for all panels: of what was measured, as intervals of few seeds have no end."""
    gains = np.concatenate([table["gain"], seeds["gain"]])
    gains = gains[np.isfinite(gains)].clip(FLOOR)
    if not gains.size:
        return FLOOR, 1.0
    return float(gains.min() / 2), float(gains.max() * 2)


def _draw(
    axes: Axes,
    panel: _Panel,
    table: DataFrame,
    seeds: DataFrame,
    deviators: Sequence[str],
    row_height: float,
    width: float,
) -> None:
    """Draw a panel, ``width`` millimetres wide."""
    axes.grid(axis="x", color="0.92", lw=0.5)
    axes.set_axisbelow(True)
    axes.set_yticks([])
    low, high = axes.get_xlim()
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0,) if high > 100 * low else (1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    right = axes.get_yaxis_transform()
    factor, diverged = 1 + 1.5 / width, 1 + (_FACTOR + 1.5) / width
    heads = [(factor, "factor")] + ([(diverged, "diverged")] if table["diverged"].any() else [])
    for x, head in heads:
        axes.text(x, -0.8, head, transform=right, va="bottom", fontsize=SMALL, color="0.35")

    for row in table[table["kind"] == "base"].itertuples():
        colour = DEVIATORS[row.deviator].colour
        if row.setting == panel.base:
            axes.axvspan(row.low, row.high, color=colour, alpha=0.1, lw=0, zorder=0, gid=f"band {row.deviator}")
            axes.axvline(row.gain, color=colour, lw=0.7, alpha=0.7, zorder=1, gid=f"base {row.deviator}")
        elif row.deviator == deviators[-1]:
            axes.axvline(row.gain, color="0.45", lw=0.9, ls=":", zorder=1, gid="other")
    for index, change in enumerate(panel.changes):
        top = index * row_height
        kind = "base" if change is None else panel.kind
        rows = table[(table["base"] == panel.base) & (table["kind"] == kind)]
        rows = rows if change is None else rows[rows["change"] == change]
        if index:
            axes.axhline(top, color="0.85", lw=0.5, zorder=0)
        middle = top + row_height / 2
        if panel.named:
            look: dict[str, Any] = {"transform": right, "ha": "right", "va": "center", "fontsize": 7}
            axes.text(-1.5 / width, middle, _label(change), gid="name", **look)
        for at, deviator in enumerate(deviators):
            for _, row in rows[rows["deviator"] == deviator].iterrows():
                own = seeds[(seeds["setting"] == row["setting"]) & (seeds["deviator"] == deviator)]
                _draw_mean(axes, row, own, top + _BETWEEN / 2 + _LINE * (at + 0.5))
        last = rows[rows["deviator"] == deviators[-1]].iloc[0]
        _write_numbers(axes, last, (factor, diverged), middle)


def _draw_mean(axes: Axes, row: Series, seeds: DataFrame, height: float) -> None:
    """Draw seeds, their mean and its interval, or a cross where all diverged."""
    look = DEVIATORS[row["deviator"]]
    gid = f"{row['setting']} {row['deviator']}"
    gains = seeds.loc[~seeds["diverged"].astype(bool), "gain"].to_numpy(dtype=np.float64)
    for marker, drawn in (("o", gains[gains >= FLOOR]), ("<", np.full((gains < FLOOR).sum(), FLOOR))):
        axes.plot(
            drawn, np.full(len(drawn), height), marker, ms=2.6, mfc="w", mew=0.6, color=look.colour, alpha=0.55,
            zorder=3, gid=f"seeds {gid}",
        )  # fmt: skip
    axes.plot([row["low"], row["high"]], [height] * 2, color=look.colour, lw=1, zorder=2, gid=f"interval {gid}")
    axes.plot([row["gain"]], [height], look.marker, color=look.colour, ms=3.2, zorder=4, gid=f"mean {gid}")


def _write_numbers(axes: Axes, row: Series, places: tuple[float, float], middle: float) -> None:
    """Write the factor against the recipe, and how many trainings diverged."""
    text: dict[str, Any] = {"transform": axes.get_yaxis_transform(), "va": "center", "fontsize": SMALL}
    if np.isfinite(row["factor"]):
        told = row["factor_low"] > 1 or row["factor_high"] < 1
        weight = "bold" if told else "normal"
        axes.text(places[0], middle, f"×{compact(row['factor'], 2)}", weight=weight, gid="factor", **text)
    if row["diverged"]:
        counted = f"{row['diverged']} of {row['seeds']}"
        axes.text(places[1], middle, counted, color=DIVERGED, gid="diverged", **text)
        edge = {"transform": axes.get_yaxis_transform(), "color": DIVERGED}
        axes.plot([0.98], [middle], "x", mew=1.1, ms=4, gid=f"diverged {row['setting']}", **edge)


def _label(change: str | None) -> str:
    return "no change" if change is None else change.replace("_", " ")


def _legend(deviators: Sequence[str], table: DataFrame, seeds: DataFrame) -> list[Any]:
    """What markers, lines and bands are: those that occur."""
    handles: list[Any] = [
        Line2D([], [], color=look.colour, marker=look.marker, ms=3.2, lw=1, label=f"{name}: {look.sees}")
        for name, look in DEVIATORS.items()
        if name in deviators
    ]
    grey = "0.3"
    handles += [
        Line2D([], [], color=grey, marker="o", ms=2.6, mfc="w", mew=0.6, ls="", label="one seed"),
        Patch(color=grey, alpha=0.15, lw=0, label="the recipe itself, 95 % interval"),
        Line2D([], [], color="0.45", lw=0.9, ls=":", label="the other recipe"),
    ]
    if (seeds["gain"] < FLOOR).any():
        label = f"one seed, below {FLOOR:g} or negative"
        handles.append(Line2D([], [], color=grey, marker="<", ms=2.6, mfc="w", mew=0.6, ls="", label=label))
    if table["diverged"].any():
        label = "diverged, in no mean"
        handles.append(Line2D([], [], color=DIVERGED, marker="x", mew=1.1, ms=4, ls="", label=label))
    return handles
