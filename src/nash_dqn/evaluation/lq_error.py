"""Learned policies against the exact equilibrium of a linear-quadratic game.

Where dynamics are linear, rewards quadratic and the state visible, as in the market with linear impact, no price floor
and visible inventories, the feedback Nash equilibrium is exact (:mod:`nash_dqn.games.lq`), so that a learned policy can
be compared with the right answer: the root mean square (RMS) of learned less exact action over the states that are
visited, divided by the RMS of the exact action there.
Visited by whom matters: ``learned``, all agents follow the policy, tells how wrong it is where it goes itself;
``exact``, all follow the equilibrium, asks every policy at the same states.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from nash_dqn.evaluation.rollout import repeated, sound_weights, trajectory
from nash_dqn.games.base import Game, Shocks
from nash_dqn.games.lq import NoEquilibriumError, solve_nash
from nash_dqn.games.market import Market
from nash_dqn.games.mean_field import symmetric_equilibrium, symmetric_profile
from nash_dqn.policy import Policy
from nash_dqn.seeding import generator

__all__ = [
    "ALL_STEPS",
    "COLUMNS",
    "SCATTER_COLUMNS",
    "SCATTER_POINTS",
    "VISITED_BY",
    "by_group",
    "evaluate",
    "scatter",
]

COLUMNS = ("algorithm", "recipe", "seed", "visited_by", "step", "rms_error", "rms_exact", "relative")
SCATTER_COLUMNS = ("algorithm", "recipe", "seed", "step", "exact", "learned")
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
    policies: Sequence[tuple[str, Policy]],
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
        policies: pairs of a recipe's name and its policy.
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
    of = _slice(game, agents)
    rows: list[dict[str, Any]] = []
    for recipe, policy in policies:
        sound = sound_weights(policy).tolist()
        for visited_by in VISITED_BY:
            squares = torch.stack(
                [
                    _mean_squares(*(action[..., of, :] for action in actions))
                    for actions in _visited(game, policy, exact, shocks, visited_by)
                ]
            )  # [M, 2, K]
            by_step = {str(m): of_step for m, of_step in enumerate(squares)} | {ALL_STEPS: squares.mean(0)}
            rows += [
                {
                    "algorithm": policy.algorithm,
                    "recipe": recipe,
                    "seed": policy.seeds[k],
                    "visited_by": visited_by,
                    "step": step,
                    **_numbers(of_step[:, k].sqrt(), sound[k]),
                }
                for k in range(len(policy.seeds))
                for step, of_step in by_step.items()
            ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def by_group(
    measure: Callable[..., pd.DataFrame],
    game: Game,
    policies: Sequence[tuple[str, Policy]],
    episodes: int,
    seed: int,
) -> pd.DataFrame:
    """:func:`evaluate` or :func:`scatter` for each of the game's groups: 1, 2, ... in column ``group``, the first.

    Raises:
        ValueError: as for :func:`evaluate`.
        NoEquilibriumError: as for :func:`evaluate`.
    """
    tables = []
    for number, agents in enumerate(game.groups, start=1):
        table = measure(game, policies, episodes, seed, agents)
        table.insert(0, "group", number)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


@torch.no_grad()
def scatter(
    game: Game,
    policies: Sequence[tuple[str, Policy]],
    episodes: int,
    seed: int,
    agents: range | None = None,
) -> pd.DataFrame:
    """Pairs of exact and learned action in states that the learned policies visit: a sample of :func:`evaluate`'s.

    Args:
        game: as for :func:`evaluate`.
        policies: as for :func:`evaluate`.
        episodes: as for :func:`evaluate`.
        seed: as for :func:`evaluate`.
        agents: as for :func:`evaluate`.

    Returns:
        Table with :data:`SCATTER_COLUMNS`: for each policy, seed and decision point ``step``, to 4
        decimals, :data:`SCATTER_POINTS` entries of agents' actions, as many as there are if these are fewer, the same
        for all seeds. Seeds without finite actions have no rows.

    Raises:
        ValueError: as for :func:`evaluate`.
        NoEquilibriumError: as for :func:`evaluate`.
    """
    exact, shocks = _exact_actions(game), _shocks(game, episodes, seed)
    source = generator(seed, "lq_error", "scatter")
    of = _slice(game, agents)
    entries = episodes * (of.stop - of.start) * game.action_dim
    chosen = [torch.randperm(entries, generator=source)[:SCATTER_POINTS] for _ in range(game.n_steps)]
    parts = []
    for recipe, policy in policies:
        sound = sound_weights(policy).tolist()
        for m, actions in enumerate(_visited(game, policy, exact, shocks, "learned")):
            learned, right = (of_all[..., of, :].flatten(1)[:, chosen[m]] for of_all in actions)
            for k, of_seed in enumerate(policy.seeds):
                if sound[k] and (learned[k] - right[k]).isfinite().all():
                    part = {
                        "algorithm": policy.algorithm,
                        "recipe": recipe,
                        "seed": of_seed,
                        "step": m,
                        "exact": right[k].numpy().round(4),
                        "learned": learned[k].numpy().round(4),
                    }
                    parts.append(pd.DataFrame(part, columns=list(SCATTER_COLUMNS)))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(SCATTER_COLUMNS))


def _slice(game: Game, agents: range | None) -> slice:
    return slice(0, game.n_agents) if agents is None else slice(agents.start, agents.stop)


def _exact_actions(game: Game) -> Act:
    """The equilibrium's joint action ``[..., N, d]``, float64, in states of any type.

    That of the market, in which all are alike, takes memory in proportion to N, matrices of all states its cube.
    """
    try:
        if isinstance(game, Market) and game.n_agents > 1:
            return symmetric_profile(game, symmetric_equilibrium(game).gains)
        policies = solve_nash(game.as_lq()).policies
    except NoEquilibriumError as error:
        raise NoEquilibriumError(
            f"{type(game).__name__} of n_agents = {game.n_agents}: no exact equilibrium to compare with: {error}"
        ) from None
    gains, offsets = torch.from_numpy(policies.gains), torch.from_numpy(policies.offsets)
    size = game.n_agents, game.action_dim
    return lambda state: (offsets[state.step] - game.state_vector(state).double() @ gains[state.step].T).unflatten(
        -1, size
    )


def _shocks(game: Game, episodes: int, seed: int) -> Shocks:
    if episodes < 1:
        raise ValueError(f"episodes = {episodes}: at least 1 is needed")
    return game.sample_shocks(episodes, generator(seed, "lq_error"))


def _visited(
    game: Game, policy: Policy, exact: Act, shocks: Shocks, visited_by: str
) -> Iterator[tuple[Tensor, Tensor]]:
    """Learned and exact actions at each step, float64: ``[K, E, N, d]`` both, or the exact ones ``[1, E, N, d]``."""
    if visited_by == "learned":
        for transition in trajectory(game, [(policy, slice(None))], shocks):
            yield transition.actions.double(), exact(transition.state)
        return
    members, shocks = len(policy.seeds), shocks.map(lambda leaf: leaf.unsqueeze(0))
    state = game.reset(shocks)
    for _ in range(game.n_steps):
        actions = exact(state)
        yield policy.act(game, repeated(state, members)).double(), actions
        state, _ = game.step(state, actions.to(next(iter(shocks)).dtype), shocks)


def _mean_squares(learned: Tensor, right: Tensor) -> Tensor:
    """Mean squares ``[2, K]`` of the difference and of the exact action, over episodes and agents."""
    of_error, of_exact = (x.square().flatten(1).mean(1) for x in (learned - right, right))
    return torch.stack([of_error, of_exact.expand_as(of_error)])


def _numbers(rms: Tensor, sound: bool) -> dict[str, float]:
    """The numbers of a row from the RMS ``[2]`` of the difference and of the exact action."""
    error, size = rms.tolist()
    if not (sound and math.isfinite(error)):
        error = size = math.nan
    return {"rms_error": error, "rms_exact": size, "relative": error / size if size else math.nan}
