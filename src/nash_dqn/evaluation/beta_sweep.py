"""Figure 1: the loss against the weight beta of the regulariser (23), along the training and of what it returns.

The paper's axis is a "loss over 1,000 simulations", and no released code computes it. The released training prints one
number an iteration, the total loss: (17) before the step of V plus (17) before the step of A, with the penalty both
times. Its mean over the 1,000 iterations before some iteration is the measure ``training``. The measure ``returned`` is
(17) alone, about half of it, of the weights that the training returns, on fresh episodes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd
import torch
from torch import Tensor

from nash_dqn.advantage import P11Form
from nash_dqn.agents.episodes import play_episodes
from nash_dqn.agents.nash_dqn import LOSS_EPISODES, bellman_residuals, exploring
from nash_dqn.evaluation.betas import names_of
from nash_dqn.games.base import Game, ObservationSpec
from nash_dqn.networks import ObservationNetwork
from nash_dqn.seeding import generator

__all__ = ["COLUMNS", "Swept", "diverged_by", "evaluate", "resets_by", "table", "window_before"]

COLUMNS = (
    *("scenario", "policy", "base", "beta", "seed", "measure", "iteration", "loss", "loss_se", "episodes"),
    *("exploration", "resets", "diverged"),
)

_CHUNK = 100  # episodes at a time


class Swept(NamedTuple):
    """The training at one beta.

    Attributes:
        history: columns seed, iteration, exploration, total_loss and resets, a row per seed and ``history_every``
            iterations.
        record: scenario, policy, ``members`` with seed, iterations, returned_iteration and diverged, and ``config``
            with the recipe.
        returned: what :func:`evaluate` says of the returned weights.
    """

    history: pd.DataFrame
    record: Mapping[str, Any]
    returned: tuple[Tensor, Tensor]


def evaluate(
    game: Game,
    networks: Mapping[str, Tensor],
    observation: ObservationSpec,
    p11: P11Form,
    exploration: float,
    episodes: int,
    seed: int,
) -> tuple[Tensor, Tensor]:
    """Un-regularised loss (17) of every member over fresh episodes, and its standard error.

    All agents play mu plus Gaussian noise of the given standard deviation, that of the end of training: without noise
    the loss says nothing about A, which vanishes at mu. Every member meets the same random numbers. The normalisation
    is the published axis': squared errors summed over agents, steps and :data:`LOSS_EPISODES` episodes.

    Args:
        game: the game.
        networks: tensors ``advantage.*`` and ``value.*`` of K members.
        observation: what the policies see.
        p11: how P11 is made of the advantage network's outputs.
        exploration: standard deviation of the noise, shares/hour.
        episodes: number of fresh episodes.
        seed: of the episodes.

    Returns:
        Loss and standard error over episodes, each ``[K]``, float64.
    """
    advantage = ObservationNetwork.from_state_dict(dict(networks), "advantage")
    value = ObservationNetwork.from_state_dict(dict(networks), "value")
    members = advantage.sigma.weights[0].shape[0]
    environment, noise = generator(seed, "beta_sweep", "environment"), generator(seed, "beta_sweep", "exploration")
    errors = []
    for start in range(0, episodes, _CHUNK):
        count = min(_CHUNK, episodes - start)
        shocks = game.sample_shocks(count, environment).map(lambda leaf: leaf.expand(members, *leaf.shape))
        shape = (count, game.n_steps, game.n_agents, game.action_dim)
        steps = exploration * torch.randn(shape, generator=noise).expand(members, *shape)
        with torch.no_grad():
            played = play_episodes(game, observation, exploring(advantage, steps), shocks)
            residuals = bellman_residuals(game, advantage, value, played, p11)
        errors.append(residuals.double().square().sum((2, 3)))
    per_episode = LOSS_EPISODES * torch.cat(errors, 1)
    return per_episode.mean(1), per_episode.std(1) / math.sqrt(episodes)


def table(
    sweep: Sequence[Swept], iterations: Sequence[int], window: int, episodes: int, exploration: float
) -> pd.DataFrame:
    """A row per beta, seed and measure, of ``training`` one for each of the iterations.

    Args:
        sweep: the trainings.
        iterations: where the loss of training is read off.
        window: iterations before each, of which it is the mean; whole rows of the history.
        episodes: on which the returned weights were measured.
        exploration: with which.

    Returns:
        Table with :data:`COLUMNS`. ``iteration`` of ``returned`` is the one whose weights they are. ``loss`` is a mean
        over so many ``episodes``, ``loss_se`` its standard error over these, or for ``training`` over the window's rows
        as if they were independent. ``resets`` counts those until the end of the history's row with that iteration. The
        loss of a training that has diverged by then is empty.

    Raises:
        ValueError: a history without the rows of a window, though the training did not diverge.
    """
    rows: list[dict[str, Any]] = []
    for history, record, returned in sweep:
        recipe = record["config"]["recipe"]
        played = {"measure": "training", "episodes": window * recipe["episodes_per_iteration"]}
        fresh = {"measure": "returned", "episodes": episodes, "exploration": exploration}
        for member, loss, error in zip(record["members"], *(leaf.tolist() for leaf in returned), strict=True):
            training = {"scenario": record["scenario"], **names_of(record), "seed": member["seed"]}
            of_seed = history[history["seed"] == member["seed"]]
            for iteration in iterations:
                diverged = diverged_by(member, iteration)
                found: dict[str, Any] = {"resets": resets_by(of_seed, iteration), "diverged": diverged}
                if not diverged:
                    means = window_before(of_seed, iteration, window, recipe["history_every"])
                    losses = means["total_loss"]
                    found |= {"loss": losses.mean(), "loss_se": losses.std() / math.sqrt(len(losses))}
                    found["exploration"] = means["exploration"].iloc[-1]
                rows.append({**training, **played, "iteration": iteration, **found})
            at = member["returned_iteration"]
            found = {"loss": loss, "loss_se": error, "resets": resets_by(of_seed, at), "diverged": member["diverged"]}
            rows.append({**training, **fresh, "iteration": at, **found})
    return pd.DataFrame(rows)[list(COLUMNS)]


def window_before(history: pd.DataFrame, iteration: int, window: int, every: int) -> pd.DataFrame:
    """The rows of ``every`` iterations each that make up the window which ends with an iteration.

    Raises:
        ValueError: the history does not have all of them.
    """
    rows = history[(history["iteration"] > iteration - window) & (history["iteration"] <= iteration)]
    if len(rows) * every != window or rows["iteration"].max() != iteration:
        found = f"{len(rows)} rows in the {window} iterations before {iteration}, expected {window // every}"
        raise ValueError(f"history of seed {history['seed'].iloc[0]}: {found}")
    return rows


def resets_by(history: pd.DataFrame, iteration: int) -> int:
    """Resets until the end of the row that holds an iteration, or of the last row."""
    before = history[history["iteration"] < iteration]
    return int(history["resets"].iloc[min(len(before), len(history) - 1)])


def diverged_by(member: Mapping[str, Any], iteration: int) -> bool:
    """Whether a training, ``members`` of its record, had diverged by the end of an iteration."""
    return bool(member["diverged"]) and member["iterations"] <= iteration
