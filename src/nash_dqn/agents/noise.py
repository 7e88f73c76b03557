"""Random numbers of an ensemble's training, drawn many iterations at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from nash_dqn.seeding import generator

_BLOCK = 50  # iterations whose random numbers are drawn in one call

Leaf = tuple[Callable[..., Tensor], tuple[int, ...]]
"""``torch.randn`` or ``torch.rand``, and the shape of what an iteration of one member needs."""


class Noise:
    """Each member's random numbers, block by block from its own generators, one for each named leaf.

    Args:
        seeds: a member each.
        algorithm: first part of the name of the streams, (seed, algorithm, leaf).
        leaves: what an iteration needs.
        device: where it is needed.
    """

    def __init__(
        self, seeds: Sequence[int], algorithm: str, leaves: Mapping[str, Leaf], device: torch.device | str
    ) -> None:
        self._device = device
        self._leaves = list(leaves.values())
        self._streams = [[generator(seed, algorithm, name) for name in leaves] for seed in seeds]
        self._block: list[Tensor] = []

    def draw(self, iteration: int) -> list[Tensor]:
        """The leaves ``[K, ...]`` of an iteration; iterations are to be asked for in turn, from 0 on."""
        if iteration % _BLOCK == 0:
            drawn = [
                [sample((_BLOCK, *shape), generator=g) for (sample, shape), g in zip(self._leaves, of, strict=True)]
                for of in self._streams
            ]
            self._block = [torch.stack(leaf, 1).to(self._device) for leaf in zip(*drawn, strict=True)]
        return [leaf[iteration % _BLOCK] for leaf in self._block]

    def state(self) -> dict[str, Any]:
        """The block at hand and where the streams stand."""
        return {"block": self._block, "streams": [[stream.get_state() for stream in of] for of in self._streams]}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from such a state."""
        self._block = state["block"]
        self._streams = [[torch.Generator().set_state(stream) for stream in of] for of in state["streams"]]

    def select(self, members: Sequence[int]) -> None:
        """Keep only some members' streams."""
        self._streams = [self._streams[k] for k in members]
        self._block = [leaf[:, list(members)] for leaf in self._block]
