from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from pandas import DataFrame, concat

from nash_dqn.plots.training_curves import plot
from tests.plots.looking import fits, series

Histories = dict[str, DataFrame]
Records = dict[str, Mapping[str, Any]]


@pytest.fixture
def histories() -> dict[str, DataFrame]:
    """Nash-DQN: seed 2 stops early, seed 3 diverges. Fictitious play: three iterations."""
    nash = []
    for seed, steps in ((1, 20), (2, 12), (3, 15)):
        loss = 50 + 100 / np.arange(1, steps + 1)
        if seed == 3:
            loss[-1] = 1e5
        done = np.arange(1, steps + 1)
        nash.append(DataFrame({"seed": seed, "iteration": done, "transitions": 1000 * done, "loss": loss}))
    fp = []
    for seed in (1, 2, 3):
        epoch = np.arange(1, 31)
        reward = np.where(epoch < 4, -500.0, -1.35 + 0.01 * seed + 0.02 * (-1.0) ** epoch)
        at = {"seed": seed, "iteration": (epoch - 1) // 10, "epoch": epoch, "transitions": 100 * epoch}
        fp.append(DataFrame({**at, "critic_loss": 1.0 / epoch, "reward": reward}))
    return {"nash-text": concat(nash, ignore_index=True), "fp-code": concat(fp, ignore_index=True)}


@pytest.fixture
def self_play() -> DataFrame:
    """History of one training by self-play, of 20 rows."""
    done = np.arange(1, 21)
    return DataFrame({"seed": 1, "iteration": 5 * done, "transitions": 500 * done, "reward": -1.3 - 1 / done})


@pytest.fixture
def records() -> dict[str, Mapping[str, Any]]:
    nash = record(
        "nash-text", "nash_dqn", (1, 20000, "iterations"), (2, 12000, "early_stopping"), (3, 15000, "diverged")
    )
    fp = record("fp-code", "fictitious_play", *((seed, 3000, "iterations") for seed in (1, 2, 3)))
    return {"nash-text": nash, "fp-code": fp}


def record(policy: str, algorithm: str, *entries: tuple[int, int, str]) -> dict[str, Any]:
    members = [{"seed": seed, "transitions": played, "stopped": stopped} for seed, played, stopped in entries]
    return {"scenario": "code", "policy": policy, "algorithm": algorithm, "members": members}


def draw(histories: Histories, records: Records) -> Figure:
    return plot(list(histories.values()), list(records.values()))


def test_each_seed_is_a_line_and_stops_are_marked(histories: Histories, records: Records) -> None:
    figure = draw(histories, records)
    losses, critic, reward = figure.axes
    for seed, of_seed in histories["nash-text"].groupby("seed"):
        np.testing.assert_array_equal(series(losses, f"seed {seed}"), [of_seed[["transitions", "loss"]]])
    np.testing.assert_allclose(series(losses, "stopped early"), [[[12000, 50 + 100 / 12]]])
    np.testing.assert_array_equal(series(losses, "diverged"), [[[15000, 1e5]]])
    for axes in (critic, reward):
        assert [line[0, 0] for line in series(axes, "next FP iteration")] == [1000, 2000]
    assert not series(losses, "next FP iteration")
    assert reward.get_ylim()[0] > -2  # the first rewards, of -500, are cut off
    assert fits(figure)


def test_rewards_are_drawn_as_they_are_and_smoothed(histories: Histories, records: Records) -> None:
    fp = histories["fp-code"]
    long = fp.loc[fp.index.repeat(40)].reset_index(drop=True)  # 1,200 rows a seed: a window of 1,200 / 200 = 6
    axes = draw({**histories, "fp-code": long}, records).axes[2]
    rewards = long.loc[long["seed"] == 1, "reward"].to_numpy()
    assert any(np.array_equal(np.asarray(line.get_ydata()), rewards) for line in axes.lines)
    (mean,) = series(axes, "seed 1")
    assert mean[600, 1] == pytest.approx(rewards[597:603].mean())


def test_what_is_not_finite_is_marked_at_the_edge_and_sets_no_scale(histories: Histories, records: Records) -> None:
    nash = histories["nash-text"]
    histories["nash-text"] = nash.assign(loss=nash["loss"].replace(1e5, np.inf))
    assert draw(histories, records).axes[0].get_ylim()[1] < 200
    histories["nash-text"] = nash.assign(loss=nash["loss"].where(nash["seed"] != 3))
    axes = draw(histories, records).axes[0]
    assert series(axes, "diverged")[0][0, 1] == axes.get_ylim()[1]


def test_a_panel_for_each_policy(histories: Histories, records: Records, self_play: DataFrame) -> None:
    histories |= {"fp-average": histories["fp-code"], "reference": self_play}
    records["fp-average"] = {**records["fp-code"], "policy": "fp-average"}
    records["reference"] = record("reference", "self_play", (1, 10000, "iterations"))
    figure = draw(histories, records)
    names = ["nash-text", *2 * ["fp-code", "fp-average"], "reference"]
    assert [axes.get_title(loc="left")[4:] for axes in figure.axes] == names
    np.testing.assert_array_equal(series(figure.axes[-1], "seed 1")[0][:, 1], self_play["reward"])


def test_what_is_wrong_with_the_tables_is_said(histories: Histories, records: Records) -> None:
    def of(policy: str, **change: Any) -> Records:
        return {**records, policy: {**records[policy], **change}}

    member = {"seed": 1, "transitions": 5}
    lacking = {**histories, "fp-code": histories["fp-code"].drop(columns="reward")}
    for message, tables in (
        ("record of nash-text: column stopped is missing", (histories, of("nash-text", members=[member]))),
        (
            "stopped = 'bored': allowed are iterations, early_stop",
            (histories, of("nash-text", members=[{**member, "stopped": "bored"}])),
        ),
        (
            "must have the same seeds; only one of them has 2",
            (histories, of("nash-text", members=[{**member, "stopped": "iterations"}])),
        ),
        ("records: algorithm = 'dqn': allowed are nash_dqn, fictitious", (histories, of("fp-code", algorithm="dqn"))),
        ("records: scenario must be the same in every row", (histories, of("fp-code", scenario="table1"))),
        ("history of fp-code: column reward is missing", (lacking, records)),
        ("a record for each history; found 0 for 0", ({}, {})),
        ("a record for each history; found 0 for 2", (histories, {})),
    ):
        with pytest.raises(ValueError, match=message):
            draw(*tables)
