"""``nash-dqn check``: is a game's simulator the game that its matrices say, and has it an equilibrium?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from nash_dqn.games.catalogue import make
from nash_dqn.games.verify import compare
from nash_dqn.seeding import generator

__all__ = ["render", "summarise"]


def summarise(game: str, fields: Sequence[str] = ()) -> dict[str, Any]:
    """What :func:`nash_dqn.games.verify.compare` finds of a game, ``module.Class``, with ``FIELD=VALUE`` in YAML.

    Raises:
        ValueError: there is no such game or field, a value is not allowed, or the game cannot be compared.
    """
    settings = dict(_field(text) for text in fields)
    try:
        found = compare(make(game, settings), generator(1, "check"))
    except OverflowError:
        raise ValueError(f"{game}: a number of its settings is too large to compute with") from None
    return {
        "game": game,
        "settings": settings,
        "passed": all(row.passed for row in found),
        "comparisons": [row._asdict() for row in found],
    }


def render(summary: dict[str, Any]) -> str:
    """The summary as text, a line for each comparison."""
    settings = ", ".join(f"{name} = {value}" for name, value in summary["settings"].items())
    lines = [f"{summary['game']}{f' with {settings}' if settings else ''}"]
    for row in summary["comparisons"]:
        lines.append(f"  {'ok  ' if row['passed'] else 'DIFF'}  {row['what']:18}  {row['outcome']}")
    failed = sum(not row["passed"] for row in summary["comparisons"])
    total = len(summary["comparisons"])
    lines.append(f"{failed} of {total} differ" if failed else f"all {total} agree")
    return "\n".join(lines)


def _field(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise ValueError(f"{text!r}: expected FIELD=VALUE, such as n_agents=3")
    try:
        return name, yaml.safe_load(value)
    except yaml.YAMLError:
        raise ValueError(f"{text!r}: {value!r} is no YAML") from None
