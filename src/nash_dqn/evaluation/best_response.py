"""The best response of one agent while the others keep their policies, by gradients through the game.

The game is a differentiable function of actions and shocks (:class:`nash_dqn.games.base.Game`), so a deviating agent's
policy is trained on its mean total reward (1) directly: gradients run through the game and through the others'
policies, which are frozen as functions of what they observe. What the trained deviator gains on fresh episodes is a
lower bound of what violates equation (2), whatever the training did. How sharp a bound is tested where the best
response is known exactly.

The deviator plays its policy's action plus a correction, zero at first: terms linear in what it knows, a set of
coefficients for each step, and a small network for the rest. What it knows is a matter of its class:

===========  =======================================================================================================
class        the correction sees
===========  =======================================================================================================
``same``     what the deviating agent's policy sees
``memory``   also its own past order flow, which it knows and the others react to (of visible agents: each one's)
``history``  as ``memory``, and its own features of every earlier step
===========  =======================================================================================================

A set of others' items enters as its mean, of each group of agents. The correction takes all this in axes in which it is
uncorrelated (:mod:`nash_dqn.agents.decorrelation`): in the plain features, 400 gradient steps find 0.0135 of 0.0147
where the market's `nash-refined` is deviated from, and 300 in these axes find all. Random streams of (seed,
``best_response``): ``axes``; ``initialisation``, r and ``episodes``, r of restart r. Policies and classes share them.
"""

from __future__ import annotations

import dataclasses
import logging
import operator
from collections.abc import Sequence
from typing import NamedTuple, get_args

import torch
from torch import Generator, Tensor

from nash_dqn.agents.decorrelation import unit_axes
from nash_dqn.agents.learner import Learner, half_cosine
from nash_dqn.evaluation.rollout import CHUNK, Played, Profile, play, steps
from nash_dqn.games.base import Game, Observation, ObservationSpec, Shocks, State, discounts
from nash_dqn.networks import ObservationNetwork
from nash_dqn.seeding import generator
from nash_dqn.settings.measures import BestResponseSettings, DeviatorClass
from nash_dqn.trees import select, tensor_map

__all__ = [
    "BestResponse",
    "BestResponseSettings",
    "Deviation",
    "DeviatorClass",
    "Gains",
    "measure",
    "play_deviation",
    "train",
]

logger = logging.getLogger(__name__)

_PATHS, _NOISE = 2000, 0.3  # on which a deviator's axes are found; its noise there, in units of the action scale


class Deviation(NamedTuple):
    """What K deviators add to their policies' actions.

    Attributes:
        observation: what the correction sees at a step.
        history: whether it also sees the own features of earlier steps.
        network: the correction, in units of the game's action scale.
    """

    observation: ObservationSpec
    history: bool
    network: ObservationNetwork


class BestResponse(NamedTuple):
    """Trained deviators from the P members of a profile, R restarts each.

    Attributes:
        deviation: of K = P R deviators, the restarts of a member side by side.
        progress: ``[iterations, P, R]`` mean total reward of the deviator over the episodes of each iteration.
        sound: ``[P, R]`` whether progress and weights stayed finite.
    """

    deviation: Deviation
    progress: Tensor
    sound: Tensor

    def choose(self, restarts: Sequence[int]) -> Deviation:
        """One restart for each of the P members."""
        index = [p * self.sound.shape[1] + r for p, r in enumerate(restarts)]
        return self.deviation._replace(network=select(self.deviation.network, index))


class Gains(NamedTuple):
    """What deviators gain on common random numbers, path by path, double precision.

    Attributes:
        gain: ``[P, R, S, paths]`` total reward with the deviation less without, in each of S seats.
        value: ``[P, S, paths]`` total reward without.
    """

    gain: Tensor
    value: Tensor


def train(
    game: Game,
    played: Played,
    deviator: DeviatorClass,
    settings: BestResponseSettings,
    seat: int = 0,
    decorrelate: bool = True,
) -> BestResponse:
    """Train one agent's best response to each of a profile's P members, all restarts as one ensemble.

    A training whose rewards or weights stop being finite is reported by ``sound`` and a warning, not hidden: it
    leaves the others untouched.

    Args:
        game: the game.
        played: who plays what, P members.
        deviator: class of the deviator.
        settings: of the training.
        seat: the deviating agent.
        decorrelate: whether features are uncorrelated where nobody deviates: not where the seat trades nothing, as its
            response leads far from there.

    Raises:
        ValueError: no such class or agent, or a profile that cannot be played (:func:`play`).
    """
    if deviator not in get_args(DeviatorClass):
        raise ValueError(f"deviator = {deviator!r}: allowed are {', '.join(map(repr, get_args(DeviatorClass)))}")
    profile, restarts = Profile(game, played), settings.restarts
    members = profile.members
    # Its own sizes: what the policy's features are divided by is not to decide how well a deviator learns.
    observation = dataclasses.replace(profile.policy_of(seat).observation, scales=None)
    if deviator != "same":
        observation = dataclasses.replace(observation, own_flow=True)
    history = deviator == "history"

    streams = [generator(settings.seed, "best_response", "initialisation", r) for r in range(restarts)]
    own, items = game.observation_size(observation)
    inputs = own + items * len(game.groups) + (_past_size(game, observation) if history else 0)
    network = ObservationNetwork.create(
        inputs, 0, (), settings.hidden, game.action_dim, streams, skip=(game.n_steps, 1)
    )
    for last in (network.sigma.weights[-1], network.sigma.biases[-1]):
        last.zero_()
    repeated = profile.repeat(restarts)
    network = tensor_map(lambda t: torch.cat([t] * members), network)
    if decorrelate:
        axes = _axes(game, profile, observation, history, seat, settings.seed)
        network = network._replace(basis=axes.repeat_interleave(restarts, 0))
    learner = Learner.create(network, settings.learning_rate)
    deviation = Deviation(observation, history, learner.network)
    episodes = [generator(settings.seed, "best_response", "episodes", r) for r in range(restarts)]
    progress = torch.empty(settings.iterations, members, restarts)
    for iteration in range(settings.iterations):
        size = settings.episodes, game.normals_per_episode
        normals = torch.stack([torch.randn(size, generator=stream) for stream in episodes])
        shocks = game.shocks_from_normals(normals.repeat(members, 1, 1))
        reward = play_deviation(game, repeated, deviation, shocks, seat).mean(1)
        progress[iteration] = reward.detach().view(members, restarts)
        learner.step(-reward.sum(), rate=half_cosine(iteration / settings.iterations))

    weights = torch.stack([t.isfinite().flatten(1).all(1) for t in learner.network.parameters]).all(0)
    sound = progress.isfinite().all(0) & weights.view(members, restarts)
    for p, r in (~sound).nonzero().tolist():
        logger.warning("best response (%s) to member %d, restart %d: training is not finite", deviator, p, r)
    return BestResponse(deviation._replace(network=learner.snapshot()), progress, sound)


def play_deviation(game: Game, played: Played, deviation: Deviation, shocks: Shocks, seat: int = 0) -> Tensor:
    """Total reward ``[K, E]`` of the deviating agent, equation (1), with gradients unless switched off.

    Profile and deviation have K members; shocks are of E episodes of each, leaves ``[K, E, ...]``.
    """
    profile, past = Profile(game, played), list[Tensor]()
    here = torch.eye(game.n_agents)[seat].unsqueeze(-1)

    def act(state: State) -> Tensor:
        seen = _features(game, deviation.observation, deviation.history, state, seat, past)
        return profile.act(state) + here * (game.action_scale * deviation.network(seen))

    total, discount = torch.zeros(()), discounts(game)[seat]
    for m, step in enumerate(steps(game, act, shocks)):
        total = torch.add(total, step.rewards[..., seat], alpha=discount**m)
    return total


@torch.no_grad()
def measure(
    game: Game,
    played: Played,
    deviation: Deviation,
    paths: int,
    stream: Generator,
    seats: Sequence[int] = (0,),
) -> Gains:
    """Gains of trained deviators in some seats, on the same paths as the profile without deviation.

    Paths are played block by block: memory grows with them by their shocks and the result only.

    Args:
        game: the game.
        played: who plays what, P members.
        deviation: of P R deviators, the restarts of a member side by side.
        paths: number of paths, the same for all.
        stream: of their random numbers.
        seats: agents that deviate, one at a time.

    Raises:
        ValueError: a profile that cannot be played, or numbers of members that do not fit.
    """
    profile, deviators = Profile(game, played), len(deviation.network.sigma.weights[0])
    restarts, rest = divmod(deviators, profile.members)
    if rest:
        raise ValueError(f"{deviators} deviators cannot meet {profile.members} members: give the same number for each")
    shocks = game.sample_shocks(paths, stream)
    value = play(game, played, shocks)[..., list(seats)].double().movedim(1, -1)
    repeated = profile.repeat(restarts)
    gain = torch.empty(profile.members, restarts, len(seats), paths, dtype=torch.float64)
    block = max(1, CHUNK // deviators)
    for start in range(0, paths, block):
        part = slice(start, start + block)
        of_block = shocks.map(operator.itemgetter(part)).map(lambda leaf: leaf.expand(deviators, *leaf.shape))
        for s, seat in enumerate(seats):
            found = play_deviation(game, repeated, deviation, of_block, seat).double()
            gain[:, :, s, part] = found.view(profile.members, restarts, -1)
    return Gains(gain - value.unsqueeze(1), value)


def _features(
    game: Game, spec: ObservationSpec, history: bool, state: State, seat: int, past: list[Tensor]
) -> Observation:
    """What a correction sees, ``[K, E, 1, C]``; appends the own features to those of the steps before."""
    seen = game.observe(state, spec)
    own = seen.own[..., seat, :]
    features = [own]
    if seen.items is not None:
        for group in game.groups:
            total, count = seen.items[..., group.start : group.stop, :].sum(-2), len(group)
            if seat in group:
                total, count = total - seen.items[..., seat, :], count - 1
            features.append(total / max(count, 1))
    if history:
        unseen = own.new_zeros(*own.shape[:-1], _past_size(game, spec) - sum(p.shape[-1] for p in past))
        features += [*past, unseen]
        past.append(own[..., 1:])
    return seen._replace(own=torch.cat(features, -1).unsqueeze(-2), items=None)


@torch.no_grad()
def _axes(game: Game, profile: Profile, spec: ObservationSpec, history: bool, seat: int, seed: int) -> Tensor:
    """:func:`unit_axes` ``[P, M, C, C]`` of what a correction sees at each step.

    The deviating agent adds noise to its policy's action: what it sees only by deviating has to have a size too.
    """
    past = list[Tensor]()
    stream, here = generator(seed, "best_response", "axes"), torch.eye(game.n_agents)[seat].unsqueeze(-1)
    shocks = game.sample_shocks(_PATHS, stream).map(lambda leaf: leaf.expand(profile.members, *leaf.shape))
    noise = _NOISE * game.action_scale * torch.randn(game.n_steps, _PATHS, 1, game.action_dim, generator=stream)
    played_steps = steps(game, lambda state: profile.act(state) + here * noise[state.step], shocks)
    features = [_features(game, spec, history, step.state, seat, past).own for step in played_steps]
    return torch.stack([unit_axes(of_step.flatten(1, -2)) for of_step in features], 1)


def _past_size(game: Game, observation: ObservationSpec) -> int:
    """Number of own features of all steps before the last, time left out."""
    return (game.n_steps - 1) * (game.observation_size(observation)[0] - 1)
