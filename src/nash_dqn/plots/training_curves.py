"""How the compared trainings went: losses, rewards, early stops and divergences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas import DataFrame, concat

from nash_dqn.plots.style import DIVERGED, PALETTE, legend, log_scale, new_figure, style, title_panels
from nash_dqn.plots.tables import check, check_values, only

COLUMNS = {
    "nash_dqn": ("seed", "transitions", "loss"),
    "fictitious_play": ("seed", "iteration", "transitions", "critic_loss", "reward"),
    "self_play": ("seed", "transitions", "reward"),
    "least_squares": ("seed", "transitions", "loss"),
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
    smooth: bool


_CURVES = (
    _Curve("nash_dqn", "loss", "squared Bellman error\nof ten episodes", False),
    _Curve("fictitious_play", "critic_loss", "critic's loss", False),
    _Curve("fictitious_play", "reward", "reward of agent 1\nin training ($)", True),
    _Curve("self_play", "reward", "reward of agent 1\nin training ($)", False),
    _Curve("least_squares", "loss", "squared Bellman error\nof an action", False),
)


class _Training(NamedTuple):
    """A history, and how each seed's training ended."""

    policy: str
    algorithm: str
    history: DataFrame
    members: DataFrame


def plot(histories: Sequence[DataFrame], records: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw each training's curves against the joint transitions played: a panel for each policy, a line for each seed.

    Rows are Nash-DQN's loss, the critic's loss and the training reward of fictitious play (FP), that of self-play by
    gradients, and the loss of policy iteration by least squares. Light vertical lines are where one FP iteration ends
    and the next begins. FP's rewards are running means over a two-hundredth of the training, with the values behind
    them. Trainings that stopped early or diverged are marked where they did. Rewards far below those of the second half
    of training are cut off.

    Args:
        histories: of each training, columns as in :data:`COLUMNS`.
        records: of the same trainings: scenario, policy, algorithm, and ``members`` with seed, transitions and stopped
            (iterations, early_stopping or diverged); one scenario.

    Raises:
        ValueError: if there is no history, or not one for each record, an algorithm is unknown, or a column, a seed or
            a member's entry is missing.
    """
    if not histories or len(histories) != len(records):
        raise ValueError(f"there must be a record for each history; found {len(records)} for {len(histories)}")
    names = DataFrame(list(records))
    check(names, "records", ("scenario", "policy", "algorithm"))
    check_values(names, "records", "algorithm", tuple(COLUMNS))
    scenario = only(names, "records", "scenario")
    trainings = [_training(*of) for of in zip(histories, records, strict=True)]
    seeds = sorted({int(seed) for history in histories for seed in history["seed"].unique()})
    colours = {seed: PALETTE[at % len(PALETTE)] for at, seed in enumerate(seeds)}
    rows = [(curve, [of for of in trainings if of.algorithm == curve.algorithm]) for curve in _CURVES]
    rows = [(curve, shown) for curve, shown in rows if shown]

    with style():
        figure = new_figure(18 + 48 * len(rows))
        titles = []
        for part, (curve, shown) in zip(figure.subfigures(len(rows), 1, squeeze=False)[:, 0], rows, strict=True):
            panels = part.subplots(1, len(shown), sharey=True, squeeze=False)[0]
            for axes, of in zip(panels, shown, strict=True):
                _draw_lines(axes, curve, of.history, colours)
                titles.append(of.policy)
            panels[0].set_ylabel(curve.label)
            _scale(panels[0], curve, [of.history for of in shown])
            for axes, of in zip(panels, shown, strict=True):
                _mark_stops(axes, curve, of, colours)
        title_panels(figure.axes, titles)
        figure.suptitle(f"scenario {scenario}")
        legend(figure, ncols=6)
    return figure


def _training(history: DataFrame, record: Mapping[str, Any]) -> _Training:
    """Check a history against its record."""
    policy, algorithm = record["policy"], record["algorithm"]
    check(history, f"history of {policy}", COLUMNS[algorithm])
    members = DataFrame(list(record.get("members", ())))
    check(members, f"record of {policy}", ("seed", "transitions", "stopped"))
    check_values(members, f"record of {policy}", "stopped", _STOPS)
    odd = set(map(int, history["seed"].unique())) ^ set(map(int, members["seed"]))
    if odd:
        raise ValueError(f"{policy}: history and record must have the same seeds; only one of them has {min(odd)}")
    return _Training(policy, algorithm, history, members)


def _draw_lines(axes: Axes, curve: _Curve, history: DataFrame, colours: Mapping[int, str]) -> None:
    axes.set_xlabel("joint transitions")
    axes.ticklabel_format(axis="x", style="sci", scilimits=(0, 0), useMathText=True)
    if curve.algorithm == "fictitious_play":
        for end in history.groupby("iteration")["transitions"].max().sort_index().iloc[:-1]:
            axes.axvline(end, color="0.85", lw=0.5, zorder=0, label="next FP iteration")
    for seed, part in history.groupby("seed"):
        look: dict[str, Any] = {"color": colours[int(seed)]}
        values = part[curve.column]
        if curve.smooth:
            axes.plot(part["transitions"], values, alpha=0.3, lw=0.3, **look)
            values = values.rolling(max(1, len(part) // _WINDOW), center=True, min_periods=1).mean()
        axes.plot(part["transitions"], values, lw=0.8, label=f"seed {seed}", **look)


def _mark_stops(axes: Axes, curve: _Curve, of: _Training, colours: Mapping[int, str]) -> None:
    """Mark where members stopped early or diverged: at their last finite value, or the edge nearest to it."""
    bottom, top = axes.get_ylim()
    for member in of.members[of.members["stopped"] != "iterations"].itertuples():
        values = of.history.loc[of.history["seed"] == member.seed, curve.column].to_numpy(float)
        finite = values[np.isfinite(values)]
        height = np.clip(finite[-1], bottom, top) if finite.size else top
        look: dict[str, Any] = {"marker": "o", "color": colours[int(member.seed)], "label": "stopped early"}
        if member.stopped == "diverged":
            look = {"marker": "x", "color": DIVERGED, "label": "diverged"}
        axes.plot(member.transitions, height, ls="", mfc="w", mew=1.3, ms=5, zorder=4, clip_on=False, **look)


def _scale(axes: Axes, curve: _Curve, histories: Sequence[DataFrame]) -> None:
    """Choose the shared axis of a row: all losses, logarithmically; rewards as the second half of training needs."""
    table = concat(
        history.assign(late=history["transitions"] >= history["transitions"].max() / 2) for history in histories
    )
    table = table[np.isfinite(table[curve.column])]
    values, late = table[curve.column], table.loc[table["late"], curve.column]
    if "loss" in curve.column:
        if (values > 0).any():
            axes.set_ylim(values[values > 0].min() / 1.2, values.max() * 1.2)
        log_scale(axes.yaxis)
    elif len(late):
        low, high = late.quantile(0.005), late.max()
        margin = 0.4 * (high - low) or 0.05 * abs(high) or 1.0
        floor = max(low - margin, values.min() - 0.1 * margin)
        axes.set_ylim(floor, min(values.max(), high + margin) + 0.1 * margin)
