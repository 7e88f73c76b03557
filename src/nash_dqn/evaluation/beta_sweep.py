"""Figure 1: the Bellman error that a trained Nash-DQN leaves on fresh episodes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from nash_dqn.agents.episodes import play_episodes
from nash_dqn.agents.nash_dqn import LOSS_EPISODES, bellman_residuals, exploring
from nash_dqn.games.base import Game, ObservationSpec
from nash_dqn.networks import ObservationNetwork
from nash_dqn.seeding import generator

_CHUNK = 100  # episodes at a time


def evaluate(
    game: Game,
    networks: Mapping[str, Tensor],
    observation: ObservationSpec,
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
            residuals = bellman_residuals(game, advantage, value, played)
        errors.append(residuals.double().square().sum((2, 3)))
    per_episode = LOSS_EPISODES * torch.cat(errors, 1)
    return per_episode.mean(1), per_episode.std(1) / math.sqrt(episodes)


def table(
    results: Sequence[tuple[float, Tensor, Tensor]], records: Sequence[Mapping[str, Any]], **columns: Any
) -> pd.DataFrame:
    """A row per beta and seed; ``results`` holds beta with what :func:`evaluate` returns, ``records`` run records."""
    rows = []
    for (beta, losses, errors), record in zip(results, records, strict=True):
        for member, loss, error in zip(record["members"], losses.tolist(), errors.tolist(), strict=True):
            rows.append(
                {
                    **columns,
                    "beta": beta,
                    "seed": member["seed"],
                    "loss": loss,
                    "loss_se": error,
                    "diverged": member["diverged"],
                }
            )
    return pd.DataFrame(rows)
