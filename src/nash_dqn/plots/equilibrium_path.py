"""Symmetric equilibria among linear policies, followed from one scenario's parameters towards another's."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from pandas import DataFrame

from nash_dqn.plots.style import DEVIATORS, DIVERGED, Look, legend, log_scale, new_figure, style, title_panels
from nash_dqn.plots.tables import check, check_values

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


def plot(equilibrium_path: DataFrame, *, ends: Mapping[str, float] = ENDS) -> Figure:
    """Draw the value along the path of equilibria, and how close the Jacobian is to being singular.

    The path leads from left to right, kappa falling on a logarithmic axis and sigma with it; a line is a class of
    policies, its markers the points solved for. A path that turns back folds: its furthest point is marked, and what
    comes after is the other equilibrium, which meets the first there.

    Args:
        equilibrium_path: the tables of :func:`nash_dqn.studies.equilibrium_path.follow`, one after another, with a
            column policy (reference, reference-same); of its columns policy, point, t, kappa (1/hour), sigma (per
            square-root hour), value ($) and smallest_singular are needed.
        ends: kappa of the first and the last scenario by the name to mark them with.

    Raises:
        ValueError: if a column is missing, a policy is unknown, a point stands twice, a number is not finite, or kappa
            or smallest_singular is not positive.
    """
    check(equilibrium_path, TABLE, COLUMNS)
    check_values(equilibrium_path, TABLE, "policy", tuple(_POLICIES))
    if equilibrium_path.duplicated(["policy", "point"]).any():
        raise ValueError(f"{TABLE}: a point of a policy stands twice")
    numbers = equilibrium_path[list(COLUMNS[1:])]
    if not np.isfinite(numbers).all(axis=None) or not (numbers[["kappa", "smallest_singular"]] > 0).all(axis=None):
        raise ValueError(f"{TABLE}: numbers must be finite, kappa and smallest_singular > 0")
    table = equilibrium_path.sort_values(["policy", "point"])
    kappas = [*table["kappa"], *ends.values()]

    with style():
        figure = new_figure(85)
        panels = figure.subplots(1, 2)
        for axes, (column, (_, label)) in zip(panels, _PANELS.items(), strict=True):
            for kappa in ends.values():
                axes.axvline(kappa, color="0.5", lw=0.7, ls=":", zorder=1)
            for policy, path in table.groupby("policy"):  # one that ends early, reference-same, lies on top
                sees, look = _POLICIES[policy]
                _draw(axes, path, column, f"{policy}: {sees}", look)
            axes.set_xscale("log")
            axes.set_xlim(1.06 * max(kappas), min(kappas) / 1.06)
            axes.set_xticks(_TICKS, [f"{tick:g}" for tick in _TICKS])
            axes.xaxis.set_minor_locator(NullLocator())
            axes.set_xlim(1.06 * max(kappas), min(kappas) / 1.06)
            axes.set(xlabel=r"mean reversion $\kappa$ (1/hour)", ylabel=label)
            names = axes.secondary_xaxis("top")
            names.set_xticks(list(ends.values()), list(ends))
            names.xaxis.set_minor_locator(NullLocator())
            names.spines["top"].set_visible(False)
        log_scale(panels[1].yaxis)
        title_panels(panels, [title for title, _ in _PANELS.values()])
        legend(figure)
    return figure


def _draw(axes: Axes, path: DataFrame, column: str, label: str, of: Look) -> None:
    """Draw a path, and a ring around its fold: its furthest point, where others follow."""
    look: dict[str, Any] = {"color": of.colour, "marker": of.marker, "ms": 2.8, "lw": 1.1}
    axes.plot(path["kappa"], path[column], label=label, zorder=3, **look)
    fold = path.loc[path["t"].idxmax()]
    if fold["point"] < path["point"].max():
        where = rf"fold at $\kappa$ = {fold['kappa']:.3f}, $\sigma$ = {fold['sigma']:.3f}"
        ring: dict[str, Any] = {"ms": 7.5, "mfc": "none", "mew": 1.2, "color": DIVERGED}
        axes.plot(fold["kappa"], fold[column], "o", zorder=4, label=where, **ring)
