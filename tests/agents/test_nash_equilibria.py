"""Games of one step in which what the loss (17) converges to is known: its equilibrium, or how far from it, and why.

The bias is derived in docs/method.md (why a small penalty fails late), and tried here against autograd of the library's
own loss. The game is one step of length h with linear impact, nothing random but inventories of variance one, seen by
their owners alone; c = eta. At mu(q) = -a q and exploration eps ~ N(0, s^2), with Q_i = (1 - a h) q_i what agent i
holds afterwards and G = 2 (b1 + b2 h - c h), the reward is linear-quadratic in eps, with

    slope g(q) = h (a G - (2 b2 - c)) q,  P11 = h G / 2,  P12 = -c h^2,  P22 = 0,  psi* = c h Q_i,
    V(q) = -(c h a (1 - a h) + b1 h a^2 + b2 (1 - a h)^2) q^2,

and the residual is what agent i cannot know, e_i = -g eps_i - c h (Q_i + h eps_i) H_i + (psi - psi*) sum_j eps_j with
H_i = -a sum_{j != i} q_j. A squared penalty leaves psi = k psi*, k = (N - 1) s^2 / ((N - 1) s^2 + beta).
"""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from scipy.optimize import brentq
from torch import Tensor

from nash_dqn.advantage import AdvantageParameters, label_invariant_advantage, mu_network
from nash_dqn.agents.nash_dqn import NashDQNRecipe, train
from nash_dqn.agents.training import TrainingResult
from nash_dqn.games.lq import solve_nash
from nash_dqn.games.market import Market, MarketState
from nash_dqn.networks import ObservationNetwork
from nash_dqn.policy import Policy
from nash_dqn.seeding import generator
from tests.common import NASH_DQN

# One step of one hour; costs and inventories of order one, so that the loss is well scaled.
ONE_SHOT = Market(
    n_agents=5, horizon=1.0, n_steps=1, kappa=1.0, theta=10.0, sigma=0.1, gamma=0.0, rho=0.7, eta=0.15, b1=1.0, b2=0.5,
    impact="none", price_floor=None, initial_inventory_var=1.0, initial_price_sd=1.0, initial_impact_sd=1.0,
)  # fmt: skip
HIDDEN = replace(ONE_SHOT, eta=0.5, b2=1.0, sigma=0.0, initial_price_sd=0.0, initial_impact_sd=0.0)
"""Nothing is random but inventories."""
SETTINGS: dict[str, Any] = {
    **NASH_DQN, "value_hidden": [16, 16], "advantage_hidden": [16, 16], "phi_hidden": [], "iterations": 1000,
    "episodes_per_iteration": 100, "minibatch_episodes": 100, "replay_episodes": 100, "learning_rate": 0.003,
    "weight_decay": 0.0, "exploration": {"start": 1.0, "end": 1.0}, "penalty": {"norm": "l1", "beta": 0.0},
    "history_every": 500,
}  # fmt: skip
SEEDS = [1, 2, 3]


def learned(game: Market, **changes: Any) -> tuple[TrainingResult, Tensor, MarketState]:
    """Train, and play 2,000 fresh starts: rates [K, E, N] at the states."""
    recipe = NashDQNRecipe.from_dict({**SETTINGS, **changes})
    result = train(game, recipe, SEEDS)
    assert not any(member["diverged"] for member in result.record["members"])
    network = mu_network(ObservationNetwork.from_state_dict(result.tensors, "advantage"), 1)
    policy = Policy(network, recipe.observation, SEEDS, "nash_dqn")
    shocks = game.sample_shocks(2000, generator(99, "test_nash_dqn"))
    state = game.reset(shocks)
    wide = game.reset(shocks.map(lambda leaf: leaf.expand(len(SEEDS), *leaf.shape)))
    return result, policy.act(game, wide).squeeze(-1), state


def slopes(rates: Tensor, state: MarketState) -> Tensor:
    """a of mu = -a q, by least squares, of each member."""
    return -(rates * state.inventory).mean((1, 2)) / state.inventory.square().mean()


# --- known equilibria ---------------------------------------------------------------------------------------


def relative_error(rates: Tensor, exact: Tensor) -> list[float]:
    """RMS error of each member over the RMS rate."""
    return ((rates - exact).square().mean((1, 2)) / exact.square().mean()).sqrt().tolist()


def test_learns_the_equilibrium_of_a_one_shot_game_with_private_inventories() -> None:
    """Symmetric Bayesian Nash equilibrium in closed form, to 5 % RMS of the rates, on every seed.

    One step of length h, no transient impact of trades, c = eta. Agent i sees S, Y and q_i; to it the others' q_j are
    independent of mean zero. With v = sum_j nu_j and D = kappa (theta - S) h + Y (exp(-rho h) - 1),

        E[r_i] = (q_i + nu_i h) (D + c h E[v]) - b1 nu_i^2 h - b2 (q_i + nu_i h)^2.

    Look for nu_j = -a q_j + p, p common knowledge, so that E[v] = nu_i + (N - 1) p. The derivative in nu_i over h is

        D + c h (nu_i + (N - 1) p) + c (q_i + nu_i h) - 2 b1 nu_i - 2 b2 (q_i + nu_i h) = 0,

    i.e. G nu_i = D + c h (N - 1) p - (2 b2 - c) q_i with G = 2 (b1 + b2 h - c h) > 0, and matching coefficients

        a = (2 b2 - c) / G,     p = D / (G - (N - 1) c h).

    The tolerance covers what the loss itself gets wrong (see the bias below; 2 % here), but not an agent blind to the
    others' impact, p = D / G.
    """
    _, rates, state = learned(ONE_SHOT)
    c, growth, held = 0.15, 2 * (1.0 + 0.5 - 0.15), state.inventory
    pull = (10.0 - state.price + state.impact * (math.exp(-0.7) - 1)).unsqueeze(-1)
    exact = -(2 * 0.5 - c) / growth * held + pull / (growth - 4 * c)
    assert max(relative_error(rates, exact)) < 0.05
    # Not within reach of the tolerance: an agent blind to the others' impact.
    blind = -(2 * 0.5 - c) / growth * held + pull / growth
    assert min(relative_error(rates, blind)) > 0.1


def test_learns_the_equilibrium_of_a_one_shot_game_with_visible_inventories() -> None:
    """The feedback Nash equilibrium of the linear-quadratic game, to 4 % RMS of the rates, on every seed.

    In the notation above, now with every nu_j known, (G + c h) nu_i = D + c h v - (2 b2 - c) q_i. Summed over i,

        v (G - (N - 1) c h) = N D - (2 b2 - c) sum_j q_j.

    Here the state is Markov and the loss (17) has no bias. The exact solver of linear-quadratic games agrees.
    """
    game = replace(ONE_SHOT, n_agents=3, eta=0.3, b2=1.0)
    _, rates, state = learned(game, observation={"inventories": "visible"})
    c, growth, held = 0.3, 2 * (1.0 + 1.0 - 0.3), state.inventory
    pull = (10.0 - state.price + state.impact * (math.exp(-0.7) - 1)).unsqueeze(-1)
    total = (3 * pull - (2 - c) * held.sum(-1, keepdim=True)) / (growth - 2 * c)
    exact = (pull + c * total - (2 - c) * held) / (growth + c)
    gains = torch.from_numpy(solve_nash(game.as_lq()).policies.gains[0]).float()
    torch.testing.assert_close(-game.state_vector(state).float() @ gains.T, exact, rtol=1e-4, atol=1e-4)
    assert max(relative_error(rates, exact)) < 0.04
    private = -(2 - c) / growth * held + pull / (growth - 2 * c)
    assert min(relative_error(rates, private)) > 0.08


# --- the bias where inventories are hidden ------------------------------------------------------------------

N, H, C, B1, B2 = 5, 1.0, 0.5, 1.0, 1.0
GROWTH, PULL = 2 * (B1 + B2 * H - C * H), 2 * B2 - C
EQUILIBRIUM = PULL / GROWTH


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
    shocks = HIDDEN.shocks_from_normals(torch.randn(episodes, HIDDEN.normals_per_episode, generator=stream).double())
    state = HIDDEN.reset(shocks)
    q = state.inventory
    held = 1 - a * H
    values = {
        "a": a, "p11": H * GROWTH / 2, "p12": -C * H**2, "p22": 0.0, "psi": kept_share(s, beta) * C * H * held,
        "value": -(C * H * a * held + B1 * H * a**2 + B2 * held**2),
    }  # fmt: skip
    at = {name: torch.full((episodes, 1), value).double().requires_grad_() for name, value in values.items()}
    actions = (-a * q + s * torch.randn(q.shape, generator=stream).double()).unsqueeze(-1)
    _, rewards = HIDDEN.step(state, actions, shocks)
    p11, p12, p22 = (at[name].expand(-1, N)[..., None, None] for name in ("p11", "p12", "p22"))
    psi = (at["psi"] * q).unsqueeze(-1)
    parameters = AdvantageParameters((-at["a"] * q).unsqueeze(-1), p11, p12, p22, psi)
    delta = actions - parameters.mu
    advantage = label_invariant_advantage(delta, parameters, delta if opponent_gradient else delta.detach())
    residuals = at["value"] * q.square() + advantage - rewards
    loss = residuals.square().sum() + beta * psi.square().sum()
    found = torch.autograd.grad(loss, list(at.values()))
    return {name: gradient.squeeze(-1) for name, gradient in zip(at, found, strict=True)}


@pytest.mark.parametrize(("s", "beta", "opponent_gradient"), [(0.5, 0.0, True), (0.5, 4.0, True), (0.5, 4.0, False)])
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
    assert settled(1.0, 0.0) == pytest.approx(0.4361, abs=1e-4)
    assert [settled(s, 0.0) for s in (2.0, 1.0, 0.5)] == sorted([settled(s, 0.0) for s in (2.0, 1.0, 0.5)])[::-1]
    assert settled(0.5, 0.0, opponent_gradient=False) == pytest.approx(EQUILIBRIUM)
    # With a large penalty what is left does not depend on s: (2 b2 - c + K h) / (G + 2 K h^2), which is 1/2 here.
    assert settled(0.5, 1e6) == pytest.approx(settled(2.0, 1e9), abs=1e-4)
    assert settled(0.5, 1e6) == pytest.approx(0.5, abs=1e-4)


def test_trained_networks_land_there() -> None:
    """At s = 0.5, to 1.5 % on the mean of 3 seeds; the equilibrium, 0.5, lies far away."""
    changes = {"iterations": 1500, "learning_rate_schedule": "cosine", "exploration": {"start": 0.5, "end": 0.5}}
    _, rates, state = learned(HIDDEN, **changes)
    predicted = settled(0.5, 0.0)
    assert slopes(rates, state).mean().item() == pytest.approx(predicted, rel=0.015)
    assert abs(predicted - EQUILIBRIUM) > 0.1 * EQUILIBRIUM


@pytest.mark.parametrize(
    ("changes", "loss"),
    [
        ({"opponent_gradient": False}, 50 * 0.3125),
        ({"explorers": "one", "critic": {"own_flow": True, "inventories": "visible"}}, 10 * 0.25),
    ],
    ids=["stop-gradient", "one-explorer-centralised-critic"],
)
def test_without_the_opponents_gradient_the_bias_is_gone(changes: dict[str, Any], loss: float) -> None:
    """Where the shared mu learns from its own samples only: a = (2 b2 - c) / G = 1/2, to 3 %.

    The loss says what is learned from. In equilibrium g = 0 and e_i = -c h (Q_i + h eps_i) H_i with var(H_i) =
    (N - 1) a^2 = 1 and E[Q_i^2] = (1 - a h)^2 = 1/4, so that E[e_i^2] = c^2 h^2 (1/4 + h^2 s^2) = 0.3125. A critic
    that sees all inventories knows Q_i H_i, a product of its features, and is left with the share of agent i's own
    exploration, c^2 h^4 s^2 = 0.25. Ten episodes hold 50 samples, or 10 where one agent explores; to 4 %.
    """
    if "critic" in changes:  # a fit to the last per cent
        changes = {**changes, "skip_terms": True, "learning_rate_schedule": "cosine", "history_every": 100}
    result, rates, state = learned(HIDDEN, **changes)
    found = slopes(rates, state)
    assert found.mean().item() == pytest.approx(0.5, rel=0.03)
    assert found.min() > 1.05 * settled(1.0, 0.0), "none is as biased as predicted above"
    last = result.history[result.history["iteration"] == 1000]
    assert len(last) == 3
    assert last["loss"].mean() == pytest.approx(loss, rel=0.04)


@pytest.mark.parametrize(("s", "opponent_gradient"), [(2.0, True), (0.2, True), (0.2, False)])
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
