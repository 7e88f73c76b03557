"""One agent as a Gymnasium environment: the game's own play, its rows, what is refused."""

import copy
from itertools import combinations
from typing import Any

import numpy as np
import pytest

from nash_dqn.callable_policy import policy_of
from nash_dqn.evaluation.rollout import play
from nash_dqn.games.base import ObservationSpec
from nash_dqn.games.traders import Traders
from nash_dqn.seeding import generator
from nash_dqn.studies.deviator_env import DeviatorEnv

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
    wrong: list[Any] = [np.array([np.inf], dtype=np.float32), np.zeros(2), ["1"]]
    for action in wrong:
        with pytest.raises(ValueError, match=r"^action: got .*, allowed are "):
            envs[0].step(action)
    with pytest.raises(ValueError, match=r"^seat = 3: the game has agents 0 to 2$"):
        DeviatorEnv(GAME, OTHERS, seat=3)
    with pytest.raises(ValueError, match=r"^seat = 1.5: the game has agents 0 to 2$"):
        DeviatorEnv(GAME, OTHERS, seat=1.5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^action_bound = 0: allowed is a finite number > 0$"):
        DeviatorEnv(GAME, OTHERS, action_bound=0)
    with pytest.raises(ValueError, match=r"^policy has 2 members: allowed is one$"):
        DeviatorEnv(GAME, OTHERS.select([0, 0]))


def test_copies_without_a_seed_play_different_episodes() -> None:
    env = DeviatorEnv(GAME, OTHERS)
    starts = [each.reset()[0].tolist() for each in (env, copy.deepcopy(env), DeviatorEnv(GAME, OTHERS), env)]
    assert all(a != b for a, b in combinations(starts, 2))
    env.reset(seed=1)
    assert copy.deepcopy(env).reset()[0].tolist() == env.reset()[0].tolist()
    assert env.reset(seed=1)[0].tolist() == env.reset(seed=np.int64(1))[0].tolist()  # type: ignore[arg-type]
