"""What a game is, and what it shows its players: the interface, the observation and its specification."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol, Self

from torch import Generator, Tensor

from nash_dqn.settings.game import FeatureScales as FeatureScales
from nash_dqn.settings.game import ObservationSpec as ObservationSpec

if TYPE_CHECKING:
    from nash_dqn.games.lq import LQGame


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


class Game(Protocol):
    """A general-sum stochastic game of N agents over M steps, for a batch of episodes at a time.

    What is random is drawn beforehand, as standard normals, so that the game is a deterministic function of shocks and
    actions: the same shocks give common random numbers. Training by gradients through the game, as best responses do,
    needs a differentiable one; Algorithm 1 does not. Leading dimensions ``...`` are arbitrary. A game is a frozen
    dataclass of plain values, which are the settings that a training's record keeps.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def n_agents(self) -> int:
        """N."""

    @property
    def n_steps(self) -> int:
        """M."""

    @property
    def action_dim(self) -> int:
        """The size d of every agent's action."""

    @property
    def action_scale(self) -> float:
        """Typical size of an action's entries, by which critics and best responses divide them."""

    @property
    def groups(self) -> tuple[range, ...]:
        """Sub-populations of agents that differ in nothing but their state (Remark 4.1): 0..N-1, cut into ranges."""

    @property
    def discount(self) -> float | Sequence[float]:
        """gamma_i per step in [0, 1]: one number for all agents, or one for each group."""

    @property
    def normals_per_episode(self) -> int:
        """Number of standard normals that an episode needs."""

    def observation_size(self, spec: ObservationSpec, /) -> tuple[int, int]:
        """Number of own features F and of features I of each agent's item, 0 for no items, of every agent."""

    def shocks_from_normals(self, normal: Tensor, /) -> Shocks:
        """Shocks from standard normals ``[..., normals_per_episode]``."""

    def sample_shocks(self, episodes: int, generator: Generator, /) -> Shocks:
        """Shocks of E episodes, leaves ``[E, ...]``."""

    def reset(self, shocks: Any, /) -> State:
        """State at m = 0."""

    def step(self, state: Any, actions: Tensor, shocks: Any, /) -> tuple[State, Tensor]:
        """Next state and rewards ``[..., N]`` of the actions ``[..., N, d]``; r_i is concave in agent i's action."""

    def excursion(self, state: Any, normals: Tensor, sd: float | None = None, /) -> Tensor:
        """Actions ``[..., N, d]`` that lead far from those of a policy, which epsilon-greedy explorers play.

        ``normals``, standard ones, broadcast with the actions; ``sd`` is the spread of what they lead to, in the game's
        own units, None for one that suits the game.
        """

    def observe(self, state: Any, spec: ObservationSpec, /) -> Observation:
        """What every agent sees: features of order one, time first, and its step."""


class LinearQuadratic(Game, Protocol):
    """A game whose equilibrium :func:`nash_dqn.games.lq.solve_nash` finds."""

    def as_lq(self) -> LQGame:
        """The same game in matrices, actions of agent after agent; noise of mean zero may be left out of rewards.

        Raises:
            ValueError: with these settings it is not linear-quadratic.
        """

    def state_vector(self, state: Any, /) -> Tensor:
        """The state x ``[..., n]`` of :meth:`as_lq`."""


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
