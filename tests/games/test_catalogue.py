"""Games by name: what is made, and what is refused in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nash_dqn.config import general_game, general_games, general_settings, load_yaml, market_of_many, validate
from nash_dqn.games.basket import Basket
from nash_dqn.games.catalogue import make, module_of
from nash_dqn.games.interbank import Interbank
from nash_dqn.games.market import Market
from nash_dqn.games.mean_field import shared
from nash_dqn.games.traders import Traders

CONFIG = validate(load_yaml(Path(__file__).resolve().parents[2] / "config" / "config.yaml"))


def test_games_of_the_configuration() -> None:
    games = {name: make(**general_game(CONFIG, name)) for name in CONFIG["games"]}
    assert games == {"traders": Traders(), "basket": Basket(), "interbank": Interbank()}


def test_settings_replace_defaults_and_lists_become_tuples() -> None:
    assert make("traders.Traders", {"sizes": [1, 4]}) == Traders(sizes=(1, 4))


@pytest.mark.parametrize("count", [2, 1000])
def test_many_players_share_the_scenarios_impact(count: int) -> None:
    market = Market(**CONFIG["scenarios"]["lq_released"])
    assert make(**market_of_many(CONFIG, count)) == shared(market, count)


def test_trainings_of_many_players_have_their_own_seeds_and_changes() -> None:
    assert general_games(CONFIG)[:3] == ["traders", "basket", "interbank"]
    of_game = general_settings(CONFIG, "nash_dqn", "traders")
    of_many = general_settings(CONFIG, "nash_dqn", "many_players_10")
    assert of_game["seeds"] == CONFIG["general"]["seeds"] and of_many["scenario"] == "many_players_10"
    assert of_many["seeds"] == CONFIG["general"]["many_players"]["seeds"]
    assert of_game["recipe"]["exploration"] == CONFIG["games"]["traders"]["nash_dqn"]["exploration"]
    assert "seeds" not in of_game["recipe"] and "seeds" not in of_many["recipe"]
    changed = CONFIG["general"]["many_players"]["nash_dqn"]
    assert {key: of_many["recipe"][key] for key in changed} == changed


def test_unknown_game_of_the_configuration() -> None:
    with pytest.raises(
        ValueError, match=r'games: got "tradrs", expected a game \(traders, .* did you mean \'traders\'\?'
    ):
        general_game(CONFIG, "tradrs")


@pytest.mark.parametrize("game", ["traders", "os.path.Join", "../x.Y", "x.Y\n"])
def test_names_that_are_no_module_and_class(game: str) -> None:
    with pytest.raises(ValueError, match=r"allowed is module\.Class of nash_dqn\.games"):
        module_of(game)


@pytest.mark.parametrize(
    ("game", "settings", "message"),
    [
        ("absent.Game", {}, "'absent.Game': there is no module nash_dqn.games.absent"),
        ("traders.Trader", {}, "no game Trader, a dataclass derived from Game; allowed here is traders.Traders"),
        ("traders.Game", {}, "no game Game, a dataclass derived from Game; allowed here is traders.Traders"),
        ("lq.LQGame", {}, "nash_dqn.games.lq has no game LQGame"),
        ("traders.Traders", {"kapa": 1}, "kapa = 1: traders.Traders has no such setting, but sizes, b1"),
        ("traders.Traders", {"kapa": 1}, "did you mean 'kappa'?"),
        ("traders.Traders", {"b1": [-1, 1]}, "b1[0] = -1: allowed is a finite number > 0"),
        ("market.Market", {"eta": 0.1}, "market.Market needs n_agents, horizon, n_steps, kappa, "),
    ],
)
def test_what_cannot_be_made(game: str, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as refused:
        make(game, settings)
    assert message in str(refused.value) and "\n" not in str(refused.value)
