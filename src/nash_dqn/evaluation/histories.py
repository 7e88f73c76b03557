"""Reading histories of Nash-DQN's trainings: a row per seed and ``history_every`` iterations, each a mean over them.

A history here is that of one seed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

__all__ = ["diverged_by", "resets_by", "window_before"]


def window_before(history: pd.DataFrame, iteration: int, window: int, every: int) -> pd.DataFrame:
    """The rows of ``every`` iterations each that make up the window which ends with an iteration.

    Raises:
        ValueError: the history does not have all of them.
    """
    rows = history[(history["iteration"] > iteration - window) & (history["iteration"] <= iteration)]
    if len(rows) * every != window or rows["iteration"].max() != iteration:
        found = f"{len(rows)} rows in the {window} iterations before {iteration}, expected {window // every}"
        raise ValueError(f"history of seed {history['seed'].iloc[0]}: {found}")
    return rows


def resets_by(history: pd.DataFrame, iteration: int) -> int:
    """Resets until the end of the row that holds an iteration, or of the last row."""
    before = history[history["iteration"] < iteration]
    return int(history["resets"].iloc[min(len(before), len(history) - 1)])


def diverged_by(member: Mapping[str, Any], iteration: int) -> bool:
    """Whether a training, ``members`` of its record, had diverged by the end of an iteration."""
    return bool(member["diverged"]) and member["iterations"] <= iteration
