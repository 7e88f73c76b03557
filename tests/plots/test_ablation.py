"""The figure of the ablation shows the numbers of its tables where they belong."""

import math
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from pandas import DataFrame, concat

from nash_dqn.evaluation.statistics import FLOOR
from nash_dqn.plots.ablation import plot
from nash_dqn.plots.style import DEVIATORS
from nash_dqn.studies.ablation import by_seed, table
from tests.plots.looking import fits, series

SETTINGS = [
    ("plain", "plain", None, "base"),
    ("plain+speed", "plain", "speed", "added"),
    ("plain+network_size", "plain", "network_size", "added"),
    ("full", "full", None, "base"),
    ("full-speed", "full", "speed", "removed"),
    ("full-network_size", "full", "network_size", "removed"),
    ("full+more", "full", "more", "variant"),
]
# Of the deviator with memory, seeds 1, 2, 3; one that sees what the policy sees gains half as much.
GAINS = {
    "plain": (0.3, 0.4, 0.5),
    "plain+speed": (0.3, math.nan, 0.5),
    "plain+network_size": (0.1, 0.1, 0.2),
    "full": (0.01, 0.011, 0.012),
    "full-speed": (math.nan,) * 3,
    "full-network_size": (0.02, 0.022, 0.024),
    "full+more": (0.01, -0.01, 0.01),
}


def seeds_of(settings: list[tuple[Any, ...]], seeds: int = 3) -> DataFrame:
    rows = [
        ("code", policy, seed, deviator, "1", factor * gain, 0.0, 1.0, -1.0, factor * gain)
        for policy, *_ in settings
        for seed, gain in enumerate(GAINS[policy][:seeds], start=1)
        for deviator, factor in (("same", 0.5), ("memory", 1.0))
    ]
    columns = ["scenario", "policy", "seed", "deviator", "player", "gain", "low", "high", "value", "share"]
    entries = [dict(zip(("policy", "base", "change", "kind"), entry, strict=True)) for entry in settings]
    return by_seed(DataFrame(rows, columns=columns), entries)


@pytest.fixture
def seeds() -> DataFrame:
    return seeds_of(SETTINGS)


@pytest.fixture
def figure(seeds: DataFrame) -> Figure:
    return plot(table(seeds), seeds)


def test_means_intervals_and_seeds_stand_in_the_row_of_their_change(figure: Figure, seeds: DataFrame) -> None:
    means = table(seeds).set_index(["policy", "deviator"])
    panels = (
        ("plain", "plain+speed", "plain+network_size"),
        ("full", "full-speed", "full-network_size"),
        ("full", "full+more"),
    )
    for axes, settings in zip(figure.axes, panels, strict=True):
        for deviator, shift in (("same", -0.2), ("memory", 0.2)):
            label = DEVIATORS[deviator].label
            (points,) = series(axes, label)
            drawn = points[np.argsort(points[:, 1])]
            expected = [means.loc[(setting, deviator), "gain"] for setting in settings]
            np.testing.assert_allclose(drawn[:, 0], expected)
            np.testing.assert_allclose(drawn[:, 1], np.arange(len(settings)) + shift)
            (bars,) = [bars for bars in axes.containers if bars.get_label() == label]
            ends = {round(line[0, 1] - shift): line[:, 0] for line in bars[2][0].get_segments() if len(line)}
            first = means.loc[(settings[0], deviator)]
            np.testing.assert_allclose(ends[0], [first["low"], first["high"]])
    circles = np.concatenate(series(figure.axes[0], "one seed"))
    assert sorted(circles[np.isclose(circles[:, 1], 2.2), 0]) == sorted(GAINS["plain+network_size"])
    assert fits(figure)


def test_the_band_is_the_interval_of_the_policy_unchanged(figure: Figure, seeds: DataFrame) -> None:
    means = table(seeds).set_index(["policy", "deviator"])
    for axes, name, other in zip(figure.axes, ("plain", "full", "full"), ("full", "plain", "plain"), strict=True):
        bands = [
            (band.get_x(), band.get_x() + band.get_width()) for band in axes.patches if isinstance(band, Rectangle)
        ]
        np.testing.assert_allclose(
            bands, [means.loc[(name, deviator), ["low", "high"]] for deviator in ("same", "memory")]
        )
        (line,) = series(axes, "the other policy, unchanged")
        assert line[0, 0] == pytest.approx(means.loc[(other, "memory"), "gain"])


def test_factors_and_diverged_trainings(figure: Figure, seeds: DataFrame) -> None:
    found = []
    for axes in figure.axes:
        (right,) = axes.child_axes
        labels = right.get_yticklabels()
        found.append([(text.get_text(), text.get_fontweight()) for text in labels])
    # 0.1 / 0.3, 0.1 / 0.4 and 0.2 / 0.5 by hand: 0.32; exactly 2 for each seed of full.
    assert found[0] == [("", "normal"), ("×1.0\n1 of 3", "normal"), ("×0.32", "bold")]
    assert found[1] == [("", "normal"), ("3 of 3", "normal"), ("×2.0", "bold")]
    for axes in figure.axes[:2]:
        (crosses,) = series(axes, "diverged (of seeds), in no mean")
        assert crosses[:, 1].tolist() == [1]
    (arrow,) = series(figure.axes[2], f"one seed, below {FLOOR:g} or negative")[-1:]
    assert arrow[:, 0].tolist() == [FLOOR]


def test_few_seeds_everything_diverged_and_variants_of_both() -> None:
    seeds = seeds_of(SETTINGS)
    lost = seeds.assign(gain=math.nan, value=math.nan, diverged=True)
    own = seeds[seeds["policy"] == "plain"].assign(policy="plain+other", change="other", kind="variant")
    one, nothing, both = (plot(table(of), of) for of in (seeds_of(SETTINGS, seeds=1), lost, concat([seeds, own])))
    assert fits(one) and fits(nothing)
    titles = [axes.get_title(loc="left") for axes in both.axes]
    assert titles[2:] == ["(c) plain, other changes", "(d) full, other changes"]


def test_what_is_wrong_with_a_table_is_said(seeds: DataFrame) -> None:
    whole = table(seeds)
    for message, wrong in (
        ("deviator = 'spy': allowed are same, memory, history", whole.assign(deviator="spy")),
        ("switches added and removed .* speed added, speed, ", whole[whole["policy"] != "plain+network_size"]),
    ):
        with pytest.raises(ValueError, match=message):
            plot(wrong, seeds)
