"""``nash-dqn check``: is a game what the learners take it for, and is its exact equilibrium found?

The first thing to try with a game of one's own. Agents act at random, ``action_scale`` times standard normals; then
they play the equilibrium.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import yaml
from torch import Generator, Tensor

from nash_dqn.games.base import VISIBLE, Game, discounts
from nash_dqn.games.catalogue import make
from nash_dqn.games.lq import LinearPolicies, LQGame, NoEquilibriumError, exploitability, solve_nash
from nash_dqn.seeding import generator

__all__ = ["Finding", "findings", "render", "summarise"]

EPISODES = 20_000
ROUND_OFF = 1e-8
"""Largest difference, as a share of what is compared, that counts as none."""
STANDARD_ERRORS = 6.0
"""Largest deviation of a mean, in standard errors, that counts as chance: beyond it in 1 of 5e8 comparisons."""


class Finding(NamedTuple):
    """What was looked at, the outcome in words, and whether it is as it should be."""

    what: str
    outcome: str
    passed: bool


def findings(game: Game, source: Generator, episodes: int = EPISODES) -> Iterator[Finding]:
    """Look at a game, one thing after the other, as far as it goes.

    *batches*: episodes played together pay what each pays alone. *observations*: finite, of the size that is said.
    *linear-quadratic*: the simulator's derivatives do not vary (:mod:`nash_dqn.games.derive`). *equilibrium*: it
    exists, and nobody gains by leaving it. *groups*: agents of a group, who differ in nothing, are worth the same in
    it. *returns*: simulated episodes pay its exact value on average, but for a sampling error.

    Raises:
        ValueError: groups, shapes of what the game returns, or its steps are not as they must be; named.
    """
    covered = [agent for group in game.groups for agent in group]
    if covered != list(range(game.n_agents)):
        raise ValueError(f"groups = {game.groups}: allowed are ranges that cut 0..{game.n_agents - 1}, in order")
    yield from _random_play(game, source)
    try:
        lq = game.as_lq()
    except ValueError as error:
        yield Finding("linear-quadratic", str(error).removeprefix("not linear-quadratic: "), False)
        return
    yield Finding("linear-quadratic", f"{lq.state_dim} state variables, {sum(lq.action_dims)} actions", True)
    try:
        policies, values = solve_nash(lq)
    except NoEquilibriumError as error:
        yield Finding("equilibrium", " ".join(str(error).split()), False)
        return
    worth = values.expected(lq.initial_mean, lq.initial_covariance)
    scale = max(1.0, float(np.abs(worth).max()))
    gain = float(np.abs(exploitability(lq, policies)).max())
    yield Finding("equilibrium", f"nobody gains more than {gain:.1e} by leaving it", gain <= ROUND_OFF * scale)
    apart = max(float(np.ptp(worth[group.start : group.stop])) for group in game.groups)
    names = ", ".join(f"{worth[group.start]:.6g}" for group in game.groups)
    yield Finding("groups", f"worth {names}; agents within one differ by {apart:.1e}", apart <= ROUND_OFF * scale)
    surprise = _returns(game, lq, policies, source, episodes) - torch.from_numpy(worth)
    errors = surprise.mean(0).abs() / (surprise.std(0) / math.sqrt(episodes)).clamp(min=ROUND_OFF * scale)
    worst = float(errors.max())
    yield Finding("returns", f"{worst:.1f} standard errors from that, the worst agent's", worst <= STANDARD_ERRORS)


def _random_play(game: Game, source: Generator, episodes: int = 6) -> Iterator[Finding]:
    """A few episodes, together and each alone."""
    normals = _draw(source, episodes, game.normals_per_episode)
    together = shocks = game.shocks_from_normals(normals)
    state, size = game.reset(together), game.observation_size(VISIBLE)
    each = [(game.reset(alone), alone) for alone in (game.shocks_from_normals(of) for of in normals)]
    apart, finite = 0.0, True
    for m in range(game.n_steps):
        seen = game.observe(state, VISIBLE)
        _shape("observe: own features", seen.own, (episodes, game.n_agents, size[0]))
        if (seen.items is not None) != (size[1] > 0):
            raise ValueError(f"observe: items are {seen.items}, but observation_size says {size[1]} features of each")
        if seen.items is not None:
            _shape("observe: items", seen.items, (episodes, game.n_agents, size[1]))
        finite &= bool(seen.own.isfinite().all())
        actions = game.action_scale * _draw(source, episodes, game.n_agents, game.action_dim)
        state, paid = game.step(state, actions, shocks)
        _shape("step: rewards", paid, (episodes, game.n_agents))
        if state.step != m + 1:
            raise ValueError(f"step: the state after step {m} says step = {state.step}, expected {m + 1}")
        stepped = [game.step(of, action, alone) for (of, alone), action in zip(each, actions, strict=True)]
        each = [(after, alone) for (after, _), (_, alone) in zip(stepped, each, strict=True)]
        alone = torch.stack([reward for _, reward in stepped])
        apart = max(apart, float((paid - alone).abs().max() / paid.abs().max().clamp(min=1e-300)))
    yield Finding("batches", f"{episodes} episodes together and each alone differ by {apart:.1e}", apart <= ROUND_OFF)
    yield Finding("observations", f"{size[0]} features, {size[1]} of each other agent's", finite)


def _returns(game: Game, lq: LQGame, policies: LinearPolicies, source: Generator, episodes: int) -> Tensor:
    """Discounted returns ``[E, N]`` in the simulator where all follow the policies."""
    shocks = game.shocks_from_normals(_draw(source, episodes, game.normals_per_episode))
    state, total = game.reset(shocks), torch.zeros(episodes, game.n_agents, dtype=torch.float64)
    gamma = torch.tensor(discounts(game), dtype=torch.float64)
    for m in range(game.n_steps):
        action = torch.from_numpy(policies.act(m, game.state_vector(state).numpy()))
        state, paid = game.step(state, action.unflatten(-1, (game.n_agents, game.action_dim)), shocks)
        total += gamma**m * paid
    return total


def _draw(source: Generator, *size: int) -> Tensor:
    return torch.randn(*size, generator=source, dtype=torch.float64)


def _shape(name: str, tensor: Tensor, shape: tuple[int, ...]) -> None:
    if tuple(tensor.shape) != shape:
        raise ValueError(f"{name}: shape {tuple(tensor.shape)}, expected {shape}")


def summarise(game: str, fields: Sequence[str] = ()) -> dict[str, Any]:
    """The :func:`findings` about a game, ``module.Class``, with ``FIELD=VALUE`` in YAML.

    Raises:
        ValueError: there is no such game or field, a value is not allowed, or the game cannot be played.
    """
    settings: dict[str, Any] = {}
    for name, value in map(_field, fields):
        if name in settings:
            raise ValueError(f"{name}: given twice, expected each field once")
        settings[name] = value
    try:
        found = list(findings(make(game, settings), generator(1, "check")))
    except OverflowError:
        raise ValueError(f"{game}: a number of its settings is too large to compute with") from None
    return {
        "game": game,
        "settings": settings,
        "passed": all(row.passed for row in found),
        "findings": [row._asdict() for row in found],
    }


def render(summary: dict[str, Any]) -> str:
    """The summary as text, a line for each finding."""
    settings = ", ".join(f"{name} = {value}" for name, value in summary["settings"].items())
    lines = [f"{summary['game']}{f' with {settings}' if settings else ''}"]
    for row in summary["findings"]:
        lines.append(f"  {'ok   ' if row['passed'] else 'WRONG'}  {row['what']:16}  {row['outcome']}")
    return "\n".join(lines)


def _field(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise ValueError(f"{text!r}: expected FIELD=VALUE, such as n_agents=3")
    try:
        return name, yaml.safe_load(value)
    except yaml.YAMLError:
        raise ValueError(f"{text!r}: {value!r} is no YAML") from None
