"""One network of an ensemble with its optimiser."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar, cast

import torch
from torch import Tensor

from nash_dqn.grouped_networks import from_state, to_state
from nash_dqn.networks import Network

N = TypeVar("N", bound=Network)


class Learner(Generic[N]):
    """A network of K members under AdamW (Adam with decoupled weight decay).

    Members are independent: gradients are of the *sum* of the members' losses, each clipped by its own norm. So are
    the parts of a network, those of different groups of agents.
    """

    def __init__(
        self,
        network: N,
        learning_rate: float,
        weight_decay: float,
        gradient_clip: float | None,
        adam_beta2: float = 0.999,
    ) -> None:
        self.gradient_clip = gradient_clip
        self._learning_rate, self._weight_decay, self._betas = learning_rate, weight_decay, (0.9, adam_beta2)
        self._own(network.map(Tensor.clone))

    def _own(self, network: N) -> None:
        """Train these tensors from now on, with a new optimiser."""
        self.network = network
        self.parameters = [parameter.requires_grad_() for parameter in network.parameters]
        self.frozen = self.network.map(Tensor.detach)
        """The network without gradients, sharing memory: always the current weights."""
        self.optimiser = torch.optim.AdamW(
            self.parameters, lr=self._learning_rate, betas=self._betas, weight_decay=self._weight_decay, fused=True
        )

    def step(self, loss: Tensor, rate: float = 1.0) -> None:
        """Minimise the sum of the members' losses by one step, at ``rate`` times the learning rate."""
        self.optimiser.param_groups[0]["lr"] = rate * self._learning_rate
        gradients: Sequence[Tensor] = torch.autograd.grad(loss, self.parameters)
        if self.gradient_clip is not None:
            rest, sizes = iter(gradients), [len(part) for part in self.network.parts]
            parts = [list(itertools.islice(rest, size)) for size in sizes]
            gradients = [gradient for part in parts for gradient in clip_per_member(part, self.gradient_clip)]
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = gradient
        self.optimiser.step()

    def select(self, members: Sequence[int]) -> None:
        """Keep only some members, with their optimiser state."""
        index = list(members)
        state = [self.optimiser.state[p] for p in self.parameters]
        self._own(self.frozen.map(lambda t: t[index].clone()))
        for parameter, old in zip(self.parameters, state, strict=True):
            self.optimiser.state[parameter] = {
                name: value.clone() if value.dim() == 0 else value[index].clone() for name, value in old.items()
            }

    def load(self, network: N, renew: bool) -> None:
        """Go on from copies of these weights, with a new optimiser or with this one as it is."""
        if renew:
            self._own(network.map(lambda t: t.detach().clone()))
        else:
            torch._foreach_copy_(self.frozen.parameters, network.parameters)

    def state(self) -> dict[str, Any]:
        """Weights and optimiser state, sharing memory."""
        return {
            "network": to_state(self.frozen),
            "optimiser": [self.optimiser.state[parameter] for parameter in self.parameters],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from such a state, which these tensors then belong to."""
        self._own(cast("N", from_state(state["network"])))
        self.optimiser.state.update(zip(self.parameters, state["optimiser"], strict=True))

    def snapshot(self) -> N:
        """A copy of the network without gradients."""
        return self.frozen.map(Tensor.clone)


def clip_per_member(gradients: Sequence[Tensor], limit: float) -> list[Tensor]:
    """Scale each member's gradient ``[K, ...]`` to a norm of at most ``limit``, over all tensors together."""
    squares = torch.stack([g.flatten(1).square().sum(1) for g in gradients]).sum(0)
    factor = (limit / (squares.sqrt() + 1e-6)).clamp(max=1.0)
    return [g * factor.view(-1, *[1] * (g.dim() - 1)) for g in gradients]


def half_cosine(fraction: float) -> float:
    """Schedule of a learning rate: from 1 at fraction 0 of the run to 0 at fraction 1."""
    return 0.5 * (1 + math.cos(math.pi * fraction))
