"""What a training run reports."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol

import pandas as pd
import torch
from torch import Tensor

from nash_dqn.agents.snapshots import Snapshots
from nash_dqn.games.base import Game, ObservationSpec
from nash_dqn.policy import describe


class TrainingResult(NamedTuple):
    """What a trainer returns.

    Attributes:
        tensors: weights by name, each ``[K, ...]``.
        metadata: how to rebuild the policy from them.
        snapshots: weights of policies along the training, a row per seed and time, and their metadata.
        history: tidy table, a row per seed and recorded iteration.
        record: settings and outcome of the run and of each member, JSON-ready.
    """

    tensors: dict[str, Tensor]
    metadata: dict[str, str]
    snapshots: tuple[dict[str, Tensor], dict[str, str]]
    history: pd.DataFrame
    record: dict[str, Any]


class Recipe(Protocol):
    """Settings of a training, a dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def observation(self) -> ObservationSpec: ...  # noqa: D102


class Run:
    """A training that has begun: what was asked for, and since when it has been running.

    Args:
        algorithm: ``nash_dqn``, ``fictitious_play`` or ``self_play``.
        game: the game.
        recipe: a dataclass of settings.
        seeds: a member each.
        device: where it computes.
        bound: actions of its policies are clipped to +- this; None for no clipping.
        meta: more about it (scenario, recipe_name, ...), for the record and the weights' metadata.
    """

    def __init__(
        self,
        algorithm: str,
        game: Game,
        recipe: Recipe,
        seeds: Sequence[int],
        device: torch.device | str,
        meta: Mapping[str, Any],
        bound: float | None = None,
    ) -> None:
        self._started = time.perf_counter()
        self._policy = (algorithm, recipe.observation)
        self._action = (game.action_dim, bound)
        groups = {"groups": [len(group) for group in game.groups]} if len(game.groups) > 1 else {}
        self._meta = {**meta, **groups}
        self._seeds = list(seeds)
        config = {"game": dataclasses.asdict(game), "recipe": dataclasses.asdict(recipe)}
        self._record = {
            "algorithm": algorithm,
            **self._meta,
            "device": str(device),
            "config": config,
            "seeds": self._seeds,
        }

    @property
    def _seconds(self) -> float:
        """For how long it has been running, without the time between an interruption and its resumption."""
        return time.perf_counter() - self._started

    def state(self) -> dict[str, Any]:
        """What is trained, for people, and the time passed."""
        asked = {key: value for key, value in self._record.items() if key != "config"}
        return {**asked, "wall_seconds": self._seconds}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from such a state."""
        self._started = time.perf_counter() - state["wall_seconds"]

    def result(
        self,
        weights: dict[str, Tensor],
        snapshots: Snapshots,
        history: pd.DataFrame,
        members: Sequence[Mapping[str, Any]],
    ) -> TrainingResult:
        """What it came to: weights by name ``[K, ...]``, policies along it, its history, each member's outcome."""
        record = {
            **self._record,
            "wall_seconds": self._seconds,
            "snapshots": snapshots.record(),
            "members": list(members),
        }
        metadata = describe(*self._policy, self._seeds, *self._action, **self._meta)
        along = snapshots.tensors(), snapshots.metadata(*self._policy, *self._action, **self._meta)
        return TrainingResult(weights, metadata, along, history, record)
