r"""Interbank lending: N banks borrow from and lend to a central bank, and fail together or not.

R. Carmona, J.-P. Fouque and L.-H. Sun, Mean field games and systemic risk, Communications in Mathematical Sciences
13(4), 2015, 911-933. Log-reserves X_i, with Xbar their mean, move as::

    dX_i = [a (Xbar - X_i) + u_i] dt + sigma (rho dW_0 + sqrt(1 - rho^2) dW_i)

and bank i minimises the mean of the integral of u_i^2 / 2 - q u_i (Xbar - X_i) + epsilon / 2 (Xbar - X_i)^2, plus
c / 2 (Xbar_T - X_iT)^2. Rewards here are costs with the sign reversed. Time is cut by Euler's method: the cost of a
step is its integrand at the step's beginning times dt, and the last step's reward includes the terminal cost.

In continuous time the feedback Nash equilibrium is known (:func:`continuous_gain`)::

    u_i = [q + (1 - 1/N) eta_t] (Xbar - X_i),   eta' = 2 (a + q) eta + (1 - 1/N^2) eta^2 - (epsilon - q^2),   eta_T = c

It follows from the ansatz V_i = eta / 2 (Xbar - X_i)^2 + mu: minimising the Hamiltonian over u_i gives the rate, since
the derivative of V_i in X_i is -(1 - 1/N) eta (Xbar - X_i), and the coefficients of (Xbar - X_i)^2 give the equation.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Generator, Tensor

from nash_dqn.games import checks
from nash_dqn.games.base import Observation, ObservationSpec
from nash_dqn.games.lq import FloatArray, LQGame, LQStep


class InterbankShocks(NamedTuple):
    """Every random number of a batch of episodes.

    Attributes:
        reserves: ``[..., N]`` initial log-reserves.
        common: ``[..., M]`` standard normal increments that all banks share.
        own: ``[..., M, N]`` standard normal increments of each bank.
    """

    reserves: Tensor
    common: Tensor
    own: Tensor

    def map(self, function: Callable[[Tensor], Tensor]) -> InterbankShocks:
        """Apply a function to each tensor."""
        return InterbankShocks(*(function(leaf) for leaf in self))


class InterbankState(NamedTuple):
    """State at a decision point; leading dimensions ``...`` are arbitrary.

    Attributes:
        step: m = 0..M; all episodes of a batch move together.
        reserves: ``[..., N]`` log-reserves X.
    """

    step: int
    reserves: Tensor


@dataclass(frozen=True)
class Interbank:
    """Parameters and dynamics; the module's docstring has the equations.

    The defaults are ten banks over one unit of time, with a, q and sigma of one and control cheap beside the cost of
    lying off the mean (epsilon = 10), so that most of the pull to the mean is the banks' own doing.

    Attributes:
        n_agents: N, number of banks, at least 2.
        horizon: T.
        n_steps: M, decision points; a step lasts T / M.
        a: rate at which reserves are drawn to their mean without control.
        q: weight of the incentive to lend above and borrow below the mean; q^2 <= epsilon keeps costs convex.
        epsilon: weight of the running cost of lying off the mean.
        c: weight of the terminal cost of lying off the mean.
        sigma: volatility.
        rho: weight of the common noise, in [-1, 1]; the equilibrium does not depend on it, nor on sigma, but values do:
            common noise moves no bank off the mean.
        initial_sd: standard deviation of the initial log-reserves about zero, independent.

    Raises:
        ValueError: a parameter is outside its range.
    """

    n_agents: int = 10
    horizon: float = 1.0
    n_steps: int = 10
    a: float = 1.0
    q: float = 1.0
    epsilon: float = 10.0
    c: float = 1.0
    sigma: float = 1.0
    rho: float = 0.5
    initial_sd: float = 1.0

    def __post_init__(self) -> None:
        checks.integer("n_agents", self.n_agents, 2)
        checks.integer("n_steps", self.n_steps, 1)
        checks.number("horizon", self.horizon, lambda v: v > 0, "a finite number > 0")
        for name in ("a", "q", "c", "sigma", "initial_sd"):
            checks.number(name, getattr(self, name), lambda v: v >= 0, "a finite number >= 0")
        checks.number("epsilon", self.epsilon, lambda v: v >= self.q**2, f"a finite number >= q^2 = {self.q**2:g}")
        checks.number("rho", self.rho, lambda v: -1 <= v <= 1, "a number in [-1, 1]")

    action_dim = 1
    """Each bank's action is its rate u of borrowing (above zero) or lending."""

    discount = 1.0
    """The game is undiscounted."""

    @property
    def groups(self) -> tuple[range, ...]:
        """One: all banks are alike."""
        return (range(self.n_agents),)

    @property
    def dt(self) -> float:
        """Length of a step."""
        return self.horizon / self.n_steps

    @property
    def scale(self) -> float:
        """Standard deviation of a bank's final log-reserves were it left to itself, or 1 where that is zero."""
        size = math.hypot(self.initial_sd, self.sigma * math.sqrt(self.horizon))
        return size if size > 0 else 1.0

    @property
    def action_scale(self) -> float:
        """Typical rate: back to the mean within the horizon."""
        return self.scale / self.horizon

    @property
    def normals_per_episode(self) -> int:
        """Number of standard normals an episode needs."""
        return self.n_agents + self.n_steps * (1 + self.n_agents)

    def shocks_from_normals(self, normal: Tensor) -> InterbankShocks:
        """Shocks from standard normals ``[..., N + M + M N]`` in the order X_0, common noise, own noise by step."""
        n, steps = self.n_agents, self.n_steps
        return InterbankShocks(
            reserves=self.initial_sd * normal[..., :n],
            common=normal[..., n : n + steps],
            own=normal[..., n + steps :].unflatten(-1, (steps, n)),
        )

    def sample_shocks(self, episodes: int, generator: Generator) -> InterbankShocks:
        """Draw every random number of ``episodes`` episodes."""
        normal = torch.randn(episodes, self.normals_per_episode, generator=generator, device=generator.device)
        return self.shocks_from_normals(normal)

    def reset(self, shocks: InterbankShocks) -> InterbankState:
        """State at m = 0."""
        return InterbankState(0, shocks.reserves)

    def step(self, state: InterbankState, actions: Tensor, shocks: InterbankShocks) -> tuple[InterbankState, Tensor]:
        """One Euler step: next state and rewards ``[..., N]`` of the rates ``[..., N, 1]``."""
        dt, rates, reserves = self.dt, actions.squeeze(-1), state.reserves
        gap = reserves.mean(-1, keepdim=True) - reserves
        common = shocks.common.select(-1, state.step).unsqueeze(-1)
        noise = self.rho * common + math.sqrt(1 - self.rho**2) * shocks.own.select(-2, state.step)
        after = reserves + dt * (self.a * gap + rates) + self.sigma * math.sqrt(dt) * noise
        costs = dt * (0.5 * rates.square() - self.q * rates * gap + 0.5 * self.epsilon * gap.square())
        if state.step == self.n_steps - 1:
            costs = costs + 0.5 * self.c * (after.mean(-1, keepdim=True) - after).square()
        return InterbankState(state.step + 1, after), -costs

    def excursion(self, state: InterbankState, normals: Tensor, sd: float | None = None) -> Tensor:
        """Random rates ``[..., N, 1]``; their spread ``sd`` is twice the typical size where None is given."""
        return ((2 * self.action_scale if sd is None else sd) * normals).expand(*state.reserves.shape, 1)

    def observation_size(self, spec: ObservationSpec) -> tuple[int, int]:
        """Number of own features F = 3 and of features I = 1 of each bank's item."""
        checks.only_visible("interbank lending", spec)
        return 3, 1

    def observe(self, state: InterbankState, spec: ObservationSpec) -> Observation:
        """Standardised observation of every bank; nothing is hidden.

        Own features ``[..., N, 3]``: time from -1 to 1, mean of the log-reserves, own log-reserves; items
        ``[..., N, 1]``: log-reserves, all divided by :attr:`scale`.
        """
        checks.only_visible("interbank lending", spec)
        items = (state.reserves / self.scale).unsqueeze(-1)
        time = torch.full_like(items, 2 * state.step / self.n_steps - 1)
        mean = items.mean(-2, keepdim=True).expand_as(items)
        return Observation(torch.cat((time, mean, items), -1), items, state.step)

    def as_lq(self) -> LQGame:
        """The linear-quadratic game over x = (X_1, ..., X_N); actions u_1, ..., u_N."""
        n, dt = self.n_agents, self.dt
        off_mean = np.full((n, n), 1.0 / n) - np.eye(n)  # (Xbar - X_i) as linear forms of x
        noise = np.column_stack([np.full(n, self.rho), math.sqrt(1 - self.rho**2) * np.eye(n)])
        reward = np.zeros((n, 2 * n + 1, 2 * n + 1))
        terminal = np.zeros((n, n + 1, n + 1))
        for i, gap in enumerate(off_mean):
            rate = n + 1 + i
            reward[i, :n, :n] = -0.5 * dt * self.epsilon * np.outer(gap, gap)
            reward[i, rate, :n] = reward[i, :n, rate] = 0.5 * dt * self.q * gap
            reward[i, rate, rate] = -0.5 * dt
            terminal[i, :n, :n] = -0.5 * self.c * np.outer(gap, gap)
        step = LQStep(
            transition=np.eye(n) + dt * self.a * off_mean,
            control=dt * np.eye(n),
            drift=np.zeros(n),
            noise=self.sigma * math.sqrt(dt) * noise,
            reward=reward,
        )
        return LQGame(
            action_dims=(1,) * n,
            steps=(step,) * self.n_steps,
            terminal=terminal,
            discount=np.ones(n),
            initial_mean=np.zeros(n),
            initial_covariance=self.initial_sd**2 * np.eye(n),
        )

    def state_vector(self, state: InterbankState) -> Tensor:
        """The state x ``[..., N]`` of :meth:`as_lq`, float64."""
        return state.reserves.double()


def continuous_gain(game: Interbank, times: FloatArray) -> FloatArray:
    """k(t) of u_i = k (Xbar - X_i), the feedback Nash equilibrium in continuous time, at the times [...].

    The Riccati equation of the module's docstring has a closed form: with b = 1 - 1/N^2, D = epsilon - q^2,
    root = sqrt((a + q)^2 + b D) and E = 1 - exp(-2 root (T - t)),

        eta_t = [D E + c (2 root - (root + a + q) E)] / [2 root - (root - a - q - b c) E].

    Where root is zero the equation is eta' = b eta^2 with b D = 0, of solution c / (1 + b c (T - t)).
    """
    n, pull, left = game.n_agents, game.a + game.q, game.horizon - times
    curvature, excess = 1.0 - 1.0 / n**2, game.epsilon - game.q**2
    root = math.sqrt(pull**2 + curvature * excess)
    if root == 0:
        eta = game.c / (1.0 + curvature * game.c * left)
    else:
        decayed = -np.expm1(-2 * root * left)
        above = excess * decayed + game.c * (2 * root - (root + pull) * decayed)
        eta = above / (2 * root - (root - pull - curvature * game.c) * decayed)
    return np.asarray(game.q + (1.0 - 1.0 / n) * eta, dtype=np.float64)
