"""Fig. 3: what agent 1 earns when it, the others, or all follow Nash-DQN's policy or another algorithm's.

The paper's design is a histogram of points, each the mean total reward of agent 1 over many paths, for four
profiles. The other policy is fictitious play's in the paper, and here also that of self-play by gradients.

===============  ============  ============
profile          agent 1       the others
===============  ============  ============
``all_other``    other policy  other policy
``first_nash``   Nash-DQN      other policy
``all_nash``     Nash-DQN      Nash-DQN
``first_other``  other policy  Nash-DQN
===============  ============  ============

What is asked of them, and by which tests, says :mod:`nash_dqn.evaluation.cross_play_tests`.

All pairs of seeds play on the same random streams, so that they differ by training.
"""

from __future__ import annotations

import pandas as pd
import torch
from torch import Tensor

from nash_dqn.evaluation.cross_play_tests import COLUMNS, PROFILES
from nash_dqn.evaluation.rollout import FIRST, OTHERS, Played, play
from nash_dqn.evaluation.statistics import tidy
from nash_dqn.games.base import Game
from nash_dqn.pairing import member_pairs
from nash_dqn.policy import Policy
from nash_dqn.seeding import generator

__all__ = ["COLUMNS", "evaluate"]

_BLOCK = 1000  # paths whose random numbers are drawn at a time; part of what a seed means

_RUNS = (
    ("all_other", 0, ("independent", "common")),
    ("first_nash", 0, ("common",)),
    ("first_nash", 1, ("independent",)),
    ("all_nash", 2, ("independent", "common")),
    ("first_other", 2, ("common",)),
    ("first_other", 3, ("independent",)),
)
"""A profile, the stream of random numbers it is played on, and the designs that this serves."""


def evaluate(game: Game, nash: Policy, other: Policy, points: int, paths: int, seed: int) -> pd.DataFrame:
    """Play the four profiles.

    Trainings are paired as in :func:`nash_dqn.pairing.member_pairs`: by the seeds that both policies have, or all with
    the only one.

    Args:
        game: the game.
        nash: Nash-DQN's policy.
        other: the other algorithm's policy; the two may observe different features.
        points: points per profile and design, each on its own random numbers.
        paths: paths averaged in a point.
        seed: of the random streams.

    Returns:
        Table with :data:`COLUMNS`, a row per pair of seeds, profile, design and point: ``reward`` is the mean
        of agent 1's total reward (the objective (22) less the constant q_0 S_0) over the point's paths,
        ``reward_sd`` the paths' standard deviation. Runs that serve both designs are listed under each.

    Raises:
        ValueError: trainings that cannot be paired, or fewer than one point or two paths.
    """
    if points < 1 or paths < 2:
        raise ValueError(f"points = {points}, paths = {paths}: at least 1 point of 2 paths is needed")
    members_nash, members_other = zip(*member_pairs(nash.seeds, other.seeds), strict=True)
    nash, other = nash.select(members_nash), other.select(members_other)
    profiles: dict[str, Played] = {
        "all_other": other,
        "first_nash": [(nash, FIRST), (other, OTHERS)],
        "all_nash": nash,
        "first_other": [(other, FIRST), (nash, OTHERS)],
    }
    parts = []
    for profile, stream, designs in _RUNS:
        rewards = torch.stack(
            [_rewards(game, profiles[profile], paths, (seed, stream, point)) for point in range(points)], 1
        )
        means = rewards.mean(-1)
        sds = ((rewards - means.unsqueeze(-1)).square().sum(-1) / (paths - 1)).sqrt()
        axes = {"member": range(len(nash.seeds)), "point": range(points), "profile": [profile], "design": designs}
        parts.append(tidy(axes, reward=means[..., None, None], reward_sd=sds[..., None, None], paths=paths))
    table = pd.concat(parts, ignore_index=True)
    for column, policy in (("seed_nash", nash), ("seed_other", other)):
        table[column] = table["member"].map(dict(enumerate(policy.seeds)))
    return table.sort_values(
        ["seed_nash", "seed_other", "profile", "design", "point"],
        key=lambda column: column.map(PROFILES.index) if column.name == "profile" else column,
        ignore_index=True,
    )[list(COLUMNS)]


def _rewards(game: Game, played: Played, paths: int, key: tuple[int, int, int]) -> Tensor:
    """Agent 1's total rewards ``[K, paths]`` in double precision on the paths of a point: seed, stream, point."""
    seed, stream, point = key
    source = generator(seed, "cross_play", stream, point)
    blocks = [game.sample_shocks(min(_BLOCK, paths - start), source) for start in range(0, paths, _BLOCK)]
    return torch.cat([play(game, played, shocks)[..., 0].double() for shocks in blocks], 1)
