"""What each change of a policy's settings buys: exploitability of an ablation's trainings, and factors against a base.

Exploitability is positive and spans decades, so averages over seeds are geometric, and a change is a factor: below one,
it helps. The unit of replication is the seed, which fixes a training's random numbers, so that factors are paired.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from nash_dqn.evaluation.statistics import FLOOR, geometric_mean

__all__ = ["COLUMNS", "SEED_COLUMNS", "by_seed", "table"]

_NAMES = ("scenario", "policy", "base", "change", "kind")
SEED_COLUMNS = (*_NAMES, "seed", "deviator", "gain", "low", "high", "value", "share", "diverged")
COLUMNS = (
    *(*_NAMES, "deviator", "seeds", "diverged", "gain", "low", "high", "value", "share"),
    *("pairs", "factor", "factor_low", "factor_high"),
)


def by_seed(exploitability: pd.DataFrame, settings: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """What agent 1 gains by deviating from each training.

    Args:
        exploitability: tables of :func:`nash_dqn.evaluation.exploitability.evaluate` with a scenario.
        settings: ``policy``, ``base``, ``change`` and ``kind`` (:class:`nash_dqn.settings.ablation.Setting`) of each.

    Returns:
        Table with :data:`SEED_COLUMNS`, a row per policy, seed and deviator, in the order of the settings;
        ``diverged`` are trainings without numbers.

    Raises:
        ValueError: a policy has no row.
    """
    rows = exploitability[exploitability["player"].astype(str) == "1"]
    for entry in settings:
        if entry["policy"] not in set(rows["policy"]):
            raise ValueError(f"exploitability: no row of player 1 with policy={entry['policy']}")
    found = pd.DataFrame(list(settings)).merge(rows, on="policy", validate="one_to_many")
    return found.assign(diverged=found["gain"].isna())[list(SEED_COLUMNS)]


def table(seeds: pd.DataFrame) -> pd.DataFrame:
    """Averages over the seeds of each policy.

    Args:
        seeds: table of :func:`by_seed`.

    Returns:
        Table with :data:`COLUMNS`, a row per policy and deviator: of ``seeds`` trainings, ``diverged`` of which are in
        no average, the geometric mean ``gain`` with its 95 % t interval (of logarithms) ``low`` to ``high``; the mean
        ``value`` without deviation, and ``share`` = gain / abs(value); and ``factor``, the gain over the base's, over
        ``pairs`` of trainings with the same seed of which neither diverged. Empty: what too few trainings do not tell,
        and the base's own factor.
    """
    kept = seeds[~seeds["diverged"]]
    gains = {key: of.set_index("seed")["gain"].clip(lower=FLOOR) for key, of in kept.groupby(["policy", "deviator"])}
    none, rows = pd.Series(dtype=float), []
    for (policy, deviator), group in seeds.groupby(["policy", "deviator"], sort=False):
        first, gain = group.iloc[0], gains.get((policy, deviator), none)
        base = none if first["kind"] == "base" else gains.get((first["base"], deviator), none)
        factors = (gain / base).dropna().to_numpy()
        mean, low, high = geometric_mean(gain.to_numpy())
        value = float(group["value"].mean())
        numbers = (len(group), int(group["diverged"].sum()), mean, low, high, value, mean / abs(value))
        rows.append((*first[list(_NAMES)], deviator, *numbers, len(factors), *geometric_mean(factors)))
    return pd.DataFrame(rows, columns=list(COLUMNS))
