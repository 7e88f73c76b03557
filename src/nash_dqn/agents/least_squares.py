"""Policy iteration by least squares: what all agents' policy is worth, and one agent's reply to it.

As in a projected policy of Algorithm 1, Q sees the whole state, in training alone, and a policy is fitted to it on what
an agent sees. But Q is evaluated, not improved by gradients: Q_i(x; u) is the value to agent i of the actions u now and
of everybody's policy pi from then on,

    Q_m = E[r + gamma Q_{m+1}(x'; pi(o'))],    Q_m(x; u) = theta_m . f(x, u),

with theta from least squares over transitions of all agents (LSTD-Q; M. G. Lagoudakis and R. Parr, Least-Squares Policy
Iteration, JMLR 4, 2003). Agents are alike, and the others enter label invariant as in (15): f holds the products of all
that agent i and the others' mean have and do, and the others' mean of the products of their own. In a market with
linear impact Q is exactly of this form. For square-root impact f also holds the signed root of the total rate, its
products with all these, and its square. Agent 1's reply to the others,

    a = pi - (dQ_1/du_1) / (d2Q_1/du_1^2)    at u = pi(o),

is looked for, linear in what an agent sees, where agent 1 explores alone, and everybody's policy goes a step there. An
iteration sweeps backwards from the end of the horizon: earlier decision points are evaluated with the later ones'
policies of the same iteration. Its fixed points, given all the data in the world, are those of
:mod:`nash_dqn.studies.projection` for the target "reply".

Agent 1 has to explore little. Exploration tells the others nothing, but they take it for news about what it holds; the
more of it there is, the further the fixed point is from an equilibrium, and where prices hardly move by themselves the
iteration does not settle. What agents see is then nearly collinear, and a plain fit of the reply would leap along
directions of which the episodes tell next to nothing, where a deviator could exploit it. So a step is

    change = d (C + C_0)^-1 E[o (a - pi)],

with C the second moments of what agent 1 sees, and C_0 those of what agents saw at first, when all explored widely: at
d = 2 all of the way along a direction that varies as much as then, and along others as much less as they vary less.
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

_OWN = [0, 1, 2, 4, 5]  # without the total flow, which the agents' own add up to
_RIDGE = 1e-9  # of the moments of features of unit size, some of which are always zero, as flows at the first step
_ROOT = 1e-3  # shares/hour, below which the root of the total rate is smoothed
_DIFFERENCE = 0.7  # action scales, step of the differences that give Q's slope and curvature
_DIVERGED = 1e6  # times the best loss: on the way replies may overshoot by far and come back
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
    """The policies of K members, in double precision.

    Attributes:
        gains: of the policies that are played, ``[K, M, C, 1]``, shares/hour.
        mean_gains: of the policies that are returned.
        wide: C_0, second moments ``[K, M, C, C]`` of what agents saw in the first iteration; zero before it.
    """

    name = "least_squares"
    statistics = ("loss", "step")
    state_names = ("done", "gains", "mean_gains", "wide", "noise")

    def __init__(self, game: Market, recipe: LeastSquaresRecipe, seeds: Sequence[int], device: torch.device) -> None:
        if not isinstance(game, Market):
            raise ValueError(f"algorithm = 'least_squares': allowed in the market only, not in {type(game).__name__}")
        self.game: Market = game
        self.recipe, self._device = recipe, device
        self.gains = liquidation(game, recipe.observation).repeat(len(seeds), 1, 1, 1).to(device)
        self.mean_gains = self.gains
        self.wide = torch.zeros_like(self.gains @ self.gains.mT)
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
        """A sweep of evaluations and steps towards the reply; its statistics ``[2, K]``.

        They are Q's mean squared Bellman residual in an action, $^2, and the root mean square of the step before it is
        damped, where agent 1 explores alone, shares/hour.
        """
        recipe = self.recipe
        everyone, alone = self.play(recipe.exploration.all if self.done else recipe.exploration.first)
        if not self.done:
            seen_by_all = seen(everyone.observation).transpose(1, 2).flatten(2, 3)
            self.wide = seen_by_all.mT @ seen_by_all / seen_by_all.shape[2]
        damping = recipe.damping.at(self.done / self.total)
        gains = self.gains.clone()
        after = torch.zeros_like(everyone.rewards[:, :, 0])
        losses, changes = [], []
        for m in reversed(range(self.game.n_steps)):
            theta, loss = self.evaluate(everyone, m, after)
            losses.append(loss)
            own, reply = self.reply(alone, m, theta)
            change = _solve(own.mT @ own / own.shape[1] + self.wide[:, m], own.mT @ reply / own.shape[1])
            changes.append((own @ change).square().mean((1, 2)))
            gains[:, m] += damping * change
            after = self.value(everyone, m, gains, theta)
        self.gains = gains
        self.done += 1
        averaged = self.done - int((1 - recipe.averaged) * self.total)
        self.mean_gains = self.mean_gains + (self.gains - self.mean_gains) / max(averaged, 1)
        return torch.stack((torch.stack(losses).mean(0), torch.stack(changes).mean(0).sqrt()))

    def play(self, exploration: float) -> tuple[Episodes, Episodes]:
        """Fresh episodes of this iteration in which all agents explore, and as many in which agent 1 alone does."""
        normals, noise = (leaf.double() for leaf in self.noise.draw(self._leaves, self.done, self._device))
        half = self.recipe.episodes_per_iteration // 2
        noise[:, :half] *= exploration
        noise[:, half:, :, :1] *= self.recipe.exploration.one
        noise[:, half:, :, 1:] = 0

        def act(state: Any, observation: Observation) -> Tensor:
            return of_step(seen(observation), self.gains, state.step) + noise[:, :, state.step]

        shocks = self.game.shocks_from_normals(normals)
        episodes = play_episodes(self.game, self.recipe.observation, act, shocks, STATE)
        everyone, alone = (
            tensor_map(lambda leaf, part=part: leaf[:, part], episodes) for part in (slice(half), slice(half, None))
        )
        return everyone, alone

    def evaluate(self, episodes: Episodes, m: int, after: Tensor) -> tuple[Tensor, Tensor]:
        """Coefficients ``[K, P, 1]`` of Q at decision point m, and the mean squares ``[K]`` of its residuals.

        ``after`` ``[K, E, N]`` is what everybody's policy is worth from the next decision point on.
        """
        actions = episodes.actions[:, :, m]
        x = features(self.game, _at_step(episodes.seen_by_critic, m), actions).flatten(1, 2)
        target = (episodes.rewards[:, :, m] + self.game.discount * after).flatten(1, 2).unsqueeze(-1)
        theta = _solve(x.mT @ x, x.mT @ target)
        return theta, (x @ theta - target).square().mean((1, 2))

    def value(self, episodes: Episodes, m: int, gains: Tensor, theta: Tensor) -> Tensor:
        """What the policy of these gains is worth from decision point m on, ``[K, E, N]``."""
        policy = of_step(seen(_at_step(episodes.observation, m)), gains, m)
        x = features(self.game, _at_step(episodes.seen_by_critic, m), policy)
        return (x.flatten(1, 2) @ theta).reshape(x.shape[:-1])

    def reply(self, episodes: Episodes, m: int, theta: Tensor) -> tuple[Tensor, Tensor]:
        """What agent 1 sees at decision point m, ``[K, E, C]``, and how far its reply is from its policy, ``[K, E, 1]``
        shares/hour.
        """
        game, first = self.game, slice(0, 1)
        state, own = (_at_step(of, m) for of in (episodes.seen_by_critic, episodes.observation))
        policy = of_step(seen(own), self.gains, m)
        step = torch.zeros_like(policy[:1, :1])
        step[..., 0, :] = _DIFFERENCE * game.action_scale
        below, at, above = (features(game, state, policy + by * step, first).squeeze(2) @ theta for by in (-1, 0, 1))
        furthest = _FURTHEST * game.action_scale
        return seen(own, first).squeeze(2), best(below, at, above, float(step.max()), furthest)


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


def _at_step(observation: Observation, m: int) -> Observation:
    """What is seen at decision point m, of what is seen at all, ``[K, E, M, ...]``."""
    items = observation.items
    return Observation(observation.own[:, :, m], None if items is None else items[:, :, m], m)


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

    A member whose loss is a million times its best, or whose loss or weights are not finite, has diverged and leaves
    the ensemble with its weights of the last check that found it sound; the record says so. ``meta`` (scenario, policy,
    ...) goes into the record and the weights' metadata. An interrupted training goes on from its ``checkpoint``.

    Raises:
        ValueError: the game is not the market.
    """
    algorithm = LeastSquares(game, recipe, seeds, torch.device(device))
    return training.train(algorithm, seeds, device, checkpoint, meta, watched="loss", divergence_factor=_DIVERGED)
