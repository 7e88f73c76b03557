"""Networks of an ensemble: K independent members side by side, weights ``[K, in, out]``.

Batching the members turns K small matrix products into one call. Nothing mixes members, so each computes what it would
compute alone (to rounding). Networks are trees of tensors (:mod:`nash_dqn.trees`).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

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

    def with_outputs(self, function: Callable[[Tensor], Tensor]) -> MLP:
        """The network with a function applied to the last layer's weight and bias; the rest shares memory."""
        *weights, weight = self.weights
        *biases, bias = self.biases
        return MLP([*weights, function(weight)], [*biases, function(bias)])

    def state_dict(self, prefix: str) -> dict[str, Tensor]:
        """Tensors by name: ``prefix.0.weight``, ``prefix.0.bias`` and so on."""
        return {
            f"{prefix}.{layer}.{kind}": tensor
            for layer, pair in enumerate(zip(self.weights, self.biases, strict=True))
            for kind, tensor in zip(("weight", "bias"), pair, strict=True)
        }

    @staticmethod
    def from_state_dict(tensors: Mapping[str, Tensor], prefix: str) -> MLP | None:
        """Inverse of :meth:`state_dict`; None where there is no such network among the tensors."""
        weights: list[Tensor] = []
        biases: list[Tensor] = []
        while (key := f"{prefix}.{len(weights)}") + ".weight" in tensors:
            weights.append(tensors[key + ".weight"])
            biases.append(tensors[key + ".bias"])
        return MLP(weights, biases) if weights else None


class ActionMap(Protocol):
    """What policies ask of a function of what the agents see."""

    def __call__(self, observation: Observation, agents: slice = slice(None), /) -> Tensor:
        """Leaves ``[K, B..., N, F]`` and ``[K, B..., N, I]`` -> ``[K, B..., n, out]`` for the n agents of a slice."""

    @property
    def parameters(self) -> list[Tensor]:
        """All trained tensors ``[K, ...]``."""


class ObservationNetwork(NamedTuple):
    """DeepSets of equation (16), sigma(own, pool_1, ..., pool_G), for all agents of a group at once.

    Agent i takes the mean of phi_h(item_j) over the agents j != i of each group h, with a phi of its own for each h: it
    does not matter which agent of a group is which, but of which group. The sum over a group less the agent's own is
    O(N) in time and memory; the mean, i.e. (16)'s sum over a constant, is of order one for any N. Where all agents are
    one group, as in the paper, there is one pool, and it is zero for a lone agent. In a lone agent's own group among
    several there are no others, and no pool.

    Attributes:
        phi: network of one item for each pool; None where items are pooled as they are, or nobody has one.
        sigma: network of the own features and the pools.
        skip: ``[K, M, C, out]`` coefficients of :func:`monomials` of the own features and the mean items, a set for
            each of the M steps, added to sigma's output; None for none. In a linear-quadratic game mu is linear and V
            quadratic in them, step by step, so that only what departs from this is left to sigma.
        basis: ``[K, M, F, F]`` constant matrices that the own features of a step are multiplied by before anything
            else, or None; not trained.
        agents: of the group whose network this is; None where all agents are one group.
        groups: all groups, where there are several.
    """

    phi: tuple[MLP, ...] | None
    sigma: MLP
    skip: Tensor | None = None
    basis: Tensor | None = None
    agents: range | None = None
    groups: tuple[range, ...] = ()

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
        agents: range | None = None,
        groups: tuple[range, ...] = (),
    ) -> ObservationNetwork:
        """Hidden layer sizes as in section 6.2; with no item, or ``phi_hidden`` empty, items are pooled as they are.

        ``skip`` is the number of steps M and the degree (1 or 2) of skip terms, which start at zero; ``basis`` is
        ``[M, F, F]``, the same for all members.
        """
        pools = (1 if agents is None else len(with_others(agents, groups))) if item_size else 0
        embedded = pools if phi_hidden else 0
        phi = tuple(MLP.create([item_size, *phi_hidden], generators) for _ in range(embedded)) or None
        pooled = phi_hidden[-1] if phi_hidden else item_size
        sigma = MLP.create([own_size + pooled * pools, *hidden, out_size], generators)
        coefficients = None
        if skip is not None:
            steps, degree = skip
            features = own_size + item_size * pools
            terms = features if degree == 1 else features * (features + 1) // 2
            coefficients = torch.zeros(len(generators), steps, terms, out_size)
        if basis is not None:
            basis = basis.expand(len(generators), *basis.shape).contiguous()
        return ObservationNetwork(phi, sigma, coefficients, basis, agents, groups)

    def __call__(self, observation: Observation, agents: slice = slice(None), action: Tensor | None = None) -> Tensor:
        """Leaves ``[K, B..., N, F]`` and ``[K, B..., N, I]`` -> ``[K, B..., n, out]`` for n agents of the group.

        ``action`` ``[K, B..., n, d]`` is one more input of sigma (for a critic Q(x, u)).
        """
        chosen = range(observation.own.shape[-2])[agents]
        own, items = observation.own[..., chosen.start : chosen.stop, :], observation.items
        if self.basis is not None:
            own = of_step(own, self.basis, observation.step)
        inputs = [own]
        if action is not None:
            inputs.append(action)
        if items is not None:
            inputs += self._pools(items, chosen, self.phi)
        x = inputs[0] if len(inputs) == 1 else torch.cat(inputs, -1)
        output = self.sigma(x.flatten(1, -2)).unflatten(1, x.shape[1:-1])
        if self.skip is None:
            return output
        if items is not None:
            own = torch.cat([own, *self._pools(items, chosen, None)], -1)
        return output + skip_terms(own, self.skip, observation.step)

    def _pools(self, items: Tensor, agents: range, phi: tuple[MLP, ...] | None) -> list[Tensor]:
        """Mean over the others of each group, ``[K, B..., n, P]``, for some agents."""
        everyone = range(items.shape[-2])
        group = everyone if self.agents is None else self.agents
        seen = [everyone] if self.agents is None else with_others(group, self.groups)
        pools = []
        for network, others in itertools.zip_longest(phi or (), seen):
            embedded = embed(network, items[..., others.start : others.stop, :])
            total, count = embedded.sum(-2, keepdim=True), len(others)
            if others == group:
                total = total - embedded[..., agents.start - others.start : agents.stop - others.start, :]
                count = max(count - 1, 1)
            pools.append((total / count).expand(*total.shape[:-2], len(agents), -1))
        return pools

    @property
    def parameters(self) -> list[Tensor]:
        """All trained tensors, phi's before sigma's."""
        of_phi = [tensor for phi in self.phi or () for tensor in phi.parameters]
        return [*of_phi, *self.sigma.parameters, *([] if self.skip is None else [self.skip])]

    @property
    def parts(self) -> list[list[Tensor]]:
        """The trained tensors of each group of agents: of all, as one."""
        return [self.parameters]

    def with_outputs(self, function: Callable[[Tensor], Tensor]) -> ObservationNetwork:
        """The network with a function applied to all tensors ``[..., out]`` that are linear in its outputs."""
        skip = None if self.skip is None else function(self.skip)
        return self._replace(sigma=self.sigma.with_outputs(function), skip=skip)

    def state_dict(self, prefix: str) -> dict[str, Tensor]:
        """Tensors by name: ``prefix.sigma.0.weight`` and so on."""
        of_steps = {"skip": self.skip, "basis": self.basis}
        tensors = {f"{prefix}.{name}": tensor for name, tensor in of_steps.items() if tensor is not None}
        for h, phi in enumerate(self.phi or ()):
            tensors |= phi.state_dict(_phi_name(prefix, h, self.agents))
        return tensors | self.sigma.state_dict(f"{prefix}.sigma")

    @staticmethod
    def from_state_dict(
        tensors: Mapping[str, Tensor], prefix: str, agents: range | None = None, groups: tuple[range, ...] = ()
    ) -> ObservationNetwork:
        """Inverse of :meth:`state_dict`.

        Raises:
            KeyError: no such network among the tensors.
        """
        sigma = MLP.from_state_dict(tensors, f"{prefix}.sigma")
        if sigma is None:
            raise KeyError(f"{prefix}.sigma.0.weight")
        found = (MLP.from_state_dict(tensors, _phi_name(prefix, h, agents)) for h in range(max(len(groups), 1)))
        phi = tuple(network for network in found if network is not None) or None
        return ObservationNetwork(
            phi, sigma, tensors.get(f"{prefix}.skip"), tensors.get(f"{prefix}.basis"), agents, groups
        )


class GroupedNetwork(NamedTuple):
    """A network for each group of agents, none of them shared (Remark 4.1), used like one of all agents.

    Attributes:
        networks: of each group.
    """

    networks: tuple[ObservationNetwork, ...]

    def __call__(self, observation: Observation, agents: slice = slice(None), action: Tensor | None = None) -> Tensor:
        """Leaves ``[K, B..., N, F]`` and ``[K, B..., N, I] -> [K, B..., n, out]`` for the n agents of a slice.

        ``action`` ``[K, B..., n, d]`` is one more input.
        """
        wanted = range(observation.own.shape[-2])[agents]
        outputs = []
        for network, group in zip(self.networks, self.groups, strict=True):
            start, stop = max(wanted.start, group.start), min(wanted.stop, group.stop)
            if start < stop:
                of_group = None if action is None else action[..., start - wanted.start : stop - wanted.start, :]
                outputs.append(network(observation, slice(start, stop), of_group))
        if not outputs:  # a slice of no agents, such as those after the last
            size = self.networks[0].sigma.weights[-1].shape[-1]
            return observation.own.new_zeros(*observation.own.shape[:-2], 0, size)
        return outputs[0] if len(outputs) == 1 else torch.cat(outputs, -2)

    @property
    def groups(self) -> tuple[range, ...]:
        """The agents of each group."""
        return tuple(network.agents for network in self.networks if network.agents is not None)

    @property
    def parts(self) -> list[list[Tensor]]:
        """The trained tensors of each group."""
        return [network.parameters for network in self.networks]

    @property
    def parameters(self) -> list[Tensor]:
        """All trained tensors, group after group."""
        return [tensor for part in self.parts for tensor in part]

    def with_outputs(self, function: Callable[[Tensor], Tensor]) -> GroupedNetwork:
        """As :meth:`ObservationNetwork.with_outputs`, of each group's network."""
        return GroupedNetwork(tuple(network.with_outputs(function) for network in self.networks))

    def state_dict(self, prefix: str) -> dict[str, Tensor]:
        """Tensors by name: ``prefix.group_0.phi_1.0.weight``, ``prefix.group_0.sigma.0.weight`` and so on."""
        named = (network.state_dict(f"{prefix}.group_{g}") for g, network in enumerate(self.networks))
        return {name: tensor for tensors in named for name, tensor in tensors.items()}

    @staticmethod
    def from_state_dict(tensors: Mapping[str, Tensor], prefix: str, sizes: Sequence[int]) -> GroupedNetwork:
        """Inverse of :meth:`state_dict`, for groups of these sizes.

        Raises:
            KeyError: no such network among the tensors.
        """
        ends = itertools.accumulate(sizes)
        groups = tuple(range(end - size, end) for size, end in zip(sizes, ends, strict=True))
        return GroupedNetwork(
            tuple(
                ObservationNetwork.from_state_dict(tensors, f"{prefix}.group_{g}", agents, groups)
                for g, agents in enumerate(groups)
            )
        )


Network = ObservationNetwork | GroupedNetwork
"""The networks of all agents."""


def create(
    groups: Sequence[range],
    own_size: int,
    item_size: int,
    phi_hidden: Sequence[int],
    hidden: Sequence[int],
    out_size: int,
    generators: Sequence[Generator],
    skip: tuple[int, int] | None = None,
) -> Network:
    """The networks of all agents, as :meth:`ObservationNetwork.create`: one where they are one group, otherwise one for
    each group, group after group from the same generators.
    """
    settings = own_size, item_size, phi_hidden, hidden, out_size, generators, skip
    if len(groups) == 1:
        return ObservationNetwork.create(*settings)
    networks = [ObservationNetwork.create(*settings, agents=group, groups=tuple(groups)) for group in groups]
    return GroupedNetwork(tuple(networks))


def with_others(agents: range, groups: Sequence[range]) -> list[range]:
    """The groups in which an agent of a group has others to look at."""
    return [group for group in groups if group != agents or len(group) > 1]


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
    return torch.cat([z[..., i : i + 1] * z[..., i:] for i in range(z.shape[-1])], -1)


def of_step(features: Tensor, matrices: Tensor, step: int | None) -> Tensor:
    """Features ``[K, B..., n, C]`` times the matrices ``[K, M, C, D]`` of their step.

    Where ``step`` is None the features hold all steps, along dimension -3.
    """
    if step is not None:
        return torch.bmm(features.flatten(1, -2), matrices[:, step]).unflatten(1, features.shape[1:-1])
    return torch.einsum("k...mnc,kmcd->k...mnd", features, matrices)


def _phi_name(prefix: str, pool: int, agents: range | None) -> str:
    return f"{prefix}.phi" if agents is None else f"{prefix}.phi_{pool}"
