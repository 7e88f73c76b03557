"""How the compared trainings went: losses, rewards, early stops and divergences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas import DataFrame, concat
from pandas.api.typing import SeriesGroupBy

from nash_dqn.plots.style import DIVERGED, PALETTE, draw_marks, drawing, log_scale, title_panels
from nash_dqn.plots.tables import check, only

CURVES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "nash_dqn": {"loss": "squared Bellman error\nof ten episodes"},
        "fictitious_play": {"critic_loss": "critic's loss", "reward": "reward of agent 1\nin training ($)"},
        "self_play": {"reward": "reward of agent 1\nin training ($)"},
        "least_squares": {"loss": "squared Bellman error\nof an action"},
    }
)
"""By algorithm, the columns of its histories that are drawn, a row of panels each, and what they are."""

_FP = "fictitious_play"
_WINDOW = 200
"""Its rewards are noisy: their lines are running means over this fraction of a training, drawn over the values."""

_STOPS = ("iterations", "early_stopping", "diverged")


def plot(histories: Sequence[DataFrame], records: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw each training's curves against the joint transitions played: a panel for each policy, a line for each seed.

    Rows are Nash-DQN's loss, the critic's loss and the training reward of fictitious play (FP), that of self-play by
    gradients, and the loss of policy iteration by least squares. Light vertical lines are where one FP iteration ends
    and the next begins. FP's rewards are running means over a two-hundredth of the training, with the values behind
    them. Trainings that stopped early or diverged are marked where they did. Rewards far below those of the second half
    of training are cut off.

    Args:
        histories: of each training: seed, transitions, the columns of :data:`CURVES`, and iteration of FP.
        records: of the same trainings: scenario, policy, algorithm, and ``members`` with seed, transitions and stopped
            (iterations, early_stopping or diverged); one scenario.

    Raises:
        ValueError: if there is no history, or not one for each record, an algorithm is unknown, or a column, a seed or
            a member's entry is missing.
    """
    if not histories or len(histories) != len(records):
        raise ValueError(f"there must be a record for each history; found {len(records)} for {len(histories)}")
    names = DataFrame(list(records))
    check(names, "records", ("scenario", "policy", "algorithm"), algorithm=CURVES)
    scenario = only(names, "records", "scenario")
    trainings = [
        (record["policy"], record["algorithm"], history, _members(history, record))
        for history, record in zip(histories, records, strict=True)
    ]
    seeds = sorted({int(seed) for history in histories for seed in history["seed"].unique()})
    colours = {seed: PALETTE[at % len(PALETTE)] for at, seed in enumerate(seeds)}
    played = [algorithm for algorithm in CURVES if algorithm in set(names["algorithm"])]
    rows = [(algorithm, column, label) for algorithm in played for column, label in CURVES[algorithm].items()]

    with drawing(18 + 48 * len(rows), f"scenario {scenario}", ncols=6) as figure:
        titles = []
        parts = figure.subfigures(len(rows), 1, squeeze=False)[:, 0]
        for part, (algorithm, column, label) in zip(parts, rows, strict=True):
            shown = [training for training in trainings if training[1] == algorithm]
            panels = part.subplots(1, len(shown), sharey=True, squeeze=False)[0]
            for axes, (policy, _, history, _) in zip(panels, shown, strict=True):
                _draw_lines(axes, history, algorithm, column, colours)
                titles.append(policy)
            panels[0].set_ylabel(label)
            _scale(panels[0], column, [history for _, _, history, _ in shown])
            for axes, (_, _, history, members) in zip(panels, shown, strict=True):
                _mark_stops(axes, history.groupby("seed")[column], members, colours)
        title_panels(figure.axes, titles)
    return figure


def _members(history: DataFrame, record: Mapping[str, Any]) -> DataFrame:
    """How each seed's training ended; the history is checked against it."""
    policy, algorithm = record["policy"], record["algorithm"]
    columns = ["seed", *(["iteration"] if algorithm == _FP else []), "transitions", *CURVES[algorithm]]
    check(history, f"history of {policy}", columns)
    members = DataFrame(list(record.get("members", ())))
    check(members, f"record of {policy}", ("seed", "transitions", "stopped"), stopped=_STOPS)
    if odd := set(map(int, history["seed"].unique())) ^ set(map(int, members["seed"])):
        raise ValueError(f"{policy}: history and record must have the same seeds; only one of them has {min(odd)}")
    return members


def _draw_lines(axes: Axes, history: DataFrame, algorithm: str, column: str, colours: Mapping[int, str]) -> None:
    axes.set_xlabel("joint transitions")
    axes.ticklabel_format(axis="x", style="sci", scilimits=(0, 0), useMathText=True)
    if algorithm == _FP:
        for end in history.groupby("iteration")["transitions"].max().sort_index().iloc[:-1]:
            axes.axvline(end, color="0.85", lw=0.5, zorder=0, label="next FP iteration")
    for seed, part in history.groupby("seed"):
        values, colour = part[column], colours[int(seed)]
        if algorithm == _FP and column == "reward":
            axes.plot(part["transitions"], values, alpha=0.3, lw=0.3, color=colour)
            values = values.rolling(max(1, len(part) // _WINDOW), center=True, min_periods=1).mean()
        axes.plot(part["transitions"], values, lw=0.8, label=f"seed {seed}", color=colour)


def _mark_stops(axes: Axes, values: SeriesGroupBy, members: DataFrame, colours: Mapping[int, str]) -> None:
    """Mark where members stopped early or diverged: at their last finite value, or the edge nearest to it."""
    bottom, top = axes.get_ylim()
    for member in members[members["stopped"] != "iterations"].itertuples():
        of = values.get_group(member.seed)
        height = np.clip(of[np.isfinite(of)].iloc[-1], bottom, top) if np.isfinite(of).any() else top
        marker, colour, label = "o", colours[int(member.seed)], "stopped early"
        if member.stopped == "diverged":
            marker, colour, label = "x", DIVERGED, "diverged"
        look = {"color": colour, "mfc": "w", "mew": 1.3, "ms": 5, "zorder": 4, "clip_on": False, "label": label}
        draw_marks(axes, member.transitions, height, marker, **look)


def _scale(axes: Axes, column: str, histories: Sequence[DataFrame]) -> None:
    """Choose the shared axis of a row: all losses, logarithmically; rewards as the second half of training needs."""
    table = concat(
        history.assign(late=history["transitions"] >= history["transitions"].max() / 2) for history in histories
    )
    table = table[np.isfinite(table[column])]
    values, late = table[column], table.loc[table["late"], column]
    if "loss" in column:
        log_scale(axes.yaxis, around=values, margin=1.2)
    elif len(late):
        low, high = late.quantile(0.005), late.max()
        margin = 0.4 * (high - low) or 0.05 * abs(high) or 1.0
        floor = max(low - margin, values.min() - 0.1 * margin)
        axes.set_ylim(floor, min(values.max(), high + margin) + 0.1 * margin)
