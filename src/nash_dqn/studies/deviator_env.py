"""One agent of a game as a Gymnasium environment, the others following fixed policies: best responses by any learner.

Needs the optional extra ``pettingzoo``, which brings gymnasium. A learner of a library trained in it is measured with
:func:`nash_dqn.callable_policy.policy_of`, which hands functions the same rows that this environment shows.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
import torch
from gymnasium.spaces import Box

from nash_dqn.evaluation.rollout import Profile, check_seat
from nash_dqn.games.base import Game, ObservationSpec, Shocks, State
from nash_dqn.games.parallel_env import Stream, bounded_action
from nash_dqn.policy import Policy

__all__ = ["DeviatorEnv"]

Vector = npt.NDArray[np.float32]


class DeviatorEnv(gymnasium.Env[Vector, Vector]):
    """The agent in a seat acts, ``[d]``, clipped to +- ``action_bound``; an episode ends after M steps.

    It sees its own features, then the others' items in the order of the agents; rewards are its own, undiscounted.
    Random streams of (seed, ``deviator_env``): the shocks of one episode after the other; ``reset`` without a seed goes
    on with the stream, and where none was ever given, each environment, copies of one too, has a stream of its own
    (:class:`nash_dqn.games.parallel_env.Stream`).

    Args:
        game: the game.
        policy: of one member, which all others follow.
        seat: the agent that acts.
        observation: what it sees; None for what the policy sees.
        action_bound: largest entry of an action.

    Raises:
        ValueError: the policy has not one member, there is no such agent, or the bound is not finite and above zero.
    """

    def __init__(
        self,
        game: Game,
        policy: Policy,
        seat: int = 0,
        observation: ObservationSpec | None = None,
        action_bound: float = 50.0,
    ) -> None:
        if len(policy.seeds) != 1:
            raise ValueError(f"policy has {len(policy.seeds)} members: allowed is one")
        check_seat(game, seat)
        if not 0 < action_bound < float("inf"):
            raise ValueError(f"action_bound = {action_bound!r}: allowed is a finite number > 0")
        self.game, self.seat, self.observation = game, seat, observation or policy.observation
        own, items = game.observation_size(self.observation)
        self.observation_space = Box(-np.inf, np.inf, (own + items * (game.n_agents - 1),), dtype=np.float32)
        bound = np.float32(action_bound)
        self.action_space = Box(-bound, bound, (game.action_dim,), dtype=np.float32)
        self._bound = action_bound
        self._profile = Profile(game, policy)
        self._stream = Stream("deviator_env")
        self._shocks: Shocks | None = None
        self._state: State | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Vector, dict[str, Any]]:
        """Begin an episode; ``options`` are ignored, there are none.

        Raises:
            ValueError: the seed is no whole number >= 0.
        """
        stream = self._stream.begin(seed)
        super().reset(seed=None if seed is None else int(seed))  # gymnasium knows none of NumPy's
        self._shocks = self.game.sample_shocks(1, stream).map(lambda leaf: leaf.unsqueeze(0))
        self._state = self.game.reset(self._shocks)
        return self._see(self._state), {}

    @torch.no_grad()
    def step(self, action: Vector) -> tuple[Vector, float, bool, bool, dict[str, Any]]:
        """Everybody acts.

        Raises:
            ValueError: no episode is under way, or the action is not ``[d]`` finite numbers.
        """
        if self._state is None or self._state.step == self.game.n_steps:
            raise ValueError("step: no episode is under way; call reset first")
        own = bounded_action("action", action, self.game.action_dim, self._bound)
        actions = self._profile.act(self._state).clone()
        actions[..., self.seat, :] = own
        self._state, rewards = self.game.step(self._state, actions, self._shocks)
        done = self._state.step == self.game.n_steps
        return self._see(self._state), float(rewards[0, 0, self.seat]), done, False, {}

    def _see(self, state: State) -> Vector:
        seen = self.game.observe(state, self.observation)
        others = [] if seen.items is None else [item for j, item in enumerate(seen.items[0, 0]) if j != self.seat]
        row: Vector = torch.cat((seen.own[0, 0, self.seat], *others)).numpy()
        return row
