"""Functions in NumPy where policies stand: the same play as a network's, gradients, and what is refused."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from nash_dqn.callable_policy import policy_of
from nash_dqn.evaluation import cross_play, exploitability, lq_error
from nash_dqn.evaluation.best_response import BestResponseSettings, train
from nash_dqn.evaluation.rollout import play
from nash_dqn.games.base import Observation, ObservationSpec
from nash_dqn.games.parallel_env import GameEnv
from nash_dqn.networks import MLP, ObservationNetwork
from nash_dqn.policy import Policy
from nash_dqn.seeding import generator
from tests.common import SHORT

GAME = dataclasses.replace(SHORT, rho=0.7, b1=0.11, b2=0.13, impact="linear", price_floor=None)
WEIGHTS = np.array([0.1, 1.5, -0.4, 0.6, -3.0], dtype=np.float32)
SETTINGS = BestResponseSettings([4], iterations=4, episodes=16, learning_rate=0.01, restarts=2, seed=1)


def linear(rows: Any) -> Any:
    return rows @ WEIGHTS[:, None]


def network(dtype: torch.dtype = torch.float32) -> Policy:
    """The same in torch."""
    sigma = MLP([torch.from_numpy(WEIGHTS).view(1, 5, 1).to(dtype)], [torch.zeros(1, 1, 1, dtype=dtype)])
    return Policy(ObservationNetwork(None, sigma), ObservationSpec(), [0], "nash_dqn")


def test_it_plays_as_the_same_policy_in_torch_does() -> None:
    shocks = GAME.sample_shocks(20, generator(1, "x"))
    same, own = policy_of(linear), network()
    torch.testing.assert_close(play(GAME, [(same, slice(None))], shocks), play(GAME, [(own, slice(None))], shocks))
    mixed = play(GAME, [(own, [0, 2]), (same, [1])], shocks)
    torch.testing.assert_close(mixed, play(GAME, [(own, slice(None))], shocks))
    clipped = policy_of(linear, bound=0.5)
    state = GAME.reset(shocks.map(lambda leaf: leaf[None]))
    assert clipped.act(GAME, state).abs().max() == 0.5


def test_it_enters_cross_play_and_errors() -> None:
    other = dataclasses.replace(network(), seeds=[3])
    table = cross_play.evaluate(GAME, policy_of(linear), other, points=1, paths=20, seed=1)
    common = table[table["design"] == "common"].set_index("profile")["reward"]
    assert common["first_nash"] == pytest.approx(common["all_other"], rel=1e-5)
    visible = lq_error.evaluate(GAME, [policy_of(linear), network()], 20, 1)["relative"].to_numpy()
    np.testing.assert_allclose(visible[:10], visible[10:], rtol=1e-4)


def test_deviators_train_against_it_as_against_the_same_policy_in_torch() -> None:
    """Through its reactions: for a linear function central differences are exact, up to float32."""
    responses = [train(GAME, policy, "same", SETTINGS) for policy in (policy_of(linear), network())]
    torch.testing.assert_close(responses[0].progress, responses[1].progress, rtol=1e-3, atol=1e-3)
    for first, second in zip(*(r.deviation.network.parameters for r in responses), strict=True):
        torch.testing.assert_close(first, second, rtol=5e-2, atol=2e-3)
    long = dataclasses.replace(SETTINGS, iterations=40)
    table = exploitability.evaluate(GAME, policy_of(linear, name="mine"), long, 200, 100, ("same",), players=(0,))
    assert table[["policy", "algorithm"]].to_numpy().tolist() == [["mine", "external"]] * 2
    assert table["gain"].iloc[0] > 0.05


def test_slopes_are_central_differences() -> None:
    own = torch.linspace(-1, 1, 15, dtype=torch.float64).view(1, 1, 3, 5).requires_grad_()
    actions = policy_of(lambda rows: np.stack([rows[:, 0] ** 2, rows[:, 1] * rows[:, 2]], 1))(Observation(own, None))
    (gradient,) = torch.autograd.grad(actions.sum(), own)
    x = own.detach()
    expected = torch.stack([2 * x[..., 0], x[..., 2], x[..., 1], 0 * x[..., 3], 0 * x[..., 4]], -1)
    torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-4)


def test_rows_are_what_the_environment_shows() -> None:
    """Own features, then the others' items in the order of the agents, for any slice of agents."""
    spec, rows = ObservationSpec(own_flow=True, inventories="visible"), []

    def spy(seen: Any) -> Any:
        rows.append(seen)
        return np.zeros((len(seen), 1))

    env = GameEnv(GAME, spec)
    shown, _ = env.reset(seed=4)
    state = GAME.reset(GAME.sample_shocks(1, generator(4, "parallel_env")).map(lambda leaf: leaf[None]))
    policy = policy_of(spy, spec)
    assert policy.act(GAME, state).shape == (1, 1, 3, 1)
    policy.act(GAME, state, slice(1, 3))
    np.testing.assert_allclose(rows[0], np.stack(list(shown.values())), rtol=1e-6)
    np.testing.assert_array_equal(rows[1], rows[0][1:])


def test_what_is_no_action_or_no_bound_is_refused() -> None:
    shocks = GAME.sample_shocks(4, generator(1, "x"))
    wrong: list[Any] = [
        lambda rows: np.zeros(len(rows)),
        lambda rows: np.zeros((1, 1)),
        lambda rows: np.full((len(rows), 1), np.nan),
        lambda rows: [["a"]] * len(rows),
    ]
    for act in wrong:
        with pytest.raises(ValueError, match=r"^actions of the function are .*: finite numbers \[12, d\] are needed$"):
            play(GAME, [(policy_of(act), slice(None))], shocks)
    with pytest.raises(ValueError, match=r"^actions of two have d = 2, the game d = 1$"):
        play(GAME, [(policy_of(lambda rows: np.zeros((len(rows), 2)), name="two"), slice(None))], shocks)
    with pytest.raises(ValueError, match=r"^bound = 0.0: allowed is a finite number > 0, or None$"):
        policy_of(linear, bound=0.0)


def test_a_tensor_is_no_function_of_numpy() -> None:
    """Rows arrive as NumPy's float32, whatever the game's precision."""
    seen: list[Any] = []

    def spy(rows: Any) -> Any:
        seen.append(rows)
        return linear(rows)

    shocks = GAME.sample_shocks(4, generator(1, "x")).map(Tensor.double)
    rewards = play(GAME, [(policy_of(spy), slice(None))], shocks)
    assert (type(seen[0]), seen[0].dtype) == (np.ndarray, np.float32)
    torch.testing.assert_close(
        rewards, play(GAME, [(network(torch.float64), slice(None))], shocks), rtol=1e-4, atol=1e-4
    )
