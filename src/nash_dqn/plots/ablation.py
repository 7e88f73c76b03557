"""What each change from one policy to another buys, in both directions, measured by exploitability."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas import DataFrame, Series

from nash_dqn.evaluation.statistics import FLOOR
from nash_dqn.plots.style import DEVIATORS, DIVERGED, legend, log_scale, new_figure, style, title_panels
from nash_dqn.plots.tables import check, check_values, only
from nash_dqn.studies.ablation import COLUMNS, SEED_COLUMNS

__all__ = ["COLUMNS", "SEED_COLUMNS", "plot"]

TABLE, SEEDS = "ablation", "ablation_seeds"

_ROW_MM = 6.3


class _Panel(NamedTuple):
    """One policy and its changes of one kind, the policy itself first."""

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
    check(ablation, TABLE, COLUMNS)
    check(seeds, SEEDS, SEED_COLUMNS)
    check_values(ablation, TABLE, "deviator", DEVIATORS)
    scenario = only(ablation, TABLE, "scenario")
    panels = _panels(ablation)
    heights = [max(len(panel.changes) for panel in row if panel) for row in panels]
    gains = np.concatenate([ablation["gain"], seeds["gain"]])
    gains = gains[np.isfinite(gains)].clip(FLOOR) if np.isfinite(gains).any() else np.array([FLOOR, 1.0])

    with style():
        figure = new_figure(24 + 16 * len(panels) + _ROW_MM * sum(heights))
        grid = figure.subplots(len(panels), 2, squeeze=False, height_ratios=heights)
        drawn = {}
        for axes, panel in zip(grid.flat, (panel for row in panels for panel in row), strict=True):
            if panel is None:
                axes.remove()
                continue
            drawn[panel.title] = axes
            # The ends are the same for all panels, of what was measured, as intervals of few seeds have no end.
            axes.set_xlim(gains.min() / 2, gains.max() * 2)
            axes.set_ylim(len(panel.changes) - 0.5, -0.5)
            _draw(axes, panel, ablation, seeds)
            log_scale(axes.xaxis, decades=2)
            axes.set_xlabel("gain of agent 1 ($)")
            axes.grid(axis="x", color="0.92", lw=0.5)
        title_panels(drawn.values(), drawn)
        figure.suptitle(f"scenario {scenario}")
        legend(figure)
    return figure


def _panels(table: DataFrame) -> list[list[_Panel | None]]:
    """The two directions side by side, then the variants of each policy below its own, if there are any."""
    bases = list(table.loc[table["kind"] == "base", "policy"].unique())
    added, removed = (list(table.loc[table["kind"] == kind, "change"].unique()) for kind in ("added", "removed"))
    if len(bases) != 2 or not added or sorted(added) != sorted(removed):
        raise ValueError(
            f"{TABLE}: two policies and the same switches added and removed are needed; found {', '.join(bases)}, "
            f"{', '.join(added)} added, {', '.join(removed)} removed"
        )

    def panel(title: str, base: str, kind: str, order: list[str]) -> _Panel:
        rows = table[(table["base"] == base) & table["kind"].isin(["base", kind])]
        return _Panel(title, base, rows.assign(change=rows["change"].fillna("no change")), ["no change", *order])

    base, goal = bases
    rows: list[list[_Panel | None]] = [
        [
            panel(f"{base} with one change of {goal}", base, "added", added),
            panel(f"{goal} without one change", goal, "removed", added),
        ]
    ]
    variants = table[table["kind"] == "variant"]
    if len(variants):
        of = {name: list(variants.loc[variants["base"] == name, "change"].unique()) for name in bases}
        rows.append(
            [panel(f"{name}, other changes", name, "variant", of[name]) if of[name] else None for name in bases]
        )
    return rows


def _draw(axes: Axes, panel: _Panel, table: DataFrame, seeds: DataFrame) -> None:
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
        places = rows["change"].map(panel.changes.index) + 0.4 * (at - (len(deviators) - 1) / 2)
        errors = [rows["gain"] - rows["low"], rows["high"] - rows["gain"]]
        axes.errorbar(rows["gain"], places, xerr=errors, fmt=marker, color=colour, ms=3.2, elinewidth=1, label=label)
        sound = seeds[(seeds["deviator"] == deviator) & ~seeds["diverged"].astype(bool)]
        sound = sound[sound["policy"].isin(rows["policy"])]
        of_seeds = sound["policy"].map(dict(zip(rows["policy"], places, strict=True)))
        low = sound["gain"] < FLOOR
        small: dict[str, Any] = {"ls": "", "ms": 2.6, "mfc": "w", "mew": 0.6, "color": colour, "alpha": 0.55}
        axes.plot(sound.loc[~low, "gain"], of_seeds[~low], marker="o", label="one seed", **small)
        if low.any():
            label = f"one seed, below {FLOOR:g} or negative"
            axes.plot([FLOOR] * low.sum(), of_seeds[low], marker="<", label=label, **small)
    last = panel.rows[panel.rows["deviator"] == deviators[-1]].set_index("change").loc[panel.changes]
    diverged = np.flatnonzero(last["diverged"])
    if len(diverged):
        edge: dict[str, Any] = {"transform": axes.get_yaxis_transform(), "color": DIVERGED, "mew": 1.1}
        axes.plot([0.98] * len(diverged), diverged, "x", label="diverged (of seeds), in no mean", **edge)
    axes.set_yticks(range(len(last)), [change.replace("_", " ") for change in last.index])
    for place in range(1, len(last)):
        axes.axhline(place - 0.5, color="0.85", lw=0.5, zorder=0)
    factors = axes.secondary_yaxis("right")
    factors.set_yticks(range(len(last)), [_numbers(row) for _, row in last.iterrows()])
    factors.spines["right"].set_visible(False)
    for text, told in zip(factors.get_yticklabels(), (last["factor_low"] > 1) | (last["factor_high"] < 1), strict=True):
        text.set_fontweight("bold" if told else "normal")
    axes.tick_params(axis="y", length=0)
    factors.tick_params(length=0)


def _numbers(row: Series) -> str:
    """The factor against the unchanged policy, and how many trainings diverged."""
    factor = [f"×{row['factor']:#.2g}".rstrip(".")] if np.isfinite(row["factor"]) else []
    return "\n".join(factor + [f"{row['diverged']} of {row['seeds']}"] * bool(row["diverged"]))
