"""Play against a plain loop over one episode at a time, and what must hold of any simulation."""

import math

import pytest
import torch

from nash_dqn.evaluation import rollout
from nash_dqn.evaluation.rollout import Agents, play, trajectory
from nash_dqn.games.base import ObservationSpec
from nash_dqn.games.market import Market, Shocks
from nash_dqn.seeding import generator
from tests.common import MARKET, linear

ALL = slice(None)
TEXT = [[0.3, -1.0, 0.5, -0.7, -3.0], [-0.2, 0.4, 0.1, 0.3, -2.0]]
CODE = [[0.1, 1.5, -0.4, 0.6, -1.0, 0.8], [0.2, -0.3, 0.7, -0.5, -4.0, -0.6]]
CODE_SPEC = ObservationSpec(price="S-Y", order_flow="others_mean", own_flow=True)


def shocks_of(game: Market, episodes: int, seed: int = 1) -> Shocks:
    return game.sample_shocks(episodes, generator(seed, "test"))


def plain_episode(game: Market, rules: list[tuple[list[float], ObservationSpec]], shocks: Shocks) -> list[float]:
    """Total discounted rewards of one episode in plain Python, section 6 with the released code's steps."""
    n, dt = game.n_agents, game.horizon / game.n_steps
    price, impact = float(shocks.price), float(shocks.impact)
    start = [float(q) for q in shocks.inventory]
    held, totals = list(start), [0.0] * n
    scales = game.scales
    for m in range(game.n_steps):
        flows = [held[i] - start[i] for i in range(n)]
        rates = []
        for i, (weights, spec) in enumerate(rules):
            seen_price = price if spec.price == "S" else price - impact
            if spec.order_flow == "total":
                flow = sum(flows) / scales.flow
            else:
                # The mean of N - 1 flows, in units of the sum's scale over N.
                flow = (sum(flows) - flows[i]) / (n - 1) / (scales.flow / math.sqrt(n))
            features = [2 * m / game.n_steps - 1, (seen_price - game.theta) / scales.price, impact / scales.impact]
            features += [flow, held[i] / scales.inventory]
            if spec.own_flow:
                features.append(flows[i] / scales.inventory)
            rates.append(sum(w * x for w, x in zip(weights, features, strict=True)))
        total = sum(rates)
        next_impact = impact * math.exp(-game.rho * dt)
        next_impact += game.gamma * math.copysign(math.sqrt(abs(total)), total) * dt
        next_price = price + (game.kappa * (game.theta - price) + game.eta * total) * dt + (next_impact - impact)
        next_price = max(next_price + game.sigma * math.sqrt(dt) * float(shocks.noise[m]), 0.01)
        for i in range(n):
            held[i] += rates[i] * dt
            reward = held[i] * (next_price - price) - game.b1 * rates[i] ** 2 * dt - game.b3 * held[i] ** 2 * dt
            if m == game.n_steps - 1:
                reward -= game.b2 * held[i] ** 2
            totals[i] += game.discount**m * reward
        price, impact = next_price, next_impact
    return totals


def test_play_agrees_with_a_plain_loop() -> None:
    # Two policies that observe different features, the second agent's between the others'.
    text, code = linear(TEXT), linear(CODE, spec=CODE_SPEC)
    shocks = shocks_of(MARKET, 5)
    rewards = play(MARKET, [(text, [0, 2]), (code, [1])], shocks)
    assert rewards.shape == (2, 5, 3)
    for k in range(2):
        rules = [(TEXT[k], ObservationSpec()), (CODE[k], CODE_SPEC), (TEXT[k], ObservationSpec())]
        for e in range(5):
            expected = plain_episode(MARKET, rules, Shocks(*(leaf[e] for leaf in shocks)))
            assert rewards[k, e].tolist() == pytest.approx(expected, rel=1e-4, abs=1e-4)


def test_how_agents_and_episodes_are_split_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = linear(CODE, spec=ObservationSpec(inventories="visible"))
    shocks = shocks_of(MARKET, 20)
    expected = play(MARKET, policy, shocks)
    groupings: list[list[Agents]] = [[[0], slice(1, None)], [[2, 0], [1]], [[0], [1], [2]], [[], ALL]]
    for groups in groupings:
        torch.testing.assert_close(play(MARKET, [(policy, group) for group in groups], shocks), expected)
    monkeypatch.setattr(rollout, "CHUNK", 7)
    torch.testing.assert_close(play(MARKET, policy, shocks), expected)


def test_members_play_as_if_alone_and_one_meets_all() -> None:
    text, code, shocks = linear(TEXT), linear(CODE, spec=CODE_SPEC), shocks_of(MARKET, 20)
    together = play(MARKET, [(text, [0]), (code, [1, 2])], shocks)
    for k in range(2):
        alone = play(MARKET, [(text.member(k), [0]), (code.member(k), [1, 2])], shocks)
        torch.testing.assert_close(together[k : k + 1], alone)
    one, twice = (play(MARKET, [(text, [0]), (code.select(of), [1, 2])], shocks) for of in ([0], [0, 0]))
    torch.testing.assert_close(one, twice)


def test_gradients_flow_through_a_trajectory_but_not_through_play() -> None:
    policy, other, shocks = linear(TEXT[:1]), linear(TEXT[1:]), shocks_of(MARKET, 4)
    weight = policy.network.parameters[0].requires_grad_()
    assert not play(MARKET, policy, shocks).requires_grad
    steps = trajectory(MARKET, [(policy, [0]), (other, [1, 2])], shocks)
    torch.stack([transition.rewards for transition in steps])[..., 0].sum().backward()
    assert weight.grad is not None
    assert (weight.grad != 0).all()


def test_profiles_that_cannot_be_played() -> None:
    policy, shocks = linear(TEXT), shocks_of(MARKET, 2)
    for first, second in (([0], [1]), ([0, 1], [1, 2]), ([0, 1, 2], [3])):
        with pytest.raises(ValueError, match=r"every agent 0\.\.2 needs exactly one policy"):
            play(MARKET, [(policy, first), (policy, second)], shocks)
    with pytest.raises(ValueError, match="policies of 2, 3 members cannot meet"):
        play(MARKET, [(policy, [0]), (linear([*TEXT, TEXT[0]]), [1, 2])], shocks)
