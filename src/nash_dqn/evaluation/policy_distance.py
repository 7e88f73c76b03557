"""Fig. 2: trading rates on a grid of states, and how far apart two policies are.

Both algorithms are drawn at the same states: a grid point's price is the price S, whatever feature a policy
makes of it (the released code draws fictitious play at S + Y, which is not like for like when Y is not zero).

On the grid no order has flown yet: all past order flow is zero, an agent's own included, also where time and inventory
say otherwise. For a policy that remembers its own past flow such states are far from those it meets. The distances on
visited states are free of that choice.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from nash_dqn.evaluation.rollout import mean_squares, repeated, trajectory
from nash_dqn.evaluation.statistics import tidy
from nash_dqn.games.market import Market, MarketState
from nash_dqn.pairing import member_pairs
from nash_dqn.policy import Policy
from nash_dqn.seeding import generator

__all__ = ["COLUMNS", "DISTANCE_COLUMNS", "Grid", "distance", "evaluate"]

COLUMNS = ("policy", "algorithm", "seed", "impact", "price", "time", "inventory", "rate")
DISTANCE_COLUMNS = (
    *("policy_a", "policy_b", "algorithm_a", "algorithm_b", "seed_a", "seed_b"),
    *("states", "rms", "rms_a", "rms_b", "relative"),
)


@dataclass(frozen=True)
class Grid:
    """States of Fig. 2: all combinations of time 0, dt, .., T - dt and the values below, other features zero.

    Attributes:
        prices: S.
        impacts: Y.
        inventories: the agent's own inventory, shares.

    Raises:
        ValueError: no value on an axis.
    """

    prices: Sequence[float]
    impacts: Sequence[float]
    inventories: Sequence[float]

    def __post_init__(self) -> None:
        """Check that every axis has values."""
        for name in ("prices", "impacts", "inventories"):
            if not len(getattr(self, name)):
                raise ValueError(f"policy grid: {name} is empty, at least one value is needed")

    @staticmethod
    def from_dict(settings: Mapping[str, Any]) -> Grid:
        """Grid from its configuration, where ``inventory`` is {low, high, points}, equally spaced."""
        axis = settings["inventory"]
        values = torch.linspace(axis["low"], axis["high"], axis["points"], dtype=torch.float64)
        return Grid(settings["prices"], settings["impacts"], values.tolist())

    def states(self, game: Market) -> Iterator[MarketState]:
        """The grid at each decision point, leaves ``[1, G]`` and ``[1, G, N]``.

        Agent 1 holds the inventory in question and the others none, and everyone started with what they hold:
        order flow, total, of the others and own, is zero. The order is that of impacts, prices and inventories.
        """
        points = list(itertools.product(self.impacts, self.prices, self.inventories))
        impact, price, own = torch.tensor(points, dtype=torch.float32).unbind(1)
        inventory = torch.zeros(len(own), game.n_agents)
        inventory[:, 0] = own
        for step in range(game.n_steps):
            yield MarketState(step, *(leaf.unsqueeze(0) for leaf in (price, impact, inventory, inventory)))


@torch.no_grad()
def evaluate(game: Market, policies: Sequence[Policy], grid: Grid) -> pd.DataFrame:
    """Trading rates of agent 1 on the grid.

    Args:
        game: the game.
        policies: policies of one or more members each.
        grid: the states.

    Returns:
        Table with :data:`COLUMNS`, a row per policy, seed and state: ``time`` in hours, ``inventory`` in
        shares, ``rate`` in shares/hour.
    """
    sizes = len(grid.impacts), len(grid.prices), len(grid.inventories)
    values = {"impact": grid.impacts, "price": grid.prices, "inventory": grid.inventories}
    parts = []
    for policy in policies:
        rates = torch.stack([rate[..., 0, 0] for rate in _on_grid(game, policy, grid)], 1).double()  # [K, M, G]
        times = [step * game.dt for step in range(game.n_steps)]
        names = {"policy": [policy.name], "algorithm": [policy.algorithm]}
        axes = {**names, "seed": policy.seeds, "time": times, **values}
        parts.append(tidy(axes, rate=rates.unflatten(-1, sizes)))
    return pd.concat(parts, ignore_index=True)[list(COLUMNS)]


@torch.no_grad()
def distance(game: Market, a: Policy, b: Policy, grid: Grid, visited_episodes: int, seed: int) -> pd.DataFrame:
    """How far apart two policies are, and, as a yardstick, two trainings of the same one.

    Between the two, trainings are paired as in :func:`nash_dqn.pairing.member_pairs`: by the seeds that both have, or
    all with the only one. Within a policy every two of the trainings so compared are, in rows with
    ``policy_a == policy_b``; of a policy of which only one is, there are none, as it has no spread. Both policies of a
    pair are asked at the same states.

    Args:
        game: the game.
        a: a policy.
        b: another, of another name.
        grid: states ``"grid"``, where agent 1's rates count.
        visited_episodes: episodes of ``"visited_a"`` and ``"visited_b"``, where every agent's rates count:
            the states that arise when all agents follow the first or the second policy of the pair.
        seed: of the episodes, which are the same for every pair.

    Returns:
        Table with :data:`DISTANCE_COLUMNS`: ``seed_a`` and ``seed_b`` are the trainings of a pair; ``rms`` is the root
        mean square of the difference of the rates, ``rms_a`` and ``rms_b`` that of either policy's rates, in
        shares/hour; ``relative`` = rms / sqrt((rms_a^2 + rms_b^2) / 2), empty where both policies never trade.

    Raises:
        ValueError: trainings that cannot be paired, or no episode.
    """
    if visited_episodes < 1:
        raise ValueError(f"visited_episodes = {visited_episodes}: at least 1 is needed")
    members_a, members_b = zip(*member_pairs(a.seeds, b.seeds), strict=True)
    pairs = [(a.select(members_a), b.select(members_b))]
    for policy, members in ((a, members_a), (b, members_b)):
        within = list(itertools.combinations(dict.fromkeys(members), 2))
        if within:
            first, second = zip(*within, strict=True)
            pairs.append((policy.select(first), policy.select(second)))
    return pd.concat([_apart(game, *pair, grid, visited_episodes, seed) for pair in pairs], ignore_index=True)


def _apart(game: Market, a: Policy, b: Policy, grid: Grid, episodes: int, seed: int) -> pd.DataFrame:
    """Rows of member k of ``a`` against member k of ``b``, k = 1..K."""
    on_grid = ([rates[..., 0, :] for rates in _on_grid(game, policy, grid)] for policy in (a, b))
    pairs = {
        "grid": zip(*on_grid, strict=True),
        "visited_a": _on_visited(game, a, b, episodes, seed),
        "visited_b": ((y, x) for x, y in _on_visited(game, b, a, episodes, seed)),
    }
    squares = torch.stack([mean_squares(rates).mean(0) for rates in pairs.values()], -1).numpy()  # [3, K, states]
    size = np.sqrt((squares[1] + squares[2]) / 2)
    rms, rms_a, rms_b = np.sqrt(squares)
    axes = {"k": range(len(a.seeds)), "states": list(pairs)}
    table = tidy(axes, rms=rms, rms_a=rms_a, rms_b=rms_b, relative=rms / np.where(size > 0, size, np.nan))
    for side, policy in (("a", a), ("b", b)):
        table[f"policy_{side}"], table[f"algorithm_{side}"] = policy.name, policy.algorithm
        table[f"seed_{side}"] = table["k"].map(dict(enumerate(policy.seeds)))
    return table[list(DISTANCE_COLUMNS)]


def _on_grid(game: Market, policy: Policy, grid: Grid) -> Iterator[Tensor]:
    """Rates ``[K, G, N, 1]`` on the grid at each decision point."""
    for state in grid.states(game):
        yield policy.act(game, repeated(state, len(policy.seeds)))


def _on_visited(
    game: Market, player: Policy, other: Policy, episodes: int, seed: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Rates ``[K, E, N, 1]`` of both policies at each decision point of episodes played by ``player``."""
    shocks = game.sample_shocks(episodes, generator(seed, "visited"))
    for transition in trajectory(game, player, shocks):
        yield transition.actions, other.act(game, transition.state)
