"""Figure 2: the policies as heat maps, laid out as in the paper, and what they differ by."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from pandas import DataFrame

from nash_dqn.plots.style import MM, SMALL, WIDTH_MM, compact, letter, new_figure, number, policy_name, style
from nash_dqn.plots.tables import grid, only, require_columns, select
from nash_dqn.published import AUTHORS_POLICIES, FIG2_RATE_LIMIT

GRID = "policy_grid"
GRID_COLUMNS = ("scenario", "algorithm", "recipe", "seed", "impact", "price", "time", "inventory", "rate")
DISTANCE = "policy_distance"
DISTANCE_COLUMNS = ("comparison", "policy_a", "policy_b", "seed_a", "seed_b", "states", "rms", "relative")
STATES = ("grid", "visited_a", "visited_b")

RATE_COLOURS = "RdBu_r"
DIFFERENCE_COLOURS = "PuOr_r"

# The page, in millimetres. Forty-five small axes are placed by hand: an automatic layout would make them unequal.
_LEFT, _RIGHT, _TOP = 15.0, 19.0, 13.0
_PANEL_GAP, _MAP_GAP, _ROW_GAP, _ROW_HEIGHT = 4.0, 0.8, 15.0, 40.0
_TICKS, _LEGEND, _LINE = 10.0, 6.0, 3.3  # below the maps: ticks and prices, the legend, each line of notes
_BAR_GAP, _BAR_WIDTH = 2.5, 2.5
_NOTE_CHARACTERS = 136
_LONG_NAME, _SMALL_TITLE = 12, 7.0  # characters from which a panel's title needs smaller letters (points)


@dataclass(frozen=True)
class _Rates:
    """One policy's trading rates (shares/hour) on the grid.

    ``rates`` is [seeds, impacts, prices, times, inventories] of the seeds drawn; ``omitted`` says which seeds are
    not, and why.
    """

    name: str
    seeds: list[int]
    impacts: np.ndarray
    prices: np.ndarray
    times: np.ndarray
    inventories: np.ndarray
    rates: np.ndarray
    omitted: dict[int, str]

    @property
    def mean(self) -> np.ndarray:
        return self.rates.mean(axis=0)


def plot(
    policy_grid: DataFrame,
    policy_distance: DataFrame,
    *,
    comparison: str,
    policies: Sequence[str],
    diverged: Sequence[Collection[int]] = ((), ()),
) -> Figure:
    """Draw two policies by impact, price, time and inventory: means over seeds, and their difference.

    Panels follow the paper's Fig 2: Nash-DQN above the other policy, in the paper fictitious play's (FP), one column
    for each transient impact Y, heat maps side by side for each price; a third row shows the difference on a colour
    scale of its own. Dashed lines are where the mean rate over seeds is zero, thin lines the same for each seed. Only
    the seeds that are compared are drawn. Root-mean-square distances stand below.

    Args:
        policy_grid: columns scenario, algorithm, recipe, seed, impact (price units), price, time (hours),
            inventory (shares), rate (shares/hour); one scenario. Rows of other recipes are ignored.
        policy_distance: columns comparison, policy_a, policy_b, seed_a, seed_b, states (grid, visited_a or
            visited_b), rms (shares/hour), relative. Policies are named ``algorithm/recipe``. Rows of other comparisons
            are ignored; rows between different policies say which seeds are compared, those between seeds of one
            policy, where there are any, give the yardstick.
        comparison: which comparison's distances to quote.
        policies: ``algorithm/recipe`` of the upper and the middle row: policy_a and policy_b of the comparison.
        diverged: seeds of each of the two whose training diverged. They are left out, as are seeds with a rate that is
            not finite, and named below the figure.

    Raises:
        ValueError: if a column, a policy or a combination of grid levels is missing or stands twice, the two policies'
            grids differ, or no seed of a policy is left.
    """
    require_columns(policy_grid, GRID, GRID_COLUMNS)
    require_columns(policy_distance, DISTANCE, DISTANCE_COLUMNS)
    scenario = only(policy_grid, GRID, "scenario")
    distances = select(policy_distance, DISTANCE, comparison=comparison)
    between = distances[distances["policy_a"] != distances["policy_b"]]
    if between.empty:
        raise ValueError(f"{DISTANCE}: no row between two different policies for comparison={comparison}")
    upper, middle = (
        _rates(policy_grid, policy, set(between[f"seed_{side}"]), lost)
        for policy, side, lost in zip(policies, "ab", diverged, strict=True)
    )
    for levels in ("impacts", "prices", "times", "inventories"):
        if not np.array_equal(getattr(upper, levels), getattr(middle, levels)):
            raise ValueError(f"{GRID}: {levels} of {' and '.join(policies)} differ")
    difference = upper.mean - middle.mean
    limit = _round_up(float(np.abs(difference).max()))
    notes = _notes(distances, dict(zip(policies, (upper, middle), strict=True)))

    rows = (
        (upper.name, upper.mean, upper.rates, RATE_COLOURS, FIG2_RATE_LIMIT),
        (middle.name, middle.mean, middle.rates, RATE_COLOURS, FIG2_RATE_LIMIT),
        ("difference", difference, None, DIFFERENCE_COLOURS, limit),
    )
    beyond = max(float(np.abs(rates.mean).max()) for rates in (upper, middle)) > FIG2_RATE_LIMIT
    maps = _TOP + len(rows) * _ROW_HEIGHT + (len(rows) - 1) * _ROW_GAP + _TICKS
    height = maps + _LEGEND + len(notes) * _LINE + 2

    with style():
        figure = new_figure(height, layout=None)
        meshes = [_draw_row(figure, row, upper, *content) for row, content in enumerate(rows)]
        _colour_bar(figure, meshes[1], 0, 1, "trading rate (shares/hour)", beyond)
        _colour_bar(figure, meshes[2], 2, 2, "difference (shares/hour)", False)
        left = _LEFT / WIDTH_MM
        heading = f"Trading rates, scenario {scenario}: {' and '.join(map(_full_name, policies))}"
        figure.text(left, 1 - 2 / height, heading, ha="left", va="top", fontsize=9, gid="title")
        lines = [Line2D([], [], color="k", ls="--", lw=1, label="mean rate over seeds is zero")]
        if max(len(rates.seeds) for rates in (upper, middle)) > 1:
            lines.append(Line2D([], [], color="k", lw=0.4, label="rate of one seed is zero"))
        figure.legend(
            handles=lines,
            loc="upper left",
            bbox_to_anchor=(left, 1 - maps / height),
            ncols=2,
            borderaxespad=0,
            borderpad=0,
        )
        figure.text(
            4 / WIDTH_MM,
            1 - (maps + _LEGEND) / height,
            "\n".join(notes),
            ha="left",
            va="top",
            fontsize=SMALL,
            linespacing=1.25,
            gid="notes",
        )
    return figure


def _full_name(policy: str) -> str:
    """Name of a policy with its recipe."""
    name, recipe = policy_name(policy), policy.partition("/")[2]
    complete = name.endswith(f", {recipe}") or policy in AUTHORS_POLICIES
    return name if complete else f"{name} (recipe {recipe})"


def _rates(table: DataFrame, policy: str, compared: Collection[int], diverged: Collection[int]) -> _Rates:
    name = policy_name(policy)
    algorithm, _, recipe = policy.partition("/")
    rows = select(table, GRID, algorithm=algorithm, recipe=recipe)
    keys = ("seed", "impact", "price", "time", "inventory")
    (seeds, impacts, prices, times, inventories), rates = grid(rows, GRID, keys, "rate")
    omitted = {int(seed): "training diverged" for seed in seeds if seed in diverged}
    finite = np.isfinite(rates).all(axis=(1, 2, 3, 4))
    omitted |= {int(seed): "rates are not finite" for seed, fine in zip(seeds, finite, strict=True) if not fine}
    omitted |= {int(seed): "the other policy has no such seed" for seed in seeds if seed not in compared}
    kept = [at for at, seed in enumerate(seeds) if seed not in omitted]
    if not kept:
        raise ValueError(f"{GRID}: {policy} has no seed left to draw: {_list(omitted)}")
    drawn = [int(seeds[at]) for at in kept]
    return _Rates(name, drawn, impacts, prices, times, inventories, rates[kept], omitted)


def _list(omitted: Mapping[int, str]) -> str:
    return ", ".join(f"seed {seed} ({why})" for seed, why in sorted(omitted.items()))


def _round_up(value: float) -> float:
    """Return the end of a symmetric scale: the value rounded up to two digits, or 1 for zero."""
    if value == 0:
        return 1.0
    unit = 10.0 ** (np.floor(np.log10(value)) - 1)
    return float(np.ceil(value / unit - 1e-9) * unit)


def _draw_row(
    figure: Figure,
    row: int,
    levels: _Rates,
    title: str,
    mean: np.ndarray,
    each: np.ndarray | None,
    colours: str,
    end: float,
) -> QuadMesh:
    width, height = figure.get_size_inches() / MM
    panels, maps = mean.shape[:2]
    panel_width = (width - _LEFT - _RIGHT - (panels - 1) * _PANEL_GAP) / panels
    map_width = (panel_width - (maps - 1) * _MAP_GAP) / maps
    bottom = height - _TOP - (row + 1) * _ROW_HEIGHT - row * _ROW_GAP
    for panel, impact in enumerate(levels.impacts):
        left = _LEFT + panel * (panel_width + _PANEL_GAP)
        for at, price in enumerate(levels.prices):
            corner = left + at * (map_width + _MAP_GAP)
            axes = figure.add_axes((corner / width, bottom / height, map_width / width, _ROW_HEIGHT / height))
            seeds = None if each is None else each[:, panel, at]
            mesh = _draw_map(axes, levels, mean[panel, at], seeds, colours, end)
            axes.set_gid(f"map-{row}-{panel}-{at}")
            axes.set_xlabel(number(price, 2), fontsize=SMALL, labelpad=1)
            axes.tick_params(labelleft=panel == 0 and at == 0)
            if at == 0:
                text = f"{letter(row * panels + panel)} {title}, $Y$ = {number(impact, 1)}"
                axes.set_title(text, loc="left", pad=3, fontsize=_SMALL_TITLE if len(title) > _LONG_NAME else None)
            if at == 0 and panel == 0:
                axes.set_ylabel("own inventory $q$ (shares)", labelpad=1)
    for line, text in ((1.0, "time $t$ (h)"), (4.1, "price $S$")):
        figure.text((_LEFT - 1) / width, (bottom - line) / height, text, ha="right", va="top", fontsize=SMALL)
    return mesh


def _draw_map(
    axes: Axes, levels: _Rates, mean: np.ndarray, seeds: np.ndarray | None, colours: str, end: float
) -> QuadMesh:
    """Draw one heat map, [times, inventories], with the lines of zero rate."""
    times, inventories = levels.times, levels.inventories
    mesh = axes.pcolormesh(
        times, inventories, mean.T, cmap=colours, vmin=-end, vmax=end, shading="nearest", rasterized=True
    )
    if seeds is not None:
        for rate in seeds if len(seeds) > 1 else ():
            _zero_line(axes, levels, rate, "seed-zero", linewidths=0.4)
        _zero_line(axes, levels, mean, "mean-zero", linewidths=1.0, linestyles="--")
    for spine in axes.spines.values():
        spine.set_visible(True)
    axes.set_ylim(inventories[0], inventories[-1])
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 5, 10]))
    axes.get_yticklabels()[0].set_verticalalignment("bottom")  # clear of the line "time" below
    axes.set_xticks(ends := times[[0, -1]] if len(times) > 1 else times, [f"{time:g}" for time in ends], fontsize=6)
    if len(ends) > 1:
        # Labels of neighbouring maps would touch if they were centred on their ticks.
        first, last = axes.get_xticklabels()
        first.set_horizontalalignment("left")
        last.set_horizontalalignment("right")
    axes.tick_params(axis="x", pad=1.5)
    return mesh


def _zero_line(axes: Axes, levels: _Rates, rate: np.ndarray, gid: str, **look: Any) -> None:
    if rate.min() < 0 < rate.max() and min(rate.shape) > 1:
        lines = axes.contour(levels.times, levels.inventories, rate.T, levels=[0.0], colors="k", **look)
        lines.set_gid(gid)


def _colour_bar(figure: Figure, mesh: QuadMesh, first: int, last: int, label: str, beyond: bool) -> None:
    """Put a colour bar to the right of the rows ``first`` to ``last``, with arrows if rates go beyond its ends."""
    width, height = figure.get_size_inches() / MM
    bottom = height - _TOP - (last + 1) * _ROW_HEIGHT - last * _ROW_GAP
    top = height - _TOP - first * (_ROW_HEIGHT + _ROW_GAP)
    left = width - _RIGHT + _BAR_GAP
    axes = figure.add_axes((left / width, bottom / height, _BAR_WIDTH / width, (top - bottom) / height))
    bar = figure.colorbar(mesh, cax=axes, extend="both" if beyond else "neither", extendfrac=0.03)
    bar.outline.set_linewidth(0.6)
    bar.set_label(label, labelpad=3)
    bar.locator = MaxNLocator(nbins=4, steps=[1, 2, 5, 10])
    bar.update_ticks()
    axes.set_gid(f"bar-{last}")


def _notes(distances: DataFrame, rates: Mapping[str, _Rates]) -> list[str]:
    """Return the lines below the figure: seeds drawn, seeds omitted, distances between seeds that are drawn.

    ``distances`` are those of one comparison, ``rates`` by policy, policy_a's first.
    """
    for policy in {*distances["policy_a"], *distances["policy_b"]}:
        if policy not in rates:
            raise ValueError(f"{DISTANCE}: policy '{policy}' is neither {' nor '.join(rates)}")
    first, second = (drawn.name for drawn in rates.values())
    apart = distances["policy_a"] != distances["policy_b"]
    parts = [_drawn(select(distances[apart], DISTANCE, states=states), rates) for states in STATES]
    places = ("grid shown", f"visited by {first}", f"visited by {second}")
    within = _drawn(distances[~apart], rates)

    seeds = "; ".join(
        f"{drawn.name}: seed{_s(drawn.seeds)} {', '.join(map(str, drawn.seeds))}" for drawn in rates.values()
    )
    paragraphs = [
        f"Means over seeds ({seeds}). Bottom row: {first} less {second}, on a colour scale of its own. On the grid all "
        "past order flow is zero, an agent's own too; visited states have the flow that led there.",
        *(f"Not drawn: {drawn.name} {_list(drawn.omitted)}." for drawn in rates.values() if drawn.omitted),
        f"Root-mean-square (RMS) distance from {first} to {second} in shares/hour and % of the RMS rate, "
        f"{_pairs(parts[0])}:",
        "; ".join(f"{place} {_spread(part)}" for place, part in zip(places, parts, strict=True)) + ".",
    ]
    if not within.empty:
        for place, on_grid in (("on the grid shown", True), ("in states they visit", False)):
            part = within[(within["states"] == "grid") == on_grid]
            spreads = (f"{drawn.name} {_spread(part[part['policy_a'] == policy])}" for policy, drawn in rates.items())
            paragraphs.append(f"The same between two seeds of one policy, {place}: {'; '.join(spreads)}.")
    return [line for paragraph in paragraphs for line in textwrap.wrap(paragraph, _NOTE_CHARACTERS)]


def _drawn(distances: DataFrame, rates: Mapping[str, _Rates]) -> DataFrame:
    """Return the distances between seeds none of which is omitted."""
    kept = np.ones(len(distances), dtype=bool)
    for side in (["policy_a", "seed_a"], ["policy_b", "seed_b"]):
        rows = distances[side].itertuples(index=False)
        kept &= np.array([int(seed) not in rates[policy].omitted for policy, seed in rows], dtype=bool)
    return distances[kept]


def _pairs(distances: DataFrame) -> str:
    pairs = len(distances)
    if pairs > 1:
        return f"mean of {pairs} seed pairs [least, greatest]"
    return "one seed pair" if pairs else "no seed pair left"


def _s(items: Collection[Any]) -> str:
    return "s" if len(items) > 1 else ""


def _spread(rows: DataFrame) -> str:
    rms, relative = rows["rms"], rows["relative"]
    if rms.empty:
        return "none"
    ends = f" [{compact(rms.min())}, {compact(rms.max())}]" if len(rows) > 1 else ""
    share = f" ({relative.mean():.0%})" if relative.notna().any() else ""  # empty where neither policy trades
    return f"{compact(rms.mean())}{ends}{share}"
