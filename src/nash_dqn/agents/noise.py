"""Random numbers of an ensemble's training, drawn many iterations at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from nash_dqn.seeding import generator

_BLOCK = 50  # iterations whose random numbers are drawn in one call

Leaves = Mapping[str, tuple[Callable[..., Tensor], tuple[int, ...]]]
"""By name ``torch.randn`` or ``torch.rand``, and the shape of what an iteration of one member needs."""


class Noise(NamedTuple):
    """Each member's random numbers, block by block from its own generators, one for each named leaf: a tree of tensors.

    Attributes:
        streams: ``[K, L, S]`` states of the generators.
        block: leaves ``[K, B, ...]`` of the B iterations at hand.
        length: B.
    """

    streams: Tensor
    block: list[Tensor]
    length: int

    @staticmethod
    def create(seeds: Sequence[int], algorithm: str, leaves: Leaves, length: int = _BLOCK) -> Noise:
        """From the streams (seed, ``algorithm``, leaf), a member for each seed."""
        states = [torch.stack([generator(seed, algorithm, name).get_state() for name in leaves]) for seed in seeds]
        return Noise(torch.stack(states), [], length)

    def draw(self, leaves: Leaves, iteration: int, device: torch.device | str) -> list[Tensor]:
        """The leaves ``[K, ...]`` of an iteration; iterations are to be asked for in turn, from 0 on."""
        if iteration % self.length == 0:
            of_leaves = zip(self.streams.unbind(1), leaves.values(), strict=True)
            self.block[:] = [
                torch.stack([_draw(state, sample, (self.length, *shape)) for state in states]).to(device)
                for states, (sample, shape) in of_leaves
            ]
        return [leaf[:, iteration % self.length].contiguous() for leaf in self.block]


def _draw(state: Tensor, sample: Callable[..., Tensor], shape: tuple[int, ...]) -> Tensor:
    """Numbers from a generator's state, which goes on by them."""
    stream = torch.Generator()
    stream.set_state(state.clone())  # of a view torch reads past the end
    drawn = sample(shape, generator=stream)
    state.copy_(stream.get_state())
    return drawn
