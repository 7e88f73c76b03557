"""What each change from one policy to another buys, in both directions, measured by exploitability."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas import DataFrame, Series

from nash_dqn.evaluation.statistics import FLOOR
from nash_dqn.plots.style import (
    DEVIATORS,
    draw_intervals,
    draw_marks,
    drawing,
    lay_rows,
    log_scale,
    mark_edge,
    title_panels,
    write_beside,
)
from nash_dqn.plots.tables import check, only
from nash_dqn.studies.ablation import COLUMNS, SEED_COLUMNS

__all__ = ["COLUMNS", "SEED_COLUMNS", "plot"]

TABLE, SEEDS = "ablation", "ablation_seeds"

_ROW_MM = 6.3


class _Panel(NamedTuple):
    """One policy and its changes of one kind; the rows of the policy itself are there too."""

    title: str
    base: str
    rows: DataFrame
    changes: list[str]


def plot(ablation: DataFrame, seeds: DataFrame) -> Figure:
    """Draw the mean exploitability of each policy with its interval, beside that of the policy it changes.

    One panel for each direction, whose rows are the switches, and below it one for variants, if any. The band is
    the interval of the policy that is changed about its mean, the dotted line the mean of the other one. Numbers on
    the right are factors against the unchanged policy, for the last class of deviators, in bold where their interval
    does not hold one, and how many trainings diverged. Seeds below the floor of averages stand on it, as arrows.

    Args:
        ablation: table of :func:`nash_dqn.studies.ablation.table`; one scenario.
        seeds: table of :func:`nash_dqn.studies.ablation.by_seed`, from which it was made.

    Raises:
        ValueError: if a column is missing, a deviator unknown, or the two directions have not the same switches.
    """
    check(ablation, TABLE, COLUMNS, deviator=DEVIATORS)
    check(seeds, SEEDS, SEED_COLUMNS)
    panels = _panels(ablation)
    lines = [1 + max(len(panel.changes) for panel in pair) for pair in (panels[:2], panels[2:])]
    shown = [height for height in lines if height > 1]
    gains = np.concatenate([ablation["gain"], seeds["gain"]]).clip(FLOOR)

    height_mm = 24 + 16 * len(shown) + _ROW_MM * sum(shown)
    with drawing(height_mm, f"scenario {only(ablation, TABLE, 'scenario')}") as figure:
        grid = figure.subplots(len(shown), 2, squeeze=False, height_ratios=shown)
        for axes, panel in zip(grid.flat, panels, strict=False):
            if not panel.changes:
                axes.remove()
                continue
            _draw(axes, panel, ablation, seeds)
            log_scale(axes.xaxis, around=gains, margin=2, decades=2)
            axes.set_xlabel("gain of agent 1 ($)")
            axes.grid(axis="x", color="0.92", lw=0.5)
        title_panels(figure.axes, [panel.title for panel in panels if panel.changes])
    return figure


def _panels(table: DataFrame) -> list[_Panel]:
    """The two directions, then the variants of each policy, if there are any."""
    bases = list(table.loc[table["kind"] == "base", "policy"].unique())
    added, removed = (list(table.loc[table["kind"] == kind, "change"].unique()) for kind in ("added", "removed"))
    if len(bases) != 2 or not added or sorted(added) != sorted(removed):
        raise ValueError(
            f"{TABLE}: two policies and the same switches added and removed are needed; found {', '.join(bases)}, "
            f"{', '.join(added)} added, {', '.join(removed)} removed"
        )
    base, goal = bases
    panels = []
    for title, of, kind, order in (
        (f"{base} with one change of {goal}", base, "added", added),
        (f"{goal} without one change", goal, "removed", added),
        *((f"{name}, other changes", name, "variant", None) for name in bases),
    ):
        rows = table[(table["base"] == of) & table["kind"].isin(["base", kind])]
        changes = order or list(rows.loc[rows["kind"] == kind, "change"].unique())
        panels.append(_Panel(title, of, rows.fillna({"change": "no change"}), changes))
    return panels


def _draw(axes: Axes, panel: _Panel, table: DataFrame, seeds: DataFrame) -> None:
    names = ["no change", *panel.changes]
    lay_rows(axes, [name.replace("_", " ") for name in names])
    deviators = list(table["deviator"].unique())
    for row in table[table["kind"] == "base"].itertuples():
        colour = DEVIATORS[row.deviator].colour
        if row.policy == panel.base:
            label = "unchanged, 95 % interval"
            axes.axvspan(row.low, row.high, color=colour, alpha=0.1, lw=0, zorder=0, label=label)
            axes.axvline(row.gain, color=colour, lw=0.7, alpha=0.7, zorder=1)
        elif row.deviator == deviators[-1]:
            axes.axvline(row.gain, color="0.45", lw=0.9, ls=":", zorder=1, label="the other policy, unchanged")
    for at, deviator in enumerate(deviators):
        colour, marker, label = DEVIATORS[deviator]
        rows = panel.rows[panel.rows["deviator"] == deviator]
        rows = rows.assign(place=rows["change"].map(names.index) + 0.4 * (at - (len(deviators) - 1) / 2))
        draw_intervals(axes, rows, "gain", marker=marker, color=colour, ms=3.2, elinewidth=1, label=label)
        single = seeds[seeds["deviator"] == deviator].dropna(subset="gain").merge(rows[["policy", "place"]])
        low = single["gain"] < FLOOR
        look: dict[str, Any] = {"color": colour, "mfc": "w", "alpha": 0.55}
        draw_marks(axes, single["gain"][~low], single["place"][~low], label="one seed", **look)
        draw_marks(axes, FLOOR, single["place"][low], "<", label=f"one seed, below {FLOOR:g} or negative", **look)
    last = panel.rows[panel.rows["deviator"] == deviators[-1]].set_index("change").loc[names]
    mark_edge(axes, "right", np.flatnonzero(last["diverged"]), "diverged (of seeds), in no mean")
    for place in range(1, len(last)):
        axes.axhline(place - 0.5, color="0.85", lw=0.5, zorder=0)
    texts = write_beside(axes, "right", range(len(last)), [_numbers(row) for _, row in last.iterrows()])
    for text, told in zip(texts, (last["factor_low"] > 1) | (last["factor_high"] < 1), strict=True):
        text.set_fontweight("bold" if told else "normal")


def _numbers(row: Series) -> str:
    """The factor against the unchanged policy, and how many trainings diverged."""
    factor = [f"×{row['factor']:#.2g}".rstrip(".")] if np.isfinite(row["factor"]) else []
    return "\n".join(factor + [f"{row['diverged']} of {row['seeds']}"] * bool(row["diverged"]))
