from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from pandas import DataFrame

from nash_dqn.plots.training_curves import plot

Find = Callable[..., list[Any]]
Histories = dict[str, DataFrame]
Records = dict[str, Mapping[str, Any]]


def draw(histories: Histories, records: Records) -> Figure:
    return plot(histories, records, scenario="released")


def test_each_seed_is_a_line_of_its_losses(histories: Histories, records: Records, find: Find) -> None:
    figure = draw(histories, records)
    for seed, of_seed in histories["nash_dqn/paper"].groupby("seed"):
        (line,) = [line for line in find(figure, f"seed-{seed}") if line.axes is figure.axes[0]]
        np.testing.assert_allclose(line.get_ydata(), of_seed["loss"])
        np.testing.assert_allclose(line.get_xdata(), of_seed["transitions"] / 1000)
    assert figure.axes[0].get_xlabel() == "joint transitions (thousands)"
    assert figure.axes[0].get_yscale() == "log"


def test_rewards_are_drawn_as_they_are_and_smoothed(histories: Histories, records: Records, find: Find) -> None:
    fp = histories["fictitious_play/last"]
    long = fp.loc[fp.index.repeat(40)].reset_index(drop=True)  # 1,200 rows a seed: a window of 1,200 / 200 = 6
    figure = draw({**histories, "fictitious_play/last": long}, records)
    (values,) = find(figure, "points-1")
    (mean,) = [line for line in find(figure, "seed-1") if line.axes is values.axes]
    rewards = long.loc[long["seed"] == 1, "reward"].to_numpy()
    np.testing.assert_array_equal(values.get_ydata(), rewards)
    assert mean.get_ydata()[600] == pytest.approx(rewards[597:603].mean())


def test_stops_are_marked_where_they_happened(histories: Histories, records: Records, find: Find) -> None:
    figure = draw(histories, records)
    (early,) = find(figure, "early_stopping-2")
    (diverged,) = find(figure, "diverged-3")
    assert early.get_xdata()[0] == 12
    assert early.get_ydata()[0] == pytest.approx(50 + 100 / 12)
    assert (diverged.get_xdata()[0], diverged.get_ydata()[0]) == (15, 1e5)
    assert {"stopped early", "diverged"} <= {text.get_text() for text in figure.legends[0].get_texts()}


def test_a_training_that_diverged_at_once_is_marked_at_the_edge(
    histories: Histories, records: Records, find: Find
) -> None:
    nash = histories["nash_dqn/paper"]
    histories["nash_dqn/paper"] = nash.assign(loss=nash["loss"].where(nash["seed"] != 3))
    figure = draw(histories, records)
    (diverged,) = find(figure, "diverged-3")
    assert diverged.get_ydata()[0] == figure.axes[0].get_ylim()[1]


def test_infinite_losses_do_not_set_the_scale(histories: Histories, records: Records) -> None:
    nash = histories["nash_dqn/paper"]
    histories["nash_dqn/paper"] = nash.assign(loss=nash["loss"].replace(1e5, np.inf))
    assert draw(histories, records).axes[0].get_ylim()[1] < 200


def test_iterations_of_fictitious_play_are_separated(histories: Histories, records: Records, find: Find) -> None:
    figure = draw(histories, records)
    for axes in figure.axes[1:]:
        boundaries = [line.get_xdata()[0] for line in find(figure, "boundary") if line.axes is axes]
        assert [place * (1000 if "thousands" in axes.get_xlabel() else 1) for place in boundaries] == [1000, 2000]
    assert not [line for line in find(figure, "boundary") if line.axes is figure.axes[0]]


def test_early_rewards_below_the_frame_are_counted(histories: Histories, records: Records, find: Find) -> None:
    figure = draw(histories, records)
    (note,) = find(figure, "below")
    assert note.get_text() == "9 of 90 points lie below, down to \N{MINUS SIGN}500"
    assert note.axes.get_ylim()[0] > -2


def test_a_panel_for_each_recipe(histories: Histories, records: Records) -> None:
    for kind, name in (("nash_dqn", "released"), ("fictitious_play", "average"), ("fictitious_play", "third")):
        like = "paper" if kind == "nash_dqn" else "last"
        histories[f"{kind}/{name}"] = histories[f"{kind}/{like}"]
        records[f"{kind}/{name}"] = records[f"{kind}/{like}"]
    figure = draw(histories, records)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    rows = [("Nash-DQN", ("paper", "released")), ("FP critic", ("last", "average", "third"))]
    rows.append(("FP reward in training", ("last", "average", "third")))
    expected = [f"{title}, recipe {recipe}" for title, recipes in rows for recipe in recipes]
    assert titles == [f"({letter}) {title}" for letter, title in zip("abcdefgh", expected, strict=True)]


def test_self_play_has_a_panel_of_its_rewards(
    histories: Histories, records: Records, self_play: DataFrame, find: Find, overhang: Callable[[Figure], float]
) -> None:
    histories["self_play/memory"] = self_play
    records["self_play/memory"] = {"members": [{"seed": 1, "transitions": 10000, "stopped": "iterations"}]}
    figure = draw(histories, records)
    axes = figure.axes[-1]
    assert axes.get_title(loc="left") == "(d) self-play reward in training, recipe memory"
    (line,) = [line for line in find(figure, "seed-1") if line.axes is axes]
    np.testing.assert_array_equal(line.get_ydata(), self_play["reward"])
    assert not [line for line in find(figure, "boundary") if line.axes is axes]
    assert overhang(figure) <= 0


def test_one_algorithm_alone_can_be_drawn(histories: Histories, records: Records) -> None:
    name = "nash_dqn/paper"
    assert len(draw({name: histories[name]}, {name: records[name]}).axes) == 1


def test_nothing_is_cut_off(histories: Histories, records: Records, overhang: Callable[[Figure], float]) -> None:
    assert overhang(draw(histories, records)) <= 0


def test_names_must_have_an_algorithm_and_a_recipe(histories: Histories, records: Records) -> None:
    for name in ("dqn/paper", "nash_dqn"):
        with pytest.raises(
            ValueError, match=f"'{name}' must be nash_dqn/RECIPE or fictitious_play/RECIPE or self_play"
        ):
            draw({name: histories["nash_dqn/paper"]}, {name: records["nash_dqn/paper"]})


def test_no_history_is_refused() -> None:
    with pytest.raises(ValueError, match="histories: there is none"):
        draw({}, {})


def test_a_missing_record_is_named(histories: Histories, records: Records) -> None:
    del records["fictitious_play/last"]
    with pytest.raises(ValueError, match=r"must have the same names; only one of them has fictitious_play/last"):
        draw(histories, records)


def test_a_missing_column_is_named(histories: Histories, records: Records) -> None:
    name = "fictitious_play/last"
    histories[name] = histories[name].drop(columns="reward")
    with pytest.raises(ValueError, match=r"history of fictitious_play/last: column reward is missing"):
        draw(histories, records)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([{"seed": 1, "transitions": 5}], "record of nash_dqn/paper: a member lacks stopped"),
        (
            [{"seed": 1, "transitions": 5, "stopped": "bored"}],
            "stopped = 'bored'; it must be iterations, early_stopping,",
        ),
        ([{"seed": 1, "transitions": 5, "stopped": "iterations"}], "must have the same seeds; only one of them has 2"),
        ([], "must have the same seeds; only one of them has 1"),
    ],
)
def test_what_is_wrong_with_a_record_is_said(
    histories: Histories, records: Records, members: list[dict[str, Any]], message: str
) -> None:
    records["nash_dqn/paper"] = {"members": members}
    with pytest.raises(ValueError, match=message):
        draw(histories, records)
