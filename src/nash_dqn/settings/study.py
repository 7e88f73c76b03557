"""The settings of a whole run: every section of the configuration, and the one form of what it means."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from nash_dqn.settings import ablation, evaluation
from nash_dqn.settings.agreement import check
from nash_dqn.settings.fictitious_play import FictitiousPlayRecipe
from nash_dqn.settings.fields import (
    ConfigError,
    Distinct,
    Flag,
    GameName,
    Name,
    Named,
    Names,
    Path,
    Section,
    Seeds,
    Text,
    at_least,
    fail,
    knob,
    settings,
    suggestion,
    validated,
)
from nash_dqn.settings.files import with_bases
from nash_dqn.settings.game import Scenario
from nash_dqn.settings.games import BasketSettings, InterbankSettings, TradersSettings
from nash_dqn.settings.least_squares import LeastSquaresRecipe
from nash_dqn.settings.nash_dqn import NashDQNRecipe
from nash_dqn.settings.self_play import SelfPlayRecipe

__all__ = ["ALGORITHMS", "GAMES", "MARKET", "Algorithm", "Study", "policy_of", "scenario_of", "validate"]

Algorithm = Literal["nash_dqn", "fictitious_play", "self_play", "least_squares"]
MARKET = "market.Market"
"""The game of a scenario that names none: the paper's."""

GAMES: Mapping[str, type] = {
    MARKET: Scenario,
    "traders.Traders": TradersSettings,
    "basket.Basket": BasketSettings,
    "interbank.Interbank": InterbankSettings,
}
"""What a scenario of each game may say. Of any other class of `nash_dqn.games`, its fields, which it checks itself."""

_ALGORITHM = "Which algorithm trains it"
_OWN_SEEDS = "Training seeds of this policy alone; null = the run's"


@settings
class NashDQNPolicy(NashDQNRecipe):
    """How a policy is trained by Nash-DQN (Algorithm 1), and with which seeds."""

    algorithm: Algorithm = knob(_ALGORITHM, default="nash_dqn")
    seeds: Seeds | None = knob(_OWN_SEEDS, default=None)

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(self, "iterations", "history_every")


@settings
class FictitiousPlayPolicy(FictitiousPlayRecipe):
    """How a policy is trained by fictitious play with DDPG best responses (Algorithm 2), and with which seeds."""

    algorithm: Algorithm = knob(_ALGORITHM, default="fictitious_play")
    seeds: Seeds | None = knob(_OWN_SEEDS, default=None)

    def __post_init__(self) -> None:
        at_least(self, "first_epochs", "history_every")


@settings
class SelfPlayPolicy(SelfPlayRecipe):
    """How an equilibrium reference is trained, by self-play through the simulator's gradients, and with which seeds."""

    algorithm: Algorithm = knob(_ALGORITHM, default="self_play")
    seeds: Seeds | None = knob(_OWN_SEEDS, default=None)

    def __post_init__(self) -> None:
        at_least(self, "iterations", "history_every")


@settings
class LeastSquaresPolicy(LeastSquaresRecipe):
    """How a policy is trained by policy iteration with least squares, and with which seeds."""

    algorithm: Algorithm = knob(_ALGORITHM, default="least_squares")
    seeds: Seeds | None = knob(_OWN_SEEDS, default=None)

    def __post_init__(self) -> None:
        at_least(self, "iterations", "history_every")


ALGORITHMS: Mapping[str, type] = {
    "nash_dqn": NashDQNPolicy,
    "fictitious_play": FictitiousPlayPolicy,
    "self_play": SelfPlayPolicy,
    "least_squares": LeastSquaresPolicy,
}
"""What a policy of each algorithm may say."""


class Run(Section):
    """What a plain `snakemake` makes."""

    scenarios: Names = knob("Names from `scenarios`")
    comparisons: Annotated[
        list[Annotated[list[Name], Distinct, Field(min_length=2, max_length=2)]], Distinct, Field(min_length=1)
    ] = knob(
        "Pairs of policies that Figs 2 and 3 compare, one of nash_dqn and one of another algorithm; the first is the "
        "headline. They meet on the seeds that both have; a policy with a single seed meets every training"
    )


class Study(Section):
    """Every knob of a run."""

    device: Literal["auto", "cpu", "cuda"] = knob(
        "Where networks are trained; auto takes a CUDA device when there is one", default="cpu"
    )
    authors: Text | None = knob(
        "Folder with the authors' released weights in it or below it, such as a checkout of their repository; null to "
        "do without",
        default=None,
    )
    seeds: Seeds = knob("Training seeds; each policy is trained once per seed, unless it has seeds of its own")
    restore: Flag = knob(
        "Whether trainings whose settings and code are those of the repository's record come from there; a run trains "
        "where not, and keeps what it trained",
        default=False,
    )
    run: Run
    scenarios: Named[Any] = knob("Games with their parameters, by name; `game` is the paper's market where not given")
    policies: Named[Any] = knob("How policies are trained, by name; `algorithm` says what else there is to set")
    beta_sweep: evaluation.BetaSweep
    penalty_study: evaluation.PenaltyStudy
    policy_grid: evaluation.PolicyGrid
    cross_play: evaluation.CrossPlay
    exploitability: evaluation.Exploitability
    data_efficiency: evaluation.DataEfficiency
    lq: evaluation.Exact
    ddpg_best_response: evaluation.DDPGBestResponse
    outside_learners: evaluation.OutsideLearners
    equilibrium_path: evaluation.EquilibriumPath
    projection: evaluation.Projection
    fictitious_play: evaluation.FictitiousPlay
    robustness: evaluation.Robustness
    games: Named[Names] = knob("On request: as `lq`, in games beyond the paper's market; policies by scenario")
    many_players: evaluation.ManyPlayers
    ablation: evaluation.Ablation


def validate(config: object) -> dict[str, Any]:
    """Check a whole configuration; the canonical form of what it means, with bases and defaults filled in.

    Order of keys, 10 or 10.0 for a number, and spelling out a default make no difference to it.

    Args:
        config: what ``load_yaml`` or Snakemake read.

    Raises:
        ConfigError: at the first problem found: unknown keys come first, then missing ones, then values.
    """
    study: Study = validated(Study, with_bases(config) if isinstance(config, dict) else config)
    complete: dict[str, Any] = _plain(study.model_dump())
    complete["scenarios"] = {name: scenario_of(of, ("scenarios", name)) for name, of in study.scenarios.items()}
    complete["policies"] = {name: policy_of(of, ("policies", name)) for name, of in study.policies.items()}
    check(complete)
    for name, setting in ablation.settings(complete["policies"], complete["ablation"]).items():
        policy_of(setting.recipe, ("ablation", name))
    return complete


def scenario_of(values: Any, at: Path) -> dict[str, Any]:
    """The canonical form of a scenario: ``game``, and the fields of its class.

    Raises:
        ConfigError: it is none.
    """
    given = values if isinstance(values, Mapping) else None
    game = MARKET if given is None else validated(GameName, given.get("game", MARKET), (*at, "game"))
    own = values if given is None else {key: value for key, value in given.items() if key != "game"}
    if game in GAMES:
        return {"game": game, **_plain(dataclasses.asdict(validated(GAMES[game], own, at)))}
    return {"game": game, **dict(sorted(_plain(own).items()))}


def policy_of(values: Any, at: Path) -> dict[str, Any]:
    """The canonical form of a policy: ``algorithm``, its settings, and ``seeds``.

    Raises:
        ConfigError: it is none.
    """
    if not isinstance(values, Mapping):
        fail(at, values, "a mapping with the key algorithm and what it has to set, or base")
    if "algorithm" not in values:
        raise ConfigError(f"{'.'.join(map(str, at))}.algorithm: missing, expected one of {', '.join(ALGORITHMS)}")
    algorithm = values["algorithm"]
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        fail((*at, "algorithm"), algorithm, f"one of {', '.join(ALGORITHMS)}", suggestion(algorithm, ALGORITHMS))
    policy: dict[str, Any] = _plain(dataclasses.asdict(validated(ALGORITHMS[algorithm], values, at)))
    return policy


def _plain(value: Any) -> Any:
    """The same with whole numbers without a decimal point, as people write them and tables have them."""
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
