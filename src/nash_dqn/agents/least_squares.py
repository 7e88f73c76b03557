"""Policy iteration by least squares: what all agents' policy is worth, and one agent's reply to it.

As in a projected policy of Algorithm 1, Q sees the whole state, in training alone, and a policy is fitted to it on what
an agent sees. But Q is evaluated, not improved by gradients: Q_i(x; u) is the value to agent i of the actions u now and
of everybody's policy pi from then on,

    Q_m = E[r + gamma Q_{m+1}(x'; pi(o'))],    Q_m(x; u) = theta_m . f(x, u),

with theta from least squares, backwards from the end of the horizon, over transitions of all agents (LSTD-Q; M. G.
Lagoudakis and R. Parr, Least-Squares Policy Iteration, JMLR 4, 2003). Agents are alike, and the others enter label
invariant as in (15): f holds the products of all that agent i and the others' mean have and do, and the others' mean of
the products of their own. In a market with linear impact Q is exactly of this form. For square-root impact f also holds
the signed root of the total rate, its products with all these, and its square. Agent 1's reply to the others,

    a = pi - (dQ_1/du_1) / (d2Q_1/du_1^2)    at u = pi(o),

is fitted, linear in what an agent sees, where agent 1 explores alone, and everybody's policy goes a step there. Given
all the data in the world this is the iteration of :mod:`nash_dqn.studies.projection` for the target "reply".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from nash_dqn.agents import training
from nash_dqn.agents.episodes import Episodes, play_episodes
from nash_dqn.agents.noise import Leaves, Noise
from nash_dqn.agents.training import TrainingResult
from nash_dqn.checkpoint import Checkpoint
from nash_dqn.games.base import Observation, ObservationSpec
from nash_dqn.games.market import Market
from nash_dqn.networks import MLP, ObservationNetwork, monomials, of_step
from nash_dqn.settings.least_squares import LeastSquaresRecipe
from nash_dqn.trees import tensor_map

Recipe = LeastSquaresRecipe

STATE = ObservationSpec(own_flow=True, inventories="visible")
"""What Q sees: all of the state."""

Moments = tuple[Tensor, ...]
"""Sums over samples of features times features, and of features times targets; none before the first iteration."""

_OWN = [0, 1, 2, 4, 5]  # without the total flow, which the agents' own add up to
_RIDGE = 1e-9  # of the moments of features of unit size, some of which are always zero, as flows at the first step
_ROOT = 1e-3  # shares/hour, below which the root of the total rate is smoothed
_DIFFERENCE = 0.7  # action scales, step of the differences that give Q's slope and curvature
_DIVERGED = 1000.0  # times the best loss
_FURTHEST = 10.0  # action scales, of a reply from the policy: that of a form that is flat or convex is anywhere


def features(game: Market, state: Observation, actions: Tensor, agents: slice = slice(None)) -> Tensor:
    """What Q is linear in, ``[..., n, P]``, for n agents of a slice; the state is seen as by :data:`STATE`.

    ``actions`` are ``[..., N, 1]``, shares/hour.
    """
    assert state.items is not None
    rates = actions / game.action_scale
    own, each = state.own[..., _OWN], torch.cat((state.items, rates), -1)
    alone = torch.cat((own, rates), -1)[..., agents, :]
    everything = monomials(torch.cat((alone, _others(each, agents)), -1), 1)
    total = actions.sum(-2, keepdim=True)
    root = (total * torch.rsqrt(total.abs() + _ROOT)).expand(*everything.shape[:-1], 1)
    quadratic = _products(everything), _others(_products(each), agents)
    return torch.cat((*quadratic, root * everything, root.square()), -1)


def seen(observation: Observation, agents: slice = slice(None)) -> Tensor:
    """What a policy is linear in, ``[..., n, C]``: 1, the own features without time, and the others' mean items."""
    own, items = observation.own[..., agents, :], observation.items
    return monomials(own if items is None else torch.cat((own, _others(items, agents)), -1), 1)


class LeastSquares(training.Algorithm):
    """The policies of K members and the moments of what they have played, in double precision.

    Attributes:
        gains: of the policies that are played, ``[K, M, C, 1]``, shares/hour.
        mean_gains: of the policies that are returned.
        values: moments ``[K, M, P, .]`` of transitions' features with themselves, with those of what pi does next, and
            with rewards.
    """

    name = "least_squares"
    statistics = ("loss", "step")
    state_names = ("done", "gains", "mean_gains", "values", "noise")

    def __init__(self, game: Market, recipe: LeastSquaresRecipe, seeds: Sequence[int], device: torch.device) -> None:
        if not isinstance(game, Market):
            raise ValueError(f"algorithm = 'least_squares': allowed in the market only, not in {type(game).__name__}")
        self.game: Market = game
        self.recipe, self._device = recipe, device
        self.gains = liquidation(game, recipe.observation).repeat(len(seeds), 1, 1, 1).to(device)
        self.mean_gains = self.gains
        self.values: Moments = ()
        episodes = recipe.episodes_per_iteration
        self._leaves: Leaves = {
            "environment": (torch.randn, (episodes, game.normals_per_episode)),
            "exploration": (torch.randn, (episodes, game.n_steps, game.n_agents, 1)),
        }
        self.noise = Noise.create(seeds, self.name, self._leaves, length=1)

    @property
    def columns(self) -> dict[str, Any]:
        """The iteration to come."""
        return {"iteration": self.done + 1}

    @property
    def policy(self) -> ObservationNetwork:
        """What would be returned."""
        return linear_network(self.mean_gains.float())

    def weights(self) -> dict[str, Tensor]:
        """All weights by name, ``[K, ...]``."""
        return self.policy.state_dict("actor")

    def iterate(self) -> Tensor:
        """An evaluation and a step towards the reply; its statistics ``[2, K]``.

        They are Q's mean squared Bellman residual in an action, $^2, and the root mean square of the distance from the
        policy to its fitted reply, shares/hour.
        """
        recipe = self.recipe
        normals, noise = (leaf.double() for leaf in self.noise.draw(self._leaves, self.done, self._device))
        half = recipe.episodes_per_iteration // 2
        noise[:, :half] *= recipe.exploration.start
        noise[:, half:, :, :1] *= recipe.exploration.at(self.done / self.total)
        noise[:, half:, :, 1:] = 0

        def act(state: Any, observation: Observation) -> Tensor:
            return of_step(seen(observation), self.gains, state.step) + noise[:, :, state.step]

        shocks = self.game.shocks_from_normals(normals)
        episodes = play_episodes(self.game, recipe.observation, act, shocks, STATE)
        everyone, alone = (
            tensor_map(lambda leaf, part=part: leaf[:, part], episodes) for part in (slice(half), slice(half, None))
        )
        theta, loss = self.evaluate(everyone)
        reply = self.reply(alone, theta)
        change = reply - self.gains
        taken = of_step(seen(alone.observation, slice(0, 1)), change, None)
        self.gains = self.gains + recipe.damping * change
        self.done += 1
        averaged = self.done - int((1 - recipe.averaged) * self.total)
        self.mean_gains = self.mean_gains + (self.gains - self.mean_gains) / max(averaged, 1)
        return torch.stack((loss, taken.square().flatten(1).mean(1).sqrt()))

    def evaluate(self, episodes: Episodes) -> tuple[Tensor, Tensor]:
        """Coefficients ``[K, M, P, 1]`` of Q of the policy, and the mean squares ``[K]`` of its residuals."""
        game = self.game
        state, policy = episodes.seen_by_critic, of_step(seen(episodes.observation), self.gains, None)
        now, by_policy = (_samples(features(game, state, u)) for u in (episodes.actions, policy))
        after = torch.cat((by_policy[:, 1:], torch.zeros_like(by_policy[:, :1])), 1)
        rewards = _samples(episodes.rewards.unsqueeze(-1))
        self.values = self._remember(self.values, now, (after, rewards))
        theta = torch.zeros_like(self.values[2])
        following = theta[:, 0]
        for m in reversed(range(game.n_steps)):
            itself, with_next, with_reward = (moments[:, m] for moments in self.values)
            following = _solve(itself, with_reward + game.discount * with_next @ following)
            theta[:, m] = following
        later = torch.cat((theta[:, 1:], torch.zeros_like(theta[:, :1])), 1)
        residual = now @ theta - rewards - game.discount * after @ later
        return theta, residual.square().flatten(1).mean(1)

    def reply(self, episodes: Episodes, theta: Tensor) -> Tensor:
        """Gains ``[K, M, C, 1]`` of agent 1's reply, linear in what it sees, to the others' policy."""
        game, first = self.game, slice(0, 1)
        state, own = episodes.seen_by_critic, seen(episodes.observation, first)
        policy = of_step(seen(episodes.observation), self.gains, None)
        step = torch.zeros_like(policy[:1, :1, :1])
        step[..., 0, :] = _DIFFERENCE * game.action_scale
        below, at, above = (of_step(features(game, state, policy + by * step, first), theta, None) for by in (-1, 0, 1))
        target = policy[..., first, :] + best(below, at, above, float(step.max()), _FURTHEST * game.action_scale)
        own, target = _samples(own), _samples(target)
        return _solve(own.mT @ own, own.mT @ target)

    def _remember(self, old: Moments, samples: Tensor, targets: Sequence[Tensor]) -> Moments:
        """Moments with those of new samples ``[K, M, B, F]``, the older the less."""
        new = tuple(samples.mT @ leaf for leaf in (samples, *targets))
        if not old:
            return new
        return tuple(torch.add(fresh, kept, alpha=self.recipe.forgetting) for kept, fresh in zip(old, new, strict=True))


def linear_network(gains: Tensor) -> ObservationNetwork:
    """Linear at each decision point in :func:`seen`, with these gains ``[K, M, C, 1]``, beside a network of zeros."""
    members, _, size, _ = gains.shape
    return ObservationNetwork(None, MLP([gains.new_zeros(members, size, 1)], [gains.new_zeros(members, 1, 1)]), gains)


def best(below: Tensor, at: Tensor, above: Tensor, step: float, furthest: float) -> Tensor:
    """How far from here the parabola through three values, a step apart, is largest, within +-``furthest``.

    Where it is flat or convex the answer is ``furthest``, on the side to which it rises.
    """
    slope = (above - below) / (2 * step)
    curvature = (2 * at - above - below) / step**2
    return slope / torch.maximum(curvature, slope.abs() / furthest).clamp(min=torch.finfo(at.dtype).tiny)


def liquidation(game: Market, observation: ObservationSpec) -> Tensor:
    """Gains ``[M, C, 1]`` that sell what is held at a constant rate until the end: a policy to begin with."""
    own, items = game.observation_size(observation)
    gains = torch.zeros(game.n_steps, own + items, 1, dtype=torch.float64)
    left = game.horizon - game.dt * torch.arange(game.n_steps, dtype=torch.float64)
    gains[:, 4, 0] = -(observation.scales or game.scales).inventory / left
    return gains


def _others(leaf: Tensor, agents: slice) -> Tensor:
    """Mean over the other agents, ``[..., N, F] -> [..., n, F]`` for those of a slice; zero for a lone agent."""
    return (leaf.sum(-2, keepdim=True) - leaf[..., agents, :]) / max(leaf.shape[-2] - 1, 1)


def _products(leaf: Tensor) -> Tensor:
    """Products of each two features, ``[..., F] -> [..., F (F + 1) / 2]``."""
    return torch.cat([leaf[..., i : i + 1] * leaf[..., i:] for i in range(leaf.shape[-1])], -1)


def _samples(leaf: Tensor) -> Tensor:
    """A decision point's samples one after another: ``[K, E, M, n, F] -> [K, M, E n, F]``."""
    return leaf.transpose(1, 2).flatten(2, 3)


def _solve(moments: Tensor, with_target: Tensor) -> Tensor:
    """Coefficients of least squares ``[..., F, 1]``, the smallest ones where standardised features are collinear."""
    size = moments.diagonal(dim1=-2, dim2=-1).sqrt().unsqueeze(-1)
    scale = torch.where(size > 0, size.reciprocal(), 0.0)
    ridge = _RIDGE * torch.eye(moments.shape[-1], dtype=moments.dtype, device=moments.device)
    return scale * torch.linalg.solve(scale * moments * scale.mT + ridge, scale * with_target)


def train(
    game: Market,
    recipe: LeastSquaresRecipe,
    seeds: Sequence[int],
    device: torch.device | str = "cpu",
    checkpoint: Checkpoint | None = None,
    **meta: Any,
) -> TrainingResult:
    """Policy iteration for an ensemble, a member per seed.

    A member whose loss is a thousand times its best, or whose loss or weights are not finite, has diverged and leaves
    the ensemble with its weights of the last check that found it sound; the record says so. ``meta`` (scenario, policy,
    ...) goes into the record and the weights' metadata. An interrupted training goes on from its ``checkpoint``.

    Raises:
        ValueError: the game is not the market.
    """
    algorithm = LeastSquares(game, recipe, seeds, torch.device(device))
    return training.train(algorithm, seeds, device, checkpoint, meta, watched="loss", divergence_factor=_DIVERGED)
