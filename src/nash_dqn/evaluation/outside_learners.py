"""Best responses by another library's learners beside this package's own: same opponents, same budget, same paths.

DDPG and TD3 of Stable-Baselines3 (A. Raffin et al., Journal of Machine Learning Research 22(268), 2021), as they come:
networks, batch size, learning rates and the rest are that library's defaults. Said are only the budget, the number of
environments, the largest action, the noise, which the library leaves to its user, and the game's own discount.

Needs the optional extra ``sb3``. That library seeds the global generators of Python, NumPy and torch; here they are put
back as they were when a training is over. Random streams of a training: the library's own of its seed, and
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

from nash_dqn.agents.fictitious_play import FictitiousPlayRecipe
from nash_dqn.callable_policy import policy_of
from nash_dqn.evaluation.best_response import BestResponseSettings, DeviatorClass
from nash_dqn.evaluation.exploitability import LEARNER_COLUMNS, LearnerComparison, ddpg_comparison
from nash_dqn.evaluation.rollout import play
from nash_dqn.evaluation.statistics import mean_interval
from nash_dqn.games.base import Game, Shocks, discounts
from nash_dqn.games.market import Market
from nash_dqn.policy import Policy
from nash_dqn.seeding import generator
from nash_dqn.settings.measures import OutsideLearner, OutsideSettings

__all__ = ["COLUMNS", "OutsideLearner", "OutsideSettings", "compare", "train"]

COLUMNS = ("learner", "seed", *LEARNER_COLUMNS[1:])


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

    from nash_dqn.evaluation.deviator_env import DeviatorEnv

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
) -> LearnerComparison:
    """Best responses of Stable-Baselines3's learners, our DDPG and gradients to a policy, training by training.

    Args:
        game: the game.
        policy: of one member; the opponents, and what agent 0 gains over.
        settings: of the trainings, and of Stable-Baselines3's learners.
        recipe: of our DDPG, but for the number of epochs, which follows from the budget.
        gradient: of the gradient learner, but for iterations, restarts and seed, which follow from ``settings``.
        paths: fresh paths on which gains are measured, those of :func:`nash_dqn.evaluation.exploitability.evaluate`
            at ``settings.seed``, the same for all.
        deviators: classes of the gradient learner; all others' is ``same``.

    Returns:
        Its table has :data:`COLUMNS` and a row per learner, class and training: ``transitions`` are those of the
        training, joint ones; the mean ``gain`` of total reward (1) with its 95 % interval over paths.

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
    rows: list[dict[str, Any]] = []
    seconds: list[float] = []
    shocks = game.sample_shocks(paths, generator(settings.seed, "exploitability", "paths"))
    base = play(game, [(policy, slice(None))], shocks)[0, :, 0].double()
    for seed in settings.seeds:
        one = dataclasses.replace(gradient, iterations=iterations, restarts=1, seed=seed)
        # With one restart there is none to choose: two validation paths are the fewest allowed.
        ours = ddpg_comparison(game, policy, recipe, one, paths, 2, settings.seed, deviators)
        rows += [{**row, "seed": seed} for row in ours.table.to_dict("records")]
        seconds += ours.wall_seconds
        opponents = str(ours.table["opponents"].iloc[0])
        for learner in settings.learners:
            started = time.perf_counter()
            response = train(game, policy, learner, settings, seed)
            seconds.append(time.perf_counter() - started)
            mean, low, high, _ = mean_interval((_reward(game, policy, response, shocks) - base).numpy())
            values = (response.algorithm, seed, "same", opponents, budget, mean, low, high)
            rows.append(dict(zip(COLUMNS, values, strict=True)))
    return LearnerComparison(pd.DataFrame(rows, columns=list(COLUMNS)), seconds)


def _reward(game: Game, policy: Policy, response: Policy, shocks: Shocks) -> torch.Tensor:
    """Total reward ``[E]`` of agent 0, which follows another policy than the rest."""
    return play(game, [(response, [0]), (policy, slice(1, None))], shocks)[0, :, 0].double()


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
