"""More and more players in a market whose impact they share: what it costs to train them, and how near the limit is."""

from __future__ import annotations

import statistics
import timeit
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch

from nash_dqn.agents.nash_dqn import NashDQN, NashDQNRecipe
from nash_dqn.games.market import Market
from nash_dqn.games.mean_field import exploitability, mean_field_equilibrium, shared, symmetric_equilibrium
from nash_dqn.runtime import peak_memory

__all__ = ["LIMIT_COLUMNS", "limit", "training_cost"]

LIMIT_COLUMNS = ("agents", "value", "value_limit", "distance", "left")


def limit(market: Market, agents: Sequence[int]) -> pd.DataFrame:
    """How far exact equilibria are from that of infinitely many traders; no training is involved.

    Args:
        market: linear; its impact is shared among each number of agents.
        agents: these numbers N, each at least 2.

    Returns:
        Table with :data:`LIMIT_COLUMNS`, a row per N: an agent's ``value`` and ``value_limit``, that with infinitely
        many; ``distance``, root of the summed squares, over all steps, of the difference of the gains K [M, 4] to the
        limit's, as a share of the limit's; and ``left``, what an agent gains by a best response where all play the
        limit's policy.

    Raises:
        NoEquilibriumError: with some number of agents there is no unique equilibrium.
        ValueError: the market is not linear.
    """
    rows = []
    at_limit = mean_field_equilibrium(market)
    for count in agents:
        of_count = shared(market, count)
        exact = symmetric_equilibrium(of_count)
        distance = np.linalg.norm(exact.gains - at_limit.gains) / np.linalg.norm(at_limit.gains)
        rows.append((count, exact.value, at_limit.value, float(distance), exploitability(of_count, at_limit.gains)))
    return pd.DataFrame(rows, columns=list(LIMIT_COLUMNS))


def training_cost(markets: Sequence[Market], recipe: NashDQNRecipe, iterations: int) -> list[dict[str, Any]]:
    """What an iteration of Nash-DQN takes in each market, one training alone: measured, so never twice the same.

    Args:
        markets: in the order of their numbers of agents, as a process's peak of memory only grows.
        recipe: of the trainings.
        iterations: that are timed, after as many that are not.

    Returns:
        For each market: ``agents``; ``parameters``, numbers that are trained; ``median_ms`` and ``fastest_ms`` of an
        iteration; and ``peak_memory_mib`` of the process so far.
    """
    rows = []
    for market in markets:
        trainer = NashDQN(market, recipe, [0], torch.device("cpu"))
        times = [1e3 * timeit.timeit(trainer.iterate, number=1) for _ in range(2 * iterations)][iterations:]
        sizes = sum(tensor.numel() for tensor in trainer.weights().values())
        measured = {"median_ms": statistics.median(times), "fastest_ms": min(times), "peak_memory_mib": peak_memory()}
        rows.append({"agents": market.n_agents, "parameters": sizes, **measured})
    return rows
