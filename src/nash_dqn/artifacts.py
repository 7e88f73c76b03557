"""Files that outlive the process: written atomically, read defensively, the same bytes for the same content.

A file appears under its name complete or not at all: content goes to a temporary file in the same directory,
is flushed to the disk, and takes its name with ``os.replace``. A training's record holds the digests of its other
files, so that one that was damaged or edited later is found when it is read. Readers and writers raise
``ArtifactError``, one line that names the file, what is wrong with it and what to do. Nothing is ever unpickled:
weights are safetensors, which carry no code.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import math
import os
import platform
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib import metadata as distributions
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
import safetensors.torch
import torch
from torch import Tensor

import nash_dqn
from nash_dqn.runtime import peak_memory

__all__ = [
    "FORMAT",
    "RECORD",
    "ArtifactError",
    "atomic_path",
    "read_json",
    "read_table",
    "read_tables",
    "read_tensors",
    "run_record",
    "write_csv",
    "write_json",
    "write_tensors",
    "write_training",
]

FORMAT = "nash_dqn/1"
"""Value of the metadata key ``format`` of every weights file this package writes and reads."""

RECORD = "run.json"
"""Name of the record of a training, in the folder of its other files, whose digests it holds by their names."""

_HEADER_LENGTH = 8  # safetensors: a little-endian uint64, then a JSON header of that many bytes, then the data


class ArtifactError(ValueError):
    """A file that cannot be used; the message is one line: the path, what is wrong, what to do."""


class _Training(Protocol):
    """What a trainer returns, as far as writing it is concerned."""

    @property
    def tensors(self) -> dict[str, Tensor]: ...

    @property
    def metadata(self) -> dict[str, str]: ...

    @property
    def snapshots(self) -> tuple[dict[str, Tensor], dict[str, str]]: ...

    @property
    def history(self) -> pd.DataFrame: ...

    @property
    def record(self) -> dict[str, Any]: ...


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """A temporary path to write to, which becomes ``path`` when the block ends and vanishes when it raises.

    The temporary file lies in ``path``'s directory (made if need be), so that taking the name is atomic, and
    keeps the suffix, from which writers such as matplotlib tell the format.

    Raises:
        ArtifactError: the system refuses to write it (disk full, folder read-only); what was there stays.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.stem}.{secrets.token_hex(6)}.tmp{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        _flush_to_disk(temporary)
        os.replace(temporary, path)
        _flush_to_disk(path.parent)
    except BaseException as error:
        with suppress(OSError):  # a folder that cannot be written to may hold no such file either
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            wrong = f"cannot be written ({error.strerror or error})"
            raise ArtifactError(f"{path}: {wrong}; make room, or the folder writable, and run it again") from error
        raise


def write_json(path: Path | str, value: Any) -> None:
    """Write JSON: two spaces of indentation, keys in their given order, UTF-8, a final line end.

    Dataclasses and named tuples become objects, NumPy scalars numbers and paths strings. JSON knows neither
    NaN nor infinity: both are written as null.

    Raises:
        TypeError: a value of another kind.
    """
    text = json.dumps(_plain(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    _write_bytes(path, text.encode())


def read_json(path: Path | str) -> Any:
    """Read what ``write_json`` wrote.

    Raises:
        ArtifactError: the file is missing or not JSON.
    """
    data = _read_bytes(path)
    try:
        return json.loads(data)
    except ValueError as error:
        raise ArtifactError(f"{path}: not JSON ({_one_line(error)}); delete it and make it again") from None


def write_csv(path: Path | str, table: pd.DataFrame) -> None:
    """Write a table without its index, lines ending in LF.

    Floats have the fewest digits that read back equal; NaN is an empty field.
    """
    _write_bytes(path, table.to_csv(index=False, lineterminator="\n").encode())


def read_table(path: Path | str, columns: Sequence[str]) -> pd.DataFrame:
    """Read a CSV table that must have ``columns`` (others are kept).

    Only an empty field is a missing value: names such as "NA" or "none" stay text.

    Raises:
        ArtifactError: the file is missing, not a CSV table, or lacks columns.
    """
    data = _read_bytes(path)
    try:
        table = pd.read_csv(io.BytesIO(data), keep_default_na=False, na_values=[""])
    except ValueError as error:  # pandas' EmptyDataError and ParserError, and bytes that are no UTF-8
        raise ArtifactError(f"{path}: not a CSV table ({_one_line(error)}); delete it and make it again") from None
    absent = [name for name in columns if name not in table.columns]
    if absent:
        raise ArtifactError(
            f"{path}: lacks the column(s) {', '.join(absent)} (it has {', '.join(map(str, table.columns))}); "
            "make it again with this version"
        )
    return table


def read_tables(paths: Sequence[Path | str], columns: Sequence[str]) -> pd.DataFrame:
    """Read several CSV tables that must have ``columns``, as one, in the order of the paths.

    One without rows adds nothing, not even the types of its columns, which it does not know.

    Raises:
        ArtifactError: as :func:`read_table`.
        ValueError: no path.
    """
    tables = [read_table(path, columns) for path in paths]
    return pd.concat([table for table in tables if len(table)] or tables, ignore_index=True)


def write_tensors(path: Path | str, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write named tensors and text metadata as safetensors; equal content gives equal bytes.

    ``format: nash_dqn/1`` is added to the metadata.

    Raises:
        ValueError: metadata that names another format.
    """
    if metadata.get("format", FORMAT) != FORMAT:
        raise ValueError(f"metadata format = {metadata['format']!r}: {FORMAT!r} is what this package writes")
    # Clones: views of one storage would be refused, and tensors on a GPU cannot be serialised.
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    data = safetensors.torch.save(plain, {**metadata, "format": FORMAT})
    _write_bytes(path, _with_sorted_metadata(data))


def read_tensors(path: Path | str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read (tensors by name, metadata) from a file of ``write_tensors``.

    Raises:
        ArtifactError: the file is missing, truncated, or not one of ours (a pickle, a ``torch.save`` file,
            another program's safetensors). Nothing in it is executed.
    """
    data = _read_bytes(path)
    try:
        tensors = safetensors.torch.load(data)
    except safetensors.SafetensorError as error:
        wrong = f"not a complete safetensors file ({_one_line(error)})"
        raise ArtifactError(f"{path}: {wrong}; delete it and train again") from None
    header, _ = _split_header(data)
    metadata = header.get("__metadata__", {})
    if metadata.get("format") != FORMAT:
        found = repr(metadata["format"]) if "format" in metadata else "none"
        wrong = f"safetensors of another origin (metadata format {found}, not {FORMAT!r})"
        raise ArtifactError(f"{path}: {wrong}; give a weights file written by this package")
    return tensors, metadata


def run_record(kind: str, record: Mapping[str, Any]) -> dict[str, Any]:
    """Where a result comes from: what the run did (``record``) and the software and machine it ran on.

    Args:
        kind: what the run made, such as ``"training"``.
        record: the run's own account: settings, seeds, device, duration, outcome.
    """
    return {
        "kind": kind,
        **record,
        "versions": {
            "nash_dqn": nash_dqn.__version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            **{name: distributions.version(name) for name in ("numpy", "pandas", "safetensors", "scipy")},
        },
        "threads": torch.get_num_threads(),
        "peak_memory_mib": round(peak_memory()),
        "machine": platform.machine(),
        "system": platform.system(),
    }


def write_training(
    result: _Training, weights: Path | str, snapshots: Path | str, history: Path | str, run: Path | str
) -> None:
    """Write a training's files: tensors with metadata, at the end and along it, history, and, last, the run's record
    with the digests of the others.

    A training too short for a snapshot leaves a snapshots file without tensors.
    """
    write_tensors(weights, result.tensors, result.metadata)
    write_tensors(snapshots, *result.snapshots)
    write_csv(history, result.history)
    digests = {Path(path).name: _sha256(Path(path).read_bytes()) for path in (weights, snapshots, history)}
    write_json(run, {**run_record("training", result.record), "sha256": digests})


def _write_bytes(path: Path | str, data: bytes) -> None:
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def _read_bytes(path: Path | str) -> bytes:
    """The file's content, which must be what a record beside it says."""
    path = Path(path)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise ArtifactError(f"{path}: no such file; make it first, or correct the path") from None
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read ({error.strerror}); give a readable file") from None
    record = path.with_name(RECORD)
    if path.name != RECORD and record.is_file():
        content = read_json(record)
        digests = content.get("sha256", {}) if isinstance(content, dict) else {}
        expected = digests.get(path.name, _sha256(data)) if isinstance(digests, dict) else None
        if expected != _sha256(data):
            wrong = f"truncated or edited: its sha256 is not the one in {RECORD} beside it"
            raise ArtifactError(f"{path}: {wrong}; to rebuild it: rm '{path}' && snakemake")
    return data


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _flush_to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _split_header(data: bytes) -> tuple[dict[str, Any], bytes]:
    """The JSON header and the tensor data of a valid safetensors file."""
    end = _HEADER_LENGTH + int.from_bytes(data[:_HEADER_LENGTH], "little")
    return json.loads(data[_HEADER_LENGTH:end]), data[end:]


def _with_sorted_metadata(data: bytes) -> bytes:
    # safetensors writes metadata in the order of a hash map, which differs from process to process.
    header, body = _split_header(data)
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # the format pads with spaces, so that the data are aligned
    return len(text).to_bytes(_HEADER_LENGTH, "little") + text + body


def _plain(value: Any) -> Any:
    """The value in the types JSON knows."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _plain({field.name: getattr(value, field.name) for field in dataclasses.fields(value)})
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return _plain(value._asdict())
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    raise TypeError(f"cannot write {type(value).__name__} {value!r} as JSON")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
