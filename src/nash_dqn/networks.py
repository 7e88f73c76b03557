"""Networks of an ensemble: K independent members side by side, weights ``[K, in, out]``.

Batching the members turns K small matrix products into one call. Nothing mixes members, so each computes what it would
compute alone (to rounding).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, Self

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

    def first_outputs(self, count: int) -> MLP:
        """The part that computes the first outputs (views, not copies)."""
        *weights, weight = self.weights
        *biases, bias = self.biases
        return MLP([*weights, weight[..., :count]], [*biases, bias[..., :count]])

    def scaled(self, factor: float) -> MLP:
        """A network whose outputs are these times a factor; all but the last layer shares memory."""
        *weights, weight = self.weights
        *biases, bias = self.biases
        return MLP([*weights, weight * factor], [*biases, bias * factor])

    def state_dict(self, prefix: str) -> dict[str, Tensor]:
        """Tensors by name: ``prefix.0.weight``, ``prefix.0.bias`` and so on."""
        return {
            f"{prefix}.{layer}.{kind}": tensor
            for layer, pair in enumerate(zip(self.weights, self.biases, strict=True))
            for kind, tensor in zip(("weight", "bias"), pair, strict=True)
        }

    @staticmethod
    def from_state_dict(tensors: dict[str, Tensor], prefix: str) -> MLP | None:
        """Inverse of :meth:`state_dict`; None where there is no such network among the tensors."""
        weights: list[Tensor] = []
        biases: list[Tensor] = []
        while (key := f"{prefix}.{len(weights)}") + ".weight" in tensors:
            weights.append(tensors[key + ".weight"])
            biases.append(tensors[key + ".bias"])
        return MLP(weights, biases) if weights else None

    def map(self, function: Callable[..., Tensor], *others: MLP) -> MLP:
        """Apply a function to each tensor, or to each with its counterparts in networks of the same shape."""
        weights = zip(self.weights, *(other.weights for other in others), strict=True)
        biases = zip(self.biases, *(other.biases for other in others), strict=True)
        return MLP([function(*layer) for layer in weights], [function(*layer) for layer in biases])


class ActionMap(Protocol):
    """What policies ask of a function of what the agents see."""

    def __call__(self, observation: Observation, agents: slice = slice(None), /) -> Tensor:
        """Leaves ``[K, B..., N, F]`` and ``[K, B..., N, I]`` -> ``[K, B..., n, out]`` for the n agents of a slice."""

    @property
    def parameters(self) -> list[Tensor]:
        """All trained tensors ``[K, ...]``."""

    def map(self, function: Callable[..., Tensor], /, *others: Self) -> Self:
        """Apply a function to each tensor, or to each with its counterparts in networks of the same shape."""


class Network(ActionMap, Protocol):
    """What trainers ask of the networks of all agents: one for everybody, or one for each group."""

    def __call__(
        self, observation: Observation, agents: slice = slice(None), action: Tensor | None = None, /
    ) -> Tensor:
        """As of a policy; ``action`` ``[K, B..., n, d]`` is one more input, for a critic Q(x, u)."""

    @property
    def parts(self) -> list[list[Tensor]]:
        """The trained tensors of each group of agents."""

    def first_outputs(self, count: int, /) -> Self:
        """The part that computes the first outputs (views, not copies)."""

    def scaled(self, factor: float, /) -> Self:
        """A network whose outputs are these times a factor."""

    def state_dict(self, prefix: str, /) -> dict[str, Tensor]:
        """Tensors by name."""


class ObservationNetwork(NamedTuple):
    """DeepSets of equation (16), sigma(own, pool_j phi(item_j)), for all agents at once.

    Agent i pools over the others, j != i: the sum over all less its own, which is O(N) in time and memory. The pool is
    the mean, i.e. (16)'s sum over a constant, so that inputs stay of order one for any N.

    Attributes:
        phi: network of one item, or None where nothing is label-invariant.
        sigma: network of the own features and the pool.
        skip: ``[K, M, C, out]`` coefficients of :func:`monomials` of the own features and the mean item, a set for
            each of the M steps, added to sigma's output; None for none. In a linear-quadratic game mu is linear and V
            quadratic in them, step by step, so that only what departs from this is left to sigma.
        basis: ``[K, M, F, F]`` constant matrices that the own features of a step are multiplied by before anything
            else, or None; not trained.
    """

    phi: MLP | None
    sigma: MLP
    skip: Tensor | None = None
    basis: Tensor | None = None

    @staticmethod
    def create(
        own_size: int,
        item_size: int,
        phi_hidden: Sequence[int],
        hidden: Sequence[int],
        out_size: int,
        generators: Sequence[Generator],
        skip: tuple[int, int] | None = None,
        basis: Tensor | None = None,
    ) -> ObservationNetwork:
        """Hidden layer sizes as in section 6.2; with no item, or ``phi_hidden`` empty, items are pooled as they are.

        ``skip`` is the number of steps M and the degree (1 or 2) of skip terms, which start at zero; ``basis`` is
        ``[M, F, F]``, the same for all members.
        """
        phi = None
        pooled = item_size
        if item_size and phi_hidden:
            phi = MLP.create([item_size, *phi_hidden], generators)
            pooled = phi_hidden[-1]
        sigma = MLP.create([own_size + pooled, *hidden, out_size], generators)
        if basis is not None:
            basis = basis.expand(len(generators), *basis.shape).contiguous()
        if skip is None:
            return ObservationNetwork(phi, sigma, None, basis)
        steps, degree = skip
        features = own_size + item_size
        terms = features if degree == 1 else features * (features + 1) // 2
        return ObservationNetwork(phi, sigma, torch.zeros(len(generators), steps, terms, out_size), basis)

    def __call__(self, observation: Observation, agents: slice = slice(None), action: Tensor | None = None) -> Tensor:
        """Leaves ``[K, B..., N, F]`` and ``[K, B..., N, I]`` -> ``[K, B..., n, out]`` for the n agents of a slice.

        ``action`` ``[K, B..., n, d]`` is one more input of sigma (for a critic Q(x, u)).
        """
        everyone = agents == slice(None)
        own = observation.own if everyone else observation.own[..., agents, :]
        if self.basis is not None:
            own = of_step(own, self.basis, observation.step)
        inputs = [own]
        if action is not None:
            inputs.append(action)
        if observation.items is not None:
            pooled = _mean_of_others(embed(self.phi, observation.items))
            inputs.append(pooled if everyone else pooled[..., agents, :])
        x = inputs[0] if len(inputs) == 1 else torch.cat(inputs, -1)
        output = self.sigma(x.flatten(1, -2)).unflatten(1, x.shape[1:-1])
        if self.skip is None:
            return output
        if observation.items is not None:
            pooled = _mean_of_others(observation.items)
            own = torch.cat((own, pooled if everyone else pooled[..., agents, :]), -1)
        return output + skip_terms(own, self.skip, observation.step)

    @property
    def parameters(self) -> list[Tensor]:
        """All trained tensors, phi's before sigma's."""
        skip = [] if self.skip is None else [self.skip]
        return [*(self.phi.parameters if self.phi else []), *self.sigma.parameters, *skip]

    @property
    def parts(self) -> list[list[Tensor]]:
        """The trained tensors of each group of agents: of all, as one."""
        return [self.parameters]

    def first_outputs(self, count: int) -> ObservationNetwork:
        """The part that computes the first outputs (views, not copies)."""
        skip = None if self.skip is None else self.skip[..., :count]
        return self._replace(sigma=self.sigma.first_outputs(count), skip=skip)

    def scaled(self, factor: float) -> ObservationNetwork:
        """A network whose outputs are these times a factor."""
        return self._replace(sigma=self.sigma.scaled(factor), skip=None if self.skip is None else self.skip * factor)

    def map(self, function: Callable[..., Tensor], *others: ObservationNetwork) -> ObservationNetwork:
        """Apply a function to each tensor, or to each with its counterparts in networks of the same shape."""
        phi = self.phi.map(function, *(other.phi for other in others if other.phi)) if self.phi else None
        sigma = self.sigma.map(function, *(other.sigma for other in others))
        skip = None if self.skip is None else function(self.skip, *(o.skip for o in others if o.skip is not None))
        basis = None if self.basis is None else function(self.basis, *(o.basis for o in others if o.basis is not None))
        return ObservationNetwork(phi, sigma, skip, basis)

    def state_dict(self, prefix: str) -> dict[str, Tensor]:
        """Tensors by name: ``prefix.sigma.0.weight`` and so on."""
        of_steps = {"skip": self.skip, "basis": self.basis}
        phi = {} if self.phi is None else self.phi.state_dict(f"{prefix}.phi")
        return {
            **{f"{prefix}.{name}": tensor for name, tensor in of_steps.items() if tensor is not None},
            **phi,
            **self.sigma.state_dict(f"{prefix}.sigma"),
        }

    @staticmethod
    def from_state_dict(tensors: dict[str, Tensor], prefix: str) -> ObservationNetwork:
        """Inverse of :meth:`state_dict`.

        Raises:
            KeyError: no such network among the tensors.
        """
        sigma, phi = (MLP.from_state_dict(tensors, f"{prefix}.{part}") for part in ("sigma", "phi"))
        if sigma is None:
            raise KeyError(f"{prefix}.sigma.0.weight")
        return ObservationNetwork(phi, sigma, tensors.get(f"{prefix}.skip"), tensors.get(f"{prefix}.basis"))


def embed(phi: MLP | None, items: Tensor) -> Tensor:
    """phi(item): ``[K, B..., N, I] -> [K, B..., N, P]``; without phi, the items themselves."""
    if phi is None:
        return items
    return functional.silu(phi(items.flatten(1, -2))).unflatten(1, items.shape[1:-1])


def skip_terms(features: Tensor, coefficients: Tensor, step: int | None) -> Tensor:
    """``[K, B..., n, C] -> [K, B..., n, out]``; all steps, along dimension -3, where ``step`` is None.

    ``coefficients`` ``[K, M, terms, out]`` are those of the features themselves, or of :func:`monomials` of degree 2.
    """
    degree = 1 if features.shape[-1] == coefficients.shape[-2] else 2
    return of_step(monomials(features, degree), coefficients, step)


def monomials(features: Tensor, degree: int) -> Tensor:
    """Features of skip terms, the first of ``[..., C]``, time, replaced by 1: a step's coefficients need no time.

    Degree 1: these, ``[..., C]``; degree 2: the products of each two, ``[..., C (C + 1) / 2]``, which hold the linear
    terms and the constant too.
    """
    z = torch.cat((torch.ones_like(features[..., :1]), features[..., 1:]), -1)
    if degree == 1:
        return z
    rows, cols = torch.triu_indices(z.shape[-1], z.shape[-1], device=z.device)
    return z[..., rows] * z[..., cols]


def of_step(features: Tensor, matrices: Tensor, step: int | None) -> Tensor:
    """Features ``[K, B..., n, C]`` times the matrices ``[K, M, C, D]`` of their step.

    Where ``step`` is None the features hold all steps, along dimension -3.
    """
    if step is not None:
        return torch.bmm(features.flatten(1, -2), matrices[:, step]).unflatten(1, features.shape[1:-1])
    return torch.einsum("k...mnc,kmcd->k...mnd", features, matrices)


def _mean_of_others(items: Tensor) -> Tensor:
    """Mean over j != i of ``[..., N, I]``; zero for a lone agent."""
    n = items.shape[-2]
    return (items.sum(-2, keepdim=True) - items) / max(n - 1, 1)
