"""How Nash-DQN, Algorithm 1, is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from nash_dqn.settings.fields import Beta, Flag, Layers, Number, Settings, Whole, at_least, disagree, knob, settings
from nash_dqn.settings.game import ObservationSpec

if TYPE_CHECKING:
    from torch import Tensor

P11Form = Literal["cholesky", "absolute"]
"""How P11 is made of a network's outputs: L L^T of a lower triangular L with a positive diagonal (text, section 4), or,
where an action is one number, the output's absolute value (released code)."""


@settings
class Exploration(Settings):
    """Standard deviation of the Gaussian exploration, sigma_b, linear over the run."""

    start: Number = knob("At the first iteration", "shares/hour", ge=0)
    end: Number = knob("What it reaches as the run ends", "shares/hour", ge=0)

    def at(self, fraction: float) -> float:
        """Value after a fraction in [0, 1] of the run."""
        return self.start + (self.end - self.start) * fraction


@settings
class Penalty(Settings):
    """Regulariser of equation (23): beta |psi(x)|_1, or beta |psi(x)|^2 (released code), per sample."""

    norm: Literal["l1", "squared"] = knob("Sum of absolute values (l1) or of squares")
    beta: Beta = knob("Weight of the penalty on psi, (23)", "$^2 per unit of the norm of psi")

    def __call__(self, psi: Tensor) -> Tensor:
        """``[..., d] -> [...]``."""
        return self.beta * (psi.abs() if self.norm == "l1" else psi.square()).sum(-1)


@settings
class Resets(Settings):
    """Weights that are kept while training goes well, and taken back when it explodes (released code).

    They are looked at whenever the target network is to be renewed, by the total loss of the last iteration; optimisers
    go on as they are.
    """

    after: Whole = knob("Iterations before which nothing is looked at", "iterations", ge=0)
    good_below: Number = knob(
        "Total loss below which V and A are kept as good; before there are any, the first ones are", "$^2", ge=0
    )
    above: Number = knob("Total loss from which on V and A are taken back; at least good_below", "$^2", gt=0)

    def __post_init__(self) -> None:
        at_least(self, "above", "good_below")


@settings
class Target(Settings):
    """The slow copy of V that V(x') is taken from."""

    refresh: Whole = knob("Iterations between copies of V into it", "iterations", ge=1)
    start: Literal["random", "copy"] = knob("Until the first copy it is a random network of its own, or a copy of V")
    resets: Resets | None = knob(
        "Before each copy the weights are kept if the last iteration's total loss is low, and taken back to those last "
        "kept if it is high; null = never",
        default=None,
    )


@settings
class NashDQNRecipe(Settings):
    """Settings of Algorithm 1.

    An iteration plays fresh episodes and makes one optimiser step per network. Losses are sums over ten episodes, all
    steps and all agents, whatever the number of episodes; the total loss is the loss of V before its step plus that of
    A before its own, each with its penalty.
    """

    observation: ObservationSpec = knob("What agents see")
    value_hidden: Layers = knob("Hidden layers of the value network V", "units", min_length=1)
    advantage_hidden: Layers = knob("Hidden layers of the network of mu, P and psi", "units", min_length=1)
    phi_hidden: Layers = knob(
        "Hidden layers of the DeepSets network phi, (16), for visible inventories; [] = no phi", "units"
    )
    iterations: Whole = knob("Optimiser steps B of each network, at most", "iterations", ge=1)
    episodes_per_iteration: Whole = knob("Fresh episodes played per iteration", "episodes", ge=1)
    minibatch_episodes: Whole = knob("Whole episodes per optimiser step; at most replay_episodes", "episodes", ge=1)
    replay_episodes: Whole = knob(
        "Capacity of the replay buffer; at least episodes_per_iteration; equal to it and to minibatch_episodes = each "
        "episode is used once",
        "episodes",
        ge=1,
    )
    learning_rate: Number = knob(
        "AdamW's learning rate, at the first iteration if the schedule is not constant", "1", gt=0
    )
    weight_decay: Number = knob("AdamW's decoupled weight decay", "1", ge=0)
    exploration: Exploration
    penalty: Penalty
    critic: ObservationSpec | None = knob("What the value network sees; null = what the agents see", default=None)
    policy: Literal["nash", "projected"] = knob(
        "Agents play the advantage network's Nash point (12), or a projected policy: that network sees what V sees, "
        "and an actor of what agents see is fitted to its Nash point",
        default="nash",
    )
    p11: P11Form = knob(
        "How P11 is made of the network's outputs, as L L^T with a positive diagonal of L, or, where an action is one "
        "number, as an absolute value",
        default="cholesky",
    )
    skip_terms: Flag = knob(
        "Whether terms per decision point stand beside the networks, linear in the features for mu, P and psi, "
        "quadratic for V",
        default=False,
    )
    learning_rate_schedule: Literal["constant", "cosine"] = knob(
        "Learning rate over the run, constant or falling to zero along a half cosine (cosine)", default="constant"
    )
    adam_beta2: Number = knob("Decay of AdamW's mean squared gradient", "1", default=0.999, gt=0, lt=1)
    explorers: Literal["all", "one", "half"] = knob(
        "All agents explore at once; or agent 1 alone, of whose transitions alone the networks learn, so that P12, P22 "
        "and psi are not learned; or all in the first half of an iteration's episodes and one in the rest, where alone "
        "a projected policy is fitted",
        default="all",
    )
    opponent_gradient: Flag = knob(
        "Whether the gradient of the loss (17) also passes through mu of the other agents", default=True
    )
    target: Target | None = knob("The slow copy of V that V(x') is taken from; null = V itself, fixed", default=None)
    gradient_clip: Number | None = knob("Largest gradient norm; null = no clipping", "1", default=None, gt=0)
    watched: Literal["total_loss", "loss"] = knob(
        "The column of history.csv that early stopping, the best weights and divergence look at: the sum of both "
        "networks' losses with their penalties, or the squared error alone",
        default="total_loss",
    )
    patience: Whole | None = knob(
        "Stop after more than so many iterations without one whose loss is the lowest; null = never",
        "iterations",
        default=None,
        ge=1,
    )
    returned: Literal["best", "last"] = knob(
        "Weights of the iteration with the lowest loss, or of the last one (if diverged, of the last sound row)",
        default="last",
    )
    divergence_factor: Number | None = knob(
        "A member whose loss exceeds this multiple of its best, or is not finite, is stopped as diverged; null = no "
        "limit",
        "1",
        default=1000.0,
        gt=1,
    )
    history_every: Whole = knob("Iterations per row of history.csv", "iterations", default=100, ge=1)

    def __post_init__(self) -> None:
        at_least(self, "replay_episodes", "episodes_per_iteration")
        at_least(self, "replay_episodes", "minibatch_episodes")
        usual = {"explorers": "all", "policy": "nash"}
        unlike = [f"{key}: {getattr(self, key)}" for key in usual if getattr(self, key) != usual[key]]
        if unlike and not self.once:  # in an older episode the others played an older policy
            keys = ("episodes_per_iteration", "minibatch_episodes")
            key = next(key for key in keys if getattr(self, key) != self.replay_episodes)
            allowed = f"replay_episodes ({self.replay_episodes}), as with {unlike[0]} no episode is reused"
            disagree([key], getattr(self, key), allowed)

    @property
    def once(self) -> bool:
        """Whether each episode is used once, without a replay buffer."""
        return self.replay_episodes == self.episodes_per_iteration == self.minibatch_episodes

    @property
    def learners(self) -> slice:
        """The agents whose transitions are learned from."""
        return slice(0, 1) if self.explorers == "one" else slice(None)

    @property
    def solo(self) -> slice:
        """The episodes in which agent 0 explores alone."""
        first = {"all": self.episodes_per_iteration, "one": 0, "half": self.episodes_per_iteration // 2}
        return slice(first[self.explorers], None)
