"""Rows of the policies kept along a training: gains as measured elsewhere, distances that are known."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from nash_dqn.agents.snapshots import Snapshots
from nash_dqn.agents.training import describe
from nash_dqn.artifacts import write_tensors
from nash_dqn.evaluation import data_efficiency as module
from nash_dqn.evaluation import exploitability
from nash_dqn.evaluation.best_response import BestResponseSettings
from nash_dqn.evaluation.data_efficiency import COLUMNS, evaluate, load_snapshots
from nash_dqn.games.market import Market
from nash_dqn.networks import ObservationNetwork
from nash_dqn.policy import Policy
from nash_dqn.trees import select
from tests.common import MARKET, linear

SETTINGS = BestResponseSettings(hidden=[4], iterations=10, episodes=16, learning_rate=0.05, restarts=2, seed=7)
TIMES = (10_000, 31_700, 10_000, 31_700)


def record(diverged: Mapping[int, int] | None = None, seeds: Sequence[int] = (1, 2)) -> dict[str, Any]:
    """Of a training."""
    lost = diverged or {}
    members = [{"seed": s, "transitions": lost.get(s, 50_000), "diverged": s in lost} for s in seeds]
    return {"algorithm": "nash_dqn", "policy": "nash-text", "members": members}


def measured(game: Market, snapshots: Policy | None, reference: Policy | None, of: dict[str, Any]) -> pd.DataFrame:
    return evaluate(game, snapshots, of, reference, SETTINGS, "memory", 50, 40, 30)


@pytest.fixture
def kept() -> Policy:
    """Two seeds at two times: agents that sell, or buy, at constant rates 1, 2, 3, 4 shares/hour, each as it comes."""
    policy = linear([[0.0] * 5] * 4, [1.0, 2.0, -3.0, 4.0], policy="nash-text", transitions=list(TIMES))
    return dataclasses.replace(policy, seeds=[1, 1, 2, 2])


@pytest.fixture
def reference() -> Policy:
    """Everybody trades at 2 shares/hour; the second member does not count."""
    return linear([[0.0] * 5] * 2, [2.0, 99.0], algorithm="self_play", policy="reference")


@pytest.fixture
def no_gains(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the deviators' training out: every gain is empty."""

    def unmeasured(game: Market, policy: Policy, *_: Any, players: Sequence[int]) -> pd.DataFrame:
        assert tuple(players) == (0,)
        return pd.DataFrame({"seed": policy.seeds, "player": "1"}).reindex(columns=list(exploitability.COLUMNS))

    monkeypatch.setattr(exploitability, "evaluate", unmeasured)


def test_gains_are_those_of_the_exploitability_table_and_distances_of_constant_rates_exact(
    kept: Policy, reference: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = measured(MARKET, kept, reference, record())
    assert tuple(table.columns) == COLUMNS
    assert table[["seed", "transitions"]].to_numpy().tolist() == [[1, 10_000], [1, 31_700], [2, 10_000], [2, 31_700]]
    names = ["policy", "algorithm", "deviator", "reference"]
    assert set(table[names].itertuples(index=False, name=None)) == {("nash-text", "nash_dqn", "memory", "reference")}
    gains = ["gain", "low", "high", "value"]
    for k, row in table.iterrows():
        alone = exploitability.evaluate(MARKET, kept.member(int(str(k))), SETTINGS, 50, 40, ("memory",))
        assert row[gains].tolist() == pytest.approx(alone[alone["player"] == "1"][gains].iloc[0].tolist(), rel=1e-4)
    assert table["distance"].tolist() == pytest.approx([1.0, 0.0, 5.0, 2.0])
    assert table["relative_distance"].tolist() == pytest.approx([0.5, 0.0, 2.5, 1.0])
    monkeypatch.setattr(module, "_CHUNK", 3)
    pd.testing.assert_frame_equal(measured(MARKET, kept, reference, record()), table, rtol=1e-4)


@pytest.mark.usefixtures("no_gains")
def test_a_diverged_training_ends_with_a_row_without_numbers(kept: Policy, reference: Policy) -> None:
    """What is kept when a divergence is found does not count; a training of which nothing is kept has no row."""
    for at in (20_000, 31_700):
        table = measured(MARKET, kept, reference, record(diverged={2: at}))
        assert table[["seed", "transitions"]].to_numpy().tolist() == [[1, 10_000], [1, 31_700], [2, 10_000], [2, at]]
        assert table["distance"].isna().tolist() == [False, False, False, True]
        assert table.iloc[3][list(COLUMNS[6:])].isna().all()
        assert table.iloc[3]["policy"] == "nash-text"
    empty = measured(MARKET, None, reference, record())
    assert tuple(empty.columns) == COLUMNS and empty.empty
    everything = measured(MARKET, kept, reference, record(diverged={1: 10_000, 2: 900}))
    assert everything[["seed", "transitions"]].to_numpy().tolist() == [[1, 10_000], [2, 900]]
    assert everything["gain"].isna().all()


def test_policies_whose_actions_overflow_have_empty_numbers(reference: Policy) -> None:
    wild = dataclasses.replace(linear([[0.0] * 5] * 2, [1.0, 3e38], transitions=[10_000, 31_700]), seeds=[1, 1])
    table = measured(MARKET, wild, reference, record(seeds=[1]))
    assert table["gain"].isna().tolist() == [False, True]
    assert table["distance"].iloc[0] == pytest.approx(1.0)
    without = measured(MARKET, wild, None, record(seeds=[1]))
    assert without[["distance", "relative_distance", "reference"]].isna().all(axis=None)
    pd.testing.assert_series_equal(without["gain"], table["gain"])


@pytest.mark.usefixtures("no_gains")
def test_what_a_training_leaves_can_be_read_back(tmp_path: Path, kept: Policy, reference: Policy) -> None:
    along = Snapshots()
    assert isinstance(kept.network, ObservationNetwork)
    along.take(10_000, 1.0, [1, 2], select(kept.network, [0, 2]))
    along.take(31_700, 2.0, [1, 2], select(kept.network, [1, 3]))
    times = [taken.transitions for taken in along.taken]
    metadata = describe("nash_dqn", kept.observation, [1, 2, 1, 2], 1, None, policy="nash-text", transitions=times)
    write_tensors(tmp_path / "kept", along.tensors(), metadata)
    read = load_snapshots(tmp_path / "kept")
    assert read is not None
    table = measured(MARKET, read, reference, record())
    assert table["distance"].tolist() == pytest.approx([1.0, 0.0, 5.0, 2.0])
    write_tensors(tmp_path / "none", {}, describe("nash_dqn", kept.observation, [], 1, None, transitions=[]))
    assert load_snapshots(tmp_path / "none") is None  # too short for any


def test_settings_and_files_that_do_not_fit_are_refused(kept: Policy, reference: Policy) -> None:
    with pytest.raises(ValueError, match=r"^visited_episodes = 0: at least 1 is needed$"):
        evaluate(MARKET, kept, record(), reference, SETTINGS, "memory", 50, 40, 0)
    with pytest.raises(ValueError, match=r"^snapshots: meta lacks the transitions of each member"):
        measured(MARKET, dataclasses.replace(kept, meta={}), reference, record())
