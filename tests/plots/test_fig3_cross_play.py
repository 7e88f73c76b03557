import numpy as np
import pytest
from matplotlib.patches import Polygon
from pandas import DataFrame, Series, concat

from nash_dqn.evaluation.statistics import tidy
from nash_dqn.plots.fig3_cross_play import plot
from nash_dqn.published import FIG3_MEANS, RELEASED_WEIGHTS_PAIRED
from tests.plots.looking import fits, series, words

PAIRS = ("first_nash-all_other", "first_other-all_nash")
PROFILES = {"all_other": -1.35, "first_nash": -1.38, "first_other": -1.32, "all_nash": -1.34}


def points_of(comparison: str, pairs: int = 3, algorithm: str = "fictitious_play") -> DataFrame:
    """Cross-play of a comparison: 50 points a profile, whose mean is 0.01 higher from one seed pair to the next."""
    seeds, noise = range(1, pairs + 1), np.linspace(-0.2, 0.2, 50)
    axes = {"seed_nash": seeds, "profile": list(PROFILES), "design": ["independent", "common"], "point": range(50)}
    rewards = 0.01 * np.array(seeds).reshape(-1, 1, 1, 1) + np.reshape([*PROFILES.values()], (-1, 1, 1)) + noise
    names = {"scenario": "code", "comparison": comparison, "other": comparison.partition("-vs-")[2]}
    table = tidy(axes, reward=rewards)
    return table.assign(**names, other_algorithm=algorithm, seed_other=table["seed_nash"])


def compared(comparison: str, pairs: int = 3) -> DataFrame:
    """Tests of a comparison: of the n-th seed pair a difference of 0.01 n up or down, and p = 0.02 n; the pool last."""
    scopes = [*(f"{seed}-{seed}" for seed in range(1, pairs + 1)), "pooled"]
    table = tidy({"pair": PAIRS, "scope": scopes, "test": ["welch", "paired"]})
    at = table["scope"].map(scopes.index) + 1
    middle = 0.01 * at * table["pair"].map(dict(zip(PAIRS, (-1, 1), strict=True)))
    undefined = (table["scope"] == "pooled") & (pairs < 2)
    half, p_value = Series(0.004, at.index).mask(undefined), (0.02 * at).mask(undefined)
    reject = (p_value < 0.05).astype("boolean").mask(undefined)
    numbers = {"mean_difference": middle, "low": middle - half, "high": middle + half, "p_value": p_value}
    return table.assign(comparison=comparison, other=comparison.partition("-vs-")[2], reject=reject, **numbers)


PAPER, REFERENCE, AUTHORS = "nash-text-vs-fp-code", "nash-refined-vs-reference", "authors-nash-vs-authors-fp"
LABELS = ("gain by switching to Nash-DQN", "gain by switching from Nash-DQN")


def of_profile(points: DataFrame, profile: str) -> DataFrame:
    return points[(points["profile"] == profile) & (points["design"] == "independent")]


def test_histograms_are_of_the_independent_design_with_means_and_the_papers() -> None:
    table = points_of(PAPER)
    table["reward"] = table["reward"].where(table["design"] == "independent", 99.0)
    figure = plot(table, compared(PAPER))
    for axes, profiles in zip(figure.axes, (("all_other", "first_nash"), ("first_other", "all_nash")), strict=False):
        filled = [patch for patch in axes.patches if isinstance(patch, Polygon)]
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
    far = plot(table.assign(reward=table["reward"] - 0.9), compared(PAPER))
    assert not series(far.axes[0], "the paper's mean (digitised)")
    assert far.axes[0].get_xlim()[1] < -1.5


def test_differences_are_those_of_the_paired_tests() -> None:
    tests = compared(PAPER)
    axes = plot(points_of(PAPER), tests).axes[2]
    for pair, label, bars in zip(PAIRS, LABELS, (0, 2), strict=True):
        paired = tests[(tests["pair"] == pair) & (tests["test"] == "paired")]
        (drawn,) = series(axes, label)
        np.testing.assert_allclose(drawn[:, 0], paired["mean_difference"])
        ends = [segment[:, 0] for segment in axes.containers[bars][2][0].get_segments()]
        np.testing.assert_allclose(ends, paired[["low", "high"]])
        theirs = axes.containers[bars + 1][0]
        assert np.asarray(theirs.get_xdata())[0] == RELEASED_WEIGHTS_PAIRED[pair].value
    pooled = plot(points_of(PAPER, pairs=1), compared(PAPER, pairs=1)).axes[2]  # without an interval
    np.testing.assert_allclose(series(pooled, LABELS[1])[0][:, 0], [0.01, 0.02])


def test_titles_tell_what_is_compared_and_what_welch_rejects() -> None:
    """The fixture's p values are 0.02, 0.04, 0.06 by seed pair."""
    table = concat([points_of(PAPER), points_of(REFERENCE, algorithm="self_play", pairs=5)])
    figure = plot(table, concat([compared(PAPER), compared(REFERENCE, pairs=5)]))
    text = words(figure)
    for title in ("(a) others play fp-code", "(b) others play nash-text"):
        assert f"{title}\nWelch rejects 2 of 3\n" in text
    assert "(d) others play reference\nWelch rejects 2 of 5" in text
    legend = [label.get_text() for label in figure.legends[0].get_texts()]
    assert [f"agent 1 plays {name}" in legend for name in ("FP", "Nash-DQN", "self-play")] == [True] * 3
    text = words(plot(points_of(REFERENCE, algorithm="self_play"), compared(REFERENCE)))  # nothing is published of it
    assert not any(wrong in text for wrong in ("paper", "authors", "FP"))


def test_the_authors_policies_have_a_row_and_their_differences_stand_beside_ours() -> None:
    theirs = points_of(AUTHORS, pairs=1).assign(seed_nash=0, seed_other=0)
    of_theirs = compared(AUTHORS, pairs=1).replace({"scope": {"1-1": "0-0"}})
    of_theirs[["mean_difference", "low", "high"]] *= 5
    figure = plot(concat([points_of(PAPER), theirs]), concat([compared(PAPER), of_theirs]))
    assert "(d) others play authors-fp" in words(figure) and "(e) others play authors-nash" in words(figure)
    for bars, sign in ((1, -1), (3, 1)):  # beside ours alone
        assert figure.axes[2].containers[bars][0].get_xdata()[0] == pytest.approx(sign * 0.05)
    assert len(figure.axes[5].get_yticks()) == 2


def test_pairs_too_far_away_are_named() -> None:
    table, tests = points_of(PAPER), compared(PAPER)
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
    crosses = np.concatenate(series(figure.axes[2], "off scale or undefined"))
    np.testing.assert_allclose(crosses[:, 1], [0.82, 1.18])
    assert max(map(abs, figure.axes[2].get_xlim())) < 1


def test_a_run_without_finite_rewards_and_one_of_a_single_point() -> None:
    nothing = dict.fromkeys(("mean_difference", "low", "high", "p_value"), np.nan)
    tests = compared(PAPER).assign(**nothing, reject=None)
    text = words(plot(points_of(PAPER).assign(reward=np.inf), tests))
    assert text.count("Welch rejects 0 of 0, off scale: 1-1, 2-2, 3-3") == 2
    table = points_of(PAPER)
    figure = plot(table[table["point"] == 0], compared(PAPER))
    assert len(series(figure.axes[0], "mean of one seed pair")[0]) == 3


def test_what_is_wrong_with_a_table_is_said() -> None:
    table, tests = points_of(PAPER, pairs=1), compared(PAPER, pairs=1)
    for message, tables in (
        ("cross_play: no row with profile=all_other", (table[table["profile"] != "all_other"], tests)),
        ("cross_play: no row with seeds=1-1, profile=all_other, point=0", (table.drop(index=0), tests)),
        ("cross_play: more than one row with seeds=1-1, profile=all_other", (table.assign(point=0), tests)),
        ("other_algorithm = 'ddpg': allowed are nash_dqn, fictitious", (table.assign(other_algorithm="ddpg"), tests)),
        ("comparison nash-text-vs-fp-code is not with fp, but its rows are", (table.assign(other="fp"), tests)),
        ("cross_play_tests: no row with comparison=nash-text-vs", (table, tests.assign(comparison=REFERENCE))),
        ("no row with pair=first_nash-all_other, scope=pooled", (table, tests[tests["scope"] != "pooled"])),
        ("no row with pair=first_nash-all_other, test=welch", (table, tests[tests["test"] != "welch"])),
        ("cross_play_tests: more than one row with comparison=nash-text-vs", (table, tests.assign(scope="1-1"))),
        ("cross_play_tests: reject must hold True, False or nothing", (table, tests.assign(reject="?"))),
    ):
        with pytest.raises(ValueError, match=message):
            plot(*tables)
