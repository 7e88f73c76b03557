"""What training leaves behind: an observation -> action map for each seed, and its file."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from nash_dqn.advantage import mu_network
from nash_dqn.artifacts import ArtifactError, read_tensors, remake
from nash_dqn.games.base import Game, Observation, ObservationSpec, State
from nash_dqn.games.market import Market
from nash_dqn.networks import ActionMap, GroupedNetwork, Network, ObservationNetwork
from nash_dqn.trees import select


@dataclass(frozen=True)
class Policy:
    """Deterministic Markov policies of K ensemble members, one per seed.

    Attributes:
        network: observation -> action ``[K, ..., N, d]``, one network for all agents or one for each group.
        observation: what the policy sees.
        seeds: training seed of each member.
        algorithm: the one that trained it, such as ``"nash_dqn"``.
        bound: actions are clipped to +-bound; None for no bound.
        meta: where it comes from (scenario, policy, ...).
    """

    network: ActionMap
    observation: ObservationSpec
    seeds: Sequence[int]
    algorithm: str
    bound: float | None = None
    meta: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What tables and messages call it: ``meta["policy"]``, of a policy without that its algorithm."""
        return str(self.meta.get("policy", self.algorithm))

    def __call__(self, observation: Observation, agents: slice = slice(None)) -> Tensor:
        """Actions of the agents of a slice: leaves ``[K, B..., N, F]`` -> ``[K, B..., n, d]``."""
        action = self.network(observation, agents)
        return action if self.bound is None else action.clamp(-self.bound, self.bound)

    def act(self, game: Game, state: State, agents: slice = slice(None)) -> Tensor:
        """Actions ``[K, B..., n, d]`` at states with leaves ``[K, B...]``."""
        return self(game.observe(state, self.observation), agents)

    def select(self, members: Sequence[int]) -> Policy:
        """The policy of some members, in that order."""
        return dataclasses.replace(self, network=select(self.network, members), seeds=[self.seeds[k] for k in members])

    def member(self, k: int) -> Policy:
        """The policy of one member, K = 1."""
        return self.select([k])


class Weights(NamedTuple):
    """What a file of weights or snapshots holds.

    Attributes:
        networks: by name (``advantage``, ``value``, ``actor``, ``critic``), each of K members; where agents form
            groups, each of one network for each group.
        algorithm: who trained them.
        observation: what the policy sees.
        seeds: of each of the K members.
        bound: actions are clipped to +- this, in the market shares/hour; None for no clipping.
        action_dim: size of an agent's action.
        meta: scenario, policy, ...; ``transitions`` of each member if they are snapshots.
    """

    networks: Mapping[str, Network]
    algorithm: str
    observation: ObservationSpec
    seeds: list[int]
    bound: float | None
    action_dim: int
    meta: dict[str, Any]

    @property
    def tensors(self) -> dict[str, Tensor]:
        """All of them by name, each ``[K, ...]``."""
        return {key: tensor for name, of in self.networks.items() for key, tensor in of.state_dict(name).items()}

    @property
    def policy(self) -> Policy:
        """The actor; where there is none, mu of Nash-DQN's advantage function.

        Raises:
            KeyError: neither is among the networks.
        """
        if self.algorithm == "nash_dqn" and "actor" not in self.networks:
            network = mu_network(self.networks["advantage"], self.action_dim)
        else:
            network = self.networks["actor"]
        return Policy(network, self.observation, self.seeds, self.algorithm, self.bound, self.meta)

    @property
    def groups(self) -> list[int] | None:
        """How many agents are in each group; None where all are alike."""
        return self.meta.get("groups")

    @property
    def finite(self) -> list[bool]:
        """Whether all weights of a member are finite, for each."""
        tensors = self.tensors.values()
        return [all(bool(tensor[k].isfinite().all()) for tensor in tensors) for k in range(len(self.seeds))]

    def is_of_market(self, record: Mapping[str, Any] | None) -> bool:
        """Whether they are of the market of section 6: by the record of their training, if there is one, as other games
        have other settings; otherwise by what cannot be the market's.
        """
        plain = self.groups is None and self.action_dim == 1
        fields = {field.name for field in dataclasses.fields(Market)}
        return plain and (record is None or set(record["config"]["game"]) <= fields)


@contextmanager
def as_written(path: Path, what: str) -> Iterator[None]:
    """Turn what goes wrong with a file's content, which somebody edited, into an ``ArtifactError`` of one line."""
    try:
        yield
    except ArtifactError:
        raise
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"{path}: not {what} as this package writes it ({error!r}); {remake(path)}") from None


def read_weights(path: str | Path) -> Weights:
    """Read and check a file of weights or snapshots that :mod:`nash_dqn.agents` wrote.

    Raises:
        ArtifactError: it is missing, damaged, or its parts do not fit together.
    """
    tensors, metadata = read_tensors(path)
    with as_written(Path(path), "a policy"):
        policy = json.loads(metadata["policy"])
        seeds, meta = [int(seed) for seed in policy["seeds"]], dict(policy["meta"])
        for name, tensor in tensors.items():
            if tensor.ndim == 0 or len(tensor) != len(seeds):
                raise ValueError(f"{name} is not of {len(seeds)} members")
        sizes = meta.get("groups")
        if sizes is not None and not all(type(size) is int and size > 0 for size in sizes):
            raise ValueError(f"groups of {sizes} agents")
        if len([int(time) for time in meta.get("transitions", seeds)]) != len(seeds):
            raise ValueError(f"{len(meta['transitions'])} times of {len(seeds)} snapshots")
        layer_sizes(tensors)
        networks = {name: _network(tensors, name, sizes) for name in sorted({key.split(".")[0] for key in tensors})}
        weights = Weights(
            networks,
            str(policy["algorithm"]),
            ObservationSpec(**policy["observation"]),
            seeds,
            None if policy["bound"] is None else float(policy["bound"]),
            int(policy["action_dim"]),
            meta,
        )
        for key in sorted(tensors.keys() - weights.tensors):
            raise ValueError(f"{key} belongs to no network")
        return weights


def load_policy(path: str | Path) -> Policy:
    """Read the policy of a file of weights or snapshots.

    Raises:
        ArtifactError: as :func:`read_weights`, or the file holds no policy.
    """
    with as_written(Path(path), "a policy"):
        return read_weights(path).policy


def _network(tensors: Mapping[str, Tensor], name: str, sizes: Sequence[int] | None) -> Network:
    if sizes is None:
        return ObservationNetwork.from_state_dict(tensors, name)
    return GroupedNetwork.from_state_dict(tensors, name, sizes)


def layer_sizes(tensors: Mapping[str, Tensor]) -> dict[str, list[int]]:
    """Sizes of the inputs and layers of each perceptron, by the name its tensors begin with.

    Raises:
        KeyError, ValueError: layers do not fit together.
    """
    sizes: dict[str, list[int]] = {}
    layers = [name.removesuffix(".weight").rpartition(".")[::2] for name in tensors if name.endswith(".weight")]
    for part, number in sorted(layers, key=lambda layer: (layer[0], int(layer[1]))):
        weight, bias = (tensors[f"{part}.{number}.{kind}"] for kind in ("weight", "bias"))
        found = sizes.setdefault(part, [weight.shape[1]])
        if weight.ndim != 3 or weight.shape[1] != found[-1] or bias.shape != (len(weight), 1, weight.shape[2]):
            raise ValueError(f"{part}.{number} does not fit the layer before it")
        found.append(weight.shape[2])
    return sizes
