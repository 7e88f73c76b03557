"""Figure 1: the loss against the weight beta of the regulariser (23), along the training and of what it returns."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas import DataFrame

from nash_dqn.plots.style import BLUE, ORANGE, PURPLE, draw_estimates, draw_marks, drawing, log_scale, title_panels
from nash_dqn.plots.tables import check, check_grid, only, truths
from nash_dqn.published import FIG1_LOSS

TABLE = "beta_sweep"
COLUMNS = ("scenario", "base", "beta", "seed", "measure", "iteration", "loss", "resets", "diverged")

_COLUMNS_OF_PANELS = 3
_ROOM = 2.5  # the axis ends at this multiple of the published losses or of ours; explosions lie above it


def plot(beta_sweep: DataFrame) -> Figure:
    """Draw losses against beta: a panel for each iteration of the training and one for the returned weights.

    Betas are evenly spaced. At each stand the seeds' median and range, the seeds themselves to its right, and the
    paper's value. Seeds whose weights have been reset until then are crosses, those above the axis triangles on its
    upper edge. Trainings that have diverged are counted above and in neither median nor range.

    Args:
        beta_sweep: columns :data:`COLUMNS` of :func:`nash_dqn.evaluation.beta_sweep.table`; one scenario and base,
            everywhere the same betas and seeds.

    Raises:
        ValueError: if a column or a combination of beta and seed is missing or stands twice, or the loss of a
            training that did not diverge is not finite.
    """
    check(beta_sweep, TABLE, COLUMNS, measure=("training", "returned"))
    scenario, base = (only(beta_sweep, TABLE, column) for column in ("scenario", "base"))
    diverged = truths(beta_sweep, TABLE, "diverged")
    if diverged.isna().any() or not (diverged | np.isfinite(beta_sweep["loss"])).all():
        raise ValueError(f"{TABLE}: a loss is not finite, but the training is not marked as diverged")
    betas = sorted({*map(float, FIG1_LOSS), *beta_sweep["beta"].astype(float)})
    table = beta_sweep.assign(
        loss=beta_sweep["loss"].mask(diverged.astype(bool)), place=beta_sweep["beta"].map(betas.index)
    )
    returned = table["measure"] == "returned"
    panels = {f"total loss, iteration {at:,}": rows for at, rows in table[~returned].groupby("iteration")}
    if returned.any():
        panels["returned weights, (17) alone"] = table[returned]
    for rows in panels.values():
        check_grid(rows, TABLE, ("beta", "seed"))
    theirs = [point.value for point in FIG1_LOSS.values()]
    top = _ROOM * np.nanmax([*theirs, *(rows["loss"].median() for rows in panels.values())])
    low, high = min(*theirs, table["loss"].min()) / 1.15, min(1.15 * max(*theirs, table["loss"].max()), top)

    rows_of_panels = math.ceil(len(panels) / _COLUMNS_OF_PANELS)
    columns = min(len(panels), _COLUMNS_OF_PANELS)
    with drawing(30 + 46 * rows_of_panels, f"scenario {scenario}, policy {base}") as figure:
        axes = figure.subplots(rows_of_panels, columns, sharex=True, sharey=True, squeeze=False).flat
        for ax, rows in zip(axes, panels.values(), strict=False):
            _draw(ax, rows, high, betas)
        for ax in axes[len(panels) :]:
            ax.remove()
        for ax in axes[len(panels) - columns : len(panels)]:  # the lowest of its column
            ax.tick_params(labelbottom=True)
            ax.set_xlabel(r"weight $\beta$ of the regulariser")
        axes[0].set_ylim(low, high)
        log_scale(axes[0].yaxis)
        axes[0].set_xticks(range(len(betas)), [f"{beta:g}" for beta in betas])
        title_panels(axes, panels)
        figure.supylabel("loss of ten episodes", fontsize=8)
    return figure


def _draw(axes: Axes, rows: DataFrame, top: float, betas: Sequence[float]) -> None:
    """Draw one panel, whose axis ends at ``top``."""
    seeds = rows["seed"].nunique()
    label = f"median of {seeds} seeds, range" if seeds > 1 else "one seed"
    draw_estimates(axes, rows, "loss", _median, color=BLUE, ms=3, lw=1, label=label)
    theirs = {betas.index(beta): point.value for beta, point in sorted(FIG1_LOSS.items())}
    look: dict[str, Any] = {"ms": 2.5, "lw": 1, "color": ORANGE, "label": "published (digitised, one run)"}
    axes.plot(list(theirs), list(theirs.values()), "s--", **look)
    beside = rows["place"] + 0.15 + 0.35 * (rows["seed"].rank(method="dense") - 1) / seeds
    reset, above = rows["resets"] > 0, rows["loss"] > top
    for label, marker, colour, of in (
        ("one seed", "o", BLUE, ~reset & ~above),
        ("one seed, weights reset before", "x", PURPLE, reset & ~above),
        ("above the axis", "^", BLUE, ~reset & above),
        ("above the axis, weights reset before", "^", PURPLE, reset & above),
    ):
        look = {"color": colour, "clip_on": False, "label": label}
        draw_marks(axes, beside[of], rows.loc[of, "loss"].clip(upper=top), marker, **look)
    axes.set(xlabel="", ylabel="")


def _median(values: np.ndarray) -> tuple[float, float, float]:
    """Median and range."""
    return float(np.median(values)), values.min(), values.max()
