"""Figure 2: the policies as heat maps, laid out as in the paper, and what they differ by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from pandas import DataFrame

from nash_dqn.plots.style import ALGORITHM_COLOURS, draw_marks, drawing, lay_rows, title_panels
from nash_dqn.plots.tables import check, check_grid, only, select
from nash_dqn.published import FIG2_RATE_LIMIT

GRID = "policy_grid"
GRID_COLUMNS = ("scenario", "policy", "seed", "impact", "price", "time", "inventory", "rate")
DISTANCE = "policy_distance"
DISTANCE_COLUMNS = ("comparison", "policy_a", "policy_b", "seed_a", "seed_b", "states", "rms", "relative")

RATE_COLOURS = "RdBu_r"
DIFFERENCE_COLOURS = "PuOr_r"

_LEVELS = ["impact", "price", "time"]


class _Policy(NamedTuple):
    """A policy: its colour, and rates by inventory, of the seeds drawn by (seed, *levels) and their mean by levels."""

    name: str
    title: str
    colour: str
    rates: DataFrame
    mean: DataFrame


def plot(
    policy_grid: DataFrame, policy_distance: DataFrame, records: Sequence[Mapping[str, Any]], *, comparison: str
) -> Figure:
    """Draw two policies by impact, price, time and inventory: means over seeds, and their difference.

    Panels follow the paper's Fig 2: the comparison's first policy, Nash-DQN's, above its second, one column for each
    transient impact Y, heat maps side by side for each price, time running from left to right in each; a third row
    shows the difference on a colour scale of its own. Dashed lines are where the mean rate over seeds is zero, thin
    lines the same for each seed. Only the seeds that are compared are drawn, and of these neither those whose training
    diverged nor those with a rate that is not finite. Below are the root-mean-square distances of each pair of seeds,
    between the policies and between trainings of one of them.

    Args:
        policy_grid: columns :data:`GRID_COLUMNS`: impact and price ($), time (hours), inventory (shares), rate
            (shares/hour); one scenario. Rows of other policies are ignored.
        policy_distance: columns :data:`DISTANCE_COLUMNS`: states (grid, visited_a or visited_b), rms (shares/hour).
            Rows of other comparisons are ignored; rows between different policies say which policies and seeds are
            compared, those between seeds of one policy, where there are any, give the yardstick.
        records: of both trainings: policy, algorithm and ``members`` with seed and diverged.
        comparison: the one that is drawn.

    Raises:
        ValueError: if a column, a policy, its record or a combination of grid levels is missing or stands twice, the
            two policies' grids differ, or no seed of a policy is left.
    """
    check(policy_grid, GRID, GRID_COLUMNS)
    check(policy_distance, DISTANCE, DISTANCE_COLUMNS)
    scenario = only(policy_grid, GRID, "scenario")
    distances = select(policy_distance, DISTANCE, comparison=comparison)
    between = distances[distances["policy_a"] != distances["policy_b"]]
    if between.empty:
        raise ValueError(f"{DISTANCE}: no row between two policies in {comparison}")
    policies = [only(between, DISTANCE, f"policy_{side}") for side in "ab"]
    record_of = {record["policy"]: record for record in records}
    if missing := set(policies) - set(record_of):
        raise ValueError(f"records: there is none of {', '.join(sorted(missing))}")
    upper, middle = (
        _policy(policy_grid, record_of[policy], set(between[f"seed_{side}"]))
        for policy, side in zip(policies, "ab", strict=True)
    )
    if not all(one.equals(other) for one, other in zip(upper.mean.axes, middle.mean.axes, strict=True)):
        raise ValueError(f"{GRID}: the levels of {' and '.join(policies)} differ")
    difference = upper.mean - middle.mean
    beyond = max(policy.mean.abs().max(axis=None) for policy in (upper, middle)) > FIG2_RATE_LIMIT
    end = float(difference.abs().max(axis=None)) or 1.0
    impacts, _, times = difference.columns.levels

    with drawing(205, f"scenario {scenario}") as figure:
        cells = figure.add_gridspec(4, len(impacts), height_ratios=(10, 10, 10, 5))
        panels = np.array([[figure.add_subplot(cells[row, at]) for at in range(len(impacts))] for row in range(3)])
        for at, impact in enumerate(impacts):
            for axes, policy in zip(panels[:, at], (upper, middle), strict=False):
                seeds = [policy.rates[seed][impact] for seed in policy.rates.columns.unique("seed")]
                mesh = _draw_map(axes, policy.mean[impact], seeds, RATE_COLOURS, FIG2_RATE_LIMIT)
            of_difference = _draw_map(panels[2, at], difference[impact], [], DIFFERENCE_COLOURS, end)
            for axes in panels[:, at]:
                axes.tick_params(labelleft=not at)
        extend = "both" if beyond else "neither"
        figure.colorbar(mesh, ax=panels[:2], label="trading rate (shares/hour)", extend=extend, aspect=40)
        figure.colorbar(of_difference, ax=panels[2], label="difference (shares/hour)", aspect=40)
        for axes, name in zip(panels[:, 0], (upper.title, middle.title, "difference"), strict=True):
            axes.set_ylabel(f"{name}\nown inventory $q$ (shares)")
        label = f"price $S$; in each map, time $t$ from {times.min():g} to {times.max():g} hours"
        panels[2, len(impacts) // 2].set_xlabel(label)
        strip = figure.add_subplot(cells[3, :])
        _draw_distances(strip, distances, upper, middle)
        titles = [f"$Y$ = {impact:.1f}".replace("-", "\N{MINUS SIGN}") for impact in impacts]
        title_panels([*panels.flat, strip], [*titles, *titles, *titles, "distances between two trainings"])
    return figure


def _policy(table: DataFrame, record: Mapping[str, Any], compared: set[int]) -> _Policy:
    """Return the seeds of the policy that are compared, did not diverge and have finite rates."""
    policy = record["policy"]
    diverged = {member["seed"] for member in record["members"] if member["diverged"]}
    rows = select(table, GRID, policy=policy)
    check_grid(rows, GRID, ("seed", *_LEVELS, "inventory"))
    rates = rows.pivot(index="inventory", columns=["seed", *_LEVELS], values="rate").sort_index(axis=1)
    finite = np.isfinite(rates).all().groupby("seed").all()
    drawn = [seed for seed in finite.index if finite[seed] and seed in compared - diverged]
    if not drawn:
        raise ValueError(f"{GRID}: {policy} has no seed left to draw")
    counted = f"{len(drawn)} of {len(finite)} seeds" if len(finite) > 1 else "one seed"
    kept = rates[drawn]
    mean = kept.T.groupby(_LEVELS).mean().T
    return _Policy(policy, f"{policy}, {counted}", ALGORITHM_COLOURS[record["algorithm"]], kept, mean)


def _draw_map(axes: Axes, mean: DataFrame, seeds: Sequence[DataFrame], colours: str, end: float) -> QuadMesh:
    """Draw the maps of one impact, inventories by (price, time), with the lines of zero rate."""
    prices, times = mean.columns.unique("price"), mean.columns.unique("time")
    width, inventories = len(times), mean.index.to_numpy()
    look: dict[str, Any] = {"cmap": colours, "vmin": -end, "vmax": end, "shading": "nearest", "rasterized": True}
    mesh = axes.pcolormesh(np.arange(mean.shape[1]), inventories, mean, **look)
    thin, dashed = {"linewidths": 0.4}, {"linewidths": 1.0, "linestyles": "--"}
    lines = [(rates, thin) for rates in seeds if len(seeds) > 1] + [(mean, dashed)] * bool(seeds)
    for rates, look in lines:
        for at, price in enumerate(prices):
            rate = rates[price].to_numpy()
            if rate.min() < 0 < rate.max() and min(rate.shape) > 1:
                axes.contour(at * width + np.arange(width), inventories, rate, [0.0], colors="k", **look)
    if seeds:
        axes.plot([], [], "k--", lw=1, label="mean rate over seeds is zero")
    if len(seeds) > 1:
        axes.plot([], [], "k", lw=0.4, label="rate of one seed is zero")
    for at in range(1, len(prices)):
        axes.axvline(at * width - 0.5, color="w", lw=2.5)
    axes.set(xlim=(-0.5, mean.shape[1] - 0.5), ylim=(inventories[0], inventories[-1]))
    axes.set_xticks(width * np.arange(len(prices)) + (width - 1) / 2, [f"{price:g}" for price in prices], fontsize=6)
    axes.spines[:].set_visible(False)
    return mesh


def _draw_distances(axes: Axes, distances: DataFrame, upper: _Policy, middle: _Policy) -> None:
    """Draw the distance of each pair of seeds that are drawn, on the grid and in the states that each policy visits."""
    for a, b, label, colour, shift in (
        (upper, middle, f"{upper.name} to {middle.name}", "k", -0.2),
        (upper, upper, f"two seeds of {upper.name}", upper.colour, 0.0),
        (middle, middle, f"two seeds of {middle.name}", middle.colour, 0.2),
    ):
        rows = distances[(distances["policy_a"] == a.name) & (distances["policy_b"] == b.name)]
        seeds_a, seeds_b = (policy.rates.columns.unique("seed") for policy in (a, b))
        rows = rows[rows["seed_a"].isin(seeds_a) & rows["seed_b"].isin(seeds_b)]
        places = {"grid": 0, "visited_a": 1 if a is upper else 2, "visited_b": 1 if b is upper else 2}
        draw_marks(
            axes, rows["rms"], rows["states"].map(places) + shift, "D", ms=3.5, mfc=colour, color=colour, label=label
        )
    lay_rows(axes, ["grid shown", *(f"visited by\n{policy.name}" for policy in (upper, middle))])
    axes.set_xlabel("RMS difference of rates (shares/hour)")
    axes.set_xlim(0)
