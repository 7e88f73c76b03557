"""Figure 3: what agent 1 earns with one algorithm's policy among agents with the other's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from pandas import DataFrame, Series

from nash_dqn.plots.style import (
    ALGORITHM_COLOURS,
    DIVERGED,
    GREEN,
    MM,
    PURPLE,
    SMALL,
    WIDTH_MM,
    compact,
    new_figure,
    number,
    style,
    title_panel,
)
from nash_dqn.plots.tables import only, require_bool, require_columns, select
from nash_dqn.published import FIG3_BINS, FIG3_MEANS, RELEASED_WEIGHTS_PAIRED, Published

POINTS = "cross_play"
POINTS_COLUMNS = ("scenario", "comparison", "seed_nash", "seed_fp", "profile", "design", "reward")
TESTS = "cross_play_tests"
TESTS_COLUMNS = ("comparison", "pair", "scope", "test", "mean_difference", "low", "high", "p_value", "reject")

OFF_SCALE = 50.0
"""A seed pair whose mean lies this many typical standard deviations from the middle is named, not drawn."""


class _Panel(NamedTuple):
    """Two profiles that differ in what agent 1 plays."""

    others: str
    profiles: tuple[str, str]  # agent 1 plays fictitious play, Nash-DQN
    pair: str  # as in cross_play_tests
    difference: str
    colour: str
    marker: str


_PANELS = (
    _Panel("FP", ("all_fp", "first_nash"), "first_nash-all_fp", "Nash-DQN \N{MINUS SIGN} FP, others FP", GREEN, "o"),
    _Panel(
        "Nash-DQN", ("first_fp", "all_nash"), "first_fp-all_nash", "FP \N{MINUS SIGN} Nash-DQN, others Nash-DQN", PURPLE, "s"
    ),
)
# The page, in millimetres: left edges and widths of the three panels, and what stands above and below a row of them.
_EDGES, _WIDTHS = (11.0, 66.0, 133.0), (43.0, 43.0, 34.0)
_GUTTER = 20.0  # of the third panel, for the names of its lines
_HEADING, _ABOVE, _HEIGHT, _BELOW, _LEGEND = 5.0, 14.0, 38.0, 11.0, 14.0
_LINE, _AIR = 2.9, 1.6  # each line of text above the axes, and the space below them for markers on the upper edge

_COLOURS = (ALGORITHM_COLOURS["fictitious_play"], ALGORITHM_COLOURS["nash_dqn"])
_POOLED = "pooled"
_ROWS = (0.94, 0.88)  # heights of the two lines of means, as a share of the axes


def plot(
    cross_play: DataFrame,
    cross_play_tests: DataFrame,
    *,
    published_means: Mapping[str, Published] = FIG3_MEANS,
    published_differences: Mapping[str, Published] = RELEASED_WEIGHTS_PAIRED,
) -> Figure:
    """Draw each comparison as a row of three panels: two pairs of histograms as published, and the paired differences.

    Histograms are of independently simulated points, as in the paper, over all seed pairs (mean count). Vertical lines are the
    means over all seed pairs, dots above them those of each pair, triangles the paper's. The third panel has the
    differences on common paths with their intervals, by seed pair and pooled, beside those of the authors' released
    weights. Seed pairs too far away to share an axis, such as after a divergence, are named in the panel instead.

    Args:
        cross_play: columns scenario, comparison, seed_nash, seed_fp, profile (all_fp, first_nash, first_fp, all_nash), design
            (independent, common), reward (currency units, one row a point); one scenario.
        cross_play_tests: columns comparison, pair (first_nash-all_fp, first_fp-all_nash), scope (seed pair "1-1", or
            pooled), test (welch, paired), mean_difference, low, high, p_value, reject.
        published_means: the paper's means by profile.
        published_differences: the paired differences of the authors' weights by pair.

    Raises:
        ValueError: if a column, a profile of a seed pair or a test is missing, or stands twice.
    """
    require_columns(cross_play, POINTS, POINTS_COLUMNS)
    require_columns(cross_play_tests, TESTS, TESTS_COLUMNS)
    require_bool(cross_play_tests, TESTS, "reject")
    scenario = only(cross_play, POINTS, "scenario")
    comparisons = list(dict.fromkeys(cross_play["comparison"]))

    rows = {}
    for comparison in comparisons:
        points = select(cross_play, POINTS, comparison=comparison, design="independent")
        tests = select(cross_play_tests, TESTS, comparison=comparison)
        scopes = _scopes(points)
        texts = [_tests_text(tests, scopes, panel) for panel in _PANELS]
        rows[comparison] = scopes, tests, [_rewards(points, panel, scopes) for panel in _PANELS], texts
    lines = max(text.count("\n") + 1 for *_, texts in rows.values() for text in texts) + 1
    row_height = _ABOVE + lines * _LINE + _AIR + _HEIGHT + _BELOW
    height = _HEADING + len(rows) * row_height + _LEGEND

    with style():
        figure = new_figure(height, layout=None)
        figure.text(2 / WIDTH_MM, 1 - 2 / height, f"Cross-play, scenario {scenario}", ha="left", va="top", fontsize=9)
        for row, (comparison, (scopes, tests, rewards, texts)) in enumerate(rows.items()):
            bottom = height - _HEADING - (row + 1) * row_height + _BELOW
            panels = [
                figure.add_axes((left / WIDTH_MM, bottom / height, width / WIDTH_MM, _HEIGHT / height))
                for left, width in zip(_EDGES, _WIDTHS, strict=True)
            ]
            top = bottom + _HEIGHT + _AIR + lines * _LINE
            heading = f"comparison: {comparison}"
            figure.text(2 / WIDTH_MM, (top + 6) / height, heading, ha="left", va="bottom", fontsize=8, weight="bold")
            for at, (panel, text) in enumerate(zip(_PANELS, texts, strict=True)):
                _title(panels[at], 3 * row + at, f"others play {panel.others}", text, lines)
                _draw_histograms(panels[at], rewards[at], panel, published_means)
            left = -_GUTTER / _WIDTHS[2]
            _title(panels[2], 3 * row + 2, "paired differences", "on common paths", lines, left)
            _draw_differences(panels[2], tests, scopes, published_differences)
        figure.legend(handles=_legend(), loc="lower center", bbox_to_anchor=(0.5, 0), ncols=3)
    return figure


def _scopes(points: DataFrame) -> list[str]:
    """Return the seed pairs as ``cross_play_tests`` labels them, in order."""
    pairs = points[["seed_nash", "seed_fp"]].drop_duplicates().sort_values(["seed_nash", "seed_fp"])
    return [f"{nash}-{fp}" for nash, fp in pairs.itertuples(index=False)]


def _rewards(points: DataFrame, panel: _Panel, scopes: list[str]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return the points of the panel's two profiles, each [points], by seed pair."""
    rewards = {}
    for scope in scopes:
        nash, fp = (type(points["seed_nash"].iloc[0])(seed) for seed in scope.split("-"))
        first, second = (
            select(points, POINTS, seed_nash=nash, seed_fp=fp, profile=profile)["reward"].to_numpy(float)
            for profile in panel.profiles
        )
        rewards[scope] = first, second
    return rewards


def _on_scale(rewards: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> list[str]:
    """Return the seed pairs that can share an axis: finite, and near the middle in units of a typical standard deviation."""
    finite = [scope for scope, pair in rewards.items() if all(np.isfinite(points).all() for points in pair)]
    means = {scope: [float(points.mean()) for points in rewards[scope]] for scope in finite}
    if not finite:
        return []
    middle = np.median(list(means.values()))
    typical = np.median([points.std() for scope in finite for points in rewards[scope]])
    return [scope for scope in finite if max(abs(mean - middle) for mean in means[scope]) <= OFF_SCALE * typical]


def _draw_histograms(
    axes: Axes, rewards: Mapping[str, tuple[np.ndarray, np.ndarray]], panel: _Panel, published: Mapping[str, Published]
) -> None:
    """Draw both profiles' histograms and, in two lines above them, the means of single seed pairs and the paper's mean."""
    drawn = _on_scale(rewards)
    axes.set_xlabel("reward of agent 1 (currency)")
    axes.set_ylabel("points in bin")
    lost = [scope for scope in rewards if scope not in drawn]
    if lost:
        text = f"off scale, not drawn: seeds {', '.join(lost)}"
        _write_above(axes, text, 1, DIVERGED, "off-scale")
    if not drawn:
        return
    everything = np.concatenate([points for scope in drawn for points in rewards[scope]])
    edges = np.histogram_bin_edges(everything, bins=FIG3_BINS)
    tallest = 0.0
    for at, (profile, colour) in enumerate(zip(panel.profiles, _COLOURS, strict=True)):
        points = np.array([rewards[scope][at] for scope in drawn])
        counts = np.histogram(points, edges)[0] / len(drawn)
        tallest = max(tallest, counts.max())
        axes.stairs(counts, edges, fill=True, color=colour, alpha=0.35, gid=f"pooled-{profile}")
        axes.stairs(counts, edges, color=colour, lw=0.8)
        axes.axvline(points.mean(), ymax=_ROWS[at], color=colour, lw=1.2, gid=f"mean-{profile}")
        axes.plot(
            points.mean(axis=1), np.full(len(drawn), _ROWS[at]), "o", ms=3, color=colour, mew=0, alpha=0.8,
            transform=axes.get_xaxis_transform(), gid=f"pairs-{profile}",
        )  # fmt: skip
    axes.set_ylim(0, tallest / 0.83)
    _mark_published(axes, panel, published, (edges[0], edges[-1]))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))


def _mark_published(
    axes: Axes, panel: _Panel, published: Mapping[str, Published], ends: tuple[float, float]
) -> None:
    """Mark the paper's means by triangles; means far outside the data by their numbers at the edge nearest to them."""
    low, high = ends
    means = [published[profile].value for profile in panel.profiles]
    reach = (high - low) / 2
    near = all(low - reach <= mean <= high + reach for mean in means)
    if near:
        margin = 0.03 * (high - low)
        axes.set_xlim(min(low, *means) - margin, max(high, *means) + margin)
    for profile, mean, colour, line in zip(panel.profiles, means, _COLOURS, _ROWS, strict=True):
        gid = f"published-{profile}"
        if near:
            axes.plot(
                [mean], [1.0], "v", ms=5, mfc="w", mec=colour, mew=1, clip_on=False, transform=axes.get_xaxis_transform(), gid=gid
            )
            continue
        right = mean > high
        axes.text(
            0.99 if right else 0.01, line - 0.14, f"paper {number(mean, 3)} \u25b6" if right else f"\u25c0 paper {number(mean, 3)}",
            ha="right" if right else "left", va="center", fontsize=SMALL, color=colour, transform=axes.transAxes, gid=gid,
        )  # fmt: skip


def _title(axes: Axes, index: int, title: str, text: str, lines: int, left: float = 0.0) -> None:
    """Title a panel above so many lines of text, starting ``left`` of the axes (in axes widths)."""
    title_panel(axes, index, title, pad=(_AIR + lines * _LINE) * MM * 72 + 2, left=left)
    _write_above(axes, text, lines, "k", "tests", left)


def _write_above(axes: Axes, text: str, lines: float, colour: str, gid: str, left: float = 0.0) -> None:
    """Write small text above the axes, leaving room for so many lines from its upper edge to the axes."""
    axes.annotate(
        text, (left, 1), xycoords="axes fraction", xytext=(0, (_AIR + lines * _LINE) * MM * 72), textcoords="offset points",
        va="top", fontsize=SMALL, linespacing=1.25, color=colour, gid=gid,
    )  # fmt: skip


def _test(tests: DataFrame, pair: str, scope: str, test: str) -> Series:
    rows = select(tests, TESTS, pair=pair, scope=scope, test=test)
    if len(rows) > 1:
        raise ValueError(f"{TESTS}: more than one row with pair={pair}, scope={scope}, test={test}")
    return rows.iloc[0]


def _tests_text(tests: DataFrame, scopes: list[str], panel: _Panel) -> str:
    """Return the published test for each seed pair and the pooled paired difference, in lines."""
    welch = [_test(tests, panel.pair, scope, "welch") for scope in scopes]
    rejected = sum(bool(row["reject"]) for row in welch)
    p_values = [float(row["p_value"]) for row in welch]
    if len(p_values) <= 4:
        listed = ", ".join(map(_p_value, p_values))
    else:
        listed = f"{_p_value(np.nanmin(p_values))} to {_p_value(np.nanmax(p_values))}"
    pooled = _test(tests, panel.pair, _POOLED, "paired")
    interval = ""
    if np.isfinite([pooled["low"], pooled["high"]]).all():
        interval = f" [{_difference(pooled['low'])}, {_difference(pooled['high'])}]"
    return "\n".join(
        (
            f"Welch $p$: {listed}",
            f"equal means rejected: {rejected} of {len(welch)}",
            f"paired: {_difference(pooled['mean_difference'])}{interval}",
        )
    )


def _p_value(value: float) -> str:
    return "<0.001" if value < 0.001 else f"{value:.2g}"


def _difference(value: float) -> str:
    return number(value, 4) if abs(value) < 10 else compact(value, 2)


def _draw_differences(
    axes: Axes, tests: DataFrame, scopes: list[str], published: Mapping[str, Published]
) -> None:
    """Draw the paired differences of both panels, one line for each seed pair, the pool, and the authors' weights."""
    lines = [*scopes, _POOLED]
    drawn: list[float] = [0.0]
    rows = {
        (panel.pair, scope): tuple(float(_test(tests, panel.pair, scope, "paired")[key]) for key in ("mean_difference", "low", "high"))
        for panel in _PANELS
        for scope in lines
    }
    typical = np.nanmedian([*(abs(middle) for middle, _, _ in rows.values()), *(abs(p.value) for p in published.values())])
    axes.axvline(0, color="k", lw=0.6)
    for at, panel in enumerate(_PANELS):
        shift = (at - 0.5) * 0.36
        for place, scope in enumerate(lines):
            middle, low, high = rows[panel.pair, scope]
            if not abs(middle) <= OFF_SCALE * typical:
                text = f"{compact(middle, 2)} off scale"
                axes.text(
                    0.99, place + shift, text, transform=axes.get_yaxis_transform(), ha="right", va="center", fontsize=SMALL,
                    color=panel.colour, gid="off-scale", bbox={"fc": "w", "ec": "none", "pad": 0.5},
                )  # fmt: skip
                continue
            strong = scope == _POOLED
            axes.plot(
                [middle], [place + shift], panel.marker, color=panel.colour, ms=4.5 if strong else 3, gid=f"{panel.pair} {scope}"
            )
            if np.isfinite([low, high]).all():
                axes.plot([low, high], [place + shift] * 2, color=panel.colour, lw=1.6 if strong else 1)
                drawn += [low, high]
            drawn.append(middle)
        theirs = published[panel.pair]
        axes.plot(
            [theirs.value], [len(lines) + shift], panel.marker, mfc="w", mec=panel.colour, ms=4.5, gid=f"{panel.pair} published"
        )
        axes.plot(theirs.interval(), [len(lines) + shift] * 2, color=panel.colour, lw=1)
        drawn += theirs.interval()
    margin = 0.06 * (max(drawn) - min(drawn))
    axes.set_xlim(min(drawn) - margin, max(drawn) + margin)
    axes.axhline(len(scopes) - 0.5, color="0.7", lw=0.6)
    axes.axhline(len(lines) - 0.5, color="0.7", lw=0.6)
    axes.set_ylim(len(lines) + 0.5, -0.5)
    axes.set_yticks(range(len(lines) + 1), [*(f"seeds {scope}" for scope in scopes), "pooled", "authors' weights"])
    axes.tick_params(axis="y", length=0, labelsize=SMALL)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4))
    axes.set_xlabel("difference (currency)")


def _legend() -> list[Line2D | Patch]:
    fp, nash = _COLOURS
    return [
        Patch(color=fp, alpha=0.5, label="agent 1 plays FP"),
        Patch(color=nash, alpha=0.5, label="agent 1 plays Nash-DQN"),
        Line2D([], [], color="0.3", lw=1.2, label="mean over seed pairs"),
        Line2D([], [], color="0.3", marker="o", ms=3, ls="", label="mean of one seed pair"),
        Line2D([], [], mfc="w", mec="0.3", marker="v", ms=5, ls="", label="the paper's mean (digitised)"),
        Line2D([], [], color="0.3", lw=1, label="95% interval"),
        *(Line2D([], [], color=panel.colour, marker=panel.marker, lw=1, label=panel.difference) for panel in _PANELS),
    ]
