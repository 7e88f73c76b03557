"""What training leaves behind: an observation -> action map for each seed, and its file."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nash_dqn.advantage import mu_network
from nash_dqn.artifacts import ArtifactError, read_tensors, remake
from nash_dqn.games.base import Game, Observation, ObservationSpec, State
from nash_dqn.networks import ActionMap, GroupedNetwork, Network, ObservationNetwork
from nash_dqn.trees import select, tensor_map


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

    def to(self, device: torch.device | str) -> Policy:
        """The same policy on a device."""
        return dataclasses.replace(self, network=tensor_map(lambda t: t.to(device), self.network))


def load_policy(path: str | Path) -> Policy:
    """Read the policy from a weights file that :mod:`nash_dqn.agents` wrote.

    Raises:
        ArtifactError: the file is missing, damaged, or holds no policy.
    """
    tensors, metadata = read_tensors(path)
    try:
        description = json.loads(metadata["policy"])
        spec = ObservationSpec(**description["observation"])
        name, sizes = "actor", description["meta"].get("groups")
        if description["algorithm"] == "nash_dqn" and not any(key.startswith("actor.") for key in tensors):
            name = "advantage"
        network: Network
        if sizes is None:
            network = ObservationNetwork.from_state_dict(tensors, name)
        else:
            network = GroupedNetwork.from_state_dict(tensors, name, sizes)
        if name == "advantage":
            network = mu_network(network, description["action_dim"])
        return Policy(
            network, spec, description["seeds"], description["algorithm"], description["bound"], description["meta"]
        )
    except (KeyError, TypeError, ValueError) as error:
        wrong = f"holds no policy ({error!r})"
        raise ArtifactError(f"{path}: {wrong}; {remake(path)}") from error
