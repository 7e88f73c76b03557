"""Watches the members of a training ensemble: history, early stopping, divergence."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import pandas as pd
import torch
from torch import Tensor

from nash_dqn.trees import finite, row, select, stack

log = logging.getLogger(__name__)


Returned = Literal["best", "last"]
"""Whose weights a training returns: those of the single iteration with the lowest watched loss, or the last ones."""

Weights = dict[str, Tensor]


@dataclass
class Member:
    """What is known about one member, updated at every check.

    Attributes:
        seed: of the member.
        weights: that it would return.
        returned_iteration: that these are of.
        best: lowest mean of the watched loss between two checks, by which divergence is judged.
        last: latest mean of each statistic.
        lowest_at: iteration with the lowest watched loss of all.
        iterations, transitions: that it has trained.
        counts: sums of the counted statistics.
        stopped: why it left the ensemble; None while it trains.
    """

    seed: int
    weights: Weights
    returned_iteration: int = 0
    best: float = math.inf
    last: dict[str, float] = field(default_factory=dict)
    lowest_at: int = 0
    iterations: int = 0
    transitions: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    stopped: str | None = None


@dataclass
class Monitor:
    """Collects per-iteration statistics of the active members and decides, at each check, who goes on.

    A member has *diverged* when a mean since the last check, or a weight, is not finite, or when the watched loss
    exceeds ``largest_loss`` in an iteration or, as a mean since the last check, ``divergence_factor`` times the best
    such mean. Of a diverged member the weights of the last check that found it sound are returned, or, where the best
    are, these.

    Attributes:
        members: of the ensemble.
        lowest: the lowest watched loss of each active member, ``[K]``.
        lowest_at: the iteration that had it, ``[K]``.
        best_weights: of that iteration; empty where the last weights are returned.
        total: iterations.
        every: iterations between checks.
        statistics: names of what each iteration reports.
        watched: the statistic that is the loss, or, where there is none, the reward.
        counted: statistics that are summed over the run, not averaged between checks.
        divergence_factor: None for no such limit.
        largest_loss: None for no such limit.
        patience: a member stops after more than so many iterations without one whose loss is lower than all before;
            None for never.
        returned: which weights to return.
        active: indices of the members still training, in the order of the ensemble's tensors.
        recent: statistics since the last check.
        rows: of the history.
        added: iterations so far.
    """

    members: list[Member]
    lowest: Tensor
    lowest_at: Tensor
    best_weights: Weights
    total: int
    every: int
    statistics: Sequence[str]
    watched: str
    counted: Sequence[str] = ()
    divergence_factor: float | None = None
    largest_loss: float | None = None
    patience: int | None = None
    returned: Returned = "last"
    active: list[int] = field(default_factory=list)
    recent: list[Tensor] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    added: int = 0

    @staticmethod
    def create(
        seeds: Sequence[int],
        weights: Weights,
        total: int,
        every: int,
        statistics: Sequence[str],
        watched: str,
        **watch: Any,
    ) -> Monitor:
        """Of members with these seeds and, at the start, weights ``[K, ...]``; ``watch`` are further attributes."""
        some, best = next(iter(weights.values())), watch.get("returned") == "best"
        return Monitor(
            [
                Member(seed, row(weights, k), counts=dict.fromkeys(watch.get("counted", ()), 0))
                for k, seed in enumerate(seeds)
            ],
            some.new_full((len(seeds),), math.inf, dtype=torch.float64),
            some.new_zeros(len(seeds), dtype=torch.long),
            {name: tensor.clone() for name, tensor in weights.items()} if best else {},
            *(total, every, statistics, watched),
            **watch,
            active=list(range(len(seeds))),
        )

    def add(self, statistics: Tensor, weights: Callable[[], Weights]) -> None:
        """Statistics ``[S, K]`` of one iteration of the active members, and the weights that it ended with."""
        self.recent.append(statistics)
        before = self.added
        self.added += 1
        if self.patience is None and self.returned == "last":
            return  # nothing depends on single iterations
        loss = statistics[self.statistics.index(self.watched)]
        better = loss < self.lowest
        if self.patience is not None:  # who has run out of it has stopped, though the next check only finds it
            better &= before - self.lowest_at <= self.patience
        if self.returned == "best" and better.any():
            current = weights()
            better &= finite(current)
            for name, tensor in current.items():
                best = self.best_weights[name]
                best.copy_(torch.where(better.view(-1, *[1] * (tensor.dim() - 1)), tensor, best))
        self.lowest = torch.where(better, loss, self.lowest)
        self.lowest_at = torch.where(better, self.added, self.lowest_at)

    @property
    def due(self) -> bool:
        """Whether a check is due."""
        return self.added % self.every == 0 or self.added == self.total

    def check(self, transitions: int, weights: Callable[[], Weights], **columns: Any) -> list[int]:
        """Record a row of history per active member and return the positions of those that go on.

        ``columns`` are added to the rows as they are.
        """
        recent = torch.stack(self.recent).cpu()
        self.recent = []
        means, sums = (dict(zip(self.statistics, of.tolist(), strict=True)) for of in (recent.mean(0), recent.sum(0)))
        peaks = recent[:, self.statistics.index(self.watched)].amax(0).tolist()
        current, lowest_at = weights(), self.lowest_at.tolist()
        sound = finite(current).tolist()
        kept = []
        for position, index in enumerate(self.active):
            member = self.members[index]
            for name in self.counted:
                member.counts[name] += round(sums[name][position])
            member.last = {name: means[name][position] for name in self.statistics}
            self.rows.append(
                {"seed": member.seed, **columns, "transitions": transitions, **member.last, **member.counts}
            )
            member.iterations, member.transitions, member.lowest_at = self.added, transitions, lowest_at[position]
            loss = member.last[self.watched]
            too_large = self.largest_loss is not None and peaks[position] > self.largest_loss
            too_large |= self.divergence_factor is not None and loss > self.divergence_factor * member.best
            if too_large or not (sound[position] and math.isfinite(loss)):
                member.stopped = "diverged"
                log.warning("seed %d diverged at iteration %d: %s", member.seed, self.added, member.last)
            else:
                member.best = min(member.best, loss)
                member.weights, member.returned_iteration = row(current, position), self.added
                if self.patience is not None and self.added - member.lowest_at > self.patience:
                    member.stopped = "early_stopping"
                    log.info("seed %d stops at iteration %d", member.seed, self.added)
                else:
                    kept.append(position)
            if self.best_weights:
                member.weights, member.returned_iteration = row(self.best_weights, position), member.lowest_at
        return kept

    def select(self, kept: Sequence[int]) -> None:
        """Go on with these positions only, after a check."""
        self.active = [self.active[position] for position in kept]
        self.lowest, self.lowest_at, self.best_weights = select((self.lowest, self.lowest_at, self.best_weights), kept)

    def weights(self) -> Weights:
        """Weights of all members, ``[K, ...]`` in the order of the seeds."""
        return stack([member.weights for member in self.members])

    def history(self) -> pd.DataFrame:
        """The history, a row per seed and check, seed by seed."""
        return pd.DataFrame(self.rows).sort_values("seed", kind="stable", ignore_index=True)

    def latest(self) -> str:
        """The active members' means at the last check, in words."""
        means = [self.members[index].last[self.watched] for index in self.active]
        return f"mean {self.watched} " + " ".join(f"{mean:.4g}" for mean in means)

    def record(self, unfinished: str = "iterations") -> list[dict[str, Any]]:
        """Outcome of each member; a number that is not finite is given as None.

        ``unfinished`` is said of those that nothing has stopped.
        """
        return [
            {
                "seed": member.seed,
                "iterations": member.iterations,
                "transitions": member.transitions,
                "stopped": member.stopped or unfinished,
                "diverged": member.stopped == "diverged",
                **self._numbers(member),
                **member.counts,
            }
            for member in self.members
        ]

    def _numbers(self, member: Member) -> dict[str, float | None]:
        final = _finite(member.last.get(self.watched, math.nan))
        if self.watched == "reward":
            return {"final_reward": None if member.stopped == "diverged" else final}
        returned = member.returned_iteration
        return {"best_loss": _finite(member.best), "final_loss": final, "returned_iteration": returned}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
