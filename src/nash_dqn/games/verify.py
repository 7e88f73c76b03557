"""Is a game the one that its matrices say? Its simulator and :meth:`as_lq`, written twice, compared term by term.

What is compared holds of any linear-quadratic game; the first thing to try with one of one's own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Generator, Tensor

from nash_dqn.games.base import LinearQuadratic, Observation
from nash_dqn.games.checks import VISIBLE
from nash_dqn.games.lq import FloatArray, LQGame, NoEquilibriumError, exploitability, solve_nash

__all__ = ["Comparison", "compare"]

EPISODES = 20_000
ROUND_OFF = 1e-8
"""Largest difference, as a share of what is compared, that counts as none."""
STANDARD_ERRORS = 6.0
"""Largest deviation of a mean, in standard errors, that counts as chance: beyond it in 1 of 5e8 comparisons."""
TINY = float(np.finfo(np.float64).tiny)


class Comparison(NamedTuple):
    """What was compared, the outcome in words, and whether both are the same."""

    what: str
    outcome: str
    passed: bool


def compare(game: LinearQuadratic, generator: Generator, episodes: int = EPISODES) -> list[Comparison]:
    """Compare a game's simulator with its matrices along episodes in which every agent acts at random.

    Actions are ``action_scale`` times standard normals, so that every state and action is tried. From each state that
    is met one step is also taken without noise (normals of zero): transitions x' = A x + B u + c and rewards
    must then agree to round-off, rewards up to a constant, which is what noise adds to a quadratic form. What noise and
    chance do is compared in standard errors: the start's mean and covariance, the noise's covariance G G^T, and
    the rewards' mean. Of the equilibrium: it exists, nobody gains by leaving it, and agents of a group, who differ in
    nothing, are worth the same.

    Raises:
        ValueError: the game is not linear-quadratic with its settings, or shapes or numbers of agents, actions or steps
            disagree, named with both.
    """
    lq = game.as_lq()
    _check_sizes(game, lq)
    results = list(_play(game, lq, generator, episodes))
    results.extend(_equilibrium(game, lq))
    return results


def _check_sizes(game: LinearQuadratic, lq: LQGame) -> None:
    dims = (game.action_dim,) * game.n_agents
    for name, of_game, of_matrices in (
        ("action_dims", dims, lq.action_dims),
        ("number of steps", game.n_steps, lq.n_steps),
    ):
        if of_game != of_matrices:
            raise ValueError(f"{name}: {of_game} in the simulator, {of_matrices} in the matrices")
    covered = [agent for group in game.groups for agent in group]
    if covered != list(range(game.n_agents)):
        raise ValueError(f"groups = {game.groups}: allowed are ranges that cut 0..{game.n_agents - 1}, in order")


def _play(game: LinearQuadratic, lq: LQGame, generator: Generator, episodes: int) -> Iterator[Comparison]:
    """Random play, compared with the matrices at each step."""
    device = generator.device

    def draw(*size: int) -> Tensor:
        return torch.randn(episodes, *size, generator=generator, device=device, dtype=torch.float64)

    normals = draw(game.normals_per_episode)
    shocks, calm = game.shocks_from_normals(normals), game.shocks_from_normals(torch.zeros_like(normals))
    state: Any = game.reset(shocks)
    shape = episodes, lq.state_dim
    start = _numbers("state_vector", game.state_vector(state), shape)
    size = _size(start)
    yield _chance("start's mean", [_standard_errors(start - lq.initial_mean, size)], "component")
    scatter = _products(start) - _upper(lq.initial_covariance)
    yield _chance("start's covariance", [_standard_errors(scatter, size**2)], "pair")
    names = "transitions", "rewards", "noise's mean", "noise's covariance", "rewards' mean"
    found: dict[str, list[FloatArray]] = {name: [] for name in names}
    for m, of in enumerate(lq.steps):
        _check_observation(game, game.observe(state, VISIBLE), episodes)
        actions = game.action_scale * draw(game.n_agents, game.action_dim)
        x, u = _numbers("state_vector", game.state_vector(state), shape), actions.flatten(1).cpu().numpy()
        after_calm, paid_calm = game.step(state, actions, calm)
        state, paid = game.step(state, actions, shocks)
        if state.step != m + 1:
            raise ValueError(f"step: the state after step {m} says step = {state.step}, expected {m + 1}")
        next_x = x @ of.transition.T + u @ of.control.T + of.drift
        spread = of.noise @ of.noise.T
        worth = _forms(of.reward, np.concatenate([x, np.ones((episodes, 1)), u], axis=1))
        added = np.zeros(game.n_agents)  # by noise to the mean of a quadratic form
        if m == lq.n_steps - 1:  # the last reward has the terminal form in it, which is discounted once more
            worth += lq.discount * _forms(lq.terminal, np.concatenate([next_x, np.ones((episodes, 1))], axis=1))
            added = lq.discount * np.einsum("npq,qp->n", lq.terminal[:, :-1, :-1], spread)
        without = _numbers("state_vector", game.state_vector(after_calm), shape)
        noise = _numbers("state_vector", game.state_vector(state), shape) - without
        short = _numbers("rewards", paid_calm, worth.shape) - worth
        size = _size(next_x)
        found["transitions"].append(np.abs(without - next_x).max(axis=0) / size)
        found["rewards"].append(np.abs(short - short.mean(axis=0)).max(axis=0) / _size(worth))
        found["noise's mean"].append(_standard_errors(noise, size))
        found["noise's covariance"].append(_standard_errors(_products(noise) - _upper(spread), size**2))
        surprise = _numbers("rewards", paid, worth.shape) - worth - added
        found["rewards' mean"].append(_standard_errors(surprise, _size(worth)))
    yield _exact("transitions", found["transitions"], "component")
    yield _exact("rewards", found["rewards"], "agent")
    yield _chance("noise's mean", found["noise's mean"], "component")
    yield _chance("noise's covariance", found["noise's covariance"], "pair")
    yield _chance("rewards' mean", found["rewards' mean"], "agent")


def _equilibrium(game: LinearQuadratic, lq: LQGame) -> Iterator[Comparison]:
    try:
        policies, values = solve_nash(lq)
    except NoEquilibriumError as error:
        yield Comparison("equilibrium", " ".join(str(error).split()), False)
        return
    worth = values.expected(lq.initial_mean, lq.initial_covariance)
    scale = max(1.0, float(np.abs(worth).max()))
    gain = float(np.abs(exploitability(lq, policies)).max())
    yield Comparison("equilibrium", f"nobody gains more than {gain:.1e} by leaving it", gain <= ROUND_OFF * scale)
    apart = max(float(np.ptp(worth[group.start : group.stop])) for group in game.groups)
    names = ", ".join(f"{worth[group.start]:.6g}" for group in game.groups)
    yield Comparison("groups", f"worth {names}; agents within one differ by {apart:.1e}", apart <= ROUND_OFF * scale)


def _check_observation(game: LinearQuadratic, seen: Observation, episodes: int) -> None:
    own, items = game.observation_size(VISIBLE)
    _numbers("observe: own features", seen.own, (episodes, game.n_agents, own))
    if seen.items is not None:
        _numbers("observe: items", seen.items, (episodes, game.n_agents, items))
    elif items:
        raise ValueError(f"observe: no items, but observation_size says {items} features of each")


def _numbers(name: str, tensor: Tensor, shape: tuple[int, ...]) -> FloatArray:
    """The tensor in double precision; ValueError unless it is finite and of that shape."""
    if tuple(tensor.shape) != shape:
        raise ValueError(f"{name}: shape {tuple(tensor.shape)}, expected {shape}")
    array: FloatArray = tensor.double().cpu().numpy()
    if not np.isfinite(array).all():
        raise ValueError(f"{name}: not finite in play with actions of action_scale")
    return array


def _forms(matrices: FloatArray, y: FloatArray) -> FloatArray:
    """Quadratic forms [E, N] of matrices [N, K, K] and vectors [E, K], one agent at a time to spare memory."""
    return np.stack([((y @ matrix) * y).sum(axis=1) for matrix in matrices], axis=1)


def _upper(matrix: FloatArray) -> FloatArray:
    return np.asarray(matrix[np.triu_indices(len(matrix))], dtype=np.float64)


def _products(samples: FloatArray) -> FloatArray:
    """Products [E, n (n + 1) / 2] of pairs of samples' deviations from their mean."""
    centred = samples - samples.mean(axis=0)
    rows, columns = np.triu_indices(samples.shape[1])
    return np.asarray(centred[:, rows] * centred[:, columns], dtype=np.float64)


def _size(values: FloatArray) -> float:
    """The largest magnitude, to measure round-off by."""
    return max(float(np.abs(values).max()), TINY)


def _standard_errors(samples: FloatArray, scale: float) -> FloatArray:
    """Means of samples [E, K] in standard errors, [K]; of what varies by round-off, at this scale, 0 or infinite."""
    mean, error = samples.mean(axis=0), samples.std(axis=0, ddof=1) / math.sqrt(len(samples))
    varies = error > ROUND_OFF * scale
    return np.where(
        varies, mean / np.where(varies, error, 1.0), np.where(np.abs(mean) <= ROUND_OFF * scale, 0.0, np.inf)
    )


def _worst(by_step: list[FloatArray], column: str) -> tuple[float, str]:
    """The largest magnitude among [K] of each step, and where it is."""
    table = np.abs(np.stack(by_step))
    m, k = np.unravel_index(table.argmax(), table.shape)
    return float(table[m, k]), f", step {m}, {column} {k}"


def _exact(what: str, by_step: list[FloatArray], column: str) -> Comparison:
    worst, where = _worst(by_step, column)
    passed = worst <= ROUND_OFF
    return Comparison(what, f"largest difference {worst:.1e} of the largest value{'' if passed else where}", passed)


def _chance(what: str, by_step: list[FloatArray], column: str) -> Comparison:
    worst, where = _worst(by_step, column)
    passed = worst <= STANDARD_ERRORS
    count = sum(map(len, by_step))
    return Comparison(what, f"{worst:.1f} standard errors, the largest of {count}{'' if passed else where}", passed)
