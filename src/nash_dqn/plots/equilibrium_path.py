"""Symmetric equilibria among linear policies, followed from the released code's parameters towards Table 1's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator
from pandas import DataFrame

from nash_dqn.plots.style import (
    BLUE,
    DIVERGED,
    GREEN,
    SMALL,
    WIDTH_MM,
    new_figure,
    number,
    scale_log,
    style,
    title_panel,
)
from nash_dqn.plots.tables import require_columns

TABLE = "equilibrium_path"
COLUMNS = ("policy", "point", "t", "kappa", "sigma", "value", "smallest_singular")
ENDS = MappingProxyType({"released": 0.5, "Table 1": 0.1})
"""kappa (1/hour) of the scenarios between which the path leads, its start first."""

_SEES = {"same": "sees what the text says", "memory": "also its own past order flow"}
_COLOURS = {"same": GREEN, "memory": BLUE}
_MARKERS = {"same": "s", "memory": "o"}
_PANELS = {
    "value": ("what it is worth", "value of each agent (currency)"),
    "smallest_singular": ("how far it is from a fold", "smallest singular value\nof the Jacobian"),
}
_TICKS = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0, 2.0, 5.0)
_MARGIN = 1.06  # of the axis of kappa beyond its ends, a factor

# The page, in millimetres.
_LEFT, _RIGHT, _GAP = 15.0, 3.0, 18.0
_ABOVE, _HEIGHT, _BELOW, _LEGEND_LINE = 16.0, 52.0, 11.0, 4.0
_TITLE = 11.0  # points between a panel and its title, room for the names of the ends


@dataclass(frozen=True)
class _Path:
    """The path of one class of policies, and the row of its furthest point where it turns back there."""

    policy: str
    points: DataFrame
    fold: int | None

    @property
    def outcome(self) -> str:
        """Where the path leads."""
        last = self.points.iloc[-1]
        if self.fold is not None:
            return "folds"
        return "arrives" if last["t"] == 1.0 else rf"followed to $\kappa$ = {number(last['kappa'], 3)}"

    @property
    def look(self) -> dict[str, str | float]:
        """Colour and marker."""
        return {"color": _COLOURS[self.policy], "marker": _MARKERS[self.policy], "ms": 2.8}


def plot(equilibrium_path: DataFrame, *, ends: Mapping[str, float] = ENDS) -> Figure:
    """Draw the value along the path of equilibria, and how close the Jacobian is to being singular.

    The path leads from left to right, kappa falling on a logarithmic axis and sigma with it; a line is a class of
    policies, its markers the points solved for. A path that turns back folds: its furthest point is marked, and what
    comes after is the other equilibrium, which meets the first there.

    Args:
        equilibrium_path: the tables of :func:`nash_dqn.studies.equilibrium_path.follow`, one after another, with a
            column policy (same, memory); of its columns policy, point, t, kappa (1/hour), sigma (per square-root
            hour), value (currency units) and smallest_singular are needed.
        ends: kappa of the first and the last scenario by the name to mark them with.

    Raises:
        ValueError: if a column is missing, a policy is unknown, a point stands twice, a number is not finite, kappa or
            smallest_singular is not positive, or ``ends`` are not two positive numbers, the first the larger one.
    """
    require_columns(equilibrium_path, TABLE, COLUMNS)
    _check(equilibrium_path, ends)
    paths = [_path(policy, equilibrium_path) for policy in _SEES if (equilibrium_path["policy"] == policy).any()]
    kappas = [*equilibrium_path["kappa"], *ends.values()]
    height = _ABOVE + _HEIGHT + _BELOW + (len(paths) + 1) * _LEGEND_LINE
    width = (WIDTH_MM - _LEFT - _RIGHT - _GAP) / len(_PANELS)

    with style():
        figure = new_figure(height, layout=None)
        heading = f"Equilibria among linear policies, from scenario {' towards '.join(ends)}"
        figure.text(2 / WIDTH_MM, 1 - 2 / height, heading, ha="left", va="top", fontsize=9)
        for at, (column, (title, label)) in enumerate(_PANELS.items()):
            left, bottom = _LEFT + at * (width + _GAP), height - _ABOVE - _HEIGHT
            axes = figure.add_axes((left / WIDTH_MM, bottom / height, width / WIDTH_MM, _HEIGHT / height))
            axes.set_gid(column)
            title_panel(axes, at, title, pad=_TITLE)
            axes.set_ylabel(label, labelpad=2)
            _scale(axes, column, equilibrium_path[column].to_numpy(float), max(kappas), min(kappas))
            _mark_ends(axes, ends)
            for path in reversed(paths):  # one that ends early lies on top
                _draw(axes, path, column)
        _label_folds(figure, paths)
        figure.legend(
            handles=_legend(paths),
            loc="lower left",
            bbox_to_anchor=(_LEFT / WIDTH_MM, 1.5 / height),
            borderaxespad=0,
            borderpad=0,
            labelspacing=0.35,
        )
    return figure


def _check(table: DataFrame, ends: Mapping[str, float]) -> None:
    """Refuse what cannot be drawn."""
    unknown = sorted({str(name) for name in table["policy"]} - set(_SEES))
    if unknown:
        raise ValueError(f"{TABLE}: policy = {unknown[0]!r}: allowed are {', '.join(_SEES)}")
    twice = table[table.duplicated(["policy", "point"])]
    if len(twice):
        raise ValueError(
            f"{TABLE}: more than one row with policy={twice['policy'].iloc[0]}, point={twice['point'].iloc[0]}"
        )
    for column in COLUMNS[1:]:
        values = table[column].to_numpy(float)
        positive = column in ("kappa", "smallest_singular")
        wrong = values[~np.isfinite(values) | (positive & (values <= 0))]
        if wrong.size:
            raise ValueError(
                f"{TABLE}: {column} = {wrong[0]:g}: allowed is a finite number{' > 0' if positive else ''}"
            )
    kappas = list(ends.values())
    if len(kappas) != 2 or not kappas[0] > kappas[1] > 0:
        raise ValueError(f"ends = {dict(ends)}: allowed are two positive numbers, the first larger than the second")


def _path(policy: str, table: DataFrame) -> _Path:
    """The points of a class of policies in their order, and where they fold."""
    points = table[table["policy"] == policy].sort_values("point", ignore_index=True)
    furthest = int(points["t"].to_numpy(float).argmax())
    return _Path(policy, points, furthest if furthest < len(points) - 1 else None)


def _scale(axes: Axes, column: str, values: np.ndarray, start: float, end: float) -> None:
    """Choose the axes: kappa falls to the right."""
    axes.set_xscale("log")
    axes.set_xlim(start * _MARGIN, end / _MARGIN)
    axes.xaxis.set_major_locator(FixedLocator(_TICKS))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_xlabel(r"mean reversion $\kappa$ (1/hour)", labelpad=1)
    if column == "value":
        margin = 0.08 * (values.max() - values.min()) or 0.1
        axes.set_ylim(values.min() - margin, values.max() + margin)
        return
    scale_log(axes, values.min(), values.max())
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_ylim(values.min() / 1.6, values.max() * 1.6)


def _mark_ends(axes: Axes, ends: Mapping[str, float]) -> None:
    """Name the two scenarios above the panel, each with a line at its kappa."""
    for name, kappa in ends.items():
        axes.axvline(kappa, color="0.5", lw=0.7, ls=":", zorder=1, gid=f"end {name}")
        axes.annotate(
            name,
            (kappa, 1),
            xycoords=axes.get_xaxis_transform(),
            xytext=(0, 2),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=SMALL,
            color="0.3",
        )


def _draw(axes: Axes, path: _Path, column: str) -> None:
    """Draw a path, and a ring around its fold."""
    kappa, values = path.points["kappa"].to_numpy(float), path.points[column].to_numpy(float)
    axes.plot(kappa, values, lw=1.1, zorder=3, gid=f"{path.policy} {column}", **path.look)  # type: ignore[arg-type]
    if path.fold is not None:
        ring = [kappa[path.fold]], [values[path.fold]]
        axes.plot(*ring, "o", ms=7.5, mfc="none", mec=DIVERGED, mew=1.2, zorder=4, gid=f"fold {path.policy} {column}")


def _label_folds(figure: Figure, paths: Sequence[_Path]) -> None:
    """Write under which parameters a path folds, right of the ring: kappa has not been so small before."""
    for axes, column in zip(figure.axes, _PANELS, strict=True):
        for path in paths:
            if path.fold is None:
                continue
            point = path.points.iloc[path.fold]
            axes.annotate(
                rf"fold: $\kappa$ {number(point['kappa'], 3)}, $\sigma$ {number(point['sigma'], 3)}",
                (point["kappa"], point[column]),
                xytext=(8, 14),  # above a path that goes on
                textcoords="offset points",
                fontsize=SMALL,
                color=DIVERGED,
                gid="fold-label",
            )


def _legend(paths: Sequence[_Path]) -> list[Line2D]:
    """What the lines are, and where each path leads."""
    handles = [
        Line2D([], [], lw=1.1, label=f"{path.policy}: {_SEES[path.policy]}; {path.outcome}", **path.look)  # type: ignore[arg-type]
        for path in paths
    ]
    if any(path.fold is not None for path in paths):
        look = {"marker": "o", "ms": 7.5, "mfc": "none", "mec": DIVERGED, "mew": 1.2}
        handles.append(Line2D([], [], ls="", label="fold: two equilibria meet and vanish", **look))
    return handles
