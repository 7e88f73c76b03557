"""Policies kept along a training, so that accuracy can be measured against the data used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from torch import Tensor

from nash_dqn.networks import Network
from nash_dqn.trees import finite, row, stack

_FIRST = 10_000
_OF_A_DECADE = (1, 2, 5)


class Snapshot(NamedTuple):
    """The policy of one member at one time, without the members' dimension."""

    seed: int
    transitions: int
    network: Network


@dataclass
class Snapshots:
    """Copies of the members' policies after 10,000, 20,000, 50,000, 100,000, ... joint transitions.

    Attributes:
        taken: the snapshots.
        times: joint transitions and wall seconds since the start of the whole ensemble at which they were.
        index: number of the times.
    """

    taken: list[Snapshot] = field(default_factory=list)
    times: list[tuple[int, float]] = field(default_factory=list)
    index: int = 0

    def due(self, transitions: int) -> bool:
        """Whether the next of the numbers has been reached."""
        decade, position = divmod(self.index, len(_OF_A_DECADE))
        return transitions >= _FIRST * 10**decade * _OF_A_DECADE[position]

    def tensors(self) -> dict[str, Tensor]:
        """Weights by name, a row per snapshot; empty if there is none."""
        return stack([snapshot.network for snapshot in self.taken]).state_dict("actor") if self.taken else {}

    def take(self, transitions: int, seconds: float, seeds: Sequence[int], policy: Network) -> None:
        """Copy the policies ``[K, ...]`` of the members with these seeds; one that is not finite is left out."""
        while self.due(transitions):
            self.index += 1
        self.times.append((transitions, seconds))
        sound = finite(policy).tolist()
        self.taken += [Snapshot(seed, transitions, row(policy, k)) for k, seed in enumerate(seeds) if sound[k]]
