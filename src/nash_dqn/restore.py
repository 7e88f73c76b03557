"""The repository's record of trainings, from which a run may take them instead of training.

``record/SCENARIO/POLICY.tar.xz`` holds a training's files as it left them, though of some trainings an empty file of
snapshots, as a short training leaves it; the same files make the same bytes.
``record/index.json`` says what determined each of them: its settings and the digest of the code that trained it. A
training is restored where both are today's, and nothing else is compared: its ``run.json`` names the machine and the
versions that made it.
"""

from __future__ import annotations

import hashlib
import io
import json
import lzma
import tarfile
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import nash_dqn
from nash_dqn.artifacts import (
    RECORD,
    ArtifactError,
    atomic_path,
    read_json,
    read_tensors,
    remake,
    write_json,
    write_tensors,
)
from nash_dqn.config import differences

__all__ = ["INDEX", "SUFFIX", "Entry", "Plan", "archives", "is_restored", "pack", "plan", "read_index", "restore"]

INDEX = "index.json"
"""Name of the file, in the folder of the record, that says what is in it."""
SUFFIX = ".tar.xz"
"""Of an archive, after the name of its training."""

_MARK = "restored"  # key of run.json
_WITHOUT = "run snakemake without restore=true"
# Weights of four bytes lie at multiples of four, and exponents alone can be compressed: what a byte is likely to be is
# learned for each place among the four. That saves 8 % of weights, and costs nothing of text.
_XZ = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "lc": 2, "lp": 2, "pb": 2}]


class Entry(NamedTuple):
    """A recorded training, as the index has it.

    Attributes:
        sha256: of its archive.
        without: names of the training's files that are empty in it.
        settings: all that determined the training, as plain values.
        code: digest of the code that trained it.
        recorded: when, and by which version, the record was made: ``date`` and ``nash_dqn``.
    """

    sha256: str
    without: list[str]
    settings: dict[str, Any]
    code: str
    recorded: dict[str, str]


def is_restored(run: Path) -> bool:
    """Whether the training of this ``run.json`` was restored rather than trained.

    Raises:
        ArtifactError: the file is missing or not JSON.
    """
    return _MARK in read_json(run)


# ------------------------------------------------------------------------------------------------------- writing


def archives(results: Path, trainings: Mapping[str, Mapping[str, Any]]) -> dict[str, bytes]:
    """The record of these trainings: what its files are to hold, by their names.

    Args:
        results: the folder in which each training's folder lies under its name.
        trainings: of each, by its name, ``settings``, ``code`` and ``without``, which of its safetensors are left out.

    Raises:
        ArtifactError: a file is missing, or not the one that the training left.
    """
    entries, written = {}, {}
    for name, of in sorted(trainings.items()):
        files = {RECORD: (results / name / RECORD).read_bytes()}
        for file, digest in read_json(results / name / RECORD)["sha256"].items():
            path = results / name / file
            content = path.read_bytes() if path.exists() else b""
            if _sha256(content) != digest:
                wrong = f"missing, truncated or edited: its sha256 is not the one in {RECORD}"
                raise ArtifactError(f"{path}: {wrong}; {remake(path)}")
            files[file] = _emptied(path) if file in of["without"] else content
        data = written[f"{name}{SUFFIX}"] = pack(files)
        entries[name] = {"sha256": _sha256(data), **of}
    made = {"date": datetime.now(UTC).date().isoformat(), "nash_dqn": nash_dqn.__version__}
    index = json.dumps({"recorded": made, "trainings": entries}, indent=1, sort_keys=True) + "\n"
    return {**written, INDEX: index.encode()}


def pack(files: Mapping[str, bytes]) -> bytes:
    """A compressed archive of these files; nothing but their names and contents, in the order of names, is in it."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in sorted(files.items()):
            member = tarfile.TarInfo(name)  # of nobody, of 1970
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return lzma.compress(stream.getvalue(), format=lzma.FORMAT_XZ, filters=_XZ)


def _emptied(snapshots: Path) -> bytes:
    """The file of a training that was too short for a snapshot, which holds no tensors."""
    _, metadata = read_tensors(snapshots)
    policy = json.loads(metadata["policy"])
    policy = {**policy, "seeds": [], "meta": {**policy["meta"], "transitions": []}}
    with TemporaryDirectory() as folder:
        path = Path(folder, snapshots.name)
        write_tensors(path, {}, {**metadata, "policy": json.dumps(policy, sort_keys=True)})
        return path.read_bytes()


# ------------------------------------------------------------------------------------------------------- reading


def read_index(record: Path) -> dict[str, Entry]:
    """The recorded trainings by name; none where nothing was recorded yet.

    Raises:
        ArtifactError: the index is damaged.
    """
    path = record / INDEX
    if not path.exists():
        return {}
    try:
        index = read_json(path)
        return {name: Entry(**of, recorded=dict(index["recorded"])) for name, of in index["trainings"].items()}
    except (ArtifactError, AttributeError, KeyError, TypeError, ValueError):
        raise ArtifactError(f"{path}: not an index of trainings; {_put_back(path)}") from None


def _read_archive(record: Path, name: str, entry: Entry) -> bytes:
    """A training's archive, compressed as it lies there.

    Raises:
        ArtifactError: it is missing, or not the one that the index means.
    """
    path = record / f"{name}{SUFFIX}"
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read ({error.strerror}); {_put_back(path)}") from None
    if _sha256(data) != entry.sha256:
        raise ArtifactError(f"{path}: damaged: its sha256 is not the one in {INDEX}; {_put_back(path)}")
    return data


def _put_back(path: Path) -> str:
    return f"put it back (git checkout {path}), or {_WITHOUT}"


class Plan(NamedTuple):
    """What a run takes from a record.

    Attributes:
        record: its folder.
        restored: entries by the names of their trainings, where one that is needed is restored.
        others: why each other training is not, by its name, in a few words.
    """

    record: Path
    restored: dict[str, Entry]
    others: dict[str, str]

    def __str__(self) -> str:
        """A line."""
        count = len(self.restored) + len(self.others)
        text = f"{self.record}/ holds {count} trainings"
        if not count:
            return f"{text}: nothing is restored."
        names: dict[str, list[str]] = {}
        for name, reason in self.others.items():
            names.setdefault(reason, []).append(name)
        reasons = [f"{_some(of, 3)} ({reason})" for reason, of in names.items()]
        rest = f"; not restored: {'; '.join(reasons)}" if reasons else ""
        return f"{text}, {len(self.restored)} of which are restored where they are needed{rest}."


def plan(record: Path, results: Path, asked_of: Callable[[str], Mapping[str, Any] | None]) -> Plan:
    """Which of the recorded trainings a run takes: those that its own settings and code would train.

    What the run trained itself stays. Settings are compared as what they mean: order of keys is nothing.

    Args:
        record: its folder.
        results: the run's, in which each training's folder lies under its name.
        asked_of: ``settings`` and ``code`` of this run's training of that name, and ``without`` which of its files it
            does; None if there is no such training.

    Raises:
        ArtifactError: the index, or the archive of a training that would be taken, is missing or damaged.
    """
    restored, others = {}, {}
    for name, entry in read_index(record).items():
        run = results / name / RECORD
        kept = "trained by this run" if run.exists() and not is_restored(run) else None
        reason = _why_not(entry, asked_of(name)) or kept
        if reason is None:
            _read_archive(record, name, entry)
            restored[name] = entry
        else:
            others[name] = reason
    return Plan(record, restored, others)


def _why_not(entry: Entry, asked: Mapping[str, Any] | None) -> str | None:
    if asked is None:
        return "no longer in the configuration"
    keys = [key for key, *_ in differences(entry.settings, json.loads(json.dumps(asked["settings"])))]
    if keys:
        return f"other {_some(keys, 2)}"
    if entry.code != asked["code"]:
        return "the code that trains has changed"
    lacking = [name for name in entry.without if name not in asked["without"]]
    return f"{_some(lacking, 2)} not recorded" if lacking else None


def _some(names: Sequence[str], count: int) -> str:
    """The first of them, and how many more there are."""
    more = f" and {len(names) - count} more" if len(names) > count else ""
    return f"{', '.join(names[:count])}{more}"


def restore(record: Path, name: str, folder: Path) -> None:
    """Write a recorded training's files into a folder.

    ``run.json``, the last, gets a key more, ``restored``: ``date`` of the record, the version ``nash_dqn`` that made it
    and the files that it is ``without``, whose digests are then those of the empty ones. All others are the same bytes.

    Raises:
        ArtifactError: the record is damaged, or has no such training.
    """
    index = read_index(record)
    if name not in index:
        raise ArtifactError(f"{record / INDEX}: has no {name}; {_WITHOUT}")
    entry = index[name]
    files = {}
    with tarfile.open(fileobj=io.BytesIO(lzma.decompress(_read_archive(record, name, entry)))) as archive:
        for member in archive:
            content = archive.extractfile(member)
            assert content is not None  # a plain file, as packed
            files[member.name] = content.read()
    run = json.loads(files.pop(RECORD))
    run["sha256"] |= {file: _sha256(files[file]) for file in entry.without}
    for file, data in files.items():
        with atomic_path(folder / file) as temporary:
            temporary.write_bytes(data)
    write_json(folder / RECORD, {**run, _MARK: {**entry.recorded, "without": entry.without}})


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
