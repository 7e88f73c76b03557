"""Reading the tables behind the figures: what must be there, or one clear line about what is not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from pandas import DataFrame, Series


def require_columns(table: DataFrame, name: str, columns: Iterable[str]) -> None:
    """Check that the table has rows and these columns.

    Raises:
        ValueError: naming the table, the missing columns and those there are.
    """
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise ValueError(
            f"{name}: column {', '.join(missing)} is missing; there are {', '.join(map(str, table.columns))}"
        )
    if table.empty:
        raise ValueError(f"{name}: the table has no rows")


def only(table: DataFrame, name: str, column: str) -> Any:
    """Return the one value that the column holds.

    Raises:
        ValueError: if it holds more than one.
    """
    values = sorted(table[column].unique())
    if len(values) != 1:
        raise ValueError(f"{name}: {column} must be the same in every row; found {', '.join(map(str, values))}")
    return values[0]


def select(table: DataFrame, name: str, **values: Any) -> DataFrame:
    """Return the rows where each named column has the given value.

    Raises:
        ValueError: if there is none.
    """
    rows = table
    for column, value in values.items():
        rows = rows[rows[column] == value]
    if rows.empty:
        wanted = ", ".join(f"{column}={value}" for column, value in values.items())
        raise ValueError(f"{name}: no row with {wanted}")
    return rows


def grid(table: DataFrame, name: str, keys: Sequence[str], value: str) -> tuple[list[np.ndarray], np.ndarray]:
    """Return the sorted levels of each key and the values as an array with one axis a key, [len(levels), ...].

    Raises:
        ValueError: if a combination of levels is missing or stands twice.
    """
    twice = table.duplicated(list(keys))
    if twice.any():
        row = next(table.loc[twice, list(keys)].itertuples(index=False))
        raise ValueError(f"{name}: more than one row with {_combination(keys, row)}")
    levels = [np.sort(table[key].unique()) for key in keys]
    shape = tuple(len(level) for level in levels)
    values = np.empty(shape)
    filled = np.zeros(shape, dtype=bool)
    where = tuple(np.searchsorted(level, table[key]) for level, key in zip(levels, keys, strict=True))
    values[where] = table[value]
    filled[where] = True
    if not filled.all():
        gap = np.argwhere(~filled)[0]
        row = [level[at] for level, at in zip(levels, gap, strict=True)]
        raise ValueError(f"{name}: no row with {_combination(keys, row)}")
    return levels, values


def truths(table: DataFrame, name: str, column: str) -> Series:
    """Return a column of True, False and empty fields as pandas' ``boolean``.

    Raises:
        ValueError: if it holds anything else.
    """
    try:
        return table[column].astype("boolean")
    except (TypeError, ValueError):
        found = ", ".join(sorted({str(value) for value in table[column]}))
        raise ValueError(f"{name}: {column} must hold True, False or nothing; found {found}") from None


def _combination(keys: Iterable[str], values: Iterable[Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in zip(keys, values, strict=True))
