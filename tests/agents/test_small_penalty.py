"""Why a small penalty fails late: the derivation in docs/method.md against autograd of the library's own loss.

The game is one step of length h with linear impact, nothing random but inventories of variance one, seen by their
owners alone; c = eta. At mu(q) = -a q and exploration eps ~ N(0, s^2), with Q_i = (1 - a h) q_i what agent i holds
afterwards and G = 2 (b1 + b2 h - c h), the reward is linear-quadratic in eps, with

    slope g(q) = h (a G - (2 b2 - c)) q,  P11 = h G / 2,  P12 = -c h^2,  P22 = 0,  psi* = c h Q_i,
    V(q) = -(c h a (1 - a h) + b1 h a^2 + b2 (1 - a h)^2) q^2,

and the residual is what agent i cannot know, e_i = -g eps_i - c h (Q_i + h eps_i) H_i + (psi - psi*) sum_j eps_j with
H_i = -a sum_{j != i} q_j. A squared penalty leaves psi = k psi*, k = (N - 1) s^2 / ((N - 1) s^2 + beta).
"""

import math
from pathlib import Path

import pytest
import torch
from scipy.optimize import brentq
from torch import Tensor

from nash_dqn.advantage import AdvantageParameters, label_invariant_advantage, mu_network
from nash_dqn.agents.nash_dqn import NashDQNRecipe, train
from nash_dqn.games.base import ObservationSpec
from nash_dqn.games.market import Market
from nash_dqn.networks import ObservationNetwork
from nash_dqn.policy import Policy
from nash_dqn.seeding import generator

GAME = Market(
    n_agents=5, horizon=1.0, n_steps=1, kappa=1.0, theta=10.0, sigma=0.0, gamma=0.0, rho=0.7, eta=0.5, b1=1.0, b2=1.0,
    impact="none", price_floor=None, initial_inventory_var=1.0, initial_price_sd=0.0, initial_impact_sd=0.0,
)  # fmt: skip
N, H, C, B1, B2 = 5, 1.0, 0.5, 1.0, 1.0
GROWTH, PULL = 2 * (B1 + B2 * H - C * H), 2 * B2 - C
EQUILIBRIUM = PULL / GROWTH
CASES = [(2.0, 0.0, True), (1.0, 0.0, True), (0.5, 0.0, True), (0.5, 4.0, True), (0.5, 0.0, False), (0.5, 4.0, False)]
"""Exploration s, weight beta of the squared penalty, and whether the gradient passes through the others' mu."""


def kept_share(s: float, beta: float) -> float:
    """k: least of (psi - psi*)^2 (N - 1) s^2 + beta psi^2."""
    return (N - 1) * s**2 / ((N - 1) * s**2 + beta)


def slope(a: float, s: float, beta: float, opponent_gradient: bool) -> float:
    """Mean gradient on mu_j given q_j, over q_j: from its own residual, and from those of the N - 1 others."""
    k = kept_share(s, beta)
    own = -2 * H**2 * GROWTH * s**2 * (a * GROWTH - PULL) + 2 * C**2 * H**3 * (1 - k) * (1 - a * H) * (N - 1) * s**2
    others = -2 * (N - 1) * C**2 * H**2 * a * (H**2 * s**2 + k * (1 - a * H) ** 2)
    return own + others if opponent_gradient else own


def settled(s: float, beta: float, opponent_gradient: bool = True) -> float:
    """Where it is zero: a (G + K (h^2 + k (1 - a h)^2 / s^2)) = 2 b2 - c + K h (1 - k)(1 - a h), K = (N - 1) c^2 / G;

    without the gradient through the others' mu the first K is zero.
    """
    return float(brentq(lambda a: slope(a, s, beta, opponent_gradient), 0.0, 1.0))


def gradients(a: float, s: float, beta: float, opponent_gradient: bool, episodes: int) -> dict[str, Tensor]:
    """Of (17) and (23) with respect to a, P11, P12, P22, the slope of psi and that of V, for each episode ``[E]``.

    Actions and rewards are what was played; all parameters but a have the values above.
    """
    stream = generator(5, "test_small_penalty")
    shocks = GAME.shocks_from_normals(torch.randn(episodes, GAME.normals_per_episode, generator=stream).double())
    state = GAME.reset(shocks)
    q = state.inventory
    held = 1 - a * H
    values = {
        "a": a, "p11": H * GROWTH / 2, "p12": -C * H**2, "p22": 0.0, "psi": kept_share(s, beta) * C * H * held,
        "value": -(C * H * a * held + B1 * H * a**2 + B2 * held**2),
    }  # fmt: skip
    at = {name: torch.full((episodes, 1), value).double().requires_grad_() for name, value in values.items()}
    actions = (-a * q + s * torch.randn(q.shape, generator=stream).double()).unsqueeze(-1)
    _, rewards = GAME.step(state, actions, shocks)
    p11, p12, p22 = (at[name].expand(-1, N)[..., None, None] for name in ("p11", "p12", "p22"))
    psi = (at["psi"] * q).unsqueeze(-1)
    parameters = AdvantageParameters((-at["a"] * q).unsqueeze(-1), p11, p12, p22, psi)
    delta = actions - parameters.mu
    advantage = label_invariant_advantage(delta, parameters, delta if opponent_gradient else delta.detach())
    residuals = at["value"] * q.square() + advantage - rewards
    loss = residuals.square().sum() + beta * psi.square().sum()
    found = torch.autograd.grad(loss, list(at.values()))
    return {name: gradient.squeeze(-1) for name, gradient in zip(at, found, strict=True)}


@pytest.mark.parametrize(("s", "beta", "opponent_gradient"), CASES)
def test_the_fixed_point_is_where_every_gradient_vanishes(s: float, beta: float, opponent_gradient: bool) -> None:
    """To 4 standard errors; those of a are small against what it feels at the equilibrium, where that is not zero."""
    a = settled(s, beta, opponent_gradient)
    for name, found in gradients(a, s, beta, opponent_gradient, 200_000).items():
        error = float(found.std()) / math.sqrt(len(found))
        assert abs(float(found.mean())) < 4 * error + 1e-12, name
    at_equilibrium = gradients(EQUILIBRIUM, s, beta, opponent_gradient, 200_000)["a"]
    error = float(at_equilibrium.std()) / math.sqrt(len(at_equilibrium))
    predicted = -N * slope(EQUILIBRIUM, s, beta, opponent_gradient)  # mu = -a q, inventories have variance one
    assert float(at_equilibrium.mean()) == pytest.approx(predicted, abs=4 * error)
    if a != pytest.approx(EQUILIBRIUM):
        assert abs(predicted) > 20 * error


def test_where_it_settles() -> None:
    """The bias grows as exploration falls; a penalty or a stopped gradient takes its cause away."""
    assert settled(1.0, 0.0) == pytest.approx(0.4361, abs=1e-4)  # trained networks land there: test_nash_dqn.py
    assert [settled(s, 0.0) for s in (2.0, 1.0, 0.5)] == sorted([settled(s, 0.0) for s in (2.0, 1.0, 0.5)])[::-1]
    assert settled(0.5, 0.0, opponent_gradient=False) == pytest.approx(EQUILIBRIUM)
    # With a large penalty what is left does not depend on s: (2 b2 - c + K h) / (G + 2 K h^2), which is 1/2 here.
    assert settled(0.5, 1e6) == pytest.approx(settled(2.0, 1e9), abs=1e-4)
    assert settled(0.5, 1e6) == pytest.approx(0.5, abs=1e-4)


@pytest.mark.parametrize(("beta", "opponent_gradient"), [(0.0, True), (4.0, True), (4.0, False)])
def test_trained_networks_land_there(beta: float, opponent_gradient: bool) -> None:
    """At s = 0.5, to 1.5 % on the mean of 3 seeds; the equilibrium, 0.5, lies 4 to 28 % away."""
    seeds = [1, 2, 3]
    recipe = {
        "observation": {}, "critic": None, "policy": "nash", "p11": "cholesky", "skip_terms": False,
        "value_hidden": [16, 16], "advantage_hidden": [16, 16], "phi_hidden": [], "iterations": 1500,
        "episodes_per_iteration": 100, "minibatch_episodes": 100, "replay_episodes": 100, "learning_rate": 0.003,
        "learning_rate_schedule": "cosine", "adam_beta2": 0.999, "weight_decay": 0.0,
        "exploration": {"start": 0.5, "end": 0.5}, "explorers": "all", "opponent_gradient": opponent_gradient,
        "penalty": {"norm": "squared", "beta": beta}, "target": None, "gradient_clip": None, "watched": "loss",
        "patience": None, "returned": "last", "divergence_factor": None, "history_every": 500,
    }  # fmt: skip
    tensors = train(GAME, NashDQNRecipe.from_dict(recipe), seeds).tensors
    network = mu_network(ObservationNetwork.from_state_dict(tensors, "advantage"), 1)
    shocks = GAME.sample_shocks(2000, generator(7, "test_small_penalty"))
    state = GAME.reset(shocks.map(lambda leaf: leaf.expand(len(seeds), *leaf.shape)))
    rates, held = Policy(network, ObservationSpec(), seeds, "nash_dqn").act(GAME, state).squeeze(-1), state.inventory
    slopes = -(rates * held).mean((1, 2)) / held.square().mean((1, 2))
    predicted = settled(0.5, beta, opponent_gradient)
    assert slopes.mean().item() == pytest.approx(predicted, rel=0.015)
    assert abs(predicted - EQUILIBRIUM) > 0.035 * EQUILIBRIUM


@pytest.mark.parametrize("opponent_gradient", [True, False])
@pytest.mark.parametrize("s", [2.0, 0.2])
def test_what_psi_adds_to_the_gradient_on_mu_does_not_fade(s: float, opponent_gradient: bool) -> None:
    """Mean and variance of one sample's gradient on mu_j, which alone is short of its Nash point, by D.

    The rest w of a residual is N(0, v) and independent of everything: e_j = -2 P11 D eps_j + w_j, e_i = w_i. Then

        mean -8 P11^2 s^2 D;  variance at D = 0: 4 v s^2 (4 P11^2 + (N - 1) P12^2)
        + 4 (N - 1) v (s^2 (P12^2 + 4 P22^2) + psi^2), the second line from the others' residuals.
    """
    agents, samples, v = 4, 100_000, 1.3
    p11, p12, p22, psi, short = 0.7, 0.3, -0.2, 0.5, 0.4
    stream = generator(6, "test_small_penalty")
    noise, rest = (torch.randn(samples, agents, generator=stream).double() for _ in range(2))

    def on_mu(short_by: float) -> Tensor:
        mu = torch.zeros(samples, agents, 1).double().requires_grad_()
        one, two, three = (torch.full((samples, agents, 1, 1), value).double() for value in (p11, p12, p22))
        parameters = AdvantageParameters(mu, one, two, three, torch.full((samples, agents, 1), psi).double())
        delta = s * noise.unsqueeze(-1) - mu
        advantage = label_invariant_advantage(delta, parameters, delta if opponent_gradient else delta.detach())
        residuals = advantage - advantage.detach() + math.sqrt(v) * rest
        residuals[:, 0] -= 2 * p11 * short_by * s * noise[:, 0]
        return torch.autograd.grad(residuals.square().sum(), mu)[0].squeeze(-1)

    own = 4 * v * s**2 * (4 * p11**2 + (agents - 1) * p12**2)
    others = 4 * (agents - 1) * v * (s**2 * (p12**2 + 4 * p22**2) + psi**2)
    variance = own + others if opponent_gradient else own
    settled_ = on_mu(0.0)
    assert float(settled_.var()) == pytest.approx(variance, rel=0.02)
    error = math.sqrt(variance / samples)
    assert float(settled_.mean()) == pytest.approx(0.0, abs=4 * error)
    # The same noise cancels in the difference.
    assert float((on_mu(short) - settled_)[:, 0].mean()) == pytest.approx(-8 * p11**2 * s**2 * short, rel=0.05)


def test_the_table_in_the_method_notes() -> None:
    """a of the one-step game, by the columns' exploration and the rows' penalty."""
    text = (Path(__file__).resolve().parents[2] / "docs" / "method.md").read_text(encoding="utf-8")
    section = text.split("### Why a small penalty fails late")[1].split("\n### ")[0]
    table = section[section.index("\n| s |") + 1 :].split("\n\n")[0]
    header, _, *lines = [line.strip("| ").split(" | ") for line in table.splitlines()]
    rows = {line[0]: [float(x) for x in line[1:]] for line in lines if line[0].startswith(("β = ", "gradient stopped"))}
    assert len(rows) == 5
    for name, numbers in rows.items():
        stopped = name.startswith("gradient stopped")
        beta = float(name.rpartition("= ")[2])
        expected = [settled(float(s), beta, not stopped) for s in header[1:]]
        assert numbers == pytest.approx(expected, abs=6e-4), name
