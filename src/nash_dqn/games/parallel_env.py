"""Any game as a PettingZoo ``ParallelEnv``, so that other people's learners can play it.

Needs the optional extra ``pettingzoo``. One episode at a time; this package's own learners use the batched
:class:`nash_dqn.games.base.Game`. What an agent sees is what a policy with that observation sees; where agents have
items, such as visible inventories, those of the others follow its own features, in the order of the agents.
"""

from __future__ import annotations

import os
import secrets
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from gymnasium.spaces import Box
from pettingzoo import ParallelEnv
from torch import Tensor

from nash_dqn.games.base import Game, ObservationSpec, Shocks, State
from nash_dqn.seeding import generator

__all__ = ["GameEnv", "Stream", "bounded_action"]

Vector = npt.NDArray[np.float32]


class GameEnv(ParallelEnv[str, Vector, Vector]):
    """Agents ``agent_1`` to ``agent_N`` act at once; an episode ends after the game's M steps.

    Actions are in the game's units, ``[d]`` each, their entries clipped to +- ``action_bound``; rewards are those of
    the game's ``step``, undiscounted. Random streams of (seed, ``parallel_env``): the shocks of one episode after the
    other. ``reset`` without a seed goes on with the stream; where none was ever given, each environment, copies of one
    too, has a stream of its own (:class:`Stream`).

    Args:
        game: the game.
        observation: what agents see; a game that hides nothing has no other but visible inventories.
        action_bound: largest entry of an action.

    Raises:
        ValueError: the bound is not a finite number above zero, or the game has no such observation.
    """

    metadata: ClassVar[dict[str, Any]] = {"name": "nash_dqn_game_v0", "render_modes": []}
    render_mode = None

    def __init__(self, game: Game, observation: ObservationSpec | None = None, action_bound: float = 50.0) -> None:
        if not 0 < action_bound < float("inf"):
            raise ValueError(f"action_bound = {action_bound!r}: allowed is a finite number > 0")
        self.game = game
        self.observation = observation or ObservationSpec()
        self.possible_agents = [f"agent_{i + 1}" for i in range(game.n_agents)]
        self.agents: list[str] = []
        own, items = game.observation_size(self.observation)
        size = own + items * (game.n_agents - 1)
        self.observation_spaces = {
            name: Box(-np.inf, np.inf, (size,), dtype=np.float32) for name in self.possible_agents
        }
        bound = np.float32(action_bound)
        self.action_spaces = {
            name: Box(-bound, bound, (game.action_dim,), dtype=np.float32) for name in self.possible_agents
        }
        self._bound = action_bound
        self._stream = Stream("parallel_env")
        self._shocks: Shocks | None = None
        self._state: State | None = None

    def observation_space(self, agent: str) -> Box:
        """What that agent sees."""
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> Box:
        """What that agent may do."""
        return self.action_spaces[agent]

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Vector], dict[str, dict[str, Any]]]:
        """Begin an episode; ``options`` are ignored, there are none.

        Raises:
            ValueError: the seed is no whole number >= 0.
        """
        self._shocks = self.game.sample_shocks(1, self._stream.begin(seed))
        self._state = self.game.reset(self._shocks)
        self.agents = list(self.possible_agents)
        return self._observe(self._state), {name: {} for name in self.agents}

    def step(
        self, actions: dict[str, Vector]
    ) -> tuple[dict[str, Vector], dict[str, float], dict[str, bool], dict[str, bool], dict[str, dict[str, Any]]]:
        """Everybody acts for one step.

        Raises:
            ValueError: no episode is under way, an agent has no action, or one that is not ``[d]`` finite numbers, or
                there is no such agent.
        """
        if self._state is None or self._shocks is None or not self.agents:
            raise ValueError("step: no episode is under way; call reset first")
        unknown = [repr(name) for name in actions if name not in self.agents]
        if unknown:
            raise ValueError(f"actions: got {', '.join(unknown)}; allowed are {', '.join(self.agents)}")
        missing = [name for name in self.agents if name not in actions]
        if missing:
            raise ValueError(f"actions: none of {', '.join(missing)}; allowed is one for each of agents")
        size = self.game.action_dim
        of_all = [bounded_action(f"actions[{name!r}]", actions[name], size, self._bound) for name in self.agents]
        self._state, rewards = self.game.step(self._state, torch.stack(of_all).unsqueeze(0), self._shocks)
        done = self._state.step == self.game.n_steps
        seen, names = self._observe(self._state), list(self.agents)
        if done:
            self.agents = []
        return (
            seen,
            dict(zip(names, rewards[0].tolist(), strict=True)),
            dict.fromkeys(names, done),
            dict.fromkeys(names, False),
            {name: {} for name in names},
        )

    def render(self) -> None:
        """There is nothing to look at."""

    def _observe(self, state: State) -> dict[str, Vector]:
        seen = self.game.observe(state, self.observation)
        own = seen.own[0]
        rows = []
        for i in range(self.game.n_agents):
            others = [] if seen.items is None else [seen.items[0, j] for j in range(self.game.n_agents) if j != i]
            rows.append(torch.cat((own[i], *others)).numpy())
        return dict(zip(self.possible_agents, rows, strict=True))


class Stream:
    """The random stream that an environment draws its episodes from.

    Until it is given a seed it has fresh entropy, and so has each copy of it, by ``copy.deepcopy``, ``pickle`` or a
    fork of the process: the copies that vector environments make play different episodes. Given a seed it is that
    seed's stream, from its beginning, and a copy goes on as the original would.

    Args:
        name: of the streams that seeds name, as in :func:`nash_dqn.seeding.generator`.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._seed: int | None = None
        self._generator = self._fresh()
        self._process = os.getpid()

    def begin(self, seed: int | None) -> torch.Generator:
        """The generator of the next episode: at the beginning of a seed's stream; None goes on.

        Raises:
            ValueError: no seed.
        """
        if seed is not None:
            given: Any = seed  # whatever a caller takes for a seed, NumPy's whole numbers among it
            if isinstance(given, bool) or not isinstance(given, Integral) or int(given) < 0:
                raise ValueError(f"seed = {seed!r}: allowed is a whole number >= 0, or None")
            self._seed = int(seed)
            self._generator = generator(self._seed, self._name)
        elif self._seed is None and self._process != os.getpid():
            self._generator = self._fresh()
        self._process = os.getpid()
        return self._generator

    def _fresh(self) -> torch.Generator:
        return generator(secrets.randbits(63), self._name)

    def __getstate__(self) -> dict[str, Any]:
        state = dict(self.__dict__)
        if self._seed is None:
            del state["_generator"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self._seed is None:
            self._generator = self._fresh()


def bounded_action(name: str, action: Any, size: int, bound: float) -> Tensor:
    """An agent's action as single-precision numbers ``[size]``, clipped to +- ``bound``.

    Raises:
        ValueError: it is no array of ``size`` finite numbers; one line with ``name``.
    """
    try:
        array = np.asarray(action)
        if array.dtype.kind not in "biuf":
            raise TypeError("no numbers")
        array = array.astype(np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name}: got {action!r}, allowed are {size} finite numbers [{size}]") from None
    if array.shape != (size,):
        raise ValueError(f"{name}: got an array of shape {array.shape}, allowed are {size} finite numbers [{size}]")
    if not np.isfinite(array).all():
        raise ValueError(f"{name}: got {array.tolist()}, allowed are finite numbers")
    return torch.from_numpy(array.clip(-bound, bound)).float()
