"""What tests of weights and of the command share: files as a training leaves them, and the command's answers."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from nash_dqn.agents.training import describe
from nash_dqn.artifacts import run_record, write_json, write_tensors
from nash_dqn.cli import main
from nash_dqn.games.base import ObservationSpec
from nash_dqn.games.market import Market
from nash_dqn.networks import Network, ObservationNetwork
from nash_dqn.seeding import generator
from tests.common import SHORT

SEEDS = [5, 1, 7]
META: dict[str, Any] = {"scenario": "toy", "policy": "mine"}
FULL = ObservationSpec("S-Y", "others_mean", True, "visible")


def network(spec: ObservationSpec, outputs: int, game: Market = SHORT) -> ObservationNetwork:
    """With skip terms and weights that are of order one, so that no input is lost."""
    streams = [generator(seed, "network", outputs) for seed in SEEDS]
    net = ObservationNetwork.create(*game.observation_size(spec), (4, 3), (6, 5), outputs, streams)
    shape = (len(SEEDS), game.n_steps, sum(game.observation_size(spec)), outputs)
    return net._replace(skip=torch.randn(shape, generator=generator(0, "network", "skip")))


def write_networks(
    path: Path,
    networks: Mapping[str, Network],
    spec: ObservationSpec,
    algorithm: str = "nash_dqn",
    bound: float | None = None,
    **meta: Any,
) -> None:
    """A file of weights."""
    tensors = {key: tensor for name, net in networks.items() for key, tensor in net.state_dict(name).items()}
    write_tensors(path, tensors, describe(algorithm, spec, SEEDS, 1, bound, **META, **meta))


def record(game: Market = SHORT, recipe: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """The record beside it: one member ran to the end, one diverged, one stopped early."""
    ends = [("iterations", 40, 1.25), ("diverged", 20, math.nan), ("early_stopping", 30, 7.5)]
    members = [
        {"seed": seed, "iterations": count, "stopped": end, "diverged": end == "diverged", "final_loss": loss}
        for seed, (end, count, loss) in zip(SEEDS, ends, strict=True)
    ]
    config = {"game": dataclasses.asdict(game), "recipe": recipe or {}}
    run = {"algorithm": "nash_dqn", **META, "device": "cpu", "config": config, "seeds": SEEDS, "wall_seconds": 83.2}
    return run_record("training", {**run, "members": members, **changes})


def write_record(folder: Path, **changes: Any) -> None:
    """As :func:`record`."""
    write_json(folder / "run.json", record(**changes))


def answered(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    """What the command says as JSON."""
    status = main([*arguments, "--json"])
    out, err = capsys.readouterr()
    assert (status, err) == (0, "")
    answer: dict[str, Any] = json.loads(out)
    return answer


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line on stderr with which the arguments are refused."""
    try:
        status: Any = main(arguments)
    except SystemExit as stop:
        status = stop.code
    out, err = capsys.readouterr()
    assert (status, out, err.count("\n")) == (2, "", 1)
    return err.strip()
