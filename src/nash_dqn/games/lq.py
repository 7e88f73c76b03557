r"""Exact feedback Nash equilibrium of finite-horizon, N-player, general-sum linear-quadratic games.

Where the reward is quadratic and the dynamics are linear, the equilibrium of the stochastic game of
section 2, equation (2), is known exactly, so that what Algorithm 1 learns can be checked against it.

The game
    Players i = 1..N, steps m = 0..M-1, state x in R^n, joint action u = (u_1, ..., u_N), u_i in R^{d_i},
    D = sum_i d_i::

        x_{m+1} = A_m x_m + B_m u_m + c_m + G_m w_m,      w_m independent, mean 0, covariance I
        r_{i,m} = y^T R_{i,m} y,                          y = (x_m, 1, u_m)
        J_i     = E[ sum_{m<M} gamma_i^m r_{i,m} + gamma_i^M (x_M, 1)^T H_i (x_M, 1) ],     maximised by i

    Stacking (x, 1, u) in one vector carries every linear, constant and cross term (state-action, and one
    player's action with another's) in the one symmetric matrix R_i. Only the first two moments of the noise
    matter: it need not be Gaussian. Discounting multiplies the reward of step m by gamma_i^m, as in (1).

The recursion
    Write z = (x, 1) and V_{i,m}(x) = z^T P_{i,m} z, with P_{i,M} = H_i. Then, with F_m the matrix of
    (x_m, 1, u_m) -> (E x_{m+1}, 1), the action value is quadratic in y::

        Q_{i,m} = y^T (R_{i,m} + gamma_i F_m^T P_{i,m+1} F_m) y + gamma_i tr(G_m^T [P_{i,m+1}]_xx G_m).

    If it is strictly concave in u_i, the Nash operator (Definition 3.1) is given by the D first-order
    conditions "derivative of Q_i with respect to u_i is zero", which are linear in u: one D x D system with
    n + 1 right-hand sides gives u = k_m - K_m x. Substituted in each Q_i it gives P_{i,m}, which is (6).
    Where every such system is regular the feedback Nash equilibrium exists and is unique.

Source: T. Basar and G. J. Olsder, Dynamic Noncooperative Game Theory, 2nd edition (SIAM, 1999), chapter 6
(feedback Nash equilibria of discrete-time affine-quadratic games).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

# A curvature this small against the terms it is the sum of is round-off, not curvature.
_CURVATURE_TOLERANCE = 1e-12
# Condition number beyond which the coupled first-order conditions count as singular.
_CONDITION_LIMIT = 1e12


class NoEquilibriumError(ValueError):
    """The game has no unique feedback Nash equilibrium: which step and player fail, and why."""


@dataclass(frozen=True, eq=False)
class LQStep:
    """One step of a linear-quadratic game; the same object may serve several steps.

    Attributes:
        transition: A [n, n].
        control: B [n, D], the players' columns side by side.
        drift: c [n].
        noise: G [n, k]; k = 0 for a deterministic step.
        reward: R [N, n + 1 + D, n + 1 + D], symmetric, over y = (x, 1, u).
    """

    transition: FloatArray
    control: FloatArray
    drift: FloatArray
    noise: FloatArray
    reward: FloatArray


@dataclass(frozen=True, eq=False)
class LQGame:
    """A finite-horizon linear-quadratic game (see the module's docstring for the notation).

    Attributes:
        action_dims: d_i of each player, [N] positive integers.
        steps: the M steps in order.
        terminal: H [N, n + 1, n + 1], symmetric, over (x, 1); discounted by gamma_i^M.
        discount: gamma_i [N], in [0, 1]; player i's objective is the sum of gamma_i^m r_{i,m}.
        initial_mean: mean of the initial state [n].
        initial_covariance: its covariance [n, n].

    Raises:
        ValueError: a shape, a discount or an asymmetric or non-finite matrix, named with its step.
    """

    action_dims: tuple[int, ...]
    steps: tuple[LQStep, ...]
    terminal: FloatArray
    discount: FloatArray
    initial_mean: FloatArray
    initial_covariance: FloatArray

    def __post_init__(self) -> None:
        """Check every array once: a wrong shape would otherwise broadcast into a wrong equilibrium."""
        if not self.action_dims or min(self.action_dims) < 1:
            raise ValueError(f"action_dims = {self.action_dims}: one positive integer per player is needed")
        if not self.steps:
            raise ValueError("steps is empty: a game needs at least one step")
        n, players, actions = self.state_dim, self.n_players, sum(self.action_dims)
        _check("discount", self.discount, (players,))
        if not ((self.discount >= 0) & (self.discount <= 1)).all():
            raise ValueError(f"discount = {self.discount}: every entry must lie in [0, 1]")
        _check("initial_mean", self.initial_mean, (n,))
        _check("initial_covariance", self.initial_covariance, (n, n), symmetric=True)
        _check("terminal", self.terminal, (players, n + 1, n + 1), symmetric=True)
        checked: set[int] = set()
        for m, step in enumerate(self.steps):
            if id(step) in checked:
                continue
            checked.add(id(step))
            size = n + 1 + actions
            _check(f"steps[{m}].transition", step.transition, (n, n))
            _check(f"steps[{m}].control", step.control, (n, actions))
            _check(f"steps[{m}].drift", step.drift, (n,))
            _check(f"steps[{m}].noise", step.noise, (n, step.noise.shape[-1]))
            _check(f"steps[{m}].reward", step.reward, (players, size, size), symmetric=True)

    @property
    def n_players(self) -> int:
        """N."""
        return len(self.action_dims)

    @property
    def state_dim(self) -> int:
        """The number of state variables n."""
        return int(self.initial_mean.shape[0])

    @property
    def n_steps(self) -> int:
        """M."""
        return len(self.steps)

    def actions_of(self, player: int) -> slice:
        """Where player's d_i entries stand in the joint action of length D."""
        if not 0 <= player < self.n_players:
            raise ValueError(f"player = {player}: the game has players 0 to {self.n_players - 1}")
        start = sum(self.action_dims[:player])
        return slice(start, start + self.action_dims[player])


@dataclass(frozen=True, eq=False)
class LinearPolicies:
    """The players' affine Markov policies u_m = offsets[m] - gains[m] x_m.

    Attributes:
        gains: K [M, D, n].
        offsets: k [M, D].
    """

    gains: FloatArray
    offsets: FloatArray

    def act(self, step: int, state: FloatArray) -> FloatArray:
        """Joint action [..., D] in the states [..., n] of one step."""
        return self.offsets[step] - state @ self.gains[step].T


@dataclass(frozen=True, eq=False)
class Values:
    """Quadratic value functions V_{i,m}(x) = (x, 1)^T matrices[m, i] (x, 1), m = 0..M.

    Attributes:
        matrices: [M + 1, players, n + 1, n + 1], symmetric.
    """

    matrices: FloatArray

    def at(self, step: int, state: FloatArray) -> FloatArray:
        """Values [..., players] of the states [..., n] at one step (M for the terminal rewards)."""
        lifted = np.concatenate([state, np.ones((*state.shape[:-1], 1))], axis=-1)
        return np.einsum("...a,iab,...b->...i", lifted, self.matrices[step], lifted, optimize=True)

    def expected(self, mean: FloatArray, covariance: FloatArray, step: int = 0) -> FloatArray:
        """Mean values [players] over any distribution of states with this mean [n] and covariance [n, n]."""
        return self.at(step, mean) + np.einsum("iab,ab->i", self.matrices[step, :, :-1, :-1], covariance)


class Equilibrium(NamedTuple):
    """The feedback Nash equilibrium of a game: every player's policy and what it is worth to each."""

    policies: LinearPolicies
    values: Values


class StateMoments(NamedTuple):
    """Distribution of the states that a profile visits: mean [M + 1, n], covariance [M + 1, n, n]."""

    mean: FloatArray
    covariance: FloatArray


def solve_nash(game: LQGame) -> Equilibrium:
    """Solve (6) backwards for the feedback Nash equilibrium, which is unique where this returns.

    Time is O(M N (n + D)^3); the values take 8 (M + 1) N (n + 1)^2 bytes.

    Raises:
        NoEquilibriumError: a player's action value is not strictly concave in its own action, or the joint
            first-order conditions are singular; the message names the step and the player(s).
    """
    n, actions, every_player = game.state_dim, sum(game.action_dims), range(game.n_players)
    gains, offsets = np.empty((game.n_steps, actions, n)), np.empty((game.n_steps, actions))
    values = np.empty((game.n_steps + 1, game.n_players, n + 1, n + 1))
    values[-1] = game.terminal
    for m in reversed(range(game.n_steps)):
        forward = _forward(game.steps[m])
        conditions = np.empty((actions, n + 1 + actions))
        scale = np.zeros((actions, actions))
        for i in every_player:
            own = game.actions_of(i)
            conditions[own] = _first_order_rows(game, m, i, forward, values[m + 1, i])
            scale[own, own] = _curvature_scale(conditions[own, _columns(game, i)])
        # Scaled on both sides each player's own block is -I: the condition number knows no units of action.
        coupled = scale.T @ conditions[:, n + 1 :] @ scale
        if np.linalg.cond(coupled) > _CONDITION_LIMIT:
            raise NoEquilibriumError(
                f"step {m}: the first-order conditions of players {_null_players(game, coupled)} are "
                "singular together, so the step has no or infinitely many equilibria"
            )
        response = scale @ np.linalg.solve(coupled, -scale.T @ conditions[:, : n + 1])
        gains[m], offsets[m] = -response[:, :n], response[:, n]
        values[m] = _values_before(game, m, every_player, forward, response, values[m + 1])
    return Equilibrium(LinearPolicies(gains, offsets), Values(values))


def best_response(game: LQGame, policies: LinearPolicies, player: int) -> LinearPolicies:
    """Profile with player's policy replaced by its best one against the others' (a single-agent Riccati).

    With the others' policies fixed the player's problem is a linear-quadratic control problem, so that the
    affine policy found is best among *all* policies of the visible state, not only among affine ones.
    The player's own entries in ``policies`` are ignored.

    Raises:
        NoEquilibriumError: the player's action value is not strictly concave in its own action at some step.
        ValueError: ``policies`` does not fit the game, or there is no such player.
    """
    _check_policies(game, policies)
    own, n = game.actions_of(player), game.state_dim
    gains, offsets = policies.gains.copy(), policies.offsets.copy()
    value = game.terminal[[player]]
    for m in reversed(range(game.n_steps)):
        forward = _forward(game.steps[m])
        rows = _first_order_rows(game, m, player, forward, value[0])
        response = _lifted_policy(gains[m], offsets[m])
        response[own] = 0.0
        without_own = rows[:, : n + 1] + rows[:, n + 1 :] @ response
        response[own] = np.linalg.solve(rows[:, _columns(game, player)], -without_own)
        gains[m, own], offsets[m, own] = -response[own, :n], response[own, n]
        value = _values_before(game, m, [player], forward, response, value)
    return LinearPolicies(gains, offsets)


def evaluate_policies(game: LQGame, policies: LinearPolicies, players: Sequence[int] | None = None) -> Values:
    """Exact values of any affine profile, for every player or for those listed (in their order).

    Raises:
        ValueError: ``policies`` does not fit the game, or there is no such player.
    """
    _check_policies(game, policies)
    wanted = list(range(game.n_players) if players is None else players)
    for i in wanted:
        game.actions_of(i)  # raises for a player that does not exist
    n = game.state_dim
    values = np.empty((game.n_steps + 1, len(wanted), n + 1, n + 1))
    values[-1] = game.terminal[wanted]
    for m in reversed(range(game.n_steps)):
        response = _lifted_policy(policies.gains[m], policies.offsets[m])
        values[m] = _values_before(game, m, wanted, _forward(game.steps[m]), response, values[m + 1])
    return Values(values)


def exploitability(game: LQGame, policies: LinearPolicies) -> FloatArray:
    """What each player [N] could gain by deviating alone, (2), over the game's initial distribution.

    Zero up to round-off for the equilibrium; positive for a profile whose mistakes are ever visited.

    Raises:
        NoEquilibriumError: some player has no best response (see ``best_response``).
        ValueError: ``policies`` does not fit the game.
    """
    start = game.initial_mean, game.initial_covariance
    current = evaluate_policies(game, policies).expected(*start)
    best = [
        evaluate_policies(game, best_response(game, policies, i), [i]).expected(*start)[0]
        for i in range(game.n_players)
    ]
    return np.array(best) - current


def state_moments(game: LQGame, policies: LinearPolicies) -> StateMoments:
    """Exact mean and covariance of the states that a profile visits at steps 0..M.

    Raises:
        ValueError: ``policies`` does not fit the game.
    """
    _check_policies(game, policies)
    mean, covariance = [game.initial_mean], [game.initial_covariance]
    for m, step in enumerate(game.steps):
        closed = step.transition - step.control @ policies.gains[m]
        mean.append(closed @ mean[-1] + step.control @ policies.offsets[m] + step.drift)
        covariance.append(closed @ covariance[-1] @ closed.T + step.noise @ step.noise.T)
    return StateMoments(np.array(mean), np.array(covariance))


def action_value(game: LQGame, step: int, player: int, after: FloatArray) -> FloatArray:
    """The matrix [n + 1 + D, n + 1 + D] of Q_{i,m} over y = (x, 1, u), less what the noise of the step is worth.

    ``after`` is the player's value matrix [n + 1, n + 1] at the next step.
    """
    forward = _forward(game.steps[step])
    value: FloatArray = game.steps[step].reward[player] + game.discount[player] * forward.T @ after @ forward
    return value


def _forward(step: LQStep) -> FloatArray:
    """F [n + 1, n + 1 + D], with (E x', 1) = F (x, 1, u)."""
    n, actions = step.control.shape
    forward = np.zeros((n + 1, n + 1 + actions))
    forward[:n, :n] = step.transition
    forward[:n, n] = step.drift
    forward[n, n] = 1.0
    forward[:n, n + 1 :] = step.control
    return forward


def _first_order_rows(game: LQGame, m: int, player: int, forward: FloatArray, value: FloatArray) -> FloatArray:
    """Half the derivative of the player's action value in its own action: rows [d_i, n + 1 + D] times y.

    Raises NoEquilibriumError unless the rows' own block is negative definite beyond round-off.
    """
    own = _columns(game, player)
    now = game.steps[m].reward[player, own]
    later = game.discount[player] * (forward[:, own].T @ value) @ forward
    rows: FloatArray = now + later
    largest = float(np.linalg.eigvalsh(rows[:, own])[-1])
    size = float(np.abs(now[:, own]).max() + np.abs(later[:, own]).max())
    if not largest < -_CURVATURE_TOLERANCE * size:
        raise NoEquilibriumError(
            f"step {m}, player {player}: the action value is not strictly concave in the player's own action "
            f"(largest curvature {largest:.3g}; it must be negative)"
        )
    return rows


def _columns(game: LQGame, player: int) -> slice:
    """Where the player's action stands in y = (x, 1, u)."""
    own = game.actions_of(player)
    return slice(game.state_dim + 1 + own.start, game.state_dim + 1 + own.stop)


def _curvature_scale(block: FloatArray) -> FloatArray:
    """W with W^T block W = -I, for a negative definite block."""
    return np.linalg.inv(np.linalg.cholesky(-block)).T


def _null_players(game: LQGame, coupled: FloatArray) -> list[int]:
    """Players whose actions take part in the direction that singular first-order conditions leave open."""
    direction = np.abs(np.linalg.svd(coupled)[2][-1])
    parts = [float(direction[game.actions_of(i)].max()) for i in range(game.n_players)]
    return [i for i, part in enumerate(parts) if part > 1e-6 * max(parts)]


def _values_before(
    game: LQGame, m: int, players: Sequence[int], forward: FloatArray, response: FloatArray, after: FloatArray
) -> FloatArray:
    """Value matrices [players, n + 1, n + 1] at step m of playing u = response (x, 1), given those after."""
    n, step = game.state_dim, game.steps[m]
    lift = np.concatenate([np.eye(n + 1), response])  # (x, 1) -> y
    closed = forward @ lift
    wanted = list(players)
    discount = game.discount[wanted]
    # Indexing with a list copies every player's matrix, which is worth avoiding where all are wanted.
    reward = step.reward if wanted == list(range(game.n_players)) else step.reward[wanted]
    values = lift.T @ reward @ lift + discount[:, None, None] * (closed.T @ after @ closed)
    values[:, n, n] += discount * np.einsum("ab,iab->i", step.noise @ step.noise.T, after[:, :n, :n])
    return 0.5 * (values + values.transpose(0, 2, 1))


def _lifted_policy(gains: FloatArray, offsets: FloatArray) -> FloatArray:
    """The matrix [D, n + 1] of u = matrix (x, 1)."""
    return np.concatenate([-gains, offsets[:, None]], axis=1)


def _check_policies(game: LQGame, policies: LinearPolicies) -> None:
    actions = sum(game.action_dims)
    _check("gains", policies.gains, (game.n_steps, actions, game.state_dim))
    _check("offsets", policies.offsets, (game.n_steps, actions))


def _check(name: str, array: FloatArray, shape: tuple[int, ...], symmetric: bool = False) -> None:
    """Raise ValueError unless array is finite float64 of this shape, and symmetric where asked."""
    if array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape}: {shape} is needed")
    if array.dtype != np.float64:
        raise ValueError(f"{name} has dtype {array.dtype}: float64 is needed")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} has entries that are not finite")
    if symmetric and np.abs(array - np.swapaxes(array, -1, -2)).max() > 1e-12 * np.abs(array).max():
        raise ValueError(f"{name} is not symmetric")
