"""What an artifact of the workflow holds, as a summary of plain values.

Files have the names that the workflow gives them, wherever they are: a name tells what a file is.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nash_dqn.artifacts import RECORD, ArtifactError, read_json, read_table, remake
from nash_dqn.checkpoint import read_progress
from nash_dqn.policy import Weights, as_written, layer_sizes, read_weights
from nash_dqn.progress import last_step

__all__ = ["find_weights", "read_run", "summarise"]

Summary = dict[str, Any]

_WEIGHTS, _SNAPSHOTS, _HISTORY = "weights.safetensors", "snapshots.safetensors", "history.csv"
_KINDS = {  # by name, or else by suffix; folders list them in this order, trainings first
    ".safetensors": "weights",
    "checkpoint.safetensors": "checkpoint",
    ".json": "record",
    _HISTORY: "history",
    ".csv": "table",
    ".png": "figure",
    ".pdf": "figure",
    ".html": "page",
    ".log": "log",
    ".tsv": "benchmark",
}
_TIMES = ("seed", "iteration", "epoch", "transitions", "exploration")  # columns of a history that are not its course
_CURVE = 32  # points of a course
_BELOW = 12  # files of weights that are listed
_ORDER = list(dict.fromkeys(("training", *_KINDS.values())))


class _ForeignError(ArtifactError):
    """A file that this workflow did not make."""


# ------------------------------------------------------------------------------------------ weights and their record


def read_run(path: Path, weights: Weights) -> Summary | None:
    """The record ``run.json`` beside a file of weights, or None where there is none.

    Raises:
        ArtifactError: it is damaged, or of another training than the weights.
    """
    beside = path.with_name(RECORD)
    if not beside.exists():
        return None
    record = _record(beside)
    theirs = {"algorithm": weights.algorithm, **{key: weights.meta.get(key) for key in ("scenario", "policy")}}
    differs = {key: value for key, value in theirs.items() if record.get(key) != value}
    if not set(weights.seeds) <= set(record["seeds"]):
        differs["seeds"] = weights.seeds
    for key, value in differs.items():
        found = f"{key} {record.get(key)!r}, but {path.name} is of {value!r}"
        raise ArtifactError(f"{beside}: of another training ({found}); put back the two that belong together")
    return record


def _record(path: Path) -> Summary:
    """A run's record, of which the parts that are shown are there."""
    record = read_json(path)
    if not isinstance(record, dict) or not isinstance(record.get("kind"), str) or "versions" not in record:
        raise _ForeignError(f"{path}: JSON of another origin (no kind and versions); give a record of this package")
    with as_written(path, "a run's record"):
        dict(record["versions"])
        if record["kind"] == "training":
            record["algorithm"] = str(record["algorithm"])
            for key in ("scenario", "policy"):  # a training outside the workflow need not have names
                record.setdefault(key, None)
            dict(record["config"]["game"]), dict(record["config"]["recipe"])
            record["wall_seconds"] = float(record["wall_seconds"])
            for member in record["members"]:
                member.update(stopped=str(member["stopped"]), diverged=bool(member["diverged"]))
                member["iterations"] + (member.get("final_loss") or 0)
            if [member["seed"] for member in record["members"]] != list(record["seeds"]):
                raise ValueError("members are not those of seeds")
    return record


# ---------------------------------------------------------------------------------------------- what a file is


def _kind(path: Path) -> str | None:
    """What a file of the workflow's is; None for anything else."""
    kind = _KINDS.get(path.name) or _KINDS.get(path.suffix)
    return kind if path.is_file() else None


def _folders(folder: Path) -> Iterator[tuple[Path, dict[Path, str]]]:
    """The folder and all below it in their order, each with the workflow's files in it and their kinds; hidden folders
    and files are left out.
    """

    def refuse(error: OSError) -> None:
        raise ArtifactError(f"{error.filename}: cannot be read ({error.strerror}); give a readable folder") from None

    for name, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = sorted(below for below in folders if not below.startswith("."))
        kinds = {Path(name, file): _kind(Path(name, file)) for file in sorted(files) if not file.startswith(".")}
        yield Path(name), {path: kind for path, kind in kinds.items() if kind is not None}


def find_weights(path: Path | str) -> Path:
    """The file itself, or the weights in a training's folder.

    Raises:
        ArtifactError: the folder is no training's; weights below it are listed. The file is another that the workflow
            makes, as its name tells.
    """
    path = Path(path)
    if not path.is_dir():
        if path.is_file() and path.suffix in (".csv", ".json"):
            raise ArtifactError(f"{path}: no weights; give {_WEIGHTS}, or the training's folder")
        return path
    if (path / _WEIGHTS).is_file():
        return path / _WEIGHTS
    below = [str(folder / _WEIGHTS) for folder, files in _folders(path) if folder / _WEIGHTS in files]
    listed = ", ".join(below[:_BELOW]) + (f" and {len(below) - _BELOW} more" if len(below) > _BELOW else "")
    wrong = f"no {_WEIGHTS} in it"
    raise ArtifactError(f"{path}: {wrong}; give one of {listed}" if below else f"{path}: {wrong}, nor any below it")


# ---------------------------------------------------------------------------------------------- summaries


def summarise(path: Path | str) -> Summary:
    """What is in a file or folder, in the types JSON knows; ``kind`` says which entries there are.

    Raises:
        ArtifactError: nothing is there, it is damaged, or this workflow did not make it.
    """
    path = Path(path)
    if path.is_dir():
        return _of_training(path) if (path / _WEIGHTS).is_file() else _of_folder(path)
    if not path.exists():
        raise ArtifactError(f"{path}: no such file; correct the path, or {remake(path)}")
    kind = _kind(path)
    if kind is None:
        expected = "weights, a run's record, a table, a figure, a log, or a folder of them"
        raise ArtifactError(f"{path}: nothing that this workflow makes; give {expected}")
    of_kind = {"weights": _of_weights, "checkpoint": _of_checkpoint, "record": _of_json, "history": _of_history}
    of_kind |= {"table": _of_table, "benchmark": _of_table}
    return {"path": str(path), "kind": kind, **of_kind.get(kind, _of_other)(path)}


def _of_weights(path: Path) -> Summary:
    weights = read_weights(path)
    record = read_run(path, weights)
    result: Summary = {
        "algorithm": weights.algorithm,
        "scenario": weights.meta.get("scenario"),
        "policy": weights.meta.get("policy"),
        "seeds": weights.seeds,
        "restored": None if record is None else record.get("restored"),
        "sees": asdict(weights.observation),
        "groups": weights.groups,
        "action_dim": weights.action_dim,
        "bound": weights.bound,
        "of_market": weights.is_of_market(record),
        "networks": {name: _architecture(weights, name) for name in weights.networks},
        "finite": weights.finite,
    }
    if "transitions" in weights.meta:
        return {**result, "kind": "snapshots", "transitions": weights.meta["transitions"]}
    told = {member["seed"]: member for member in record["members"]} if record else {}
    table, gains = _exploitability(path.with_name("exploitability.csv"))
    members = [{"seed": seed, **told.get(seed, {}), **gains.get(seed, {})} for seed in weights.seeds]
    return {**result, "gains_of_deviators": table, "members": members}


def _architecture(weights: Weights, name: str) -> Summary:
    """Sizes of a network's layers, inputs first, and of its skip terms, and how many numbers a member trains."""
    tensors = weights.tensors
    skips = {key: list(tensor.shape[1:]) for key, tensor in tensors.items() if key.endswith(".skip")}
    sizes = {**layer_sizes(tensors), **skips}
    own = {key.removeprefix(f"{name}."): shape for key, shape in sizes.items() if key.startswith(f"{name}.")}
    return {**own, "parameters": sum(tensor[:1].numel() for tensor in weights.networks[name].parameters)}


def _exploitability(path: Path) -> tuple[str | None, dict[int, Summary]]:
    """The table, if there is one, and what deviators gain, $ a game, mean over agents, and as a share of the game's
    value, by seed and class.
    """
    if not path.is_file():
        return None, {}
    table = read_table(path, ["seed", "deviator", "player", "gain", "value"], foreign=True)
    with as_written(path, "a table of gains"):
        table = table[table["player"] != "nashconv"].assign(value=table["value"].abs())
        rows = table.groupby(["seed", "deviator"], sort=False)
        means = rows[["gain", "value"]].mean()
        means["share"] = means["gain"] / means.pop("value")
        return str(path), {int(seed): part.droplevel("seed").to_dict() for seed, part in means.groupby("seed")}


def _of_training(folder: Path) -> Summary:
    """Weights with all that lies beside them."""
    weights, snapshots, history, run = (folder / name for name in (_WEIGHTS, _SNAPSHOTS, _HISTORY, RECORD))
    result = {"path": str(folder), "kind": "training", **_of_weights(weights)}
    if history.is_file():
        course = _of_history(history)
        curves = {member["seed"]: member["curve"] for member in course["members"]}
        for member in result["members"]:
            member[f"course of {course['curve_of']}"] = curves.get(member["seed"])
    if snapshots.is_file():
        result["snapshots_after"] = sorted(set(read_weights(snapshots).meta["transitions"]))
    record = _record(run) if run.exists() else {}
    shown = ("wall_seconds", "peak_memory_mib", "device", "threads", "machine", "system", "versions", "config")
    return {**result, **{key: record[key] for key in shown if key in record}}


def _of_json(path: Path) -> Summary:
    """A record; or the state of a run, or measurements as a list."""
    content = read_json(path)
    if isinstance(content, list) and content and all(isinstance(row, dict) for row in content):
        return {"kind": "measurements", "rows": content}
    if isinstance(content, dict) and {"slots", "rules", "active"} <= set(content):
        return {"kind": "state of a run", "more": f"nash-dqn status {path.parent.parent}"}
    record = _record(path)
    return {**record, "kind": "run", "of": record["kind"]}


def _of_checkpoint(path: Path) -> Summary:
    """How far an unfinished training is, and its members as of the last row of history."""
    run = read_progress(path)
    with as_written(path, "a training's checkpoint"):
        return {
            "algorithm": str(run["algorithm"]),
            "scenario": run.get("scenario"),
            "policy": run.get("policy"),
            "device": str(run["device"]),
            "done": int(run["done"]),
            "total": int(run["total"]),
            "wall_seconds": float(run["wall_seconds"]),
            "members": [
                {name: member[name] for name in ("seed", "stopped", "iterations", "final_loss")}
                for member in run["members"]
            ],
        }


def _of_history(path: Path) -> Summary:
    """First and last values of each seed, and the course of the first quantity, in means over equal stretches."""
    table = _table(path)
    with as_written(path, "a training's history"):
        columns = [name for name in table.columns if name not in _TIMES]
        members = []
        for seed, rows in table.groupby("seed", sort=False):
            ends = {n: {"first": float(rows[n].iloc[0]), "last": float(rows[n].iloc[-1])} for n in columns}
            times = {name: int(rows[name].iloc[-1]) for name in ("iteration", "transitions")}
            bins = np.array_split(rows[columns[0]].to_numpy(float), min(len(rows), _CURVE))
            with np.errstate(all="ignore"):  # a diverged member's losses may overflow
                curve = [float(part.mean()) for part in bins]
            members.append({"seed": int(str(seed)), "rows": len(rows), **times, **ends, "curve": curve})
        return {"curve_of": columns[0], "members": members}


def _table(path: Path) -> pd.DataFrame:
    with as_written(path, "a table"):
        data = path.read_bytes()
        if not data.endswith(b"\n"):
            raise ValueError("cut off within a line")
        if _kind(path) == "benchmark":
            return pd.read_csv(path, sep="\t", na_values=["-"])
        return read_table(path, [], foreign=True)


def _of_table(path: Path) -> Summary:
    """Of each column the smallest and largest number, or the different values of anything else."""
    table = _table(path)
    columns = []
    for name, column in table.items():
        held = column.dropna()
        if len(held) and pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
            holds = {"low": held.min().item(), "high": held.max().item()}
        else:
            holds = {"values": [str(value) for value in held.unique()]}
        columns.append({"column": str(name), **holds, "empty": int(column.isna().sum())})
    return {"rows": len(table), "columns": columns}


def _of_other(path: Path) -> Summary:
    """A figure, a page or a log."""
    data = path.read_bytes()
    result: Summary = {"bytes": len(data)}
    if data.startswith(b"\x89PNG"):
        result["pixels"] = [int.from_bytes(data[at : at + 4]) for at in (16, 20)]
    title = re.search(rb"<title>(.*?)</title>", data)
    if title is not None and data.lstrip().startswith(b"<"):
        result["title"] = title[1].decode("utf-8", "replace")
    if _kind(path) == "log":
        step = last_step(data)
        result |= {} if step is None else {"iterations": f"{step.done} of {step.total}"}
        result["last_line"] = data.decode("utf-8", "replace").splitlines()[-1]
    return result


def _of_folder(path: Path) -> Summary:
    """Folders of trainings and all else below, without reading more than tells them apart."""
    entries: list[Summary] = []
    for folder, files in _folders(path):
        shown = [(file, kind, _in_brief(file, kind)) for file, kind in files.items()]
        if folder / _WEIGHTS in files:
            brief = {file.name: holds for file, _, holds in shown}
            entries.append({"path": f"{folder}", "kind": "training", "holds": brief.get(RECORD) or "no record"})
            shown = [entry for entry in shown if entry[1] == "table"]
        entries += [{"path": f"{file}", "kind": kind, "holds": holds} for file, kind, holds in shown if holds]
    if not entries:
        raise ArtifactError(f"{path}: nothing in it that this workflow makes; give a folder such as results/")
    entries.sort(key=lambda entry: _ORDER.index(entry["kind"]))
    below = [{**entry, "path": os.path.relpath(entry["path"], path)} for entry in entries]
    return {"path": str(path), "kind": "folder", "entries": below}


def _in_brief(path: Path, kind: str) -> str | None:
    """What a file holds, in a few words; None for a record of another origin."""
    if kind in ("table", "history", "benchmark"):
        lines = path.read_bytes().count(b"\n")
        return f"{max(lines - 1, 0):,} rows"
    if kind not in ("record", "checkpoint"):
        return f"{path.stat().st_size:,} bytes"
    try:
        found = summarise(path)
    except _ForeignError:
        return None
    except ArtifactError:
        return "damaged"
    if kind == "checkpoint":
        return f"{found['done']:,} of {found['total']:,} iterations, {found['wall_seconds']:.0f} s"
    if found.get("of") != "training":
        return str(found.get("of", found["kind"]))
    diverged = sum(bool(member["diverged"]) for member in found["members"])
    lost = f", {diverged} diverged" if diverged else ""
    restored = ", restored" if "restored" in found else ""
    return f"{len(found['seeds'])} seeds{lost}, {found['wall_seconds']:.0f} s{restored}"
