"""What the jobs that train have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from nash_dqn.agents.result import TrainingResult
from nash_dqn.artifacts import write_training
from nash_dqn.games.market import Market
from nash_dqn.runtime import configure_process, resolve_device


def run_training(
    settings: Mapping[str, Any], output: Any, recipe: Callable[[Mapping[str, Any]], Any], train: Callable[..., Any]
) -> None:
    """Train one setting, all seeds side by side, and write the files named in ``output``."""
    configure_process()
    result: TrainingResult = train(
        Market(**settings["game"]),
        recipe(settings["recipe"]),
        settings["seeds"],
        resolve_device(settings["device"]),
        scenario=settings["scenario"],
        recipe_name=settings["recipe_name"],
    )
    write_training(result, output.weights, output.snapshots, output.history, output.run)
