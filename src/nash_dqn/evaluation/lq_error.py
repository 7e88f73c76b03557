"""Learned policies against the exact equilibrium of a linear-quadratic game.

Where dynamics are linear, rewards quadratic and the state visible, as in the market with linear impact, no price floor
and visible inventories, the feedback Nash equilibrium is exact (:mod:`nash_dqn.games.lq`), so that a learned policy can
be compared with the right answer: the root mean square (RMS) of learned less exact action over the states that are
visited, divided by the RMS of the exact action there.
Visited by whom matters: ``learned``, all agents follow the policy, tells how wrong it is where it goes itself;
``exact``, all follow the equilibrium, asks every policy at the same states.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from nash_dqn.evaluation.rollout import mean_squares, repeated, sound_weights, steps, trajectory
from nash_dqn.evaluation.statistics import tidy
from nash_dqn.games.base import Game, Shocks
from nash_dqn.games.lq import NoEquilibriumError, solve_nash
from nash_dqn.games.market import Market
from nash_dqn.games.mean_field import symmetric_equilibrium, symmetric_profile
from nash_dqn.policy import Policy
from nash_dqn.seeding import generator

__all__ = ["ALL_STEPS", "COLUMNS", "SCATTER_COLUMNS", "SCATTER_POINTS", "VISITED_BY", "by_group", "evaluate", "scatter"]

COLUMNS = ("policy", "algorithm", "seed", "visited_by", "step", "rms_error", "rms_exact", "relative")
SCATTER_COLUMNS = ("policy", "algorithm", "seed", "step", "exact", "learned")
VISITED_BY = ("learned", "exact")
ALL_STEPS = "all"
"""The ``step`` of the rows over all decision points together."""

SCATTER_POINTS = 200
"""Actions per seed and decision point in :func:`scatter`: a cloud's shape, in a file of some hundred kilobytes."""

Act = Callable[[Any], Tensor]
"""Joint action ``[..., N, d]`` in a state."""


@torch.no_grad()
def evaluate(
    game: Game,
    policies: Sequence[Policy],
    episodes: int,
    seed: int,
    agents: range | None = None,
) -> pd.DataFrame:
    """RMS error of every policy, by decision point and over all of them.

    All policies and seeds, and the equilibrium, play on the same random numbers. In the states that arise every
    agent's action counts, or those of some, such as a group. A policy may see less than the equilibrium does; the error
    then includes what that costs.

    Args:
        game: a linear-quadratic game, such as the market with impact "linear" or "none" and no price floor.
        policies: policies of one or more members each.
        episodes: number of episodes.
        seed: of the episodes.
        agents: neighbouring agents whose actions count; None for all.

    Returns:
        Table with :data:`COLUMNS`, a row per policy, seed, ``visited_by`` (:data:`VISITED_BY`) and step ("0" to
        "M - 1", or :data:`ALL_STEPS`): ``rms_error`` and ``rms_exact`` in units of the action, and their ratio
        ``relative``, which is empty where the equilibrium does not act. A seed with weights that are not finite has
        empty numbers, and so has one whose actions overflow, from that step on.

    Raises:
        ValueError: no episode, or the game is not linear-quadratic.
        NoEquilibriumError: the game has no unique equilibrium.
    """
    exact, shocks = _exact_actions(game), _shocks(game, episodes, seed)
    by_step = [*map(str, range(game.n_steps)), ALL_STEPS]
    parts = []
    for policy in policies:
        visited = (mean_squares(_actions(game, policy, exact, shocks, by, agents)) for by in VISITED_BY)
        squares = torch.stack([torch.cat((of, of.mean(0, keepdim=True))) for of in visited])  # [2, M + 1, 3, K]
        error, _, size = squares.sqrt().movedim((2, 3), (0, 2))
        known = sound_weights(policy).unsqueeze(-1) & error.isfinite()
        error, size = (of.where(known, torch.nan) for of in (error, size))
        names = {"policy": [policy.name], "algorithm": [policy.algorithm]}
        axes = {**names, "visited_by": VISITED_BY, "seed": policy.seeds, "step": by_step}
        relative = error / size.where(size > 0, torch.nan)
        parts.append(tidy(axes, rms_error=error, rms_exact=size, relative=relative))
    return pd.concat(parts, ignore_index=True)[list(COLUMNS)]


def by_group(
    measure: Callable[..., pd.DataFrame],
    game: Game,
    policies: Sequence[Policy],
    episodes: int,
    seed: int,
) -> pd.DataFrame:
    """:func:`evaluate` or :func:`scatter` for each of the game's groups: 1, 2, ... in column ``group``."""
    tables = {
        number: measure(game, policies, episodes, seed, agents) for number, agents in enumerate(game.groups, start=1)
    }
    found = pd.concat(tables, names=["group"]).reset_index("group").reset_index(drop=True)
    group = found.pop("group")
    found.insert(found.columns.get_loc("seed"), "group", group)
    return found


@torch.no_grad()
def scatter(
    game: Game,
    policies: Sequence[Policy],
    episodes: int,
    seed: int,
    agents: range | None = None,
) -> pd.DataFrame:
    """Pairs of exact and learned action in states that the learned policies visit: a sample of :func:`evaluate`'s.

    Arguments and errors are those of :func:`evaluate`.

    Returns:
        Table with :data:`SCATTER_COLUMNS`: for each policy, seed and decision point ``step``, to 4
        decimals, :data:`SCATTER_POINTS` entries of agents' actions, as many as there are if these are fewer, the same
        for all seeds. Seeds without finite actions have no rows.
    """
    exact, shocks = _exact_actions(game), _shocks(game, episodes, seed)
    source = generator(seed, "lq_error", "scatter")
    entries = episodes * len(agents or range(game.n_agents)) * game.action_dim
    chosen = [torch.randperm(entries, generator=source)[:SCATTER_POINTS] for _ in range(game.n_steps)]
    parts = []
    for policy in policies:
        actions = _actions(game, policy, exact, shocks, "learned", agents)
        learned, right = (
            torch.stack([of.flatten(1)[:, here] for of, here in zip(of_all, chosen, strict=True)])
            for of_all in zip(*actions, strict=True)
        )  # [M, K, points]
        known = sound_weights(policy) & (learned - right).isfinite().all(-1)
        names = {"policy": [policy.name], "algorithm": [policy.algorithm]}
        axes = {**names, "step": range(game.n_steps), "seed": policy.seeds, "point": range(learned.shape[-1])}
        parts.append(tidy(axes, exact=right, learned=learned, known=known.unsqueeze(-1)))
    table = pd.concat(parts).round({"exact": 4, "learned": 4})
    return table.loc[table["known"], list(SCATTER_COLUMNS)].reset_index(drop=True)


def _exact_actions(game: Game) -> Act:
    """The equilibrium's joint action ``[..., N, d]``, float64, in states of any type."""
    try:
        if isinstance(game, Market) and game.n_agents > 1:  # all alike: memory of order N, not of its cube
            return symmetric_profile(game, symmetric_equilibrium(game).gains)
        policies = solve_nash(game.as_lq()).policies
    except NoEquilibriumError as error:
        raise NoEquilibriumError(
            f"{type(game).__name__} of n_agents = {game.n_agents}: no exact equilibrium to compare with: {error}"
        ) from None
    gains, offsets = torch.from_numpy(policies.gains), torch.from_numpy(policies.offsets)

    def act(state: Any) -> Tensor:
        joint = offsets[state.step] - game.state_vector(state).double() @ gains[state.step].T
        return joint.unflatten(-1, (game.n_agents, game.action_dim))

    return act


def _shocks(game: Game, episodes: int, seed: int) -> Shocks:
    if episodes < 1:
        raise ValueError(f"episodes = {episodes}: at least 1 is needed")
    return game.sample_shocks(episodes, generator(seed, "lq_error"))


def _actions(
    game: Game, policy: Policy, exact: Act, shocks: Shocks, visited_by: str, agents: range | None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Learned and exact actions of the agents at each step, ``[K, E, n, d]`` both or the exact ones ``[1, ...]``."""
    of = slice(None) if agents is None else slice(agents.start, agents.stop)
    if visited_by == "learned":
        for step in trajectory(game, policy, shocks):
            yield step.actions.double()[..., of, :], exact(step.state)[..., of, :]
        return
    dtype, members = next(iter(shocks)).dtype, len(policy.seeds)
    for step in steps(game, lambda state: exact(state).to(dtype), shocks.map(lambda leaf: leaf.unsqueeze(0))):
        learned = policy.act(game, repeated(step.state, members)).double()
        yield learned[..., of, :], exact(step.state)[..., of, :]
