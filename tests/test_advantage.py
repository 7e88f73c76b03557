"""Equations (10) and (15) against plain loops, each other, and what makes mu the Nash point, (12)."""

import pytest
import torch
from torch import Tensor

from nash_dqn.advantage import (
    AdvantageParameters,
    general_advantage,
    label_invariant_advantage,
    output_size,
    unpack,
)
from nash_dqn.seeding import generator

N = 4
DIMS = (1, 2, 3)


def normal(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(shape, generator=generator(seed, "test_advantage"), dtype=torch.float64)


def parameters_of(d: int, *batch: int, seed: int = 2) -> AdvantageParameters:
    """Of random network outputs at every agent's view."""
    return unpack(normal(*batch, N, output_size(d), seed=seed), d)


def label_invariant_by_loop(delta: Tensor, i: int, p: AdvantageParameters) -> Tensor:
    """Equation (15) term by term, for agent i of one joint deviation [N, d]."""
    p11 = p.cholesky[i] @ p.cholesky[i].T
    total = -delta[i] @ p11 @ delta[i]
    for j in range(len(delta)):
        if j != i:
            total = total - delta[i] @ p.p12[i] @ delta[j] - delta[j] @ p.p22[i] @ delta[j] + delta[j] @ p.psi[i]
    return total


def general_by_loop(own: Tensor, others: Tensor, cholesky: Tensor, p12: Tensor, p22: Tensor, psi: Tensor) -> float:
    """Equation (10) entry by entry, the matrix P_i in full."""
    lower = cholesky.tolist()
    size = len(own)
    p11 = [[sum(a * b for a, b in zip(lower[r], lower[c], strict=True)) for c in range(size)] for r in range(size)]
    top = [[*p11[r], *p12[r].tolist()] for r in range(size)]
    bottom = [[*p12[:, r].tolist(), *p22[r].tolist()] for r in range(len(others))]
    matrix, z = top + bottom, [*own.tolist(), *others.tolist()]
    quadratic = sum(z[r] * matrix[r][c] * z[c] for r in range(len(z)) for c in range(len(z)))
    return sum(x * y for x, y in zip(others.tolist(), psi.tolist(), strict=True)) - quadratic


# --- the two forms ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("d", DIMS)
def test_label_invariant_form_agrees_with_a_loop(d: int) -> None:
    delta, p = normal(5, N, d), parameters_of(d, 5)
    advantage = label_invariant_advantage(delta, p)
    assert advantage.shape == (5, N)
    for b in range(5):
        one = AdvantageParameters(*(leaf[b] for leaf in p))
        for i in range(N):
            torch.testing.assert_close(advantage[b, i], label_invariant_by_loop(delta[b], i, one))


@pytest.mark.parametrize("d", DIMS)
def test_general_form_agrees_with_a_loop(d: int) -> None:
    size = 5  # the others' actions need not be as many as one's own
    lower = normal(3, d, d).tril()
    half = normal(3, size, size, seed=3)
    arguments = (normal(3, d), normal(3, size), lower, normal(3, d, size, seed=4), half + half.mT, normal(3, size))
    advantage = general_advantage(*arguments)
    assert advantage.shape == (3,)
    for b in range(3):
        assert advantage[b].item() == pytest.approx(general_by_loop(*(leaf[b] for leaf in arguments)), rel=1e-12)


@pytest.mark.parametrize("d", DIMS)
def test_label_invariance_is_a_special_case_of_the_general_form(d: int) -> None:
    """(10) holds the cross term twice, as P12 and as P21: its blocks are half of (15)'s P12."""
    delta, p = normal(6, N, d), parameters_of(d, 6)
    advantage = label_invariant_advantage(delta, p)
    for i in range(N):
        rest = [j for j in range(N) if j != i]
        p12 = torch.cat([p.p12[:, i] / 2] * len(rest), -1)
        p22 = torch.stack([torch.block_diag(*[block] * len(rest)) for block in p.p22[:, i]])
        psi = torch.cat([p.psi[:, i]] * len(rest), -1)
        others = delta[:, rest].flatten(1)
        expected = general_advantage(delta[:, i], others, p.cholesky[:, i], p12, p22, psi)
        torch.testing.assert_close(advantage[:, i], expected)


def test_scalar_actions_agree_with_the_general_code() -> None:
    """d = 1 has code of its own: the same as d = 2 with a second entry that is always zero."""
    raw, delta = normal(7, N, output_size(1)), normal(7, N, 1)
    scalar = unpack(raw, 1)
    mu, diagonal, p12, p22, psi = raw.unbind(-1)
    nothing = torch.zeros_like(mu)
    # The order of d = 2: mu (2), L (3), P12 (4), P22 (3), psi (2).
    entries = [mu, nothing, diagonal, nothing, nothing, p12, nothing, nothing, nothing, p22, nothing, nothing]
    plane = unpack(torch.stack([*entries, psi, nothing], -1), 2)
    for small, large in zip(scalar, plane, strict=True):
        corner = large[..., :1] if large.dim() == 3 else large[..., :1, :1]
        torch.testing.assert_close(small, corner)
    flat = torch.cat((delta, torch.zeros_like(delta)), -1)
    torch.testing.assert_close(label_invariant_advantage(delta, scalar), label_invariant_advantage(flat, plane))


@pytest.mark.parametrize("d", DIMS)
def test_others_are_interchangeable(d: int) -> None:
    delta, p = normal(N, d), parameters_of(d)
    swapped = label_invariant_advantage(delta[[0, 3, 1, 2]], p)[0]
    torch.testing.assert_close(swapped, label_invariant_advantage(delta, p)[0])


@pytest.mark.parametrize("d", DIMS)
def test_a_lone_agent(d: int) -> None:
    """N = 1: only -|delta|^2_{P11} is left."""
    delta, p = normal(1, d), AdvantageParameters(*(leaf[:1] for leaf in parameters_of(d)))
    expected = -(delta[0] @ p.cholesky[0] @ p.cholesky[0].T @ delta[0])
    torch.testing.assert_close(label_invariant_advantage(delta, p)[0], expected, rtol=1e-9, atol=1e-12)


# --- the opponents' deviations as constants -----------------------------------------------------------------


@pytest.mark.parametrize("d", DIMS)
def test_own_and_opponents_deviations_have_their_own_places(d: int) -> None:
    """Equation (15) with delta_i from the one argument and every delta_j from the other, numbers of their own here."""
    delta, opponents, p = normal(5, N, d), normal(5, N, d, seed=6), parameters_of(d, 5)
    advantage = label_invariant_advantage(delta, p, opponents)
    for b in range(5):
        one = AdvantageParameters(*(leaf[b] for leaf in p))
        for i in range(N):
            joint = opponents[b].clone()
            joint[i] = delta[b, i]
            torch.testing.assert_close(advantage[b, i], label_invariant_by_loop(joint, i, one))
    assert torch.equal(label_invariant_advantage(delta, p, delta), label_invariant_advantage(delta, p))


@pytest.mark.parametrize("d", DIMS)
def test_gradients_with_the_opponents_deviations_constant(d: int) -> None:
    """By hand, A_i in delta_i: -2 P11 delta_i - P12 sum_j delta_j; in delta_j: -P12^T delta_i - 2 P22 delta_j + psi.

    The latter are zero, and the former the same, where delta_j is a constant.
    """
    delta, p = normal(N, d), parameters_of(d)
    whole = torch.autograd.functional.jacobian(lambda x: label_invariant_advantage(x, p), delta)
    held = torch.autograd.functional.jacobian(lambda x: label_invariant_advantage(x, p, x.detach()), delta)
    for i in range(N):
        p11 = p.cholesky[i] @ p.cholesky[i].T
        for j in range(N):
            if i == j:
                rest = sum(delta[k] for k in range(N) if k != i)
                expected = -2 * p11 @ delta[i] - p.p12[i] @ rest
                torch.testing.assert_close(held[i, i], expected)
            else:
                expected = -p.p12[i].T @ delta[i] - 2 * p.p22[i] @ delta[j] + p.psi[i]
                assert not held[i, j].any()
            torch.testing.assert_close(whole[i, j], expected)


@pytest.mark.parametrize("d", DIMS)
def test_constants_or_not_the_matrices_get_the_same_gradient(d: int) -> None:
    """Held are the deviations, not the parameters: psi, P12, P22 and L learn from (17) in either case."""
    delta, raw = normal(3, N, d).requires_grad_(), normal(3, N, output_size(d), seed=2).requires_grad_()
    weights = normal(3, N, seed=7)
    gradients = []
    for opponents in (delta, delta.detach()):
        loss = (weights * label_invariant_advantage(delta, unpack(raw, d), opponents)).sum()
        gradients.append(torch.autograd.grad(loss, (delta, raw)))
    (whole, matrices), (held, same_matrices) = gradients
    torch.testing.assert_close(same_matrices, matrices, rtol=1e-12, atol=1e-14)
    assert (matrices[..., d:] != 0).all()
    assert (whole != held).all()


# --- the Nash point -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("d", DIMS)
def test_gradient_vanishes_and_curvature_is_negative_at_mu(d: int) -> None:
    """(12): in an agent's own action, the others at mu, the gradient is zero and the Hessian is -2 P11 < 0."""
    p = parameters_of(d)
    for i in range(N):

        def advantage(own: Tensor, i: int = i) -> Tensor:
            joint = torch.cat((p.mu[:i], own.unsqueeze(0), p.mu[i + 1 :]))
            return label_invariant_advantage(joint - p.mu, p)[i]

        assert advantage(p.mu[i]) == 0
        gradient = torch.autograd.functional.jacobian(advantage, p.mu[i])
        torch.testing.assert_close(gradient, torch.zeros(d).double(), rtol=0, atol=1e-14)
        hessian = torch.autograd.functional.hessian(advantage, p.mu[i])
        torch.testing.assert_close(hessian, -2 * p.cholesky[i] @ p.cholesky[i].T)
        assert torch.linalg.eigvalsh(hessian).max() < 0


@pytest.mark.parametrize("d", DIMS)
def test_no_agent_gains_by_deviating_alone_from_mu(d: int) -> None:
    """Definition 3.1 at u = mu(x), small and large deviations; two deviating together may well gain."""
    p = parameters_of(d)
    gains = []
    for i in range(N):
        for size in (1e-4, 1e-2, 1.0, 100.0):
            delta = torch.zeros(50, N, d, dtype=torch.float64)
            delta[:, i] = size * normal(50, d, seed=i)
            gains.append(label_invariant_advantage(delta, p)[:, i].max().item())
    assert max(gains) < 0
    assert label_invariant_advantage(0.1 * normal(200, N, d), p).max() > 0


@pytest.mark.parametrize("d", DIMS)
def test_curvature_does_not_depend_on_what_the_others_do(d: int) -> None:
    """Strict concavity in u_i holds everywhere, not at mu alone: A is quadratic in u_i with matrix -P11."""
    p, step = parameters_of(d), normal(d, seed=5)
    base = normal(N, d)
    for i in range(N):
        up, down = base.clone(), base.clone()
        up[i] += step
        down[i] -= step
        second = sum(label_invariant_advantage(x, p)[i] for x in (up, down)) - 2 * label_invariant_advantage(base, p)[i]
        torch.testing.assert_close(second, -2 * step @ p.cholesky[i] @ p.cholesky[i].T @ step)


# --- network outputs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("d", "size"), [(1, 5), (2, 2 + 3 + 4 + 3 + 2), (3, 3 + 6 + 9 + 6 + 3)])
def test_unpacked_matrices(d: int, size: int) -> None:
    """mu first; L lower triangular with positive diagonal, so that P11 is positive definite; P22 symmetric."""
    assert output_size(d) == size
    raw = 2 * normal(20, N, size)
    p = unpack(raw, d)
    assert [tuple(leaf.shape) for leaf in p] == [(20, N, d), *[(20, N, d, d)] * 3, (20, N, d)]
    assert torch.equal(p.mu, raw[..., :d])
    assert torch.equal(p.psi, raw[..., -d:])
    assert (p.cholesky.diagonal(dim1=-2, dim2=-1) > 0).all()
    assert torch.equal(p.cholesky, p.cholesky.tril())
    assert torch.equal(p.p22, p.p22.mT)
    eigenvalues = torch.linalg.eigvalsh(p.cholesky @ p.cholesky.mT)
    assert (eigenvalues.amin(-1) > -1e-14 * eigenvalues.amax(-1)).all()  # positive, to the rounding of the largest


@pytest.mark.parametrize("d", DIMS)
def test_every_output_has_its_own_entry(d: int) -> None:
    """The map from outputs to (mu, L, P12, upper P22, psi) is one to one: none is lost, none used twice."""
    raw = normal(output_size(d))
    rows, cols = torch.tril_indices(d, d)

    def entries(outputs: Tensor) -> Tensor:
        p = unpack(outputs, d)
        return torch.cat((p.mu, p.cholesky[rows, cols], p.p12.flatten(), p.p22[cols, rows], p.psi))

    jacobian = torch.autograd.functional.jacobian(entries, raw)
    expected = torch.ones_like(raw)
    on_diagonal = d + torch.nonzero(rows == cols).squeeze(1)
    expected[on_diagonal] = torch.sigmoid(raw[on_diagonal])  # the slope of softplus
    torch.testing.assert_close(jacobian, torch.diag(expected))
