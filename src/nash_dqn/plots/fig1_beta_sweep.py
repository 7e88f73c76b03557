"""Figure 1: the loss against the weight beta of the regulariser (23), along the training and of what it returns."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import ScaledTranslation, Transform
from pandas import DataFrame

from nash_dqn.plots.beta_axis import scale_beta
from nash_dqn.plots.style import BLUE, DIVERGED, ORANGE, SMALL, new_figure, scale_log, style, title_panel
from nash_dqn.plots.tables import grid, only, require_columns, truths
from nash_dqn.published import FIG1_LOSS, Published

TABLE = "beta_sweep"
COLUMNS = ("scenario", "recipe", "beta", "seed", "measure", "iteration", "loss", "resets", "diverged")

_COLUMNS_OF_PANELS = 3
_ASIDE = 2.5  # points from a median to its seeds
_ROOM = 2.5  # the axis ends at this multiple of the published losses or of ours; explosions lie above it


def plot(beta_sweep: DataFrame, *, published: Mapping[float, Published] = FIG1_LOSS) -> Figure:
    """Draw losses against beta: a panel for each iteration of the training and one for the returned weights.

    Each has the seeds, their median and range, and the paper's curve. Seeds whose weights have been reset until then
    are crosses, those above the axis triangles at its upper edge. Trainings that have diverged are counted above and in
    neither median nor range.

    Args:
        beta_sweep: columns :data:`COLUMNS` of :func:`nash_dqn.evaluation.beta_sweep.table`; one scenario and recipe,
            everywhere the same betas and seeds.
        published: the paper's losses by beta.

    Raises:
        ValueError: if a column or a combination of beta and seed is missing or stands twice, or the loss of a
            training that did not diverge is not finite.
    """
    require_columns(beta_sweep, TABLE, COLUMNS)
    if truths(beta_sweep, TABLE, "diverged").isna().any():
        raise ValueError(f"{TABLE}: diverged must not be empty")
    scenario, recipe = (only(beta_sweep, TABLE, column) for column in ("scenario", "recipe"))
    places = _places(beta_sweep)
    panels = [_Panel(rows) for rows in places.values()]
    theirs = np.array([point.value for point in published.values()])
    typical = max([*theirs, *(np.nanmedian(panel.losses) for panel in panels if np.isfinite(panel.losses).any())])
    drawn = np.concatenate([theirs, *(panel.losses.ravel() for panel in panels)])
    top = _ROOM * typical
    low, high = np.nanmin(drawn) / 1.15, min(np.nanmax(drawn) * 1.15, top)
    betas = sorted({*(float(beta) for panel in panels for beta in panel.betas), *map(float, published)})

    with style():
        rows = math.ceil(len(panels) / _COLUMNS_OF_PANELS)
        figure = new_figure(28 + 42 * rows)
        columns = min(len(panels), _COLUMNS_OF_PANELS)
        axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        pad = 13 if any(panel.diverged.any() for panel in panels) else 6  # room for the numbers of diverged seeds
        for index, (name, panel, ax) in enumerate(zip(places, panels, axes.flat, strict=False)):
            _draw_published(ax, published)
            panel.draw(ax, high)
            title_panel(ax, index, name, pad=pad)
            if index + columns >= len(panels):  # the lowest of its column
                ax.tick_params(labelbottom=True)
                ax.set_xlabel(r"weight $\beta$ of the regulariser")
        for ax in axes.flat[len(panels) :]:
            ax.remove()
        scale_log(axes[0, 0], low, high)
        axes[0, 0].set_ylim(low, high)
        scale_beta(list(axes.flat), betas, [beta for beta in betas if _is_labelled(beta, betas)])
        figure.suptitle(f"scenario {scenario}, recipe {recipe}", fontsize=8)
        figure.supylabel("loss of ten episodes", fontsize=8)
        figure.legend(handles=_legend(panels, high), loc="outside lower center", ncols=3)
    return figure


def _places(table: DataFrame) -> dict[str, DataFrame]:
    """Rows of each panel by its title."""
    unknown = set(table["measure"]) - {"training", "returned"}
    if unknown:
        raise ValueError(f"{TABLE}: measure must be training or returned; found {', '.join(sorted(unknown))}")
    training, returned = (table[table["measure"] == measure] for measure in ("training", "returned"))
    places = {f"total loss, iteration {at:,}": rows for at, rows in training.groupby("iteration")}
    return {**places, "returned weights, (17) alone": returned} if len(returned) else places


class _Panel:
    """Losses ``[betas, seeds]`` in one place, nan where the training has diverged."""

    def __init__(self, rows: DataFrame) -> None:
        (self.betas, self.seeds), losses = grid(rows, TABLE, ("beta", "seed"), "loss")
        self.diverged = grid(rows, TABLE, ("beta", "seed"), "diverged")[1].astype(bool)
        self.reset = grid(rows, TABLE, ("beta", "seed"), "resets")[1] > 0
        bad = np.argwhere(~self.diverged & ~np.isfinite(losses))
        if len(bad):
            where = f"beta={self.betas[bad[0][0]]}, seed={self.seeds[bad[0][1]]}"
            raise ValueError(f"{TABLE}: loss at {where} is not finite, but the training is not marked as diverged")
        self.losses = np.where(self.diverged, np.nan, losses)

    def draw(self, axes: Axes, top: float) -> None:
        """Draw seeds slightly to the right, median and range at beta itself; ``top`` is the end of the axis."""
        samples = [row[np.isfinite(row)] for row in self.losses]
        ends = np.array([np.quantile(x, (0, 0.5, 1)) if len(x) else (np.nan,) * 3 for x in samples])
        axes.plot(self.betas, ends[:, 1], "o-", ms=3, lw=1, color=BLUE, zorder=3, gid="median")
        if len(self.seeds) > 1:
            axes.vlines(self.betas, ends[:, 0], ends[:, 2], color=BLUE, lw=0.8, zorder=2.5, gid="range")
        for name, marker, colour, of in (("seed", "o", BLUE, ~self.reset), ("reset", "x", DIVERGED, self.reset)):
            look: dict[str, Any] = {"ls": "", "mfc": "none", "mew": 0.7, "color": colour, "zorder": 4}
            for losses in np.where(of, self.losses, np.nan).T:
                axes.plot(self.betas, losses, marker, ms=2.5, transform=_aside(axes, axes.transData), gid=name, **look)
        edge = _aside(axes, axes.get_xaxis_transform())
        for beta, losses, reset in zip(self.betas, self.losses, self.reset, strict=True):
            for below, of in enumerate(reset[losses > top]):  # one under the other
                look = {"ls": "", "mfc": "none", "mew": 0.7, "color": DIVERGED if of else BLUE, "clip_on": False}
                axes.plot([beta], [1 - 0.05 * below], "^", ms=3, transform=edge, zorder=4, gid="above", **look)
        for beta, lost in zip(self.betas, self.diverged, strict=True):
            if lost.any():
                text: dict[str, Any] = {"ha": "center", "va": "bottom", "fontsize": SMALL, "color": DIVERGED}
                place: dict[str, Any] = {"xycoords": axes.get_xaxis_transform(), "textcoords": "offset points"}
                axes.annotate(f"{lost.sum()}/{lost.size}", (beta, 1.0), (0, 4), gid="diverged", **place, **text)


def _aside(axes: Axes, coordinates: Transform) -> Transform:
    """The coordinates drawn a little to the right, for what would otherwise lie on top of something."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    return coordinates + ScaledTranslation(_ASIDE / 72, 0, figure.dpi_scale_trans)


def _draw_published(axes: Axes, published: Mapping[float, Published]) -> None:
    points = sorted(published.items())
    values = [point.value for _, point in points]
    axes.plot([beta for beta, _ in points], values, "s--", ms=2.5, lw=1, color=ORANGE, gid="published")


def _is_labelled(beta: float, betas: Sequence[float]) -> bool:
    """Whether a tick has room for its label: zero, powers of ten and the last."""
    return beta in (0, betas[-1]) or math.log10(beta).is_integer()


def _legend(panels: Sequence[_Panel], top: float) -> list[Line2D]:
    look: dict[str, Any] = {"ls": "", "mfc": "none", "mew": 0.7}
    count = len(panels[0].seeds)
    handles = [Line2D([], [], color=BLUE, marker="o", ms=3, lw=1, label=f"median of {count} seeds, range")]
    if count == 1:
        handles = [Line2D([], [], color=BLUE, marker="o", ms=3, lw=1, label="one seed")]
    handles.append(
        Line2D([], [], color=ORANGE, marker="s", ms=2.5, ls="--", lw=1, label="published (digitised, one run)")
    )
    if count > 1:
        handles.append(Line2D([], [], color=BLUE, marker="o", ms=2.5, label="one seed", **look))
    if any(panel.reset.any() for panel in panels):
        handles.append(
            Line2D([], [], color=DIVERGED, marker="x", ms=2.5, label="its weights were reset before", **look)
        )
    if any((panel.losses > top).any() for panel in panels):
        handles.append(Line2D([], [], color="0.3", marker="^", ms=3, label="above the axis", **look))
    if any(panel.diverged.any() for panel in panels):
        handles.append(Line2D([], [], color=DIVERGED, marker="$n/m$", ms=11, mew=0.2, ls="", label="diverged"))
    return handles
