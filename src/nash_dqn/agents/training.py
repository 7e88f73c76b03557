"""The loop that trains: whatever the algorithm, an ensemble is watched, its policies are kept along the way, and an
interrupted training goes on from its checkpoint.
"""

from __future__ import annotations

import abc
import dataclasses
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import pandas as pd
import torch
from torch import Tensor

from nash_dqn.agents.monitor import Monitor
from nash_dqn.agents.snapshots import Snapshots
from nash_dqn.checkpoint import Checkpoint
from nash_dqn.games.base import Game, ObservationSpec
from nash_dqn.networks import Network
from nash_dqn.progress import Progress
from nash_dqn.trees import Stateful, select


class TrainingResult(NamedTuple):
    """What a trainer returns.

    Attributes:
        tensors: weights by name, each ``[K, ...]``.
        metadata: how to rebuild the policy from them.
        snapshots: weights of policies along the training, a row per seed and time, and their metadata, with which
            :func:`nash_dqn.policy.load_policy` reads them: a member is a snapshot, whose number of joint transitions is
            in ``meta["transitions"]``.
        history: tidy table, a row per seed and recorded iteration.
        record: settings and outcome of the run and of each member, JSON-ready.
    """

    tensors: dict[str, Tensor]
    metadata: dict[str, str]
    snapshots: tuple[dict[str, Tensor], dict[str, str]]
    history: pd.DataFrame
    record: dict[str, Any]


class Algorithm(Stateful, abc.ABC):
    """What the loop trains: K members side by side, whose state is one tree of tensors.

    Attributes:
        name: ``nash_dqn``, ``fictitious_play`` or ``self_play``.
        statistics: names of what an iteration reports.
        bound: actions of its policies are clipped to +- this; None for no clipping.
        done: iterations so far.
    """

    name: ClassVar[str]
    statistics: ClassVar[tuple[str, ...]]
    bound: float | None = None
    done: int = 0

    game: Game
    recipe: Any

    @property
    def total(self) -> int:
        """Iterations of the whole training."""
        total: int = self.recipe.iterations
        return total

    @property
    def transitions(self) -> int:
        """Joint transitions played so far."""
        transitions: int = self.done * self.recipe.episodes_per_iteration * self.game.n_steps
        return transitions

    @property
    @abc.abstractmethod
    def policy(self) -> Network:
        """What agents play."""

    @property
    def has_policy(self) -> bool:
        """Whether what agents play is, at this iteration, a policy that the algorithm could return."""
        return True

    @property
    @abc.abstractmethod
    def columns(self) -> dict[str, Any]:
        """Where the iteration to come stands, for the history."""

    @abc.abstractmethod
    def iterate(self) -> Tensor:
        """One iteration; its statistics ``[S, K]``."""

    @abc.abstractmethod
    def weights(self) -> dict[str, Tensor]:
        """All weights by name, ``[K, ...]``, without gradients, sharing memory."""


def train(
    algorithm: Algorithm,
    seeds: Sequence[int],
    device: torch.device | str,
    checkpoint: Checkpoint | None,
    meta: Mapping[str, Any],
    **watch: Any,
) -> TrainingResult:
    """Train an ensemble, a member per seed.

    Args:
        algorithm: at its beginning.
        seeds: of the members.
        device: where it computes, for the record.
        checkpoint: that an interrupted training goes on from; None for none.
        meta: more about it (scenario, policy, ...), for the record and the weights' metadata.
        watch: what :class:`nash_dqn.agents.monitor.Monitor` is to look at.
    """
    started, game, recipe = time.perf_counter(), algorithm.game, algorithm.recipe
    groups = {"groups": [len(group) for group in game.groups]} if len(game.groups) > 1 else {}
    meta = {**meta, **groups}
    asked = {"algorithm": algorithm.name, **meta, "device": str(device), "seeds": list(seeds)}
    monitor = Monitor.create(
        *(seeds, algorithm.weights(), algorithm.total, recipe.history_every, algorithm.statistics), **watch
    )
    snapshots, progress = Snapshots(), Progress(algorithm.total)
    kept = None if checkpoint is None else checkpoint.read()
    if kept is not None:
        algorithm.state, monitor, snapshots = kept["algorithm"], kept["monitor"], kept["snapshots"]
        started -= kept["seconds"]

    while monitor.active and algorithm.done < algorithm.total:
        seconds = time.perf_counter() - started
        if checkpoint is not None and checkpoint.due:
            state = {"algorithm": algorithm.state, "monitor": monitor, "snapshots": snapshots, "seconds": seconds}
            stands = {"done": algorithm.done, "total": algorithm.total, "members": monitor.record("goes on")}
            checkpoint.write(state, {**asked, "wall_seconds": seconds, **stands})
        columns = algorithm.columns
        monitor.add(algorithm.iterate(), algorithm.weights)
        if algorithm.has_policy and snapshots.due(algorithm.transitions):
            active = [monitor.members[index].seed for index in monitor.active]
            snapshots.take(algorithm.transitions, time.perf_counter() - started, active, algorithm.policy)
        if monitor.due:
            left = monitor.check(algorithm.transitions, algorithm.weights, **columns)
            progress.report(algorithm.done, monitor.latest())
            if len(left) < len(monitor.active):
                monitor.select(left)
                algorithm.state = select(algorithm.state, left)

    policy = algorithm.name, recipe.observation
    action = game.action_dim, algorithm.bound
    taken = snapshots.taken
    transitions = [snapshot.transitions for snapshot in taken]
    record = {
        **asked,
        "config": {"game": dataclasses.asdict(game), "recipe": dataclasses.asdict(recipe)},
        "wall_seconds": time.perf_counter() - started,
        "snapshots": [{"transitions": count, "wall_seconds": round(at, 3)} for count, at in snapshots.times],
        "members": monitor.record(),
    }
    return TrainingResult(
        monitor.weights(),
        describe(*policy, seeds, *action, **meta),
        (snapshots.tensors(), describe(*policy, [s.seed for s in taken], *action, **meta, transitions=transitions)),
        monitor.history(),
        record,
    )


def describe(
    algorithm: str,
    observation: ObservationSpec,
    seeds: Sequence[int],
    action_dim: int,
    bound: float | None,
    **meta: Any,
) -> dict[str, str]:
    """Metadata with which :func:`nash_dqn.policy.load_policy` rebuilds a policy from a weights file.

    ``groups`` in ``meta`` are the sizes of the game's groups of agents, where each has its own network.
    """
    policy = {
        "algorithm": algorithm,
        "observation": dataclasses.asdict(observation),
        "seeds": list(seeds),
        "action_dim": action_dim,
        "bound": bound,
        "meta": meta,
    }
    return {"policy": json.dumps(policy, sort_keys=True)}
