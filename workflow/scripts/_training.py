"""What the jobs that train have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nash_dqn.agents.training import TrainingResult
from nash_dqn.artifacts import write_training
from nash_dqn.checkpoint import Checkpoint, key_of
from nash_dqn.games.base import Game
from nash_dqn.runtime import configure_process, resolve_device

CHECKPOINTS = Path(".checkpoints")  # no output of the rule: Snakemake deletes those before it runs a job again


def run_training(
    params: Any,
    output: Any,
    game: Callable[[Mapping[str, Any]], Game],
    recipe: Callable[[Mapping[str, Any]], Any],
    train: Callable[..., TrainingResult],
) -> None:
    """Train one setting, all seeds side by side, and write the files named in ``output``.

    ``game`` and ``recipe`` make what is trained of their settings, ``train`` takes both.
    An interrupted training goes on where its checkpoint stands, if ``params`` (settings, code) are still the same.
    """
    configure_process()
    settings = params.settings
    device = resolve_device(settings["device"])
    path = CHECKPOINTS / Path(output.weights).parent / "checkpoint.safetensors"
    checkpoint = Checkpoint(path, key_of(settings, params.code, device.type))
    result = train(
        game(settings["game"]),
        recipe(settings["recipe"]),
        settings["seeds"],
        device,
        checkpoint,
        scenario=settings["scenario"],
        recipe_name=settings["recipe_name"],
    )
    write_training(result, output.weights, output.snapshots, output.history, output.run)
    checkpoint.delete()
