"""Exact linear-quadratic equilibria against known answers, brute force and other solvers."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy.linalg import solve_discrete_are

from nash_dqn.games.lq import (
    FloatArray,
    LinearPolicies,
    LQGame,
    LQStep,
    NoEquilibriumError,
    best_response,
    evaluate_policies,
    exploitability,
    solve_nash,
    state_moments,
)

DIMS = (1, 2, 3)
Act = Callable[[int, FloatArray], FloatArray]  # step, state [n] -> joint action [D]


def symmetric(matrix: FloatArray) -> FloatArray:
    return 0.5 * (matrix + np.swapaxes(matrix, -1, -2))


def random_game(seed: int, dims: tuple[int, ...] = DIMS, steps: int = 3) -> LQGame:
    """Time-varying, four states, two noises, and every kind of term: affine, cross, several discounts."""
    n = 4
    rng = np.random.default_rng(seed)
    players, actions = len(dims), sum(dims)
    size = n + 1 + actions

    def step() -> LQStep:
        reward = symmetric(rng.normal(scale=0.4, size=(players, size, size)))
        for i, (start, d) in enumerate(zip(np.cumsum((0, *dims)), dims, strict=False)):
            columns = slice(n + 1 + start, n + 1 + start + d)
            reward[i, columns, columns] -= 6.0 * np.eye(d)  # strictly concave, well beyond the cross terms
        return LQStep(
            transition=rng.normal(scale=0.4, size=(n, n)),
            control=rng.normal(scale=0.5, size=(n, actions)),
            drift=rng.normal(size=n),
            noise=rng.normal(size=(n, 2)),
            reward=reward,
        )

    root = rng.normal(size=(n, n))
    return LQGame(
        action_dims=dims,
        steps=tuple(step() for _ in range(steps)),
        terminal=symmetric(rng.normal(scale=0.3, size=(players, n + 1, n + 1))),
        discount=np.linspace(1.0, 0.6, players),
        initial_mean=rng.normal(size=n),
        initial_covariance=root @ root.T,
    )


def random_policies(game: LQGame, seed: int) -> LinearPolicies:
    rng = np.random.default_rng(seed)
    actions = sum(game.action_dims)
    gains = rng.normal(scale=0.5, size=(game.n_steps, actions, game.state_dim))
    return LinearPolicies(gains, rng.normal(size=(game.n_steps, actions)))


def play(game: LQGame, act: Act, start: FloatArray, noise: FloatArray) -> FloatArray:
    """Discounted returns [N] of one episode, written as plainly as the definition of the game."""
    returns, x = np.zeros(game.n_players), start
    for m, step in enumerate(game.steps):
        u = act(m, x)
        y = np.concatenate([x, [1.0], u])
        for i in range(game.n_players):
            returns[i] += game.discount[i] ** m * (y @ step.reward[i] @ y)
        x = step.transition @ x + step.control @ u + step.drift + step.noise @ noise[m]
    y = np.concatenate([x, [1.0]])
    for i in range(game.n_players):
        returns[i] += game.discount[i] ** game.n_steps * (y @ game.terminal[i] @ y)
    return returns


def without_noise(game: LQGame) -> LQGame:
    return replace(game, steps=tuple(replace(step, noise=step.noise[:, :0]) for step in game.steps))


# --- known answers --------------------------------------------------------------------------------


def test_one_step_game_is_cournot_oligopoly() -> None:
    """Textbook: at price 10 - 2 sum(u) and unit cost 4 each sells (10 - 4) / (2 (N + 1)), for 2 u^2."""
    firms = 7
    reward = np.zeros((firms, 2 + firms, 2 + firms))  # y = (x, 1, u), with a state that nothing depends on
    for i in range(firms):
        reward[i, 2 + i, 2:] -= 1.0
        reward[i, 2:, 2 + i] -= 1.0
        reward[i, 1, 2 + i] += 3.0
        reward[i, 2 + i, 1] += 3.0
    step = LQStep(np.eye(1), np.zeros((1, firms)), np.zeros(1), np.zeros((1, 0)), reward)
    terminal = np.zeros((firms, 2, 2))
    game = LQGame((1,) * firms, (step,), terminal, np.ones(firms), np.zeros(1), np.zeros((1, 1)))
    policies, values = solve_nash(game)
    sold = 3.0 / (firms + 1)
    np.testing.assert_allclose(policies.act(0, np.array([0.7])), sold, rtol=1e-14)
    np.testing.assert_allclose(values.at(0, np.array([0.7])), 2 * sold**2, rtol=1e-13)


def stationary_game(
    a: FloatArray, bs: list[FloatArray], rewards: list[FloatArray], discount: float, steps: int
) -> LQGame:
    """Infinite-horizon game without affine terms, cut at ``steps``; the rewards are over (x, u)."""
    n, players = len(a), len(bs)
    full = np.insert(np.insert(np.array(rewards), n, 0.0, axis=1), n, 0.0, axis=2)
    step = LQStep(a, np.concatenate(bs, axis=1), np.zeros(n), np.zeros((n, 0)), full)
    return LQGame(
        action_dims=tuple(b.shape[1] for b in bs),
        steps=(step,) * steps,
        terminal=np.zeros((players, n + 1, n + 1)),
        discount=np.full(players, discount),
        initial_mean=np.zeros(n),
        initial_covariance=np.zeros((n, n)),
    )


def test_duopoly_with_adjustment_costs_has_the_published_markov_perfect_equilibrium() -> None:
    """T. Sargent and J. Stachurski, lecture "Markov Perfect Equilibrium" (quantecon.org), F_1 and F_2.

    Price a0 - a1 (q_1 + q_2), cost of adjustment 12 u_i^2, u_i = -F_i (1, q_1, q_2).
    """
    a0, a1, adjustment, beta = 10.0, 2.0, 12.0, 0.96
    loss = np.zeros((2, 5, 5))
    loss[0, :3, :3] = [[0, -a0 / 2, 0], [-a0 / 2, a1, a1 / 2], [0, a1 / 2, 0]]
    loss[1, :3, :3] = [[0, 0, -a0 / 2], [0, 0, a1 / 2], [-a0 / 2, a1 / 2, a1]]
    loss[0, 3, 3] = loss[1, 4, 4] = adjustment
    b1, b2 = np.array([[0.0], [1], [0]]), np.array([[0.0], [0], [1]])
    gains = solve_nash(stationary_game(np.eye(3), [b1, b2], list(-loss), beta, steps=300)).policies.gains[0]
    published = [[-0.66846615, 0.29512482, 0.07584666], [-0.66846615, 0.07584666, 0.29512482]]
    np.testing.assert_allclose(gains, published, atol=6e-9)


def test_single_player_stationary_limit_is_the_discrete_algebraic_riccati_equation() -> None:
    rng = np.random.default_rng(11)
    n, d, discount = 4, 2, 0.95
    a, b = 0.6 * rng.normal(size=(n, n)), rng.normal(size=(n, d))
    root = rng.normal(size=(n + d, n + d))
    loss = root @ root.T + np.eye(n + d)
    game = stationary_game(a, [b], [-loss], discount, steps=400)
    policies, values = solve_nash(game)
    scaled_a, scaled_b, cross = discount**0.5 * a, discount**0.5 * b, loss[:n, n:]
    p = solve_discrete_are(scaled_a, scaled_b, loss[:n, :n], loss[n:, n:], s=cross)
    gain = np.linalg.solve(loss[n:, n:] + scaled_b.T @ p @ scaled_b, scaled_b.T @ p @ scaled_a + cross.T)
    np.testing.assert_allclose(values.matrices[0, 0, :-1, :-1], -p, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(policies.gains[0], gain, rtol=1e-9, atol=1e-10)


def test_discount_multiplies_step_m_by_its_mth_power() -> None:
    """A reward of 1 a step and 1 at the end is worth 1 + g + ... + g^M."""
    reward = np.zeros((2, 4, 4))
    reward[:, 1, 1] = 1.0
    reward[0, 2, 2] = reward[1, 3, 3] = -1.0
    step = LQStep(np.eye(1), np.ones((1, 2)), np.zeros(1), np.ones((1, 1)), reward)
    terminal = np.zeros((2, 2, 2))
    terminal[:, 1, 1] = 1.0
    discount = np.array([0.5, 0.9])
    game = LQGame((1, 1), (step,) * 3, terminal, discount, np.zeros(1), np.eye(1))
    policies, values = solve_nash(game)
    assert not policies.gains.any() and not policies.offsets.any()
    np.testing.assert_allclose(values.matrices[0, :, -1, -1], (1 - discount**4) / (1 - discount), rtol=1e-14)


# --- exact values ---------------------------------------------------------------------------------


def test_values_are_the_mean_return_over_every_noise_path() -> None:
    """Only two moments of the noise matter, so +-1 coin tosses, all 4^M of them, give the values exactly."""
    game = random_game(seed=0)
    policies = random_policies(game, seed=1)
    values = evaluate_policies(game, policies)
    tosses = np.array(list(itertools.product((-1.0, 1.0), repeat=2)))
    starts = np.random.default_rng(2).normal(size=(3, game.state_dim))
    for start in starts:
        paths = itertools.product(tosses, repeat=game.n_steps)
        returns = [play(game, policies.act, start, np.array(path)) for path in paths]
        np.testing.assert_allclose(values.at(0, start), np.mean(returns, axis=0), rtol=1e-11)
    np.testing.assert_allclose(values.at(0, starts)[1], values.at(0, starts[1]), rtol=1e-13)


def test_values_agree_with_the_moments_of_the_visited_states() -> None:
    """Forwards in time, by moments, instead of backwards, by values; from later steps on as well."""
    game = random_game(seed=6)
    policies = random_policies(game, seed=7)
    values = evaluate_policies(game, policies)
    moments = state_moments(game, policies)
    for first in range(game.n_steps + 1):
        expected = np.zeros(game.n_players)
        for m in range(first, game.n_steps + 1):
            mean, covariance = moments.mean[m], moments.covariance[m]
            lift = np.eye(game.state_dim + 1)
            quadratic = game.terminal
            if m < game.n_steps:
                lift = np.concatenate([lift, np.column_stack([-policies.gains[m], policies.offsets[m]])])
                quadratic = game.steps[m].reward
            lifted = np.append(mean, 1.0)
            second = np.outer(lifted, lifted)
            second[:-1, :-1] += covariance
            rewards = np.einsum("iab,ab->i", quadratic, lift @ second @ lift.T)
            expected += game.discount ** (m - first) * rewards
        got = values.expected(moments.mean[first], moments.covariance[first], step=first)
        np.testing.assert_allclose(got, expected, rtol=1e-11)


# --- best responses and equilibrium ---------------------------------------------------------------


def best_plan(game: LQGame, policies: LinearPolicies, player: int, start: FloatArray) -> FloatArray:
    """Best open-loop actions [M, d_i] of one player of a game without noise, by brute force.

    The return is a quadratic polynomial of the M d_i numbers: unit differences give its derivatives exactly.
    """
    own, no_noise = game.actions_of(player), np.zeros((game.n_steps, 0))
    shape = (game.n_steps, game.action_dims[player])
    size = shape[0] * shape[1]

    def value(plan: FloatArray) -> float:
        def act(m: int, x: FloatArray) -> FloatArray:
            u = policies.act(m, x)
            u[own] = plan.reshape(shape)[m]
            return u

        return float(play(game, act, start, no_noise)[player])

    unit, origin = np.eye(size), value(np.zeros(size))
    ahead, behind = np.array([value(e) for e in unit]), np.array([value(-e) for e in unit])
    gradient, hessian = 0.5 * (ahead - behind), np.diag(ahead + behind - 2 * origin)
    for a, b in itertools.combinations(range(size), 2):
        hessian[a, b] = hessian[b, a] = value(unit[a] + unit[b]) - ahead[a] - ahead[b] + origin
    assert np.linalg.eigvalsh(hessian)[-1] < 0
    return np.linalg.solve(hessian, -gradient).reshape(shape)


@pytest.mark.parametrize("dims, player", [((2,), 0), (DIMS, 2)])
def test_best_response_plays_the_best_plan_found_by_brute_force(dims: tuple[int, ...], player: int) -> None:
    """From as many states as tell the gains of every step. With one player this is the linear-quadratic regulator,
    affine terms included.
    """
    game = without_noise(random_game(seed=10, dims=dims))
    others = random_policies(game, seed=11)
    response = best_response(game, others, player)
    own = game.actions_of(player)
    for x in np.random.default_rng(12).normal(size=(game.state_dim + 1, game.state_dim)):
        plan = best_plan(game, others, player, x)
        for m, step in enumerate(game.steps):
            u = response.act(m, x)
            np.testing.assert_allclose(u[own], plan[m], rtol=1e-9, atol=1e-10)
            x = step.transition @ x + step.control @ u + step.drift  # noqa: PLW2901
    rest = np.setdiff1d(np.arange(sum(dims)), np.arange(own.start, own.stop))
    np.testing.assert_array_equal(response.gains[:, rest], others.gains[:, rest])
    np.testing.assert_array_equal(response.offsets[:, rest], others.offsets[:, rest])
    if len(dims) == 1:
        np.testing.assert_allclose(solve_nash(game).policies.gains, response.gains, rtol=1e-11)
        np.testing.assert_allclose(solve_nash(game).policies.offsets, response.offsets, rtol=1e-11)


def test_every_player_best_responds_to_the_others() -> None:
    game = random_game(2, (3, 1, 1, 2), steps=6)
    policies, values = solve_nash(game)
    for i in range(game.n_players):
        response = best_response(game, policies, i)
        np.testing.assert_allclose(response.gains, policies.gains, atol=1e-10)
        np.testing.assert_allclose(response.offsets, policies.offsets, atol=1e-10)
    np.testing.assert_allclose(values.matrices, evaluate_policies(game, policies).matrices, atol=1e-10)
    np.testing.assert_allclose(exploitability(game, policies), 0.0, atol=1e-9)


def test_units_of_action_do_not_matter() -> None:
    """One player's action in units 10^7 larger: the same game, not an ill-conditioned one."""
    game = random_game(seed=15)
    y = np.ones(4 + 1 + 6)
    y[5] = 1e7
    steps = tuple(replace(s, control=s.control * y[5:], reward=s.reward * y[:, None] * y) for s in game.steps)
    changed = solve_nash(replace(game, steps=steps)).policies
    np.testing.assert_allclose(changed.gains * y[5:, None], solve_nash(game).policies.gains, rtol=1e-8)


# --- errors ---------------------------------------------------------------------------------------


def with_reward(game: LQGame, m: int, change: Callable[[FloatArray], None]) -> LQGame:
    reward = game.steps[m].reward.copy()
    change(reward)
    steps = list(game.steps)
    steps[m] = replace(steps[m], reward=reward)
    return replace(game, steps=tuple(steps))


def test_a_convex_problem_is_named() -> None:
    game = random_game(seed=16)

    def reward_player_2(reward: FloatArray) -> None:
        reward[2, -1, -1] += 50.0

    convex = with_reward(game, 1, reward_player_2)
    with pytest.raises(NoEquilibriumError, match="step 1, player 2: .*not strictly concave"):
        solve_nash(convex)
    policies = random_policies(game, seed=17)
    with pytest.raises(NoEquilibriumError, match="step 1, player 2: .*not strictly concave"):
        best_response(convex, policies, 2)
    best_response(convex, policies, 0)  # the others' problems are still well posed
    with pytest.raises(NoEquilibriumError, match="step 1, player 2"):
        exploitability(convex, policies)


def test_curvature_that_is_only_round_off_is_not_concave() -> None:
    """The cost of acting now and the reward for it later cancel, but for the last binary digits."""
    game = stationary_game(np.zeros((1, 1)), [np.ones((1, 1))], [-0.3 * np.diag([0.0, 1.0])], 1.0, steps=1)
    terminal = np.zeros((1, 2, 2))
    terminal[0, 0, 0] = 0.3 - 1e-16
    with pytest.raises(NoEquilibriumError, match="step 0, player 0"):
        solve_nash(replace(game, terminal=terminal))


def test_singular_coupling_names_the_players() -> None:
    """Rewards -(u_0 + u_2)^2 for players 0 and 2 leave u_0 - u_2 open; player 1 has nothing to do with it."""
    rewards = np.zeros((3, 4, 4))
    rewards[0, [[1], [3]], [1, 3]] = rewards[2, [[1], [3]], [1, 3]] = -1.0
    rewards[1, 2, 2] = -1.0
    game = stationary_game(np.zeros((1, 1)), [np.zeros((1, 1))] * 3, list(rewards), 1.0, steps=1)
    with pytest.raises(NoEquilibriumError, match=r"step 0: .*players \[0, 2\].* singular"):
        solve_nash(game)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"discount": np.array([1.0, 0.5])}, r"discount has shape \(2,\): \(3,\) is needed"),
        ({"discount": np.array([1.0, 1.1, 0.5])}, r"discount = .*must lie in \[0, 1\]"),
        ({"initial_mean": np.array([0.0, 0.0, 0.0, np.nan])}, "initial_mean has entries that are not finite"),
        ({"initial_covariance": np.triu(np.ones((4, 4)))}, "initial_covariance is not symmetric"),
        ({"terminal": np.zeros((3, 5, 5), dtype=int)}, "terminal has dtype int64: float64 is needed"),
        ({"action_dims": (1, 2, 0)}, r"action_dims = \(1, 2, 0\)"),
        ({"steps": ()}, "steps is empty"),
    ],
)
def test_malformed_games_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(random_game(seed=18), **change)  # type: ignore[arg-type]


def test_a_malformed_step_is_named() -> None:
    game = random_game(seed=19)
    with pytest.raises(ValueError, match=r"steps\[2\].reward is not symmetric"):
        with_reward(game, 2, lambda reward: reward[1].__setitem__((0, 1), 9.0))
    steps = (game.steps[0], replace(game.steps[1], drift=np.zeros(3)), game.steps[2])
    with pytest.raises(ValueError, match=r"steps\[1\].drift has shape \(3,\)"):
        replace(game, steps=steps)


def test_policies_and_players_must_fit_the_game() -> None:
    game = random_game(seed=20)
    policies = random_policies(game, seed=21)
    short = LinearPolicies(policies.gains[:2], policies.offsets[:2])
    for call in (evaluate_policies, exploitability, state_moments):
        with pytest.raises(ValueError, match=r"gains has shape \(2, 6, 4\): \(3, 6, 4\) is needed"):
            call(game, short)
    with pytest.raises(ValueError, match="player = 3: the game has players 0 to 2"):
        best_response(game, policies, 3)
    with pytest.raises(ValueError, match="player = -1"):
        evaluate_policies(game, policies, [-1])
