"""Symmetric equilibria among linear policies, followed from one scenario to another.

Gradient self-play that does not settle may cycle around an equilibrium or have none to settle at. To tell which, the
equilibrium itself is followed: each agent's policy is linear in what it sees, a set of coefficients theta for each
step, and with a fixed sample of paths an equilibrium is a root of

    g(theta) = d/d theta_0 of J_0(theta_0, theta), at theta_0 = theta,

agent 0's mean total reward (1) when it follows theta_0 and the others theta. Starting where self-play converges, the
root is continued in the scenario by pseudo-arclength steps, Newton's method on (theta, t) with the length of the step
fixed, which also get round a point where the path turns back. There two equilibria meet and vanish: a fold, where the
Jacobian of g is singular.

Two spectra along the path say more. Own curvature d2 J_0 / d theta_0^2: negative definite at an equilibrium (no linear
deviation gains at second order). The Jacobian of g, which adds the reaction of all others: where an eigenvalue has a
positive real part simultaneous gradient steps run away from the equilibrium, however small they are; and its smallest
singular value over its largest is the pace at which they approach it at best.

The square-root impact has no second derivative at zero flow, so here it is smoothed: v / (v^2 + w^2)^(1/4).

Source of the continuation: H. B. Keller, Numerical solution of bifurcation and nonlinear eigenvalue problems, in
Applications of Bifurcation Theory (Academic Press, 1977).
"""

from __future__ import annotations

import dataclasses
import logging
import math
from dataclasses import dataclass

import pandas as pd
import torch
from torch import Tensor

from nash_dqn.agents.learner import half_cosine
from nash_dqn.evaluation.rollout import steps
from nash_dqn.games.base import ObservationSpec
from nash_dqn.games.market import Market, MarketState, Shocks
from nash_dqn.seeding import generator
from nash_dqn.settings.measures import PathSettings

__all__ = ["COLUMNS", "PathSettings", "SmoothedMarket", "follow"]

COLUMNS = (
    *("point", "t", "kappa", "sigma", "value", "coefficients", "residual", "own_curvature", "jacobian"),
    *("smallest_singular", "condition"),
)

_TOLERANCE = 1e-8  # of |g|, shares of reward per unit of a coefficient
_NEWTON_STEPS = 12
_SHORTEST = 1e-5  # arclength of a step

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SmoothedMarket(Market):
    """The market with square-root impact v / (v^2 + w^2)^(1/4), smooth at zero.

    Attributes:
        width: w, shares/hour.
    """

    width: float = 1.0

    def _next_impact(self, impact: Tensor, total: Tensor) -> Tensor:
        decayed = impact * math.exp(-self.rho * self.dt)
        return torch.add(decayed, total * (total.square() + self.width**2) ** -0.25, alpha=self.gamma * self.dt)


def follow(start: Market, end: Market, spec: ObservationSpec, settings: PathSettings) -> pd.DataFrame:
    """Follow the equilibrium from the game ``start`` (t = 0) towards ``end`` (t = 1), kappa and sigma geometrically.

    Returns:
        Table with :data:`COLUMNS`, a row per point: ``value``, each agent's mean total reward; ``coefficients``, the
        norm of theta; ``residual``, |g|; ``own_curvature``, the largest eigenvalue of the own Hessian; ``jacobian``,
        the largest real part of the Jacobian's eigenvalues; its ``smallest_singular`` value and ``condition``. The last
        row has t = 1 where the path arrives; where it folds, the largest t lies before the last row.

    Raises:
        ValueError: the games differ in more than kappa and sigma, the law of impact is not ``"sqrt"``, or others'
            inventories are visible, which these policies cannot use.
    """
    if spec.inventories != "private":
        raise ValueError(f"observation.inventories = {spec.inventories!r}: allowed is 'private'")
    if dataclasses.replace(start, kappa=end.kappa, sigma=end.sigma) != end or start.impact != "sqrt":
        raise ValueError(
            "start and end: allowed are two games of square-root impact that differ in kappa and sigma alone"
        )
    problem = _Problem(start, end, spec, settings)
    theta, t = problem.first(), 0.0
    theta = problem.newton(theta, t)
    rows = [problem.row(0, theta, t)]
    # The tangent of the path: first along t, then from point to point.
    direction = torch.zeros(len(theta) + 1, dtype=theta.dtype)
    direction[-1] = 1.0
    length, furthest = settings.step, 0.0
    while len(rows) < settings.points and t < 1.0 and t > furthest - settings.beyond_fold:
        if length < _SHORTEST:
            log.warning("the path is lost at t = %.4f: steps of %g still fail", t, length)
            break
        direction = problem.tangent(theta, t, direction)
        found = problem.corrected(theta, t, direction, length)
        if found is None:
            length /= 2
            continue
        before, (theta, t), steps = (theta, t), *found
        if t > 1.0:
            share = (1.0 - before[1]) / (t - before[1])
            try:
                theta, t = problem.newton(torch.lerp(before[0], theta, share), 1.0), 1.0
            except ValueError:  # the step was too long to tell where in between the end lies
                (theta, t), length = before, length / 2
                continue
        furthest = max(furthest, t)
        rows.append(problem.row(len(rows), theta, t))
        if steps <= 4:
            length = min(2 * length, settings.largest_step)
    return pd.DataFrame(rows, columns=list(COLUMNS))


class _Problem:
    """The equations g(theta, t) = 0 on a fixed sample of paths, in double precision."""

    def __init__(self, start: Market, end: Market, spec: ObservationSpec, settings: PathSettings) -> None:
        self._start, self._end, self._spec, self._settings = start, end, spec, settings
        normals = (settings.paths, start.normals_per_episode)
        self._normals = torch.randn(
            normals, generator=generator(settings.seed, "equilibrium_path"), dtype=torch.float64
        )
        self._size = start.observation_size(spec)[0] - 1
        flows = [2, 4] if spec.own_flow else [2]
        # Order flow is zero at the first step: its coefficients there mean nothing and are left out.
        self._free = torch.ones(start.n_steps, self._size, dtype=torch.bool)
        self._free[0, flows] = False

    def game(self, t: float) -> SmoothedMarket:
        """The game at t."""
        a, b = self._start, self._end
        between = {name: getattr(a, name) ** (1 - t) * getattr(b, name) ** t for name in ("kappa", "sigma")}
        fields = {field.name: getattr(a, field.name) for field in dataclasses.fields(Market)}
        return SmoothedMarket(**{**fields, **between}, width=self._settings.width)

    def value(self, own: Tensor, others: Tensor, t: float, normals: Tensor | None = None) -> Tensor:
        """J_0: agent 0 follows the coefficients ``own``, the others ``others``, both of the free ones."""
        game = self.game(t)
        shocks: Shocks = game.shocks_from_normals(self._normals if normals is None else normals)
        tables = []
        for theta in (own, others):
            tables.append(torch.zeros(self._free.shape, dtype=theta.dtype).masked_scatter(self._free, theta))

        def act(state: MarketState) -> Tensor:
            features = game.observe(state, self._spec).own[..., 1:]
            rates = (features[:, :1] @ tables[0][state.step], features[:, 1:] @ tables[1][state.step])
            return torch.cat(rates, -1).unsqueeze(-1)

        total = torch.zeros_like(shocks.price)
        for m, step in enumerate(steps(game, act, shocks)):
            total = torch.add(total, step.rewards[:, 0], alpha=game.discount**m)
        return total.mean()

    def first(self) -> Tensor:
        """Coefficients by gradient self-play at t = 0, on samples of the paths."""
        theta = torch.zeros(int(self._free.sum()), dtype=torch.float64, requires_grad=True)
        optimiser = torch.optim.Adam([theta], lr=0.05)
        iterations = self._settings.start_iterations
        stream = generator(self._settings.seed, "equilibrium_path", "start")
        for i in range(iterations):
            batch = self._normals[torch.randint(len(self._normals), (256,), generator=stream)]
            (theta.grad,) = torch.autograd.grad(-self.value(theta, theta.detach(), 0.0, batch), theta)
            optimiser.param_groups[0]["lr"] = 0.05 * half_cosine(i / iterations)
            optimiser.step()
        return theta.detach()

    def gradient(self, theta: Tensor, t: float) -> Tensor:
        """The vector g."""
        own = theta.clone().requires_grad_()
        (g,) = torch.autograd.grad(self.value(own, theta, t), own)
        return g

    def derivatives(self, theta: Tensor, t: float) -> tuple[Tensor, Tensor, Tensor, float]:
        """g, the own Hessian, the derivative of g by the others' coefficients, and the value."""
        own, others = (theta.clone().requires_grad_() for _ in range(2))
        value = self.value(own, others, t)
        (g,) = torch.autograd.grad(value, own, create_graph=True)
        rows = [torch.autograd.grad(entry, (own, others), retain_graph=True) for entry in g]
        hessian, cross = (torch.stack(leaf) for leaf in zip(*rows, strict=True))
        return g.detach(), hessian, cross, value.item()

    def by_t(self, theta: Tensor, t: float) -> Tensor:
        """Derivative of g by t, a central difference."""
        h = 1e-5
        return (self.gradient(theta, t + h) - self.gradient(theta, t - h)) / (2 * h)

    def newton(self, theta: Tensor, t: float) -> Tensor:
        """The root near theta at fixed t.

        Raises:
            ValueError: Newton's method does not converge.
        """
        for _ in range(_NEWTON_STEPS):
            g, hessian, cross, _ = self.derivatives(theta, t)
            if g.norm() < _TOLERANCE:
                return theta
            try:
                theta = theta - torch.linalg.solve(hessian + cross, g)
            except torch.linalg.LinAlgError:  # singular: wandered off
                break
        raise ValueError(f"no equilibrium found at t = {t:g}: |g| = {g.norm():.2g} after Newton's method")

    def tangent(self, theta: Tensor, t: float, before: Tensor) -> Tensor:
        """Unit tangent of the path, on the side of the one before."""
        _, hessian, cross, _ = self.derivatives(theta, t)
        matrix = torch.cat((torch.cat((hessian + cross, self.by_t(theta, t)[:, None]), 1), before[None]))
        right = torch.zeros(len(matrix), dtype=theta.dtype)
        right[-1] = 1.0
        direction = torch.linalg.solve(matrix, right)
        return direction / direction.norm()

    def corrected(
        self, theta: Tensor, t: float, direction: Tensor, length: float
    ) -> tuple[tuple[Tensor, float], int] | None:
        """The point of the path at that distance along the tangent and Newton's steps; None where they fail."""
        origin = torch.cat((theta, torch.tensor([t], dtype=theta.dtype)))
        point = origin + length * direction
        for done in range(_NEWTON_STEPS):
            here, at = point[:-1], point[-1].item()
            g, hessian, cross, _ = self.derivatives(here, at)
            excess = direction @ (point - origin) - length
            if not math.isfinite(g.norm()) or g.norm() > 10:
                return None
            if g.norm() < _TOLERANCE:
                return (here, at), done
            top = torch.cat((hessian + cross, self.by_t(here, at)[:, None]), 1)
            try:
                point = point - torch.linalg.solve(torch.cat((top, direction[None])), torch.cat((g, excess[None])))
            except torch.linalg.LinAlgError:  # singular: too long a step
                return None
        return None

    def row(self, number: int, theta: Tensor, t: float) -> dict[str, float]:
        """What the table says of a point."""
        g, hessian, cross, value = self.derivatives(theta, t)
        game, jacobian = self.game(t), hessian + cross
        singular = torch.linalg.svdvals(jacobian)
        numbers = (
            *(number, t, game.kappa, game.sigma, value, theta.norm().item(), g.norm().item()),
            torch.linalg.eigvalsh((hessian + hessian.mT) / 2).max().item(),
            torch.linalg.eigvals(jacobian).real.max().item(),
            *(singular[-1].item(), (singular[0] / singular[-1]).item()),
        )
        log.info("point %d: t %.4f, kappa %.4f, sigma %.4f, value %.4f, |theta| %.3g", *numbers[:6])
        return dict(zip(COLUMNS, numbers, strict=True))
