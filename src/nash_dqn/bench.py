"""``python -m nash_dqn.bench``: what training and evaluation cost, beside the matrix products they consist of.

Every row times the real code and its floor in turn in one process, so that the ratio holds on a machine whose speed
drifts. The floor is the products alone, as PyTorch dispatched them in a run of the real code, with all memory taken
beforehand. Activations, losses, optimiser, game and random numbers come on top of it.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from timeit import timeit
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from nash_dqn import config as configuration
from nash_dqn.agents import fictitious_play, nash_dqn
from nash_dqn.evaluation.rollout import play
from nash_dqn.games.base import Game
from nash_dqn.games.catalogue import make
from nash_dqn.networks import ObservationNetwork
from nash_dqn.policy import Policy
from nash_dqn.runtime import configure_process, peak_memory
from nash_dqn.seeding import generator
from nash_dqn.trees import copied

AUTHORS_MS = {"nash_dqn": 237.0, "fictitious_play": 292.0, "cross_play": 10.25}
"""The authors' released code on one core of a similar machine: ms per iteration, per epoch, per episode."""

_FACTORS = {"mm": 0, "bmm": 0, "addmm": 1, "baddbmm": 1}  # which argument is the first factor
_EPISODES = 1000  # a batch of cross-play


class Products(TorchDispatchMode):
    """The matrix products that are dispatched within it, to be done again with numbers of its own."""

    def __init__(self) -> None:
        super().__init__()
        self._random = generator(0, "products")
        self._calls: list[tuple[Tensor, Tensor, Tensor]] = []

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        first = _FACTORS.get(function.overloadpacket.__name__)
        if first is not None:
            shapes = [(1, *factor.shape)[-3:] for factor in args[first : first + 2]]
            left, right = (torch.randn(shape, generator=self._random) for shape in shapes)
            self._calls.append((left, right, left @ right))
        return result

    def __call__(self) -> None:
        """Do all of them once."""
        for left, right, out in self._calls:
            torch.bmm(left, right, out=out)


class Row(NamedTuple):
    """One line of the table; times in ms per model."""

    name: str
    members: int
    ours: float
    floor: float
    authors: float


def _timed(
    name: str, authors: float, members: int, rounds: int, count: int, step: Callable[[], Any], real: Any = None
) -> Row:
    """The row of ``count`` times a step, which ``real``, if given, does in one: medians, both timed in turn."""
    with Products() as products:
        step()
    calls = [(step, count) if real is None else (real, 1), (products, count)]
    times = [[timeit(call, number=number) for call, number in calls] for _ in range(rounds)]
    ours, floor = (statistics.median(of) * 1e3 / (count * members) for of in zip(*times, strict=True))
    return Row(name, members, ours, floor, authors)


def rows(config: dict[str, Any], scenario: str, quick: bool) -> list[Row]:
    """All rows of the table, of a validated configuration: an iteration of every policy of Nash-DQN that is compared,
    an epoch of every one of fictitious play, and episodes of cross-play.
    """
    game = make(**configuration.game_of(config, scenario))
    count, rounds = (10, 3) if quick else (50, 9)
    sizes, cpu = (len(config["seeds"]), 8), torch.device("cpu")
    result = []
    for name in dict.fromkeys(name for name, _ in config["run"]["comparisons"]):
        recipe = nash_dqn.NashDQNRecipe.from_dict(configuration.recipe(config, name))
        for members in sizes:
            trainer = nash_dqn.NashDQN(game, recipe, list(range(members)), cpu)
            label = f"Nash-DQN iteration ({name})"
            result.append(_timed(label, AUTHORS_MS["nash_dqn"], members, rounds, count, trainer.iterate))
    for name in (name for name, of in config["policies"].items() if of["algorithm"] == "fictitious_play"):
        responses = fictitious_play.FictitiousPlayRecipe.from_dict(configuration.recipe(config, name))
        for members in sizes:
            player = fictitious_play.FictitiousPlay(game, responses, list(range(members)), cpu)
            player.remember(copied(player.policy))
            step = partial(player.epoch, 0.5)
            label = f"DDPG epoch ({name})"
            result.append(_timed(label, AUTHORS_MS["fictitious_play"], members, rounds, count, step))
    for episodes in (1_000, 10_000) if quick else (1_000, 10_000, 100_000):
        result.append(_cross_play(game, recipe, episodes, rounds))
    return result


def _cross_play(game: Game, recipe: nash_dqn.NashDQNRecipe, episodes: int, rounds: int) -> Row:
    """Episodes of one policy against another; ms per episode."""
    own, _ = game.observation_size(recipe.observation)
    assignments = []
    for name, agents in (("first", slice(0, 1)), ("others", slice(1, None))):
        streams = [generator(0, name)]
        network = ObservationNetwork.create(own, 0, (), recipe.advantage_hidden, game.action_dim, streams)
        assignments.append((Policy(network, recipe.observation, [0], name), agents))
    batch, shocks = (game.sample_shocks(count, generator(1)) for count in (_EPISODES, episodes))
    name, authors, count = f"Cross-play episode, of {episodes}", AUTHORS_MS["cross_play"], episodes // _EPISODES
    step, real = (partial(play, game, assignments, of) for of in (batch, shocks))
    found = _timed(name, authors, 1, rounds, count, step, real)
    return found._replace(ours=found.ours / _EPISODES, floor=found.floor / _EPISODES)


def table(results: Sequence[Row]) -> str:
    """The rows as text, times in ms per model."""
    lines = [f"{'':34}{'K':>3}{'ours/ms':>10}{'floor/ms':>10}{'ours/floor':>12}{'authors/ms':>12}{'speed-up':>10}"]
    lines += [
        f"{row.name:34}{row.members:3d}{row.ours:10.3g}{row.floor:10.3g}{row.ours / row.floor:12.2f}"
        f"{row.authors:12.4g}{row.authors / row.ours:9.0f}x"
        for row in results
    ]
    return "\n".join(lines)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m nash_dqn.bench", description="Time training and evaluation.")
    parser.add_argument(
        "--config", type=Path, nargs="+", default=[Path("config/config.yaml")], help="each is laid over the one before"
    )
    parser.add_argument("--scenario", default="code")
    parser.add_argument("--quick", action="store_true", help="fewer repetitions")
    arguments = parser.parse_args()
    configure_process()
    config = configuration.validate(configuration.load_yaml(*arguments.config))
    print(table(rows(config, arguments.scenario, arguments.quick)))
    print("\nOne thread; medians, ours and floor timed in turn; per model (K side by side).", end=" ")
    print(f"Peak memory {peak_memory():.0f} MiB.")


if __name__ == "__main__":
    main()
