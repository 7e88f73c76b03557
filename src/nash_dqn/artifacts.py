"""Files that outlive the process: written atomically, read defensively, the same bytes for the same content.

A file appears under its name complete or not at all: content goes to a temporary file in the same directory,
is flushed to the disk, and takes its name with ``os.replace``. The sha256 of a training's files stands in its record,
that of any other table in a hidden file beside it, so that a file that was cut or edited later is found when it is
read. Readers and writers raise ``ArtifactError``, one line that names the file, what is wrong with it and what to do.
Nothing is ever unpickled: weights are safetensors, which carry no code. PyTorch, which takes seconds to import, is
loaded by what has to do with weights alone.
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
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib import metadata as distributions
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd
from safetensors import SafetensorError

import nash_dqn

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "FORMAT",
    "RECORD",
    "ArtifactError",
    "atomic_path",
    "read_json",
    "read_table",
    "read_tables",
    "read_tensors",
    "remake",
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


def remake(path: Path | str) -> str:
    """How to have a file made anew: what stands last in a message about it.

    Of a file in a run's folder, which Snakemake's own folder marks, it is a command. That makes the file again however
    new whatever depends on it is, and writes in that run alone.
    """
    path = Path(os.path.abspath(path))
    run = next((folder for folder in path.parents if (folder / ".snakemake").is_dir()), None)
    if run is None:
        return "copy it again from where it was made, or make it anew"
    target = path.relative_to(run)
    if target.parts[0] == ".checkpoints":
        return "a training that finds it so begins anew"
    command = ["snakemake", "--directory", str(run), "--cores", "1", "--force", str(target)]
    return f"to make it anew, in the checkout and with the run's own --config and --configfile: {shlex.join(command)}"


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
        raise ArtifactError(f"{path}: not JSON ({_one_line(error)}); {remake(path)}") from None


def write_csv(path: Path | str, table: pd.DataFrame) -> None:
    """Write a table without its index, lines ending in LF, and its sha256 beside it.

    Floats have the fewest digits that read back equal; NaN is an empty field. The digest's file is hidden, and one that
    ``sha256sum --check`` reads.
    """
    data = _csv(table)
    _write_bytes(path, data)
    _write_bytes(_digest_file(path), f"{_sha256(data)}  {Path(path).name}\n".encode())


def read_table(path: Path | str, columns: Sequence[str], foreign: bool = False) -> pd.DataFrame:
    """Read a CSV table that must have ``columns`` (others are kept).

    Only an empty field is a missing value: names such as "NA" or "none" stay text.

    Args:
        path: the table.
        columns: what it must have.
        foreign: a table that :func:`write_csv` did not write, without a digest beside it, is read too.

    Raises:
        ArtifactError: the file is missing, not a CSV table, cut or edited since it was written, or lacks columns.
    """
    data = _read_bytes(path)
    if not foreign and _digest_of(Path(path)) is None:
        raise ArtifactError(f"{path}: no sha256 beside it tells whether it is whole; {remake(path)}")
    try:
        table = pd.read_csv(io.BytesIO(data), keep_default_na=False, na_values=[""])
    except ValueError as error:  # pandas' EmptyDataError and ParserError, and bytes that are no UTF-8
        raise ArtifactError(f"{path}: not a CSV table ({_one_line(error)}); {remake(path)}") from None
    absent = [name for name in columns if name not in table.columns]
    if absent:
        found = f"(it has {', '.join(map(str, table.columns))})"
        raise ArtifactError(f"{path}: lacks the column(s) {', '.join(absent)} {found}; {remake(path)}")
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
    import safetensors.torch

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
    import safetensors.torch

    data = _read_bytes(path)
    try:
        tensors = safetensors.torch.load(data)
    except SafetensorError as error:
        wrong = f"not a complete safetensors file ({_one_line(error)})"
        raise ArtifactError(f"{path}: {wrong}; {remake(path)}") from None
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
    import torch

    from nash_dqn.runtime import peak_memory

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
    _write_bytes(history, _csv(result.history))
    digests = {Path(path).name: _sha256(Path(path).read_bytes()) for path in (weights, snapshots, history)}
    write_json(run, {**run_record("training", result.record), "sha256": digests})


def _write_bytes(path: Path | str, data: bytes) -> None:
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def _read_bytes(path: Path | str) -> bytes:
    """The file's content, which must be what was written, where a digest tells."""
    path = Path(path)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise ArtifactError(f"{path}: no such file; correct the path, or {remake(path)}") from None
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read ({error.strerror}); give a readable file") from None
    known = _digest_of(path)
    if known is not None and known[0] != _sha256(data):
        wrong = f"truncated or edited: its sha256 is not the one in {known[1]} beside it"
        raise ArtifactError(f"{path}: {wrong}; {remake(path)}")
    return data


def _digest_of(path: Path) -> tuple[object, str] | None:
    """The sha256 that a file had when it was written, and the name of the file that tells; None where none does."""
    record, own = path.with_name(RECORD), _digest_file(path)
    if path.name != RECORD and record.is_file():
        content = read_json(record)
        digests = content.get("sha256") if isinstance(content, dict) else None
        if isinstance(digests, dict) and path.name in digests:
            return digests[path.name], RECORD
    return (own.read_text("utf-8", "replace")[:64], own.name) if own.is_file() else None


def _digest_file(path: Path | str) -> Path:
    return Path(path).with_name(f".{Path(path).name}.sha256")


def _csv(table: pd.DataFrame) -> bytes:
    return bytes(table.to_csv(index=False, lineterminator="\n").encode())


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
