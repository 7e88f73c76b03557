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

Two questions are asked, with the others' policy held fixed: is ``first_nash`` better than ``all_other``, and
``first_other`` better than ``all_nash``? Each is answered by two designs. *independent* is the paper's: both
profiles on their own random numbers, Welch's test over points. *common*: both on the same random numbers,
paired test over points, which takes the noise of the paths out of the difference.

All pairs of seeds play on the same random streams, so that they differ by training.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from nash_dqn.evaluation.rollout import Played, check_seat, play
from nash_dqn.evaluation.statistics import Comparison, paired_test, pooled_test, tidy, welch_test
from nash_dqn.games.base import Game
from nash_dqn.pairing import member_pairs
from nash_dqn.policy import Policy
from nash_dqn.seeding import generator

__all__ = ["COLUMNS", "PAIRS", "POOLED", "PROFILES", "TEST_COLUMNS", "evaluate", "tests"]

PROFILES = ("all_other", "first_nash", "all_nash", "first_other")
PAIRS = (("first_nash", "all_other"), ("first_other", "all_nash"))
"""The profiles that are compared, deviation first: differences are what agent 1 gains by it."""
POOLED = "pooled"
"""Scope of the tests over all pairs of seeds."""

COLUMNS = ("seed_nash", "seed_other", "profile", "design", "point", "reward", "reward_sd", "paths")
_RESULT = ("low", "high", "statistic", "df", "p_value", "effect_size")
TEST_COLUMNS = ("pair", "scope", "test", "n", "mean_difference", *_RESULT, "reject")

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


def evaluate(
    game: Game, nash: Policy, other: Policy, points: int, paths: int, seed: int, seat: int = 0
) -> pd.DataFrame:
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
        seat: the agent that deviates, which stands for agent 1: where agents differ, one of any group.

    Returns:
        Table with :data:`COLUMNS`, a row per pair of seeds, profile, design and point: ``reward`` is the mean
        of agent 1's total reward (the objective (22) less the constant q_0 S_0) over the point's paths,
        ``reward_sd`` the paths' standard deviation. Runs that serve both designs are listed under each.

    Raises:
        ValueError: trainings that cannot be paired, fewer than one point or two paths, or no such agent.
    """
    check_seat(game, seat)
    if points < 1 or paths < 2:
        raise ValueError(f"points = {points}, paths = {paths}: at least 1 point of 2 paths is needed")
    members_nash, members_other = zip(*member_pairs(nash.seeds, other.seeds), strict=True)
    nash, other = nash.select(members_nash), other.select(members_other)
    first, others = [seat], [agent for agent in range(game.n_agents) if agent != seat]
    profiles: dict[str, Played] = {
        "all_other": other,
        "first_nash": [(nash, first), (other, others)],
        "all_nash": nash,
        "first_other": [(other, first), (nash, others)],
    }
    parts = []
    for profile, stream, designs in _RUNS:
        rewards = torch.stack(
            [_rewards(game, profiles[profile], paths, (seed, stream, point), seat) for point in range(points)], 1
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


def tests(table: pd.DataFrame, alpha: float) -> pd.DataFrame:
    """Compare the profiles of each of :data:`PAIRS` at level ``alpha``.

    Args:
        table: what :func:`evaluate` returns, of one scenario and comparison.
        alpha: level of the tests and intervals.

    Returns:
        Table with :data:`TEST_COLUMNS`. Scope ``"a-b"`` (seeds of Nash-DQN and the other policy): Welch's test over the
        points of the independent design and the paired test over those of the common design; ``n`` points.
        Scope ``"pooled"``: one value for each pair of seeds, the mean difference in that design, and a t test
        over them; ``n`` pairs of seeds. Where one policy has one training, they tell what another training of the other
        policy would give. Differences are deviation less no deviation, in units of the reward.
        Where a test is undefined (one pair of seeds, one point, or rewards that are not finite) its numbers
        and ``reject`` are empty.
    """
    rewards = table.set_index(["design", "seed_nash", "seed_other", "profile", "point"])["reward"].sort_index()
    seed_pairs = table[["seed_nash", "seed_other"]].drop_duplicates().to_numpy()
    rows: list[tuple[Any, ...]] = []

    def add(*row: Any, result: Comparison | None) -> None:
        numbers = [getattr(result, name) if result else math.nan for name in _RESULT]
        rows.append((*row, *numbers, result.reject if result else None))

    for deviation, base in PAIRS:
        pair = f"{deviation}-{base}"
        for name, test, design in (("welch", welch_test, "independent"), ("paired", paired_test, "common")):
            differences = []
            for a, b in seed_pairs:
                x, y = (rewards.loc[design, a, b, profile].to_numpy() for profile in (deviation, base))
                finite = bool(np.isfinite(x).all() and np.isfinite(y).all())
                differences.append(float(x.mean() - y.mean()) if finite else math.nan)
                result = test(x, y, alpha) if finite and len(x) > 1 else None
                add(pair, f"{a}-{b}", name, len(x), differences[-1], result=result)
            mean = float(np.mean(differences))
            result = pooled_test(differences, alpha) if math.isfinite(mean) and len(differences) > 1 else None
            add(pair, POOLED, name, len(differences), mean, result=result)
    return pd.DataFrame(rows, columns=list(TEST_COLUMNS)).astype({"reject": "boolean"})


def _rewards(game: Game, played: Played, paths: int, key: tuple[int, int, int], seat: int) -> Tensor:
    """An agent's total rewards ``[K, paths]`` in double precision on the paths of a point: seed, stream, point."""
    seed, stream, point = key
    source = generator(seed, "cross_play", stream, point)
    blocks = [game.sample_shocks(min(_BLOCK, paths - start), source) for start in range(0, paths, _BLOCK)]
    return torch.cat([play(game, played, shocks)[..., seat].double() for shocks in blocks], 1)
