"""Figure 3: what agent 1 earns with one policy among agents with another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    REFERENCE,
    SMALL,
    WIDTH_MM,
    compact,
    new_figure,
    number,
    policy_name,
    style,
    title_panel,
)
from nash_dqn.plots.tables import grid, only, require_columns, select, truths
from nash_dqn.published import AUTHORS, FIG3_ALPHA, FIG3_BINS, FIG3_MEANS, RELEASED_WEIGHTS_PAIRED, Published

POINTS = "cross_play"
POINTS_COLUMNS = ("scenario", "comparison", "other", "seed_nash", "seed_other", "profile", "design", "point", "reward")
TESTS = "cross_play_tests"
TESTS_COLUMNS = ("comparison", "pair", "scope", "test", "mean_difference", "low", "high", "p_value", "reject")

OFF_SCALE = 50.0
"""A seed pair whose mean lies this many typical standard deviations from the middle is named, not drawn."""


class _Panel(NamedTuple):
    """Two profiles that differ in what agent 1 plays."""

    others: str  # with {other} and {nash} in place of the policies' names
    profiles: tuple[str, str]  # agent 1 plays the other policy, Nash-DQN
    pair: str  # as in cross_play_tests
    difference: str
    colour: str
    marker: str


_NASH = "Nash-DQN"
_PANELS = (
    _Panel(
        "{other}",
        ("all_other", "first_nash"),
        "first_nash-all_other",
        f"gain by switching to {_NASH}",
        GREEN,
        "o",
    ),
    _Panel(
        "{nash}",
        ("first_other", "all_nash"),
        "first_other-all_nash",
        f"gain by switching from {_NASH}",
        PURPLE,
        "s",
    ),
)
# The page, in millimetres: left edges and widths of the three panels, and what stands above and below a row of them.
_EDGES, _WIDTHS = (11.0, 66.0, 133.0), (43.0, 43.0, 34.0)
_INDENT = 16.0  # of the third panel's title, to the left of it: above the names of its lines, clear of the second's
_HEADING, _ABOVE, _HEIGHT, _BELOW, _LEGEND = 5.0, 14.0, 30.0, 11.0, 14.0
_LISTED = 28  # characters of p values; of more, the least and the greatest are written
_LINE, _AIR = 2.9, 2.3  # each line of text above the axes, and the space below them for markers on the upper edge

_PUBLISHED = ("fictitious_play", AUTHORS)  # whose policies the paper compares Nash-DQN's with
_COLOURS = {**ALGORITHM_COLOURS, "self_play": REFERENCE, AUTHORS: ALGORITHM_COLOURS["fictitious_play"]}
_POOLED = "pooled"
_LINES = (0.94, 0.88)  # heights of the two lines of means, as a share of the axes


def plot(
    cross_play: DataFrame,
    cross_play_tests: DataFrame,
    *,
    published_means: Mapping[str, Published] = FIG3_MEANS,
    published_differences: Mapping[str, Published] = RELEASED_WEIGHTS_PAIRED,
    alpha: float = FIG3_ALPHA,
) -> Figure:
    """Draw each comparison as a row of panels: two pairs of histograms as published, and the paired differences.

    Histograms are of independently simulated points, as in the paper, over all seed pairs (mean count). Vertical
    lines are the means over all seed pairs, dots above them those of each pair, triangles the paper's. The third
    panel has the differences on common paths with their intervals, by seed pair and pooled, beside those of the
    authors' released weights: from the tables, if their policies are compared there. What is published is of Nash-DQN
    and fictitious play, and stands beside these only. Seed pairs too far away to share an axis, such as after a
    divergence, are named in the panel instead.

    Args:
        cross_play: columns scenario, comparison, other (``algorithm/recipe`` that Nash-DQN is compared with; one in
            each comparison), seed_nash, seed_other, profile (all_other, first_nash, first_other, all_nash), design
            (independent, common), point, reward (currency units); one scenario.
        cross_play_tests: columns comparison, pair (first_nash-all_other, first_other-all_nash), scope (seed pair "1-1",
            or pooled), test (welch, paired), mean_difference, low, high, p_value, reject.
        published_means: the paper's means by profile.
        published_differences: the paired differences of the authors' weights by pair, where the tables have none.
        alpha: level of ``cross_play_tests``, for the legend.

    Raises:
        ValueError: if a column, a profile of a seed pair or a test is missing, or stands twice.
    """
    require_columns(cross_play, POINTS, POINTS_COLUMNS)
    require_columns(cross_play_tests, TESTS, TESTS_COLUMNS)
    cross_play_tests = cross_play_tests.assign(reject=truths(cross_play_tests, TESTS, "reject"))
    scenario = only(cross_play, POINTS, "scenario")
    comparisons = list(dict.fromkeys(cross_play["comparison"]))

    published = published_means, _of_authors(cross_play_tests, published_differences)
    rows = [_Row.of(comparison, cross_play, cross_play_tests, *published) for comparison in comparisons]
    texts = {
        (row.comparison, panel): (_tests_text(row, panel), _notes(row, panel)) for row in rows for panel in _PANELS
    }
    near = any(_near(row, panel) for row in rows for panel in _PANELS)
    lines = max(len(text) + len(notes) for text, notes in texts.values())
    row_height = _ABOVE + lines * _LINE + _AIR + _HEIGHT + _BELOW
    height = _HEADING + len(rows) * row_height + _LEGEND

    with style():
        figure = new_figure(height, layout=None)
        figure.text(2 / WIDTH_MM, 1 - 2 / height, f"Cross-play, scenario {scenario}", ha="left", va="top", fontsize=9)
        for at, row in enumerate(rows):
            bottom = height - _HEADING - (at + 1) * row_height + _BELOW
            top = bottom + _HEIGHT + _AIR + lines * _LINE
            *histograms, differences = (
                figure.add_axes((left / WIDTH_MM, bottom / height, width / WIDTH_MM, _HEIGHT / height))
                for left, width in zip(_EDGES, _WIDTHS, strict=True)
            )
            heading = f"comparison: {row.comparison} ({row.nash} and {row.name})"
            figure.text(2 / WIDTH_MM, (top + 6) / height, heading, ha="left", va="bottom", fontsize=8, weight="bold")
            for place, (axes, panel) in enumerate(zip(histograms, _PANELS, strict=True)):
                text, notes = texts[row.comparison, panel]
                _title(axes, 3 * at + place, f"others play {panel.others.format(other=row.name, nash=row.nash)}", lines)
                _write_above(axes, text, lines, "k", "tests")
                _write_above(axes, notes, len(notes), DIVERGED, "notes")
                _draw_histograms(axes, row, panel)
            _title(differences, 3 * at + 2, "paired differences", lines, -_INDENT / _WIDTHS[2])
            _write_above(differences, ["on common paths"], lines, "k", "design", -_INDENT / _WIDTHS[2])
            _draw_differences(differences, row)
        first = {row.colour: row.name for row in reversed(rows)}  # the authors' FP has the colour of FP
        others = {first[row.colour]: row.colour for row in rows}
        figure.legend(
            handles=_legend(others, alpha, near),
            loc="lower center",
            bbox_to_anchor=(0.5, 0),
            ncols=3,
        )
    return figure


class _Difference(NamedTuple):
    """A mean difference and the ends of its interval, NaN where there is none."""

    value: float
    low: float
    high: float


class _Row(NamedTuple):
    """One comparison.

    The names of Nash-DQN's policy and the other, whose colour follows, seed pairs as ``cross_play_tests`` labels them,
    tests, points [pairs, points] by profile, and what is published: means by profile, and differences by pair with the
    ends of their intervals, or nothing.
    """

    comparison: str
    nash: str
    name: str
    colour: str
    scopes: list[str]
    tests: DataFrame
    rewards: dict[str, np.ndarray]
    means: Mapping[str, Published]
    differences: Mapping[str, _Difference]

    @staticmethod
    def of(
        comparison: str,
        cross_play: DataFrame,
        tests: DataFrame,
        means: Mapping[str, Published],
        differences: Mapping[str, _Difference],
    ) -> _Row:
        points = select(cross_play, POINTS, comparison=comparison, design="independent")
        other = only(points, POINTS, "other")
        name, algorithm = policy_name(other), other.partition("/")[0]
        scopes = points["seed_nash"].astype(str) + "-" + points["seed_other"].astype(str)
        points = points.assign(scope=scopes)
        rewards = {}
        for panel in _PANELS:
            for profile in panel.profiles:
                (found, _), of_profile = grid(
                    select(points, POINTS, profile=profile), POINTS, ("scope", "point"), "reward"
                )
                absent = set(scopes) - set(found)
                if absent:
                    raise ValueError(
                        f"{POINTS}: no row of comparison={comparison}, profile={profile}, seeds {min(absent)}"
                    )
                order = {scope: at for at, scope in enumerate(found)}
                rewards[profile] = of_profile[[order[scope] for scope in dict.fromkeys(scopes)]]
        return _Row(
            comparison,
            policy_name(f"{AUTHORS}/nash") if algorithm == AUTHORS else _NASH,
            name,
            _COLOURS[algorithm],
            list(dict.fromkeys(scopes)),
            select(tests, TESTS, comparison=comparison),
            rewards,
            means if algorithm in _PUBLISHED else {},
            differences if algorithm in _PUBLISHED and algorithm != AUTHORS else {},
        )

    def test(self, pair: str, scope: str, test: str) -> Series:
        rows = select(self.tests, TESTS, pair=pair, scope=scope, test=test)
        if len(rows) > 1:
            raise ValueError(
                f"{TESTS}: more than one row with comparison={self.comparison}, pair={pair}, scope={scope}, test={test}"
            )
        return rows.iloc[0]

    def on_scale(self, panel: _Panel) -> np.ndarray:
        """Tell, [pairs], which can share an axis: finite, and not too many standard deviations from the middle."""
        rewards = np.stack([self.rewards[profile] for profile in panel.profiles])
        finite = np.isfinite(rewards).all(axis=(0, 2))
        if not finite.any():
            return finite
        with np.errstate(invalid="ignore", over="ignore"):  # of pairs that are not finite, which are off scale anyway
            means = rewards.mean(axis=2)
        typical = np.median(rewards[:, finite].std(axis=2)) or np.inf  # a single point has no spread to judge by
        far = np.abs(means - np.median(means[:, finite])).max(axis=0)
        return finite & ~(far > OFF_SCALE * typical)


def _of_authors(tests: DataFrame, published: Mapping[str, Published]) -> dict[str, _Difference]:
    """Return the paired differences between the authors' policies, by pair: from the tests, or else as published."""
    rows = tests[(tests["comparison"] == AUTHORS) & (tests["test"] == "paired") & (tests["scope"] != _POOLED)]
    numbers = rows[["mean_difference", "low", "high"]].to_numpy(dtype=np.float64).tolist()
    measured = {pair: _Difference(*row) for pair, row in zip(rows["pair"], numbers, strict=True)}
    return measured or {pair: _Difference(point.value, *point.interval()) for pair, point in published.items()}


def _near(row: _Row, panel: _Panel) -> tuple[float, float] | None:
    """Return an axis for both the data and the paper's means, or None where these lie too far apart or are none."""
    drawn = row.on_scale(panel)
    if not drawn.any() or not row.means:
        return None
    points = np.concatenate([row.rewards[profile][drawn] for profile in panel.profiles])
    low, high = points.min(), points.max()
    means = [row.means[profile].value for profile in panel.profiles]
    reach = (high - low) / 2
    if min(means) < low - reach or max(means) > high + reach:
        return None
    margin = 0.03 * (high - low)
    return float(min(low, *means) - margin), float(max(high, *means) + margin)


def _draw_histograms(axes: Axes, row: _Row, panel: _Panel) -> None:
    """Draw both profiles' histograms; above them the means of single seed pairs, on the upper edge the paper's."""
    axes.set_xlabel("reward of agent 1 (currency)")
    axes.set_ylabel("points in bin")
    drawn = row.on_scale(panel)
    if not drawn.any():
        return
    rewards = [row.rewards[profile][drawn] for profile in panel.profiles]
    edges = np.histogram_bin_edges(np.concatenate(rewards), bins=FIG3_BINS)
    ends = _near(row, panel)
    colours = (row.colour, ALGORITHM_COLOURS["nash_dqn"])
    tallest = 0.0
    for profile, points, colour, line in zip(panel.profiles, rewards, colours, _LINES, strict=True):
        counts = np.histogram(points, edges)[0] / len(points)
        tallest = max(tallest, counts.max())
        axes.stairs(counts, edges, fill=True, color=colour, alpha=0.35, gid=f"histogram-{profile}")
        axes.stairs(counts, edges, color=colour, lw=0.8)
        axes.axvline(points.mean(), ymax=line, color=colour, lw=1.2, gid=f"mean-{profile}")
        upper = axes.get_xaxis_transform()
        means = points.mean(axis=1)
        axes.plot(
            means, np.full(len(means), line), "o", ms=3, color=colour, mew=0, transform=upper, gid=f"pairs-{profile}"
        )
        if ends is not None:
            axes.plot(
                [row.means[profile].value],
                [1.0],
                "v",
                ms=5,
                mfc="w",
                mec=colour,
                mew=1,
                clip_on=False,
                transform=upper,
                gid=f"published-{profile}",
            )
    if ends is not None:
        axes.set_xlim(ends)
    axes.set_ylim(0, tallest / 0.83)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))


def _notes(row: _Row, panel: _Panel) -> list[str]:
    """Return a line that names the seed pairs which are not drawn, if any."""
    lost = [scope for scope, fits in zip(row.scopes, row.on_scale(panel), strict=True) if not fits]
    return [f"off scale, not drawn: seeds {', '.join(lost)}"] if lost else []


def _title(axes: Axes, index: int, title: str, lines: int, left: float = 0.0) -> None:
    """Title a panel above so many lines of text, starting ``left`` of the axes (in axes widths)."""
    title_panel(axes, index, title, pad=(_AIR + lines * _LINE) * MM * 72 + 2, left=left)


def _write_above(axes: Axes, text: Sequence[str], lines: int, colour: str, gid: str, left: float = 0.0) -> None:
    """Write small lines above the axes, the first of them ``lines`` lines up."""
    for at, line in enumerate(text):
        axes.annotate(
            line,
            (left, 1),
            xycoords="axes fraction",
            xytext=(0, (_AIR + (lines - at - 1) * _LINE) * MM * 72 + 1.5),
            textcoords="offset points",
            va="baseline",
            fontsize=SMALL,
            color=colour,
            gid=gid,
        )


def _tests_text(row: _Row, panel: _Panel) -> list[str]:
    """Return lines: Welch's tests, the pooled paired difference and, if the axis lacks them, the paper's means."""
    welch = DataFrame([row.test(panel.pair, scope, "welch") for scope in row.scopes])
    rejects = welch["reject"].astype("boolean")
    defined = rejects.notna()  # there is no test of a single point, nor of rewards that are not finite
    p_values = welch["p_value"].to_numpy(float)
    each = [_p_value(p) for p in p_values]
    listed = ", ".join(each) if len(set(each)) > 1 else f"{each[0]} (each seed pair)"
    if len(listed) > _LISTED:
        listed = f"{_p_value(np.nanmin(p_values))} to {_p_value(np.nanmax(p_values))}"
    pooled = row.test(panel.pair, _POOLED, "paired")
    lines = [
        f"Welch $p$: {listed}",
        f"equal means rejected: {int(rejects.sum())} of {int(defined.sum())}",
        f"paired, pooled: {_estimate(pooled)}",
    ]
    if row.means and _near(row, panel) is None:
        other, nash = (number(row.means[profile].value, 3) for profile in panel.profiles)
        lines.append(f"paper: {row.name} {other}, {row.nash} {nash}")
    return lines


def _p_value(value: float) -> str:
    if np.isnan(value):
        return "none"
    return "<0.001" if value < 0.001 else f"{value:.2g}"


def _estimate(test: Series) -> str:
    """Return the mean difference and its interval, where there is one, to digits that suit the largest of them."""
    middle, *ends = (float(test[column]) for column in ("mean_difference", "low", "high"))
    if not np.isfinite(middle):
        return "undefined"
    numbers = [middle, *ends] if np.isfinite(ends).all() else [middle]
    largest = max(map(abs, numbers))
    decimals = 4 if largest < 1 else 2
    middle_text, *end_texts = (number(x, decimals) if largest < 100 else compact(x, 2) for x in numbers)
    return f"{middle_text} [{', '.join(end_texts)}]" if end_texts else middle_text


def _draw_differences(axes: Axes, row: _Row) -> None:
    """Draw the paired differences of both panels, one line for each seed pair, the pool, and the authors' weights."""
    lines = [*row.scopes, _POOLED]
    labels = [*(f"seeds {scope}" for scope in row.scopes), _POOLED, *(["authors' weights"] if row.differences else [])]
    drawn: list[float] = [0.0]
    found = {
        (panel.pair, scope): row.test(panel.pair, scope, "paired")[["mean_difference", "low", "high"]].astype(float)
        for panel in _PANELS
        for scope in lines
    }
    sizes = [abs(middle) for middle, _, _ in found.values()] + [abs(point.value) for point in row.differences.values()]
    typical = np.nanmedian(sizes)
    axes.axvline(0, color="k", lw=0.6)
    for at, panel in enumerate(_PANELS):
        shift = (at - 0.5) * 0.36
        for place, scope in enumerate(lines):
            middle, low, high = found[panel.pair, scope]
            if not abs(middle) <= OFF_SCALE * typical:
                text = f"{compact(middle, 2)} off scale" if np.isfinite(middle) else "undefined"
                axes.text(
                    0.99,
                    place + shift,
                    text,
                    transform=axes.get_yaxis_transform(),
                    ha="right",
                    va="center",
                    fontsize=SMALL,
                    color=panel.colour,
                    gid="off-scale",
                    bbox={"fc": "w", "ec": "none", "pad": 0.5},
                )
                continue
            strong = scope == _POOLED
            axes.plot(
                [middle],
                [place + shift],
                panel.marker,
                color=panel.colour,
                ms=4.5 if strong else 3,
                gid=f"{panel.pair} {scope}",
            )
            if np.isfinite([low, high]).all():
                axes.plot([low, high], [place + shift] * 2, color=panel.colour, lw=1.6 if strong else 1)
                drawn += [low, high]
            drawn.append(middle)
        theirs = row.differences.get(panel.pair)
        if theirs is None or not abs(theirs.value) <= OFF_SCALE * typical:
            continue
        axes.plot(
            [theirs.value],
            [len(lines) + shift],
            panel.marker,
            mfc="w",
            mec=panel.colour,
            ms=4.5,
            gid=f"{panel.pair} published",
        )
        drawn.append(theirs.value)
        if np.isfinite([theirs.low, theirs.high]).all():
            axes.plot([theirs.low, theirs.high], [len(lines) + shift] * 2, color=panel.colour, lw=1)
            drawn += [theirs.low, theirs.high]
    margin = 0.06 * (max(drawn) - min(drawn))
    axes.set_xlim(min(drawn) - margin, max(drawn) + margin)
    axes.axhline(len(row.scopes) - 0.5, color="0.7", lw=0.6)
    if row.differences:
        axes.axhline(len(lines) - 0.5, color="0.7", lw=0.6)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.set_yticks(range(len(labels)), labels)
    axes.tick_params(axis="y", length=0, labelsize=SMALL)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4))
    axes.set_xlabel("difference (currency)")


def _legend(others: Mapping[str, str], alpha: float, published: bool) -> list[Line2D | Patch]:
    """What marks mean; ``others`` are the colours of the policies that Nash-DQN's meets, by name."""
    triangle = Line2D([], [], mfc="w", mec="0.3", marker="v", ms=5, ls="", label="the paper's mean (digitised)")
    return [
        *(
            Patch(color=colour, alpha=0.5, label=f"agent 1 plays {name}")
            for name, colour in {**others, _NASH: ALGORITHM_COLOURS["nash_dqn"]}.items()
        ),
        Line2D([], [], color="0.3", lw=1.2, label="mean over seed pairs"),
        Line2D([], [], color="0.3", marker="o", ms=3, ls="", label="mean of one seed pair"),
        *([triangle] if published else []),
        Line2D([], [], color="0.3", lw=1, label=f"{1 - alpha:.0%} interval"),
        *(Line2D([], [], color=panel.colour, marker=panel.marker, lw=1, label=panel.difference) for panel in _PANELS),
    ]
