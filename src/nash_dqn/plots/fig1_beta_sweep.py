"""Figure 1: the loss against the weight beta of the regulariser (23), along the training and of what it returns."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import seaborn
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas import DataFrame

from nash_dqn.plots.style import BLUE, ORANGE, PURPLE, count_lost, legend, log_scale, new_figure, style, title_panels
from nash_dqn.plots.tables import check, check_grid, check_values, only, truths
from nash_dqn.published import FIG1_LOSS, Published

TABLE = "beta_sweep"
COLUMNS = ("scenario", "base", "beta", "seed", "measure", "iteration", "loss", "resets", "diverged")

_COLUMNS_OF_PANELS = 3
_ROOM = 2.5  # the axis ends at this multiple of the published losses or of ours; explosions lie above it


def plot(beta_sweep: DataFrame, *, published: Mapping[float, Published] = FIG1_LOSS) -> Figure:
    """Draw losses against beta: a panel for each iteration of the training and one for the returned weights.

    Betas are evenly spaced. At each stand the seeds' median and range, the seeds themselves to its right, and the
    paper's value. Seeds whose weights have been reset until then are crosses, those above the axis triangles on its
    upper edge. Trainings that have diverged are counted above and in neither median nor range.

    Args:
        beta_sweep: columns :data:`COLUMNS` of :func:`nash_dqn.evaluation.beta_sweep.table`; one scenario and base,
            everywhere the same betas and seeds.
        published: the paper's losses by beta.

    Raises:
        ValueError: if a column or a combination of beta and seed is missing or stands twice, or the loss of a
            training that did not diverge is not finite.
    """
    check(beta_sweep, TABLE, COLUMNS)
    check_values(beta_sweep, TABLE, "measure", ("training", "returned"))
    scenario, base = (only(beta_sweep, TABLE, column) for column in ("scenario", "base"))
    diverged = truths(beta_sweep, TABLE, "diverged")
    if diverged.isna().any() or not (diverged | np.isfinite(beta_sweep["loss"])).all():
        raise ValueError(f"{TABLE}: a loss is not finite, but the training is not marked as diverged")
    betas = sorted({*map(float, published), *beta_sweep["beta"].astype(float)})
    table = beta_sweep.assign(
        loss=beta_sweep["loss"].mask(diverged.astype(bool)), place=beta_sweep["beta"].map(betas.index)
    )
    returned = table["measure"] == "returned"
    panels = {f"total loss, iteration {at:,}": rows for at, rows in table[~returned].groupby("iteration")}
    if returned.any():
        panels["returned weights, (17) alone"] = table[returned]
    for rows in panels.values():
        check_grid(rows, TABLE, ("beta", "seed"))
    theirs = [point.value for point in published.values()]
    top = _ROOM * np.nanmax([*theirs, *(rows["loss"].median() for rows in panels.values())])
    low, high = min(*theirs, table["loss"].min()) / 1.15, min(1.15 * max(*theirs, table["loss"].max()), top)

    with style():
        rows_of_panels = math.ceil(len(panels) / _COLUMNS_OF_PANELS)
        columns = min(len(panels), _COLUMNS_OF_PANELS)
        figure = new_figure(30 + 46 * rows_of_panels)
        axes = figure.subplots(rows_of_panels, columns, sharex=True, sharey=True, squeeze=False).flat
        for ax, rows in zip(axes, panels.values(), strict=False):
            _draw(ax, rows, high, betas, published)
        for ax in axes[len(panels) :]:
            ax.remove()
        for ax in axes[max(len(panels) - columns, 0) : len(panels)]:  # the lowest of its column
            ax.tick_params(labelbottom=True)
            ax.set_xlabel(r"weight $\beta$ of the regulariser")
        axes[0].set_ylim(low, high)
        log_scale(axes[0].yaxis)
        axes[0].set_xticks(range(len(betas)), [f"{beta:g}" for beta in betas])
        title_panels(axes, panels)
        figure.suptitle(f"scenario {scenario}, policy {base}")
        figure.supylabel("loss of ten episodes", fontsize=8)
        legend(figure)
    return figure


def _draw(
    axes: Axes, rows: DataFrame, top: float, betas: Sequence[float], published: Mapping[float, Published]
) -> None:
    """Draw one panel, whose axis ends at ``top``."""
    seeds = rows["seed"].nunique()
    look: dict[str, Any] = {"errorbar": ("pi", 100), "estimator": "median", "native_scale": True, "color": BLUE}
    label = f"median of {seeds} seeds, range" if seeds > 1 else "one seed"
    seaborn.pointplot(rows, x="place", y="loss", ax=axes, ms=3, lw=1, label=label, legend=False, **look)
    theirs = sorted(published.items())
    axes.plot(
        [betas.index(beta) for beta, _ in theirs],
        [point.value for _, point in theirs],
        "s--",
        ms=2.5,
        lw=1,
        color=ORANGE,
        label="published (digitised, one run)",
    )
    beside = rows.assign(place=rows["place"] + 0.15 + 0.35 * (rows["seed"].rank(method="dense") - 1) / seeds)
    above = beside["loss"] > top
    for label, marker, colour, of in (
        ("one seed", "o", BLUE, (beside["resets"] == 0) & ~above),
        ("one seed, weights reset before", "x", PURPLE, (beside["resets"] > 0) & ~above),
        ("above the axis", "^", BLUE, (beside["resets"] == 0) & above),
        ("above the axis, weights reset before", "^", PURPLE, (beside["resets"] > 0) & above),
    ):
        if of.any():
            drawn = beside[of]
            heights = drawn["loss"].clip(upper=top)
            axes.plot(
                drawn["place"], heights, marker, ms=2.5, mfc="none", mew=0.7, color=colour, clip_on=False, label=label
            )
    count_lost(axes, rows["loss"].isna(), rows["place"])
    axes.set(xlabel="", ylabel="")
