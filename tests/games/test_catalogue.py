"""Games by name: what is made, and what is refused in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nash_dqn.config import game_of, load_yaml, validate
from nash_dqn.games.basket import Basket
from nash_dqn.games.catalogue import make, module_of
from nash_dqn.games.interbank import Interbank
from nash_dqn.games.traders import Traders

CONFIG = validate(load_yaml(Path(__file__).resolve().parents[2] / "config" / "config.yaml"))


def test_games_of_the_configuration() -> None:
    games = {name: make(**game_of(CONFIG, name)) for name in CONFIG["games"]}
    assert games == {"traders": Traders(), "basket": Basket(), "interbank": Interbank()}


def test_settings_replace_defaults_and_lists_become_tuples() -> None:
    assert make("traders.Traders", {"sizes": [1, 4]}) == Traders(sizes=(1, 4))


def test_names_that_are_no_module_and_class() -> None:
    for game in ("traders", "os.path.Join", "../x.Y", "x.Y\n"):
        with pytest.raises(ValueError, match=r"allowed is module\.Class of nash_dqn\.games"):
            module_of(game)


@pytest.mark.parametrize(
    ("game", "settings", "message"),
    [
        ("absent.Game", {}, "'absent.Game': there is no module nash_dqn.games.absent"),
        ("traders.Trader", {}, "no game Trader, a dataclass derived from Game; allowed here is traders.Traders"),
        ("traders.Game", {}, "no game Game, a dataclass derived from Game; allowed here is traders.Traders"),
        ("lq.LQGame", {}, "nash_dqn.games.lq has no game LQGame"),
        ("traders.Traders", {"kapa": 1}, "did you mean 'kappa'?"),
        ("traders.Traders", {"b1": [-1, 1]}, "b1[0]: got -1, expected a number > 0"),
        ("market.Market", {"eta": 0.1}, "market.Market needs n_agents, horizon, n_steps, kappa, "),
    ],
)
def test_what_cannot_be_made(game: str, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as refused:
        make(game, settings)
    assert message in str(refused.value) and "\n" not in str(refused.value)
