"""A table as an HTML page of its own, to be read in a browser without anything else."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

import pandas as pd

from nash_dqn.artifacts import atomic_path, write_csv

__all__ = ["render_page", "write_with_page"]

_STYLE = """\
body { font: 14px/1.4 sans-serif; margin: 1em; }
table { border-collapse: collapse; }
th { position: sticky; top: 0; background: #eef1f5; }
th, td { border: 1px solid #ccd3db; padding: 0.25em 0.5em; text-align: left; vertical-align: top; max-width: 28em; }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
tr:nth-child(even) td { background: #f8f9fb; }
"""


def write_with_page(table: pd.DataFrame, path: Path | str, page: Path | str, title: str) -> None:
    """Write a table as CSV, and as a page that a report can show."""
    write_csv(path, table)
    with atomic_path(page) as temporary:
        temporary.write_text(render_page(table, title), encoding="utf-8")


def render_page(table: pd.DataFrame, title: str) -> str:
    """The page: a head row, the rows in their order, numbers to five significant digits, missing values as empty cells.

    It loads nothing: its style is within.
    """
    head = "".join(f"<th>{html.escape(str(column))}</th>" for column in table.columns)
    rows = "\n".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in table.itertuples(index=False))
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{html.escape(title)}</title>\n'
        f"<style>\n{_STYLE}</style>\n</head>\n<body>\n<table>\n<thead><tr>{head}</tr></thead>\n"
        f"<tbody>\n{rows}\n</tbody>\n</table>\n</body>\n</html>\n"
    )


def _cell(value: Any) -> str:
    if pd.isna(value):
        return "<td></td>"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f'<td class="number">{value:.5g}</td>'
    return f"<td>{html.escape(str(value))}</td>"
