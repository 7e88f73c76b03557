"""Games for other people's learners: PettingZoo's own conformance test, and the same games as the batched ones."""

from typing import Any

import numpy as np
import pytest
import torch

from nash_dqn.games.base import Game, ObservationSpec
from nash_dqn.games.basket import Basket
from nash_dqn.games.interbank import Interbank
from nash_dqn.games.market import Market
from nash_dqn.games.traders import Traders
from nash_dqn.seeding import generator

pytest.importorskip("pettingzoo", reason="the optional extra [pettingzoo]")

from nash_dqn.games.parallel_env import GameEnv, MarketEnv  # noqa: E402

GAME = Market(
    n_agents=3, horizon=2.0, n_steps=4, kappa=0.5, theta=10.0, sigma=0.1, gamma=0.02, rho=0.5, eta=0.05, b1=0.1, b2=0.1,
)  # fmt: skip
ALL = ObservationSpec(own_flow=True, inventories="visible")
VISIBLE = ObservationSpec(inventories="visible")
CASES: dict[str, tuple[Game, ObservationSpec]] = {
    "market": (GAME, ObservationSpec()),
    "market, mean flow": (GAME, ObservationSpec("S-Y", "others_mean")),
    "market, all visible": (GAME, ALL),
    "traders": (Traders(), VISIBLE),
    "basket": (Basket(), VISIBLE),
    "interbank": (Interbank(), VISIBLE),
}
EVERY_GAME = pytest.mark.parametrize(("game", "observation"), CASES.values(), ids=CASES)


def env_of(game: Game, observation: ObservationSpec | None = None, action_bound: float = 50.0) -> GameEnv:
    kind = MarketEnv if isinstance(game, Market) else GameEnv
    return kind(game, observation, action_bound)


def actions(env: GameEnv, step: int, size: float = 3.0) -> dict[str, Any]:
    d = env.game.action_dim
    drawn = torch.randn(len(env.agents), d, generator=generator(step, "test_parallel_env")) * size
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
@EVERY_GAME
def test_it_conforms(game: Game, observation: ObservationSpec) -> None:
    from pettingzoo.test import parallel_api_test

    parallel_api_test(env_of(game, observation), num_cycles=50)


@EVERY_GAME
def test_it_is_the_same_game(game: Game, observation: ObservationSpec) -> None:
    """Step by step what the batched game gives on the same shocks, clipped actions included."""
    env = env_of(game, observation, action_bound=0.5)
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
        joint = torch.as_tensor(np.array(list(chosen.values())))[None].clamp(-0.5, 0.5)
        state, rewards = game.step(state, joint, shocks)
        seen, paid, ended, cut, _ = env.step(chosen)
        assert list(paid.values()) == rewards[0].tolist()
        assert set(ended.values()) == {step == game.n_steps - 1}
        assert set(cut.values()) == {False}
    assert env.agents == []


@EVERY_GAME
def test_seeds_fix_whole_episodes(game: Game, observation: ObservationSpec) -> None:
    env, again = env_of(game, observation), env_of(game, observation)
    first = [episode(env, 3), episode(env, None)]
    assert [episode(again, 3), episode(again, None)] == first
    assert len(first[0]) == game.n_steps + 1
    assert first[0] != first[1]
    assert episode(env, 4) != first[0]


def test_agents_are_called_what_they_are() -> None:
    assert MarketEnv(GAME).possible_agents == ["trader_1", "trader_2", "trader_3"]
    assert GameEnv(Basket(n_agents=2), VISIBLE).possible_agents == ["agent_1", "agent_2"]


def test_misuse_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^action_bound = 0: allowed is a finite number > 0$"):
        MarketEnv(GAME, action_bound=0)
    env = MarketEnv(GAME)
    with pytest.raises(ValueError, match=r"^step: no episode is under way; call reset first$"):
        env.step({})
    env.reset(seed=1)
    with pytest.raises(ValueError, match=r"^actions: none of trader_2; allowed is one for each of agents$"):
        env.step({name: rate for name, rate in actions(env, 0).items() if name != "trader_2"})
    episode(env, None)
    with pytest.raises(ValueError, match="no episode is under way"):
        env.step({})
    with pytest.raises(ValueError, match="basket"):
        GameEnv(Basket()).reset(seed=1)
