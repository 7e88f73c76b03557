"""Watches the members of a training ensemble: history, early stopping, divergence, progress."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import pandas as pd
import torch
from torch import Tensor

from nash_dqn.progress import Progress

log = logging.getLogger(__name__)


Returned = Literal["best", "last"]
"""Whose weights a training returns: those of the single iteration with the lowest watched loss, or the last ones."""


class Member:
    """What is known about one member, updated at every check.

    ``best`` is the lowest mean of the watched loss between two checks, by which divergence is judged; ``lowest_at`` the
    iteration with the lowest of all; ``counts`` the sums of the counted statistics.
    """

    def __init__(self, seed: int, weights: dict[str, Tensor], counted: Sequence[str]) -> None:
        self.seed = seed
        self.best = math.inf
        self.last = math.nan
        self.lowest_at = 0
        self.iterations = 0
        self.transitions = 0
        self.counts = dict.fromkeys(counted, 0)
        self.stopped: str | None = None
        self.weights = weights


class Monitor:
    """Collects per-iteration statistics of the active members and decides, at each check, who goes on.

    A member has *diverged* when a mean since the last check, or a weight, is not finite, or when the mean of the
    watched loss exceeds ``divergence_factor`` times the best such mean or is above ``largest_loss``. Of a diverged
    member the weights of the last check that found it sound are returned, or, where the best are, these.

    Args:
        seeds: a member each.
        statistics: names of what each iteration reports.
        total: iterations.
        every: iterations between checks.
        weights: of all members at the start, ``[K, ...]``.
        counted: statistics that are summed over the run, not averaged between checks.
        watched: the statistic that is the loss.
        divergence_factor: None for no such limit.
        largest_loss: None for no such limit.
        patience: a member stops after more than so many iterations without one whose loss is lower than all before;
            None for never.
        returned: which weights to return.

    Attributes:
        active: indices of the members still training, in the order of the ensemble's tensors.
    """

    def __init__(
        self,
        seeds: Sequence[int],
        statistics: Sequence[str],
        total: int,
        every: int,
        weights: dict[str, Tensor],
        *,
        counted: Sequence[str] = (),
        watched: str,
        divergence_factor: float | None = None,
        largest_loss: float | None = None,
        patience: int | None = None,
        returned: Returned = "last",
    ) -> None:
        self.members = [Member(seed, _row(weights, k), counted) for k, seed in enumerate(seeds)]
        self.active = list(range(len(seeds)))
        self._statistics, self._counted = list(statistics), list(counted)
        self._watched = self._statistics.index(watched)
        self._total, self._every = total, every
        self._factor, self._largest = divergence_factor, largest_loss
        self._patience = math.inf if patience is None else patience
        self._returned = returned
        self._recent: list[Tensor] = []
        self._rows: list[dict[str, Any]] = []
        self._progress = Progress(total)
        some = next(iter(weights.values()))
        self._added = 0
        self._lowest = some.new_full((len(seeds),), math.inf)
        self._lowest_at = some.new_zeros(len(seeds), dtype=torch.long)
        self._best = {name: tensor.clone() for name, tensor in weights.items()} if returned == "best" else {}

    def add(self, statistics: Tensor, weights: Callable[[], dict[str, Tensor]]) -> None:
        """Statistics ``[S, K]`` of one iteration of the active members, and the weights that it ended with."""
        self._recent.append(statistics)
        if self._patience == math.inf and self._returned == "last":
            return  # nothing depends on single iterations
        loss, before = statistics[self._watched], self._added
        self._added += 1
        better = loss < self._lowest
        if self._patience < math.inf:  # who has run out of it has stopped, though the next check only finds it
            better &= before - self._lowest_at <= self._patience
        if self._returned == "best" and better.any():
            current = weights()
            finite = torch.stack([tensor.flatten(1).isfinite().all(1) for tensor in current.values()]).all(0)
            better &= finite
            for name, tensor in current.items():
                best = self._best[name]
                best.copy_(torch.where(better.view(-1, *[1] * (tensor.dim() - 1)), tensor, best))
        self._lowest = torch.where(better, loss, self._lowest)
        self._lowest_at = torch.where(better, self._added, self._lowest_at)

    def due(self, done: int) -> bool:
        """Whether a check is due after ``done`` iterations."""
        return done % self._every == 0 or done == self._total

    def check(self, done: int, transitions: int, weights: Callable[[], dict[str, Tensor]], **columns: Any) -> list[int]:
        """Record a row of history per active member and return the positions of those that go on.

        ``columns`` are added to the rows as they are.
        """
        recent = torch.stack(self._recent).double().cpu()
        self._recent = []
        means, sums = recent.mean(0), recent.sum(0)
        current, best, lowest_at = weights(), self._best, self._lowest_at.tolist()
        kept = []
        for position, index in enumerate(self.active):
            member = self.members[index]
            row = dict(zip(self._statistics, means[:, position].tolist(), strict=True))
            for name, total in zip(self._statistics, sums[:, position].tolist(), strict=True):
                if name in self._counted:
                    member.counts[name] += round(total)
                    row[name] = member.counts[name]
            self._rows.append({"seed": member.seed, **columns, "transitions": transitions, **row})
            loss = row[self._statistics[self._watched]]
            member.last, member.iterations, member.transitions = loss, done, transitions
            member.lowest_at = lowest_at[position]
            own = _row(current, position)
            sound = math.isfinite(loss) and all(bool(tensor.isfinite().all()) for tensor in own.values())
            too_large = self._largest is not None and loss > self._largest
            if not sound or too_large or (self._factor is not None and loss > self._factor * member.best):
                member.stopped = "diverged"
                log.warning("seed %d diverged at iteration %d: loss %g, best %g", member.seed, done, loss, member.best)
                if best:
                    member.weights = _row(best, position)
                continue
            member.best = min(member.best, loss)
            member.weights = _row(best, position) if best else own
            if done - member.lowest_at > self._patience:
                member.stopped = "early_stopping"
                log.info("seed %d stops at iteration %d: lowest loss at %d", member.seed, done, member.lowest_at)
                continue
            kept.append(position)
        self._progress.report(done, "mean loss " + " ".join(f"{loss:.4g}" for loss in means[self._watched].tolist()))
        return kept

    def select(self, kept: Sequence[int]) -> None:
        """Go on with these positions only."""
        self.active = [self.active[position] for position in kept]
        index = list(kept)
        self._recent = [statistics[:, index] for statistics in self._recent]
        self._lowest, self._lowest_at = self._lowest[index], self._lowest_at[index]
        self._best = {name: tensor[index] for name, tensor in self._best.items()}

    def state(self) -> dict[str, Any]:
        """What is known about each member, who is active, statistics and history so far."""
        return {
            "members": [vars(member) for member in self.members],
            "active": self.active,
            "recent": torch.stack(self._recent) if self._recent else None,
            "rows": self._rows,
            "added": self._added,
            "lowest": self._lowest,
            "lowest_at": self._lowest_at,
            "best": self._best,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from such a state."""
        for member, known in zip(self.members, state["members"], strict=True):
            vars(member).update(known)
        self.active, self._rows = state["active"], state["rows"]
        self._recent = [] if state["recent"] is None else list(state["recent"])
        self._added, self._lowest, self._lowest_at = state["added"], state["lowest"], state["lowest_at"]
        self._best = dict(state["best"])

    def weights(self) -> dict[str, Tensor]:
        """Weights of all members, ``[K, ...]`` in the order of the seeds."""
        return {
            name: torch.stack([member.weights[name] for member in self.members]) for name in self.members[0].weights
        }

    def history(self) -> pd.DataFrame:
        """The history, a row per seed and check, seed by seed."""
        return pd.DataFrame(self._rows).sort_values("seed", kind="stable", ignore_index=True)

    def record(self) -> list[dict[str, Any]]:
        """Outcome of each member; a number that is not finite is given as None."""
        return [
            {
                "seed": member.seed,
                "iterations": member.iterations,
                "transitions": member.transitions,
                "stopped": member.stopped or "iterations",
                "diverged": member.stopped == "diverged",
                "best_loss": _finite(member.best),
                "final_loss": _finite(member.last),
                "returned_iteration": member.lowest_at if self._returned == "best" else member.iterations,
                **member.counts,
            }
            for member in self.members
        ]


def _row(weights: dict[str, Tensor], position: int) -> dict[str, Tensor]:
    return {name: tensor[position].detach().cpu().clone() for name, tensor in weights.items()}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
