"""Networks of a game of several groups of agents: each group has its own, and none is shared (Remark 4.1)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Generator, Tensor

from nash_dqn.games.base import Observation
from nash_dqn.networks import MLP, Network, ObservationNetwork, embed, skip_terms


class GroupNetwork(NamedTuple):
    """DeepSets of equation (16), sigma(own, pool_1, ..., pool_G), for the agents of one group.

    Agent i takes the mean of phi_h(item_j) over the agents j != i of each group h, with a phi of its own for each h: it
    does not matter which agent of a group is which, but of which group. In the group of a lone agent there are no
    others, and no pool.

    Attributes:
        agents: of the group.
        groups: all groups.
        phi: network of one item for each group with others; none where items are pooled as they are, or nobody has one.
        sigma: network of the own features and the pools.
        skip: as in :class:`nash_dqn.networks.ObservationNetwork`, of the own features and the mean items.
    """

    agents: range
    groups: tuple[range, ...]
    phi: tuple[MLP, ...]
    sigma: MLP
    skip: Tensor | None

    def __call__(self, observation: Observation, agents: range, action: Tensor | None = None) -> Tensor:
        """``[K, B..., N, F]`` and ``[K, B..., N, I] -> [K, B..., n, out]`` for n neighbouring agents of the group.

        ``action`` ``[K, B..., n, d]`` is one more input of sigma.
        """
        own, items = observation.own[..., agents.start : agents.stop, :], observation.items
        pools = [] if items is None else self._pools(items, agents, self.phi)
        x = torch.cat([own, *([] if action is None else [action]), *pools], -1)
        output = self.sigma(x.flatten(1, -2)).unflatten(1, x.shape[1:-1])
        if self.skip is None:
            return output
        if items is not None:
            own = torch.cat([own, *self._pools(items, agents, ())], -1)
        return output + skip_terms(own, self.skip, observation.step)

    def _pools(self, items: Tensor, agents: range, phi: Sequence[MLP]) -> list[Tensor]:
        """Mean over the others of each group, ``[K, B..., n, P]``, for some agents."""
        pools = []
        seen = with_others(self.agents, self.groups)
        for network, group in itertools.zip_longest(phi, seen):
            of_group = embed(network, items[..., group.start : group.stop, :])
            total, count = of_group.sum(-2, keepdim=True), len(group)
            if group == self.agents:
                own = of_group[..., agents.start - group.start : agents.stop - group.start, :]
                total, count = total - own, count - 1
            pools.append((total / count).expand(*total.shape[:-2], len(agents), -1))
        return pools

    @property
    def parameters(self) -> list[Tensor]:
        """All trained tensors."""
        of_phi = [tensor for phi in self.phi for tensor in phi.parameters]
        return [*of_phi, *self.sigma.parameters, *([] if self.skip is None else [self.skip])]

    def first_outputs(self, count: int) -> GroupNetwork:
        """The part that computes the first outputs (views, not copies)."""
        skip = None if self.skip is None else self.skip[..., :count]
        return self._replace(sigma=self.sigma.first_outputs(count), skip=skip)

    def scaled(self, factor: float) -> GroupNetwork:
        """A network whose outputs are these times a factor."""
        return self._replace(sigma=self.sigma.scaled(factor), skip=None if self.skip is None else self.skip * factor)

    def map(self, function: Callable[..., Tensor], *others: GroupNetwork) -> GroupNetwork:
        """Apply a function to each tensor, or to each with its counterparts in networks of the same shape."""
        phi = zip(self.phi, *(other.phi for other in others), strict=True)
        sigma = self.sigma.map(function, *(other.sigma for other in others))
        skip = None if self.skip is None else function(self.skip, *(o.skip for o in others if o.skip is not None))
        return self._replace(phi=tuple(own.map(function, *rest) for own, *rest in phi), sigma=sigma, skip=skip)


class GroupedNetwork(NamedTuple):
    """A network for each group, used like one :class:`nash_dqn.networks.ObservationNetwork` of all agents.

    Attributes:
        networks: of each group.
    """

    networks: tuple[GroupNetwork, ...]

    @staticmethod
    def create(
        groups: Sequence[range],
        own_size: int,
        item_size: int,
        phi_hidden: Sequence[int],
        hidden: Sequence[int],
        out_size: int,
        generators: Sequence[Generator],
        skip: tuple[int, int] | None = None,
    ) -> GroupedNetwork:
        """As :meth:`nash_dqn.networks.ObservationNetwork.create`, group after group from the same generators."""

        def network(agents: range) -> GroupNetwork:
            pools = len(with_others(agents, groups)) if item_size else 0
            phi = tuple(MLP.create([item_size, *phi_hidden], generators) for _ in range(pools if phi_hidden else 0))
            pooled = phi_hidden[-1] if phi_hidden else item_size
            sigma = MLP.create([own_size + pooled * pools, *hidden, out_size], generators)
            coefficients = None
            if skip is not None:
                steps, degree = skip
                features = own_size + item_size * pools
                terms = features if degree == 1 else features * (features + 1) // 2
                coefficients = torch.zeros(len(generators), steps, terms, out_size)
            return GroupNetwork(agents, tuple(groups), phi, sigma, coefficients)

        return GroupedNetwork(tuple(network(group) for group in groups))

    def __call__(self, observation: Observation, agents: slice = slice(None), action: Tensor | None = None) -> Tensor:
        """Leaves ``[K, B..., N, F]`` and ``[K, B..., N, I] -> [K, B..., n, out]`` for the n agents of a slice.

        ``action`` ``[K, B..., n, d]`` is one more input.
        """
        wanted = range(observation.own.shape[-2])[agents]
        outputs = []
        for network in self.networks:
            some = range(max(wanted.start, network.agents.start), min(wanted.stop, network.agents.stop))
            if len(some):
                at = slice(some.start - wanted.start, some.stop - wanted.start)
                outputs.append(network(observation, some, None if action is None else action[..., at, :]))
        if not outputs:  # a slice of no agents, such as those after the last
            return observation.own.new_zeros(
                *observation.own.shape[:-2], 0, self.networks[0].sigma.weights[-1].shape[-1]
            )
        return outputs[0] if len(outputs) == 1 else torch.cat(outputs, -2)

    @property
    def groups(self) -> tuple[range, ...]:
        """The agents of each group."""
        return tuple(network.agents for network in self.networks)

    @property
    def parts(self) -> list[list[Tensor]]:
        """The trained tensors of each group."""
        return [network.parameters for network in self.networks]

    @property
    def parameters(self) -> list[Tensor]:
        """All trained tensors, group after group."""
        return [tensor for part in self.parts for tensor in part]

    def first_outputs(self, count: int) -> GroupedNetwork:
        """The part that computes each agent's first outputs (views, not copies)."""
        return GroupedNetwork(tuple(network.first_outputs(count) for network in self.networks))

    def scaled(self, factor: float) -> GroupedNetwork:
        """A network whose outputs are these times a factor."""
        return GroupedNetwork(tuple(network.scaled(factor) for network in self.networks))

    def map(self, function: Callable[..., Tensor], *others: GroupedNetwork) -> GroupedNetwork:
        """Apply a function to each tensor, or to each with its counterparts in networks of the same shape."""
        networks = zip(self.networks, *(other.networks for other in others), strict=True)
        return GroupedNetwork(tuple(own.map(function, *rest) for own, *rest in networks))

    def state_dict(self, prefix: str) -> dict[str, Tensor]:
        """Tensors by name: ``prefix.group_0.phi_1.0.weight``, ``prefix.group_0.sigma.0.weight`` and so on."""
        tensors: dict[str, Tensor] = {}
        for g, network in enumerate(self.networks):
            name = f"{prefix}.group_{g}"
            if network.skip is not None:
                tensors[f"{name}.skip"] = network.skip
            for h, phi in enumerate(network.phi):
                tensors |= phi.state_dict(f"{name}.phi_{h}")
            tensors |= network.sigma.state_dict(f"{name}.sigma")
        return tensors

    @staticmethod
    def from_state_dict(tensors: dict[str, Tensor], prefix: str, sizes: Sequence[int]) -> GroupedNetwork:
        """Inverse of :meth:`state_dict`, for groups of these sizes.

        Raises:
            KeyError: no such network among the tensors.
        """
        ends = itertools.accumulate(sizes)
        groups = tuple(range(end - size, end) for size, end in zip(sizes, ends, strict=True))
        return GroupedNetwork.of_groups(tensors, prefix, groups, groups)

    @staticmethod
    def of_groups(
        tensors: dict[str, Tensor], prefix: str, own: Sequence[range], groups: Sequence[range]
    ) -> GroupedNetwork:
        """Inverse of :meth:`state_dict` for the networks of some groups, ``own``, of all ``groups``.

        Raises:
            KeyError: no such network among the tensors.
        """
        networks = []
        for g, agents in enumerate(own):
            name = f"{prefix}.group_{g}"
            sigma = MLP.from_state_dict(tensors, f"{name}.sigma")
            if sigma is None:
                raise KeyError(f"{name}.sigma.0.weight")
            found = (MLP.from_state_dict(tensors, f"{name}.phi_{h}") for h in range(len(groups)))
            phi = tuple(network for network in found if network is not None)
            networks.append(GroupNetwork(agents, tuple(groups), phi, sigma, tensors.get(f"{name}.skip")))
        return GroupedNetwork(tuple(networks))


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
    """The networks of all agents: one where they are one group, otherwise one for each group."""
    sizes = own_size, item_size, phi_hidden, hidden, out_size
    if len(groups) == 1:
        return ObservationNetwork.create(*sizes, generators, skip)
    return GroupedNetwork.create(groups, *sizes, generators, skip)


def to_state(network: Network) -> dict[str, Any]:
    """The network for a checkpoint: its tensors, sharing memory, and what its groups are."""
    state: dict[str, Any] = {"tensors": network.state_dict("network")}
    if isinstance(network, GroupedNetwork):
        for name, groups in (("own", network.groups), ("groups", network.networks[0].groups)):
            state[name] = [[group.start, group.stop] for group in groups]
    return state


def from_state(state: Mapping[str, Any]) -> Network:
    """Inverse of :func:`to_state`."""
    tensors = dict(state["tensors"])
    if "own" not in state:
        return ObservationNetwork.from_state_dict(tensors, "network")
    own, groups = ([range(*ends) for ends in state[name]] for name in ("own", "groups"))
    return GroupedNetwork.of_groups(tensors, "network", own, groups)


def with_others(agents: range, groups: Sequence[range]) -> list[range]:
    """The groups in which an agent of a group has others to look at."""
    return [group for group in groups if group != agents or len(group) > 1]
