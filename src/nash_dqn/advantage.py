"""The locally linear-quadratic advantage: equation (10) in general and (15) under label invariance.

Both are pure functions of delta = u - mu(x) and of the matrices at x. Neither has a term linear in an agent's own
delta_i alone, and both are strictly concave in it, so delta = 0, i.e. u = mu(x), is the Nash point of Q = V + A:
equation (12).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional


class AdvantageParameters(NamedTuple):
    """The advantage network's output at each agent's view of the state; d is the size of an action.

    Attributes:
        mu: ``[..., N, d]`` the Nash point.
        cholesky: ``[..., N, d, d]`` lower triangular L with positive diagonal, P11 = L L^T.
        p12: ``[..., N, d, d]`` P12.
        p22: ``[..., N, d, d]`` P22, symmetric.
        psi: ``[..., N, d]`` psi.
    """

    mu: Tensor
    cholesky: Tensor
    p12: Tensor
    p22: Tensor
    psi: Tensor


def output_size(d: int) -> int:
    """Number of network outputs for actions of size d: mu, L, P12, P22 and psi."""
    triangle = d * (d + 1) // 2
    return d + triangle + d * d + triangle + d


def unpack(raw: Tensor, d: int) -> AdvantageParameters:
    """Network outputs ``[..., output_size(d)]`` as parameters; mu comes first, the diagonal of L through softplus."""
    triangle = d * (d + 1) // 2
    if d == 1:  # the paper's case, without the scatter
        mu, diagonal, p12, p22, psi = raw.unsqueeze(-1).split(1, -2)
        return AdvantageParameters(mu[..., 0], functional.softplus(diagonal), p12, p22, psi[..., 0])
    mu, lower, p12, symmetric, psi = raw.split([d, triangle, d * d, triangle, d], -1)
    rows, cols = torch.tril_indices(d, d, device=raw.device)

    def fill(entries: Tensor) -> Tensor:
        matrix = raw.new_zeros(*raw.shape[:-1], d, d)
        matrix[..., rows, cols] = entries
        return matrix

    cholesky = fill(torch.where(rows == cols, functional.softplus(lower), lower))
    half = fill(symmetric)
    return AdvantageParameters(mu, cholesky, p12.unflatten(-1, (d, d)), half + half.tril(-1).mT, psi)


def label_invariant_advantage(
    delta: Tensor, parameters: AdvantageParameters, opponents: Tensor | None = None
) -> Tensor:
    """Equation (15): every agent's advantage, the others interchangeable, in O(N).

    A_i = -|delta_i|^2_{P11} - sum_j <delta_i, delta_j>_{P12} - sum_j |delta_j|^2_{P22} + sum_j delta_j . psi, sums over
    j != i, all matrices at agent i's view.

    Args:
        delta: ``[..., N, d]`` actions less the Nash point.
        parameters: see :class:`AdvantageParameters`; mu is not used.
        opponents: delta where it stands for an opponent's deviation, delta_j; the same numbers, possibly detached.

    Returns:
        ``[..., N]``.
    """
    _, cholesky, p12, p22, psi = parameters
    opponents = delta if opponents is None else opponents
    others = opponents.sum(-2, keepdim=True) - opponents
    if delta.shape[-1] == 1:  # the same in scalars, a third of the operations
        own, rest = delta.squeeze(-1), others.squeeze(-1)
        scale, cross, quadratic = cholesky[..., 0, 0], p12[..., 0, 0], p22[..., 0, 0]
        squares = opponents.squeeze(-1).square()
        rest_squares = squares.sum(-1, keepdim=True) - squares
        return psi[..., 0] * rest - (scale * own).square() - cross * own * rest - quadratic * rest_squares
    outer = opponents.unsqueeze(-1) * opponents.unsqueeze(-2)
    second_moment = outer.sum(-3, keepdim=True) - outer
    own_term = torch.einsum("...ab,...a->...b", cholesky, delta).square().sum(-1)
    cross_term = torch.einsum("...a,...ab,...b->...", delta, p12, others)
    others_term = (p22 * second_moment).sum((-2, -1))
    return (others * psi).sum(-1) - own_term - cross_term - others_term


def general_advantage(own: Tensor, others: Tensor, cholesky: Tensor, p12: Tensor, p22: Tensor, psi: Tensor) -> Tensor:
    """Equation (10) for one agent: A_i = -(delta_i, delta_-i)^T P_i (delta_i, delta_-i) + delta_-i . Psi_i.

    Args:
        own: ``[..., d_i]`` delta_i.
        others: ``[..., D]`` delta_-i, the other agents' deviations one after the other.
        cholesky: ``[..., d_i, d_i]`` lower triangular L, P11 = L L^T.
        p12: ``[..., d_i, D]``; P21 is its transpose.
        p22: ``[..., D, D]`` symmetric.
        psi: ``[..., D]`` Psi_i.

    Returns:
        ``[...]``.
    """
    own_term = torch.einsum("...ab,...a->...b", cholesky, own).square().sum(-1)
    cross_term = torch.einsum("...a,...ab,...b->...", own, p12, others)
    others_term = torch.einsum("...a,...ab,...b->...", others, p22, others)
    return (others * psi).sum(-1) - own_term - 2 * cross_term - others_term
