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
from collections.abc import Mapping
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

COLUMNS = (
    "algorithm",
    "recipe",
    "seed",
    "deviator",
    "reference",
    "transitions",
    "gain",
    "low",
    "high",
    "value",
    "distance",
    "relative_distance",
)

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
    seed: int,
) -> pd.DataFrame:
    """Measure every policy kept along the trainings of a recipe.

    All policies meet deviators trained on the same episodes, and are measured on the same paths and states.

    Args:
        game: the game.
        snapshots: a member for each training seed and time, joint transitions in ``meta["transitions"]``
            (:func:`load_snapshots`); None if there are none.
        record: of the trainings: algorithm, recipe_name, ``members`` with seed, transitions and diverged.
        reference: an equilibrium policy, whose first member counts; None to leave distances empty.
        settings: of the deviators' training.
        deviator: their class.
        paths: fresh paths on which gains are measured.
        validation_paths: paths on which the best restart is chosen.
        visited_episodes: episodes in whose states distances are measured.
        seed: of paths and episodes.

    Returns:
        Table with :data:`COLUMNS`, a row for each seed and count of joint transitions at which a policy was kept:
        ``gain`` of a deviating agent 1 with its 95 % interval over paths, and ``value``, its mean total reward without
        deviation; ``distance`` in shares/hour, over all agents and decision points, and ``relative_distance``, divided
        by the RMS of the reference's action. ``reference`` is the reference's recipe. Numbers are empty where they are
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
    common = {
        "algorithm": record["algorithm"],
        "recipe": record["recipe_name"],
        "deviator": deviator,
        "reference": None if reference is None else reference.meta["recipe_name"],
    }
    rows = [{**common, "seed": of_seed, "transitions": transitions} for of_seed, transitions in lost.items()]
    kept, times = _before_divergence(snapshots, lost)
    if kept is not None:
        chunks = [kept.select(range(len(times))[start : start + _CHUNK]) for start in range(0, len(times), _CHUNK)]
        counts = (paths, validation_paths)
        measured = exploitability.evaluate(game, chunks, settings, *counts, seed, (deviator,), players=(0,))
        gains = measured.loc[measured["player"] == "1", ["gain", "low", "high", "value"]].to_dict("records")
        distances = [math.nan] * len(times), [math.nan] * len(times)
        if reference is not None:
            shocks = game.sample_shocks(visited_episodes, generator(seed, "data_efficiency", "visited"))
            distances = distances_to(game, chunks, reference.member(0), shocks)
        for of_seed, transitions, gain, *distance in zip(kept.seeds, times, gains, *distances, strict=True):
            at = {"seed": of_seed, "transitions": transitions}
            rows.append({**common, **at, **gain, **dict(zip(COLUMNS[-2:], distance, strict=True))})
    return pd.DataFrame(rows, columns=list(COLUMNS)).sort_values(["seed", "transitions"], ignore_index=True)


def _before_divergence(snapshots: Policy | None, lost: Mapping[int, int]) -> tuple[Policy | None, list[int]]:
    """The policies kept before their training diverged, if any, and their joint transitions."""
    if snapshots is None:
        return None, []
    times = snapshots.meta.get("transitions")
    if times is None or len(times) != len(snapshots.seeds):
        raise ValueError("snapshots: meta lacks the transitions of each member; give a training's snapshots file")
    members = [k for k, of_seed in enumerate(snapshots.seeds) if times[k] < lost.get(of_seed, math.inf)]
    return (snapshots.select(members), [times[k] for k in members]) if members else (None, [])
