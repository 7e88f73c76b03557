"""Games for other people's learners: PettingZoo's own conformance test, and the same game as the batched one."""

import copy
import pickle
from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch

from nash_dqn.games.base import ObservationSpec
from nash_dqn.games.basket import Basket
from nash_dqn.games.interbank import Interbank
from nash_dqn.seeding import generator

pytest.importorskip("pettingzoo", reason="the optional extra [pettingzoo]")

from nash_dqn.games.parallel_env import GameEnv, Stream, bounded_action  # noqa: E402
from tests.common import SHORT as GAME

played = pytest.mark.parametrize(
    ("game", "observation"), [(GAME, ObservationSpec()), (Basket(n_steps=3), ObservationSpec(inventories="visible"))]
)


def actions(env: GameEnv, step: int, size: float = 3.0) -> dict[str, Any]:
    drawn = size * torch.randn(len(env.agents), env.game.action_dim, generator=generator(step, "test_parallel_env"))
    return {name: action.numpy() for name, action in zip(env.agents, drawn, strict=True)}


def episode(env: GameEnv, seed: int | None) -> list[Any]:
    """Observations and rewards of an episode, as numbers."""
    seen, _ = env.reset(seed=seed)
    course: list[Any] = [{name: view.tolist() for name, view in seen.items()}]
    while env.agents:
        seen, rewards, *_ = env.step(actions(env, len(course)))
        course.append(({name: view.tolist() for name, view in seen.items()}, rewards))
    return course


@pytest.mark.filterwarnings("ignore::UserWarning")  # the test prints its remarks as warnings
@played
def test_it_conforms(game: Any, observation: ObservationSpec) -> None:
    from pettingzoo.test import parallel_api_test

    parallel_api_test(GameEnv(game, observation), num_cycles=50)


@played
def test_it_is_the_same_game(game: Any, observation: ObservationSpec) -> None:
    """Step by step what the batched game gives on the same shocks, clipped actions included."""
    env = GameEnv(game, observation, action_bound=0.5)
    seen, _ = env.reset(seed=5)
    shocks = game.sample_shocks(1, generator(5, "parallel_env"))
    state = game.reset(shocks)
    for step in range(game.n_steps):
        view = game.observe(state, observation)
        for i, name in enumerate(env.possible_agents):
            others = [] if view.items is None else [view.items[0, j] for j in range(game.n_agents) if j != i]
            assert torch.equal(torch.as_tensor(seen[name]), torch.cat((view.own[0, i], *others)))
            assert env.observation_space(name).contains(seen[name])
        chosen = actions(env, step)
        assert max(abs(action).max() for action in chosen.values()) > 0.5, "some action is to be clipped"
        clipped = torch.as_tensor(np.array(list(chosen.values())))[None].clamp(-0.5, 0.5)
        state, rewards = game.step(state, clipped, shocks)
        seen, paid, ended, cut, _ = env.step(chosen)
        assert list(paid.values()) == rewards[0].tolist()
        assert set(ended.values()) == {step == game.n_steps - 1}
        assert set(cut.values()) == {False}
    assert env.agents == []


def test_seeds_fix_whole_episodes() -> None:
    env, again = GameEnv(GAME), GameEnv(GAME)
    first = [episode(env, 3), episode(env, None)]
    assert [episode(again, 3), episode(again, None)] == first
    assert first[0] != first[1]
    assert episode(env, 4) != first[0]


def test_copies_without_a_seed_play_different_episodes() -> None:
    """As SuperSuit's vector environments copy one environment, before or after its first episode."""
    env = GameEnv(GAME)
    fresh = [copy.deepcopy(env), pickle.loads(pickle.dumps(env)), GameEnv(GAME)]
    episode(env, None)
    courses = [episode(each, None) for each in (env, *fresh, copy.deepcopy(env))]
    assert all(a != b for a, b in combinations(courses, 2))
    env.reset(seed=1)
    assert episode(copy.deepcopy(env), None) == episode(env, None)


def test_misuse_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^action_bound = 0: allowed is a finite number > 0$"):
        GameEnv(GAME, action_bound=0)
    with pytest.raises(ValueError, match=r"observation.inventories = 'private': .* allows 'visible' only"):
        GameEnv(Interbank())
    env = GameEnv(GAME)
    with pytest.raises(ValueError, match=r"^step: no episode is under way; call reset first$"):
        env.step({})
    env.reset(seed=1)
    with pytest.raises(ValueError, match=r"^actions: none of agent_2; allowed is one for each of agents$"):
        env.step({name: rate for name, rate in actions(env, 0).items() if name != "agent_2"})
    with pytest.raises(ValueError, match=r"^actions: got 'agent_9'; allowed are agent_1, "):
        env.step({**actions(env, 0), "agent_9": np.zeros(1, dtype=np.float32)})
    with pytest.raises(ValueError, match=r"^actions\['agent_2'\]: got \[nan\], allowed are"):
        env.step({**actions(env, 0), "agent_2": np.array([np.nan])})
    episode(env, None)
    with pytest.raises(ValueError, match="no episode is under way"):
        env.step({})


def draw(stream: Stream, seed: int | None = None) -> float:
    return float(torch.rand(1, generator=stream.begin(seed)))


def test_without_a_seed_all_differ() -> None:
    streams = [Stream("a"), Stream("a")]
    for stream in streams[:2]:
        streams += [copy.copy(stream), copy.deepcopy(stream), pickle.loads(pickle.dumps(stream))]
    assert len({draw(stream) for stream in streams for _ in range(2)}) == 2 * len(streams)


def test_without_a_seed_a_forked_process_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has the same memory, and another number."""
    streams = [Stream("a"), Stream("a")]
    for stream in streams:
        draw(stream, 5) if stream is streams[1] else draw(stream)
    states = [stream.begin(None).get_state() for stream in streams]
    monkeypatch.setattr("os.getpid", lambda: -1)
    begun = [stream.begin(None).get_state() for stream in streams]
    same = [bool((now == before).all()) for now, before in zip(begun, states, strict=True)]
    assert same == [False, True] and draw(streams[0]) != draw(streams[0])


def test_with_a_seed_all_repeat_and_go_on() -> None:
    drawn = torch.rand(3, generator=generator(5, "a")).tolist()
    stream = Stream("a")
    draw(stream)
    assert draw(stream, 5) == draw(Stream("a"), np.int64(5)) == drawn[0]  # type: ignore[arg-type]
    again = pickle.loads(pickle.dumps(stream))
    assert [draw(again), draw(again)] == [draw(stream), draw(stream)] == drawn[1:]


def test_no_seed() -> None:
    wrong: list[Any] = [-1, 1.5, "3", True]
    for seed in wrong:
        with pytest.raises(ValueError, match=r"^seed = .*: allowed is a whole number >= 0, or None$"):
            Stream("a").begin(seed)


def test_actions_are_finite_numbers_clipped_in_single_precision() -> None:
    action = bounded_action("action", [3, -70.0, 1e300], 3, 50.0)
    assert (action.tolist(), action.dtype) == ([3.0, -50.0, 50.0], torch.float32)
    wrong: list[tuple[Any, str]] = [
        ([np.nan, 0], r"got \[nan, 0.0\], allowed are finite numbers"),
        (np.zeros((1, 2)), r"got an array of shape \(1, 2\), allowed are 2 finite numbers \[2\]"),
        (["1", "2"], r"got \['1', '2'\], allowed are 2 finite numbers \[2\]"),
        (["up", "down"], r"got \['up', 'down'\], allowed are 2 finite numbers \[2\]"),
    ]
    for given, message in wrong:
        with pytest.raises(ValueError, match=f"^action: {message}[^\n]*$"):
            bounded_action("action", given, 2, 50.0)
