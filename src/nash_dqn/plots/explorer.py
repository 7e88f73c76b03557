"""A page on which a person plays with the trained policies: what they do in a state, Fig. 2, and episodes.

The page computes everything itself, so it holds the weights, as float32 in base64, and loads nothing. Beside this
module lie its markup, ``explorer.html``, and its script, ``explorer.js``, which computes policies, advantage functions
and the market as the library does.
"""

from __future__ import annotations

import base64
import dataclasses
import html
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any

import matplotlib
import numpy as np
import torch
from matplotlib.colors import to_hex

from nash_dqn.artifacts import ArtifactError, remake
from nash_dqn.games.base import ObservationSpec
from nash_dqn.games.market import Market, MarketState
from nash_dqn.networks import ObservationNetwork
from nash_dqn.plots.fig2_policies import DIFFERENCE_COLOURS, RATE_COLOURS
from nash_dqn.plots.style import ALGORITHM_COLOURS, DIVERGED, PALETTE
from nash_dqn.policy import Weights, read_weights
from nash_dqn.published import AUTHORS_POLICIES, FIG2_RATE_LIMIT
from nash_dqn.summary import read_run

__all__ = ["render"]

_SEATS = [colour for colour in PALETTE if colour not in ALGORITHM_COLOURS.values()]
_SHADES = 65  # of a colour scale
_SPREADS = 3  # how far sliders reach, in the sizes by which observations are standardised

_WHOLE_STATE = (
    "Its advantage function is one of the whole state, the others' inventories included, which an agent does not see. "
    "Agents play an actor that was fitted to its Nash point, so no single curve belongs to what they see here."
)


def render(games: Mapping[str, Market], policies: Iterable[Path], inventories: Sequence[float]) -> str:
    """The page.

    A policy that sees the others' inventories, for which there is no control, is left out, and the page says so.

    Args:
        games: the market of each scenario, by its name.
        policies: files of weights, which name their scenario and policy, in the order in which they are shown. The
            record ``run.json`` beside a file tells which trainings diverged and how P11 is made; without one the
            advantage function is not shown.
        inventories: own inventories (shares) of the heat maps, in increasing order.

    Raises:
        ArtifactError: a file is missing, damaged, or not of that market.
    """
    shown: dict[str, list[dict[str, Any]]] = {name: [] for name in games}
    left_out = []
    for path in policies:
        weights = read_weights(path)
        policy, scenario = (str(weights.meta.get(key)) for key in ("policy", "scenario"))
        if scenario not in games:
            raise ArtifactError(f"{path}: of scenario {scenario}; give a policy in {' or '.join(games)}")
        if weights.observation.inventories == "visible":
            left_out.append(f"{policy} sees the others' inventories, for which there is no control here.")
        else:
            shown[scenario].append(_policy(policy, path, weights, games[scenario]))
    scenarios = [_scenario(name, games[name], of) for name, of in shown.items() if of]
    content = {
        "rateColours": _shades(RATE_COLOURS),
        "differenceColours": _shades(DIFFERENCE_COLOURS),
        "rateLimit": FIG2_RATE_LIMIT,
        "seatColours": _SEATS,
        "divergedColour": DIVERGED,
        "inventories": list(inventories),
        "scenarios": scenarios,
    }
    text = json.dumps(content, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")  # no tag ends the script
    return Template(_beside(".html")).substitute(
        data=text,
        script=_beside(".js"),
        hidden="" if scenarios else " hidden",
        diverged=DIVERGED,
        left_out=html.escape(" ".join(dict.fromkeys(left_out))),
    )


def _beside(suffix: str) -> str:
    return Path(__file__).with_suffix(suffix).read_text(encoding="utf-8")


def _shades(name: str) -> list[str]:
    """The colours of one of matplotlib's scales, from its lower to its upper end."""
    return [to_hex(colour) for colour in matplotlib.colormaps[name](np.linspace(0, 1, _SHADES))]


def _scenario(name: str, game: Market, policies: Sequence[dict[str, Any]]) -> dict[str, Any]:
    derived = {"dt": game.dt, "price_sd": game.price_sd, "impact_sd": game.impact_sd}
    return {
        "name": name,
        "game": {**dataclasses.asdict(game), **derived},
        "sliders": _sliders(game, _uses_own_flow(policies)),
        "policies": policies,
    }


def _uses_own_flow(policies: Sequence[Mapping[str, Any]]) -> bool:
    """Whether an agent's own past flow makes a difference to any network."""
    advantages = [policy["advantage"] for policy in policies if policy["advantage"]]
    networks = [policy["actor"] for policy in policies]
    networks += [advantage[name] for advantage in advantages for name in ("network", "value") if advantage[name]]
    return any(row[-1] != 0 for network in networks for row in network["view"])


def _policy(policy: str, path: Path, weights: Weights, game: Market) -> dict[str, Any]:
    record = read_run(path, weights)
    if not weights.is_of_market(record):
        raise ArtifactError(f"{path}: of another game than the market; give a policy of it")
    lost = {member["seed"] for member in record["members"] if member["diverged"]} if record else set()
    diverged = [seed in lost for seed in weights.seeds]
    known = [f"seed {seed}" + " (diverged)" * gone for seed, gone in zip(weights.seeds, diverged, strict=True)]
    sound = [k for k, gone in enumerate(diverged) if not gone]
    advantage, missing = _advantage(path, weights, record, game)
    plays = weights.networks["actor" if "actor" in weights.networks else "advantage"]
    return {
        "label": policy,
        "colour": ALGORITHM_COLOURS[weights.algorithm],
        "members": known if policy not in AUTHORS_POLICIES else ["as released"] * len(known),
        "diverged": diverged,
        "used": sound or list(range(len(diverged))),  # in means
        "bound": weights.bound,
        "actor": _network(path, plays, game, weights.observation),
        "advantage": advantage,
        "missing": missing,
    }


def _advantage(
    path: Path, weights: Weights, record: Mapping[str, Any] | None, game: Market
) -> tuple[dict[str, Any] | None, str]:
    """The advantage function, or why there is none to show.

    Its network is None where it is the policy's own, whose first output is mu; V's is None where it sees what is not
    visible.
    """
    if "advantage" not in weights.networks:
        return None, "It was trained without an advantage function."
    recipe = record["config"]["recipe"] if record else {}
    if "p11" not in recipe:
        return None, "No record of its training tells how P11 is made of the outputs of its advantage network."
    critic = recipe.get("critic")
    seen = weights.observation if critic is None else ObservationSpec(**critic)
    hidden, projected = seen.inventories == "visible", "actor" in weights.networks
    if projected and hidden:
        return None, _WHOLE_STATE
    advantage, value = (weights.networks[name] for name in ("advantage", "value"))
    return {
        "p11": recipe["p11"],
        "network": _network(path, advantage, game, seen) if projected else None,
        "value": None if hidden else _network(path, value, game, seen),
    }, ""


def _network(path: Path, network: Any, game: Market, spec: ObservationSpec) -> dict[str, Any]:
    """A network for the script: what it sees, its sizes, and all numbers, one member after the other.

    A member's numbers are the basis, weights and biases layer by layer, and the skip terms.
    """
    view = _view(game, spec)
    if not isinstance(network, ObservationNetwork) or network.sigma.weights[0].shape[1] != len(view):
        wrong = f"its network does not take the {len(view)} features it says it sees"
        raise ArtifactError(f"{path}: {wrong}; {remake(path)}")
    parts = [part for part in (network.basis, *network.sigma.parameters, network.skip) if part is not None]
    if any(part.shape[1] != game.n_steps for part in (network.basis, network.skip) if part is not None):
        wrong = f"its network is not of a market with {game.n_steps} decision points"
        raise ArtifactError(f"{path}: {wrong}; {remake(path)}")
    numbers = torch.cat([part.flatten(1) for part in parts], 1).to(torch.float32)
    if not numbers.isfinite().all():
        raise ArtifactError(f"{path}: weights are not finite; {remake(path)}")
    return {
        "view": view,
        "sizes": [len(view), *(weight.shape[2] for weight in network.sigma.weights)],
        "steps": game.n_steps,
        "basis": network.basis is not None,
        "terms": 0 if network.skip is None else network.skip.shape[2],
        "stride": numbers.shape[1],
        "weights": base64.b64encode(numbers.numpy().astype("<f4").tobytes()).decode("ascii"),
    }


def _view(game: Market, spec: ObservationSpec) -> list[list[float]]:
    """Rows of the matrix that makes features of (1, step, S, Y, the others' flow, own inventory, own flow).

    Observations are affine in these, so that one column after the other can be read off.
    """
    at = torch.cat([torch.zeros(1, 5), torch.eye(5)]).double()  # of these but the step, the origin first
    held, bought = torch.zeros(2, len(at), game.n_agents, dtype=torch.float64)
    price, impact, others, held[:, 0], bought[:, 0] = at.T
    bought[:, 1:] = others[:, None] / max(game.n_agents - 1, 1)
    (origin, *units), (later, *_) = (
        game.observe(MarketState(step, price, impact, held, held - bought), spec).own[:, 0] for step in (0, 1)
    )
    rows: list[list[float]] = torch.stack([origin, *(unit - origin for unit in (later, *units))], 1).tolist()
    return rows


def _sliders(game: Market, own_flow: bool) -> dict[str, list[dict[str, Any]]]:
    """The sliders of each group of controls; an agent's own past flow only where it makes a difference."""

    def slider(name: str, words: str, unit: str, low: float, high: float, step: float, value: float) -> dict[str, Any]:
        return {"name": name, "words": words, "unit": unit, "low": low, "high": high, "step": step, "value": value}

    scales = game.scales
    far, price_step = _round_end(_SPREADS * scales.price)
    low = game.theta - far if game.price_floor is None else max(game.theta - far, game.price_floor)
    price = slider("price", "Price S", "$", low, game.theta + far, price_step, game.theta)
    end, step = _round_end(_SPREADS * scales.impact)
    impact = slider("impact", "Transient impact Y", "$", -end, end, step, 0)
    held, step = _round_end(_SPREADS * scales.inventory)
    traded, traded_step = _round_end(_SPREADS * scales.flow)
    return {
        "state": [
            slider("time", "Time", "h", 0, game.horizon - game.dt, game.dt, 0),
            price,
            impact,
            slider("inventory", "Own inventory", "shares", -held, held, step, held / 5),
            slider("others", "The others' past order flow", "shares", -traded, traded, traded_step, 0),
            *([slider("flow", "Own past order flow", "shares", -held, held, step, 0)] if own_flow else []),
        ],
        "place": [price, impact],
        "episode": [slider("until", "Show it until", "h", 0, game.horizon, game.dt, game.horizon)],
    }


def _round_end(size: float) -> tuple[float, float]:
    """The next round number from a positive one on, and a step of which it is a multiple."""
    unit = 10.0 ** math.floor(math.log10(size))
    digit = next(digit for digit in (1, 1.5, 2, 2.5, 3, 4, 5, 7.5, 10) if digit * unit >= size * (1 - 1e-9))
    return float(f"{digit * unit:.6g}"), float(f"{unit / 20:.6g}")
