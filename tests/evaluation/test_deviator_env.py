"""One agent as a Gymnasium environment: the game's own play, its rows, and a learner of another library."""

import numpy as np
import pytest
import torch

from nash_dqn.callable_policy import policy_of
from nash_dqn.evaluation.deviator_env import DeviatorEnv
from nash_dqn.evaluation.rollout import play
from nash_dqn.games.base import ObservationSpec
from nash_dqn.games.market import Market
from nash_dqn.games.traders import Traders
from nash_dqn.seeding import generator

VISIBLE = ObservationSpec(inventories="visible")
GAME = Traders(sizes=(1, 2), horizon=2.0, n_steps=3, discount=(1.0, 1.0))
OTHERS = policy_of(lambda rows: -0.2 * rows[:, 4:5] + 0.1 * rows[:, 6:7], VISIBLE)


def test_an_episode_is_the_games_own() -> None:
    """The sum of rewards is what :func:`play` says of the same policies on the same shocks; rows are policies' rows."""
    env = DeviatorEnv(GAME, OTHERS, seat=1)
    deviator = policy_of(lambda rows: 0.5 + 0.3 * rows[:, 5:6], VISIBLE)
    stream = generator(3, "deviator_env")
    seen, _ = env.reset(seed=3)
    for _ in range(2):
        assert seen.shape == env.observation_space.shape == (7,)
        shocks, total, done = GAME.sample_shocks(1, stream), 0.0, False
        while not done:
            action = np.array([0.5 + 0.3 * seen[5]], dtype=np.float32)
            seen, reward, done, cut, _ = env.step(action)
            total += reward
            assert not cut
        expected = play(GAME, [(deviator, [1]), (OTHERS, [0, 2])], shocks)[0, 0, 1]
        assert total == pytest.approx(float(expected), rel=1e-4)
        with pytest.raises(ValueError, match=r"^step: no episode is under way"):
            env.step(action)
        seen, _ = env.reset()


def test_actions_are_clipped_and_errors_named() -> None:
    envs = [DeviatorEnv(GAME, OTHERS, action_bound=bound) for bound in (2.0, 50.0)]
    for env in envs:
        env.reset(seed=1)
    first, second = (env.step(np.array([a], dtype=np.float32)) for env, a in zip(envs, (30.0, 2.0), strict=True))
    assert first[1] == second[1]
    with pytest.raises(ValueError, match=r"^seat = 3: the game has agents 0 to 2$"):
        DeviatorEnv(GAME, OTHERS, seat=3)
    with pytest.raises(ValueError, match=r"^action_bound = 0: allowed is a finite number > 0$"):
        DeviatorEnv(GAME, OTHERS, action_bound=0)
    with pytest.raises(ValueError, match=r"^policy has 2 members: allowed is one$"):
        DeviatorEnv(GAME, OTHERS.select([0, 0]))


def test_a_learner_of_stable_baselines_is_a_policy() -> None:
    """A lone trader who must liquidate: TD3's actor, measured by our play, loses less than who does nothing."""
    sb3 = pytest.importorskip("stable_baselines3", reason="needs stable-baselines3, which is not a dependency")
    game = Market(
        n_agents=1, horizon=1.0, n_steps=1, kappa=0.0, theta=10.0, sigma=0.01, gamma=0.0, rho=0.0, eta=0.0, b1=0.1,
        b2=0.5, initial_inventory_var=1.0,
    )  # fmt: skip
    still = policy_of(lambda rows: np.zeros((len(rows), 1)))
    state = torch.get_rng_state(), np.random.get_state()  # noqa: NPY002
    env = DeviatorEnv(game, still, action_bound=3.0)
    model = sb3.TD3("MlpPolicy", env, learning_starts=100, policy_kwargs={"net_arch": [16]}, learning_rate=1e-2, seed=1)
    model.learn(400)
    torch.set_rng_state(state[0])
    np.random.set_state(state[1])  # noqa: NPY002
    theirs = policy_of(lambda rows: model.predict(rows, deterministic=True)[0], name="td3")
    shocks = game.sample_shocks(1000, generator(2, "x"))
    values = [float(play(game, [(policy, slice(None))], shocks).mean()) for policy in (theirs, still)]
    assert values[0] > 0.6 * values[1]  # the best is 1 / 6 of it: u = -q b2 / (b1 + b2)
