"""What a game is, and what it shows its players: the base class, the observation and its specification."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol, Self

import torch
from torch import Generator, Tensor

from nash_dqn.games.derive import Simulator, lq_game
from nash_dqn.games.lq import LQGame
from nash_dqn.settings.game import FeatureScales as FeatureScales
from nash_dqn.settings.game import ObservationSpec as ObservationSpec


class Observation(NamedTuple):
    """What every agent sees, standardised, for a batch of states.

    Attributes:
        own: ``[..., N, F]``: the features of agent i that are not label-invariant, one row per agent.
        items: ``[..., N, I]``: one label-invariant item per agent, or None. Agent i sees the *set* of the
            items of all j != i; keeping one item per agent, not one set per agent, is what keeps memory O(N).
        step: the decision point m of all of them, or None where the tensors hold every step, along dimension -3.
    """

    own: Tensor
    items: Tensor | None
    step: int | None = None

    def map(self, function: Callable[[Tensor], Tensor]) -> Observation:
        """Apply a function to each tensor."""
        return Observation(function(self.own), None if self.items is None else function(self.items), self.step)


VISIBLE = ObservationSpec(inventories="visible")
"""The one specification of a game that hides nothing."""


class State(Protocol):
    """A game's state: a named tuple of the step m, 0..M, and of tensors with the same leading dimensions."""

    @property
    def step(self) -> int: ...  # noqa: D102

    def __iter__(self) -> Iterator[Any]: ...


class Shocks(Protocol):
    """Every random number of a batch of episodes: a named tuple of tensors with the same leading dimensions."""

    def map(self, function: Callable[[Tensor], Tensor], /) -> Self:
        """Apply a function to each tensor."""

    def __iter__(self) -> Iterator[Tensor]: ...


class Normals(NamedTuple):
    """Shocks as standard normals: of the start ``[..., k]`` and of each step ``[..., M, l]``."""

    start: Tensor
    noise: Tensor

    def map(self, function: Callable[[Tensor], Tensor]) -> Normals:
        """Apply a function to each tensor."""
        return Normals(*(function(leaf) for leaf in self))


class Game(ABC):
    """A general-sum stochastic game of N agents over M steps, for a batch of episodes at a time.

    A game is a frozen dataclass of plain values, which are the settings that a training's record keeps: ``n_agents``
    and ``n_steps`` at least. It says how an episode starts (:meth:`reset`) and goes on (:meth:`step`), how many random
    numbers that takes (:attr:`start_normals`, :attr:`step_normals`), and what agents see (:meth:`features`). The rest
    has defaults for a game whose agents are alike, act by one number and see everything.

    What is random is drawn beforehand, as standard normals, so that the game is a deterministic function of shocks and
    actions: the same shocks give common random numbers. Training by gradients through the game, as best responses do,
    and :meth:`as_lq` need a differentiable one; Algorithm 1 does not. Leading dimensions ``...`` are arbitrary.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]

    if TYPE_CHECKING:  # fields of the dataclass, or properties

        @property
        def n_agents(self) -> int:
            """N."""

        @property
        def n_steps(self) -> int:
            """M."""

        @property
        def discount(self) -> float | Sequence[float]:
            """gamma_i per step in [0, 1]: one number for all agents, or one for each group."""

    else:
        discount = 1.0

    action_dim = 1
    """The size d of every agent's action."""

    @property
    def action_scale(self) -> float:
        """Typical size of an action's entries, by which critics and best responses divide them."""
        return 1.0

    @property
    def groups(self) -> tuple[range, ...]:
        """Sub-populations of agents that differ in nothing but their state (Remark 4.1): 0..N-1, cut into ranges."""
        return (range(self.n_agents),)

    # --- chance

    @property
    def start_normals(self) -> int:
        """Number of standard normals that the start of an episode needs."""
        return 0

    @property
    def step_normals(self) -> int:
        """Number of standard normals that each step needs."""
        return 0

    @property
    def normals_per_episode(self) -> int:
        """Number of standard normals that an episode needs."""
        return self.start_normals + self.n_steps * self.step_normals

    def shocks_from_normals(self, normal: Tensor) -> Any:
        """Shocks from standard normals ``[..., normals_per_episode]``: the start's first, then those of each step."""
        start, noise = normal.split((self.start_normals, self.n_steps * self.step_normals), -1)
        return Normals(start, noise.unflatten(-1, (self.n_steps, self.step_normals)))

    def sample_shocks(self, episodes: int, generator: Generator) -> Any:
        """Shocks of E episodes, leaves ``[E, ...]``."""
        normal = torch.randn(episodes, self.normals_per_episode, generator=generator, device=generator.device)
        return self.shocks_from_normals(normal)

    # --- play

    @abstractmethod
    def reset(self, shocks: Any) -> Any:
        """State at m = 0."""

    @abstractmethod
    def step(self, state: Any, actions: Tensor, shocks: Any) -> tuple[Any, Tensor]:
        """Next state and rewards ``[..., N]`` of the actions ``[..., N, d]``; r_i is concave in agent i's action."""

    def excursion(self, state: Any, normals: Tensor, sd: float | None = None) -> Tensor:
        """Actions ``[..., N, d]`` that lead far from those of a policy, which epsilon-greedy explorers play.

        ``normals``, standard ones, broadcast with the actions; ``sd`` is the spread of what they lead to, in the game's
        own units, None for one that suits the game. Here: actions at random, of twice the typical size.
        """
        spread = 2 * self.action_scale if sd is None else sd
        return (spread * normals).expand(*self.state_vector(state).shape[:-1], self.n_agents, self.action_dim)

    # --- what agents see

    def features(self, state: Any) -> tuple[Tensor, Tensor | None]:
        """What all see alike ``[..., C]``, and of each agent, visible to all, ``[..., N, I]`` or None; of order one."""
        raise NotImplementedError(f"{type(self).__name__}: features(state), or observe and observation_size, is needed")

    def observation_size(self, spec: ObservationSpec) -> tuple[int, int]:
        """Number of own features F and of features I of each agent's item, 0 for no items, of every agent."""
        seen = self.observe(self._start, spec)
        return seen.own.shape[-1], 0 if seen.items is None else seen.items.shape[-1]

    def observe(self, state: Any, spec: ObservationSpec) -> Observation:
        """What every agent sees: features of order one, time first, and its step.

        Here nothing is hidden: own features are time from -1 to 1, what all see, and the agent's own; its own are
        its item.

        Raises:
            ValueError: another view than ``ObservationSpec(inventories="visible")`` is asked for.
        """
        for name in VISIBLE.__dataclass_fields__:
            value, wanted = getattr(spec, name), getattr(VISIBLE, name)
            if value != wanted:
                kind = type(self).__name__
                raise ValueError(f"observation.{name} = {value!r}: {kind} hides nothing and allows {wanted!r} only")
        shared, items = self.features(state)
        shared = shared.unsqueeze(-2).expand(*shared.shape[:-1], self.n_agents, shared.shape[-1])
        time = torch.full_like(shared[..., :1], 2 * state.step / self.n_steps - 1)
        return Observation(torch.cat((time, shared) if items is None else (time, shared, items), -1), items, state.step)

    # --- the same in matrices

    def state_vector(self, state: Any) -> Tensor:
        """The state x ``[..., n]`` of :meth:`as_lq`, float64: the entries of the state's tensors, one after another."""
        return torch.cat(
            [
                leaf.double().reshape(*leaf.shape[: leaf.dim() - len(shape)], math.prod(shape))
                for leaf, shape in zip(tuple(state)[1:], self._shapes, strict=True)
            ],
            -1,
        )

    def state_of(self, step: int, vector: Tensor) -> Any:
        """A state at a step with this :meth:`state_vector`."""
        parts = vector.split([math.prod(shape) for shape in self._shapes], -1)
        leaves = [part.reshape((*vector.shape[:-1], *shape)) for part, shape in zip(parts, self._shapes, strict=True)]
        return type(self._start)(step, *leaves)

    def as_lq(self) -> LQGame:
        """The linear-quadratic game that it is, derived from the simulator (:mod:`nash_dqn.games.derive`).

        Its equilibrium is :func:`nash_dqn.games.lq.solve_nash`'s. The actions are those of agent after agent.

        Raises:
            ValueError: with these settings it is not linear-quadratic; says where.
        """

        def step(m: int, x: Tensor, u: Tensor, normals: Tensor) -> tuple[Tensor, Tensor]:
            actions = u.reshape(self.n_agents, self.action_dim)
            after, rewards = self.step(self.state_of(m, x), actions, self.shocks_from_normals(normals))
            return self.state_vector(after), rewards

        return lq_game(
            Simulator(
                start=lambda normals: self.state_vector(self.reset(self.shocks_from_normals(normals))),
                step=step,
                action_dims=(self.action_dim,) * self.n_agents,
                n_steps=self.n_steps,
                normals=self.normals_per_episode,
                discount=discounts(self),
            )
        )

    @cached_property
    def _start(self) -> Any:
        """The state of one episode at m = 0 without noise."""
        return self.reset(self.shocks_from_normals(torch.zeros(self.normals_per_episode, dtype=torch.float64)))

    @cached_property
    def _shapes(self) -> list[torch.Size]:
        """Shapes of the tensors of one episode's state."""
        return [leaf.shape for leaf in tuple(self._start)[1:]]


def discounts(game: Game) -> list[float]:
    """gamma_i of each agent, ``[N]``.

    Raises:
        ValueError: the game has neither one discount nor one for each group.
    """
    if isinstance(game.discount, int | float):
        return [float(game.discount)] * game.n_agents
    if len(game.discount) != len(game.groups):
        raise ValueError(
            f"discount = {game.discount!r}: allowed is a number, or one for each of {len(game.groups)} groups"
        )
    return [float(gamma) for gamma, group in zip(game.discount, game.groups, strict=True) for _ in group]
