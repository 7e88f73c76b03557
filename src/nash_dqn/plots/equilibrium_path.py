"""Symmetric equilibria among linear policies, followed from one scenario's parameters towards another's."""

from __future__ import annotations

from types import MappingProxyType

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas import DataFrame

from nash_dqn.plots.style import (
    DEVIATORS,
    DIVERGED,
    Look,
    draw_marks,
    drawing,
    log_levels,
    log_scale,
    title_panels,
    write_beside,
)
from nash_dqn.plots.tables import check

TABLE = "equilibrium_path"
COLUMNS = ("policy", "point", "t", "kappa", "sigma", "value", "smallest_singular")
ENDS = MappingProxyType({"code": 0.5, "table1": 0.1})
"""kappa (1/hour) of the scenarios between which the path leads, its start first."""

_POLICIES = {
    "reference-same": ("sees what the text says", DEVIATORS["same"]),
    "reference": ("also its own past order flow", DEVIATORS["memory"]),
}
_PANELS = {
    "value": ("what it is worth", "value of each agent ($)"),
    "smallest_singular": ("how far it is from a fold", "smallest singular value\nof the Jacobian"),
}
_TICKS = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0, 2.0, 5.0)


def plot(equilibrium_path: DataFrame) -> Figure:
    """Draw the value along the path of equilibria, and how close the Jacobian is to being singular.

    The path leads from left to right, kappa falling on a logarithmic axis and sigma with it; a line is a class of
    policies, its markers the points solved for. A path that turns back folds: its furthest point is marked, and what
    comes after is the other equilibrium, which meets the first there.

    Args:
        equilibrium_path: the tables of :func:`nash_dqn.studies.equilibrium_path.follow`, one after another, with a
            column policy (reference, reference-same); :data:`COLUMNS` are needed: kappa (1/hour), sigma (per
            square-root hour), value ($).

    Raises:
        ValueError: if a column is missing, a policy is unknown, a point stands twice, a number is not finite, or kappa
            or smallest_singular is not positive.
    """
    check(equilibrium_path, TABLE, COLUMNS, policy=_POLICIES)
    if equilibrium_path.duplicated(["policy", "point"]).any():
        raise ValueError(f"{TABLE}: a point of a policy stands twice")
    numbers = equilibrium_path[list(COLUMNS[1:])]
    if not np.isfinite(numbers).all(axis=None) or not (numbers[["kappa", "smallest_singular"]] > 0).all(axis=None):
        raise ValueError(f"{TABLE}: numbers must be finite, kappa and smallest_singular > 0")
    table = equilibrium_path.sort_values(["policy", "point"])
    kappas = [*table["kappa"], *ENDS.values()]

    with drawing(85) as figure:
        panels = figure.subplots(1, 2)
        for axes, (column, (_, label)) in zip(panels, _PANELS.items(), strict=True):
            for kappa in ENDS.values():
                axes.axvline(kappa, color="0.5", lw=0.7, ls=":", zorder=1)
            for policy, path in table.groupby("policy"):  # one that ends early, reference-same, lies on top
                sees, look = _POLICIES[policy]
                _draw(axes, path, column, f"{policy}: {sees}", look)
            log_levels(axes, _TICKS)
            axes.set(xlim=(1.06 * max(kappas), min(kappas) / 1.06), xlabel=r"mean reversion $\kappa$ (1/hour)")
            axes.set_ylabel(label)
            write_beside(axes, "top", list(ENDS.values()), list(ENDS))
        log_scale(panels[1].yaxis)
        title_panels(panels, [title for title, _ in _PANELS.values()])
    return figure


def _draw(axes: Axes, path: DataFrame, column: str, label: str, of: Look) -> None:
    """Draw a path, and a ring around its fold: its furthest point, where others follow."""
    axes.plot(path["kappa"], path[column], label=label, color=of.colour, marker=of.marker, ms=2.8, lw=1.1, zorder=3)
    fold = path.loc[path["t"].idxmax()]
    if fold["point"] < path["point"].max():
        where = rf"fold at $\kappa$ = {fold['kappa']:.3f}, $\sigma$ = {fold['sigma']:.3f}"
        draw_marks(axes, fold["kappa"], fold[column], ms=7.5, mew=1.2, color=DIVERGED, zorder=4, label=where)
