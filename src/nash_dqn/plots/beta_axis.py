"""The axis of the penalty's weight beta, as Fig. 1 has it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedFormatter, FixedLocator

__all__ = ["scale_beta"]

_LINEAR_WIDTH = 0.5  # of the symlog axis between 0 and 1, in decades
_LABEL_GAP = 0.07  # smallest distance of two labelled betas, in decades


def scale_beta(rows: Sequence[Axes], betas: Sequence[float], labelled: Collection[float] | None = None) -> None:
    """Scale beta symmetrically logarithmic, as published, with the trained values themselves as ticks.

    In narrow panels only those of ``labelled`` have their value beside them.
    """
    for axes in rows:
        axes.set_xscale("symlog", linthresh=1.0, linscale=_LINEAR_WIDTH)
        axes.xaxis.set_major_locator(FixedLocator(list(betas)))
        axes.xaxis.set_major_formatter(FixedFormatter(_labels(betas, betas if labelled is None else labelled)))
        axes.xaxis.set_minor_locator(FixedLocator([]))
        axes.set_xlim(-0.15 / _LINEAR_WIDTH, max(*betas, 1.0) * 10**0.15)


def _labels(betas: Sequence[float], labelled: Collection[float]) -> list[str]:
    """Label these ticks, leaving out what would run into its neighbour."""
    labels: list[str] = []
    last = -np.inf
    for beta in betas:
        place = beta * _LINEAR_WIDTH if beta <= 1 else _LINEAR_WIDTH + np.log10(beta)
        fits = beta in labelled and place - last >= _LABEL_GAP
        labels.append(f"{beta:g}" if fits else "")
        last = place if fits else last
    return labels
