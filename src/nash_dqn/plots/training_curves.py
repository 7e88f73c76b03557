"""How the compared trainings went: losses, rewards, early stops and divergences."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from pandas import DataFrame, Series

from nash_dqn.plots.style import DIVERGED, PALETTE, SMALL, compact, new_figure, scale_log, style, title_panel
from nash_dqn.plots.tables import require_columns

COLUMNS = {
    "nash_dqn": ("seed", "transitions", "loss"),
    "fictitious_play": ("seed", "iteration", "transitions", "critic_loss", "reward"),
    "self_play": ("seed", "transitions", "reward"),
}
"""What each algorithm's history must have."""

_WINDOW = 200
"""Rewards are noisy: their lines are running means over this fraction of a training, drawn over the values."""

_STOPS = ("iterations", "early_stopping", "diverged")


class _Curve(NamedTuple):
    """What one row of panels shows."""

    algorithm: str
    column: str
    label: str
    title: str
    log: bool
    smooth: bool


_CURVES = (
    _Curve("nash_dqn", "loss", "squared Bellman error\nof ten episodes", "Nash-DQN", True, False),
    _Curve("fictitious_play", "critic_loss", "critic's loss", "FP critic", True, False),
    _Curve("fictitious_play", "reward", "reward of agent 1\n(currency)", "FP reward in training", False, True),
    _Curve("self_play", "reward", "reward of agent 1\n(currency)", "self-play reward in training", False, False),
)


def plot(histories: Mapping[str, DataFrame], records: Mapping[str, Mapping[str, Any]], *, scenario: str) -> Figure:
    """Draw each training's curves against the joint transitions played: a panel for each recipe, a line for each seed.

    Rows are Nash-DQN's loss, the critic's loss and the training reward of fictitious play (FP), and that of self-play
    by gradients. Light vertical lines
    are where one FP iteration ends and the next begins. Rewards are running means over a two-hundredth of the training,
    with the values behind them. Trainings that stopped early or diverged are marked where they did. Rewards far below
    those of the second half of training are cut off and counted.

    Args:
        histories: by ``algorithm/recipe``, such as ``nash_dqn/paper`` or ``fictitious_play/average``; columns as in
            :data:`COLUMNS`.
        records: run records under the same names; their ``members`` have seed, transitions and stopped (iterations,
            early_stopping or diverged).
        scenario: named in the title.

    Raises:
        ValueError: if there is no history, one has no record or the other way round, an algorithm is unknown, or a
            column, a seed or a member's entry is missing.
    """
    if not histories:
        raise ValueError("histories: there is none")
    if set(histories) != set(records):
        odd = ", ".join(sorted(set(histories) ^ set(records)))
        raise ValueError(f"histories and records must have the same names; only one of them has {odd}")
    for name, history in histories.items():
        algorithm = _algorithm(name)
        require_columns(history, f"history of {name}", COLUMNS[algorithm])
    members = {name: _members(name, histories[name], records[name]) for name in histories}
    seeds = sorted({int(seed) for history in histories.values() for seed in history["seed"].unique()})
    colours = {seed: PALETTE[at % len(PALETTE)] for at, seed in enumerate(seeds)}
    curves = [curve for curve in _CURVES if any(_algorithm(name) == curve.algorithm for name in histories)]

    with style():
        figure = new_figure(14 + 48 * len(curves))
        figure.suptitle(f"Training, scenario {scenario}", x=0.01, ha="left")
        rows = [(curve, [name for name in histories if _algorithm(name) == curve.algorithm]) for curve in curves]
        columns = math.lcm(*(len(names) for _, names in rows))
        cells = figure.add_gridspec(len(rows), columns)
        index = 0
        for at, (curve, names) in enumerate(rows):
            width = columns // len(names)
            panels: list[Axes] = []
            for place, name in enumerate(names):
                where = cells[at, place * width : (place + 1) * width]
                axes = figure.add_subplot(where, sharey=panels[0] if panels else None)
                axes.tick_params(labelleft=place == 0)
                _draw_lines(axes, curve, histories[name], colours)
                title_panel(axes, index, f"{curve.title}, recipe {name.partition('/')[2]}")
                panels.append(axes)
                index += 1
            panels[0].set_ylabel(curve.label)
            _scale(panels, curve, [histories[name] for name in names])
            for axes, name in zip(panels, names, strict=True):
                _mark_stops(axes, curve, histories[name], members[name], colours)
        stops = {member["stopped"] for found in members.values() for member in found.values()}
        fp = any(_algorithm(name) == "fictitious_play" for name in histories)
        handles = _legend(colours, stops, fp)
        rows_needed = math.ceil(len(handles) / 6)
        figure.legend(handles=handles, loc="outside lower center", ncols=math.ceil(len(handles) / rows_needed))
    return figure


def _algorithm(name: str) -> str:
    algorithm, _, recipe = name.partition("/")
    if algorithm not in COLUMNS or not recipe:
        raise ValueError(f"histories: '{name}' must be {' or '.join(f'{known}/RECIPE' for known in COLUMNS)}")
    return algorithm


def _members(name: str, history: DataFrame, record: Mapping[str, Any]) -> dict[int, Mapping[str, Any]]:
    """Return the record of each seed."""
    found: dict[int, Mapping[str, Any]] = {}
    for member in record.get("members", ()):
        missing = [key for key in ("seed", "transitions", "stopped") if key not in member]
        if missing:
            raise ValueError(f"record of {name}: a member lacks {', '.join(missing)}")
        if member["stopped"] not in _STOPS:
            raise ValueError(f"record of {name}: stopped = '{member['stopped']}'; it must be {', '.join(_STOPS)}")
        found[int(member["seed"])] = member
    odd = set(map(int, history["seed"].unique())) ^ set(found)
    if odd:
        raise ValueError(f"{name}: history and record must have the same seeds; only one of them has {min(odd)}")
    return found


def _draw_lines(axes: Axes, curve: _Curve, history: DataFrame, colours: Mapping[int, str]) -> None:
    unit, name = _unit(history)
    axes.set_xlabel(f"joint transitions{name}")
    if curve.algorithm == "fictitious_play":
        for boundary in _boundaries(history):
            axes.axvline(boundary / unit, color="0.85", lw=0.5, zorder=0, gid="boundary")
    for seed, part in history.groupby("seed"):
        look: dict[str, Any] = {"color": colours[int(seed)], "lw": 0.8}
        if curve.smooth:
            axes.plot(
                part["transitions"] / unit, part[curve.column], alpha=0.3, gid=f"points-{seed}", **{**look, "lw": 0.3}
            )
            values = part[curve.column].rolling(max(1, len(part) // _WINDOW), center=True, min_periods=1).mean()
        else:
            values = part[curve.column]
        axes.plot(part["transitions"] / unit, values, gid=f"seed-{seed}", **look)


def _mark_stops(
    axes: Axes, curve: _Curve, history: DataFrame, members: Mapping[int, Mapping[str, Any]], colours: Mapping[int, str]
) -> None:
    """Mark where members stopped early or diverged: at their last finite value, or the edge nearest to it."""
    unit, _ = _unit(history)
    bottom, top = axes.get_ylim()
    for seed, member in members.items():
        stopped = member["stopped"]
        if stopped == "iterations":
            continue
        values = history.loc[history["seed"] == seed, curve.column].to_numpy(float)
        finite = values[np.isfinite(values)]
        height = float(np.clip(finite[-1], bottom, top)) if finite.size else top
        marker, colour = ("x", DIVERGED) if stopped == "diverged" else ("o", colours[seed])
        axes.plot(
            [member["transitions"] / unit],
            [height],
            marker,
            color=colour,
            mfc="w",
            mew=1.3,
            ms=5,
            zorder=4,
            clip_on=False,
            gid=f"{stopped}-{seed}",
        )
    axes.set_ylim(bottom, top)


def _boundaries(history: DataFrame) -> Iterator[float]:
    """Yield the transitions at which each FP iteration but the last ended."""
    ends = history.groupby("iteration")["transitions"].max().sort_index()
    yield from map(float, ends.iloc[:-1])


def _unit(history: DataFrame) -> tuple[float, str]:
    """Return how many transitions to count as one, and what to add to the label."""
    for unit, name in ((1e6, " (millions)"), (1e3, " (thousands)")):
        if history["transitions"].max() >= 2 * unit:
            return unit, name
    return 1.0, ""


def _scale(panels: Sequence[Axes], curve: _Curve, histories: Sequence[DataFrame]) -> None:
    """Choose the shared axis of a row.

    Losses are all shown, on a logarithmic axis. Rewards are limited to what the second half of training needs, and a
    line of text says how many of the first lie below.
    """
    finite = [_finite(history, curve.column) for history in histories]
    everything = np.concatenate(finite)
    if curve.log:
        positive = everything[everything > 0]
        if positive.size:
            low, high = positive.min() / 1.2, positive.max() * 1.2
            scale_log(panels[0], low, high)
            panels[0].set_ylim(low, high)
        return
    late = np.concatenate([_finite(history[_is_late(history)], curve.column) for history in histories])
    if not late.size:
        return
    low, high = np.quantile(late, [0.005, 1.0])
    margin = 0.4 * (high - low) or 0.05 * abs(high) or 1.0
    floor = max(low - margin, everything.min() - 0.1 * margin)
    panels[0].set_ylim(floor, min(everything.max(), high + margin) + 0.1 * margin)
    for axes, values in zip(panels, finite, strict=True):
        below = values[values < floor]
        if below.size:
            axes.text(
                0.98,
                0.03,
                f"{below.size} of {values.size} points lie below, down to {compact(below.min())}",
                transform=axes.transAxes,
                ha="right",
                va="bottom",
                fontsize=SMALL,
                gid="below",
            )


def _is_late(history: DataFrame) -> Series:
    return history["transitions"] >= history["transitions"].max() / 2


def _finite(history: DataFrame, column: str) -> np.ndarray:
    values = history[column].to_numpy(float)
    return values[np.isfinite(values)]


def _legend(colours: Mapping[int, str], stops: set[str], fp: bool) -> list[Line2D]:
    handles = [Line2D([], [], color=colour, label=f"seed {seed}") for seed, colour in colours.items()]
    if "early_stopping" in stops:
        handles.append(Line2D([], [], marker="o", mfc="w", color="0.3", mew=1.3, ms=5, ls="", label="stopped early"))
    if "diverged" in stops:
        handles.append(Line2D([], [], marker="x", color=DIVERGED, mew=1.3, ms=5, ls="", label="diverged"))
    if fp:
        handles.append(Line2D([], [], color="0.85", lw=1, label="next FP iteration"))
    return handles
