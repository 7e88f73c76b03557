"""Random streams: repeatable, named, and without anything in common."""

import hashlib

import torch
from torch import Tensor

from nash_dqn.seeding import generator


def draw(seed: int, *stream: str | int, count: int = 8) -> Tensor:
    return torch.randn(count, generator=generator(seed, *stream))


def test_the_stream_is_the_hash_of_seed_and_name() -> None:
    """A stream is part of every result: this pins it to SHA-256's first 8 bytes, little endian, without the top bit."""
    digest = hashlib.sha256(b"3/nash_dqn/replay").digest()
    state = sum(byte << (8 * k) for k, byte in enumerate(digest[:8])) % 2**63
    expected = torch.randn(8, generator=torch.Generator().manual_seed(state))
    assert torch.equal(draw(3, "nash_dqn", "replay"), expected)


def test_different_names_and_seeds_give_different_streams() -> None:
    names: list[tuple[int, ...] | tuple[str | int, ...]] = [
        (), ("a",), ("b",), ("a", "b"), ("b", "a"), ("a", 1), ("a", 2), ("ab",), (1,), (2, 1), (1, 2),
    ]  # fmt: skip
    draws = [tuple(draw(seed, *name).tolist()) for seed in (0, 1, 2, 2**40) for name in names[:8]]
    draws += [tuple(draw(7, *name).tolist()) for name in names]
    assert len(set(draws)) == len(draws)
