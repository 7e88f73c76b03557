"""How policies are measured and studied: a section of the configuration each."""

from __future__ import annotations

from typing import Annotated, Any, get_args

from pydantic import AfterValidator, Field

from nash_dqn.settings.fields import (
    Beta,
    Betas,
    Counts,
    Distinct,
    Name,
    Named,
    Names,
    Number,
    Numbers,
    Positive,
    Positives,
    Section,
    Seed,
    Settings,
    Whole,
    disagree,
    knob,
    settings,
)
from nash_dqn.settings.measures import BestResponseSettings, DeviatorClass, OutsideSettings, PathSettings

_ORDERED = AfterValidator(lambda values: sorted(values, key=get_args(DeviatorClass).index))
"""Deviators from those that see least: the order in which they are given means nothing."""

# ------------------------------------------------------------------------------------------------------ best responses


@settings
class Deviators(BestResponseSettings):
    """Deviators, and how much they gain."""

    validation_paths: Whole = knob("Paths on which the best restart is chosen", "paths", ge=2)
    paths: Whole = knob(
        "Fresh paths on which its gain is measured, against not deviating on the same paths", "paths", ge=2
    )


@settings
class Exploitability(Deviators):
    """What an agent gains by leaving the profile in which all follow a trained policy."""

    policies: Names = knob("Names from `policies`, each in the profile where all agents follow it")
    reference: Name = knob("The one of them, of self_play, that the others are compared with as the equilibrium")
    deviators: Annotated[list[DeviatorClass], Distinct, _ORDERED] = knob(
        "What deviators see: what the policy sees (same), its own past order flow as well (memory), or also all its "
        "earlier observations (history)",
        min_length=1,
    )
    certificate_iterations: Whole = knob(
        "As iterations, against policies of self_play and least_squares alone, which the deviators are to certify",
        "iterations",
        ge=1,
    )
    certificate_learning_rate: Number = knob("As learning_rate, against the same", "1", gt=0)


@settings
class DataEfficiency(Deviators):
    """Exploitability and distance to the reference along trainings, of `exploitability.policies` but self-play's."""

    reference: Name = knob("The one of `exploitability.policies`, of self_play, to which distances are measured")
    deviator: DeviatorClass = knob("What the deviator sees")
    visited_episodes: Whole = knob(
        "Episodes of the reference's self-play, in whose states distances are measured", "episodes", ge=1
    )


class DDPGBestResponse(Section):
    """The best response that DDPG learns, beside the deviators of `exploitability`, to the same policies."""

    policy: Name = knob("The policy of fictitious_play whose first best response is learned")
    opponents: Names = knob("Names from `policies`, to which it responds")
    members: Whole = knob("Trainings of each that are responded to, the first that did not diverge", ge=1)
    seed: Seed = knob("Seed of the trainings and of the paths")


@settings
class OutsideLearners(OutsideSettings):
    """Best responses by learners of Stable-Baselines3 and by ours to the same policies, at the same budget."""

    scenarios: Names = knob("Where they are compared")
    opponents: Names = knob(
        "Names from `policies`, to which they respond: to the first training of each that did not diverge"
    )
    policy: Name = knob("The policy of fictitious_play of our DDPG")


# ------------------------------------------------------------------------------------------------------------- figures


class BetaSweep(Section):
    """Fig 1, the Bellman error against the weight of the penalty."""

    scenarios: Names = knob("Names from `run.scenarios` in which Fig 1 is made")
    policy: Name = knob("The policy of nash_dqn that is trained at each beta")
    betas: Betas = knob("Weights of the penalty, in place of the policy's own", "$^2 per unit of the norm of psi")
    iterations: Counts = knob(
        "Iterations at which the total loss of training is read off; the policy has to reach them", "iterations"
    )
    window: Whole = knob(
        "Iterations before each, of which the total loss is the mean; a multiple of the policy's history_every",
        "iterations",
        ge=1,
    )
    episodes: Whole = knob(
        "Simulated episodes over which the loss of the returned weights is averaged", "episodes", ge=2
    )
    seed: Seed = knob("Seed of the simulated episodes, the same for every network")


class PenaltyStudy(Section):
    """What makes small weights of the penalty fail, on request."""

    scenarios: Names = knob("Names from `scenarios`")
    policies: Names = knob("Policies of nash_dqn, each trained at both betas; without early stopping")
    betas: Annotated[list[Beta], Distinct] = knob(
        "Two weights of the penalty that are compared, in place of the policies' own",
        "$^2 per unit of the norm of psi",
        min_length=2,
        max_length=2,
    )
    iterations: Counts = knob(
        "Iterations at which losses and policies are compared; a policy is kept after each", "iterations"
    )
    window: Whole = knob(
        "Iterations over which the loss along training is a mean; a multiple of the policies' history_every",
        "iterations",
        ge=1,
    )


@settings
class Axis(Settings):
    """The agent's own inventory, evenly spaced."""

    low: Number = knob("Smallest inventory", "shares")
    high: Number = knob("Largest inventory", "shares")
    points: Whole = knob("Number of inventories, both ends included", "points", ge=2)

    def __post_init__(self) -> None:
        if self.high <= self.low:
            disagree(["high"], self.high, f"more than low ({self.low:g})")


class PolicyGrid(Section):
    """Fig 2, trading rates on a grid of states, and the distance between policies."""

    prices: Annotated[list[Positive], Distinct, AfterValidator(sorted)] = knob(
        "Prices, one heat map each", "$", min_length=1
    )
    impacts: Numbers = knob("Transient impacts Y, one panel each", "$")
    inventory: Axis
    visited_episodes: Whole = knob(
        "Episodes played to collect the states at which two policies are compared", "episodes", ge=1
    )
    seed: Seed = knob("Seed of those episodes")


class CrossPlay(Section):
    """Fig 3, rewards when policies meet, and the tests on them."""

    points: Whole = knob("Points per profile and seed pair, each the mean over `paths` paths", "points", ge=2)
    paths: Whole = knob("Simulated paths averaged into a point", "paths", ge=2)
    seed: Seed = knob("Seed of the paths")
    alpha: Number = knob("Level of the tests; intervals cover 1 - alpha", "1", default=0.05, gt=0, lt=1)


# ------------------------------------------------------------------------------------------------------------- studies


class Exact(Section):
    """Learned policies against exact equilibria; `games` and `many_players` are measured likewise."""

    policies: Named[Names] = knob(
        "Names from `policies` by scenario; its impact is linear or none, and its price_floor null"
    )
    episodes: Whole = knob("Episodes in whose states actions are compared", "episodes", ge=1)
    seed: Seed = knob("Seed of those episodes")


@settings
class EquilibriumPath(PathSettings):
    """An equilibrium among linear policies, followed from one scenario to another."""

    start: Name = knob("The scenario where gradient self-play finds it")
    end: Name = knob("The scenario it is followed to, which differs in kappa and sigma alone")
    policies: Names = knob("Policies of self_play, for what an agent sees")


class Projection(Section):
    """Exact fixed points of the projection, in linear-quadratic scenarios with hidden inventories."""

    scenarios: Names = knob("Names from `scenarios` whose impact is linear or none and whose price_floor is null")
    policy: Name = knob("A policy of nash_dqn with `policy` projected, for what an agent sees, and to be compared with")
    explorations: Positives = knob("Standard deviations of an agent's exploration where it is fitted", "shares/hour")
    damping: Number = knob("The share of each round's change that is made", "1", gt=0, le=1)
    iterations: Whole = knob("Rounds at most", "rounds", ge=1)
    tolerance: Number = knob(
        "Root mean square change of an action by a round below which the projection has settled", "shares/hour", gt=0
    )


class FictitiousPlay(Section):
    """Fictitious play by exact best responses, by gradients' and by DDPG's, each meeting the last or the average."""

    policies: Named[Names] = knob(
        "Policies of fictitious_play by scenario, for the best responses of DDPG; gradients' see what the first sees. "
        "With linear or no impact and no price floor they are compared with the exact equilibrium, and see inventories"
    )
    exact_rounds: Whole = knob("Exact best responses, one after the other", "best responses", ge=1)
    rounds: Whole = knob("Best responses by gradients, one after the other", "best responses", ge=1)
    iterations: Whole = knob("Gradient steps of a best response", "iterations", ge=1)
    learning_rate: Number = knob("Adam's at the first of them; it falls to zero along a half cosine", "1", gt=0)
    trainings: Whole = knob("Sequences of best responses by gradients, each on its own random numbers", ge=1)
    seed: Seed = knob("Seed of these; that of round n is n further")
    td3_rounds: Whole = knob(
        "Best responses by TD3 of `outside_learners` against the last one, one after the other, where exact ones are; "
        "each of as many transitions as DDPG's after its first, of the first policy. Above 0 needs the extra sb3",
        "best responses",
        ge=0,
    )


class Robustness(Section):
    """Policies whose exploitability is measured on request."""

    policies: Names = knob("Names from `policies`")


class ManyPlayers(Section):
    """A linear market whose impact is shared among more and more agents."""

    scenario: Name = knob("A scenario whose market is linear")
    policy: Name = knob("The policy of nash_dqn that is trained there")
    agents: Annotated[list[Annotated[Whole, Field(ge=2)]], Distinct, AfterValidator(sorted)] = knob(
        "Numbers of agents with which it is trained", "agents", min_length=2
    )
    cost_agents: Annotated[list[Annotated[Whole, Field(ge=2)]], Distinct, AfterValidator(sorted)] = knob(
        "Numbers of agents with which iterations are timed", "agents", min_length=2
    )
    cost_iterations: Whole = knob("Iterations that are timed, after as many that are not", "iterations", ge=1)


class Ablation(Section):
    """What each difference between two policies of Nash-DQN buys, one at a time in both directions."""

    scenarios: Names = knob("Names from `scenarios`")
    base: Name = knob("The policy of nash_dqn to which switches are added")
    goal: Name = knob("The policy of nash_dqn they are taken from, and from which each is removed in turn")
    switches: Named[Names] = knob(
        "Keys of a policy that change together, by name; each key in which the two differ, once"
    )
    variants: dict[Name, dict[Name, Named[Any]]] = knob(
        "Further trainings: what differs from base or goal, as with `base`, by name of that policy and of the variant"
    )
