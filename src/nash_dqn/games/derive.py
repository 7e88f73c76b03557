"""The matrices of a linear-quadratic game, derived from its simulator by automatic differentiation.

A game is written once, as a simulator. Where a step is linear in state, actions and noise, and rewards are quadratic in
them, its derivatives at one point are all there is to know. Whether that is so is tried at random points, where a step
must be what its derivatives at zero say. Derivatives are exact to round-off: nothing is fitted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.func import grad, jacrev, vmap

from nash_dqn.games.lq import LQGame, LQStep
from nash_dqn.seeding import generator

__all__ = ["Expansion", "Simulator", "expand", "lq_game"]

TOLERANCE = 1e-9
"""Largest error of the expansion, as a share of its terms' sizes, that counts as round-off."""
SAME = 1e-13
"""The same, within which a step is the one before it, so that it need not be derived again."""
SIZES = (1.0, -1.0, 1e3, -1e3)
"""Random directions times these are where an expansion is tried: near, and far on both sides, where floors are met."""


class Expansion(NamedTuple):
    """The polynomials value + slope y + y . curvature y / 2 of y [V], the first L of O linear.

    Attributes:
        value: [O].
        slope: [O, V].
        curvature: [O - L, V, V], symmetric, of those that are not linear.
    """

    value: Tensor
    slope: Tensor
    curvature: Tensor


class Simulator(NamedTuple):
    """A game as functions of one episode's state x [n], joint action u [D] and standard normals w [K], all float64.

    Attributes:
        start: w -> x at m = 0.
        step: (m, x, u, w) -> next x and rewards [N].
        action_dims: d_i of each agent.
        n_steps: M.
        normals: K.
        discount: gamma_i of each agent.
    """

    start: Callable[[Tensor], Tensor]
    step: Callable[[int, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
    action_dims: tuple[int, ...]
    n_steps: int
    normals: int
    discount: Sequence[float]


def expand(function: Callable[[Tensor], Tensor], size: int, names: Sequence[str], linear: int) -> Expansion:
    """The polynomials that a function [size] -> [O] is: its first outputs linear ones, the others of degree two.

    Args:
        function: of float64, differentiable, made of operations that :mod:`torch.func` knows.
        size: of its argument.
        names: of the outputs.
        linear: how many of them are linear.

    Raises:
        ValueError: an output is no such polynomial; named.
    """
    zero = torch.zeros(size, dtype=torch.float64)
    value, slope = function(zero), jacrev(function)(zero)
    curvature = zero.new_zeros(0, size, size)
    if linear < len(names):

        def bent(weights: Tensor, y: Tensor) -> Tensor:
            return weights @ function(y)[linear:]

        one_by_one = torch.eye(len(names) - linear, dtype=torch.float64)
        curvature = vmap(jacrev(grad(bent, argnums=1), argnums=1), in_dims=(0, None))(one_by_one, zero)
        curvature = 0.5 * (curvature + curvature.mT)
    found = Expansion(*(part.detach() for part in (value, slope, curvature)))
    worst = _first_wrong(found, function, TOLERANCE)
    if worst is not None:
        kind = "linear" if worst < linear else "quadratic"
        raise ValueError(f"{names[worst]} is not {kind}: its derivatives vary with state, actions or noise")
    return found


def _first_wrong(said: Expansion, function: Callable[[Tensor], Tensor], tolerance: float) -> int | None:
    """The first output of a function that is not what an expansion says of it at random points; None if all are."""
    stream, linear = generator(1, "derive"), len(said.value) - len(said.curvature)
    direction = torch.randn(said.slope.shape[1], generator=stream, dtype=torch.float64)
    for size in SIZES:
        y = size * direction
        expected, terms = said.value + said.slope @ y, said.value.abs() + said.slope.abs() @ y.abs()
        expected[linear:] += 0.5 * (said.curvature @ y) @ y
        terms[linear:] += 0.5 * (said.curvature.abs() @ y.abs()) @ y.abs()
        right = (function(y) - expected).abs() <= tolerance * terms
        if not right.all():
            return int((~right).nonzero()[0])
    return None


def lq_game(simulator: Simulator) -> LQGame:
    """The linear-quadratic game that a simulator is.

    Noise in a reward whose mean is zero, whatever the policies, is left out; what noise adds to the mean of a quadratic
    reward is part of its constant. All rewards belong to a step, so that ``terminal`` is zero.

    Raises:
        ValueError: it is not linear-quadratic; with the step, and the component of the next state or the agent.
    """
    count, players, actions = simulator.normals, len(simulator.action_dims), sum(simulator.action_dims)
    n = len(simulator.start(torch.zeros(count, dtype=torch.float64)))
    start = _named("start", simulator.start, count, n, 0)
    used = (start.slope != 0).any(0)
    steps: list[LQStep] = []
    of = None
    for m in range(simulator.n_steps):
        noisy = _normals_of_step(simulator, m, n)
        if (used & noisy).any():
            raise ValueError(
                f"not linear-quadratic: step {m} has noise of the start or of an earlier step, standard normal "
                f"{int((used & noisy).nonzero()[0])}: allowed is noise of its own"
            )
        used |= noisy
        place = torch.zeros(count, int(noisy.sum()), dtype=torch.float64)
        place[noisy.nonzero()[:, 0], torch.arange(place.shape[1])] = 1.0

        def play(y: Tensor, m: int = m, place: Tensor = place) -> Tensor:
            x, u, w = y.split((n, actions, place.shape[1]))
            return torch.cat(simulator.step(m, x, u, place @ w))

        size = n + actions + place.shape[1]
        if of is None or of.slope.shape[1] != size or _first_wrong(of, play, SAME) is not None:
            of = _named(f"step {m}", play, size, n, players)
            step = _step(of, n, n + actions)
        steps.append(step)
    return LQGame(
        action_dims=simulator.action_dims,
        steps=tuple(steps),
        terminal=np.zeros((players, n + 1, n + 1)),
        discount=np.array(simulator.discount, dtype=np.float64),
        initial_mean=start.value.numpy(),
        initial_covariance=(start.slope @ start.slope.T).numpy(),
    )


def _named(where: str, function: Callable[[Tensor], Tensor], size: int, n: int, players: int) -> Expansion:
    names = [f"component {k} of the state" for k in range(n)] + [f"reward of agent {i}" for i in range(players)]
    try:
        return expand(function, size, names, linear=n)
    except ValueError as error:
        raise ValueError(f"not linear-quadratic: {where}: {error}") from None


def _normals_of_step(simulator: Simulator, m: int, n: int) -> Tensor:
    """Which of the standard normals [K] move what happens at step m: derivatives of a random sum of all outputs."""
    stream = generator(1, "derive", "normals")
    x, u, w, weights = (
        torch.randn(size, generator=stream, dtype=torch.float64)
        for size in (n, sum(simulator.action_dims), simulator.normals, n + len(simulator.action_dims))
    )
    return grad(lambda w: weights @ torch.cat(simulator.step(m, x, u, w)))(w) != 0


def _step(of: Expansion, n: int, size: int) -> LQStep:
    """The matrices of a step from expansions in (x, u, noise); ``size`` is n + D."""
    value, slope, curvature = (part.numpy() for part in of)
    forms = np.zeros((len(curvature), size + 1, size + 1))  # of (x, 1, u)
    others = np.delete(np.arange(size + 1), n)  # where x and u stand
    forms[:, others[:, None], others] = 0.5 * curvature[:, :size, :size]
    forms[:, n, others] = forms[:, others, n] = 0.5 * slope[n:, :size]
    forms[:, n, n] = value[n:] + 0.5 * np.trace(curvature[:, size:, size:], axis1=1, axis2=2)
    return LQStep(slope[:n, :n], slope[:n, n:size], value[:n], slope[:n, size:], forms)
