"""Accuracy against the data used, or the time: exploitability, and distance to the equilibrium reference.

Two figures: measured seconds differ from run to run, and stand in the second alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas import DataFrame, Series

from nash_dqn.evaluation.claims import DATA_LEVEL
from nash_dqn.evaluation.statistics import FLOOR
from nash_dqn.plots.style import (
    ALGORITHM_COLOURS,
    BLUE,
    BROWN,
    DIVERGED,
    GREEN,
    ORANGE,
    PINK,
    PURPLE,
    SKY,
    YELLOW,
    draw_marks,
    drawing,
    log_scale,
    title_panels,
)
from nash_dqn.plots.tables import check, of_agent_1, only
from nash_dqn.published import BUDGETS

TABLE = "data_efficiency"
COLUMNS = (
    *("scenario", "policy", "algorithm", "seed", "deviator", "reference"),
    *("transitions", "gain", "relative_distance"),
)
GAINS = "exploitability"
GAINS_COLUMNS = ("scenario", "policy", "seed", "deviator", "player", "high")

_COLOURS = {"nash_dqn": (BLUE, SKY, GREEN, PURPLE), "fictitious_play": (ORANGE, BROWN, YELLOW, PINK)}
_MARKERS = {"nash_dqn": "o", "fictitious_play": "s"}


def plot(data_efficiency: DataFrame, exploitability: DataFrame) -> Figure:
    """Draw exploitability and relative distance to the reference against joint transitions.

    Thin lines are seeds, thick ones medians over seeds: a training that stopped early counts with its last policy, one
    that diverged as infinitely far off. Dotted lines are the published trainings' budgets, the dashed one is
    :data:`nash_dqn.evaluation.claims.DATA_LEVEL`. A title says how exploitable the reference itself is.

    Args:
        data_efficiency: columns :data:`COLUMNS`, gain in $; one scenario and reference (a policy). A row without
            numbers is where a training diverged. The table may be empty: then no training was long enough.
        exploitability: columns :data:`GAINS_COLUMNS` ($); the same scenario. Of this, the reference counts.

    Raises:
        ValueError: if a column is missing, an algorithm is unknown, or scenarios, deviators or references differ.
    """
    return _figure(data_efficiency, exploitability, "transitions", "joint transitions")


def plot_time(data_efficiency: DataFrame, exploitability: DataFrame, records: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw the same against the seconds since the start of the training of all seeds.

    Args:
        data_efficiency: as for :func:`plot`.
        exploitability: as for :func:`plot`.
        records: of the trainings: policy, ``snapshots`` with transitions and wall_seconds. Where a training diverged
            is drawn at the last policy kept of it: the second is not known.

    Raises:
        ValueError: as for :func:`plot`; if a record lacks the time of a policy.
    """
    seconds = {
        (record["policy"], kept["transitions"]): float(kept["wall_seconds"])
        for record in records
        for kept in record["snapshots"]
    }
    keys = data_efficiency[["policy", "transitions"]].itertuples(index=False, name=None)
    timed = data_efficiency.assign(wall_seconds=[seconds.get(key, np.nan) for key in keys])
    unknown = timed[timed["wall_seconds"].isna() & timed["gain"].notna()]
    if len(unknown):
        row = unknown.iloc[0]
        raise ValueError(f"{TABLE}: no record has the time of {row['policy']} after {row['transitions']} transitions")
    return _figure(timed, exploitability, "wall_seconds", "wall time of all seeds together (s)")


def _figure(table: DataFrame, exploitability: DataFrame, along: str, label: str) -> Figure:
    check(exploitability, GAINS, GAINS_COLUMNS)
    scenario = only(exploitability, GAINS, "scenario")
    if table.empty:
        with drawing(20, f"scenario {scenario}: no training was long enough to keep a policy along the way") as figure:
            return figure
    check(table, TABLE, COLUMNS, scenario=[scenario], algorithm=_COLOURS)
    table = table.assign(reference=table["reference"].astype(object).fillna(""))
    deviator, reference = (only(table, TABLE, column) for column in ("deviator", "reference"))

    with drawing(100) as figure:
        panels = figure.subplots(1, 2, sharex=True)
        for axes, column in zip(panels, ("gain", "relative_distance"), strict=True):
            unused = {algorithm: itertools.cycle(colours) for algorithm, colours in _COLOURS.items()}
            for (policy, algorithm), rows in table.groupby(["policy", "algorithm"], sort=False):
                _draw(axes, rows, column, along, next(unused[algorithm]), policy)
            for algorithm in table["algorithm"].unique() if along == "transitions" else ():
                look: dict[str, Any] = {"color": ALGORITHM_COLOURS[algorithm], "lw": 1, "ls": ":", "zorder": 1}
                budget = BUDGETS[algorithm]
                axes.axvline(budget, label=f"published budget, {budget / 1e6:g} million", **look)
            axes.set_xlabel(label)
            log_scale(axes.xaxis)
            log_scale(axes.yaxis)
            axes.grid(color="0.92", lw=0.5)
        panels[0].axhline(DATA_LEVEL, color="0.35", lw=0.8, ls="--", zorder=1, label=f"gain {DATA_LEVEL:g}")
        panels[0].set_ylabel(f"gain of one deviator of class {deviator}\n($)")
        panels[1].set_ylabel("RMS difference to the reference,\nshare of its actions")
        own = _exploitability(exploitability, deviator, reference)
        title_panels(
            panels, (f"exploitability, scenario {scenario}", f"distance to {reference or 'a reference'}\n{own}")
        )
    return figure


def _draw(axes: Axes, rows: DataFrame, column: str, along: str, colour: str, name: str) -> None:
    """Draw each seed, where it diverged, and the median; what is small stands on the floor, as there is no zero."""
    numbers = rows.assign(drawn=rows[column].clip(lower=FLOOR))
    top = numbers["drawn"].max() if numbers["drawn"].notna().any() else 1.0
    for _, of_seed in numbers.sort_values("transitions").groupby("seed"):
        kept, lost = of_seed[of_seed["drawn"].notna()], of_seed[of_seed["gain"].isna()].head(1)
        axes.plot(kept[along], kept["drawn"], color=colour, lw=0.6, alpha=0.65)
        # Its wall time is not known; what was kept last, or the largest value, is the nearest place to show it.
        place = lost[along].fillna(kept[along].max())
        height = kept["drawn"].iloc[-1] if len(kept) else top
        draw_marks(axes, place, height, "x", color=DIVERGED, mew=1.2, ms=4.5, zorder=4, label="diverged")
    median = _median(rows, column, along)
    seeds = rows["seed"].nunique()
    look: dict[str, Any] = {"color": colour, "lw": 2, "marker": _MARKERS[rows["algorithm"].iloc[0]], "ms": 3.5}
    label = f"{name}, median of {seeds} seeds" if seeds > 1 else f"{name}, one seed"
    axes.plot(median.clip(lower=FLOOR), zorder=3, label=label, **look)


def _median(rows: DataFrame, column: str, along: str) -> Series:
    """Median over seeds whenever a policy was kept, where it is finite, by ``along``."""
    rows = rows.assign(counted=rows[column].where(rows["gain"].notna(), np.inf))
    so_far = rows.pivot(index="transitions", columns="seed", values="counted").ffill()
    kept = rows[rows[column].notna()].groupby("transitions")[along].first()  # the same for all: they train side by side
    median = so_far.fillna(np.inf).median(axis=1)[kept.index].set_axis(kept)
    return median[np.isfinite(median)]


def _exploitability(gains: DataFrame, deviator: str, reference: str) -> str:
    """The upper end of the reference's own exploitability."""
    if not reference:
        return "(there is none)"
    mine = gains[(gains["policy"] == reference) & (gains["deviator"] == deviator)]
    if mine.empty:
        return "its own gain not measured"
    high = of_agent_1(mine, GAINS)["high"]
    return f"its own gain at most {high.max():.2g}" if high.notna().all() else "it diverged"
