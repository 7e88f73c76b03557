"""What the environments of one episode at a time have in common: random streams, and checks of what they are given."""

from __future__ import annotations

import secrets
from numbers import Integral
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nash_dqn.seeding import generator

__all__ = ["Stream", "bounded_action"]


class Stream:
    """The random stream that an environment draws its episodes from.

    Until it is given a seed it has fresh entropy, and so has each copy of it, by ``copy.deepcopy`` or ``pickle``: the
    copies that vector environments make play different episodes. Given a seed it is that seed's stream, from its
    beginning, and a copy goes on as the original would.

    Args:
        name: of the streams that seeds name, as in :func:`nash_dqn.seeding.generator`.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._seed: int | None = None
        self._generator = self._fresh()

    def begin(self, seed: int | None) -> torch.Generator:
        """The generator of the next episode: at the beginning of a seed's stream; None goes on.

        Raises:
            ValueError: no seed.
        """
        if seed is not None:
            given: Any = seed  # whatever a caller takes for a seed, NumPy's whole numbers among it
            if isinstance(given, bool) or not isinstance(given, Integral) or int(given) < 0:
                raise ValueError(f"seed = {seed!r}: allowed is a whole number >= 0, or None")
            self._seed = int(seed)
            self._generator = generator(self._seed, self._name)
        return self._generator

    def _fresh(self) -> torch.Generator:
        return generator(secrets.randbits(63), self._name)

    def __getstate__(self) -> dict[str, Any]:
        state = dict(self.__dict__)
        if self._seed is None:
            del state["_generator"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self._seed is None:
            self._generator = self._fresh()


def bounded_action(name: str, action: Any, size: int, bound: float) -> Tensor:
    """An agent's action as single-precision numbers ``[size]``, clipped to +- ``bound``.

    Raises:
        ValueError: it is no array of ``size`` finite numbers; one line with ``name``.
    """
    try:
        array = np.asarray(action, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name}: got {action!r}, allowed are {size} finite numbers [{size}]") from None
    if array.shape != (size,):
        raise ValueError(f"{name}: got an array of shape {array.shape}, allowed are {size} finite numbers [{size}]")
    if not np.isfinite(array).all():
        raise ValueError(f"{name}: got {array.tolist()}, allowed are finite numbers")
    return torch.from_numpy(array.clip(-bound, bound)).float()
