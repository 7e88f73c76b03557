"""``nash-dqn show``: a summary as text on one screen, whatever it is of."""

from __future__ import annotations

import json
import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nash_dqn.summary import summarise

__all__ = ["render", "summarise"]

_BARS = "▁▂▃▄▅▆▇█"
_WIDTH = 110  # of the text
_MOST = 40  # rows of a table that are shown
_LISTED, _CELL = 12, 70  # entries of a list that are shown, and characters of them in a cell


def render(summary: Mapping[str, Any]) -> str:
    """A title of ``path`` and ``kind``, an entry for each other value, and lists of mappings as tables.

    In a table a mapping becomes a column for each of its keys, and a list of numbers a course: a bar for each, on a
    logarithmic scale where they are all above zero, ``?`` where one is not finite.
    """
    lines = [f"{summary['path']}: {summary['kind']}"]
    for name, value in summary.items():
        if name in ("path", "kind") or value is None or value == {}:
            continue
        if isinstance(value, list) and value and isinstance(value[0], dict):
            lines += ["", *_table(value), ""]
        else:
            lines += _entry(name.replace("_", " "), _text(value))
    return "\n".join(lines).rstrip()


def _entry(name: str, text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent=f"  {name:20}", subsequent_indent=" " * 22) or [f"  {name}"]


def _table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Rows as columns of text; what is too much for a screen is left out, and said."""
    shown = [_cells(row) for row in rows[:_MOST]]
    names = list(dict.fromkeys(name for row in shown for name in row))
    lines = [{name: name for name in names}, *shown]
    widths = {name: max(len(line.get(name, "")) for line in lines) for name in names}
    text = ["  " + "  ".join(line.get(name, "").ljust(widths[name]) for name in names).rstrip() for line in lines]
    return text + ([f"  ... and {len(rows) - _MOST} more (--json has all)"] if len(rows) > _MOST else [])


def _cells(row: Mapping[str, Any]) -> dict[str, str]:
    cells: dict[str, str] = {}
    for name, value in row.items():
        if isinstance(value, dict) and set(value) == {"first", "last"}:
            cells[name] = f"{_text(value['first'])} -> {_text(value['last'])}"
        elif isinstance(value, dict):
            cells |= {f"{name} {part}": text for part, text in _cells(value).items()}
        elif isinstance(value, list) and value and all(isinstance(entry, float) for entry in value):
            cells[name] = _sparkline(value)
        else:
            cells[name] = textwrap.shorten(_text(value), _CELL, placeholder=" ...")
    return cells


def _text(value: Any) -> str:
    """A value in a line; mappings and lists within another one in brackets."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {_nested(entry)}" for name, entry in value.items())
    if isinstance(value, list):
        more = f", ... ({len(value)} in all)" if len(value) > _LISTED else ""
        return (", ".join(map(_nested, value[:_LISTED])) or "none") + more
    if isinstance(value, float):
        return "-" if math.isnan(value) else f"{value:.4g}" if value % 1 or abs(value) > 1e9 else f"{value:.0f}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _nested(value: Any) -> str:
    return f"({_text(value)})" if isinstance(value, dict | list) and value else _text(value)


def _sparkline(values: Sequence[float]) -> str:
    heights = np.array(values)
    finite = np.isfinite(heights)
    known = heights[finite]
    if known.size and known.min() > 0:
        known = np.log(known)
    span = np.ptp(known) if known.size else 0.0
    steps = np.full(len(heights), "?")
    steps[finite] = [_BARS[round((height - known.min()) / (span or 1.0) * (len(_BARS) - 1))] for height in known]
    return "".join(steps)
