"""Policies kept along a training, so that accuracy can be measured against the data used."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from nash_dqn.games.base import ObservationSpec
from nash_dqn.grouped_networks import from_state, to_state
from nash_dqn.networks import Network
from nash_dqn.policy import describe

_FIRST = 10_000
_OF_A_DECADE = (1, 2, 5)


class Snapshot(NamedTuple):
    """The policy of one member at one time."""

    seed: int
    transitions: int
    network: Network


class Snapshots:
    """Copies of the members' policies after 10,000, 20,000, 50,000, 100,000, ... joint transitions."""

    def __init__(self, seeds: Sequence[int]) -> None:
        self._seeds = list(seeds)
        self._taken: list[Snapshot] = []
        self._times: dict[int, float] = {}
        self._index = 0
        self._started = time.perf_counter()

    def due(self, transitions: int) -> bool:
        """Whether the next of the numbers has been reached."""
        decade, position = divmod(self._index, len(_OF_A_DECADE))
        return transitions >= _FIRST * 10**decade * _OF_A_DECADE[position]

    def take(self, transitions: int, active: Sequence[int], policy: Network) -> None:
        """Copy the policies ``[K, ...]`` of the active members; one that is not finite is left out."""
        while self.due(transitions):
            self._index += 1
        self._times[transitions] = time.perf_counter() - self._started
        for position, member in enumerate(active):
            network = policy.map(lambda t, k=position: t[k].detach().cpu().clone())
            if all(bool(tensor.isfinite().all()) for tensor in network.parameters):
                self._taken.append(Snapshot(self._seeds[member], transitions, network))

    def state(self) -> dict[str, Any]:
        """All that was taken, when, and the time that has passed."""
        return {
            "taken": [{**taken._asdict(), "network": to_state(taken.network)} for taken in self._taken],
            "times": list(self._times.items()),
            "index": self._index,
            "seconds": time.perf_counter() - self._started,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from such a state."""
        networks = [from_state(taken["network"]) for taken in state["taken"]]
        self._taken = [
            Snapshot(taken["seed"], taken["transitions"], network)
            for taken, network in zip(state["taken"], networks, strict=True)
        ]
        self._times = dict(state["times"])
        self._index = state["index"]
        self._started = time.perf_counter() - state["seconds"]

    def tensors(self) -> dict[str, Tensor]:
        """Weights by name, a row per snapshot; empty if there is none."""
        if not self._taken:
            return {}
        first, *rest = (snapshot.network for snapshot in self._taken)
        return first.map(lambda *rows: torch.stack(rows), *rest).state_dict("actor")

    def metadata(
        self, algorithm: str, observation: ObservationSpec, action_dim: int, bound: float | None, **meta: Any
    ) -> dict[str, str]:
        """Metadata with which :func:`nash_dqn.policy.load_policy` reads them: a member is a snapshot, whose number of
        joint transitions is in ``meta["transitions"]``.
        """
        seeds = [snapshot.seed for snapshot in self._taken]
        transitions = [snapshot.transitions for snapshot in self._taken]
        return describe(algorithm, observation, seeds, action_dim, bound, **meta, transitions=transitions)

    def record(self) -> list[dict[str, float]]:
        """When they were taken: joint transitions and wall seconds since the start of the whole ensemble."""
        return [{"transitions": count, "wall_seconds": round(at, 3)} for count, at in self._times.items()]
