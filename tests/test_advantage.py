"""Equations (10) and (15) against plain loops, each other, and what makes mu the Nash point, (12)."""

import itertools

import pytest
import torch
from torch import Tensor

from nash_dqn.advantage import (
    AdvantageParameters,
    GroupedParameters,
    general_advantage,
    grouped_advantage,
    grouped_output_size,
    label_invariant_advantage,
    output_size,
    unpack,
    unpack_groups,
)
from nash_dqn.seeding import generator

N = 4
DIMS = (1, 3)
"""Sizes of an action: one has code of its own."""


def normal(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(shape, generator=generator(seed, "test_advantage"), dtype=torch.float64)


def parameters_of(d: int, *batch: int, seed: int = 2) -> AdvantageParameters:
    """Of random network outputs at every agent's view."""
    return unpack(normal(*batch, N, output_size(d), seed=seed), d)


def label_invariant_by_loop(delta: Tensor, i: int, p: AdvantageParameters) -> Tensor:
    """Equation (15) term by term, for agent i of one joint deviation [N, d]."""
    total = -delta[i] @ p.p11[i] @ delta[i]
    for j in range(len(delta)):
        if j != i:
            total = total - delta[i] @ p.p12[i] @ delta[j] - delta[j] @ p.p22[i] @ delta[j] + delta[j] @ p.psi[i]
    return total


def general_by_loop(own: Tensor, others: Tensor, p11: Tensor, p12: Tensor, p22: Tensor, psi: Tensor) -> float:
    """Equation (10) entry by entry, the matrix P_i in full."""
    top = [[*p11[r].tolist(), *p12[r].tolist()] for r in range(len(own))]
    bottom = [[*p12[:, r].tolist(), *p22[r].tolist()] for r in range(len(others))]
    matrix, z = top + bottom, [*own.tolist(), *others.tolist()]
    quadratic = sum(z[r] * matrix[r][c] * z[c] for r in range(len(z)) for c in range(len(z)))
    return sum(x * y for x, y in zip(others.tolist(), psi.tolist(), strict=True)) - quadratic


# --- the two forms ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("d", DIMS)
def test_label_invariant_form_agrees_with_a_loop(d: int) -> None:
    """Of four agents and of one, with delta_i from the one argument and every delta_j from the other."""
    delta, opponents, p = normal(5, N, d), normal(5, N, d, seed=6), parameters_of(d, 5)
    for agents in (N, 1):
        some = AdvantageParameters(*(leaf[:, :agents] for leaf in p))
        advantage = label_invariant_advantage(delta[:, :agents], some, opponents[:, :agents])
        assert advantage.shape == (5, agents)
        for b, i in itertools.product(range(5), range(agents)):
            joint = opponents[b, :agents].clone()
            joint[i] = delta[b, i]
            one = AdvantageParameters(*(leaf[b] for leaf in some))
            expected = label_invariant_by_loop(joint, i, one)
            torch.testing.assert_close(advantage[b, i], expected, rtol=1e-7, atol=1e-11)
    assert torch.equal(label_invariant_advantage(delta, p, delta), label_invariant_advantage(delta, p))


def test_general_form_agrees_with_a_loop() -> None:
    d, size = 3, 5  # the others' actions need not be as many as one's own
    lower = normal(3, d, d).tril()
    half = normal(3, size, size, seed=3)
    p11, p22 = lower @ lower.mT, half + half.mT
    arguments = (normal(3, d), normal(3, size), p11, normal(3, d, size, seed=4), p22, normal(3, size))
    advantage = general_advantage(*arguments)
    assert advantage.shape == (3,)
    for b in range(3):
        assert advantage[b].item() == pytest.approx(general_by_loop(*(leaf[b] for leaf in arguments)), rel=1e-12)


@pytest.mark.parametrize("d", DIMS)
def test_mu_is_the_nash_point(d: int) -> None:
    """(12): in an agent's own action, the others at mu, the gradient is zero; the Hessian is -2 P11 < 0 whatever the
    others do.
    """
    p = parameters_of(d)
    elsewhere = normal(N, d)
    for i in range(N):

        def advantage(own: Tensor, others: Tensor, i: int = i) -> Tensor:
            joint = torch.cat((others[:i], own.unsqueeze(0), others[i + 1 :]))
            return label_invariant_advantage(joint - p.mu, p)[i]

        assert advantage(p.mu[i], p.mu) == 0
        gradient = torch.autograd.functional.jacobian(lambda own: advantage(own, p.mu), p.mu[i])
        torch.testing.assert_close(gradient, torch.zeros(d).double(), rtol=0, atol=1e-14)
        hessian = torch.autograd.functional.hessian(lambda own: advantage(own, elsewhere), p.mu[i])
        torch.testing.assert_close(hessian, -2 * p.p11[i])
        assert torch.linalg.eigvalsh(hessian).max() < 0


# --- network outputs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("d", "size"), [(1, 5), (3, 3 + 6 + 9 + 6 + 3)])
def test_unpacked_matrices(d: int, size: int) -> None:
    """mu first; P11 = L L^T, L lower triangular with positive diagonal, so that it is definite; P22 symmetric."""
    assert output_size(d) == size
    raw = 2 * normal(20, N, size)
    p = unpack(raw, d)
    assert [tuple(leaf.shape) for leaf in p] == [(20, N, d), *[(20, N, d, d)] * 3, (20, N, d)]
    assert torch.equal(p.mu, raw[..., :d])
    assert torch.equal(p.psi, raw[..., -d:])
    rows, cols = torch.tril_indices(d, d)
    lower = torch.zeros(20, N, d, d, dtype=torch.float64)
    lower[..., rows, cols] = raw[..., d : d + len(rows)]
    lower.diagonal(dim1=-2, dim2=-1).exp_().log1p_()  # softplus, from its definition
    torch.testing.assert_close(p.p11, lower @ lower.mT)
    assert torch.equal(p.p11, p.p11.mT)
    assert torch.equal(p.p22, p.p22.mT)
    eigenvalues = torch.linalg.eigvalsh(p.p11)
    assert (eigenvalues.amin(-1) > -1e-14 * eigenvalues.amax(-1)).all()  # positive, to the rounding of the largest


@pytest.mark.parametrize("d", DIMS)
def test_every_output_has_its_own_entry(d: int) -> None:
    """The map from outputs to (mu, L, P12, upper P22, psi) is one to one: none is lost, none used twice.

    L is the Cholesky factor of P11, the only one with a positive diagonal.
    """
    raw = normal(output_size(d))
    rows, cols = torch.tril_indices(d, d)

    def entries(outputs: Tensor) -> Tensor:
        p = unpack(outputs, d)
        return torch.cat((p.mu, torch.linalg.cholesky(p.p11)[rows, cols], p.p12.flatten(), p.p22[cols, rows], p.psi))

    jacobian = torch.autograd.functional.jacobian(entries, raw)
    expected = torch.ones_like(raw)
    on_diagonal = d + torch.nonzero(rows == cols).squeeze(1)
    expected[on_diagonal] = torch.sigmoid(raw[on_diagonal])  # the slope of softplus
    torch.testing.assert_close(jacobian, torch.diag(expected))


def test_p11_as_an_absolute_value_by_hand() -> None:
    """The released code's: -|c1| delta_i^2, every other output as it is; without groups and with them."""
    raw = torch.tensor([[0.5, -3.0, 0.25, -0.75, 2.0], [1.5, 4.0, -1.0, 0.5, -2.5]], dtype=torch.float64)
    p = unpack(raw, 1, "absolute")
    assert p.p11.flatten().tolist() == [3.0, 4.0]
    others = unpack(raw, 1)
    assert p.p11.shape == others.p11.shape
    for name in ("mu", "p12", "p22", "psi"):
        assert torch.equal(getattr(p, name), getattr(others, name))
    # Agent 0: 2 delta_1 - 3 delta_0^2 - 0.25 delta_0 delta_1 + 0.75 delta_1^2 at delta = (2, -1).
    assert label_invariant_advantage(torch.tensor([[2.0], [-1.0]]).double(), p)[0].item() == -2 - 12 + 0.5 + 0.75
    grouped = unpack_groups(raw, 1, [range(2)], "absolute")
    assert torch.equal(grouped.p11, p.p11)


def test_an_absolute_value_is_of_one_number() -> None:
    d = 2
    allowed = f"^p11 = 'absolute': with actions of {d} numbers allowed is 'cholesky' only$"
    with pytest.raises(ValueError, match=allowed):
        unpack(normal(N, output_size(d)), d, "absolute")
    with pytest.raises(ValueError, match=allowed):
        unpack_groups(normal(N, grouped_output_size(d, 2)), d, [range(1), range(1, N)], "absolute")


# --- groups -------------------------------------------------------------------------------------------------

PARTITIONS = [(4,), (1, 1, 2), (1, 1, 1, 1)]


def grouped_parameters_of(d: int, sizes: tuple[int, ...], *batch: int) -> GroupedParameters:
    """Of random network outputs at every agent's view."""
    ends = [sum(sizes[: g + 1]) for g in range(len(sizes))]
    groups = [range(end - size, end) for size, end in zip(sizes, ends, strict=True)]
    return unpack_groups(normal(*batch, N, grouped_output_size(d, len(sizes)), seed=2), d, groups)


def general_arguments(i: int, p: GroupedParameters) -> tuple[list[int], Tensor, Tensor, Tensor]:
    """The others, and (10)'s P12, P22 and Psi of agent i, block by block from the grouped form's; no batch."""
    others = [j for j in range(N) if j != i]
    of = {j: h for h, group in enumerate(p.groups) for j in group}
    pairs = {pair: k for k, pair in enumerate(itertools.combinations(range(len(p.groups)), 2))}
    p12 = torch.cat([p.p12[i, of[j]] / 2 for j in others], -1)

    def block(j: int, k: int) -> Tensor:
        if j == k:
            return p.p22[i, of[j]]
        if of[j] == of[k]:
            return torch.zeros_like(p.p22[i, 0])
        return p.cross[i, pairs[of[j], of[k]]] / 2 if j < k else p.cross[i, pairs[of[k], of[j]]].mT / 2

    p22 = torch.cat([torch.cat([block(j, k) for k in others], -1) for j in others], -2)
    return others, p12, p22, torch.cat([p.psi[i, of[j]] for j in others], -1)


@pytest.mark.parametrize("sizes", PARTITIONS)
def test_groups_are_a_special_case_of_the_general_form(sizes: tuple[int, ...]) -> None:
    """And with one agent per group they are all of it: any symmetric P22 has such blocks.

    delta_i is from the one argument and every delta_j from the other.
    """
    delta, opponents, batch = normal(6, N, 2), normal(6, N, 2, seed=6), grouped_parameters_of(2, sizes, 6)
    advantage = grouped_advantage(delta, batch, opponents)
    assert advantage.shape == (6, N)
    for b in range(6):
        p = batch._replace(**{name: getattr(batch, name)[b] for name in batch._fields if name != "groups"})
        for i in range(N):
            others, p12, p22, psi = general_arguments(i, p)
            assert torch.equal(p22, p22.mT)
            expected = general_advantage(delta[b, i], opponents[b, others].flatten(), p.p11[i], p12, p22, psi)
            torch.testing.assert_close(advantage[b, i], expected)
    assert torch.equal(grouped_advantage(delta, batch, delta), grouped_advantage(delta, batch))


@pytest.mark.parametrize("d", DIMS)
def test_one_group_is_label_invariance(d: int) -> None:
    """The same outputs in the same order, so that the forms agree from the network's output on."""
    raw, delta = normal(5, N, output_size(d), seed=2), normal(5, N, d)
    assert grouped_output_size(d, 1) == output_size(d)
    expected = label_invariant_advantage(delta, unpack(raw, d))
    torch.testing.assert_close(grouped_advantage(delta, unpack_groups(raw, d, [range(N)])), expected)
