"""Networks of an ensemble: K independent members side by side, weights ``[K, in, out]``.

Batching the members turns K small matrix products into one call. Nothing mixes members, so each computes what it would
compute alone (to rounding).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Generator, Tensor
from torch.nn import functional

from nash_dqn.games.base import Observation


class MLP(NamedTuple):
    """Multilayer perceptron, SiLU between layers.

    Attributes:
        weights: one ``[K, in, out]`` per layer.
        biases: one ``[K, 1, out]`` per layer.
    """

    weights: list[Tensor]
    biases: list[Tensor]

    @staticmethod
    def create(sizes: Sequence[int], generators: Sequence[Generator]) -> MLP:
        """Layers ``sizes[0] -> sizes[1] -> ...``; member k draws from its own generator.

        Weights and biases are uniform on +-1/sqrt(fan in), as in ``torch.nn.Linear``.
        """
        weights, biases = [], []
        for fan_in, fan_out in zip(sizes[:-1], sizes[1:], strict=True):
            bound = 1 / math.sqrt(fan_in)
            layer = [torch.empty(fan_in + 1, fan_out).uniform_(-bound, bound, generator=g) for g in generators]
            stacked = torch.stack(layer)
            weights.append(stacked[:, :-1].contiguous())
            biases.append(stacked[:, -1:].contiguous())
        return MLP(weights, biases)

    def __call__(self, x: Tensor) -> Tensor:
        """``[K, B, in] -> [K, B, out]``."""
        inplace = not torch.is_grad_enabled()
        last = len(self.weights) - 1
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = torch.baddbmm(bias, x, weight)
            if layer < last:
                x = functional.silu(x, inplace=inplace)
        return x

    @property
    def parameters(self) -> list[Tensor]:
        """Weights and biases, layer by layer."""
        return [tensor for layer in zip(self.weights, self.biases, strict=True) for tensor in layer]

    def map(self, function: Callable[..., Tensor], *others: MLP) -> MLP:
        """Apply a function to each tensor, or to each with its counterparts in networks of the same shape."""
        weights = zip(self.weights, *(other.weights for other in others), strict=True)
        biases = zip(self.biases, *(other.biases for other in others), strict=True)
        return MLP([function(*layer) for layer in weights], [function(*layer) for layer in biases])


class ObservationNetwork(NamedTuple):
    """DeepSets of equation (16), sigma(own, pool_j phi(item_j)), for all agents at once.

    Agent i pools over the others, j != i: the sum over all less its own, which is O(N) in time and memory. The pool is
    the mean, i.e. (16)'s sum over a constant, so that inputs stay of order one for any N.

    Attributes:
        phi: network of one item, or None where nothing is label-invariant.
        sigma: network of the own features and the pool.
    """

    phi: MLP | None
    sigma: MLP

    @staticmethod
    def create(
        own_size: int,
        item_size: int,
        phi_hidden: Sequence[int],
        hidden: Sequence[int],
        out_size: int,
        generators: Sequence[Generator],
    ) -> ObservationNetwork:
        """Hidden layer sizes as in section 6.2; with no item, or ``phi_hidden`` empty, items are pooled as they are."""
        phi = None
        pooled = item_size
        if item_size and phi_hidden:
            phi = MLP.create([item_size, *phi_hidden], generators)
            pooled = phi_hidden[-1]
        sigma = MLP.create([own_size + pooled, *hidden, out_size], generators)
        return ObservationNetwork(phi, sigma)

    def __call__(self, observation: Observation, agents: slice = slice(None), action: Tensor | None = None) -> Tensor:
        """Leaves ``[K, B..., N, F]`` and ``[K, B..., N, I]`` -> ``[K, B..., n, out]`` for the n agents of a slice.

        ``action`` ``[K, B..., n, d]`` is one more input of sigma (for a critic Q(x, u)).
        """
        everyone = agents == slice(None)
        inputs = [observation.own if everyone else observation.own[..., agents, :]]
        if action is not None:
            inputs.append(action)
        if observation.items is not None:
            pooled = self._pool(observation.items)
            inputs.append(pooled if everyone else pooled[..., agents, :])
        x = inputs[0] if len(inputs) == 1 else torch.cat(inputs, -1)
        return self.sigma(x.flatten(1, -2)).unflatten(1, x.shape[1:-1])

    def _pool(self, items: Tensor) -> Tensor:
        """Mean over the others of phi(item): ``[K, B..., N, I] -> [K, B..., N, P]``; zero for a lone agent."""
        if self.phi is not None:
            items = functional.silu(self.phi(items.flatten(1, -2))).unflatten(1, items.shape[1:-1])
        n = items.shape[-2]
        return (items.sum(-2, keepdim=True) - items) / max(n - 1, 1)

    @property
    def parameters(self) -> list[Tensor]:
        """All tensors, phi's before sigma's."""
        return [*(self.phi.parameters if self.phi else []), *self.sigma.parameters]

    def map(self, function: Callable[..., Tensor], *others: ObservationNetwork) -> ObservationNetwork:
        """Apply a function to each tensor, or to each with its counterparts in networks of the same shape."""
        phi = self.phi.map(function, *(other.phi for other in others if other.phi)) if self.phi else None
        return ObservationNetwork(phi, self.sigma.map(function, *(other.sigma for other in others)))

    def state_dict(self, prefix: str) -> dict[str, Tensor]:
        """Tensors by name: ``prefix.sigma.0.weight`` and so on."""
        parts = {"phi": self.phi, "sigma": self.sigma}
        return {
            f"{prefix}.{part}.{layer}.{kind}": tensor
            for part, net in parts.items()
            if net is not None
            for layer, pair in enumerate(zip(net.weights, net.biases, strict=True))
            for kind, tensor in zip(("weight", "bias"), pair, strict=True)
        }

    @staticmethod
    def from_state_dict(tensors: dict[str, Tensor], prefix: str) -> ObservationNetwork:
        """Inverse of :meth:`state_dict`.

        Raises:
            KeyError: no such network among the tensors.
        """

        def part(name: str) -> MLP | None:
            weights: list[Tensor] = []
            biases: list[Tensor] = []
            while (key := f"{prefix}.{name}.{len(weights)}") + ".weight" in tensors:
                weights.append(tensors[key + ".weight"])
                biases.append(tensors[key + ".bias"])
            return MLP(weights, biases) if weights else None

        sigma = part("sigma")
        if sigma is None:
            raise KeyError(f"{prefix}.sigma.0.weight")
        return ObservationNetwork(part("phi"), sigma)
