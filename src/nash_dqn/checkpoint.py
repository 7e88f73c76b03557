"""Checkpoints: an unfinished training goes on after an interruption as if there had been none, to the bit.

A checkpoint is one file that holds the state of a training, a tree of tensors and plain values. It is a convenience,
not a result: one that is damaged, or was written with other settings or code, is left aside with a line on the log and
the training starts over; one that cannot be written costs nothing but itself. It is safetensors with JSON, which carry
no code: of a class its name is kept, which has to be one of this package's named tuples or dataclasses.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nash_dqn.artifacts import ArtifactError, read_tensors, write_tensors

__all__ = ["Checkpoint", "key_of", "read_progress"]

log = logging.getLogger(__name__)

_METADATA = "checkpoint"  # the metadata key under which everything but the tensors stands
_PACKAGE = __name__.split(".")[0]


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

    def write(self, state: Any, progress: Mapping[str, Any]) -> None:
        """Replace what was kept; if that fails, say so and let the training go on.

        Args:
            state: tree of tensors, plain values, and this package's named tuples and dataclasses.
            progress: how far the training is, for people, JSON-ready.
        """
        tensors: dict[str, Tensor] = {}
        text = json.dumps({"key": self._key, "progress": progress, "state": _split(state, "", tensors)})
        try:
            write_tensors(self.path, tensors, {_METADATA: text, "sha256": _digest(text, tensors)})
        except ArtifactError as error:
            log.warning("no checkpoint kept: %s", error)
        self._written = time.perf_counter()

    def read(self) -> Any:
        """The state that was kept, each tensor in memory of its own, on the device where it was.

        None, with a line on the log if there is something, where there is nothing to go on from.
        """
        if not self.path.exists():
            return None
        try:
            content, tensors = _read(self.path)
        except ArtifactError as error:
            log.warning("%s; the training starts over", error)
            return None
        if content["key"] != self._key:
            log.warning("%s: of other settings, code or device; the training starts over", self.path)
            return None
        log.info("goes on from %s", self.path)
        return _join(content["state"], tensors)

    def delete(self) -> None:
        """Remove it, and what a session that was killed while it wrote left: the results have been written."""
        for path in (self.path, *self.path.parent.glob(f".{self.path.stem}.*.tmp{self.path.suffix}")):
            path.unlink(missing_ok=True)


def read_progress(path: Path | str) -> dict[str, Any]:
    """How far the training of a checkpoint is.

    Raises:
        ArtifactError: the file is missing, damaged, or no checkpoint.
    """
    progress: dict[str, Any] = _read(path)[0]["progress"]
    return progress


def _read(path: Path | str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """What stands beside the tensors, and the tensors."""
    tensors, metadata = read_tensors(path)
    text = metadata.get(_METADATA)
    if text is None:
        raise ArtifactError(f"{path}: no checkpoint of a training; give one, below .checkpoints/")
    if metadata.get("sha256") != _digest(text, tensors):
        raise ArtifactError(f"{path}: damaged checkpoint (its content has another sha256 than it records)")
    return json.loads(text), tensors


def _split(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """JSON that stands for a tree; its tensors are added to ``tensors`` by their dotted paths.

    A list stands for itself, everything else that JSON does not know for a mapping whose ``is`` says what it is.
    """

    def entries(items: Any) -> Any:
        return {str(key): _split(entry, f"{name}.{key}", tensors) for key, entry in items}

    if isinstance(value, Tensor):
        tensors[name] = value.detach().cpu()
        return {"is": "tensor", "name": name, "device": str(value.device), "trained": value.requires_grad}
    if isinstance(value, Mapping):
        return {"is": "mapping", "of": entries(value.items())}
    if isinstance(value, range):
        return {"is": "range", "of": [value.start, value.stop]}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {"is": _name_of(value), "of": entries(vars(value).items())}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {"is": _name_of(value), "of": entries(value._asdict().items())}
    if isinstance(value, (list, tuple)):
        parts = [_split(entry, f"{name}.{index}", tensors) for index, entry in enumerate(value)]
        return parts if isinstance(value, list) else {"is": "tuple", "of": parts}
    return value


def _join(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    """Inverse of :func:`_split`."""
    if isinstance(value, list):
        return [_join(entry, tensors) for entry in value]
    if not isinstance(value, dict):
        return value
    kind = value["is"]
    if kind == "tensor":
        # A copy, as what a file is read into need not be aligned like torch's own memory.
        tensor = tensors[value["name"]].to(value["device"], copy=True)
        return tensor.requires_grad_(value["trained"])
    of = value["of"]
    if kind == "range":
        return range(*of)
    if kind == "tuple":
        return tuple(_join(entry, tensors) for entry in of)
    entries = {key: _join(entry, tensors) for key, entry in of.items()}
    return entries if kind == "mapping" else _class_of(kind)(**entries)


def _name_of(value: Any) -> str:
    return f"{type(value).__module__}:{type(value).__qualname__}"


def _class_of(name: str) -> Any:
    """The named tuple or dataclass of that name, of a module of this package that the training has imported."""
    module, _, attribute = name.partition(":")
    found = getattr(sys.modules.get(module), attribute, None) if module.split(".")[0] == _PACKAGE else None
    if not isinstance(found, type) or not (hasattr(found, "_fields") or dataclasses.is_dataclass(found)):
        raise TypeError(f"{name!r} is no class of a training's state")
    return found


def _digest(text: str, tensors: Mapping[str, Tensor]) -> str:
    total = hashlib.sha256(text.encode())
    for name, tensor in sorted(tensors.items()):
        total.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        total.update(tensor.numpy().tobytes())
    return total.hexdigest()
