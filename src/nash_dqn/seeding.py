"""Independent, named random streams from one seed."""

from __future__ import annotations

import hashlib

import torch


def generator(seed: int, *stream: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator for one purpose, such as ``generator(3, "exploration")``.

    Seed and stream are hashed together, so streams of neighbouring seeds, or of one seed under different names, have
    nothing in common, and adding a stream changes no other.
    """
    text = "/".join(str(part) for part in (seed, *stream)).encode()
    state = int.from_bytes(hashlib.sha256(text).digest()[:8], "little") & (2**63 - 1)
    return torch.Generator(device=device).manual_seed(state)
