"""Watches the members of a training ensemble: history, early stopping, divergence, progress."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd
import torch
from torch import Tensor

from nash_dqn.progress import Progress

log = logging.getLogger(__name__)


class EarlyStopping(NamedTuple):
    """Stop when the mean loss of ``window`` iterations has not improved for ``patience`` iterations."""

    patience: int
    window: int


class Member:
    """What is known about one member, updated at every check.

    ``best`` is the lowest mean loss between two checks, ``reference`` the lowest since the last restart, by which
    divergence is judged; ``lowest`` and ``lowest_at`` the lowest mean over the early stopping window and its last
    iteration.
    """

    def __init__(self, seed: int, weights: dict[str, Tensor]) -> None:
        self.seed = seed
        self.best = math.inf
        self.reference = math.inf
        self.lowest = math.inf
        self.lowest_at = 0
        self.last = math.nan
        self.iterations = 0
        self.transitions = 0
        self.stopped: str | None = None
        self.weights = weights


class Monitor:
    """Collects per-iteration statistics of the active members and decides, at each check, who goes on.

    The first statistic is the loss. A member has *diverged* when its mean loss since the last check, or a weight, is
    not finite, or when that mean exceeds ``divergence_factor`` times the best such mean; it keeps its weights of the
    last check that found it sound.

    Attributes:
        active: indices of the members still training, in the order of the ensemble's tensors.
    """

    def __init__(
        self,
        seeds: Sequence[int],
        statistics: Sequence[str],
        total: int,
        every: int,
        divergence_factor: float,
        early_stopping: EarlyStopping | None,
        weights: dict[str, Tensor],
    ) -> None:
        self.members = [Member(seed, _row(weights, k)) for k, seed in enumerate(seeds)]
        self.active = list(range(len(seeds)))
        self._statistics = list(statistics)
        self._total, self._every = total, every
        self._factor, self._early = divergence_factor, early_stopping
        self._overlap = early_stopping.window - 1 if early_stopping else 0
        self._recent: list[Tensor] = []
        self._rows: list[dict[str, Any]] = []
        self._progress = Progress(total)

    def add(self, statistics: Tensor) -> None:
        """One iteration's statistics ``[S, K]`` of the active members, the loss first."""
        self._recent.append(statistics)

    def due(self, done: int) -> bool:
        """Whether a check is due after ``done`` iterations."""
        return done % self._every == 0 or done == self._total

    def check(self, done: int, transitions: int, weights: Callable[[], dict[str, Tensor]], **columns: Any) -> list[int]:
        """Record a row of history per active member and return the positions of those that go on.

        ``columns`` are added to the rows as they are.
        """
        since = (done - 1) % self._every + 1
        recent = torch.stack(self._recent).double().cpu()
        self._recent = self._recent[-self._overlap :] if self._overlap else []
        means = recent[-since:].mean(0)
        current = weights()
        kept = []
        for position, index in enumerate(self.active):
            member = self.members[index]
            row = dict(zip(self._statistics, means[:, position].tolist(), strict=True))
            self._rows.append({"seed": member.seed, **columns, "transitions": transitions, **row})
            loss = row[self._statistics[0]]
            member.last, member.iterations, member.transitions = loss, done, transitions
            own = _row(current, position)
            if not _all_finite(loss, own) or loss > self._factor * member.reference:
                member.stopped = "diverged"
                log.warning(
                    "seed %d diverged at iteration %d: loss %g, best %g", member.seed, done, loss, member.reference
                )
                continue
            member.best, member.reference = min(member.best, loss), min(member.reference, loss)
            member.weights = own
            if self._early and self._patience_is_over(member, recent[:, 0, position], done):
                member.stopped = "early_stopping"
                log.info("seed %d stops at iteration %d: lowest loss at %d", member.seed, done, member.lowest_at)
                continue
            kept.append(position)
        self._progress.report(done, "mean loss " + " ".join(f"{loss:.4g}" for loss in means[0].tolist()))
        return kept

    def _patience_is_over(self, member: Member, losses: Tensor, done: int) -> bool:
        """Update the member's lowest windowed loss with the latest losses, which end at iteration ``done``."""
        assert self._early is not None
        if len(losses) >= self._early.window:
            lowest, at = losses.unfold(0, self._early.window, 1).mean(-1).min(0)
            if lowest < member.lowest:
                member.lowest = lowest.item()
                member.lowest_at = done - (len(losses) - self._early.window - int(at))
        return done - member.lowest_at >= self._early.patience

    def restart(self) -> None:
        """Forget the best losses: from here on the problem is another one, whose losses have another scale."""
        for member in self.members:
            member.reference = math.inf

    def select(self, kept: Sequence[int]) -> None:
        """Go on with these positions only."""
        self.active = [self.active[position] for position in kept]
        self._recent = [statistics[:, list(kept)] for statistics in self._recent]

    def state(self) -> dict[str, Any]:
        """What is known about each member, who is active, statistics and history so far."""
        return {
            "members": [vars(member) for member in self.members],
            "active": self.active,
            "recent": torch.stack(self._recent) if self._recent else None,
            "rows": self._rows,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from such a state."""
        for member, known in zip(self.members, state["members"], strict=True):
            vars(member).update(known)
        self.active, self._rows = state["active"], state["rows"]
        self._recent = [] if state["recent"] is None else list(state["recent"])

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
            }
            for member in self.members
        ]


def _row(weights: dict[str, Tensor], position: int) -> dict[str, Tensor]:
    return {name: tensor[position].detach().cpu().clone() for name, tensor in weights.items()}


def _all_finite(loss: float, weights: dict[str, Tensor]) -> bool:
    """The loss is that before the last step, so it may be finite where the weights no longer are."""
    return math.isfinite(loss) and all(bool(tensor.isfinite().all()) for tensor in weights.values())


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
