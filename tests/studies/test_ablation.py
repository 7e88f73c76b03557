"""Averages and factors of an ablation against numbers worked out by hand."""

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from nash_dqn.evaluation.statistics import FLOOR, geometric_mean
from nash_dqn.studies.ablation import COLUMNS, SEED_COLUMNS, by_seed, table

SETTINGS: list[dict[str, Any]] = [
    {"policy": "plain", "base": "plain", "change": None, "kind": "base"},
    {"policy": "plain+speed", "base": "plain", "change": "speed", "kind": "added"},
    {"policy": "full", "base": "full", "change": None, "kind": "base"},
    {"policy": "full-speed", "base": "full", "change": "speed", "kind": "removed"},
]
SEEDS = (1, 2, 3)
# Of these; nan where the training diverged.
GAINS = {
    "plain": (1.0, 2.0, 4.0),
    "plain+speed": (0.1, math.nan, 1.6),
    "full": (0.01, -0.5, 0.01),
    "full-speed": (math.nan,) * 3,
}


def rows(**changes: Any) -> pd.DataFrame:
    """As the tables of exploitability of all policies, in another order than the settings."""
    found = [
        {
            **{"scenario": "code", "policy": policy, "algorithm": "nash_dqn"},
            **{"seed": seed, "deviator": deviator, "player": player},
            **{"gain": factor * gain, "low": factor * gain - 0.1, "high": factor * gain + 0.1},
            **{"value": math.nan if math.isnan(gain) else -float(seed), "share": factor * gain / seed},
            **changes,
        }
        for policy, gains in reversed(GAINS.items())
        for seed, gain in enumerate(gains, start=1)
        for deviator, factor in (("same", 1.0), ("memory", 2.0))
        for player in ("1", "2", "nashconv")
    ]
    return pd.DataFrame(found)


@pytest.fixture
def seeds() -> pd.DataFrame:
    return by_seed(rows(), SETTINGS)


def test_a_row_for_each_setting_seed_and_deviator(seeds: pd.DataFrame) -> None:
    assert tuple(seeds.columns) == SEED_COLUMNS
    keys = [(name, seed, deviator) for name in GAINS for seed in (1, 2, 3) for deviator in ("same", "memory")]
    assert list(seeds[["policy", "seed", "deviator"]].itertuples(index=False, name=None)) == keys
    for row in seeds.itertuples():
        gain = GAINS[row.policy][row.seed - 1] * (2 if row.deviator == "memory" else 1)
        assert row.gain == pytest.approx(gain, nan_ok=True)
        assert row.diverged == math.isnan(gain)
        assert row.base == row.policy.partition("+")[0].partition("-")[0]
        assert (row.change == "speed") == (row.kind in ("added", "removed"))


def test_means_are_geometric_and_intervals_students(seeds: pd.DataFrame) -> None:
    found = table(seeds)
    assert tuple(found.columns) == COLUMNS
    assert found["policy"].tolist() == [name for name in GAINS for _ in range(2)]
    row = found[(found["policy"] == "plain") & (found["deviator"] == "same")].iloc[0]
    # What geometric_mean says of 1, 2, 4.
    ends = geometric_mean(np.array([1.0, 2.0, 4.0]))
    assert row[["gain", "low", "high"]].tolist() == pytest.approx(ends)
    assert (row["seeds"], row["diverged"], row["value"], row["share"]) == (3, 0, -2.0, pytest.approx(1.0))
    assert row["pairs"] == 0
    assert np.isnan(row[["factor", "factor_low", "factor_high"]].astype(float)).all()
    doubled = found[(found["policy"] == "plain") & (found["deviator"] == "memory")].iloc[0]
    assert doubled["gain"] == pytest.approx(4)


def test_factors_are_paired_by_seed_and_leave_out_diverged_trainings(seeds: pd.DataFrame) -> None:
    found = table(seeds).set_index(["policy", "deviator"])
    for deviator in ("same", "memory"):
        row = found.loc[("plain+speed", deviator)]
        # Seeds 1 and 3: 0.1 / 1 and 1.6 / 4, of which the geometric mean is 0.2; gains 0.1 and 1.6 have 0.4.
        assert (row["seeds"], row["diverged"], row["pairs"]) == (3, 1, 2)
        assert row["gain"] == pytest.approx(0.4 if deviator == "same" else 0.8)
        assert row["factor"] == pytest.approx(0.2)
        # t_{0.975, 1} = 12.7062; the two logarithms lie log 2 to either side: standard error log 2.
        assert row["factor_low"] == pytest.approx(0.2 * 2**-12.7062, rel=1e-4)
        assert row["factor_high"] == pytest.approx(0.2 * 2**12.7062, rel=1e-4)

    # Gains below the floor count as it, and a policy of which every training diverged has no mean.
    assert found.loc[("full", "same"), "gain"] == pytest.approx((0.01 * FLOOR * 0.01) ** (1 / 3))
    assert seeds.loc[seeds["policy"] == "full", "gain"].min() == -1.0  # itself it stays what it is
    row = found.loc[("full-speed", "same")]
    assert (row["seeds"], row["diverged"], row["pairs"]) == (3, 3, 0)
    assert np.isnan(row[["gain", "low", "high", "value", "share", "factor"]].astype(float)).all()


def test_a_setting_without_rows_is_refused() -> None:
    more = [*SETTINGS, {"policy": "full+wide", "base": "full", "change": "wide", "kind": "variant"}]
    with pytest.raises(ValueError, match=r"no row of player 1 with policy=full\+wide"):
        by_seed(rows(), more)
    with pytest.raises(ValueError, match="no row of player 1 with policy=plain"):
        by_seed(rows(player="nashconv"), SETTINGS)
