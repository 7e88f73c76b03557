"""Why a small penalty fails: loss along training, and exploitability, at two betas under several recipes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter
from pandas import DataFrame

from nash_dqn.evaluation.statistics import FLOOR, geometric_mean
from nash_dqn.plots.style import DIVERGED, GREEN, PURPLE, SMALL, new_figure, scale_log, style, title_panel
from nash_dqn.plots.tables import grid, only, require_columns, select
from nash_dqn.studies.penalty_study import ALONG, GAINS

TABLE = "penalty_study"
COLUMNS = ("scenario", "recipe", "beta", "seed", "measure", "iteration", "value", "resets", "diverged")

_LOSS = ALONG[0]
_COLOURS = (PURPLE, GREEN)
_ROOM = 2.0  # the axis of the loss ends at this multiple of what is typical; first losses and explosions lie above it
_APART = 0.17  # from the middle of two betas to either, in places


def plot(penalty_study: DataFrame) -> Figure:
    """Draw a column of panels for each recipe: above, the loss along training; below, what deviators gain.

    Losses are the median and range of the seeds, with a cross at the foot of the panel where weights of any were reset.
    Gains are each seed, a cross if its weights had been reset by then, and their geometric mean with its t interval.
    Trainings that have diverged are counted above and in no average.

    Args:
        penalty_study: columns :data:`COLUMNS` of :func:`nash_dqn.studies.penalty_study.table`, one scenario; two
            betas, each with the same seeds.

    Raises:
        ValueError: if a column or a row is missing, a row stands twice, or there are not two betas.
    """
    require_columns(penalty_study, TABLE, COLUMNS)
    scenario = only(penalty_study, TABLE, "scenario")
    betas = sorted(penalty_study["beta"].unique())
    if len(betas) != len(_COLOURS):
        raise ValueError(f"{TABLE}: beta must have two values; found {', '.join(map(str, betas))}")
    recipes = list(penalty_study["recipe"].unique())
    losses = select(penalty_study, TABLE, measure=_LOSS)["value"]
    middle = [of.median() for _, of in losses.groupby([penalty_study["recipe"], penalty_study["beta"]])]

    with style():
        figure = new_figure(112)
        rows = figure.subplots(2, len(recipes), sharey="row", squeeze=False)
        pad = 13 if penalty_study["value"].isna().any() else 6  # room for the numbers of diverged seeds
        for index, recipe in enumerate(recipes):
            of_recipe = select(penalty_study, TABLE, recipe=recipe)
            upper, lower = rows[:, index]
            for order, beta in enumerate(betas):
                _draw_loss(upper, select(of_recipe, TABLE, beta=beta, measure=_LOSS), order)
                _draw_gains(lower, select(of_recipe, TABLE, beta=beta), order)
            upper.set_xlabel("iteration")
            upper.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x / 1000:g}k" if x else "0"))
            title_panel(upper, index, recipe.replace("_", " "), pad=6)
            title_panel(lower, len(recipes) + index, recipe.replace("_", " "), pad=pad)
        rows[0, 0].set_ylim(0, _ROOM * max(middle))
        rows[0, 0].set_ylabel("squared Bellman error\nof ten episodes")
        gains = penalty_study.loc[penalty_study["measure"].isin(GAINS), "value"].clip(lower=FLOOR)
        if gains.notna().any():
            scale_log(rows[1, 0], gains.min() / 1.3, gains.max() * 1.3)
            rows[1, 0].set_ylim(gains.min() / 1.3, gains.max() * 1.3)
        rows[1, 0].set_ylabel("gain of agent 1 (currency)")
        figure.suptitle(f"scenario {scenario}", fontsize=8)
        figure.legend(handles=_legend(betas, penalty_study), loc="outside lower center", ncols=4)
    return figure


def _draw_loss(axes: Axes, rows: DataFrame, order: int) -> None:
    """Draw median and range over seeds, and crosses where resets happened; ``order`` is that of the beta, 0 or 1."""
    (seeds, iterations), losses = grid(rows, TABLE, ("seed", "iteration"), "value")
    resets = grid(rows, TABLE, ("seed", "iteration"), "resets")[1]
    known = np.isfinite(losses).any(0)
    at, of_seeds = iterations[known], losses[:, known]
    colour = _COLOURS[order]
    low, median, high = np.nanquantile(of_seeds, (0, 0.5, 1), axis=0)
    axes.fill_between(at, low, high, color=colour, alpha=0.25, lw=0, gid="range")
    axes.plot(at, median, color=colour, gid="median")
    happened = (np.diff(resets, axis=1, prepend=0) > 0).any(0)
    if happened.any():
        height = np.full(happened.sum(), 0.03 + 0.05 * order)
        look: dict[str, Any] = {"ms": 3, "mew": 0.8, "color": colour, "transform": axes.get_xaxis_transform()}
        axes.plot(iterations[happened], height, "x", gid="reset", **look)


def _draw_gains(axes: Axes, rows: DataFrame, order: int) -> None:
    """Draw seeds and geometric means at each iteration, and last of the returned policies."""
    kept, returned = (rows[rows["measure"] == measure] for measure in GAINS)
    places = [(f"{at / 1000:g}k", of) for at, of in kept.groupby("iteration")] + [("returned", returned)]
    for place, (_, of) in enumerate(places):
        x = place + (2 * order - 1) * _APART
        values, reset = of["value"].clip(lower=FLOOR).to_numpy(), of["resets"].to_numpy() > 0
        look: dict[str, Any] = {"ls": "", "mfc": "none", "mew": 0.7, "ms": 2.8, "color": _COLOURS[order]}
        for marker, which in (("o", ~reset), ("x", reset)):
            axes.plot(np.full(which.sum(), x + 0.1), values[which], marker, gid="seed", **look)
        mean, low, high = geometric_mean(values[np.isfinite(values)])
        axes.plot([x], [mean], "D", ms=3.5, color=_COLOURS[order], gid="mean")
        axes.vlines([x], [low], [high], color=_COLOURS[order], lw=1, gid="interval")
        lost = int(np.isnan(values).sum())
        if lost:
            text: dict[str, Any] = {"ha": "center", "va": "bottom", "fontsize": SMALL, "color": DIVERGED}
            where: dict[str, Any] = {"xycoords": axes.get_xaxis_transform(), "textcoords": "offset points"}
            axes.annotate(f"{lost}/{len(values)}", (x, 1.0), (0, 2), gid="diverged", **where, **text)
    axes.set_xlim(-0.5, len(places) - 0.5)
    axes.set_xticks(range(len(places)), [name for name, _ in places])


def _legend(betas: Sequence[float], table: DataFrame) -> list[Line2D | Patch]:
    grey = "0.3"
    hollow: dict[str, Any] = {"ls": "", "mfc": "none", "mew": 0.7, "color": grey}
    handles: list[Line2D | Patch] = [
        Line2D([], [], color=colour, label=rf"$\beta$ = {beta:g}") for colour, beta in zip(_COLOURS, betas, strict=True)
    ]
    handles += [
        Patch(color=grey, alpha=0.25, lw=0, label="range of seeds"),
        Line2D([], [], marker="o", ms=2.8, label="one seed", **hollow),
    ]
    if (table["resets"] > 0).any():
        handles.append(Line2D([], [], marker="x", ms=3, label="weights reset", **hollow))
    handles.append(Line2D([], [], color=grey, marker="D", ms=3.5, label="geometric mean, 95 % interval"))
    if table["value"].isna().any():
        handles.append(Line2D([], [], color=DIVERGED, marker="$n/m$", ms=11, mew=0.2, ls="", label="diverged"))
    return handles
