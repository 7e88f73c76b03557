"""Accuracy against the data used: exploitability of the policies kept along a training, and how far they are off.

A training leaves copies of its policies behind at log-spaced numbers of joint transitions
(:mod:`nash_dqn.agents.snapshots`). Two measures of error are taken of each: what one deviator gains against it
(:mod:`nash_dqn.evaluation.exploitability`), and the root mean square (RMS) of its action less that of an equilibrium
reference in the states that arise when all agents follow the reference. The second means something only where the
reference's own exploitability is small.

Random streams of (seed, ``exploitability``) for deviators, and (seed, ``data_efficiency``): ``visited``.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from nash_dqn.artifacts import read_tensors
from nash_dqn.evaluation import exploitability
from nash_dqn.evaluation.best_response import BestResponseSettings, DeviatorClass
from nash_dqn.evaluation.reference import distances_to
from nash_dqn.games.base import Game
from nash_dqn.policy import Policy, load_policy
from nash_dqn.seeding import generator

__all__ = ["COLUMNS", "evaluate", "load_snapshots"]

_GAIN, _DISTANCES = ("gain", "low", "high", "value"), ("distance", "relative_distance")
COLUMNS = ("policy", "algorithm", "seed", "deviator", "reference", "transitions", *_GAIN, *_DISTANCES)

_CHUNK = 32  # snapshots whose deviators are trained side by side: memory stays bounded however many there are


def load_snapshots(path: str | Path) -> Policy | None:
    """Read the policies kept along a training, a member for each; None if it was too short for any.

    Raises:
        ArtifactError: the file is missing, damaged, or holds something else.
    """
    tensors, _ = read_tensors(path)
    return load_policy(path) if tensors else None


def evaluate(
    game: Game,
    snapshots: Policy | None,
    record: Mapping[str, Any],
    reference: Policy | None,
    settings: BestResponseSettings,
    deviator: DeviatorClass,
    paths: int,
    validation_paths: int,
    visited_episodes: int,
    times: Collection[int] | None = None,
) -> pd.DataFrame:
    """Measure every policy kept along the trainings of a policy.

    All policies meet deviators trained on the same episodes, and are measured on the same paths and states.

    Args:
        game: the game.
        snapshots: a member for each training seed and time, joint transitions in ``meta["transitions"]``
            (:func:`load_snapshots`); None if there are none.
        record: of the trainings: policy, algorithm, ``members`` with seed, transitions and diverged.
        reference: an equilibrium policy, whose first member counts; None to leave distances empty.
        settings: of the deviators' training; their seed is also that of paths and episodes.
        deviator: their class.
        paths: fresh paths on which gains are measured.
        validation_paths: paths on which the best restart is chosen.
        visited_episodes: episodes in whose states distances are measured.
        times: joint transitions at which policies are measured; None for all.

    Returns:
        Table with :data:`COLUMNS`, a row for each seed and count of joint transitions at which a policy was kept:
        ``gain`` of a deviating agent 1 with its 95 % interval over paths, and ``value``, its mean total reward without
        deviation; ``distance`` in shares/hour, over all agents and decision points, and ``relative_distance``, divided
        by the RMS of the reference's action. ``reference`` is the reference's name. Numbers are empty where they are
        not finite. A training that diverged has a last row without numbers at the joint transitions where it did; what
        was kept of it from there on is left out. When a policy was kept by the clock stands in the record alone: the
        table is the same however fast the machine was.

    Raises:
        BestResponseError: a deviator loses, or none of a policy's stayed finite.
        ValueError: snapshots without their times, no episode, or fewer than two paths.
    """
    if visited_episodes < 1:
        raise ValueError(f"visited_episodes = {visited_episodes}: at least 1 is needed")
    lost = {member["seed"]: member["transitions"] for member in record["members"] if member["diverged"]}
    tables = [pd.DataFrame({"seed": [of_seed], "transitions": [time]}) for of_seed, time in lost.items()]
    visited = game.sample_shocks(visited_episodes, generator(settings.seed, "data_efficiency", "visited"))
    for kept, at in _before_divergence(snapshots, lost, times):
        gains = exploitability.evaluate(game, kept, settings, paths, validation_paths, (deviator,), players=(0,))
        table = gains[gains["player"] == "1"].reset_index(drop=True).assign(transitions=at)
        if reference is not None:
            distances = distances_to(game, kept, reference.member(0), visited)
            table = table.assign(**dict(zip(_DISTANCES, distances, strict=True)))
        tables.append(table)
    if not tables:
        return pd.DataFrame(columns=list(COLUMNS))
    names = {**{key: record[key] for key in ("policy", "algorithm")}, "deviator": deviator}
    of = None if reference is None else reference.name
    table = pd.concat(tables, ignore_index=True).assign(**names, reference=of).reindex(columns=list(COLUMNS))
    return table.sort_values(["seed", "transitions"], ignore_index=True)


def _before_divergence(
    snapshots: Policy | None, lost: Mapping[int, int], wanted: Collection[int] | None
) -> Iterator[tuple[Policy, list[int]]]:
    """Policies kept before their training diverged, some at a time, and their joint transitions."""
    if snapshots is None:
        return
    times = snapshots.meta.get("transitions")
    if times is None or len(times) != len(snapshots.seeds):
        raise ValueError("snapshots: meta lacks the transitions of each member; give a training's snapshots file")
    kept = ((k, time) for k, time in enumerate(times) if wanted is None or time in wanted)
    members = [k for k, time in kept if time < lost.get(snapshots.seeds[k], math.inf)]
    for start in range(0, len(members), _CHUNK):
        chunk = members[start : start + _CHUNK]
        yield snapshots.select(chunk), [times[k] for k in chunk]
