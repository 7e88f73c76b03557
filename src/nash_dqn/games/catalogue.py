"""A game by its name in the configuration: a class of a module of this folder, ``traders.Traders``.

Nothing lists the games, so that one more takes its file and an entry in the configuration.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the workflow asks for names alone, without PyTorch
    from nash_dqn.games.base import Game

__all__ = ["make", "module_of"]


def module_of(game: str) -> str:
    """The module that a game's name stands for: ``nash_dqn.games.traders`` of ``traders.Traders``.

    Raises:
        ValueError: the name is not of that form.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*\.[A-Z][A-Za-z0-9]*", game):
        raise ValueError(f"game = {game!r}: allowed is module.Class of nash_dqn.games, such as traders.Traders")
    return f"nash_dqn.games.{game.partition('.')[0]}"


def make(game: str, settings: Mapping[str, Any]) -> Game:
    """The game of that name with these values of its fields, and its own defaults for the rest.

    Raises:
        ValueError: there is no such game or field, a field without a default is missing, or a value is not allowed.
    """
    module, name = module_of(game), game.partition(".")[2]
    try:
        source = resolve_name(f"{module}:")
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise ValueError(f"game = {game!r}: there is no module {module}") from None
    from nash_dqn.games.base import Game

    games: dict[str, Any] = {
        key: value
        for key, value in vars(source).items()
        if isinstance(value, type) and issubclass(value, Game) and is_dataclass(value) and value.__module__ == module
    }
    if name not in games:
        stem = game.partition(".")[0]
        allowed = f"; allowed here is {', '.join(f'{stem}.{other}' for other in games)}" if games else ""
        raise ValueError(f"game = {game!r}: {module} has no game {name}, a dataclass derived from Game{allowed}")
    found = games[name]
    known = [field.name for field in fields(found)]
    for key, value in settings.items():
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise ValueError(f"{key} = {value!r}: {game} has no such setting, but {', '.join(known)}{hint}")
    needed = [f.name for f in fields(found) if f.default is MISSING and f.default_factory is MISSING]
    missing = [name for name in needed if name not in settings]
    if missing:
        raise ValueError(f"{game} needs {', '.join(missing)}: settings without a default")
    try:
        made: Game = found(**settings)
    except TypeError as error:
        raise ValueError(f"{game}: {error}") from None
    return made
