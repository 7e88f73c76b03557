"""DDPG: one update against plain autograd, exploration by hand, the opponents, and a problem with a known optimum."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from nash_dqn.agents.ddpg import DDPG, LEARNER, OPPONENTS, Excursions
from nash_dqn.agents.episodes import Episodes
from nash_dqn.agents.fictitious_play import FictitiousPlay, FictitiousPlayRecipe, train
from nash_dqn.agents.learner import Learner
from nash_dqn.games.base import Observation, ObservationSpec
from nash_dqn.games.lq import solve_nash
from nash_dqn.games.market import Market, MarketState, Shocks
from nash_dqn.networks import Network, ObservationNetwork
from nash_dqn.policy import Policy
from nash_dqn.seeding import generator
from nash_dqn.trees import select, tensor_map
from tests.common import FICTITIOUS_PLAY
from tests.common import SMALL as GAME

CPU = torch.device("cpu")
NETWORKS = ("actor", "critic")


def recipe(**changes: Any) -> FictitiousPlayRecipe:
    return FictitiousPlayRecipe.from_dict({**FICTITIOUS_PLAY, **changes})


def agent_of(made: FictitiousPlayRecipe, game: Market = GAME, seeds: tuple[int, ...] = (1, 2)) -> DDPG:
    """In double precision."""
    agent = DDPG(game, made, seeds, CPU)
    for name in NETWORKS:
        network = tensor_map(Tensor.double, getattr(agent, name).snapshot())
        setattr(agent, name, Learner.create(network, made.learning_rate, made.weight_decay, made.gradient_clip))
    # Targets apart from the networks, so that a confusion of the two would show.
    agent.target_actor = tensor_map(lambda t: 0.9 * t + 0.01, agent.actor.snapshot())
    agent.target_critic = tensor_map(lambda t: 1.1 * t - 0.02, agent.critic.snapshot())
    return agent


def shocks_of(game: Market = GAME, episodes: int = 4, seed: int = 1, members: int = 2) -> Shocks:
    stream = generator(seed, "test_ddpg")
    normals = torch.randn(members, episodes, game.normals_per_episode, generator=stream, dtype=torch.float64)
    return game.shocks_from_normals(normals)


def excursions(
    explore: bool, target: float = 0.0, episodes: int = 4, game: Market = GAME, sd: float | None = None
) -> Excursions:
    """At every step or none, towards an inventory of so many shares: of the game's own spread, or of this."""
    shape, spread = (2, episodes, game.n_steps), game.scales.inventory if sd is None else sd
    return Excursions(torch.full(shape, explore), torch.full((*shape, 1), target / spread, dtype=torch.float64), sd)


def still(state: MarketState, _: Observation) -> Tensor:
    """Opponents that do not trade."""
    return torch.zeros_like(state.inventory[..., OPPONENTS]).unsqueeze(-1)


def playing_numbers(state: MarketState, _: Observation) -> Tensor:
    """Opponents j at rates m + j, whoever asks."""
    rates = torch.arange(1.0, state.inventory.shape[-1], dtype=torch.float64) + state.step
    return rates.expand_as(state.inventory[..., OPPONENTS]).unsqueeze(-1)


# --- play ---------------------------------------------------------------------------------------------------


def test_the_learner_follows_its_actor_and_the_others_their_policy() -> None:
    """The actor's network gives rates in units of 1.5 shares/hour."""
    agent = agent_of(recipe())
    episodes = agent.play(playing_numbers, shocks_of(), excursions(False))
    actor = agent.actor.network(episodes.observation, LEARNER)
    torch.testing.assert_close(episodes.actions[..., LEARNER, :], 1.5 * actor)
    for m in range(3):
        assert (episodes.actions[:, :, m, 1, 0] == 1.0 + m).all()
        assert (episodes.actions[:, :, m, 2, 0] == 2.0 + m).all()


def test_excursions_approach_their_target() -> None:
    """At the rate z - q (released code): half an hour of it is half of the way, and three steps are 7/8."""
    agent, shocks = agent_of(recipe()), shocks_of()
    episodes = agent.play(still, shocks, excursions(True, target=3.0, sd=10.0))
    start = shocks.inventory[..., 0]
    for m in range(3):
        torch.testing.assert_close(episodes.actions[:, :, m, 0, 0], (3.0 - start) * 0.5**m)
    end = start + 0.5 * episodes.actions[:, :, :, 0, 0].sum(-1)
    torch.testing.assert_close(end, 3.0 - (3.0 - start) / 8)


def test_actions_are_clipped_to_the_bound() -> None:
    """The actor's and the excursions', on either side (released code: +-50)."""
    agent = agent_of(recipe(action_bound=0.25))
    for target, bound in ((1e3, 0.25), (-1e3, -0.25)):
        played = agent.play(still, shocks_of(), excursions(True, target=target)).actions
        assert (played[..., 0, 0] == bound).all()
    agent.actor.network.parameters[-1].data.fill_(7.0)  # the last layer's bias
    assert (agent.play(still, shocks_of(), excursions(False)).actions[..., 0, 0] == 0.25).all()


# --- one update ---------------------------------------------------------------------------------------------


class Plain:
    """A member's network in plain torch: one observation at a time."""

    def __init__(self, network: Network, member: int) -> None:
        assert isinstance(network, ObservationNetwork)
        self.parameters = [t[member].detach().clone().requires_grad_() for t in network.parameters]
        self.phi_layers = len(network.phi[0].weights) if network.phi else 0

    def __call__(self, own: Tensor, items: Tensor | None, action: Tensor | None = None) -> Tensor:
        """Agent 0's output, a scalar: own features [N, F], items [N, I], action [1]."""
        layers = list(zip(self.parameters[::2], self.parameters[1::2], strict=True))
        x = own[0] if action is None else torch.cat((own[0], action))
        if items is not None:
            z = items[1:]
            for weight, bias in layers[: self.phi_layers]:
                z = z @ weight + bias
                z = z * torch.sigmoid(z)
            x = torch.cat((x, z.mean(0)))
        for weight, bias in layers[self.phi_layers : -1]:
            x = x @ weight + bias[0]
            x = x * torch.sigmoid(x)
        return (x @ layers[-1][0] + layers[-1][1][0])[0]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"observation": {"inventories": "visible"}, "action_bound": 0.1, "action_scale": None, "gradient_clip": 0.001},
    ],
    ids=["private", "visible-bounded-clipped"],
)
def test_update_agrees_with_plain_autograd(changes: dict[str, Any]) -> None:
    """Lillicrap et al., Continuous control with deep reinforcement learning (2016), Algorithm 1, twice.

    Critic: mean of (Q(x, u) - r - discount Q'(x', u'(x')))^2, Q' = 0 at the end of the horizon. Actor: minus the mean
    of Q(x, u(x)), by the critic just updated. Targets: theta' <- tau theta + (1 - tau) theta'. Actions enter the
    critic, and leave the actor, in units of the recipe's or the game's scale; the target's are not clipped.
    Gradients, weights
    and what is reported are compared, member by member.
    """
    made = recipe(**changes)
    agent = agent_of(made)
    unit = GAME.scales.rate if made.action_scale is None else made.action_scale
    plain, largest = [], 0.0
    for k in range(2):
        nets = {
            "actor": Plain(agent.actor.network, k), "critic": Plain(agent.critic.network, k),
            "target_actor": Plain(agent.target_actor, k), "target_critic": Plain(agent.target_critic, k),
        }  # fmt: skip
        optimisers = {
            name: torch.optim.AdamW(nets[name].parameters, lr=0.01, weight_decay=0.1, foreach=False)
            for name in NETWORKS
        }
        plain.append((nets, optimisers))

    for update in range(2):
        away = excursions(False, target=4.0)
        away.explore[:, ::2] = True
        episodes = agent.play(playing_numbers, shocks_of(seed=10 + update), away)
        reported = agent.update(episodes)
        for k, (nets, optimisers) in enumerate(plain):
            error, quality = torch.zeros(()).double(), torch.zeros(()).double()

            def view(e: int, m: int, k: int = k, episodes: Episodes = episodes) -> tuple[Tensor, Tensor | None]:
                own, items, _ = episodes.observation
                return own[k, e, m], None if items is None else items[k, e, m]

            for e in range(4):
                for m in range(3):
                    target = episodes.rewards[k, e, m, 0]
                    if m < 2:
                        later = nets["target_actor"](*view(e, m + 1))
                        largest = max(largest, unit * later.abs().item())
                        value = nets["target_critic"](*view(e, m + 1), later[None])
                        target = target + GAME.discount * value.detach()
                    error = (
                        error + (nets["critic"](*view(e, m), episodes.actions[k, e, m, 0] / unit) - target) ** 2 / 12
                    )
            torch.testing.assert_close(reported[0, k], error.detach(), rtol=1e-10, atol=1e-12)
            torch.testing.assert_close(reported[1, k], episodes.rewards[k, :, :, 0].sum(-1).mean())
            check_step(agent.critic, k, error, nets["critic"], optimisers["critic"], made.gradient_clip)
            for e in range(4):
                for m in range(3):
                    quality = quality + nets["critic"](*view(e, m), nets["actor"](*view(e, m))[None]) / 12
            check_step(agent.actor, k, -quality, nets["actor"], optimisers["actor"], made.gradient_clip)
            for name in NETWORKS:
                target_network = getattr(agent, f"target_{name}")
                pairs = zip(nets[f"target_{name}"].parameters, nets[name].parameters, strict=True)
                for (old, new), ours in zip(pairs, target_network.parameters, strict=True):
                    old.data = 0.3 * new.data + 0.7 * old.data
                    torch.testing.assert_close(ours[k], old.detach(), rtol=1e-8, atol=1e-10)
    assert largest > 0.1, "a bound on the target's actions is to be felt"


def check_step(
    learner: Learner[Network], k: int, loss: Tensor, net: Plain, optimiser: torch.optim.Optimizer, clip: float | None
) -> None:
    """One step of the plain network, compared with what the learner made of its member k."""
    for parameter, gradient in zip(net.parameters, torch.autograd.grad(loss, net.parameters), strict=True):
        parameter.grad = gradient
    if clip is not None:
        assert torch.nn.utils.clip_grad_norm_(net.parameters, clip) > clip
    optimiser.step()
    for mean, parameter in zip(learner.means, net.parameters, strict=True):
        torch.testing.assert_close(mean[k], optimiser.state[parameter]["exp_avg"], rtol=1e-8, atol=1e-11)
    for ours, parameter in zip(learner.network.parameters, net.parameters, strict=True):
        torch.testing.assert_close(ours[k], parameter, rtol=1e-8, atol=1e-10)


def optimiser_steps(agent: DDPG) -> list[float]:
    """How many steps each tensor's optimiser has made."""
    learners = (agent.actor, agent.critic)
    return [steps.item() for learner in learners for steps in learner.steps]


@pytest.mark.parametrize(("returned", "optimisers"), [("target", "renewed"), ("online", "kept")])
def test_the_next_best_response_begins_with_what_the_last_one_returned(returned: str, optimisers: str) -> None:
    """All four networks, actors and critics; and then each goes its own way."""
    agent = agent_of(recipe(returned=returned, optimisers=optimisers))
    agent.update(agent.play(playing_numbers, shocks_of(), excursions(False)))
    found = [[t.clone() for t in network.parameters] for network in agent.found]
    policy = [t.clone() for t in agent.policy.parameters]
    agent.restart()
    for kept, online, target in zip(
        found, (agent.actor, agent.critic), (agent.target_actor, agent.target_critic), strict=True
    ):
        for network in (online.network, online.network, target):
            assert all(torch.equal(a, b) for a, b in zip(network.parameters, kept, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(agent.policy.parameters, policy, strict=True))

    agent.update(agent.play(playing_numbers, shocks_of(seed=2), excursions(False)))
    assert set(optimiser_steps(agent)) == {1.0 if optimisers == "renewed" else 2.0}
    for kept, online, target in zip(
        found, (agent.actor, agent.critic), (agent.target_actor, agent.target_critic), strict=True
    ):
        for before, now, slow in zip(kept, online.network.parameters, target.parameters, strict=True):
            torch.testing.assert_close(slow, 0.3 * now + 0.7 * before)
            assert not torch.equal(now, before)


# --- opponents ----------------------------------------------------------------------------------------------


def actor(seed: int) -> ObservationNetwork:
    return ObservationNetwork.create(5, 1, (3,), (4,), 1, [generator(s, "test_ddpg") for s in (seed, seed + 100)])


def test_average_is_the_policy_drawn_in_each_episode() -> None:
    """All opponents of an episode play one of the past policies, with equal chances, the no-trade start among them."""
    trainer = FictitiousPlay(GAME, recipe(opponents="average", action_bound=0.2), [1, 2], CPU)
    actors = [actor(seed) for seed in (1, 2, 3)]
    for one in actors:
        trainer.remember(one)
    state = GAME.reset(shocks_of(episodes=40).map(Tensor.float))
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
        actor_hidden=[32, 32], critic_hidden=[32, 32], first_epochs=1500, episodes_per_epoch=50, learning_rate=0.003,
        weight_decay=0.0, target_rate=0.5, exploration={"start": 0.5, "end": 0.5, "target_sd": None}, action_bound=5.0,
        action_scale=None, history_every=500,
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
