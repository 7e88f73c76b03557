"""The benchmark's floor is what the real code multiplies, no more and no less; its table is arithmetic on times."""

import itertools
import sys
from collections.abc import Callable
from typing import Any

import pytest
from torch.utils.flop_counter import FlopCounterMode

from nash_dqn import bench
from nash_dqn.config import load_yaml, validate
from tests.common import ROOT

CONFIG = [ROOT / folder / "config" / "config.yaml" for folder in (".", ".test")]
Timed = Callable[[], Any]


def operations(call: Timed) -> int:
    """Of matrix products, counted by PyTorch as they are dispatched."""
    with FlopCounterMode(display=False) as counter:
        call()
    return int(counter.get_total_flops())


def test_the_floor_is_the_products_of_the_real_code(monkeypatch: pytest.MonkeyPatch) -> None:
    counts: list[int] = []

    def count(call: Timed, number: int) -> float:
        counts.append(number * operations(call))
        return 1.0

    monkeypatch.setattr(bench, "timeit", count)
    names = [f"{row.name}, {row.members}" for row in bench.rows(validate(load_yaml(*CONFIG)), "code", quick=True)]
    assert len(set(names)) == len(names)
    assert {name.partition(" (")[0].partition(",")[0] for name in names} == {
        "Nash-DQN iteration",
        "DDPG epoch",
        "Cross-play episode",
    }
    assert counts[::2] == counts[1::2] and min(counts) > 0


def test_both_are_timed_in_turn_and_medians_taken_in_milliseconds_of_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    times, calls = iter([5.0, 0.25, 1.0, 4.0, 2.0, 0.5]), []

    def timed(call: Timed, number: int) -> float:
        calls.append((call, number))
        return next(times)

    monkeypatch.setattr(bench, "timeit", timed)
    step = str
    found = bench._timed("x", 237.0, 4, 3, 10, step)
    assert calls[::2] == [(step, 10)] * 3 and all(isinstance(of, bench.Products) and n == 10 for of, n in calls[1::2])
    assert found == bench.Row("x", 4, 2.0 * 1e3 / 40, 0.5 * 1e3 / 40, 237.0)


def test_the_table(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    times = itertools.cycle((0.6, 0.24))
    monkeypatch.setattr(bench, "timeit", lambda call, number: next(times))
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
