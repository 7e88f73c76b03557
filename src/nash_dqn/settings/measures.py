"""How deviators, other people's learners and the path of an equilibrium are made, which code computes with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from nash_dqn.settings.fields import Distinct, Layers, Number, Seed, Settings, Whole, knob, settings

DeviatorClass = Literal["same", "memory", "history"]
OutsideLearner = Literal["ddpg", "td3"]
"""Learners of Stable-Baselines3."""


@settings
class BestResponseSettings(Settings):
    """How deviators are trained, each a correction to the policy: by gradients through the game."""

    hidden: Layers = knob("Hidden layers of the deviator's correction to the policy", "units", min_length=1)
    iterations: Whole = knob("Gradient steps of a deviator", "iterations", ge=1)
    episodes: Whole = knob("Fresh episodes per gradient step", "episodes", ge=1)
    learning_rate: Number = knob(
        "Adam's learning rate at the first step; it falls to zero along a half cosine", "1", gt=0
    )
    restarts: Whole = knob(
        "Deviators trained on their own random numbers, of which the best on the validation paths counts",
        "restarts",
        ge=1,
    )
    seed: Seed = knob("Seed of the deviators' training and of the paths")


@settings
class OutsideSettings(Settings):
    """How learners of Stable-Baselines3 are trained, with its own defaults but for what follows."""

    learners: Annotated[Sequence[OutsideLearner], Distinct] = knob("Learners of Stable-Baselines3", min_length=1)
    transitions: Whole = knob(
        "Joint transitions of a training, the same for every learner: a multiple of what each uses at once",
        "transitions",
        ge=1,
    )
    trainings: Whole = knob("Trainings of each learner against each policy", ge=1)
    environments: Whole = knob("Environments that Stable-Baselines3 steps at once; a gradient step follows", ge=1)
    action_bound: Number = knob("Stable-Baselines3's largest action, mapped to +-1", "shares/hour", gt=0)
    noise: Number = knob("Standard deviation of Stable-Baselines3's Gaussian exploration", "shares/hour", ge=0)
    seed: Seed = knob("Seed of the first training, and of the paths; the next training's is `environments` further")

    @property
    def seeds(self) -> list[int]:
        """Of the trainings; no two share an environment's stream."""
        return [self.seed + k * self.environments for k in range(self.trainings)]


@settings
class PathSettings(Settings):
    """How the path of an equilibrium is followed; lengths are of (theta, t), coefficients and share of the way."""

    width: Number = knob("Order flow below which the square-root impact is smoothed", "shares/hour", gt=0)
    paths: Whole = knob("Paths whose mean reward is made stationary, the same all along", "paths", ge=2)
    start_iterations: Whole = knob("Gradient steps of self-play before Newton's method", "iterations", ge=1)
    step: Number = knob("Length of the first step along the path", "1", gt=0)
    largest_step: Number = knob(
        "Length of the longest; steps double where Newton's method converges fast and halve where it fails", "1", gt=0
    )
    points: Whole = knob("Points at most", "points", ge=1)
    beyond_fold: Number = knob("How far it is followed back where it turns, as a share of the way", "1", ge=0)
    seed: Seed = knob("Seed of the paths")
