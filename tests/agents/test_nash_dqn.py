"""Algorithm 1: one update against plain autograd, the gradient of mu by hand, and weights taken back."""

import copy
import itertools
import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from nash_dqn.advantage import mu_network
from nash_dqn.agents.episodes import Episodes
from nash_dqn.agents.learner import Learner
from nash_dqn.agents.nash_dqn import (
    Exploration,
    NashDQN,
    NashDQNRecipe,
    Penalty,
    bellman_residuals,
    exploring,
    relative_rate,
)
from nash_dqn.games.base import Observation, ObservationSpec
from nash_dqn.games.market import Market, Shocks
from nash_dqn.networks import Network, ObservationNetwork
from nash_dqn.policy import Policy
from nash_dqn.seeding import generator
from nash_dqn.trees import select, tensor_map
from tests.common import CENTRAL, EVERYTHING, PROJECTED, RESETS, SMALL, target
from tests.common import nash_dqn as recipe

GAME = replace(SMALL, n_agents=2)
CPU = torch.device("cpu")


def shocks_of(game: Market, members: int, episodes: int, seed: int = 1) -> Shocks:
    """In double precision, ``[K, E, ...]``."""
    stream = generator(seed, "test_nash_dqn", "shocks")
    return game.shocks_from_normals(torch.randn(members, episodes, game.normals_per_episode, generator=stream).double())


def test_schedules_and_penalty_by_hand() -> None:
    """Half a cosine from 1 to 0: 1/2 in the middle, 3/4 after a third; or constant. Exploration falls linearly.

    Equation (23) with beta = 3: |psi|_1 = 3 and 2, |psi|^2 = 5 and 4.
    """
    cosine = recipe(learning_rate_schedule="cosine")
    rates = [relative_rate(cosine, x) for x in (0.0, 1 / 3, 0.5, 2 / 3, 1.0)]
    assert rates == pytest.approx([1.0, 0.75, 0.5, 0.25, 0.0])
    assert [relative_rate(recipe(), x) for x in (0.0, 0.5, 1.0)] == [1.0, 1.0, 1.0]
    assert [Exploration(2.5, 0.5).at(x) for x in (0.0, 0.25, 1.0)] == [2.5, 2.0, 0.5]
    psi = torch.tensor([[1.0, -2.0], [0.0, 2.0]])
    assert Penalty("l1", 3.0)(psi).tolist() == [9.0, 6.0]
    assert Penalty("squared", 3.0)(psi).tolist() == [15.0, 12.0]


# --- one update ---------------------------------------------------------------------------------------------


def in_double_precision(agent: NashDQN) -> NashDQN:
    """The same agent, its optimisers afresh; skip terms, zero when a training starts, random."""
    made = agent.recipe
    for name in ("advantage", "value", "actor"):
        if getattr(agent, name) is None:
            continue
        network = tensor_map(Tensor.double, getattr(agent, name).snapshot())
        if network.skip is not None:
            stream = generator(0, "test_nash_dqn", "skip", name)
            network = network._replace(skip=0.3 * torch.randn(network.skip.shape, generator=stream).double())
        learner = Learner.create(network, made.learning_rate, made.weight_decay, made.gradient_clip, made.adam_beta2)
        setattr(agent, name, learner)
    if agent.target is not None and made.target is not None:
        agent.target = (
            agent.value.snapshot() if made.target.start == "copy" else tensor_map(Tensor.double, agent.target)
        )
    return agent


def at(observation: Observation, k: int, e: int, m: int) -> Observation:
    """What is seen at one step of an episode: own features [N, F], items [N, I]."""
    return Observation(observation.own[k, e, m], None if observation.items is None else observation.items[k, e, m], m)


class Plain:
    """A member's network in plain torch: lists of weights [in, out] and biases, one observation at a time."""

    def __init__(self, network: Network, member: int, degree: int) -> None:
        assert isinstance(network, ObservationNetwork)
        self.parameters = [t[member].detach().clone().requires_grad_() for t in network.parameters]
        self.skip = None if network.skip is None else self.parameters[-1]
        dense = self.parameters if self.skip is None else self.parameters[:-1]
        self.layers = list(zip(dense[::2], dense[1::2], strict=True))
        self.phi_layers = len(network.phi[0].weights) if network.phi else 0
        self.degree = degree

    def __call__(self, seen: Observation, i: int) -> Tensor:
        """Output at agent i's view."""
        x, z = seen.own[i], [torch.ones(()).double(), *seen.own[i][1:]]
        if seen.items is not None:
            others = [seen.items[j] for j in range(len(seen.items)) if j != i]
            z += list(torch.stack(others).mean(0))
            pooled = []
            for item in others:
                for weight, bias in self.layers[: self.phi_layers]:
                    item = item @ weight + bias[0]
                    item = item * torch.sigmoid(item)
                pooled.append(item)
            x = torch.cat((x, torch.stack(pooled).mean(0)))
        for weight, bias in self.layers[self.phi_layers : -1]:
            x = x @ weight + bias[0]
            x = x * torch.sigmoid(x)
        output = x @ self.layers[-1][0] + self.layers[-1][1][0]
        if self.skip is None:
            return output
        assert seen.step is not None
        if self.degree == 2:
            z = [first * second for first, second in itertools.combinations_with_replacement(z, 2)]
        for term, coefficients in zip(z, self.skip[seen.step], strict=True):
            output = output + term * coefficients
        return output


def plain_p11(c: Tensor, made: NashDQNRecipe) -> Tensor:
    """P11 of a network's second output: the square of its softplus, or its absolute value."""
    return abs(c) if made.p11 == "absolute" else torch.log1p(torch.exp(c)) ** 2


def plain_advantage(
    delta: list[Tensor], opponents: list[Tensor], i: int, parameters: Tensor, made: NashDQNRecipe
) -> Tensor:
    """(15) for agent i by a loop over the others."""
    _, c, p12, p22, psi = parameters
    a = -plain_p11(c, made) * delta[i] ** 2
    for j, other in enumerate(opponents):
        if j != i:
            a = a - p12 * delta[i] * other - p22 * other**2 + psi * other
    return a


def plain_loss(
    game: Market,
    episodes: Episodes,
    k: int,
    value: Plain,
    next_value: Plain,
    advantage: Plain,
    actor: Plain | None,
    made: NashDQNRecipe,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(17) and (23) for member k by loops over episodes, steps, agents and pairs of agents.

    V at what the critic sees; the samples are those of the agents that explore; delta_j, where it stands for what an
    opponent does, is a constant where the recipe says so, and zero where the opponents play mu without exploring. An
    actor's actions pi are worth V: A of the actions is less that of pi.

    Returns:
        The loss, summed over the agents and steps of ten episodes, the penalty likewise, the mean |psi|, and what the
        actor minimises: P11 (pi - mu)^2, where half of the episodes are explored, of agent 0 in the others.
    """
    loss, penalty, size, gap = (torch.zeros(()).double() for _ in range(4))
    count, steps, agents = episodes.rewards.shape[1:]
    learners = range(1 if made.explorers == "one" else agents)
    central = episodes.observation if episodes.critic is None else episodes.critic
    for e, m in itertools.product(range(count), range(steps)):
        whole = at(central, k, e, m)
        seen = at(episodes.observation, k, e, m) if actor is None else whole
        outputs = [advantage(seen, i) for i in range(agents)]
        delta = [episodes.actions[k, e, m, i, 0] - outputs[i][0] for i in range(agents)]
        opponents = delta if made.opponent_gradient else [deviation.detach() for deviation in delta]
        if made.explorers == "one":
            opponents = [torch.zeros(()).double()] * agents
        if made.explorers == "one" and actor is None:
            assert max(abs(deviation.item()) for deviation in delta[1:]) < 1e-12
        for i in learners:
            a = plain_advantage(delta, opponents, i, outputs[i], made)
            if actor is not None:
                plays = [actor(at(episodes.observation, k, e, m), j)[0] for j in range(agents)]
                lacks = [(plays[j].detach() - outputs[j][0]) for j in range(agents)]
                held = opponents if made.explorers == "one" else [lack.detach() for lack in lacks]
                a = a - plain_advantage(lacks, held, i, outputs[i], made)
                if made.explorers != "half" or (i == 0 and e >= count // 2):
                    gap = gap + plain_p11(outputs[i][1].detach(), made) * (plays[i] - outputs[i][0].detach()) ** 2
            future = torch.zeros(()).double()
            if m + 1 < steps:
                future = next_value(at(central, k, e, m + 1), i)[0].detach()
            target = episodes.rewards[k, e, m, i] + game.discount * future
            loss = loss + (value(whole, i)[0] + a - target) ** 2
            psi = outputs[i][4]
            penalty = penalty + made.penalty.beta * (psi.abs() if made.penalty.norm == "l1" else psi**2)
            size = size + psi.abs() / (count * steps * len(learners))
    fitted = count - count // 2 if made.explorers == "half" else count
    return loss * 10 / count, penalty * 10 / count, size, gap * 10 / fitted


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {
            "penalty": {"norm": "squared", "beta": 3.0}, "observation": {"inventories": "visible"},
            "target": target(50), "gradient_clip": 0.1,
        },
        {"target": target(50, "random"), "p11": "absolute", "observation": {"price": "S-Y", "own_flow": True}},
        CENTRAL,
        {**CENTRAL, "explorers": "all", "target": target(50), "observation": EVERYTHING, "critic": {"price": "S-Y"}},
        {**PROJECTED, "gradient_clip": 0.1, "p11": "absolute"},
        {**PROJECTED, "explorers": "all", "skip_terms": False},
        {**PROJECTED, "explorers": "one"},
    ],
    ids=[
        *("text", "visible", "random-target", "central", "target-central", "projected", "projected-all"),
        "projected-one",
    ],
)  # fmt: skip
def test_update_agrees_with_plain_autograd(changes: dict[str, Any]) -> None:
    """Algorithm 1, twice: a step over theta_V with theta_A held, then one over theta_A with the *new* theta_V held.

    V(x') is a constant in either step: of the value network as it is then, or of the target network. The regulariser
    (23) is part of the second only. An actor takes a third, towards mu as it was before. Gradients, weights and what is
    reported are compared, member by member; the total loss is that of both steps, with the regulariser each time. The
    second time at half the learning rate.
    """
    made, game = recipe(**changes), replace(GAME, n_agents=3)
    agent = in_double_precision(NashDQN(game, made, [1, 2], CPU))
    learners = [agent.value, agent.advantage, *([agent.actor] if agent.actor else [])]
    plain = []
    for k in range(2):
        nets = [Plain(of.network, k, degree) for of, degree in zip(learners, (2, 1, 1), strict=False)]
        optimisers = [
            torch.optim.AdamW(net.parameters, 0.01, (0.9, made.adam_beta2), weight_decay=0.1, foreach=False)
            for net in nets
        ]
        slow = agent.value.network if agent.target is None else agent.target
        plain.append((nets, Plain(slow, k, degree=2), optimisers))

    for update, rate in enumerate((1.0, 0.5)):
        stream = generator(update, "test_nash_dqn")
        noise = 2.0 * torch.randn(2, 3, 3, 3, 1, generator=stream).double()
        noise[:, {"all": 3, "one": 0, "half": 1}[made.explorers] :, :, 1:] = 0.0
        episodes = agent.play(shocks_of(game, 2, 3, update), noise)
        reported = agent.update(episodes, rate)
        for k, (nets, slow_value, optimisers) in enumerate(plain):
            actor = nets[2] if len(nets) == 3 else None
            mu_before = copy.deepcopy(nets[1])  # what the actor is fitted to
            total = torch.zeros(()).double()
            for step, (net, optimiser, learner) in enumerate(zip(nets, optimisers, learners, strict=True)):
                value, advantage = nets[0], mu_before if step == 2 else nets[1]
                next_value = slow_value if made.target else value
                of = (value, next_value, advantage, actor, made)
                loss, penalty, size, gap = plain_loss(game, episodes, k, *of)
                if step == 0:
                    for ours, theirs in zip(reported[1:, k], (loss, penalty, size), strict=True):
                        torch.testing.assert_close(ours, theirs.detach(), rtol=1e-10, atol=1e-12)
                if step < 2:
                    total += (loss + penalty).detach()
                gradients = torch.autograd.grad((loss, loss + penalty, gap)[step], net.parameters)
                for parameter, gradient in zip(net.parameters, gradients, strict=True):
                    parameter.grad = gradient
                if made.gradient_clip is not None:
                    assert torch.nn.utils.clip_grad_norm_(net.parameters, made.gradient_clip) > made.gradient_clip
                optimiser.param_groups[0]["lr"] = 0.01 * rate
                optimiser.step()
                for mean, parameter in zip(learner.means, net.parameters, strict=True):
                    gradients_mean = optimiser.state[parameter]["exp_avg"]
                    torch.testing.assert_close(mean[k], gradients_mean, rtol=1e-8, atol=1e-11)
                for ours_, parameter in zip(learner.network.parameters, net.parameters, strict=True):
                    torch.testing.assert_close(ours_[k], parameter, rtol=1e-8, atol=1e-10)
            torch.testing.assert_close(reported[0, k], total, rtol=1e-8, atol=1e-10)


def test_agents_play_mu_and_noise() -> None:
    """u = mu(x) + epsilon (Algorithm 1), with the noise of the step."""
    agent = NashDQN(GAME, recipe(), [1, 2], CPU)
    normals = torch.randn(2, 4, GAME.normals_per_episode, generator=generator(1, "test_nash_dqn"))
    noise = torch.randn(2, 4, 3, 2, 1, generator=generator(2, "test_nash_dqn"))
    episodes = agent.play(GAME.shocks_from_normals(normals), noise)
    mu = agent.advantage.network(episodes.observation)[..., :1]
    torch.testing.assert_close(episodes.actions - mu, noise, rtol=1e-4, atol=1e-5)
    quiet = agent.play(GAME.shocks_from_normals(normals), torch.zeros_like(noise))
    policy = Policy(mu_network(agent.advantage.network, 1), ObservationSpec(), [1, 2], "nash_dqn")
    torch.testing.assert_close(quiet.actions, policy(quiet.observation))
    state = GAME.reset(GAME.shocks_from_normals(normals))
    actions = exploring(agent.advantage.network, noise)(state, GAME.observe(state, ObservationSpec()))
    torch.testing.assert_close(actions, episodes.actions[:, :, 0])


# --- the slow network, and weights taken back ---------------------------------------------------------------


def weights_of(agent: NashDQN) -> list[Tensor]:
    """Copies of A's and V's weights."""
    return [
        tensor.detach().clone() for tensor in (*agent.advantage.network.parameters, *agent.value.network.parameters)
    ]


def updated(agent: NashDQN, seed: int, members: int = 2) -> NashDQN:
    """After an update on some episodes."""
    normals = torch.randn(members, 3, GAME.normals_per_episode, generator=generator(seed, "test_nash_dqn"))
    agent.update(agent.play(GAME.shocks_from_normals(normals), torch.ones(members, 3, 3, 2, 1)))
    return agent


def alike(first: list[Tensor], second: list[Tensor], member: int | slice = slice(None)) -> bool:
    """Whether weights are the same, of all members or of one."""
    return all(torch.equal(a[member], b[member]) for a, b in zip(first, second, strict=True))


def test_weights_are_kept_and_taken_back_member_by_member() -> None:
    """Below 80 they are kept, from 120 on, or where the loss is not a number, taken back; before any, the first ones.

    The slow network becomes a copy of V as it is then.
    """
    agent = NashDQN(GAME, recipe(target=target(5, "random", RESETS)), [1, 2, 3, 4, 5, 6], CPU)
    first = weights_of(agent)
    before = weights_of(updated(agent, 1, 6))
    back = agent.refresh_target(torch.tensor([79.9, 80.0, 119.9, 120.0, math.nan, math.inf]), 5)
    assert back.tolist() == [False, False, False, True, True, True]
    for member in range(6):
        assert alike(weights_of(agent), first if back[member] else before, member)
        assert not alike(first, before, member)
    assert agent.target is not None and alike(agent.target.parameters, agent.value.network.parameters)

    agent.state = select(agent.state, [0, 1, 4, 5])
    now = weights_of(updated(agent, 2, 4))
    back = agent.refresh_target(torch.tensor([500.0, 500.0, 500.0, 100.0]), 10)
    assert back.tolist() == [True, True, True, False]
    for position, kept in enumerate((before, first, first, now)):
        member = position if kept is now else (0, 1, 4, 5)[position]
        assert all(torch.equal(a[position], b[member]) for a, b in zip(weights_of(agent), kept, strict=True))
    assert alike(agent.target.parameters, agent.value.network.parameters)


# --- who explores, and what mu learns from ------------------------------------------------------------------


def test_gradient_of_mu_by_hand() -> None:
    """d/d mu_i of (17): with e_i the residual and delta_i the deviation, each sample of ten episodes,

        2 e_i (2 P11 delta_i + P12 sum_j delta_j)  and  2 sum_j e_j (P12_j delta_j + 2 P22_j delta_i - psi_j),

    j != i, matrices at the view of the agent whose error it is; mu_i is agent i's own action in the first and an
    opponent's in the second. Compared where mu leaves the network: at the last bias, and at the skip terms, whose
    features multiply it.
    """
    game = replace(GAME, n_agents=4)
    made = recipe(skip_terms=True, penalty={"norm": "l1", "beta": 0.0})
    agent = in_double_precision(NashDQN(game, made, [1, 2], CPU))
    stream = generator(1, "test_nash_dqn")
    episodes = agent.play(shocks_of(game, 2, 5), torch.randn(2, 5, 3, 4, 1, generator=stream).double())
    advantage = agent.advantage.snapshot()
    agent.update(episodes)
    error = bellman_residuals(
        game, advantage, agent.value.network, episodes
    )  # V is updated before the step over theta_A

    mu, c, p12, p22, psi = advantage(episodes.observation).unbind(-1)
    p11, delta = torch.nn.functional.softplus(c) ** 2, episodes.actions.squeeze(-1) - mu
    by_hand = torch.zeros_like(mu)
    for i in range(4):
        others = [j for j in range(4) if j != i]
        rest = sum(delta[..., j] for j in others)
        by_hand[..., i] = 2 * error[..., i] * (2 * p11[..., i] * delta[..., i] + p12[..., i] * rest)
        for j in others:
            as_opponent = p12[..., j] * delta[..., j] + 2 * p22[..., j] * delta[..., i] - psi[..., j]
            by_hand[..., i] += 2 * error[..., j] * as_opponent
    by_hand *= 10 / 5

    *_, bias, skip = (mean / 0.1 for mean in agent.advantage.means)  # of the first step: the gradients
    torch.testing.assert_close(bias[:, 0, 0], by_hand.sum((1, 2, 3)), rtol=1e-9, atol=1e-10)
    features = torch.cat((torch.ones_like(mu).unsqueeze(-1), episodes.observation.own[..., 1:]), -1)
    expected = (by_hand.unsqueeze(-1) * features).sum((1, 3))
    torch.testing.assert_close(skip[..., 0], expected, rtol=1e-9, atol=1e-10)
