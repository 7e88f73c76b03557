"""Reading the tables behind the figures: what must be there, or one clear line about what is not."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from pandas import DataFrame, MultiIndex, Series


def check(table: DataFrame, name: str, columns: Collection[str], **allowed: Collection[str]) -> None:
    """Check that the table has rows, these columns, and in those named nothing but what is allowed.

    Raises:
        ValueError: naming the table, the missing columns and those there are, or the first other value.
    """
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise ValueError(
            f"{name}: column {', '.join(missing)} is missing; there are {', '.join(map(str, table.columns))}"
        )
    if table.empty:
        raise ValueError(f"{name}: the table has no rows")
    for column, values in allowed.items():
        if odd := [value for value in table[column].unique() if value not in values]:
            raise ValueError(f"{name}: {column} = {odd[0]!r}: allowed are {', '.join(values)}")


def check_grid(table: DataFrame, name: str, keys: Sequence[str]) -> None:
    """Check that each combination of the keys' values stands in one row.

    Raises:
        ValueError: naming a combination that is missing or stands twice.
    """
    found = MultiIndex.from_frame(table[list(keys)])
    if found.has_duplicates:
        raise ValueError(f"{name}: more than one row with {_named(keys, found[found.duplicated()][0])}")
    absent = MultiIndex.from_product([found.unique(key) for key in keys], names=keys).difference(found)
    if len(absent):
        raise ValueError(f"{name}: no row with {_named(keys, absent[0])}")


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
        raise ValueError(f"{name}: no row with {_named(values, values.values())}")
    return rows


def of_agent_1(table: DataFrame, name: str) -> DataFrame:
    """Return the rows of the column player that are agent 1's; the others are text where it holds nashconv too.

    Raises:
        ValueError: if there is none.
    """
    return select(table.assign(player=table["player"].astype(str)), name, player="1")


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


def _named(keys: Collection[str], values: Collection[Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in zip(keys, values, strict=True))
