from collections.abc import Callable

import numpy as np
import pytest
from matplotlib.patches import Polygon
from pandas import DataFrame, concat

from nash_dqn.plots.fig3_cross_play import plot
from nash_dqn.published import FIG3_MEANS, RELEASED_WEIGHTS_PAIRED
from tests.plots.looking import fits, series, words

Table = Callable[..., DataFrame]
PAIRS = ("first_nash-all_other", "first_other-all_nash")
PROFILES = {"all_other": -1.35, "first_nash": -1.38, "first_other": -1.32, "all_nash": -1.34}


@pytest.fixture
def points() -> Callable[..., DataFrame]:
    """Cross-play of the named comparisons: 50 points a profile, seed pairs 0.01 apart, ``shift`` added to all."""

    def table(*comparisons: str, pairs: int = 3, shift: float = 0.0, algorithm: str = "fictitious_play") -> DataFrame:
        noise = np.linspace(-0.2, 0.2, 50)
        parts = []
        for comparison in comparisons:
            for seed in range(1, pairs + 1):
                for profile, mean in PROFILES.items():
                    for design in ("independent", "common"):
                        part = DataFrame({"point": range(50), "reward": mean + shift + 0.01 * seed + noise})
                        names = {"comparison": comparison, "other": comparison.partition("-vs-")[2]}
                        parts.append(
                            part.assign(**names, seed_nash=seed, seed_other=seed, profile=profile, design=design)
                        )
        table = concat(parts, ignore_index=True)
        return table.assign(scenario="code", other_algorithm=algorithm, reward_sd=2.7, paths=1000)

    return table


@pytest.fixture
def tests_table() -> Callable[..., DataFrame]:
    """Tests of the named comparisons, with differences that tell the rows apart."""

    def table(*comparisons: str, pairs: int = 3) -> DataFrame:
        scopes = [*(f"{seed}-{seed}" for seed in range(1, pairs + 1)), "pooled"]
        rows = []
        for comparison in comparisons:
            for pair, sign in (("first_nash-all_other", -1), ("first_other-all_nash", 1)):
                for at, scope in enumerate(scopes, start=1):
                    for test in ("welch", "paired"):
                        middle = sign * 0.01 * at
                        defined = scope != "pooled" or pairs > 1
                        half, p = (0.004, 0.02 * at) if defined else (np.nan, np.nan)
                        numbers = (middle, middle - half, middle + half, p, p < 0.05 if defined else None)
                        rows.append((comparison, pair, scope, test, *numbers))
        columns = ["comparison", "pair", "scope", "test", "mean_difference", "low", "high", "p_value", "reject"]
        found = DataFrame(rows, columns=columns)
        return found.assign(other=found["comparison"].str.partition("-vs-")[2])

    return table


PAPER, REFERENCE, AUTHORS = "nash-text-vs-fp-code", "nash-refined-vs-reference", "authors-nash-vs-authors-fp"
LABELS = ("gain by switching to Nash-DQN", "gain by switching from Nash-DQN")


def of_profile(points: DataFrame, profile: str) -> DataFrame:
    return points[(points["profile"] == profile) & (points["design"] == "independent")]


def test_histograms_are_of_the_independent_design_with_means_and_the_papers(points: Table, tests_table: Table) -> None:
    table = points(PAPER)
    table["reward"] = table["reward"].where(table["design"] == "independent", 99.0)
    figure = plot(table, tests_table(PAPER))
    for axes, profiles in zip(figure.axes, (("all_other", "first_nash"), ("first_other", "all_nash")), strict=False):
        filled = [patch for patch in axes.patches if isinstance(patch, Polygon)][::2]  # outlines are drawn after them
        means, dots, theirs = (
            series(axes, label)
            for label in ("mean over seed pairs", "mean of one seed pair", "the paper's mean (digitised)")
        )
        for at, profile in enumerate(profiles):
            rewards = of_profile(table, profile)
            corners = np.asarray(filled[at].get_xy())  # from the left edge along the bins, and back along zero
            edges, counts = np.unique(corners[:, 0]), corners[1:41:2, 1]
            assert len(edges) == 21
            np.testing.assert_allclose(counts, np.histogram(rewards["reward"], edges)[0] / 3)  # mean over 3 pairs
            assert means[at][0, 0] == pytest.approx(rewards["reward"].mean())
            np.testing.assert_allclose(dots[at][:, 0], rewards.groupby("seed_nash")["reward"].mean())
            assert theirs[at][0, 0] == FIG3_MEANS[profile].value
            assert axes.get_xlim()[0] < FIG3_MEANS[profile].value < axes.get_xlim()[1]
    assert fits(figure)
    far = plot(points(PAPER, shift=-0.9), tests_table(PAPER))
    assert not series(far.axes[0], "the paper's mean (digitised)")
    assert far.axes[0].get_xlim()[1] < -1.5


def test_differences_are_those_of_the_paired_tests(points: Table, tests_table: Table) -> None:
    tests = tests_table(PAPER)
    axes = plot(points(PAPER), tests).axes[2]
    for pair, label, bars in zip(PAIRS, LABELS, (0, 2), strict=True):
        paired = tests[(tests["pair"] == pair) & (tests["test"] == "paired")]
        (drawn,) = series(axes, label)
        np.testing.assert_allclose(drawn[:, 0], paired["mean_difference"])
        ends = [segment[:, 0] for segment in axes.containers[bars][2][0].get_segments()]
        np.testing.assert_allclose(ends, paired[["low", "high"]])
        theirs = axes.containers[bars + 1][0]
        assert np.asarray(theirs.get_xdata())[0] == RELEASED_WEIGHTS_PAIRED[pair].value
    pooled = plot(points(PAPER, pairs=1), tests_table(PAPER, pairs=1)).axes[2]  # without an interval
    np.testing.assert_allclose(series(pooled, LABELS[1])[0][:, 0], [0.01, 0.02])


def test_titles_tell_what_is_compared_and_what_welch_rejects(points: Table, tests_table: Table) -> None:
    """The fixture's p values are 0.02, 0.04, 0.06 by seed pair."""
    table = concat([points(PAPER), points(REFERENCE, algorithm="self_play", pairs=5)])
    figure = plot(table, concat([tests_table(PAPER), tests_table(REFERENCE, pairs=5)]))
    text = words(figure)
    for title in ("(a) others play fp-code", "(b) others play nash-text"):
        assert f"{title}\nWelch rejects 2 of 3\n" in text
    assert "(d) others play reference\nWelch rejects 2 of 5" in text
    legend = [label.get_text() for label in figure.legends[0].get_texts()]
    assert [f"agent 1 plays {name}" in legend for name in ("FP", "Nash-DQN", "self-play")] == [True] * 3


def test_nothing_published_stands_beside_self_play(points: Table, tests_table: Table) -> None:
    text = words(plot(points(REFERENCE, algorithm="self_play"), tests_table(REFERENCE)))
    assert not any(wrong in text for wrong in ("paper", "authors", "FP"))


def test_the_authors_policies_have_a_row_and_their_differences_stand_beside_ours(
    points: Table, tests_table: Table
) -> None:
    theirs = points(AUTHORS, pairs=1).assign(seed_nash=0, seed_other=0)
    of_theirs = tests_table(AUTHORS, pairs=1).replace({"scope": {"1-1": "0-0"}})
    of_theirs[["mean_difference", "low", "high"]] *= 5
    figure = plot(concat([points(PAPER), theirs]), concat([tests_table(PAPER), of_theirs]))
    assert "(d) others play authors-fp" in words(figure) and "(e) others play authors-nash" in words(figure)
    for bars, sign in ((1, -1), (3, 1)):  # beside ours alone
        assert figure.axes[2].containers[bars][0].get_xdata()[0] == pytest.approx(sign * 0.05)
    assert len(figure.axes[5].get_yticks()) == 2


def test_pairs_too_far_away_are_named(points: Table, tests_table: Table) -> None:
    table, tests = points(PAPER), tests_table(PAPER).astype({"reject": "boolean"})
    second = table["seed_nash"] == 2
    table.loc[second & (table["profile"] == "all_nash"), "reward"] -= 5e6
    table.loc[second & (table["profile"] == "first_nash"), "reward"] = np.nan
    tests.loc[(tests["scope"] == "2-2") & (tests["pair"] == PAIRS[1]), "mean_difference"] = 5e6
    tests.loc[(tests["scope"] == "2-2") & (tests["pair"] == PAIRS[0]), ["mean_difference", "p_value", "reject"]] = None
    figure = plot(table, tests)
    assert "Welch rejects 1 of 2, off scale: 2-2" in words(figure)
    assert words(figure).count("off scale: 2-2") == 2
    kept = of_profile(table, "first_other")
    (line, _) = series(figure.axes[1], "mean over seed pairs")
    assert line[0, 0] == pytest.approx(kept.loc[kept["seed_nash"] != 2, "reward"].mean())
    (crosses,) = series(figure.axes[2], "off scale or undefined")
    np.testing.assert_allclose(crosses[:, 1], [0.82, 1.18])
    assert max(map(abs, figure.axes[2].get_xlim())) < 1


def test_a_run_without_finite_rewards_and_one_of_a_single_point(points: Table, tests_table: Table) -> None:
    tests = tests_table(PAPER)
    tests[["mean_difference", "low", "high", "p_value", "reject"]] = None
    tests = tests.astype(dict.fromkeys(("mean_difference", "low", "high", "p_value"), float))
    text = words(plot(points(PAPER).assign(reward=np.inf), tests))
    assert text.count("Welch rejects 0 of 0, off scale: 1-1, 2-2, 3-3") == 2
    table = points(PAPER)
    figure = plot(table[table["point"] == 0], tests_table(PAPER))
    assert len(series(figure.axes[0], "mean of one seed pair")[0]) == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t, s: (t[t["profile"] != "all_other"], s), "cross_play: no row with profile=all_other"),
        (lambda t, s: (t.drop(index=t.index[0]), s), "cross_play: no row with seeds=1-1, profile=all_other, point=0"),
        (lambda t, s: (t.assign(point=0), s), "cross_play: more than one row with seeds=1-1, profile=all_other"),
        (
            lambda t, s: (t.assign(other_algorithm="ddpg"), s),
            "other_algorithm = 'ddpg': allowed are nash_dqn, fictitious",
        ),
        (lambda t, s: (t.assign(other="fp"), s), "comparison nash-text-vs-fp-code is not with fp, but its rows are"),
        (lambda t, s: (t, s.assign(comparison=REFERENCE)), "cross_play_tests: no row with comparison=nash-text-vs"),
        (lambda t, s: (t, s[s["scope"] != "pooled"]), "cross_play_tests: no row with scope=pooled"),
        (lambda t, s: (t, s[s["test"] != "welch"]), "no row with pair=first_nash-all_other, test=welch"),
        (lambda t, s: (t, s.assign(scope="1-1")), "cross_play_tests: more than one row with comparison=nash-text-vs"),
        (lambda t, s: (t, s.assign(reject="?")), "cross_play_tests: reject must hold True, False or nothing"),
    ],
)
def test_what_is_wrong_with_a_table_is_said(
    points: Table, tests_table: Table, change: Callable[..., tuple[DataFrame, DataFrame]], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        plot(*change(points(PAPER, pairs=1), tests_table(PAPER, pairs=1)))
