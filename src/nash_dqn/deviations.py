"""Where the replication decided something that the paper leaves open or contradicts, as a table.

It is read off docs/results.md, where it is written: every table there that says what is done ``here`` and ``why``.
"""

from __future__ import annotations

import re

__all__ = ["COLUMNS", "read_deviations"]

COLUMNS = ("section", "subject", "text", "tables and figures", "released code", "here", "why")
"""Section of the page and what the decision is about; what the paper's text, its tables and figures and the released
code say, where one of them does; what is done here, and why."""

_NAMES = {"#": "subject", "question": "subject"}


def read_deviations(page: str) -> list[dict[str, str]]:
    """The decisions, each with the keys :data:`COLUMNS`; what a table of the page does not have is empty.

    Raises:
        ValueError: the page has no such table, or a row that does not fit its head.
    """
    rows: list[dict[str, str]] = []
    section, head = "", list[str]()
    for line in page.splitlines():
        if line.startswith("#"):
            section, head = line.lstrip("# "), []
        elif not line.startswith("|"):
            head = []
        elif not head:
            head = [_NAMES.get(cell, cell) for cell in _cells(line)]
        elif {"here", "why"} <= set(head) and not re.fullmatch(r"[|:\- ]+", line):
            cells = _cells(line)
            if len(cells) != len(head):
                raise ValueError(f"a row of {len(cells)} cells in a table of {len(head)}: {line}")
            found = {"section": section, **dict(zip(head, cells, strict=True))}
            rows.append({name: found.get(name, "") for name in COLUMNS})
    if not rows:
        raise ValueError("no table with the columns 'here' and 'why'")
    return rows


def _cells(line: str) -> list[str]:
    r"""Cells of a Markdown table's row as plain text: ``\|`` is a bar, of links and emphasis the words remain."""
    cells = re.split(r"(?<!\\)\|", line.strip().removeprefix("|").removesuffix("|"))
    return [_plain(cell) for cell in cells]


def _plain(text: str) -> str:
    linked = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", text)
    stressed = re.sub(r"(?<!\w)\*([^*]+)\*(?!\w)", r"\1", linked)
    return stressed.replace("\\|", "|").replace("`", "").strip()
