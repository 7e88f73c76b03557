"""What a game's parameters may be: an error is one line that names the parameter, its value and what is allowed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, Literal

import numpy as np

from nash_dqn.games.lq import FloatArray

Matrix = tuple[tuple[float, ...], ...]
Kind = Literal["any", "positive semidefinite", "positive definite"]


def integer(name: str, value: Any, least: int) -> None:
    """Raise ValueError unless value is an integer >= least."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} = {value!r}: allowed is an integer >= {least}")


def number(name: str, value: Any, allowed: Callable[[float], bool], text: str) -> None:
    """Raise ValueError unless value is a finite number that is ``allowed``, which ``text`` says in words."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value) or not allowed(value):
        raise ValueError(f"{name} = {value!r}: allowed is {text}")


def vector(name: str, values: Any, size: int, allowed: Callable[[float], bool], text: str) -> tuple[float, ...]:
    """The values as a tuple; ValueError unless they are ``size`` finite numbers, each of them ``allowed``."""
    if not isinstance(values, list | tuple) or len(values) != size:
        raise ValueError(f"{name} = {values!r}: allowed are {size} numbers")
    for k, value in enumerate(values):
        number(f"{name}[{k}]", value, allowed, text)
    return tuple(values)


def matrix(name: str, rows: Any, size: int, kind: Kind = "any") -> Matrix:
    """The rows as a tuple of tuples; ValueError unless they are a finite ``size`` x ``size`` matrix of that kind."""
    if not isinstance(rows, list | tuple) or len(rows) != size:
        raise ValueError(f"{name} = {rows!r}: allowed is a {size} x {size} matrix, row by row")
    checked = tuple(vector(f"{name}[{k}]", row, size, lambda v: True, "a finite number") for k, row in enumerate(rows))
    if kind != "any":
        array: FloatArray = np.array(checked, dtype=np.float64)
        least = float(np.linalg.eigvalsh(array)[0])
        # A singular matrix's smallest eigenvalue is zero up to round-off.
        bound = -1e-12 * float(np.abs(array).max()) if kind == "positive semidefinite" else 0.0
        if not np.array_equal(array, array.T) or least < bound or (kind == "positive definite" and least <= 0):
            raise ValueError(f"{name} = {rows!r}: allowed is a symmetric, {kind} matrix")
    return checked


def settle(instance: object, values: Iterable[tuple[str, Any]]) -> None:
    """Set attributes of a frozen dataclass, from its own ``__post_init__``: lists of a YAML file become tuples."""
    for name, value in values:
        object.__setattr__(instance, name, value)
