"""Why a small penalty fails: loss along training, and exploitability, of several policies at two betas."""

from __future__ import annotations

import numpy as np
import seaborn
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from pandas import DataFrame

from nash_dqn.evaluation.statistics import FLOOR, geometric_mean
from nash_dqn.plots.style import (
    GREEN,
    PURPLE,
    draw_estimates,
    draw_marks,
    drawing,
    log_scale,
    title_panels,
)
from nash_dqn.plots.tables import check, check_grid, only, select
from nash_dqn.studies.penalty_study import ALONG, GAINS

TABLE = "penalty_study"
COLUMNS = ("scenario", "base", "beta", "seed", "measure", "iteration", "value", "resets", "diverged")

_LOSS = ALONG[0]
_COLOURS = (PURPLE, GREEN)
_ROOM = 2.0  # the axis of the loss ends at this multiple of what is typical; first losses and explosions lie above it


def plot(penalty_study: DataFrame) -> Figure:
    """Draw a column of panels for each policy but for its beta: above, the loss along training; below, gains.

    Losses are the median and range of the seeds, with a cross at the foot of the panel where weights of any were reset.
    Gains of deviators are each seed, a cross if its weights had been reset by then, and their geometric mean with its t
    interval.
    Trainings that have diverged are counted above and in no average.

    Args:
        penalty_study: columns :data:`COLUMNS` of :func:`nash_dqn.studies.penalty_study.table`, one scenario; two
            betas, each with the same seeds.

    Raises:
        ValueError: if a column or a row is missing, a row stands twice, or there are not two betas.
    """
    check(penalty_study, TABLE, COLUMNS)
    scenario = only(penalty_study, TABLE, "scenario")
    betas = sorted(penalty_study["beta"].unique())
    if len(betas) != len(_COLOURS):
        raise ValueError(f"{TABLE}: beta must have two values; found {', '.join(map(str, betas))}")
    colours = {rf"$\beta$ = {beta:g}": colour for beta, colour in zip(betas, _COLOURS, strict=True)}
    table = penalty_study.assign(weight=penalty_study["beta"].map(dict(zip(betas, colours, strict=True))))
    losses = select(table, TABLE, measure=_LOSS)
    check_grid(losses, TABLE, ("base", "beta", "seed", "iteration"))
    gains = table[table["measure"].isin(GAINS)].assign(value=lambda rows: rows["value"].clip(lower=FLOOR))
    kept = gains["measure"] == GAINS[0]
    when = [*np.sort(gains.loc[kept, "iteration"].unique()), "returned"]
    gains["place"] = gains["iteration"].where(kept, "returned").map(when.index)
    bases = list(table["base"].unique())
    middle = losses.groupby(["base", "beta"])["value"].median().max()

    with drawing(118, f"scenario {scenario}", ncols=4) as figure:
        rows = figure.subplots(2, len(bases), sharey="row", squeeze=False)
        for base, (upper, lower) in zip(bases, rows.T, strict=True):
            _draw_loss(upper, losses[losses["base"] == base], colours)
            _draw_gains(lower, gains[gains["base"] == base], colours)
            lower.set_xticks(range(len(when)), [at if at == "returned" else f"{at / 1000:g}k" for at in when])
            lower.set_xlim(-0.5, len(when) - 0.5)
        rows[0, 0].set(ylim=(0, _ROOM * middle), ylabel="squared Bellman error\nof ten episodes")
        log_scale(rows[1, 0].yaxis, around=gains["value"])
        rows[1, 0].set_ylabel("gain of agent 1 ($)")
        title_panels(rows.flat, 2 * bases)
    return figure


def _draw_loss(axes: Axes, rows: DataFrame, colours: dict[str, str]) -> None:
    """Draw median and range over seeds, and crosses where resets happened."""
    seaborn.lineplot(
        rows, x="iteration", y="value", hue="weight", hue_order=list(colours), palette=colours, estimator="median",
        errorbar=("pi", 100), ax=axes, legend=False,
    )  # fmt: skip
    for order, (weight, colour) in enumerate(colours.items()):
        resets = rows[rows["weight"] == weight].pivot(index="iteration", columns="seed", values="resets")
        happened = resets.index[(resets.diff().fillna(resets) > 0).any(axis=1)]
        draw_marks(axes, happened, 0.03 + 0.05 * order, "x", transform=axes.get_xaxis_transform(), color=colour)
    axes.set(xlabel="iteration", ylabel="")
    axes.xaxis.set_major_locator(MaxNLocator(2))
    axes.xaxis.set_major_formatter(lambda x, _: f"{x / 1000:g}k" if x else "0")


def _draw_gains(axes: Axes, rows: DataFrame, colours: dict[str, str]) -> None:
    """Draw seeds and geometric means at each iteration, and last of the returned policies."""
    for (weight, colour), shift in zip(colours.items(), (-0.17, 0.17), strict=True):
        of = rows[rows["weight"] == weight]
        of = of.assign(place=of["place"] + shift)
        draw_estimates(axes, of, "value", geometric_mean, color=colour, marker="D", ms=3.5, lw=1, ls="", label=weight)
        reset = of["resets"] > 0
        for marker, label, which in (("o", "one seed", of[~reset]), ("x", "weights reset", of[reset])):
            draw_marks(axes, which["place"] + 0.1, which["value"], marker, color=colour, label=label)
    axes.set(xlabel="", ylabel="")
