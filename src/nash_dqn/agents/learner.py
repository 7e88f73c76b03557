"""One network of an ensemble with its optimiser."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Generic, NamedTuple, TypeVar

import torch
from torch import Tensor
from torch.optim.adamw import adamw

from nash_dqn.networks import Network
from nash_dqn.trees import copied

N = TypeVar("N", bound=Network)


class Learner(NamedTuple, Generic[N]):
    """A network of K members under AdamW (Adam with decoupled weight decay), a tree of tensors.

    Members are independent: gradients are of the *sum* of the members' losses, each clipped by its own norm. So are
    the parts of a network, those of different groups of agents.

    Attributes:
        network: its parameters require gradients.
        means: of the gradients, for each parameter.
        squares: means of the squared gradients.
        steps: number of steps, for each parameter, without dimensions.
        learning_rate: of AdamW.
        weight_decay: decoupled.
        gradient_clip: largest norm of a member's gradient; None for no limit.
        adam_beta2: decay of ``squares``.
    """

    network: N
    means: list[Tensor]
    squares: list[Tensor]
    steps: list[Tensor]
    learning_rate: float
    weight_decay: float
    gradient_clip: float | None
    adam_beta2: float

    @staticmethod
    def create(
        network: N,
        learning_rate: float,
        weight_decay: float = 0.0,
        gradient_clip: float | None = None,
        adam_beta2: float = 0.999,
    ) -> Learner[N]:
        """Of a copy of the network, with a new optimiser."""
        network = copied(network)
        parameters = [parameter.requires_grad_() for parameter in network.parameters]
        means, squares = ([torch.zeros_like(p, requires_grad=False) for p in parameters] for _ in range(2))
        steps = [torch.zeros((), device=p.device) for p in parameters]
        return Learner(network, means, squares, steps, learning_rate, weight_decay, gradient_clip, adam_beta2)

    def step(self, loss: Tensor, rate: float = 1.0) -> None:
        """Minimise the sum of the members' losses by one step in place, at ``rate`` times the learning rate."""
        parameters = self.network.parameters
        gradients: Sequence[Tensor] = torch.autograd.grad(loss, parameters)
        if self.gradient_clip is not None:
            rest, sizes = iter(gradients), [len(part) for part in self.network.parts]
            parts = [list(itertools.islice(rest, size)) for size in sizes]
            gradients = [gradient for part in parts for gradient in clip_per_member(part, self.gradient_clip)]
        with torch.no_grad():
            adamw(
                *(parameters, list(gradients), self.means, self.squares, [], self.steps),
                fused=True,
                amsgrad=False,
                beta1=0.9,
                beta2=self.adam_beta2,
                lr=rate * self.learning_rate,
                weight_decay=self.weight_decay,
                eps=1e-8,
                maximize=False,
            )

    def with_network(self, network: N, renew: bool) -> Learner[N]:
        """Of copies of these weights, with a new optimiser or with this one as it is."""
        new = Learner.create(network, *self[4:])
        return new if renew else new._replace(means=self.means, squares=self.squares, steps=self.steps)

    def snapshot(self) -> N:
        """A copy of the network without gradients."""
        return copied(self.network)


def clip_per_member(gradients: Sequence[Tensor], limit: float) -> list[Tensor]:
    """Scale each member's gradient ``[K, ...]`` to a norm of at most ``limit``, over all tensors together."""
    squares = torch.stack([g.flatten(1).square().sum(1) for g in gradients]).sum(0)
    factor = (limit / (squares.sqrt() + 1e-6)).clamp(max=1.0)
    return [g * factor.view(-1, *[1] * (g.dim() - 1)) for g in gradients]


def half_cosine(fraction: float) -> float:
    """Schedule of a learning rate: from 1 at fraction 0 of the run to 0 at fraction 1."""
    return 0.5 * (1 + math.cos(math.pi * fraction))
