"""Figure 1: the loss after training against the weight beta of the regulariser (23)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import ScaledTranslation, Transform
from pandas import DataFrame

from nash_dqn.evaluation.statistics import mean_interval
from nash_dqn.plots.beta_axis import scale_beta
from nash_dqn.plots.style import BLUE, DIVERGED, ORANGE, SMALL, new_figure, scale_log, style, title_panel
from nash_dqn.plots.tables import grid, only, require_columns, truths
from nash_dqn.published import FIG1_LOSS, Published

TABLE = "beta_sweep"
COLUMNS = ("scenario", "recipe", "beta", "seed", "loss", "episodes", "diverged")
LOSS_LABEL = "squared Bellman error of ten episodes"

LOG_ABOVE = 10.0
"""Losses that differ by more than this factor are drawn on a logarithmic axis."""

SPLIT_ABOVE = 0.5
"""If the gap between the two curves filled more than this share of a common axis, each gets its own panel."""


def plot(
    beta_sweep: DataFrame, *, published: Mapping[float, Published] = FIG1_LOSS, confidence: float = 0.95
) -> Figure:
    """Draw the loss against beta: each seed, their mean, its Student interval, and the paper's curve.

    Where the two curves lie far apart, the paper's moves to a panel below, with a scale of its own. Trainings that
    diverged are marked at the upper edge with their number, and are in neither the mean nor its interval.

    Args:
        beta_sweep: columns scenario, recipe, beta, seed, loss, episodes, diverged; one scenario and recipe, every
            beta with the same seeds. ``loss`` is the Bellman error (17) summed over ten episodes, averaged over
            ``episodes``, without the regulariser.
        published: the paper's losses by beta.
        confidence: coverage of the interval.

    Raises:
        ValueError: if a column or a combination of beta and seed is missing or stands twice, or the loss of a
            training that did not diverge is not finite.
    """
    require_columns(beta_sweep, TABLE, COLUMNS)
    if truths(beta_sweep, TABLE, "diverged").isna().any():
        raise ValueError(f"{TABLE}: diverged must not be empty")
    scenario, recipe, episodes = (only(beta_sweep, TABLE, column) for column in ("scenario", "recipe", "episodes"))
    (betas, seeds), loss = grid(beta_sweep, TABLE, ("beta", "seed"), "loss")
    diverged = grid(beta_sweep, TABLE, ("beta", "seed"), "diverged")[1].astype(bool)
    bad = np.argwhere(~diverged & ~np.isfinite(loss))
    if len(bad):
        beta, seed = betas[bad[0][0]], seeds[bad[0][1]]
        raise ValueError(
            f"{TABLE}: loss at beta={beta}, seed={seed} is not finite, but the training is not marked as diverged"
        )

    kept = np.where(diverged, np.nan, loss)
    samples = [row[~lost] for row, lost in zip(loss, diverged, strict=True)]
    means = np.array([sample.mean() if sample.size else np.nan for sample in samples])
    intervals = np.array([_interval(sample, confidence) for sample in samples])
    ours = kept[np.isfinite(kept)]
    theirs = np.array([point.value for point in published.values()])

    with style():
        split = _needs_split(ours, theirs)
        figure = new_figure(115 if split else 85)
        rows = figure.subplots(2 if split else 1, sharex=True, squeeze=False)[:, 0]
        upper, lower = rows[0], rows[-1]
        _draw_seeds(upper, betas, kept, means, intervals)
        _draw_published(lower, published, shift=0 if split else -4)
        _scale_loss(upper, ours if split else np.concatenate([ours, theirs]), intervals)
        _mark_diverged(upper, betas, diverged)
        scale_beta(list(rows), sorted({*map(float, betas), *map(float, published)}))
        lower.set_xlabel(r"weight $\beta$ of the regulariser")
        setting = f"scenario {scenario}, recipe {recipe}; {episodes:,} simulated episodes a point"
        pad = 14 if diverged.any() else 6  # room for the numbers of diverged seeds
        if split:
            _scale_loss(lower, theirs, np.empty((0, 2)))
            title_panel(upper, 0, f"this project: {setting}", pad=pad)
            title_panel(lower, 1, "the paper")
            figure.supylabel(LOSS_LABEL, fontsize=8)
        else:
            upper.set_title(setting, pad=pad)
            upper.set_ylabel(LOSS_LABEL)
        figure.legend(
            handles=_legend(len(seeds), confidence, bool(diverged.any())), loc="outside lower center", ncols=3
        )
    return figure


def _interval(sample: np.ndarray, confidence: float) -> tuple[float, float]:
    """Return the interval of the mean, nan for fewer than two seeds: one training says nothing about another."""
    if len(sample) < 2:
        return np.nan, np.nan
    interval = mean_interval(sample, 1 - confidence)
    return interval.low, interval.high


def _is_log(points: np.ndarray) -> bool:
    return points.size > 0 and points.min() > 0 and points.max() > LOG_ABOVE * points.min()


def _needs_split(ours: np.ndarray, theirs: np.ndarray) -> bool:
    """Tell whether most of a common axis would be the empty space between the two curves."""
    if not ours.size or not theirs.size:
        return False
    both = np.concatenate([ours, theirs])
    scaled = np.log10 if _is_log(both) else np.asarray
    ends = [(scaled(values.min()), scaled(values.max())) for values in (ours, theirs)]
    gap = max(low for low, _ in ends) - min(high for _, high in ends)
    whole = max(high for _, high in ends) - min(low for low, _ in ends)
    return bool(gap > SPLIT_ABOVE * whole)


def _draw_seeds(axes: Axes, betas: np.ndarray, losses: np.ndarray, means: np.ndarray, intervals: np.ndarray) -> None:
    """Draw single seeds slightly to the right, where there are several; mean and interval at beta itself."""
    aside = _shifted(axes, 4)
    for seed_losses in losses.T if losses.shape[1] > 1 else ():
        axes.plot(betas, seed_losses, "o", ms=2.5, mfc="none", mew=0.7, color=BLUE, transform=aside, gid="seed")
    axes.plot(betas, means, "o-", color=BLUE, zorder=3, gid="mean")
    axes.vlines(betas, intervals[:, 0], intervals[:, 1], color=BLUE, lw=1, zorder=2.5, gid="interval")


def _draw_published(axes: Axes, published: Mapping[float, Published], shift: float) -> None:
    points = sorted(published.items())
    axes.plot(
        [beta for beta, _ in points],
        [point.value for _, point in points],
        "s--",
        ms=3,
        lw=1,
        color=ORANGE,
        gid="published",
        transform=_shifted(axes, shift),
    )


def _shifted(axes: Axes, points: float) -> Transform:
    """Return data coordinates drawn so many points to the right, for what would otherwise lie on top of each other."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    return axes.transData + ScaledTranslation(points / 72, 0, figure.dpi_scale_trans)


def _mark_diverged(axes: Axes, betas: np.ndarray, diverged: np.ndarray) -> None:
    """Mark each beta with diverged seeds by a cross on the upper edge and "how many / of how many" above it."""
    for beta, lost in zip(betas, diverged, strict=True):
        if lost.any():
            edge = axes.get_xaxis_transform()
            axes.plot([beta], [1.0], "x", ms=5, mew=1.5, color=DIVERGED, transform=edge, clip_on=False, gid="diverged")
            axes.annotate(
                f"{lost.sum()}/{lost.size}",
                (beta, 1.0),
                xycoords=edge,
                xytext=(0, 4),
                textcoords="offset points",
                ha="center",
                va="bottom",
                fontsize=SMALL,
                color=DIVERGED,
            )


def _scale_loss(axes: Axes, points: np.ndarray, intervals: np.ndarray) -> None:
    """Choose the loss axis from the points; intervals widen it, but not beyond what a loss can be."""
    if not points.size:
        return
    ends = np.concatenate([points, intervals[np.isfinite(intervals)]])
    if _is_log(points):
        low, high = max(ends.min(), points.min() / 2), ends.max()
        scale_log(axes, low, high)
        axes.set_ylim(low / 1.15, high * 1.15)
    else:
        low, high = max(ends.min(), min(0.0, points.min())), ends.max()
        margin = 0.06 * (high - low) or 0.06 * abs(high) or 1.0
        axes.set_ylim(low - margin if low != 0 else 0.0, high + margin)


def _legend(seeds: int, confidence: float, diverged: bool) -> list[Line2D]:
    several = seeds > 1
    handles = [Line2D([], [], color=BLUE, marker="o", label=f"mean of {seeds} seeds" if several else "one seed")]
    if several:
        handles += [
            Line2D([], [], color=BLUE, marker="o", ms=2.5, mfc="none", mew=0.7, ls="", label="one seed"),
            Line2D([], [], color=BLUE, marker="|", ms=8, ls="", label=f"{confidence:.0%} interval of the mean (t)"),
        ]
    handles.append(
        Line2D([], [], color=ORANGE, marker="s", ms=3, ls="--", lw=1, label="published (digitised, one run)")
    )
    if diverged:
        handles.append(
            Line2D(
                [], [], color=DIVERGED, marker="x", ls="", label="diverged, of all seeds (in neither mean nor interval)"
            )
        )
    return handles
