"""A basis in which what an agent sees at a step is uncorrelated.

Price, transient impact and order flow are shaped by the same trades, so at each step they lie close to a line, the
closer the less noise the price has. What opponents do off that line decides what a deviator gains, but next to nothing
of an episode's spread lies there, and gradient steps in the plain features take for ever to learn it. In the principal
axes of a step's features, each with unit variance, all directions count alike.
"""

from __future__ import annotations

import torch
from torch import Tensor

from nash_dqn.games.base import ObservationSpec
from nash_dqn.games.market import Market
from nash_dqn.seeding import generator

_EPISODES = 8000
_NOISE = 0.3  # sd of the trading rates about those of steady liquidation, units of the game's rate
_NO_SPREAD = 1e-8  # variance of a direction that does not vary, such as order flow before the first trade


def decorrelating_basis(game: Market, spec: ObservationSpec) -> Tensor:
    """Matrices ``[M, F, F]`` that give the own features of each step, time apart, unit covariance.

    Second moments about zero are those of all agents liquidating at constant rates, -q / (T - t), plus noise. They
    depend on the game alone, so that equal games have equal bases.
    """
    shocks = game.sample_shocks(_EPISODES, generator(0, "decorrelation", "environment"))
    noise = generator(0, "decorrelation", "noise")
    state, bases = game.reset(shocks), []
    for m in range(game.n_steps):
        features = game.observe(state, spec).own.flatten(0, -2)[:, 1:].double()
        variances, axes = torch.linalg.eigh(features.T @ features / len(features))
        scale = torch.where(variances > _NO_SPREAD, variances.clamp(min=_NO_SPREAD).rsqrt(), 1.0)
        bases.append(torch.block_diag(torch.ones(1, 1, dtype=torch.float64), axes * scale).float())
        rates = -state.inventory / (game.horizon - m * game.dt)
        rates = rates + _NOISE * game.scales.rate * torch.randn(rates.shape, generator=noise)
        state, _ = game.step(state, rates.unsqueeze(-1), shocks)
    return torch.stack(bases)
