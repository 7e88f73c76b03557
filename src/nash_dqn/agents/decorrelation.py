"""A basis in which what an agent sees at a step is uncorrelated, of unit variance.

Price, transient impact and order flow are shaped by the same trades, so at each step they lie close to a line, the
closer the less noise the price has. What opponents do off that line decides what a deviator gains, but next to nothing
of an episode's spread lies there, and gradient steps in the plain features take for ever to learn it. Where a step's
features have unit covariance, all directions count alike.
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


def unit_axes(features: Tensor) -> Tensor:
    """Matrices ``[..., F, F]`` that give features ``[..., n, F]`` of one step, the first, time, apart, unit covariance.

    Each is the inverse square root of the second moments about zero, which depends on them continuously. Features that
    are not finite, of a policy that has diverged, are left as they are.
    """
    rest = features[..., 1:].double()
    moments = rest.mT @ rest / rest.shape[-2]
    moments = moments.where(moments.isfinite().all(-1, keepdim=True).all(-2, keepdim=True), 0.0)
    variances, axes = torch.linalg.eigh(moments)
    scale = torch.where(variances > _NO_SPREAD, variances.clamp(min=_NO_SPREAD).rsqrt(), 1.0)
    basis = torch.zeros(*axes.shape[:-2], *(size + 1 for size in axes.shape[-2:]))
    basis[..., 0, 0] = 1.0
    basis[..., 1:, 1:] = axes * scale.unsqueeze(-2) @ axes.mT
    return basis


def decorrelating_basis(game: Market, spec: ObservationSpec) -> Tensor:
    """:func:`unit_axes` ``[M, F, F]`` of all agents' own features at each step.

    All agents liquidate at constant rates, -q / (T - t), plus noise. So the axes depend on the game alone, and equal
    games have equal axes.
    """
    shocks = game.sample_shocks(_EPISODES, generator(0, "decorrelation", "environment"))
    noise = generator(0, "decorrelation", "noise")
    state, bases = game.reset(shocks), []
    for m in range(game.n_steps):
        bases.append(unit_axes(game.observe(state, spec).own.flatten(0, -2)))
        rates = -state.inventory / (game.horizon - m * game.dt)
        rates = rates + _NOISE * game.scales.rate * torch.randn(rates.shape, generator=noise)
        state, _ = game.step(state, rates.unsqueeze(-1), shocks)
    return torch.stack(bases)
