"""The weights that the authors of the paper released, as policies like any other.

Three state dictionaries, of networks with five hidden layers of 32 units and SiLU between them: Nash-DQN's advantage
network, whose outputs are c1, c2, c3, c4 and mu, its value network, and the actor of fictitious play. Their inputs are
time to go, S - Y, own inventory, transient impact and the others' mean order flow, in this order; ours are in another
(:meth:`nash_dqn.games.market.Market.observe`), and so are outputs (:func:`nash_dqn.advantage.unpack`). Columns of the
first and rows of the last layer are put in our order here, so that nothing else needs to know.

What the inputs are divided by is not in the files. For Nash-DQN it is what the authors' plotting notebook divides by:
read with the training notebook's scales, the released pair has a Bellman loss eighty times as large. For fictitious
play it is what its notebook divides by. There the actor is multiplied by 4.512415 and all actions are clipped to +-50
shares/hour, so they are here: that is the policy which was trained.

The files are PyTorch's. They are read as data: one that holds code is refused, and not run.
"""

from __future__ import annotations

import dataclasses
import hashlib
import pickle
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from nash_dqn.advantage import mu_network, output_size
from nash_dqn.agents.training import describe
from nash_dqn.artifacts import ArtifactError, run_record, write_json, write_tensors
from nash_dqn.games.base import FeatureScales, ObservationSpec
from nash_dqn.games.market import Market
from nash_dqn.networks import MLP, ObservationNetwork
from nash_dqn.policy import Weights
from nash_dqn.published import AUTHORS_POLICIES

__all__ = ["FP", "FP_BOUND", "FP_SCALE", "NASH", "SEED", "read_fp", "read_nash", "write"]

FP_SCALE = 4.512415
"""Shares/hour per unit of the actor's output."""
FP_BOUND = 50.0
"""Largest rate of fictitious play, shares/hour."""
SEED = 0
"""Stands for the training there is of each; what it started from is not known."""

NASH = ObservationSpec(
    "S-Y",
    "others_mean",
    scales=FeatureScales(time_centre=2.25, time=1.43614, price=0.742042, impact=0.1, flow=1.0, inventory=2.5),
)
"""What the authors' Nash-DQN sees; scales of their plotting notebook."""
FP = ObservationSpec(
    "S-Y",
    "others_mean",
    scales=FeatureScales(
        time_centre=2.25, time=1.43614, price=0.742042, impact=0.330682, flow=4.512415, inventory=4.512415
    ),
)
"""What the authors' fictitious play sees."""

_INPUTS = [0, 1, 3, 4, 2]  # where our time, price, impact, order flow and own inventory stand among theirs
_OUTPUTS = [4, 0, 1, 2, 3]  # where our mu, P11, P12, P22 and psi stand among theirs
_SIZES = (5, 32, 32, 32, 32, 32)  # of the inputs and hidden layers
_DECODER = [f"decoder_net.{at}" for at in range(0, 12, 2)]
_ACTOR = [*(f"policy_net.{at}.0" for at in range(5)), "policy_net.5"]
_NASH, _FP = AUTHORS_POLICIES


def read_nash(action: Path | str, value: Path | str) -> Weights:
    """Nash-DQN from ``Action_Net.pt`` and ``Value_Net.pt``; its policy is mu.

    P11 is an absolute value: ``form="absolute"`` of :func:`nash_dqn.advantage.unpack`.

    Raises:
        ArtifactError: a file is missing, holds more than numbers, or not this network's.
    """
    advantage = _network(action, _DECODER, output_size(1), _OUTPUTS)
    networks = {"actor": mu_network(advantage, 1), "advantage": advantage, "value": _network(value, _DECODER, 1, [0])}
    return Weights(networks, "nash_dqn", NASH, [SEED], None, 1, {"policy": _NASH})


def read_fp(actor: Path | str) -> Weights:
    """Fictitious play from ``pol_net_it.pt``.

    Raises:
        ArtifactError: as :func:`read_nash`.
    """
    network = _network(actor, _ACTOR, 1, [0]).with_outputs(lambda tensor: FP_SCALE * tensor)
    return Weights({"actor": network}, "fictitious_play", FP, [SEED], FP_BOUND, 1, {"policy": _FP})


def write(
    released: Weights, files: Sequence[Path | str], game: Market, scenario: str, weights: Path | str, run: Path | str
) -> None:
    """Write a policy for :func:`nash_dqn.policy.load_policy`, and beside it the record of where it comes from.

    Args:
        released: the policy.
        files: what it was read from.
        game: where it is to play.
        scenario: the game's name.
        weights: file of weights.
        run: file of the record, which has the digests of what was read and written.
    """

    def digests(paths: Sequence[Path | str]) -> dict[str, str]:
        return {Path(path).name: hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in paths}

    meta = {"scenario": scenario, **released.meta}
    description = describe(released.algorithm, released.observation, [SEED], 1, released.bound, **meta)
    write_tensors(weights, released.tensors, description)
    observation = dataclasses.asdict(released.observation)
    of_nash = {"critic": observation, "p11": "absolute"} if "advantage" in released.networks else {}
    record = {
        "algorithm": released.algorithm,
        **meta,
        "config": {"game": dataclasses.asdict(game), "recipe": {"observation": observation, **of_nash}},
        "files": digests(files),
        "seeds": [SEED],
        "members": [{"seed": SEED, "stopped": "released", "diverged": False}],
    }
    write_json(run, {**run_record("conversion", record), "sha256": digests([weights])})


def _network(path: Path | str, layers: Sequence[str], outputs: int, order: list[int]) -> ObservationNetwork:
    """The network of a file whose layers have these names, inputs in our order and outputs in the one given."""
    shapes: dict[str, tuple[int, ...]] = {}
    for layer, fan_in, fan_out in zip(layers, _SIZES, [*_SIZES[1:], outputs], strict=True):
        shapes |= {f"{layer}.weight": (fan_out, fan_in), f"{layer}.bias": (fan_out,)}
    state = _state(Path(path), shapes)
    weights = [state[f"{layer}.weight"].T.contiguous() for layer in layers]
    biases = [state[f"{layer}.bias"] for layer in layers]
    weights[0] = weights[0][_INPUTS]
    weights[-1], biases[-1] = weights[-1][:, order], biases[-1][order]
    return ObservationNetwork(None, MLP([weight[None] for weight in weights], [bias[None, None] for bias in biases]))


def _state(path: Path, expected: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """The tensors of a state dictionary, which must have these names and shapes."""

    def refuse(wrong: str) -> ArtifactError:
        return ArtifactError(f"authors: {path}: {wrong}; give the file as the authors released it")

    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise refuse("no such file") from None
    except (OSError, EOFError, RuntimeError, ValueError, KeyError, pickle.UnpicklingError) as error:
        why = str(error).strip().splitlines()[:1] or [type(error).__name__]
        raise refuse(f"no state dictionary that can be read without running code ({why[0]})") from None
    if not isinstance(state, dict):
        raise refuse(f"got {type(state).__name__}, expected a state dictionary")
    odd = sorted(map(str, set(state) ^ set(expected)))
    if odd:
        raise refuse(f"{odd[0]} is {'missing' if odd[0] in expected else 'unknown'}, expected {', '.join(expected)}")
    for name, shape in expected.items():
        tensor = state[name]
        if not isinstance(tensor, Tensor) or tensor.shape != shape or tensor.dtype != torch.float32:
            got = f"{tensor.dtype} {list(tensor.shape)}" if isinstance(tensor, Tensor) else type(tensor).__name__
            raise refuse(f"{name}: got {got}, expected torch.float32 {list(shape)}")
        if not bool(tensor.isfinite().all()):
            raise refuse(f"{name}: got numbers that are not finite, expected finite ones")
    return state
