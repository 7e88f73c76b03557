"""The locally linear-quadratic advantage: equation (10) in general, (15) under label invariance, and between them.

All are functions of delta = u - mu(x) and of the matrices at x, which a network gives. None has a term linear in an
agent's own delta_i alone, and all are strictly concave in it, so delta = 0, i.e. u = mu(x), is the Nash point of
Q = V + A: equation (12).

Between them stands Remark 4.1, label invariance within groups of agents (:func:`grouped_advantage`): with one group it
is (15), with one agent per group (10). The three count cross terms differently. (10) multiplies delta_i and delta_j
twice, by P12 and by its transpose P21, and so every pair of others in P22; (15) multiplies each once, and so does the
grouped form: its P12 is twice (10)'s block, and its cross term of two groups twice (10)'s off-diagonal block of P22.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from nash_dqn.games.base import Observation
from nash_dqn.networks import GroupedNetwork, Network
from nash_dqn.settings.nash_dqn import P11Form as P11Form


class AdvantageParameters(NamedTuple):
    """The advantage network's output at each agent's view of the state; d is the size of an action.

    Attributes:
        mu: ``[..., N, d]`` the Nash point.
        p11: ``[..., N, d, d]`` P11, symmetric and not negative.
        p12: ``[..., N, d, d]`` P12.
        p22: ``[..., N, d, d]`` P22, symmetric.
        psi: ``[..., N, d]`` psi.
    """

    mu: Tensor
    p11: Tensor
    p12: Tensor
    p22: Tensor
    psi: Tensor


def output_size(d: int) -> int:
    """Number of network outputs for actions of size d: mu, L, P12, P22 and psi."""
    triangle = d * (d + 1) // 2
    return d + triangle + d * d + triangle + d


def unpack(raw: Tensor, d: int, form: P11Form = "cholesky") -> AdvantageParameters:
    """Network outputs ``[..., output_size(d)]`` as parameters; mu comes first, then what P11 is made of."""
    triangle = d * (d + 1) // 2
    if d == 1:  # the paper's case, without the scatter
        mu, p11, p12, p22, psi = raw.unsqueeze(-1).split(1, -2)
        return AdvantageParameters(mu[..., 0], _p11(p11[..., 0], d, form), p12, p22, psi[..., 0])
    mu, lower, p12, symmetric, psi = raw.split([d, triangle, d * d, triangle, d], -1)
    return AdvantageParameters(mu, _p11(lower, d, form), p12.unflatten(-1, (d, d)), _symmetric(symmetric, d), psi)


def _p11(entries: Tensor, d: int, form: P11Form) -> Tensor:
    """P11 ``[..., d, d]`` of the network's outputs ``[..., d (d + 1) / 2]``; L's diagonal goes through softplus.

    Raises:
        ValueError: ``"absolute"`` for actions of more than one number.
    """
    if form == "absolute":
        if d > 1:
            raise ValueError(f"p11 = {form!r}: with actions of {d} numbers allowed is 'cholesky' only")
        return entries.abs().unsqueeze(-1)
    if d == 1:
        return functional.softplus(entries).square().unsqueeze(-1)
    rows, cols = torch.tril_indices(d, d, device=entries.device)
    lower = _lower(torch.where(rows == cols, functional.softplus(entries), entries), d)
    return lower @ lower.mT


def _symmetric(entries: Tensor, d: int) -> Tensor:
    """Symmetric matrices ``[..., d, d]`` with these entries on and below the diagonal."""
    half = _lower(entries, d)
    return half + half.tril(-1).mT


def _lower(entries: Tensor, d: int) -> Tensor:
    rows, cols = torch.tril_indices(d, d, device=entries.device)
    matrix = entries.new_zeros(*entries.shape[:-1], d, d)
    matrix[..., rows, cols] = entries
    return matrix


def label_invariant_advantage(
    delta: Tensor, parameters: AdvantageParameters, opponents: Tensor | None = None
) -> Tensor:
    """Equation (15): every agent's advantage, the others interchangeable, in O(N).

    A_i = -|delta_i|^2_{P11} - sum_j delta_i . P12 delta_j - sum_j |delta_j|^2_{P22} + sum_j delta_j . psi, sums over
    j != i, all matrices at agent i's view.

    Args:
        delta: ``[..., N, d]`` actions less the Nash point.
        parameters: see :class:`AdvantageParameters`; mu is not used.
        opponents: delta where it stands for an opponent's deviation, delta_j; the same numbers, possibly detached.

    Returns:
        ``[..., N]``.
    """
    _, p11, p12, p22, psi = parameters
    opponents = delta if opponents is None else opponents
    others = opponents.sum(-2, keepdim=True) - opponents
    if delta.shape[-1] == 1:  # the same in scalars, a third of the operations
        own, rest = delta.squeeze(-1), others.squeeze(-1)
        curvature, cross, quadratic = p11[..., 0, 0], p12[..., 0, 0], p22[..., 0, 0]
        squares = opponents.squeeze(-1).square()
        rest_squares = squares.sum(-1, keepdim=True) - squares
        return psi[..., 0] * rest - curvature * own.square() - cross * own * rest - quadratic * rest_squares
    outer = opponents.unsqueeze(-1) * opponents.unsqueeze(-2)
    second_moment = outer.sum(-3, keepdim=True) - outer
    own_term = torch.einsum("...a,...ab,...b->...", delta, p11, delta)
    cross_term = torch.einsum("...a,...ab,...b->...", delta, p12, others)
    others_term = (p22 * second_moment).sum((-2, -1))
    return (others * psi).sum(-1) - own_term - cross_term - others_term


def general_advantage(own: Tensor, others: Tensor, p11: Tensor, p12: Tensor, p22: Tensor, psi: Tensor) -> Tensor:
    """Equation (10) for one agent: A_i = -(delta_i, delta_-i)^T P_i (delta_i, delta_-i) + delta_-i . Psi_i.

    Args:
        own: ``[..., d_i]`` delta_i.
        others: ``[..., D]`` delta_-i, the other agents' deviations one after the other.
        p11: ``[..., d_i, d_i]`` positive definite.
        p12: ``[..., d_i, D]``; P21 is its transpose.
        p22: ``[..., D, D]`` symmetric.
        psi: ``[..., D]`` Psi_i.

    Returns:
        ``[...]``.
    """
    own_term = torch.einsum("...a,...ab,...b->...", own, p11, own)
    cross_term = torch.einsum("...a,...ab,...b->...", own, p12, others)
    others_term = torch.einsum("...a,...ab,...b->...", others, p22, others)
    return (others * psi).sum(-1) - own_term - 2 * cross_term - others_term


class GroupedParameters(NamedTuple):
    """The advantage networks' output at each agent's view of the state; G is the number of groups, d an action's size.

    Attributes:
        mu: ``[..., N, d]`` the Nash point.
        p11: ``[..., N, d, d]`` P11, symmetric and not negative.
        p12: ``[..., N, G, d, d]`` P12^h, of the others in group h.
        p22: ``[..., N, G, d, d]`` P22^h, symmetric.
        psi: ``[..., N, G, d]`` psi^h.
        cross: ``[..., N, G (G - 1) / 2, d, d]`` C^{hh'} of each two groups h < h'.
        groups: the agents of each group, which follow one another.
    """

    mu: Tensor
    p11: Tensor
    p12: Tensor
    p22: Tensor
    psi: Tensor
    cross: Tensor
    groups: Sequence[range]


def grouped_output_size(d: int, groups: int) -> int:
    """Number of network outputs for actions of size d and G groups: mu, L, each P12, P22 and psi, each C."""
    triangle = d * (d + 1) // 2
    return d + triangle + groups * (d * d + triangle + d) + groups * (groups - 1) // 2 * d * d


def unpack_groups(raw: Tensor, d: int, groups: Sequence[range], form: P11Form = "cholesky") -> GroupedParameters:
    """Network outputs ``[..., grouped_output_size(d, G)]`` as parameters, in their order."""
    triangle = d * (d + 1) // 2
    count, pairs = len(groups), len(groups) * (len(groups) - 1) // 2
    sizes = [d, triangle, count * d * d, count * triangle, count * d, pairs * d * d]
    mu, lower, p12, symmetric, psi, cross = raw.split(sizes, -1)
    return GroupedParameters(
        mu,
        _p11(lower, d, form),
        p12.unflatten(-1, (count, d, d)),
        _symmetric(symmetric.unflatten(-1, (count, triangle)), d),
        psi.unflatten(-1, (count, d)),
        cross.unflatten(-1, (pairs, d, d)),
        groups,
    )


def grouped_advantage(delta: Tensor, parameters: GroupedParameters, opponents: Tensor | None = None) -> Tensor:
    """Every agent's advantage where agents are interchangeable within groups (Remark 4.1), in O(N) for given groups.

    With s_h the sum of delta_j over the agents j != i of group h,
    A_i = -|delta_i|^2_{P11} - sum_h delta_i . P12^h s_h - sum_h sum_{j in h, j != i} |delta_j|^2_{P22^h}
    - sum_{h < h'} s_h . C^{hh'} s_h' + sum_h s_h . psi^h, all matrices at agent i's view.

    Args:
        delta: ``[..., N, d]`` actions less the Nash point.
        parameters: see :class:`GroupedParameters`; mu is not used.
        opponents: delta where it stands for an opponent's deviation, as in :func:`label_invariant_advantage`.

    Returns:
        ``[..., N]``.
    """
    _, p11, p12, p22, psi, cross, groups = parameters
    opponents = delta if opponents is None else opponents
    outer = opponents.unsqueeze(-1) * opponents.unsqueeze(-2)
    others, second_moment = (_of_others(of_agents, groups) for of_agents in (opponents, outer.flatten(-2)))
    own_term = torch.einsum("...a,...ab,...b->...", delta, p11, delta)
    cross_term = torch.einsum("...a,...gab,...gb->...", delta, p12, others)
    others_term = (p22.flatten(-2) * second_moment).sum((-2, -1))
    advantage = (others * psi).sum((-2, -1)) - own_term - cross_term - others_term
    for pair, (h, k) in enumerate(itertools.combinations(range(len(groups)), 2)):
        of_pair = torch.einsum("...a,...ab,...b->...", others[..., h, :], cross[..., pair, :, :], others[..., k, :])
        advantage = advantage - of_pair
    return advantage


def _of_others(of_agents: Tensor, groups: Sequence[range]) -> Tensor:
    """Sums over the agents j != i of each group: ``[..., N, C] -> [..., N, G, C]``."""
    sums = torch.stack([of_agents[..., group.start : group.stop, :].sum(-2) for group in groups], -2)
    member = torch.zeros(of_agents.shape[-2], len(groups), 1, dtype=of_agents.dtype, device=of_agents.device)
    for h, group in enumerate(groups):
        member[group.start : group.stop, h] = 1.0
    return sums.unsqueeze(-3) - member * of_agents.unsqueeze(-2)


Parameters = AdvantageParameters | GroupedParameters


def mu_network(advantage: Network, d: int) -> Network:
    """The part of the advantage network that computes mu: its first d outputs (views, not copies)."""
    return advantage.with_outputs(lambda tensor: tensor[..., :d])


def advantage_size(d: int, groups: int) -> int:
    """Number of outputs of the advantage network of each group."""
    return output_size(d) if groups == 1 else grouped_output_size(d, groups)


def advantage_of(
    network: Network,
    seen: Observation,
    actions: Tensor,
    agents: slice = slice(None),
    opponent_gradient: bool = True,
    p11: P11Form = "cholesky",
) -> tuple[Tensor, Parameters]:
    """A(x; u) ``[K, E, M, n]`` of these agents' actions while the others play mu, and the parameters.

    ``actions`` are ``[K, E, M, N, d]``. Without ``opponent_gradient`` the deviations delta_{-i} are constants. With a
    network for each group, of all agents.
    """
    raw, d = network(seen, agents), actions.shape[-1]
    parameters: Parameters
    if isinstance(network, GroupedNetwork):
        parameters = unpack_groups(raw, d, network.groups, p11)
    else:
        parameters = unpack(raw, d, p11)
    return deviation_advantage(actions[..., agents, :], parameters, opponent_gradient), parameters


def deviation_advantage(actions: Tensor, parameters: Parameters, opponent_gradient: bool) -> Tensor:
    """(15), or between groups its counterpart, at delta = u - mu: actions ``[..., n, d] -> [..., n]``."""
    delta = actions - parameters.mu
    opponents = delta if opponent_gradient else delta.detach()
    if isinstance(parameters, GroupedParameters):
        return grouped_advantage(delta, parameters, opponents)
    return label_invariant_advantage(delta, parameters, opponents)


def projection_loss(policy: Tensor, parameters: Parameters) -> Tensor:
    """|pi(o) - mu(x)|^2_{P11} of a policy's actions ``[..., n, d] -> [..., n]``, mu and P11 constants.

    With the others at mu, V less this is what an agent's action pi(o) is worth at x, so that its mean over what the
    agent cannot see is best at the best reply to o.
    """
    gap = policy - parameters.mu.detach()
    return torch.einsum("...a,...ab,...b->...", gap, parameters.p11.detach(), gap)
