"""``python -m nash_dqn.bench``: what training and evaluation cost, beside the matrix products they cannot do without.

Every row times the real code and its floor in turn in one process, so that the ratio holds on a machine whose speed
drifts. The floor is the products alone, as many and as large: for an iteration of Nash-DQN both networks forward and
backward, V once more after its step, the target network's where there is one, and mu at each step of the game.
Activations, losses, optimiser, game and random numbers come on top of it.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from nash_dqn import config as configuration
from nash_dqn.advantage import output_size
from nash_dqn.agents import fictitious_play, nash_dqn
from nash_dqn.evaluation.rollout import play
from nash_dqn.games.market import Market
from nash_dqn.networks import ObservationNetwork
from nash_dqn.policy import Policy
from nash_dqn.runtime import configure_process, peak_memory
from nash_dqn.seeding import generator
from nash_dqn.trees import copied

AUTHORS_MS = {"nash_dqn": 237.0, "fictitious_play": 292.0, "cross_play": 10.25}
"""The authors' released code on one core of a similar machine: ms per iteration, per epoch, per episode."""


class Products:
    """The matrix products of networks of K members, with all memory taken beforehand."""

    def __init__(self, members: int) -> None:
        self._members = members
        self._random = generator(0, "products")
        self._calls: list[tuple[Tensor, Tensor, Tensor]] = []

    def _add(self, rows: int, inner: int, columns: int) -> None:
        shape = (self._members, rows, inner), (self._members, inner, columns), (self._members, rows, columns)
        left, right = (torch.randn(size, generator=self._random) for size in shape[:2])
        self._calls.append((left, right, torch.empty(shape[2])))

    def forward(self, sizes: Sequence[int], rows: int, times: int = 1) -> None:
        """``times`` evaluations of layers ``sizes`` on a batch of ``rows``."""
        for _ in range(times):
            for fan_in, fan_out in zip(sizes[:-1], sizes[1:], strict=True):
                self._add(rows, fan_in, fan_out)

    def backward(self, sizes: Sequence[int], rows: int, weights: bool = True, inputs: bool = False) -> None:
        """Gradients with respect to the weights, and the inputs of every layer (of the first only if ``inputs``)."""
        for layer, (fan_in, fan_out) in enumerate(zip(sizes[:-1], sizes[1:], strict=True)):
            if weights:
                self._add(fan_in, rows, fan_out)
            if layer or inputs:
                self._add(rows, fan_out, fan_in)

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


def _paired(real: Callable[[], Any], floor: Callable[[], Any], rounds: int) -> tuple[float, float]:
    """Median seconds of both, timed in turn."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for call, into in zip((real, floor), times, strict=True):
            started = time.perf_counter()
            call()
            into.append(time.perf_counter() - started)
    return statistics.median(times[0]), statistics.median(times[1])


def _iterations(products: Products, count: int) -> Callable[[], None]:
    def repeat() -> None:
        for _ in range(count):
            products()

    return repeat


def bench_nash_dqn(game: Market, recipe: nash_dqn.NashDQNRecipe, members: int, count: int, rounds: int) -> Row:
    """An iteration of Algorithm 1."""
    trainer = nash_dqn.NashDQN(game, recipe, list(range(members)), torch.device("cpu"))
    own, _ = game.observation_size(recipe.observation)
    samples = recipe.minibatch_episodes * game.n_steps * game.n_agents
    advantage = [own, *recipe.advantage_hidden, output_size(game.action_dim)]
    value = [own, *recipe.value_hidden, 1]
    products = Products(members)
    acting = [*advantage[:-1], game.action_dim]
    products.forward(acting, recipe.episodes_per_iteration * game.n_agents, game.n_steps)
    for sizes in (advantage, value):
        products.forward(sizes, samples)
        products.backward(sizes, samples)
    products.forward(value, samples)  # the network's step needs V after its own
    if recipe.target is not None:
        products.forward(value, samples)

    def real() -> None:
        for _ in range(count):
            trainer.iterate()

    ours, floor = _paired(real, _iterations(products, count), rounds)
    unit = 1e3 / (count * members)
    return Row("Nash-DQN iteration", members, ours * unit, floor * unit, AUTHORS_MS["nash_dqn"])


def bench_fictitious_play(
    game: Market, recipe: fictitious_play.FictitiousPlayRecipe, members: int, count: int, rounds: int
) -> Row:
    """An epoch of DDPG within Algorithm 2, the opponents trading."""
    trainer = fictitious_play.FictitiousPlay(game, recipe, list(range(members)), torch.device("cpu"))
    trainer.remember(copied(trainer.policy))
    own, _ = game.observation_size(recipe.observation)
    episodes, samples = recipe.episodes_per_epoch, recipe.episodes_per_epoch * game.n_steps
    actor = [own, *recipe.actor_hidden, game.action_dim]
    critic = [own + game.action_dim, *recipe.critic_hidden, 1]
    products = Products(members)
    products.forward(actor, episodes, game.n_steps)
    products.forward(actor, episodes * (game.n_agents - 1), game.n_steps)
    for sizes in (actor, critic):
        products.forward(sizes, samples, 2)  # online and target
        products.backward(sizes, samples)
    products.forward(critic, samples)  # the actor's loss, through the critic
    products.backward(critic, samples, weights=False, inputs=True)

    def real() -> None:
        for _ in range(count):
            trainer.epoch(0.5)

    ours, floor = _paired(real, _iterations(products, count), rounds)
    name = f"DDPG epoch ({recipe.opponents})"
    unit = 1e3 / (count * members)
    return Row(name, members, ours * unit, floor * unit, AUTHORS_MS["fictitious_play"])


def bench_cross_play(game: Market, recipe: nash_dqn.NashDQNRecipe, episodes: int, rounds: int) -> Row:
    """Episodes of one policy against another."""
    own, items = game.observation_size(recipe.observation)
    policies = []
    for name in ("first", "others"):
        streams = [generator(0, name)]
        network = ObservationNetwork.create(own, items, (), recipe.advantage_hidden, game.action_dim, streams)
        policies.append(Policy(network, recipe.observation, [0], name))
    shocks = game.sample_shocks(episodes, generator(1))
    sizes = [own, *recipe.advantage_hidden, game.action_dim]
    batch = 1000
    products = Products(1)
    products.forward(sizes, batch, game.n_steps)
    products.forward(sizes, batch * (game.n_agents - 1), game.n_steps)
    assignments = [(policies[0], slice(0, 1)), (policies[1], slice(1, None))]
    real, floor = _paired(lambda: play(game, assignments, shocks), _iterations(products, episodes // batch), rounds)
    unit = 1e3 / episodes
    return Row(f"Cross-play episode, of {episodes}", 1, real * unit, floor * unit, AUTHORS_MS["cross_play"])


def rows(config: dict[str, Any], scenario: str, quick: bool) -> list[Row]:
    """All rows of the table: every compared recipe of the networks whose floor is counted, without items and extras."""
    game = Market(**configuration.scenario(config, scenario))
    count, rounds = (10, 3) if quick else (50, 9)
    result = []
    compared = dict.fromkeys(of["nash_dqn"] for of in config["comparisons"].values())
    recipes = {name: _recipe(config["nash_dqn"][name]) for name in compared}
    plain = {
        name: nash_dqn.NashDQNRecipe.from_dict(settings)
        for name, settings in recipes.items()
        if settings["critic"] is None and not settings["skip_terms"] and _private(settings)
    }
    for name, recipe in plain.items():
        for members in (len(config["seeds"]), 8):
            row = bench_nash_dqn(game, recipe, members, count, rounds)
            result.append(row._replace(name=f"{row.name} ({name})"))
    for settings in map(_recipe, config["fictitious_play"].values()):
        if not _private(settings):
            continue
        recipe_fp = fictitious_play.FictitiousPlayRecipe.from_dict(settings)
        for members in (len(config["seeds"]), 8):
            result.append(bench_fictitious_play(game, recipe_fp, members, count, rounds))
    first = next(iter(plain.values()))
    for episodes in (1_000, 10_000) if quick else (1_000, 10_000, 100_000):
        result.append(bench_cross_play(game, first, episodes, rounds))
    return result


def _recipe(settings: dict[str, Any]) -> dict[str, Any]:
    """A recipe as the configuration has it, without its seeds."""
    return {key: value for key, value in settings.items() if key != "seeds"}


def _private(settings: dict[str, Any]) -> bool:
    return bool(settings["observation"]["inventories"] == "private")


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
    parser.add_argument("--config", type=Path, default=Path("config/config.yaml"))
    parser.add_argument("--scenario", default="released")
    parser.add_argument("--quick", action="store_true", help="fewer repetitions")
    arguments = parser.parse_args()
    configure_process()
    config = configuration.load_yaml(arguments.config)
    print(table(rows(config, arguments.scenario, arguments.quick)))
    print("\nOne thread; medians, ours and floor timed in turn; per model (K side by side).", end=" ")
    print(f"Peak memory {peak_memory():.0f} MiB.")


if __name__ == "__main__":
    main()
