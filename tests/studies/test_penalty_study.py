"""The penalty study's table says what was measured, and its tests pair trainings by seed."""

import dataclasses
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from nash_dqn.evaluation import exploitability
from nash_dqn.evaluation.best_response import BestResponseSettings
from nash_dqn.evaluation.statistics import FLOOR, mean_interval
from nash_dqn.studies.penalty_study import COLUMNS, TEST_COLUMNS, Studied, along, compare, table
from tests.common import MARKET, linear

SETTINGS = BestResponseSettings(hidden=(4,), iterations=3, episodes=8, learning_rate=0.05, restarts=1, seed=3)


def member(seed: int, returned: int, iterations: int = 40, diverged: bool = False) -> dict[str, Any]:
    ends = {"iterations": iterations, "transitions": 20 * iterations, "diverged": diverged}
    return {"seed": seed, "returned_iteration": returned, **ends}


def record(*members: dict[str, Any], policy: str = "nash-wide+beta=100", beta: float = 100.0) -> dict[str, Any]:
    """Of trainings that play 5 episodes of 4 steps in each of 40 iterations."""
    recipe = {"iterations": 40, "history_every": 10, "episodes_per_iteration": 5, "penalty": {"beta": beta}}
    return {
        "algorithm": "nash_dqn", "policy": policy, "config": {"recipe": recipe, "game": {"n_steps": 4}},
        "members": list(members),
    }  # fmt: skip


def history(seed: int, losses: list[float], resets: list[int]) -> pd.DataFrame:
    done = range(10, 10 * len(losses) + 1, 10)
    columns = {"loss": losses, "psi_abs": [x / 1000 for x in losses], "total_loss": 999.0, "resets": resets}
    return pd.DataFrame({"seed": seed, "iteration": done, **columns})


def gains(seed: int, **by_time: float) -> pd.DataFrame:
    """``t400=0.2``: after 400 joint transitions a deviator gains 0.2, interval 0.1 to either side."""
    rows = [(seed, int(name[1:]), x, x - 0.1, x + 0.1) for name, x in by_time.items()]
    return pd.DataFrame(rows, columns=["seed", "transitions", "gain", "low", "high"])


def returned(seed: int, gain: float) -> pd.DataFrame:
    """The row that counts among others that mislead."""
    rows = [
        (seed, deviator, player, gain if (deviator, player) == ("memory", "1") else 99.0)
        for deviator in ("same", "memory")
        for player in ("1", "2", "nashconv")
    ]
    found = pd.DataFrame(rows, columns=["seed", "deviator", "player", "gain"])
    return found.assign(low=found["gain"] - 0.1, high=found["gain"] + 0.1)


SOUND = Studied(
    history(1, [80, 60, 40, 20], [0, 0, 1, 1]), record(member(1, 25)), gains(1, t400=0.2, t800=0.3), returned(1, 0.4)
)  # fmt: skip


def test_a_row_for_each_window_each_kept_policy_and_the_returned_one() -> None:
    """Means of two rows of the history; iteration 20 is 20 * 5 * 4 = 400 joint transitions."""
    found = table([SOUND], iterations=[20, 40], window=20)
    assert tuple(found.columns) == COLUMNS
    assert set(found[["policy", "base", "beta", "seed", "diverged"]].itertuples(index=False, name=None)) == {
        ("nash-wide+beta=100", "nash-wide", 100.0, 1, False)
    }
    expected = [
        ("loss", 20, 70.0, math.nan, math.nan, 0),
        ("psi_abs", 20, 0.07, math.nan, math.nan, 0),
        ("loss", 40, 30.0, math.nan, math.nan, 1),
        ("psi_abs", 40, 0.03, math.nan, math.nan, 1),
        ("exploitability", 20, 0.2, 0.1, 0.3, 0),
        ("exploitability", 40, 0.3, 0.2, 0.4, 1),
        ("returned_exploitability", 25, 0.4, 0.3, 0.5, 1),
    ]
    names = ["measure", "iteration", "value", "low", "high", "resets"]
    pd.testing.assert_frame_equal(found[names], pd.DataFrame(expected, columns=names))


def test_a_training_that_diverged_has_no_value_from_there_on() -> None:
    """At iteration 30: what it left before stands, the policy that it returned was never measured."""
    lost = Studied(
        history(2, [80, 60, math.inf], [0, 0, 0]), record(member(2, 15, 30, diverged=True)),
        gains(2, t400=0.2, t600=math.nan), returned(2, math.nan),
    )  # fmt: skip
    found = table([lost], iterations=[20, 40], window=20)
    found = found[found["measure"] != "psi_abs"]
    assert found["diverged"].tolist() == [False, True, False, True, True]
    assert found["value"].tolist() == pytest.approx([70.0, math.nan, 0.2, math.nan, math.nan], nan_ok=True)


def test_what_is_missing_is_named() -> None:
    for change, message in (
        ({"kept": gains(1, t400=0.2)}, r"nash-wide\+beta=100, seed 1: no exploitability of iteration 40, but"),
        ({"returned": returned(2, 0.4)}, r"nash-wide\+beta=100, seed 1: no returned_exploitability of iteration 25"),
        ({"history": SOUND.history.head(3)}, "history of seed 1: 1 rows in the 20 iterations before 40, expected 2"),
    ):
        with pytest.raises(ValueError, match=message):
            table([SOUND._replace(**change)], iterations=[20, 40], window=20)


def test_policies_kept_at_the_iterations_are_measured() -> None:
    """The gains are those of the exploitability of these policies, whatever else was kept."""
    weights = [[0.0, 0.0, 0.0, 0.0, -0.1 * k] for k in range(1, 7)]
    meta = {"policy": "nash-wide", "transitions": [200, 200, 400, 400, 800, 800]}
    snapshots = dataclasses.replace(linear(weights), seeds=[1, 2] * 3, meta=meta)
    both = record(member(1, 25), member(2, 25))
    found = along(MARKET, snapshots, both, [20, 40], SETTINGS, 50, 20)
    assert list(zip(found["seed"], found["transitions"], strict=True)) == [(1, 400), (1, 800), (2, 400), (2, 800)]
    measured = exploitability.evaluate(
        MARKET, snapshots.select([2, 3, 4, 5]), SETTINGS, 50, 20, ("memory",), players=(0,)
    )
    expected = measured.loc[measured["player"] == "1", "gain"].to_numpy()[[0, 2, 1, 3]]
    np.testing.assert_allclose(found["gain"], expected, rtol=1e-6)
    assert set(found["deviator"]) == {"memory"} and found["distance"].isna().all()

    with pytest.raises(ValueError, match=r"snapshots: no policy of iteration 30 \(600 joint transitions\)"):
        along(MARKET, snapshots, both, [20, 30], SETTINGS, 50, 20)
    lost = record(member(1, 5, 8, diverged=True), member(2, 5, 8, diverged=True))
    rows = along(MARKET, None, lost, [20], SETTINGS, 50, 20)
    assert rows["gain"].isna().all() and rows["seed"].tolist() == [1, 2]


def studied(values: dict[float, list[float]], measure: str = "loss", iteration: int = 20) -> pd.DataFrame:
    """One value per seed 1, 2, ..; of beta 0 seed 1 was reset."""
    rows = [
        (*of_beta, seed, measure, iteration, x, math.nan, math.nan, int(beta == 0 and seed == 1), False)
        for beta, of_seeds in values.items()
        for of_beta in ((f"nash-wide+beta={beta:g}", "nash-wide", beta),)
        for seed, x in enumerate(of_seeds, start=1)
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def compared(values: dict[float, list[float]], **where: Any) -> pd.Series:
    found = compare(studied(values, **where), [0.0, 100.0], [20])
    assert tuple(found.columns) == TEST_COLUMNS
    (row,) = (row for _, row in found.iterrows() if row["measure"] == where.get("measure", "loss"))
    return row


def test_differences_and_factors_are_paired_by_seed() -> None:
    """Factors 1/2, 1/4, 1/2: logarithms -1, -2, -1 times log 2; t_{0.975, 2} = 4.302653."""
    row = compared({0.0: [10.0, 10.0, 20.0], 100.0: [20.0, 40.0, 40.0]})
    assert row[["pairs", "median", "other_median", "reset", "other_reset"]].tolist() == [3, 10.0, 40.0, 1, 0]
    assert row[["difference", "low", "high"]].tolist() == pytest.approx(mean_interval([-10, -30, -20])[:3])
    half = 4.302653 * math.sqrt(1 / 3) / math.sqrt(3)
    ends = [2 ** (-4 / 3), 2 ** (-4 / 3 - half), 2 ** (-4 / 3 + half)]
    assert row[["factor", "factor_low", "factor_high"]].tolist() == pytest.approx(ends, rel=1e-6)
    assert math.isnan(row["lower"])  # from 0.15 to 1.07
    lost = compared({0.0: [10.0, math.nan, 12.0], 100.0: [20.0, 21.0, 20.0]})  # a diverged training is in no pair
    assert (lost["pairs"], lost["median"], lost["other_median"]) == (2, 11.0, 20.0)
    single = compared({0.0: [10.0], 100.0: [20.0]})
    assert single["difference"] == -10 and math.isnan(single["low"]) and math.isnan(single["lower"])


def test_which_beta_is_lower() -> None:
    """An explosion leaves the difference open, but not which is lower; tiny gains count as the floor."""
    assert compared({0.0: [10.0, 11.0, 10.0], 100.0: [20.0, 21.0, 20.0]})["lower"] == 0.0
    explodes = compared({0.0: [1e3, 1e4, 1e5], 100.0: [20.0, 21.0, 20.0]})
    assert explodes["low"] < 0 < explodes["high"] and explodes["lower"] == 100.0
    tiny = compared({0.0: [-1e-6, 0.0], 100.0: [0.1, 0.1]}, measure="exploitability")
    assert tiny["factor"] == pytest.approx(FLOOR / 0.1)


def test_returned_policies_are_compared_whatever_their_iteration() -> None:
    rows = studied({0.0: [0.2, 0.2], 100.0: [0.1, 0.1]}, "returned_exploitability")
    found = compare(rows.assign(iteration=range(len(rows))), [0.0, 100.0], [20])
    row = found[found["measure"] == "returned_exploitability"].iloc[0]
    assert pd.isna(row["iteration"]) and (row["pairs"], row["factor"]) == (2, pytest.approx(2.0))
    assert found[found["measure"] == "loss"]["pairs"].tolist() == [0]
