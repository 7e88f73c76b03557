"""Which trainings of two policies are compared with each other."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

__all__ = ["member_pairs"]


def member_pairs(first: Sequence[int], second: Sequence[int]) -> list[tuple[int, int]]:
    """Pair the trainings of two policies.

    Policies are compared on the seeds that both have, each training with the other of its seed. A policy of one
    training, such as an equilibrium reference, meets every training of the other, whatever their seeds.

    Args:
        first: training seeds of the one policy, none twice.
        second: of the other.

    Returns:
        Positions in ``first`` and ``second`` of the members of each pair, in the order of ``first``.

    Raises:
        ValueError: the policies share no seed, and neither has just one.
    """
    if len(first) == 1 or len(second) == 1:
        return list(itertools.product(range(len(first)), range(len(second))))
    pairs = [(at, second.index(seed)) for at, seed in enumerate(first) if seed in second]
    if not pairs:
        seeds = " and ".join(", ".join(map(str, of)) or "none" for of in (first, second))
        raise ValueError(f"the policies' seeds are {seeds}: at least one must be the same, or one policy have one seed")
    return pairs
