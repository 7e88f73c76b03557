"""Best responses by other learners beside those by gradients: same opponents, same paths, and the data each used.

DDPG is Algorithm 2's own. DDPG and TD3 of Stable-Baselines3 (A. Raffin et al., Journal of Machine Learning Research
22(268), 2021) come as they are: networks, batch size, learning rates and the rest are that library's defaults. Said are
only the budget, the number of environments, the largest action, the noise, which the library leaves to its user, and
the game's own discount.

These two need the optional extra ``sb3``. That library seeds the global generators of Python, NumPy and torch; here
they are put back as they were when a training is over. Random streams of a training: the library's own of its seed, and
(seed, ``deviator_env``) of its first environment, (seed + 1, ``deviator_env``) of the next and so on.
"""

from __future__ import annotations

import dataclasses
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from nash_dqn.agents.fictitious_play import FictitiousPlay, FictitiousPlayRecipe
from nash_dqn.callable_policy import policy_of
from nash_dqn.evaluation.best_response import BestResponseSettings, DeviatorClass
from nash_dqn.evaluation.best_response import train as train_by_gradients
from nash_dqn.evaluation.exploitability import best_found, best_restarts, gain_interval, name_of
from nash_dqn.evaluation.rollout import FIRST, OTHERS, play
from nash_dqn.evaluation.statistics import mean_interval
from nash_dqn.games.base import Game, Shocks, discounts
from nash_dqn.games.market import Market
from nash_dqn.policy import Policy
from nash_dqn.seeding import generator
from nash_dqn.settings.measures import OutsideLearner, OutsideSettings

__all__ = ["COLUMNS", "LEARNER_COLUMNS", "SECONDS", "OutsideSettings", "compare", "ddpg_comparison", "train"]

LEARNER_COLUMNS = ("learner", "deviator", "opponents", "transitions", "gain", "low", "high")
COLUMNS = ("learner", "seed", *LEARNER_COLUMNS[1:])
SECONDS = "wall_seconds"
"""Column of the time of each row's training: never twice the same, so it does not belong in a table that is kept."""


def ddpg_comparison(
    game: Market,
    policy: Policy,
    recipe: FictitiousPlayRecipe,
    settings: BestResponseSettings,
    paths: int,
    validation_paths: int,
    seed: int,
    deviators: Sequence[DeviatorClass] = ("same", "memory"),
) -> pd.DataFrame:
    """DDPG's best response to a policy beside those by gradients: same opponents, same measurement.

    DDPG trains as in Algorithm 2: agent 0 for the recipe's ``first_epochs``, seeing what the policy sees (class
    ``same``); meanwhile the opponents' actions are clipped to the recipe's bound. The policy has one member. Either
    learner has ``settings.restarts`` trainings, DDPG's seeds are ``settings.seed`` and those after; the best on
    validation paths is measured in seat 0 on fresh ones, as :func:`nash_dqn.evaluation.exploitability.evaluate` does.

    Returns:
        Table with :data:`LEARNER_COLUMNS` and :data:`SECONDS`, a row for DDPG and one per class: ``transitions`` are
        joint ones, of all restarts; the mean ``gain`` of total reward (1) with its 95 % interval. DDPG may lose; the
        gradient learner may not.

    Raises:
        BestResponseError: a gradient deviator loses, or no restart of a learner stayed finite.
        ValueError: the policy has not one member.
    """
    if len(policy.seeds) != 1:
        raise ValueError(f"policy has {len(policy.seeds)} members: allowed is one")
    opponents = name_of(policy, 0)
    started = time.perf_counter()
    actor, transitions = _train_ddpg(game, policy, recipe, settings)
    seconds = time.perf_counter() - started
    validation, fresh = (
        _gain(game, policy, actor, game.sample_shocks(count, generator(seed, "exploitability", name)))
        for name, count in (("validation", validation_paths), ("paths", paths))
    )
    (best,) = best_restarts(validation.mean(-1)[None], [f"DDPG's best response to {opponents}"])
    rows = [("ddpg", "same", opponents, transitions, *mean_interval(fresh[best].numpy())[:3], seconds)]
    for deviator in deviators:
        started = time.perf_counter()
        response = train_by_gradients(game, policy, deviator, settings)
        seconds = time.perf_counter() - started
        name = f"best response ({deviator})"
        found = best_found(game, policy, response, paths, validation_paths, seed, name)
        interval = gain_interval(found.gain[0, 0], found.value[0, 0], f"{opponents}, deviator {deviator}, player 1")
        transitions = settings.restarts * settings.iterations * settings.episodes * game.n_steps
        rows.append(("gradient", deviator, opponents, transitions, *interval[:3], seconds))
    return pd.DataFrame(rows, columns=[*LEARNER_COLUMNS, SECONDS])


def train(game: Game, policy: Policy, learner: OutsideLearner, settings: OutsideSettings, seed: int) -> Policy:
    """What Stable-Baselines3 learns as agent 0 while all others follow the policy, of one member; it sees what they do.

    The same seed gives the same policy on one type of machine with one torch thread.

    Raises:
        ModuleNotFoundError: the extra ``sb3`` is not installed.
        ValueError: the policy has not one member, or ``environments`` does not divide ``transitions``.
    """
    stable_baselines3 = _stable_baselines3()
    from stable_baselines3.common.noise import NormalActionNoise
    from stable_baselines3.common.vec_env import DummyVecEnv

    from nash_dqn.studies.deviator_env import DeviatorEnv

    _quotient("transitions", settings.transitions, "environments", settings.environments)

    def environment() -> DeviatorEnv:
        return DeviatorEnv(game, policy, action_bound=settings.action_bound)

    spread = np.full(game.action_dim, settings.noise / settings.action_bound)
    with _global_generators_kept():
        model = {"ddpg": stable_baselines3.DDPG, "td3": stable_baselines3.TD3}[learner](
            "MlpPolicy",
            DummyVecEnv([environment] * settings.environments),
            gamma=discounts(game)[0],
            action_noise=NormalActionNoise(np.zeros_like(spread), spread),
            seed=seed,
            device="cpu",
        )
        model.learn(settings.transitions)
    return policy_of(lambda rows: model.predict(rows, deterministic=True)[0], policy.observation, f"sb3_{learner}")


def compare(
    game: Market,
    policy: Policy,
    settings: OutsideSettings,
    recipe: FictitiousPlayRecipe,
    gradient: BestResponseSettings,
    paths: int,
    deviators: Sequence[DeviatorClass] = ("same", "memory"),
) -> pd.DataFrame:
    """Best responses of Stable-Baselines3's learners, our DDPG and gradients to a policy, training by training.

    ``settings`` say how much all learners train: epochs of our DDPG's recipe and iterations, restarts and seed of the
    gradient learner follow from them. Gains are measured as in :func:`ddpg_comparison`, at ``settings.seed``.

    Returns:
        Table with :data:`COLUMNS` and :data:`SECONDS`, a row per learner, class and training: as in
        :func:`ddpg_comparison`, but for ``transitions``, which are those of the one training.

    Raises:
        BestResponseError: a gradient deviator loses, or a training of our DDPG is not finite.
        ModuleNotFoundError: the extra ``sb3`` is not installed.
        ValueError: the policy has not one member, or the budget is no whole number of a learner's updates.
    """
    _stable_baselines3()  # before anything takes time
    budget, at_once = settings.transitions, {"epochs": recipe.episodes_per_epoch, "iterations": gradient.episodes}
    epochs, iterations = (
        _quotient("transitions", budget, f"the transitions of our learners' {name}", episodes * game.n_steps)
        for name, episodes in at_once.items()
    )
    recipe = dataclasses.replace(recipe, first_epochs=epochs)
    tables = []
    shocks = game.sample_shocks(paths, generator(settings.seed, "exploitability", "paths"))
    for seed in settings.seeds:
        one = dataclasses.replace(gradient, iterations=iterations, restarts=1, seed=seed)
        # With one restart there is none to choose: two validation paths are the fewest allowed.
        tables.append(ddpg_comparison(game, policy, recipe, one, paths, 2, settings.seed, deviators).assign(seed=seed))
        for learner in settings.learners:
            started = time.perf_counter()
            response = train(game, policy, learner, settings, seed)
            seconds = time.perf_counter() - started
            interval = mean_interval(_gain(game, policy, response, shocks)[0].numpy())
            row = (response.name, seed, "same", name_of(policy, 0), budget, *interval[:3], seconds)
            tables.append(pd.DataFrame([row], columns=[*COLUMNS, SECONDS]))
    return pd.concat(tables, ignore_index=True)[[*COLUMNS, SECONDS]]


def _train_ddpg(
    game: Market, policy: Policy, recipe: FictitiousPlayRecipe, settings: BestResponseSettings
) -> tuple[Policy, int]:
    """Actors of all restarts and the transitions they used."""
    restarts = settings.restarts
    recipe = dataclasses.replace(recipe, observation=policy.observation, opponents="last")
    seeds = list(range(settings.seed, settings.seed + restarts))
    trainer = FictitiousPlay(game, recipe, seeds, torch.device("cpu"))
    trainer.remember(policy.select([0] * restarts).network)
    for epoch in range(recipe.first_epochs):
        trainer.epoch(epoch / recipe.first_epochs)
    actor = Policy(trainer.policy, policy.observation, seeds, "ddpg", recipe.action_bound)
    return actor, restarts * trainer.transitions


def _gain(game: Market, policy: Policy, deviation: Policy, shocks: Shocks) -> Tensor:
    """What agent 0 gains ``[K, E]`` by following the K members of another policy, double precision."""
    deviated = play(game, [(deviation, FIRST), (policy, OTHERS)], shocks)[..., 0]
    return deviated.double() - play(game, policy, shocks)[..., 0].double()


def _quotient(name: str, value: int, of: str, divisor: int) -> int:
    if value % divisor:
        raise ValueError(f"{name} = {value}: allowed is a multiple of {of} ({divisor})")
    return value // divisor


def _stable_baselines3() -> Any:
    """The library, or one line that says how to get it."""
    try:
        import stable_baselines3
    except ModuleNotFoundError as error:
        get = "the optional extra [sb3] brings it: pip install -e '.[sb3]' -c constraints.txt"
        raise ModuleNotFoundError(f"{error.name} is not installed; {get}", name=error.name) from None
    return stable_baselines3


@contextmanager
def _global_generators_kept() -> Iterator[None]:
    """Put the global generators back as they were, whatever is drawn from them or seeded in between."""
    ours, numpys = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        random.setstate(ours)
        np.random.set_state(numpys)  # noqa: NPY002
