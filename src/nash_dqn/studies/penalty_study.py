"""Why the penalty of Fig. 1 seems to help: two of its weights, for policies that differ in what may go wrong.

Each policy is trained at both betas. What is compared: the loss (17) and the size of psi along the trainings, as the
history has them, and what one deviating agent gains against the policies that stood at some iterations and against
those returned. All are positive and, where training explodes, span decades; verdicts are therefore on factors, means of
logarithms. The unit of replication is the seed, which fixes a training's random numbers: trainings are paired by seed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from nash_dqn.evaluation import data_efficiency
from nash_dqn.evaluation.best_response import BestResponseSettings, DeviatorClass
from nash_dqn.evaluation.beta_sweep import diverged_by, resets_by, window_before
from nash_dqn.evaluation.betas import names_of
from nash_dqn.evaluation.statistics import FLOOR, geometric_mean, mean_interval
from nash_dqn.games.base import Game
from nash_dqn.policy import Policy

__all__ = ["ALONG", "COLUMNS", "DEVIATOR", "GAINS", "TEST_COLUMNS", "Studied", "along", "compare", "table"]

DEVIATOR: DeviatorClass = "memory"
"""The class of deviators that counts: it remembers its own past order flow."""
ALONG = ("loss", "psi_abs")
"""Measures that are columns of a history."""
GAINS = ("exploitability", "returned_exploitability")
"""Measures that are gains of a deviator."""
COLUMNS = ("policy", "base", "beta", "seed", "measure", "iteration", "value", "low", "high", "resets", "diverged")
TEST_COLUMNS = (
    *("base", "measure", "iteration", "beta", "other_beta", "pairs", "median", "other_median", "reset"),
    *("other_reset", "difference", "low", "high", "factor", "factor_low", "factor_high", "lower"),
)


class Studied(NamedTuple):
    """The training of one policy at one beta, and what was measured of it.

    Attributes:
        history: columns seed, iteration, loss, psi_abs and resets, a row per seed and ``history_every`` iterations.
        record: policy, ``members`` with seed, iterations, returned_iteration and diverged, and ``config`` with game and
            recipe.
        kept: what :func:`along` returns.
        returned: of :func:`nash_dqn.evaluation.exploitability.evaluate`, for the returned weights; the rows of player 1
            and of :data:`DEVIATOR` count.
    """

    history: pd.DataFrame
    record: Mapping[str, Any]
    kept: pd.DataFrame
    returned: pd.DataFrame


def along(
    game: Game,
    snapshots: Policy | None,
    record: Mapping[str, Any],
    iterations: Sequence[int],
    settings: BestResponseSettings,
    paths: int,
    validation_paths: int,
) -> pd.DataFrame:
    """What a deviator with memory gains against the policies that stood at some iterations of a training.

    Rows and other arguments are those of :func:`nash_dqn.evaluation.data_efficiency.evaluate`, without distances.

    Raises:
        ValueError: no policy was kept after one of the iterations, though a training reached it.
    """
    transitions = {_transitions(record, iteration): iteration for iteration in iterations}
    known = [] if snapshots is None else snapshots.meta["transitions"]
    for count, iteration in transitions.items():
        if count not in known and not all(diverged_by(member, iteration) for member in record["members"]):
            raise ValueError(f"snapshots: no policy of iteration {iteration} ({count} joint transitions)")
    counts = paths, validation_paths, 1
    return data_efficiency.evaluate(game, snapshots, record, None, settings, DEVIATOR, *counts, transitions)


def _transitions(record: Mapping[str, Any], iteration: int) -> int:
    """Joint transitions played by the end of an iteration."""
    config = record["config"]
    return iteration * int(config["recipe"]["episodes_per_iteration"]) * int(config["game"]["n_steps"])


def table(trainings: Sequence[Studied], iterations: Sequence[int], window: int) -> pd.DataFrame:
    """Everything measured, a row each.

    Args:
        trainings: of every policy at either beta.
        iterations: after which kept policies were measured.
        window: iterations over which the loss is a mean.

    Returns:
        Table with :data:`COLUMNS`, of every training and seed: ``loss`` (17) and ``psi_abs``, mean absolute psi, each
        the mean over the window before each of its multiples; ``exploitability`` of the policy kept after each of the
        iterations and ``returned_exploitability`` of the returned one, where ``iteration`` is that of its weights, with
        95 % intervals over paths. ``resets`` counts those until then. Of a training that had diverged by then there is
        no value.

    Raises:
        ValueError: a history or measurement that lacks what a training that did not diverge has.
    """
    rows: list[tuple[Any, ...]] = []
    for training in trainings:
        policy, base, beta = names_of(training.record).values()
        for member in training.record["members"]:
            history, *others = (
                of[of["seed"] == member["seed"]] for of in (training.history, training.kept, training.returned)
            )
            of_seed = Studied(history, training.record, *others)
            for measure, iteration, diverged, numbers in _measured(of_seed, member, iterations, window):
                if not diverged and not math.isfinite(numbers[0]):
                    name = f"{policy}, seed {member['seed']}"
                    raise ValueError(f"{name}: no {measure} of iteration {iteration}, but the training did not diverge")
                names = policy, base, beta, member["seed"]
                rows.append((*names, measure, iteration, *numbers, resets_by(history, iteration), diverged))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _measured(
    training: Studied, member: Mapping[str, Any], iterations: Sequence[int], window: int
) -> Iterator[tuple[str, int, bool, tuple[float, ...]]]:
    """Of one seed: measure, iteration, whether it had diverged, and value, low, high, nan where there are none."""
    recipe, kept, returned = training.record["config"]["recipe"], training.kept, training.returned
    for end in range(window, int(recipe["iterations"]) + 1, window):
        means, diverged = dict.fromkeys(ALONG, math.nan), diverged_by(member, end)
        if not diverged:
            means |= window_before(training.history, end, window, recipe["history_every"])[list(ALONG)].mean().to_dict()
        for measure, value in means.items():
            yield measure, end, diverged, (value, math.nan, math.nan)
    for iteration in iterations:
        found = kept[kept["transitions"] == _transitions(training.record, iteration)]
        yield GAINS[0], iteration, diverged_by(member, iteration), _gain(found)
    counts = (returned["deviator"] == DEVIATOR) & (returned["player"].astype(str) == "1")
    yield GAINS[1], member["returned_iteration"], member["diverged"], _gain(returned[counts])


def _gain(rows: pd.DataFrame) -> tuple[float, ...]:
    """The gain and its interval of one row."""
    return tuple(map(float, rows[["gain", "low", "high"]].iloc[0])) if len(rows) else (math.nan,) * 3


def compare(found: pd.DataFrame, betas: Sequence[float], iterations: Sequence[int]) -> pd.DataFrame:
    """Which of two betas is the better, for each base and measure.

    Args:
        found: table of :func:`table`.
        betas: the two.
        iterations: at which they are compared.

    Returns:
        Table with :data:`TEST_COLUMNS`; ``iteration`` of returned policies is empty. Of the ``pairs`` of trainings that
        have a value at both betas, the medians, and how many trainings of all were ``reset`` by then; the mean
        ``difference``, value at ``beta`` less that at ``other_beta``, and the geometric mean ``factor`` of the former
        over the latter, each with its 95 % t interval over pairs, empty for fewer than two; and ``lower``, the beta of
        the lower values where the factor's interval excludes one. Gains below
        :data:`nash_dqn.evaluation.statistics.FLOOR` count as that in factors.
    """
    first, second = betas
    rows = []
    for base, of_base in found.groupby("base", sort=False):
        for measure in (*ALONG, *GAINS):
            of_measure = of_base[of_base["measure"] == measure]
            for iteration in (math.nan,) if measure == GAINS[1] else iterations:
                at = of_measure if measure == GAINS[1] else of_measure[of_measure["iteration"] == iteration]
                values, resets = (
                    at.pivot(index="seed", columns="beta", values=column).reindex(columns=[first, second])
                    for column in ("value", "resets")
                )
                values = values.dropna()
                numbers = len(values), *values.median(), *(resets > 0).sum()
                rows.append((base, measure, iteration, first, second, *numbers, *_compared(values, betas)))
    return pd.DataFrame(rows, columns=list(TEST_COLUMNS)).astype({"iteration": "Int64"})


def _compared(values: pd.DataFrame, betas: Sequence[float]) -> tuple[float, ...]:
    """Difference and factor with their intervals, and the beta with the lower values."""
    differences = values[betas[0]] - values[betas[1]]
    difference: tuple[float, ...] = float(differences.mean()), math.nan, math.nan
    if len(differences) > 1:
        difference = mean_interval(differences.to_numpy())[:3]
    floored = values.clip(lower=FLOOR)
    factor = geometric_mean((floored[betas[0]] / floored[betas[1]]).to_numpy())
    lower = betas[0] if factor[2] < 1 else betas[1] if factor[1] > 1 else math.nan
    return (*difference, *factor, lower)
