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
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from nash_dqn.games.base import Game, Normals
from nash_dqn.games.lq import FloatArray
from nash_dqn.settings.games import InterbankSettings


class InterbankState(NamedTuple):
    """State at a decision point; leading dimensions ``...`` are arbitrary.

    Attributes:
        step: m = 0..M; all episodes of a batch move together.
        reserves: ``[..., N]`` log-reserves X.
    """

    step: int
    reserves: Tensor


class Interbank(InterbankSettings, Game):
    """The game of these settings, and its dynamics; the module's docstring has the equations.

    Raises:
        ConfigError: a parameter is outside its range.
    """

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
        """Of each bank's action, its rate u of borrowing (above zero) or lending: to the mean within the horizon."""
        return self.scale / self.horizon

    @property
    def start_normals(self) -> int:
        """One for each bank."""
        return self.n_agents

    @property
    def step_normals(self) -> int:
        """The common noise and each bank's own."""
        return 1 + self.n_agents

    def shocks_from_normals(self, normal: Tensor) -> Normals:
        """Shocks from standard normals ``[..., N + M + M N]`` in the order X_0, common noise, own noise by step."""
        start, common, own = normal.split((self.n_agents, self.n_steps, self.n_steps * self.n_agents), -1)
        return Normals(start, torch.cat((common.unsqueeze(-1), own.unflatten(-1, (self.n_steps, self.n_agents))), -1))

    def reset(self, shocks: Normals) -> InterbankState:
        """State at m = 0."""
        return InterbankState(0, self.initial_sd * shocks.start)

    def step(self, state: InterbankState, actions: Tensor, shocks: Normals) -> tuple[InterbankState, Tensor]:
        """One Euler step: next state and rewards ``[..., N]`` of the rates ``[..., N, 1]``."""
        dt, rates, reserves = self.dt, actions.squeeze(-1), state.reserves
        gap = reserves.mean(-1, keepdim=True) - reserves
        common, own = shocks.noise.select(-2, state.step).split((1, self.n_agents), -1)
        noise = self.rho * common + math.sqrt(1 - self.rho**2) * own
        after = reserves + dt * (self.a * gap + rates) + self.sigma * math.sqrt(dt) * noise
        costs = dt * (0.5 * rates.square() - self.q * rates * gap + 0.5 * self.epsilon * gap.square())
        if state.step == self.n_steps - 1:
            costs = costs + 0.5 * self.c * (after.mean(-1, keepdim=True) - after).square()
        return InterbankState(state.step + 1, after), -costs

    def features(self, state: InterbankState) -> tuple[Tensor, Tensor]:
        """Mean of the log-reserves, and each bank's own, divided by :attr:`scale`."""
        own = (state.reserves / self.scale).unsqueeze(-1)
        return own.mean(-2), own


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
