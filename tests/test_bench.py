"""The benchmark's floor is what the real code multiplies, no more and no less; its table is arithmetic on times."""

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from torch.utils.flop_counter import FlopCounterMode

from nash_dqn import bench
from nash_dqn.config import load_yaml, validate

CONFIG = [Path(__file__).resolve().parents[1] / folder / "config" / "config.yaml" for folder in (".", ".test")]
Timed = Callable[[], Any]


def operations(call: Timed) -> int:
    """Of matrix products, counted by PyTorch as they are dispatched."""
    with FlopCounterMode(display=False) as counter:
        call()
    return int(counter.get_total_flops())


def test_the_floor_is_the_products_of_the_real_code(monkeypatch: pytest.MonkeyPatch) -> None:
    counts: list[tuple[int, int]] = []

    def count(real: Timed, floor: Timed, rounds: int) -> tuple[float, float]:
        counts.append((operations(real), operations(floor)))
        return 1.0, 1.0

    monkeypatch.setattr(bench, "_paired", count)
    names = [f"{row.name}, {row.members}" for row in bench.rows(validate(load_yaml(*CONFIG)), "code", quick=True)]
    assert len(set(names)) == len(names)
    assert {name.partition(" (")[0].partition(",")[0] for name in names} == {
        "Nash-DQN iteration",
        "DDPG epoch",
        "Cross-play episode",
    }
    assert {name: pair for name, pair in zip(names, counts, strict=True) if pair[0] != pair[1] or not pair[0]} == {}


def test_both_are_timed_in_turn_and_medians_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    now, calls = 0.0, ""

    def lasting(name: str, seconds: Iterator[float]) -> Timed:
        def call() -> None:
            nonlocal now, calls
            now, calls = now + next(seconds), calls + name

        return call

    monkeypatch.setattr(time, "perf_counter", lambda: now)
    real, floor = [5.0, 1.0, 2.0], [0.25, 4.0, 0.5]
    found = bench._paired(lasting("r", iter(real)), lasting("f", iter(floor)), 3)
    assert calls == "rfrfrf"
    assert found == (statistics.median(real), statistics.median(floor)) == (2.0, 0.5)


def test_the_table_is_in_milliseconds_of_one_model(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench, "_paired", lambda real, floor, rounds: (0.6, 0.24))
    monkeypatch.setattr(sys, "argv", ["bench", "--quick", "--config", *map(str, CONFIG)])
    bench.main()
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["K", "ours/ms", "floor/ms", "ours/floor", "authors/ms", "speed-up"]
    table = {line[:34].strip() + line[34:37]: line[37:].split() for line in lines[:-2]}
    # 0.6 s are ten iterations of K models, or so many episodes
    assert table["Nash-DQN iteration (nash-text)  2"] == ["30", "12", "2.50", "237", "8x"]
    assert table["DDPG epoch (fp-code)  8"] == ["7.5", "3", "2.50", "292", "39x"]
    assert table["Cross-play episode, of 1000  1"] == ["0.6", "0.24", "2.50", "10.25", "17x"]
    assert lines[-2] == "" and lines[-1].startswith("One thread; medians")
