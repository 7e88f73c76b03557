from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from pandas import DataFrame, concat

from nash_dqn.plots.fig3_cross_play import plot
from nash_dqn.published import FIG3_MEANS, RELEASED_WEIGHTS_PAIRED

Table = Callable[..., DataFrame]
Find = Callable[..., list[Any]]
PROFILES = ("all_other", "first_nash", "first_other", "all_nash")
PAIRS = ("first_nash-all_other", "first_other-all_nash")


def of_profile(points: DataFrame, profile: str) -> DataFrame:
    return points[(points["profile"] == profile) & (points["design"] == "independent")]


@pytest.mark.parametrize("profile", PROFILES)
def test_histograms_have_20_bins_and_count_every_point(
    points: Table, tests_table: Table, find: Find, profile: str
) -> None:
    figure = plot(points("paper"), tests_table("paper"))
    (steps,) = find(figure, f"histogram-{profile}")
    counts, edges, _ = steps.get_data()
    assert len(counts) == 20
    assert counts.sum() == pytest.approx(50)  # points of a seed pair: counts are means over pairs
    rewards = of_profile(points("paper"), profile)["reward"]
    np.testing.assert_allclose(counts, np.histogram(rewards, edges)[0] / 3)


@pytest.mark.parametrize("profile", PROFILES)
def test_lines_and_dots_are_the_means_of_the_table(points: Table, tests_table: Table, find: Find, profile: str) -> None:
    figure = plot(points("paper"), tests_table("paper"))
    rewards = of_profile(points("paper"), profile)
    (line,) = find(figure, f"mean-{profile}")
    assert line.get_xdata()[0] == pytest.approx(rewards["reward"].mean())
    (dots,) = find(figure, f"pairs-{profile}")
    np.testing.assert_allclose(dots.get_xdata(), rewards.groupby("seed_nash")["reward"].mean())


def test_the_independent_design_is_drawn(points: Table, tests_table: Table, find: Find) -> None:
    table = points("paper")
    table["reward"] = table["reward"].where(table["design"] == "independent", 99.0)
    figure = plot(table, tests_table("paper"))
    assert find(figure, "mean-all_other")[0].get_xdata()[0] == pytest.approx(-1.33)


@pytest.mark.parametrize("profile", PROFILES)
def test_the_papers_means_are_marked(points: Table, tests_table: Table, find: Find, profile: str) -> None:
    figure = plot(points("paper"), tests_table("paper"))
    (mark,) = find(figure, f"published-{profile}")
    assert list(mark.get_xdata()) == [FIG3_MEANS[profile].value]
    low, high = mark.axes.get_xlim()
    assert low < FIG3_MEANS[profile].value < high


def test_means_far_from_the_data_are_written_instead(
    points: Table, tests_table: Table, find: Find, words: Callable[[Figure], str]
) -> None:
    figure = plot(points("paper", shift=-0.9), tests_table("paper"))
    assert not find(figure, "published-all_other")
    assert figure.axes[0].get_xlim()[1] < -1.5
    assert "paper: FP \N{MINUS SIGN}1.349, Nash-DQN \N{MINUS SIGN}1.375" in words(figure)
    assert "the paper's mean (digitised)" not in words(figure)


def test_tests_are_written_above(points: Table, tests_table: Table, words: Callable[[Figure], str]) -> None:
    # The fixture's p values are 0.02, 0.04, 0.06 by seed pair; its pooled differences 0.04 +- 0.004.
    text = words(plot(points("paper"), tests_table("paper")))
    assert text.count("Welch $p$: 0.02, 0.04, 0.06\nequal means rejected: 2 of 3") == 2
    minus = "\N{MINUS SIGN}"
    assert f"paired, pooled: {minus}0.0400 [{minus}0.0440, {minus}0.0360]" in text
    assert "paired, pooled: 0.0400 [0.0360, 0.0440]" in text


@pytest.mark.parametrize(
    ("factor", "text"),
    [(1, "0.0400 [0.0360, 0.0440]"), (100, "4.00 [3.60, 4.40]"), (1e8, "4.0e+06 [3.6e+06, 4.4e+06]")],
)
def test_large_differences_get_fewer_digits(
    points: Table, tests_table: Table, words: Callable[[Figure], str], factor: float, text: str
) -> None:
    tests = tests_table("paper")
    tests[["mean_difference", "low", "high"]] *= factor
    assert f"paired, pooled: {text}" in words(plot(points("paper"), tests))


def test_many_seed_pairs_are_summed_up(points: Table, tests_table: Table, words: Callable[[Figure], str]) -> None:
    text = words(plot(points("paper", pairs=6), tests_table("paper", pairs=6)))
    assert "Welch $p$: 0.02 to 0.12\nequal means rejected: 2 of 6" in text


@pytest.mark.parametrize("pair", PAIRS)
def test_differences_are_those_of_the_paired_tests(points: Table, tests_table: Table, find: Find, pair: str) -> None:
    tests = tests_table("paper")
    figure = plot(points("paper"), tests)
    paired = tests[(tests["pair"] == pair) & (tests["test"] == "paired")].set_index("scope")["mean_difference"]
    for scope, expected in paired.items():
        (point,) = find(figure, f"{pair} {scope}")
        assert point.get_xdata()[0] == pytest.approx(expected)
    (theirs,) = find(figure, f"{pair} published")
    assert theirs.get_xdata()[0] == RELEASED_WEIGHTS_PAIRED[pair].value


def test_each_comparison_is_a_row(points: Table, tests_table: Table, words: Callable[[Figure], str]) -> None:
    figure = plot(points("paper", "released"), tests_table("paper", "released"))
    letters = [axes.get_title(loc="left")[:3] for axes in figure.axes]
    assert letters == ["(a)", "(b)", "(c)", "(d)", "(e)", "(f)"]
    assert "comparison: paper (Nash-DQN and FP)" in words(figure)
    assert "comparison: released (Nash-DQN and FP)" in words(figure)


def test_self_play_is_called_by_its_name_and_has_nothing_published(
    points: Table, tests_table: Table, find: Find, words: Callable[[Figure], str]
) -> None:
    reference = points("reference", other="self_play/memory", shift=-0.9)
    figure = plot(reference, tests_table("reference"))
    text = words(figure)
    assert "comparison: reference (Nash-DQN and self-play, memory)" in text
    assert "(a) others play self-play, memory" in text
    assert "agent 1 plays self-play, memory" in text
    assert not find(figure, "published-all_other") + find(figure, f"{PAIRS[0]} published")
    assert [label.get_text() for label in figure.axes[2].get_yticklabels()] == [
        "seeds 1-1",
        "seeds 2-2",
        "seeds 3-3",
        "pooled",
    ]
    for wrong in ("FP", "paper", "authors", "equilibrium"):
        assert wrong not in text


def test_the_authors_policies_have_a_row_and_their_differences_stand_beside_ours(
    points: Table, tests_table: Table, find: Find, words: Callable[[Figure], str], overhang: Callable[[Figure], float]
) -> None:
    theirs = points("authors", other="authors/fp", pairs=1).assign(seed_nash=0, seed_other=0)
    of_theirs = tests_table("authors", pairs=1).replace({"scope": {"1-1": "0-0"}})
    of_theirs[["mean_difference", "low", "high"]] *= 5
    figure = plot(concat([points("paper"), theirs]), concat([tests_table("paper"), of_theirs]))
    text = words(figure)
    assert "comparison: authors (authors' Nash-DQN and authors' FP)" in text
    assert "(d) others play authors' FP" in text
    assert "(e) others play authors' Nash-DQN" in text
    assert len(find(figure, "published-all_other")) == 2  # the paper's means are of both
    for pair, sign in zip(PAIRS, (-1, 1), strict=True):
        (mark,) = find(figure, f"{pair} published")  # beside ours alone
        assert mark.get_xdata()[0] == pytest.approx(sign * 0.05)
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend[:3] == ["agent 1 plays FP", "agent 1 plays Nash-DQN", "mean over seed pairs"]
    assert overhang(figure) <= 0


def test_comparisons_may_have_different_others(
    points: Table, tests_table: Table, find: Find, words: Callable[[Figure], str], overhang: Callable[[Figure], float]
) -> None:
    table = concat([points("paper"), points("reference", other="self_play/memory", pairs=5)])
    tests = concat([tests_table("paper"), tests_table("reference", pairs=5)])
    figure = plot(table, tests)
    colours = [tuple(steps.get_facecolor()[:3]) for steps in find(figure, "histogram-all_other")]
    assert len(set(colours)) == 2
    assert len(find(figure, "published-all_other")) == 1
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend[:3] == [f"agent 1 plays {name}" for name in ("FP", "self-play, memory", "Nash-DQN")]
    assert overhang(figure) <= 0


def test_long_lists_of_p_values_do_not_run_into_the_next_panel(
    points: Table, tests_table: Table, words: Callable[[Figure], str]
) -> None:
    tests = tests_table("paper", pairs=4)
    tests.loc[tests["scope"] != "pooled", "p_value"] = [
        0.0031,
        0.0031,
        0.0011,
        0.0011,
        0.0026,
        0.0026,
        0.0018,
        0.0018,
    ] * 2
    assert "Welch $p$: 0.0011 to 0.0031\n" in words(plot(points("paper", pairs=4), tests))


def test_pairs_too_far_away_are_named(
    points: Table, tests_table: Table, find: Find, words: Callable[[Figure], str]
) -> None:
    table, tests = points("paper"), tests_table("paper").astype({"reject": "boolean"})
    second = table["seed_nash"] == 2
    table.loc[second & (table["profile"] == "all_nash"), "reward"] -= 5e6
    table.loc[second & (table["profile"] == "first_nash"), "reward"] = np.nan
    tests.loc[(tests["scope"] == "2-2") & (tests["pair"] == PAIRS[1]), "mean_difference"] = 5e6
    tests.loc[(tests["scope"] == "2-2") & (tests["pair"] == PAIRS[0]), ["mean_difference", "p_value", "reject"]] = None
    figure = plot(table, tests)
    assert words(figure).count("off scale, not drawn: seeds 2-2") == 2
    assert "5.0e+06 off scale" in words(figure)
    assert "undefined" in words(figure)
    assert "Welch $p$: 0.02, none, 0.06\nequal means rejected: 1 of 2" in words(figure)
    kept = of_profile(table, "first_other")
    kept = kept[kept["seed_nash"] != 2]
    assert find(figure, "mean-first_other")[0].get_xdata()[0] == pytest.approx(kept["reward"].mean())
    assert max(map(abs, figure.axes[2].get_xlim())) < 1


def test_a_run_without_finite_rewards_says_so(
    points: Table, tests_table: Table, words: Callable[[Figure], str]
) -> None:
    tests = tests_table("paper")
    tests[["mean_difference", "low", "high", "p_value", "reject"]] = None
    tests = tests.astype(dict.fromkeys(("mean_difference", "low", "high", "p_value"), float))
    text = words(plot(points("paper").assign(reward=np.inf), tests))
    assert "off scale, not drawn: seeds 1-1, 2-2, 3-3" in text
    assert "equal means rejected: 0 of 0\npaired, pooled: undefined" in text


def test_one_seed_pair_has_no_pooled_interval(
    points: Table, tests_table: Table, words: Callable[[Figure], str]
) -> None:
    text = words(plot(points("paper", pairs=1), tests_table("paper", pairs=1)))
    assert "paired, pooled: 0.0200\n" in text + "\n"
    assert "[" not in text


def test_a_single_point_can_be_drawn(points: Table, tests_table: Table, find: Find) -> None:
    table = points("paper")
    figure = plot(table[table["point"] == 0], tests_table("paper"))
    assert len(find(figure, "pairs-all_other")[0].get_xdata()) == 3


def test_nothing_is_cut_off(points: Table, tests_table: Table, overhang: Callable[[Figure], float]) -> None:
    assert overhang(plot(points("paper", "released"), tests_table("paper", "released"))) <= 0
    assert overhang(plot(points("paper", pairs=6, shift=-0.9), tests_table("paper", pairs=6))) <= 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="design"), "cross_play: column design is missing"),
        (lambda t: t[t["profile"] != "all_other"], "cross_play: no row with profile=all_other"),
        (
            lambda t: t[(t["profile"] != "all_other") | (t["seed_nash"] != 2)],
            "cross_play: no row of comparison=paper, profile=all_other, seeds 2-2",
        ),
        (lambda t: t[t["design"] != "independent"], "no row with comparison=paper, design=independent"),
        (
            lambda t: t.assign(other=["self_play/memory", *t["other"][1:]]),
            "cross_play: other must be the same in every",
        ),
        (lambda t: t.assign(other="ddpg/x"), "policy 'ddpg/x' must be nash_dqn/RECIPE or"),
        (lambda t: t.assign(point=0), "cross_play: more than one row with scope=1-1, point=0"),
    ],
)
def test_what_is_wrong_with_the_points_is_said(
    points: Table, tests_table: Table, change: Callable[[DataFrame], DataFrame], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        plot(change(points("paper")), tests_table("paper"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="p_value"), "cross_play_tests: column p_value is missing"),
        (lambda t: t.assign(comparison="released"), "cross_play_tests: no row with comparison=paper"),
        (lambda t: t[t["scope"] != "pooled"], "no row with pair=first_nash-all_other, scope=pooled, test=paired"),
        (lambda t: t[t["test"] != "welch"], "no row with pair=first_nash-all_other, scope=1-1, test=welch"),
        (
            lambda t: t.assign(scope="1-1"),
            "more than one row with comparison=paper, pair=first_nash-all_other, scope=1-1",
        ),
        (lambda t: t.assign(reject="?"), "cross_play_tests: reject must hold True, False or nothing"),
    ],
)
def test_what_is_wrong_with_the_tests_is_said(
    points: Table, tests_table: Table, change: Callable[[DataFrame], DataFrame], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        plot(points("paper", pairs=1), change(tests_table("paper", pairs=1)))
