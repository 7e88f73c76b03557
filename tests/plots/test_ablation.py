"""The figure of the ablation shows the numbers of its tables where they belong."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from pandas import DataFrame, concat

from nash_dqn.evaluation.statistics import FLOOR
from nash_dqn.plots.ablation import plot
from nash_dqn.studies.ablation import by_seed, table

Find = Callable[[Figure, str], list[Any]]
Words = Callable[[Figure], str]

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
        ("released", setting, seed, deviator, "1", factor * gain, 0.0, 1.0, -1.0, factor * gain)
        for setting, *_ in settings
        for seed, gain in enumerate(GAINS[setting][:seeds], start=1)
        for deviator, factor in (("same", 0.5), ("memory", 1.0))
    ]
    columns = ["scenario", "recipe", "seed", "deviator", "player", "gain", "low", "high", "value", "share"]
    entries = [dict(zip(("setting", "base", "change", "kind"), entry, strict=True)) for entry in settings]
    return by_seed(DataFrame(rows, columns=columns), entries)


@pytest.fixture
def seeds() -> DataFrame:
    return seeds_of(SETTINGS)


@pytest.fixture
def figure(seeds: DataFrame) -> Figure:
    return plot(table(seeds), seeds)


def test_a_panel_for_each_direction_and_one_for_variants(figure: Figure, find: Find) -> None:
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["(a) plain with one change of full", "(b) full without one change", "(c) full, other changes"]
    assert [text.get_text() for text in find(figure, "name")] == [
        *("no change", "speed", "network size"),  # beside (a), for (b) too
        *("no change", "more"),
    ]


def test_means_seeds_and_intervals_stand_in_the_row_of_their_change(
    figure: Figure, find: Find, seeds: DataFrame
) -> None:
    means = table(seeds)
    rows = {"plain+network_size": (0, 2), "full-network_size": (1, 2), "full+more": (2, 1)}
    for setting, (panel, row) in rows.items():
        axes = figure.axes[panel]
        height = axes.get_ylim()[0] / (3 if panel < 2 else 2)
        for deviator in ("same", "memory"):
            (mean,) = find(figure, f"mean {setting} {deviator}")
            expected = means[(means["setting"] == setting) & (means["deviator"] == deviator)].iloc[0]
            assert mean.axes is axes
            assert mean.get_xdata()[0] == pytest.approx(expected["gain"])
            assert row * height < mean.get_ydata()[0] < (row + 1) * height
            (interval,) = find(figure, f"interval {setting} {deviator}")
            assert list(interval.get_xdata()) == pytest.approx([expected["low"], expected["high"]])
    drawn = [x for line in find(figure, "seeds plain+network_size memory") for x in line.get_xdata()]
    assert drawn == list(GAINS["plain+network_size"])


def test_the_band_is_the_interval_of_the_recipe_itself(figure: Figure, find: Find, seeds: DataFrame) -> None:
    means = table(seeds).set_index(["setting", "deviator"])
    for axes, name, other in zip(figure.axes, ("plain", "full", "full"), ("full", "plain", "plain"), strict=True):
        (band,) = (band for band in find(figure, "band memory") if band.axes is axes)
        row = means.loc[(name, "memory")]
        assert band.get_x() == pytest.approx(row["low"])
        assert band.get_width() == pytest.approx(row["high"] - row["low"])
        (line,) = (line for line in find(figure, "other") if line.axes is axes)
        assert line.get_xdata()[0] == pytest.approx(means.loc[(other, "memory"), "gain"])


def test_factors_are_those_of_the_last_deviator_and_bold_if_told_from_one(figure: Figure, find: Find) -> None:
    found = [(text.axes, text.get_text(), text.get_weight()) for text in find(figure, "factor")]
    first, second, third = figure.axes
    # 0.1 / 0.3, 0.1 / 0.4 and 0.2 / 0.5 by hand: 0.32; exactly 2 for each seed of full.
    assert found[:3] == [
        (first, "×1.0", "normal"),
        (first, "×0.32", "bold"),
        (second, "×2.0", "bold"),
    ]
    assert [entry[0] for entry in found[3:]] == [third]
    assert found[3][2] == "normal"


def test_diverged_trainings_are_marked_and_counted(figure: Figure, find: Find, words: Words, seeds: DataFrame) -> None:
    assert [text.get_text() for text in find(figure, "diverged")] == ["1 of 3", "3 of 3"]
    assert len(find(figure, "diverged plain+speed")) == len(find(figure, "diverged full-speed")) == 1
    (mean,) = find(figure, "mean plain+speed memory")
    assert mean.get_xdata()[0] == pytest.approx(math.sqrt(0.3 * 0.5))
    assert "diverged" in words(figure)
    sound = seeds.assign(gain=seeds["gain"].fillna(0.1), diverged=False)
    assert "diverged" not in words(plot(table(sound), sound))


def test_what_is_not_told_from_zero_is_an_arrow_on_the_smallest_gain(
    figure: Figure, find: Find, words: Words, seeds: DataFrame
) -> None:
    circles, arrows = find(figure, "seeds full+more memory")
    assert list(circles.get_xdata()) == [0.01, 0.01]
    assert list(arrows.get_xdata()) == [FLOOR]
    assert arrows.get_marker() == "<"
    assert figure.axes[2].get_xlim()[0] < FLOOR
    assert "below 0.0001 or negative" in words(figure)
    positive = seeds_of(SETTINGS[:-1])
    assert "below 0.0001 or negative" not in words(plot(table(positive), positive))


def test_one_seed_has_no_intervals_and_no_bands(find: Find, overhang: Callable[[Figure], float]) -> None:
    seeds = seeds_of(SETTINGS, seeds=1)
    figure = plot(table(seeds), seeds)
    assert not [band for band in find(figure, "band memory") if np.isfinite(band.get_width())]
    assert [line.get_xdata()[0] for line in find(figure, "base memory")] == pytest.approx([0.3, 0.01, 0.01])
    assert overhang(figure) <= 0


def test_a_run_where_everything_diverged_still_shows_it(
    find: Find, overhang: Callable[[Figure], float], seeds: DataFrame
) -> None:
    lost = seeds.assign(gain=math.nan, value=math.nan, diverged=True)
    figure = plot(table(lost), lost)
    assert len(find(figure, "diverged")) == len(SETTINGS) + 1  # full itself stands in two panels
    assert overhang(figure) <= 0


def test_variants_of_both_recipes_lie_within_the_page(overhang: Callable[[Figure], float]) -> None:
    names = ("a_name_that_is_rather_long", "another_that_is_no_shorter")
    seeds = seeds_of(SETTINGS)
    own = seeds[seeds["setting"] == "plain"]
    more = (own.assign(setting=f"plain+{name}", change=name, kind="variant") for name in names)
    seeds = concat([seeds, *more], ignore_index=True)
    figure = plot(table(seeds), seeds)
    assert [axes.get_title(loc="left")[:3] for axes in figure.axes] == ["(a)", "(b)", "(c)", "(d)"]
    assert overhang(figure) <= 0
    boxes = [axes.get_position() for axes in figure.axes]
    assert boxes[2].x0 == boxes[0].x0
    assert boxes[3].x0 == boxes[1].x0
    assert boxes[3].y1 < boxes[2].y0


def test_what_is_wrong_with_a_table_is_said(seeds: DataFrame) -> None:
    whole = table(seeds)
    with pytest.raises(ValueError, match="ablation: column factor is missing"):
        plot(whole.drop(columns="factor"), seeds)
    with pytest.raises(ValueError, match="ablation_seeds: column gain is missing"):
        plot(whole, seeds.drop(columns="gain"))
    with pytest.raises(ValueError, match="deviator = 'spy': allowed are same, memory, history"):
        plot(whole.assign(deviator="spy"), seeds)
    with pytest.raises(ValueError, match="same switches added and removed .* speed added, speed, network_size removed"):
        plot(whole[whole["setting"] != "plain+network_size"], seeds)
