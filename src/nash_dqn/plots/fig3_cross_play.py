"""Figure 3: what agent 1 earns with one policy among agents with another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from pandas import DataFrame, concat

from nash_dqn.plots.style import (
    ALGORITHM_COLOURS,
    ALGORITHM_NAMES,
    GREEN,
    PURPLE,
    draw_intervals,
    draw_marks,
    drawing,
    lay_rows,
    mark_edge,
    title_panels,
)
from nash_dqn.plots.tables import check, check_grid, only, select, truths
from nash_dqn.published import AUTHORS_POLICIES, FIG3_BINS, FIG3_MEANS, RELEASED_WEIGHTS_PAIRED

POINTS = "cross_play"
POINTS_COLUMNS = (
    *("scenario", "comparison", "other", "other_algorithm"),
    *("seed_nash", "seed_other", "profile", "design", "point", "reward"),
)
TESTS = "cross_play_tests"
TESTS_COLUMNS = ("comparison", "other", "pair", "scope", "test", "mean_difference", "low", "high", "p_value", "reject")

OFF_SCALE = 50.0
"""A seed pair whose mean lies this many typical standard deviations from the middle is named, not drawn."""


class _Panel(NamedTuple):
    """Two profiles that differ in what agent 1 plays, the other policy or Nash-DQN."""

    others: str
    profiles: tuple[str, str]
    pair: str  # as in cross_play_tests
    difference: str
    colour: str
    marker: str


_PANELS = (
    _Panel("other", ("all_other", "first_nash"), "first_nash-all_other", "gain by switching to Nash-DQN", GREEN, "o"),
    _Panel("nash", ("first_other", "all_nash"), "first_other-all_nash", "gain by switching from Nash-DQN", PURPLE, "s"),
)
_PUBLISHED = "fictitious_play"  # whose policies the paper compares Nash-DQN's with
_POOLED, _THEIRS = "pooled", "authors' weights"


def plot(cross_play: DataFrame, cross_play_tests: DataFrame) -> Figure:
    """Draw each comparison as a row of panels: two pairs of histograms as published, and the paired differences.

    Histograms are of independently simulated points, as in the paper, over all seed pairs (mean count). Vertical
    lines are the means over all seed pairs, dots above them those of each pair, triangles the paper's, where they lie
    near. Titles say in how many seed pairs Welch's test rejects equal means, and which pairs lie too far away to share
    an axis, such as after a divergence. The third panel has the differences on common paths with their intervals, by
    seed pair and pooled, beside those of the authors' released weights: from the tables, if their policies are compared
    there. What is published is of Nash-DQN and fictitious play, and stands beside these only.

    Args:
        cross_play: columns :data:`POINTS_COLUMNS`: comparison (NASH-vs-OTHER, a policy of Nash-DQN's and another),
            profile (all_other, first_nash, first_other, all_nash), design (independent, common), reward ($); one
            scenario.
        cross_play_tests: columns :data:`TESTS_COLUMNS`: pair (first_nash-all_other, first_other-all_nash), scope (seed
            pair "1-1", or pooled), test (welch, paired), differences in $.

    Raises:
        ValueError: if a column, a profile of a seed pair or a test is missing, or stands twice.
    """
    check(cross_play, POINTS, POINTS_COLUMNS, other_algorithm=ALGORITHM_NAMES)
    check(cross_play_tests, TESTS, TESTS_COLUMNS)
    tests = cross_play_tests.assign(reject=truths(cross_play_tests, TESTS, "reject"))
    scenario = only(cross_play, POINTS, "scenario")
    points = select(cross_play, POINTS, design="independent")
    points = points.assign(seeds=points["seed_nash"].astype(str) + "-" + points["seed_other"].astype(str))
    comparisons = list(cross_play["comparison"].unique())
    theirs = _of_authors(tests)

    with drawing(20 + 52 * len(comparisons), f"scenario {scenario}") as figure:
        titles = []
        grid = figure.subplots(len(comparisons), 3, squeeze=False, width_ratios=(1, 1, 0.8))
        for panels, comparison in zip(grid, comparisons, strict=True):
            rows = select(points, POINTS, comparison=comparison)
            other, algorithm = (only(rows, POINTS, column) for column in ("other", "other_algorithm"))
            nash = comparison.removesuffix(f"-vs-{other}")
            if nash == comparison:
                raise ValueError(f"{POINTS}: comparison {comparison} is not with {other}, but its rows are")
            of_tests = select(tests, TESTS, comparison=comparison)
            for axes, panel in zip(panels, _PANELS, strict=False):
                drawn, lost = _near(rows, panel)
                _draw_histograms(axes, drawn, dict(zip(panel.profiles, (algorithm, "nash_dqn"), strict=True)))
                welch = select(of_tests, TESTS, pair=panel.pair, test="welch")
                welch = welch.loc[welch["scope"] != _POOLED, "reject"].dropna()
                others = other if panel.others == "other" else nash
                title = f"others play {others}\nWelch rejects {welch.sum()} of {len(welch)}"
                titles.append(title + (f", off scale: {', '.join(lost)}" if lost else ""))
            beside = theirs if algorithm == _PUBLISHED and other not in AUTHORS_POLICIES else theirs.head(0)
            _draw_differences(panels[2], of_tests, list(rows["seeds"].unique()), beside)
            titles.append("paired differences")
        title_panels(figure.axes, titles)
    return figure


def _of_authors(tests: DataFrame) -> DataFrame:
    """Return the paired differences between the authors' policies: from the tests, or else as published."""
    rows = tests[tests["other"].isin(AUTHORS_POLICIES) & (tests["test"] == "paired") & (tests["scope"] != _POOLED)]
    if len(rows):
        return rows.assign(scope=_THEIRS)
    published = [(pair, _THEIRS, of.value, *of.interval()) for pair, of in RELEASED_WEIGHTS_PAIRED.items()]
    return DataFrame(published, columns=["pair", "scope", "mean_difference", "low", "high"])


def _near(rows: DataFrame, panel: _Panel) -> tuple[DataFrame, list[str]]:
    """Return the points of a panel's profiles, and the seed pairs left out: not finite, or too far from the middle."""
    for profile in panel.profiles:
        select(rows, POINTS, profile=profile)
    of = rows[rows["profile"].isin(panel.profiles)]
    check_grid(of, POINTS, ("seeds", "profile", "point"))
    rewards = of["reward"].where(np.isfinite(of["reward"])).groupby([of["seeds"], of["profile"]], sort=False)
    means, typical = rewards.mean(skipna=False), rewards.std().median()
    fits = (means - means.median()).abs() <= OFF_SCALE * (typical if typical > 0 else np.inf)
    kept = fits.groupby("seeds", sort=False).all()
    return of[of["seeds"].map(kept)], list(kept.index[~kept])


def _draw_histograms(axes: Axes, rows: DataFrame, played: Mapping[str, str]) -> None:
    """Draw both profiles' histograms; above them the means of single seed pairs, on the upper edge the paper's."""
    axes.set(xlabel="reward of agent 1 ($)", ylabel="points in bin")
    if rows.empty:
        return
    edges = np.histogram_bin_edges(rows["reward"], bins=FIG3_BINS).tolist()
    low, high = edges[0], edges[-1]
    theirs = {profile: FIG3_MEANS[profile].value for profile in played if _PUBLISHED in played.values()}
    if all(abs(value - (low + high) / 2) < high - low for value in theirs.values()):
        low, high = min(low, *theirs.values(), high), max(low, *theirs.values(), high)
    for height, (profile, algorithm) in zip((0.94, 0.88), played.items(), strict=True):
        colour = ALGORITHM_COLOURS[algorithm]
        rewards = rows.loc[rows["profile"] == profile]
        means = rewards.groupby("seeds")["reward"].mean()
        look: dict[str, Any] = {"histtype": "stepfilled", "fc": (colour, 0.35), "ec": colour, "lw": 0.8}
        weights = np.full(len(rewards), 1 / len(means))
        axes.hist(
            rewards["reward"], edges, weights=weights, label=f"agent 1 plays {ALGORITHM_NAMES[algorithm]}", **look
        )
        axes.axvline(rewards["reward"].mean(), ymax=height, color=colour, label="mean over seed pairs")
        above: dict[str, Any] = {"transform": axes.get_xaxis_transform(), "color": colour}
        draw_marks(axes, means, height, ms=3, mfc=colour, label="mean of one seed pair", **above)
        if profile in theirs and low <= theirs[profile] <= high:
            look = {"ms": 5, "mfc": "w", "mew": 1, "clip_on": False, "label": "the paper's mean (digitised)"}
            draw_marks(axes, theirs[profile], 1, "v", **look, **above)
    margin = 0.03 * (high - low)
    axes.set_xlim(low - margin, high + margin)
    axes.set_ylim(0, axes.get_ylim()[1] / 0.87)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))


def _draw_differences(axes: Axes, tests: DataFrame, seeds: Sequence[str], theirs: DataFrame) -> None:
    """Draw the paired differences of both panels: each seed pair, the pool, and the authors' weights, if given."""
    lines = [*seeds, _POOLED, *theirs["scope"].unique()]
    paired = select(tests, TESTS, test="paired")
    check_grid(paired, TESTS, ("comparison", "pair", "scope"))
    typical = paired["mean_difference"].abs().median()
    paired = concat([paired, theirs]).astype(dict.fromkeys(("mean_difference", "low", "high"), float))
    axes.axvline(0, color="k", lw=0.6)
    for shift, panel in zip((-0.18, 0.18), _PANELS, strict=True):
        rows = concat([select(paired, TESTS, pair=panel.pair, scope=scope) for scope in lines])
        rows = rows.assign(place=np.arange(len(lines)) + shift)
        near = rows["mean_difference"].abs() <= OFF_SCALE * typical
        ours = rows["scope"] != _THEIRS
        look: dict[str, Any] = {"color": panel.colour, "marker": panel.marker, "ms": 3, "lw": 1}
        draw_intervals(axes, rows[near & ours], "mean_difference", label=panel.difference, **look)
        draw_intervals(axes, rows[near & ~ours], "mean_difference", mfc="w", **look)
        mark_edge(axes, "right", rows.loc[~near, "place"], "off scale or undefined")
    for place in range(len(seeds), len(lines)):
        axes.axhline(place - 0.5, color="0.7", lw=0.6)
    lay_rows(axes, [*(f"seeds {pair}" for pair in seeds), *lines[len(seeds) :]])
    axes.xaxis.set_major_locator(MaxNLocator(nbins=3))
    axes.set_xlabel("difference ($)")
