"""Policies trained elsewhere: any function from what an agent sees to what it does, in NumPy.

Such a policy plays wherever one of this package's does: :func:`nash_dqn.evaluation.rollout.play`, cross-play,
exploitability, errors against exact equilibria. Different functions for different agents are different policies, each
assigned to its agents.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nash_dqn.games.base import Observation, ObservationSpec
from nash_dqn.policy import Policy

Rows = npt.NDArray[np.float32]
Act = Callable[[Rows], npt.NDArray[Any]]
"""``[rows, size] -> [rows, d]``, row by row and always the same for the same row. A row holds the agent's own features,
then the items of the others in the order of the agents, as in :mod:`nash_dqn.games.parallel_env`."""

_STEP = 1e-2  # of the central differences, in standardised features: large against float32, small against order one


def policy_of(
    act: Act, observation: ObservationSpec | None = None, name: str = "external", bound: float | None = None
) -> Policy:
    """The policy of a function, with one member.

    Best responses are trained by gradients through the opponents' reactions (:mod:`nash_dqn.evaluation.best_response`).
    A NumPy function has none, so they are taken by central differences, two calls for each entry of a row: it should be
    smooth on the scale of a hundredth of a feature, or the deviator trained against it is the weaker for it.

    Args:
        act: see :data:`Act`; actions in the game's units.
        observation: what it sees; None for the default specification.
        name: of the policy, for tables; its algorithm is ``external``.
        bound: actions are clipped to +- this; None for no clipping.

    Raises:
        ValueError: the bound is no finite number above zero; or, when it acts, its actions are not finite numbers in an
            array ``[rows, d]``.
    """
    if bound is not None and not 0 < bound < float("inf"):
        raise ValueError(f"bound = {bound!r}: allowed is a finite number > 0, or None")
    return Policy(_CallableNetwork(act), observation or ObservationSpec(), [0], "external", bound, {"policy": name})


class _CallableNetwork(NamedTuple):
    """A function where networks stand: of any number of members, all the same."""

    act: Act

    def __call__(self, observation: Observation, agents: slice = slice(None)) -> Tensor:
        own, items = observation.own, observation.items
        n = own.shape[-2]
        rows = own[..., agents, :]
        if items is not None:
            wanted = range(n)[agents]
            others = torch.tensor([[j for j in range(n) if j != i] for i in wanted], device=own.device)
            rows = torch.cat((rows, items[..., others, :].flatten(-2)), -1)
        actions: Tensor = _Differentiable.apply(rows.flatten(0, -2), self.act)
        return actions.unflatten(0, rows.shape[:-1])

    @property
    def parameters(self) -> list[Tensor]:
        return []


class _Differentiable(torch.autograd.Function):
    """A function's actions, and their derivative by central differences."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, act: Act) -> Tensor:
        ctx.save_for_backward(rows)
        ctx.act = act
        return _call(act, rows)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (rows,) = ctx.saved_tensors
        slopes = []
        for step in _STEP * torch.eye(rows.shape[-1], dtype=rows.dtype, device=rows.device):
            change = _call(ctx.act, rows + step) - _call(ctx.act, rows - step)
            slopes.append((gradients[0] * change).sum(-1) / (2 * _STEP))
        return torch.stack(slopes, -1), None


def _call(act: Act, rows: Tensor) -> Tensor:
    actions = np.asarray(act(rows.detach().cpu().numpy().astype(np.float32)))
    if actions.dtype.kind not in "biuf":
        wrong = f"of type {actions.dtype}"
        raise ValueError(f"actions of the function are {wrong}: finite numbers [{len(rows)}, d] are needed")
    if actions.ndim != 2 or len(actions) != len(rows) or not np.isfinite(actions).all():
        wrong = f"an array of shape {actions.shape}" if actions.ndim != 2 or len(actions) != len(rows) else "not finite"
        raise ValueError(f"actions of the function are {wrong}: finite numbers [{len(rows)}, d] are needed")
    return torch.as_tensor(actions, dtype=rows.dtype, device=rows.device)
