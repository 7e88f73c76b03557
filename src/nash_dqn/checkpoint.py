"""Checkpoints: an unfinished training goes on after an interruption as if there had been none, to the bit.

A checkpoint is one file that holds the state of each part of a training. It is a convenience, not a result: one that is
damaged, or was written with other settings or code, is left aside with a line on the log and the training starts over;
one that cannot be written costs nothing but itself. It is safetensors with JSON, which carry no code.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from nash_dqn.artifacts import ArtifactError, read_tensors, write_tensors

__all__ = ["Checkpoint", "Part", "key_of", "read_checkpoint", "resumed"]

log = logging.getLogger(__name__)

State = Mapping[str, Any]
"""Tensors, and whatever else JSON knows, in mappings and lists of any depth."""

_METADATA = "checkpoint"  # the metadata key under which everything but the tensors stands
_TENSOR = "tensor"  # {_TENSOR: name, "device": where} stands for a tensor


class Part(Protocol):
    """What a training consists of."""

    def state(self) -> State:
        """All that the iterations to come depend on."""

    def restore(self, state: State) -> None:
        """Go on from such a state."""


def key_of(*settings: Any) -> str:
    """Digest of what a training's result depends on, JSON-ready: its checkpoint fits a training of the same digest."""
    text = json.dumps([torch.__version__, *settings], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


class Checkpoint:
    """The file that keeps an unfinished training.

    Args:
        path: where it lies.
        key: :func:`key_of` the training; a checkpoint with another key is not read.
        seconds: between two times that it is written, the most that an interruption costs; 0 for every iteration.
    """

    def __init__(self, path: Path | str, key: str, seconds: float = 20.0) -> None:
        self.path, self._key, self._seconds = Path(path), key, seconds
        self._written = time.perf_counter()

    @property
    def due(self) -> bool:
        """Whether it is time to write it."""
        return time.perf_counter() - self._written >= self._seconds

    def write(self, state: State) -> None:
        """Replace what was kept; if that fails, say so and let the training go on."""
        tensors: dict[str, Tensor] = {}
        text = json.dumps({"key": self._key, "state": _split(state, "", tensors)})
        try:
            write_tensors(self.path, tensors, {_METADATA: text, "sha256": _digest(text, tensors)})
        except ArtifactError as error:
            log.warning("no checkpoint kept: %s", error)
        self._written = time.perf_counter()

    def read(self) -> State | None:
        """What was kept; None, with a line on the log if there is something, where there is nothing to go on from."""
        if not self.path.exists():
            return None
        try:
            key, state = read_checkpoint(self.path)
        except ArtifactError as error:
            log.warning("%s; the training starts over", error)
            return None
        if key != self._key:
            log.warning("%s: of other settings, code or device; the training starts over", self.path)
            return None
        return state

    def delete(self) -> None:
        """Remove it, and what a session that was killed while it wrote left: the results have been written."""
        for path in (self.path, *self.path.parent.glob(f".{self.path.stem}.*.tmp{self.path.suffix}")):
            path.unlink(missing_ok=True)


def resumed(checkpoint: Checkpoint | None, **parts: Part) -> Callable[[], None]:
    """Restore the parts of a training from its checkpoint, if there is one.

    Returns:
        Keeps the parts in the checkpoint whenever it is time to: to be called before each iteration.
    """
    if checkpoint is None:
        return lambda: None
    state = checkpoint.read()
    if state is not None:
        for name, part in parts.items():
            part.restore(state[name])
        log.info("goes on from %s", checkpoint.path)

    def keep() -> None:
        if checkpoint.due:
            checkpoint.write({name: part.state() for name, part in parts.items()})

    return keep


def read_checkpoint(path: Path | str) -> tuple[str, State]:
    """The key and the state in a checkpoint, each tensor in memory of its own, on the device where it was.

    Raises:
        ArtifactError: the file is missing, damaged, or no checkpoint.
    """
    tensors, metadata = read_tensors(path)
    text = metadata.get(_METADATA)
    if text is None:
        raise ArtifactError(f"{path}: no checkpoint of a training; give one, below .checkpoints/")
    if metadata.get("sha256") != _digest(text, tensors):
        raise ArtifactError(f"{path}: damaged checkpoint (its content has another sha256 than it records)")
    content = json.loads(text)
    return content["key"], _join(content["state"], tensors)


def _split(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """The value with a reference in place of each tensor, which is added to ``tensors`` by its dotted path."""
    if isinstance(value, Tensor):
        tensors[name] = value.detach().cpu()
        return {_TENSOR: name, "device": str(value.device)}
    if isinstance(value, Mapping):
        return {key: _split(entry, f"{name}.{key}", tensors) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_split(entry, f"{name}.{index}", tensors) for index, entry in enumerate(value)]
    return value


def _join(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    """Inverse of :func:`_split`."""
    if isinstance(value, dict):
        if _TENSOR in value:
            # A copy, as what a file is read into need not be aligned like torch's own memory.
            return tensors[value[_TENSOR]].to(value["device"], copy=True)
        return {key: _join(entry, tensors) for key, entry in value.items()}
    if isinstance(value, list):
        return [_join(entry, tensors) for entry in value]
    return value


def _digest(text: str, tensors: Mapping[str, Tensor]) -> str:
    total = hashlib.sha256(text.encode())
    for name, tensor in sorted(tensors.items()):
        total.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        total.update(tensor.numpy().tobytes())
    return total.hexdigest()
