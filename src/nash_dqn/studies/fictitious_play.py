r"""Is it fictitious play that fails, or its learner? Algorithm 2 with best responses of four kinds.

=========  ============================================================================================================
learner    the best response
=========  ============================================================================================================
exact      Riccati's recursion (:func:`nash_dqn.games.mean_field.best_reply`), in linear markets where all is visible
gradient   a deviator (:mod:`nash_dqn.evaluation.best_response`) that starts anew from not trading in each round
ddpg       Algorithm 2's own: policies kept along trainings at the ends of best responses
td3        Stable-Baselines3's (:mod:`nash_dqn.studies.outside_learners`), anew in each round, against the last
=========  ============================================================================================================

In round n everybody but one agent plays the last best response (``last``, Algorithm 2), or the average of those of
rounds 1 to n - 1 and of not trading, where it all begins (``average``, the text). Exact and gradient responses meet the
mean of the past policies' actions, DDPG's one of them a time, drawn anew in each episode. What is measured is the best
response itself, as all agents' policy: its root mean square error against the exact equilibrium, or what a deviator
gains against it.

Random streams of gradient responses: a deviator's of seed ``seed + n`` in round n, restart k for training k. Those of
TD3's: as a training's there, of a seed of its own for each training and round.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from nash_dqn.agents.fictitious_play import FictitiousPlayRecipe
from nash_dqn.agents.least_squares import linear_network
from nash_dqn.evaluation import exploitability, lq_error
from nash_dqn.evaluation.best_response import BestResponseSettings, DeviatorClass, train
from nash_dqn.evaluation.rollout import FIRST, OTHERS
from nash_dqn.games.base import VISIBLE, Game, Observation, ObservationSpec
from nash_dqn.games.lq import FloatArray
from nash_dqn.games.market import Market
from nash_dqn.games.mean_field import best_reply, symmetric_equilibrium
from nash_dqn.networks import ActionMap
from nash_dqn.policy import Policy
from nash_dqn.settings.measures import OutsideSettings
from nash_dqn.studies import outside_learners
from nash_dqn.trees import tensor_map

__all__ = ["COLUMNS", "OPPONENTS", "error_of", "exact", "gain_of", "gradient", "linear_policy", "of_ddpg", "of_exact"]
__all__ += ["of_gradients", "of_td3", "round_of", "td3"]

Opponents = Literal["last", "average"]
OPPONENTS: tuple[Opponents, ...] = ("last", "average")
COLUMNS = ("learner", "sees", "opponents", "seed", "round", "measure", "value")
"""``measure``: ``error``, RMS of action less exact action as a share of the latter's, in states that the policy visits;
``coefficient``, largest error of a gain of u = -K z (exact responses); ``gain`` of a deviator, $."""


class Still(NamedTuple):
    """No trade, where networks stand: actions of zeros, of ``size`` entries."""

    size: int

    def __call__(self, observation: Observation, agents: slice = slice(None)) -> Tensor:
        own = observation.own[..., agents, :]
        return own.new_zeros(*own.shape[:-1], self.size)

    @property
    def parameters(self) -> list[Tensor]:
        return []


class Mean(NamedTuple):
    """The mean of several policies' actions, where networks stand."""

    policies: tuple[ActionMap, ...]

    def __call__(self, observation: Observation, agents: slice = slice(None)) -> Tensor:
        return torch.stack([policy(observation, agents) for policy in self.policies]).mean(0)

    @property
    def parameters(self) -> list[Tensor]:
        return [tensor for policy in self.policies for tensor in policy.parameters]


# ----------------------------------------------------------------------------------------------------- best responses


def exact(market: Market, opponents: Opponents, rounds: int) -> list[FloatArray]:
    """Exact best responses of each round, gains K [M, 4] of u = -K (S - theta, Y, q_i, mean of the others' q).

    Raises:
        NoEquilibriumError: there is no best response.
        ValueError: the market is not linear, or has one agent.
    """
    past: list[FloatArray] = [np.zeros((market.n_steps, 4))]
    for _ in range(rounds):
        past.append(best_reply(market, past[-1] if opponents == "last" else np.mean(past, 0)))
    return past[1:]


def gradient(
    game: Game,
    observation: ObservationSpec,
    deviator: DeviatorClass,
    opponents: Opponents,
    rounds: int,
    trainings: int,
    settings: BestResponseSettings,
) -> list[Policy]:
    """Best responses by gradients of each round, policies of a member for each independent training.

    Args:
        game: whose agents are one group.
        observation: what a response sees, in the game's own scales, and with ``memory`` its own past flow as well.
        deviator: ``same`` or ``memory``.
        opponents: whom it meets.
        rounds: number of best responses, one after the other.
        trainings: number of sequences of them, K.
        settings: of a response; ``restarts`` are not used, ``seed`` is that of round 0.
    """
    sees = dataclasses.replace(observation, scales=None, own_flow=observation.own_flow or deviator == "memory")
    seeds = range(1, trainings + 1)

    def policy(network: ActionMap) -> Policy:
        return Policy(network, sees, seeds, "gradient")

    past: list[ActionMap] = [Still(game.action_dim)]
    for n in range(1, rounds + 1):
        # A deviator adds to what its seat plays: to nothing, so that it is a policy of its own. Members share their
        # random numbers, restarts do not: restart k against member k makes the trainings independent.
        of_round = dataclasses.replace(settings, restarts=trainings, seed=settings.seed + n)
        alone, rest = policy(Still(game.action_dim)), policy(past[-1] if opponents == "last" else Mean(tuple(past)))
        found = train(game, [(alone, FIRST), (rest, OTHERS)], deviator, of_round, decorrelate=False)
        network = found.choose(range(trainings)).network  # of own features and the others' mean item, as networks are
        past.append(network.with_outputs(lambda tensor: tensor * game.action_scale))
    return [policy(network) for network in past[1:]]


def td3(
    game: Game, observation: ObservationSpec, rounds: int, settings: OutsideSettings, training: int
) -> list[Policy]:
    """TD3's best responses of each round to the last one, policies of one member.

    Args:
        game: whose agents are one group.
        observation: what a response sees.
        rounds: number of best responses, one after the other.
        settings: of a response; its ``seed`` is that of round 1 of training 0.
        training: number of the sequence, from 0.

    Raises:
        ModuleNotFoundError: the extra ``sb3`` is not installed.
        ValueError: ``environments`` does not divide ``transitions``.
    """
    last, found = Policy(Still(game.action_dim), observation, [training], "td3"), []
    for n in range(rounds):  # as many seeds further as a response uses
        seed = settings.seed + (training * rounds + n) * settings.environments
        last = outside_learners.train(game, last, "td3", settings, seed)
        found.append(last)
    return found


def round_of(recipe: FictitiousPlayRecipe, transitions: int, n_steps: int) -> int | None:
    """The round, from 1, that ended at that number of joint transitions; None where none did."""
    epochs, rest = divmod(transitions, recipe.episodes_per_epoch * n_steps)
    begun, within = recipe.position(epochs)
    return begun if begun and not within and not rest else None


# ------------------------------------------------------------------------------------------------------------- measures

Measure = Callable[[Policy], Sequence[float]]
"""A number for each member of a policy that all agents follow; nan where it is not finite."""


def error_of(market: Market, episodes: int, seed: int) -> Measure:
    """Root mean square error over all steps, in states that the policy visits, as a share of the exact action's.

    Arguments and errors are those of :func:`nash_dqn.evaluation.lq_error.evaluate`.
    """

    def measure(policy: Policy) -> list[float]:
        table = lq_error.evaluate(market, [policy], episodes, seed)
        counts = (table["visited_by"] == "learned") & (table["step"] == lq_error.ALL_STEPS)
        return [*map(float, table.loc[counts, "relative"])]

    return measure


def gain_of(
    game: Game, deviator: DeviatorClass, settings: BestResponseSettings, paths: int, validation_paths: int
) -> Measure:
    """What agent 1 gains by a deviation, $.

    Arguments and errors are those of :func:`nash_dqn.evaluation.exploitability.evaluate`.
    """

    def measure(policy: Policy) -> list[float]:
        table = exploitability.evaluate(game, policy, settings, paths, validation_paths, (deviator,), players=(0,))
        return [*map(float, table.loc[table["player"] == "1", "gain"])]

    return measure


def of_exact(market: Market, rounds: int, measure: Measure) -> pd.DataFrame:
    """Error of exact responses (:func:`error_of`) and of their largest coefficient, by round; nothing is random.

    Returns:
        Table with :data:`COLUMNS`, ``seed`` 0.
    """
    right, tables = symmetric_equilibrium(market).gains, []
    for opponents in OPPONENTS:
        found = exact(market, opponents, rounds)
        names = {"learner": "exact", "sees": "same", "opponents": opponents, "seed": 0, "round": range(1, rounds + 1)}
        largest = [float(np.abs(gains - right).max()) for gains in found]
        for name, values in (("coefficient", largest), ("error", measure(linear_policy(market, found)))):
            tables.append(pd.DataFrame({**names, "measure": name, "value": list(values)}))
    return pd.concat(tables, ignore_index=True)[list(COLUMNS)]


def of_gradients(
    game: Game,
    observation: ObservationSpec,
    deviators: Sequence[DeviatorClass],
    rounds: int,
    trainings: int,
    settings: BestResponseSettings,
    name: str,
    measure: Measure,
) -> pd.DataFrame:
    """A measure of this name of gradient responses, by class, opponents, round and training.

    All of a sequence's are measured side by side. Other arguments are those of :func:`gradient`.

    Returns:
        Table with :data:`COLUMNS`.
    """
    tables = []
    for deviator in deviators:
        for opponents in OPPONENTS:
            found = gradient(game, observation, deviator, opponents, rounds, trainings, settings)
            networks = tensor_map(lambda *tensors: torch.cat(tensors), *(policy.network for policy in found))
            places = pd.MultiIndex.from_product([range(1, rounds + 1), found[0].seeds], names=["round", "seed"])
            whole = dataclasses.replace(found[0], network=networks, seeds=range(len(places)))
            names = {"learner": "gradient", "sees": deviator, "opponents": opponents, "measure": name}
            tables.append(places.to_frame(index=False).assign(**names, value=list(measure(whole))))
    return pd.concat(tables, ignore_index=True)[list(COLUMNS)]


def of_td3(
    game: Game, observation: ObservationSpec, rounds: int, settings: OutsideSettings, name: str, measure: Measure
) -> pd.DataFrame:
    """A measure of this name of TD3's responses, by round and training, ``settings.trainings`` of them.

    Other arguments and errors are those of :func:`td3`.

    Returns:
        Table with :data:`COLUMNS`.
    """
    rows = [
        ("td3", "same", "last", k + 1, n, name, *measure(policy))
        for k in range(settings.trainings)
        for n, policy in enumerate(td3(game, observation, rounds, settings, k), start=1)
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def of_ddpg(
    found: Iterable[tuple[int, int, float]], record: Mapping[str, Any], n_steps: int, name: str
) -> pd.DataFrame:
    """A measure of this name of DDPG's responses where a round ended, by round and seed; nan once a training diverged.

    Args:
        found: seed, joint transitions and value of the policies kept along a training.
        record: of the training.
        n_steps: of the game.
        name: of the measure.

    Returns:
        Table with :data:`COLUMNS`.
    """
    recipe = FictitiousPlayRecipe.from_dict(record["config"]["recipe"])
    lost = {member["seed"]: member["transitions"] for member in record["members"] if member["diverged"]}
    values: dict[tuple[int, int], float] = {}
    for seed, transitions, value in found:
        ended = round_of(recipe, transitions, n_steps)
        if ended is not None and transitions < lost.get(seed, math.inf):
            values[ended, seed] = value
    rounds, seeds = sorted({ended for ended, _ in values}), [member["seed"] for member in record["members"]]
    names = "ddpg", "same", recipe.opponents
    rows = [(*names, k, n, name, values.get((n, k), math.nan)) for n in rounds for k in seeds]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"seed": int, "round": int, "value": float})


def linear_policy(market: Market, gains: Sequence[FloatArray]) -> Policy:
    """A policy that plays u = -K z and sees all inventories, with a member for each of several K [M, 4]."""
    scales = market.scales
    units = np.array([scales.price, scales.impact, scales.inventory, scales.inventory])
    # Features of a step: 1 for time, price, impact, order flow, own inventory, mean of the others'.
    skip = torch.zeros(len(gains), market.n_steps, 6, 1)
    skip[:, :, [1, 2, 4, 5], 0] = torch.from_numpy(-np.stack(gains) * units).float()
    return Policy(linear_network(skip), VISIBLE, range(1, len(gains) + 1), "exact")
