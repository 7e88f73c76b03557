"""The deviator's learner where the best response is known, and what each class of deviators sees."""

import dataclasses
import logging
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from nash_dqn.agents.least_squares import linear_network
from nash_dqn.evaluation import best_response
from nash_dqn.evaluation.best_response import (
    BestResponseSettings,
    Deviation,
    DeviatorClass,
    measure,
    play_deviation,
    train,
)
from nash_dqn.evaluation.rollout import Assignment, play
from nash_dqn.evaluation.statistics import mean_interval
from nash_dqn.games import lq
from nash_dqn.games.base import ObservationSpec
from nash_dqn.games.market import Market, Shocks
from nash_dqn.networks import ActionMap, ObservationNetwork
from nash_dqn.policy import Policy
from nash_dqn.seeding import generator
from nash_dqn.trees import tensor_map
from tests.common import LQ_MARKET, MARKET, linear, playing

ALL = slice(None)
SETTINGS = BestResponseSettings(hidden=[16], iterations=200, episodes=64, learning_rate=0.05, restarts=1, seed=3)
FEW = dataclasses.replace(SETTINGS, iterations=5, episodes=8, restarts=2)
TEXT = [[0.3, -1.0, 0.5, -0.7, -3.0], [-0.2, 0.4, 0.1, 0.3, -2.0]]


def per_step(skip: Tensor) -> Policy:
    """A policy linear in its features, the first replaced by 1; coefficients [M, C] of each step."""
    return Policy(linear_network(skip.float()[None, :, :, None]), ObservationSpec(), [1], "nash_dqn")


def visible(market: Market, policies: lq.LinearPolicies) -> Policy:
    """Agent 0's part of an exact profile."""
    return playing(market, [policies.gains[:, 0]], [policies.offsets[:, 0]])


def far_from_equilibrium(market: Market) -> lq.LinearPolicies:
    """A symmetric profile with every gain different from zero and from its equilibrium value."""
    n, steps = market.n_agents, market.n_steps
    gains = np.zeros((steps, n, n + 2))
    step = np.arange(steps)[:, None]
    gains[:, :, 0], gains[:, :, 1], gains[:, :, 2:] = 1.0 + 0.3 * step, -0.5, 0.05 * (step[:, :, None] + 1)
    gains[:, range(n), range(2, n + 2)] = 0.25 + 0.1 * step
    return lq.LinearPolicies(gains, np.full((steps, n), 0.4))


def each(shocks: Shocks) -> Shocks:
    """Of a profile of one member."""
    return shocks.map(lambda leaf: leaf[None])


def deviation_of(network: ActionMap, own_flow: bool = False, history: bool = False) -> Deviation:
    assert isinstance(network, ObservationNetwork)
    return Deviation(ObservationSpec(own_flow=own_flow), history, network)


def linear_deviation(skip: Tensor, own_flow: bool = False, history: bool = False) -> Deviation:
    return deviation_of(per_step(skip).network, own_flow, history)


# --- power: where the best response is known --------------------------------------------------------


def test_finds_the_exact_best_response_of_a_linear_quadratic_game() -> None:
    game, profile = LQ_MARKET.as_lq(), far_from_equilibrium(LQ_MARKET)
    policy, best = visible(LQ_MARKET, profile), visible(LQ_MARKET, lq.best_response(game, profile, 0))
    response = train(LQ_MARKET, policy, "same", SETTINGS)
    found = measure(LQ_MARKET, policy, response.deviation, 20_000, generator(4, "test"))
    shocks = LQ_MARKET.sample_shocks(20_000, generator(4, "test"))
    exact = play(LQ_MARKET, [(best, [0]), (policy, [1, 2])], shocks)[..., 0].double() - found.value[:, 0]
    # The policy made of the exact gains is the exact best response...
    interval = mean_interval(exact[0].numpy(), alpha=1e-4)
    assert interval.low < lq.exploitability(game, profile)[0] < interval.high
    # ... of which, on the same paths, the learner must find nearly all and cannot find more.
    assert 0.99 < float(found.gain.mean() / exact.mean()) < 1.001


def test_finds_nothing_against_the_exact_equilibrium() -> None:
    policy = visible(LQ_MARKET, lq.solve_nash(LQ_MARKET.as_lq()).policies)
    response = train(LQ_MARKET, policy, "memory", SETTINGS)
    gain = measure(LQ_MARKET, policy, response.deviation, 20_000, generator(4, "test"), seats=range(3)).gain
    assert gain.shape == (1, 1, 3, 20_000)
    assert gain.mean(-1).abs().max() <= 0.001  # doing nothing costs nothing


def test_beats_every_policy_of_a_fine_grid() -> None:
    """Against liquidation, -q / (T - t), all -a q - b (S - theta)."""
    skip = torch.zeros(MARKET.n_steps, 5)
    skip[:, 4] = -MARKET.scales.inventory / (MARKET.dt * torch.arange(MARKET.n_steps, 0, -1))
    policy = per_step(skip)
    response = train(MARKET, policy, "same", SETTINGS)
    gain = measure(MARKET, policy, response.deviation, 2000, generator(5, "test")).gain.mean()
    a, b = torch.meshgrid(torch.linspace(0, 1, 26), torch.linspace(-3, 3, 25), indexing="ij")
    weights = torch.zeros(a.numel(), 5)
    weights[:, 1], weights[:, 4] = -b.flatten() * MARKET.scales.price, -a.flatten() * MARKET.scales.inventory
    shocks = MARKET.sample_shocks(2000, generator(5, "test"))
    played = play(MARKET, [(linear(weights.tolist()), [0]), (policy, [1, 2])], shocks)[..., 0].double().mean(1)
    base = play(MARKET, policy, shocks)[..., 0].double().mean()
    best = int(played.argmax())
    assert 0 < a.flatten()[best] < 1 and -3 < b.flatten()[best] < 3, "the best of the grid lies within it"
    assert gain > played[best] - base > 0.1


# --- the gradient -----------------------------------------------------------------------------------


def test_gradients_are_those_of_finite_differences() -> None:
    """Also through the others' reactions: the differences let the others see what the deviator changed."""
    generators = [generator(1, "test")]
    inputs = 6 + (MARKET.n_steps - 1) * 5
    network = ObservationNetwork.create(inputs, 0, (), [8], 1, generators, skip=(MARKET.n_steps, 1))
    network = tensor_map(Tensor.double, network)
    policy = linear(TEXT[:1])
    policy = dataclasses.replace(policy, network=tensor_map(Tensor.double, policy.network))
    shocks = MARKET.sample_shocks(6, generator(2, "test")).map(Tensor.double)

    def total(network: ObservationNetwork) -> Tensor:
        return play_deviation(
            MARKET, policy, deviation_of(network, own_flow=True, history=True), each(shocks), seat=1
        ).sum()

    trained = tensor_map(lambda t: t.clone().requires_grad_(), network)
    gradients = torch.autograd.grad(total(trained), trained.parameters)
    for position, gradient in enumerate(gradients):
        entry = int(gradient.abs().argmax())

        def moved(by: float, position: int = position, entry: int = entry) -> float:
            copy = tensor_map(Tensor.clone, network)
            copy.parameters[position].view(-1)[entry] += by
            return float(total(copy))

        slope = (moved(1e-5) - moved(-1e-5)) / 2e-5
        assert gradient.flatten()[entry].item() == pytest.approx(slope, rel=1e-6)
        assert slope != 0


def test_the_others_react_to_the_deviator() -> None:
    """The total is that of the game played with the corrected actions, the others observing what became of it."""
    policy, shocks = linear(TEXT[:1]), MARKET.sample_shocks(6, generator(2, "test"))
    constant = torch.zeros(MARKET.n_steps, 5)
    constant[0, 0] = 2.0  # in the first step only: what follows are reactions
    state, expected = MARKET.reset(shocks.map(lambda leaf: leaf[None])), torch.zeros(1, 6)
    for m in range(MARKET.n_steps):
        actions = policy.act(MARKET, state).clone()
        if m == 0:
            actions[..., 1, 0] += 2.0 * MARKET.scales.rate
        state, rewards = MARKET.step(state, actions, shocks.map(lambda leaf: leaf[None]))
        expected += MARKET.discount**m * rewards[..., 1]
    torch.testing.assert_close(
        play_deviation(MARKET, policy, linear_deviation(constant), each(shocks), seat=1), expected
    )


# --- what each class sees ---------------------------------------------------------------------------


def test_classes_see_what_they_should() -> None:
    classes: dict[DeviatorClass, int] = {"same": 5, "memory": 6, "history": 6 + 3 * 5}
    for deviator, inputs in classes.items():
        deviation = train(MARKET, linear(TEXT[:1]), deviator, FEW).deviation
        assert deviation.observation == ObservationSpec(own_flow=deviator != "same")
        assert deviation.history == (deviator == "history")
        assert deviation.network.skip is not None
        assert deviation.network.skip.shape == (2, MARKET.n_steps, inputs, 1)
        assert deviation.network.sigma.weights[0].shape == (2, inputs, 16)


def test_history_is_of_the_step_it_should_be_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a game without trading but for agent 0's correction."""
    shocks, idle = MARKET.sample_shocks(6, generator(2, "test")), per_step(torch.zeros(MARKET.n_steps, 5))
    played: list[tuple[Any, Tensor]] = []
    step = Market.step

    def spy(self: Market, state: Any, actions: Tensor, shocks: Shocks) -> Any:
        played.append((state, actions[0, :, :, 0]))
        return step(self, state, actions, shocks)

    monkeypatch.setattr(Market, "step", spy)
    for seen in (0, 2):
        skip = torch.zeros(MARKET.n_steps, 6 + 3 * 5)
        skip[0, 0] = 0.3  # trade, so that inventory and own flow move
        skip[1, 6 + 5 :] = 1.0  # at step 1: what is seen from step 1 on, which is still to come
        skip[3, 6 + 5 * seen + 3] = 1.0  # at the last step: own inventory at that earlier one
        skip[3, 6 + 5 * seen + 4] = 10.0  # and own past flow then
        played.clear()
        play_deviation(MARKET, idle, linear_deviation(skip, own_flow=True, history=True), each(shocks))
        held, start = played[seen][0].inventory[0, :, 0], shocks.inventory[:, 0]
        expected = MARKET.scales.rate * (held + 10.0 * (held - start)) / MARKET.scales.inventory
        torch.testing.assert_close(played[3][1][:, 0], expected)
        assert (played[3][1][:, 1:] == 0).all()
        assert (played[1][1] == 0).all()


# --- ensembles, profiles, seats ---------------------------------------------------------------------


def test_members_train_as_if_alone_and_start_without_deviation() -> None:
    """On the same episodes, a stream for each restart."""
    policy = linear(TEXT)
    together = train(MARKET, policy, "history", FEW)
    assert together.progress.shape == (5, 2, 2)
    for r in range(2):
        shocks = MARKET.sample_shocks(8, generator(3, "best_response", "episodes", r))
        torch.testing.assert_close(together.progress[0, :, r], play(MARKET, policy, shocks)[..., 0].mean(1))
    for p in range(2):
        alone = train(MARKET, linear([TEXT[p]]), "history", FEW)
        torch.testing.assert_close(together.progress[:, [p]], alone.progress)
        chosen = together.choose([1, 1]).network.parameters
        for mine, theirs in zip(chosen, alone.choose([1]).network.parameters, strict=True):
            torch.testing.assert_close(mine[[p]], theirs, rtol=1e-3, atol=1e-4)


def test_a_profile_may_be_mixed_and_any_agent_deviate() -> None:
    code = linear([[*row[:4], -1.0] for row in TEXT], spec=ObservationSpec(price="S-Y", order_flow="others_mean"))
    profile: list[Assignment] = [(linear(TEXT), [0, 2]), (code, [1])]
    for seat, spec in ((0, ObservationSpec()), (1, code.observation)):
        response = train(MARKET, profile, "memory", FEW, seat)
        assert response.deviation.observation == dataclasses.replace(spec, own_flow=True)
        shocks = MARKET.sample_shocks(8, generator(3, "best_response", "episodes", 0))
        torch.testing.assert_close(response.progress[0, :, 0], play(MARKET, profile, shocks)[..., seat].mean(1))


def test_gains_are_paired_with_the_profile_on_the_same_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = linear(TEXT)
    deviation = train(MARKET, policy, "memory", FEW).deviation
    whole = measure(MARKET, policy, deviation, 30, generator(4, "test"), seats=(2, 0))
    assert whole.gain.shape == (2, 2, 2, 30)
    assert whole.value.shape == (2, 2, 30)
    shocks = MARKET.sample_shocks(30, generator(4, "test"))
    base = play(MARKET, policy, shocks).double()
    torch.testing.assert_close(whole.value, base[..., [2, 0]].movedim(1, -1))
    for p in range(2):
        for r in range(2):
            one = deviation._replace(network=tensor_map(lambda t, k=2 * p + r: t[[k]], deviation.network))
            for s, seat in enumerate((2, 0)):
                gain = play_deviation(MARKET, policy.member(p), one, each(shocks), seat)[0].double() - base[p, :, seat]
                torch.testing.assert_close(whole.gain[p, r, s], gain, rtol=1e-4, atol=1e-4)
    monkeypatch.setattr(best_response, "CHUNK", 28)
    blocks = measure(MARKET, policy, deviation, 30, generator(4, "test"), seats=(2, 0))
    torch.testing.assert_close(blocks.gain, whole.gain, rtol=1e-4, atol=1e-4)


# --- what goes wrong --------------------------------------------------------------------------------


def test_a_training_that_is_not_finite_is_reported_and_leaves_the_others_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    broken = linear([TEXT[0], [math.nan] * 5])
    with caplog.at_level(logging.WARNING):
        response = train(MARKET, broken, "same", FEW)
    assert response.sound.tolist() == [[True, True], [False, False]]
    assert [record.message.split(":")[0] for record in caplog.records] == [
        f"best response (same) to member 1, restart {r}" for r in range(2)
    ]
    torch.testing.assert_close(response.progress[:, 0], train(MARKET, linear(TEXT[:1]), "same", FEW).progress[:, 0])


def test_what_cannot_be_trained() -> None:
    policy = linear(TEXT)
    with pytest.raises(ValueError, match="deviator = 'clever': allowed are 'same', 'memory', 'history'"):
        train(MARKET, policy, "clever", FEW)  # type: ignore[arg-type]
    for seat in (-1, 3):
        with pytest.raises(ValueError, match=f"seat = {seat}: the game has agents 0 to 2"):
            train(MARKET, policy, "same", FEW, seat)
    with pytest.raises(ValueError, match=r"every agent 0\.\.2 needs exactly one policy"):
        train(MARKET, [(policy, [0])], "same", FEW)
    three: Sequence[Assignment] = [(linear([*TEXT, TEXT[0]]), ALL)]
    with pytest.raises(ValueError, match="4 deviators cannot meet 3 members"):
        measure(MARKET, three, train(MARKET, policy, "same", FEW).deviation, 2, generator(1, "test"))
