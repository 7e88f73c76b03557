"""DDPG: best response after best response, opponents, and a known optimum.

Its updates, its exploration and what is clipped are held against the same written out in test_released_code.py.
"""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from nash_dqn.agents.ddpg import DDPG, OPPONENTS, Excursions
from nash_dqn.agents.fictitious_play import FictitiousPlay, FictitiousPlayRecipe, train
from nash_dqn.games.base import Observation, ObservationSpec
from nash_dqn.games.lq import solve_nash
from nash_dqn.games.market import Market, MarketState, Shocks
from nash_dqn.networks import ObservationNetwork
from nash_dqn.policy import Policy
from nash_dqn.seeding import generator
from nash_dqn.trees import select, tensor_map
from tests.common import FICTITIOUS_PLAY
from tests.common import SMALL as GAME

CPU = torch.device("cpu")


def recipe(**changes: Any) -> FictitiousPlayRecipe:
    return FictitiousPlayRecipe.from_dict({**FICTITIOUS_PLAY, **changes})


def agent_of(made: FictitiousPlayRecipe) -> DDPG:
    agent = DDPG(GAME, made, [1, 2], CPU)
    # Targets apart from the networks, so that a confusion of the two would show.
    agent.target_actor = tensor_map(lambda t: 0.9 * t + 0.01, agent.actor.snapshot())
    agent.target_critic = tensor_map(lambda t: 1.1 * t - 0.02, agent.critic.snapshot())
    return agent


def shocks_of(episodes: int = 4, seed: int = 1) -> Shocks:
    stream = generator(seed, "test_ddpg")
    return GAME.shocks_from_normals(torch.randn(2, episodes, GAME.normals_per_episode, generator=stream))


def updated(agent: DDPG, seed: int) -> None:
    """After an update on some episodes without excursions."""
    never = Excursions(torch.zeros(2, 4, GAME.n_steps, dtype=torch.bool), torch.zeros(2, 4, GAME.n_steps, 1), None)
    agent.update(agent.play(playing_numbers, shocks_of(seed=seed), never))


def playing_numbers(state: MarketState, _: Observation) -> Tensor:
    """Opponents j at rates m + j, whoever asks."""
    rates = torch.arange(1.0, state.inventory.shape[-1]) + state.step
    return rates.expand_as(state.inventory[..., OPPONENTS]).unsqueeze(-1)


def optimiser_steps(agent: DDPG) -> list[float]:
    """How many steps each tensor's optimiser has made."""
    learners = (agent.actor, agent.critic)
    return [steps.item() for learner in learners for steps in learner.steps]


@pytest.mark.parametrize(("returned", "optimisers"), [("target", "renewed"), ("online", "kept")])
def test_the_next_best_response_begins_with_what_the_last_one_returned(returned: str, optimisers: str) -> None:
    """All four networks are the target ones, or the online ones; and then each goes its own way."""
    agent = agent_of(recipe(returned=returned, optimisers=optimisers))
    updated(agent, 1)
    by_way = {
        "target": (agent.target_actor, agent.target_critic),
        "online": (agent.actor.network, agent.critic.network),
    }
    found = [[t.clone() for t in network.parameters] for network in by_way[returned]]
    policy = [t.clone() for t in agent.policy.parameters]
    agent.restart()
    for kept, online, target in zip(
        found, (agent.actor, agent.critic), (agent.target_actor, agent.target_critic), strict=True
    ):
        for network in (online.network, online.network, target):
            assert all(torch.equal(a, b) for a, b in zip(network.parameters, kept, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(agent.policy.parameters, policy, strict=True))

    updated(agent, 2)
    assert set(optimiser_steps(agent)) == {1.0 if optimisers == "renewed" else 2.0}
    for kept, online, target in zip(
        found, (agent.actor, agent.critic), (agent.target_actor, agent.target_critic), strict=True
    ):
        for before, now, slow in zip(kept, online.network.parameters, target.parameters, strict=True):
            torch.testing.assert_close(slow, 0.3 * now + 0.7 * before)
            assert not torch.equal(now, before)


def test_actions_are_in_units_of_the_recipes_or_the_games_scale() -> None:
    assert [DDPG(GAME, recipe(action_scale=scale), [1], CPU).scale for scale in (1.5, None)] == [1.5, GAME.action_scale]


# --- opponents ----------------------------------------------------------------------------------------------


def actor(seed: int) -> ObservationNetwork:
    return ObservationNetwork.create(5, 1, (3,), (4,), 1, [generator(s, "test_ddpg") for s in (seed, seed + 100)])


def test_average_is_the_policy_drawn_in_each_episode() -> None:
    """All opponents of an episode play one of the past policies, with equal chances, the no-trade start among them."""
    trainer = FictitiousPlay(GAME, recipe(opponents="average", action_bound=0.2), [1, 2], CPU)
    actors = [actor(seed) for seed in (1, 2, 3)]
    for one in actors:
        trainer.remember(one)
    state = GAME.reset(shocks_of(episodes=40))
    observation = GAME.observe(state, ObservationSpec(inventories="visible"))
    draws = torch.rand(2, 40, generator=generator(5, "test_ddpg"))
    draws[:, 0], draws[:, 1] = 0.0, 1.0 - 2**-24
    rates = trainer.opponents(draws)(state, observation)
    assert rates.shape == (2, 40, 2, 1)
    alone = [torch.zeros_like(rates), *(one(observation, OPPONENTS).clamp(-0.2, 0.2) for one in actors)]
    for k in range(2):
        for e in range(40):
            drawn = math.floor(4 * draws[k, e].item())
            torch.testing.assert_close(rates[k, e], alone[drawn][k, e])
    assert {math.floor(4 * u) for u in draws.flatten().tolist()} == {0, 1, 2, 3}
    trainer.state = select(trainer.state, [1])
    one_member = tensor_map(lambda leaf: leaf[1:], observation)
    torch.testing.assert_close(trainer.opponents(draws[1:])(state, one_member), rates[1:])


# --- known optimum ------------------------------------------------------------------------------------------


def test_finds_the_optimum_of_a_lone_trader() -> None:
    """One agent and linear impact make the market a linear-quadratic control problem, solved by Riccati recursion.

    On every seed DDPG reaches the optimal return up to 3 % of what optimal trading gains over not trading, all measured
    on the same 5,000 episodes. The optimum's mean return there agrees with its exact value, and no seed beats it.
    """
    game = Market(
        n_agents=1, horizon=2.0, n_steps=2, kappa=0.5, theta=10.0, sigma=0.2, gamma=0.1, rho=0.7, eta=0.2, b1=1.0,
        b2=1.0, b3=0.1, discount=0.9, impact="linear", price_floor=None, initial_inventory_var=1.0,
        initial_price_sd=1.0, initial_impact_sd=0.2,
    )  # fmt: skip
    seeds = [1, 2, 3]
    made = recipe(
        actor_hidden=[32, 32], critic_hidden=[32, 32], iterations=1, first_epochs=1500, episodes_per_epoch=50,
        learning_rate=0.003, weight_decay=0.0, target_rate=0.5, action_bound=5.0, action_scale=None, history_every=500,
        exploration={"start": 0.5, "end": 0.5, "target_sd": None},
    )  # fmt: skip
    result = train(game, made, seeds)
    network = ObservationNetwork.from_state_dict(result.tensors, "actor")
    policy = Policy(network, ObservationSpec(), seeds, "fictitious_play", 5.0)
    problem = game.as_lq()
    solution = solve_nash(problem)
    shocks = game.sample_shocks(5000, generator(99, "test_ddpg"))

    def discounted(act: Any, members: int) -> Tensor:
        wide = shocks.map(lambda leaf: leaf.expand(members, *leaf.shape))
        state, total = game.reset(wide), torch.zeros(members, 5000)
        for m in range(game.n_steps):
            state, rewards = game.step(state, act(m, state), wide)
            total += game.discount**m * rewards.squeeze(-1)
        return total

    def optimal(m: int, state: MarketState) -> Tensor:
        gains = torch.from_numpy(solution.policies.gains[m]).float()
        return -(game.state_vector(state).float() @ gains.T).unsqueeze(-1)

    best = discounted(optimal, 1)
    exact = solution.values.expected(problem.initial_mean, problem.initial_covariance)[0]
    assert abs(best.mean().item() - exact) < 4 * best.std().item() / math.sqrt(5000)
    worth = (best - discounted(lambda _, state: torch.zeros_like(state.inventory).unsqueeze(-1), 1)).mean().item()
    shortfall = (best - discounted(lambda _, state: policy.act(game, state), 3)).mean(1)
    assert worth > 0.5
    assert shortfall.max().item() < 0.03 * worth
    assert shortfall.min().item() > 0
