"""Streams and actions of environments: unseeded ones differ, seeded ones repeat, wrong actions are named."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from nash_dqn.games.views import Stream, bounded_action
from nash_dqn.seeding import generator

COPIES: list[Callable[[Stream], Stream]] = [copy.copy, copy.deepcopy, lambda stream: pickle.loads(pickle.dumps(stream))]


def draw(stream: Stream, seed: int | None = None) -> float:
    return float(torch.rand(1, generator=stream.begin(seed)))


def test_without_a_seed_all_differ() -> None:
    streams = [Stream("a"), Stream("a")]
    streams += [copied(stream) for stream in streams for copied in COPIES]
    assert len({draw(stream) for stream in streams for _ in range(2)}) == 2 * len(streams)


@pytest.mark.parametrize("copied", COPIES[1:])
def test_with_a_seed_all_repeat_and_go_on(copied: Callable[[Stream], Stream]) -> None:
    drawn = torch.rand(3, generator=generator(5, "a")).tolist()
    stream = Stream("a")
    draw(stream)
    assert draw(stream, 5) == draw(Stream("a"), np.int64(5)) == drawn[0]  # type: ignore[arg-type]
    again = copied(stream)
    assert [draw(again), draw(again)] == [draw(stream), draw(stream)] == drawn[1:]


@pytest.mark.parametrize("seed", [-1, 1.5, "3", True, np.nan])
def test_no_seed(seed: Any) -> None:
    with pytest.raises(ValueError, match=r"^seed = .*: allowed is a whole number >= 0, or None$"):
        Stream("a").begin(seed)


def test_actions_are_clipped_in_single_precision() -> None:
    action = bounded_action("action", [3, -70.0, 1e300], 3, 50.0)
    assert (action.tolist(), action.dtype) == ([3.0, -50.0, 50.0], torch.float32)


@pytest.mark.parametrize(
    ("action", "wrong"),
    [
        ([np.nan, 0], r"got \[nan, 0.0\], allowed are finite numbers"),
        ([0, -np.inf], r"got \[0.0, -inf\], allowed are finite numbers"),
        (np.zeros(3), r"got an array of shape \(3,\), allowed are 2 finite numbers \[2\]"),
        (np.zeros((1, 2)), r"got an array of shape \(1, 2\), allowed are"),
        (0.5, r"got an array of shape \(\), allowed are"),
        (None, r"got an array of shape \(\), allowed are|got None, allowed are"),
        (["up", "down"], r"got \['up', 'down'\], allowed are 2 finite numbers \[2\]"),
        ([[1], [2, 3]], r"got \[\[1\], \[2, 3\]\], allowed are"),
    ],
)
def test_wrong_actions_are_named(action: Any, wrong: str) -> None:
    with pytest.raises(ValueError, match=f"^action: {wrong}") as caught:
        bounded_action("action", action, 2, 50.0)
    assert "\n" not in str(caught.value)
