"""What tests of several files share: small markets and trainings, policies of known rates, the configuration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

from nash_dqn.agents.least_squares import linear_network
from nash_dqn.agents.nash_dqn import NashDQNRecipe
from nash_dqn.config import load_yaml, validate
from nash_dqn.games.base import VISIBLE, ObservationSpec
from nash_dqn.games.lq import FloatArray, LinearPolicies
from nash_dqn.games.market import Market
from nash_dqn.networks import MLP, ObservationNetwork
from nash_dqn.policy import Policy

ROOT = Path(__file__).resolve().parents[1]
CONFIG = validate(load_yaml(ROOT / "config" / "config.yaml"))
"""The configuration of the full run, complete."""
FILES = ("weights.safetensors", "snapshots.safetensors", "history.csv", "run.json")
"""What a training leaves, in the order in which the library writes it."""

# Three agents, four steps, discounting, every parameter different from zero and from one another.
MARKET = Market(
    n_agents=3, horizon=2.0, n_steps=4, kappa=0.5, theta=10.0, sigma=0.1, gamma=0.02, rho=0.7, eta=0.05, b1=0.11,
    b2=0.13, b3=0.03, discount=0.9, impact="sqrt", price_floor=0.01, initial_inventory_var=50.0, initial_price_sd=0.3,
    initial_impact_sd=0.06,
)  # fmt: skip
LINEAR = replace(MARKET, impact="linear", price_floor=None)
# As small as a market is trained in: inventories and costs of order one.
SMALL = Market(
    n_agents=3, horizon=1.5, n_steps=3, kappa=0.5, theta=10.0, sigma=0.1, gamma=0.1, rho=0.5, eta=0.05, b1=0.1, b2=0.2,
    b3=0.05, discount=0.9, initial_inventory_var=4.0,
)  # fmt: skip
# The released code's parameters in a short game.
SHORT = Market(
    n_agents=3, horizon=2.0, n_steps=4, kappa=0.5, theta=10.0, sigma=0.1, gamma=0.02, rho=0.5, eta=0.05, b1=0.1, b2=0.1
)
# Linear impact and no floor: where all see all inventories, or alone, the equilibrium is known exactly.
LQ_MARKET = replace(
    SHORT, b3=0.02, discount=0.95, impact="linear", price_floor=None, initial_price_sd=0.3, initial_impact_sd=0.1
)

# Recipes of small trainings; a test says what it changes.
NASH_DQN: dict[str, Any] = {
    "observation": {}, "critic": None, "policy": "nash", "p11": "cholesky", "skip_terms": False, "value_hidden": [4],
    "advantage_hidden": [5], "phi_hidden": [3], "iterations": 12, "episodes_per_iteration": 2, "minibatch_episodes": 3,
    "replay_episodes": 6, "learning_rate": 0.01, "learning_rate_schedule": "constant", "adam_beta2": 0.999,
    "weight_decay": 0.1, "exploration": {"start": 2.0, "end": 0.5}, "explorers": "all", "opponent_gradient": True,
    "penalty": {"norm": "l1", "beta": 3.0}, "target": None, "gradient_clip": None, "watched": "total_loss",
    "patience": None, "returned": "last", "divergence_factor": 1e6, "history_every": 4,
}  # fmt: skip
RESETS = {"after": 5, "good_below": 80.0, "above": 120.0}
"""Losses between which those of NASH_DQN lie, so that weights are both kept and taken back."""
EVERYTHING = {"own_flow": True, "inventories": "visible"}
"""What a centralised critic sees: nothing of the state is hidden."""
CENTRAL: dict[str, Any] = {
    "observation": {"own_flow": True}, "critic": EVERYTHING, "skip_terms": True, "learning_rate_schedule": "cosine",
    "adam_beta2": 0.9, "explorers": "one", "opponent_gradient": False, "minibatch_episodes": 3, "replay_episodes": 3,
    "episodes_per_iteration": 3,
}  # fmt: skip
"""Every switch that is off in NASH_DQN, but a projected policy."""
PROJECTED: dict[str, Any] = {**CENTRAL, "policy": "projected", "explorers": "half"}
FICTITIOUS_PLAY: dict[str, Any] = {
    "observation": {}, "actor_hidden": [5], "critic_hidden": [4], "phi_hidden": [3], "iterations": 3,
    "first_epochs": 30, "epochs": 20, "episodes_per_epoch": 2, "learning_rate": 0.01, "weight_decay": 0.1,
    "target_rate": 0.3, "exploration": {"start": 0.6, "end": 0.2, "target_sd": None}, "action_bound": 50.0,
    "action_scale": 1.5, "returned": "target", "optimisers": "renewed", "opponents": "last", "gradient_clip": None,
    "largest_loss": None, "history_every": 10,
}  # fmt: skip


def linear(
    weights: Sequence[Sequence[float]],
    biases: Sequence[float] | None = None,
    spec: ObservationSpec | None = None,
    algorithm: str = "nash_dqn",
    bound: float | None = None,
    **meta: Any,
) -> Policy:
    """A policy of K members: rate = weights . features + bias, one pair of weights and bias per member.

    Further arguments are the policy's ``meta``.

    Features, standardised: time, price, transient impact, order flow, own inventory(, own flow or others).
    """
    weight = torch.tensor(weights).unsqueeze(-1)
    bias = torch.tensor(biases or [0.0] * len(weights)).view(-1, 1, 1)
    network = ObservationNetwork(None, MLP([weight], [bias]))
    seeds = list(range(1, len(weights) + 1))
    return Policy(network, spec or ObservationSpec(), seeds, algorithm, bound, meta)


def nash_dqn(**changes: Any) -> NashDQNRecipe:
    """The small training of Nash-DQN with these changes."""
    return NashDQNRecipe.from_dict({**NASH_DQN, **changes})


def target(refresh: int, start: str = "copy", resets: dict[str, Any] | None = None) -> dict[str, Any]:
    """A slow copy of V."""
    return {"refresh": refresh, "start": start, "resets": resets}


def playing(market: Market, gains: Sequence[FloatArray], offsets: Sequence[Any] | None = None, **meta: Any) -> Policy:
    """Members that see all inventories and play an agent's affine policy at each step, u = offset - K z.

    Args:
        market: the game.
        gains: K of each member, ``[M, N + 2]`` over (S - theta, Y, own inventory, the others').
        offsets: of each member, ``[M]``; None for zero.
        meta: of the policy.
    """
    scales = market.scales
    skip = torch.zeros(len(gains), market.n_steps, 6, 1)  # of 1, price, Y, flow, own inventory, mean of the others'
    for k, of_member in enumerate(gains):
        price, impact, own, *others = torch.from_numpy(of_member).float().T
        terms = price * scales.price, impact * scales.impact, own * scales.inventory, sum(others) * scales.inventory
        skip[k, :, [1, 2, 4, 5], 0] = -torch.stack([torch.as_tensor(term) for term in terms], -1)
        if offsets is not None:
            skip[k, :, 0, 0] = torch.as_tensor(offsets[k])
    return Policy(linear_network(skip), VISIBLE, range(1, len(gains) + 1), "nash_dqn", None, meta)


def load(path: Path) -> ModuleType:
    """A module of the workflow, which is no part of the package."""
    spec = spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def joint_policies(gains: FloatArray, n_agents: int) -> LinearPolicies:
    """The profile over (S - theta, Y, q_1, ..., q_N) where all follow u = -K (S - theta, Y, q_i, others' mean q).

    Args:
        gains: K [M, 4].
        n_agents: N, at least 2.
    """
    full = np.empty((len(gains), n_agents, n_agents + 2))
    full[:, :, :2] = gains[:, None, :2]
    full[:, :, 2:] = gains[:, 3, None, None] / (n_agents - 1)
    full[:, range(n_agents), range(2, n_agents + 2)] = gains[:, [2]]
    return LinearPolicies(full, np.zeros((len(gains), n_agents)))
