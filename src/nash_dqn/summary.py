"""What an artifact of the workflow holds, as a summary of plain values.

Kinds are told from a file's content, not from its name: a run may have been copied and renamed.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from torch import Tensor

from nash_dqn.artifacts import RECORD, ArtifactError, read_json, read_table, read_tensors, remake
from nash_dqn.checkpoint import read_progress
from nash_dqn.games.base import ObservationSpec
from nash_dqn.games.market import Market
from nash_dqn.networks import GroupedNetwork, ObservationNetwork
from nash_dqn.progress import last_step

__all__ = ["Weights", "find_weights", "read_run", "read_weights", "summarise"]

Summary = dict[str, Any]

_HEAD = 65536  # bytes that tell what a file is
_TIMES = ("seed", "iteration", "epoch", "transitions", "exploration")  # columns of a history that are not its course
_CURVE = 32  # points of a course
_ORDER = ("training", "weights", "checkpoint", "record", "history", "table", "figure", "page", "log", "benchmark")
_BELOW = 12  # files of weights that are listed


class _ForeignError(ArtifactError):
    """A file that this workflow did not make."""


class Weights(NamedTuple):
    """A file of weights or snapshots, checked.

    Attributes:
        networks: by name (``advantage``, ``value``, ``actor``, ``critic``), each of K members; where agents form
            groups, each of one network for each group.
        tensors: all of them by name, each ``[K, ...]``.
        algorithm: who trained them.
        observation: what the policy sees.
        seeds: of each of the K members.
        bound: actions are clipped to +- this, in the market shares/hour; None for no clipping.
        action_dim: size of an agent's action.
        meta: scenario, recipe_name, ...; ``transitions`` of each member if they are snapshots.
    """

    networks: dict[str, ObservationNetwork | GroupedNetwork]
    tensors: dict[str, Tensor]
    algorithm: str
    observation: ObservationSpec
    seeds: list[int]
    bound: float | None
    action_dim: int
    meta: dict[str, Any]

    @property
    def groups(self) -> list[int] | None:
        """How many agents are in each group; None where all are alike."""
        return self.meta.get("groups")

    def is_of_market(self, record: Mapping[str, Any] | None) -> bool:
        """Whether they are of the market of section 6: by the record of their training, if there is one, as other games
        have other settings; otherwise by what cannot be the market's.
        """
        plain = self.groups is None and self.action_dim == 1
        return plain and (record is None or set(record["config"]["game"]) <= {field.name for field in fields(Market)})

    @property
    def finite(self) -> list[bool]:
        """Whether all weights of a member are finite, for each."""
        return [all(bool(t[k].isfinite().all()) for t in self.tensors.values()) for k in range(len(self.seeds))]


@contextmanager
def _ours(path: Path, what: str) -> Iterator[None]:
    """Turn what goes wrong with content that was edited into one line about the file."""
    try:
        yield
    except ArtifactError:
        raise
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"{path}: not {what} as this package writes it ({error!r}); {remake(path)}") from None


# ------------------------------------------------------------------------------------------ weights and their record


def read_weights(path: Path) -> Weights:
    """Read and check a file of weights or snapshots.

    Raises:
        ArtifactError: it is missing, damaged, or its parts do not fit together.
    """
    tensors, metadata = read_tensors(path)
    with _ours(path, "a policy"):
        policy = json.loads(metadata["policy"])
        seeds, meta = [int(seed) for seed in policy["seeds"]], dict(policy["meta"])
        for name, tensor in tensors.items():
            if tensor.ndim == 0 or len(tensor) != len(seeds):
                raise ValueError(f"{name} is not of {len(seeds)} members")
        sizes = meta.get("groups")
        if sizes is not None and not all(type(size) is int and size > 0 for size in sizes):
            raise ValueError(f"groups of {sizes} agents")
        if len([int(time) for time in meta.get("transitions", seeds)]) != len(seeds):
            raise ValueError(f"{len(meta['transitions'])} times of {len(seeds)} snapshots")
        _layers(tensors)
        return Weights(
            {name: _network(tensors, name, sizes) for name in sorted({name.split(".")[0] for name in tensors})},
            tensors,
            str(policy["algorithm"]),
            ObservationSpec(**policy["observation"]),
            seeds,
            None if policy["bound"] is None else float(policy["bound"]),
            int(policy["action_dim"]),
            meta,
        )


def _network(tensors: dict[str, Tensor], name: str, sizes: Sequence[int] | None) -> ObservationNetwork | GroupedNetwork:
    """The network of that name, of which no tensor is left over."""
    network: ObservationNetwork | GroupedNetwork
    if sizes is None:
        network = ObservationNetwork.from_state_dict(tensors, name)
    else:
        network = GroupedNetwork.from_state_dict(tensors, name, sizes)
    rest = {key for key in tensors if key.startswith(f"{name}.")} - set(network.state_dict(name))
    if rest:
        raise ValueError(f"{min(rest)} belongs to no network")
    return network


def _layers(tensors: Mapping[str, Tensor]) -> dict[str, list[int]]:
    """Sizes of the inputs and layers of each perceptron, by the name its tensors begin with, all that fit together."""
    sizes: dict[str, list[int]] = {}
    layers = [name.removesuffix(".weight").rpartition(".")[::2] for name in tensors if name.endswith(".weight")]
    for part, number in sorted(layers, key=lambda layer: (layer[0], int(layer[1]))):
        weight, bias = (tensors[f"{part}.{number}.{kind}"] for kind in ("weight", "bias"))
        found = sizes.setdefault(part, [weight.shape[1]])
        if weight.ndim != 3 or weight.shape[1] != found[-1] or bias.shape != (len(weight), 1, weight.shape[2]):
            raise ValueError(f"{part}.{number} does not fit the layer before it")
        found.append(weight.shape[2])
    return sizes


def read_run(weights: Path) -> Summary | None:
    """The record ``run.json`` beside a file of weights, or None where there is none.

    Raises:
        ArtifactError: it is damaged, or of another training than the weights.
    """
    path = weights.with_name(RECORD)
    if not path.exists():
        return None
    record, of = _record(path), read_weights(weights)
    theirs = {"algorithm": of.algorithm, **{key: of.meta.get(key) for key in ("scenario", "recipe_name")}}
    differs = {key: value for key, value in theirs.items() if record.get(key) != value}
    if not set(of.seeds) <= set(record["seeds"]):
        differs["seeds"] = of.seeds
    for key, value in differs.items():
        found = f"{key} {record.get(key)!r}, but {weights.name} is of {value!r}"
        raise ArtifactError(f"{path}: of another training ({found}); put back the two that belong together")
    return record


def _record(path: Path) -> Summary:
    """A run's record, of which the parts that are shown are there."""
    record = read_json(path)
    if not isinstance(record, dict) or not isinstance(record.get("kind"), str) or "versions" not in record:
        raise _ForeignError(f"{path}: JSON of another origin (no kind and versions); give a record of this package")
    with _ours(path, "a run's record"):
        dict(record["versions"])
        if record["kind"] == "training":
            record["algorithm"] = str(record["algorithm"])
            for key in ("scenario", "recipe_name"):  # a training outside the workflow need not have names
                record.setdefault(key, None)
            dict(record["config"]["game"]), _beta(record)
            record["wall_seconds"] = float(record["wall_seconds"])
            for member in record["members"]:
                member.update(stopped=str(member["stopped"]), diverged=bool(member["diverged"]))
                member["iterations"] + (member.get("final_loss") or 0)
            if [member["seed"] for member in record["members"]] != list(record["seeds"]):
                raise ValueError("members are not those of seeds")
    return record


def _beta(record: Mapping[str, Any]) -> float | None:
    penalty = record["config"]["recipe"].get("penalty")
    return float(penalty["beta"]) if isinstance(penalty, dict) else None


# ---------------------------------------------------------------------------------------------- what a file is


def _kind(path: Path) -> str | None:
    """What a file of the workflow's is; None for anything else.

    A file of which too little is left is what its name says, so that its reader names the damage.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read ({error.strerror}); give a readable file") from None
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 2**32:  # eight characters of text are far more
        return "checkpoint" if head[8:].startswith(b'{"__metadata__":{"checkpoint":') else "weights"
    starts = {b"%PDF": "figure", b"\x89PNG": "figure", b"<!DOCTYPE html>": "page", b"{": "record"}
    for start, kind in starts.items():
        if head.lstrip().startswith(start):
            return kind
    if re.match(rb"\d\d:\d\d:\d\d process \d+ on ", head):
        return "log"
    names = re.split(",|\t", head.split(b"\n", 1)[0].rstrip(b"\r").decode("utf-8", "replace"))
    if len(names) > 1 and all(re.fullmatch(r"[a-z][\w:]*", name, re.ASCII) for name in names):
        if {"s", "h:m:s"} <= set(names):
            return "benchmark"
        return "history" if {"seed", "iteration", "transitions"} <= set(names) else "table"
    return {".safetensors": "weights", ".json": "record", ".csv": "table"}.get(path.suffix)


def _files(folder: Path) -> dict[Path, str]:
    """The folder's own artifacts and their kinds."""
    try:
        entries = sorted(entry for entry in folder.iterdir() if entry.is_file() and not entry.name.startswith("."))
    except OSError as error:
        raise ArtifactError(f"{folder}: cannot be read ({error.strerror}); give a readable folder") from None
    kinds = {entry: _kind(entry) for entry in entries}
    return {entry: kind for entry, kind in kinds.items() if kind is not None}


def _weights_in(folder: Path) -> list[Path]:
    """Its files of weights, without snapshots."""
    found = [file for file, kind in _files(folder).items() if kind == "weights"]
    return [file for file in found if "transitions" not in read_weights(file).meta]


def find_weights(path: Path | str) -> Path:
    """The file itself, or the one file of weights in a folder.

    Raises:
        ArtifactError: the folder has none, or several; those in it and below it are listed.
    """
    path = Path(path)
    if not path.is_dir():
        return path
    found = _weights_in(path)
    if len(found) == 1:
        return found[0]
    below = found or [file for folder in _walk(path) for file in _weights_in(folder)]
    listed = ", ".join(map(str, below[:_BELOW])) + (f" and {len(below) - _BELOW} more" if len(below) > _BELOW else "")
    wrong = f"{len(found)} files of weights in it, not one"
    raise ArtifactError(f"{path}: {wrong}; give one of {listed}" if below else f"{path}: {wrong}, nor any below it")


def _walk(folder: Path) -> Iterator[Path]:
    """The folder and all below it in their order, hidden ones left out."""
    for name, folders, _ in os.walk(folder):
        folders[:] = sorted(below for below in folders if not below.startswith("."))
        yield Path(name)


# ---------------------------------------------------------------------------------------------- summaries


def summarise(path: Path | str) -> Summary:
    """What is in a file or folder, in the types JSON knows; ``kind`` says which entries there are.

    Raises:
        ArtifactError: nothing is there, it is damaged, or this workflow did not make it.
    """
    path = Path(path)
    if path.is_dir():
        weights = _weights_in(path)
        return _of_training(path, weights[0]) if len(weights) == 1 else _of_folder(path)
    if not path.exists():
        raise ArtifactError(f"{path}: no such file; correct the path, or {remake(path)}")
    kind = _kind(path) if path.is_file() else None
    if kind is None:
        expected = "weights, a run's record, a table, a figure, a log, or a folder of them"
        raise ArtifactError(f"{path}: nothing that this workflow makes; give {expected}")
    of_kind = {"weights": _of_weights, "checkpoint": _of_checkpoint, "record": _of_json, "history": _of_history}
    of_kind |= {"table": _of_table, "benchmark": _of_table}
    return {"path": str(path), "kind": kind, **of_kind.get(kind, _of_other)(path)}


def _of_weights(path: Path) -> Summary:
    weights, record = read_weights(path), read_run(path)
    result: Summary = {
        "algorithm": weights.algorithm,
        "scenario": weights.meta.get("scenario"),
        "recipe": weights.meta.get("recipe_name"),
        "beta": None if record is None else _beta(record),
        "seeds": weights.seeds,
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
    table, gains = _exploitability(path, result)
    members = [{"seed": seed, **told.get(seed, {}), **gains.get(seed, {})} for seed in weights.seeds]
    return {**result, "gains_of_deviators": table, "members": members}


def _architecture(weights: Weights, name: str) -> Summary:
    """Sizes of a network's layers, inputs first, and of its skip terms, and how many numbers a member trains."""
    sizes = _layers(weights.tensors)
    sizes |= {key: list(tensor.shape[1:]) for key, tensor in weights.tensors.items() if key.endswith(".skip")}
    own = {key.removeprefix(f"{name}."): shape for key, shape in sizes.items() if key.startswith(f"{name}.")}
    return {**own, "parameters": sum(tensor[:1].numel() for tensor in weights.networks[name].parameters)}


def _exploitability(path: Path, of: Summary) -> tuple[str | None, dict[int, Summary]]:
    """What deviators gain, $ a game, mean over agents, and as a share of the game's value, by seed and class.

    The table that tells lies at or up to three folders above the weights, and is named first. One without betas is of
    the recipe's own, and tells nothing where trainings with several lie side by side.
    """
    keys = {"scenario": of["scenario"], "algorithm": of["algorithm"], "recipe": of["recipe"]}
    folder = path.absolute().parent
    for name in ("beta_exploitability.csv", "exploitability.csv"):
        for table_path in (above / name for above in (folder, *list(folder.parents)[:3])):
            if not table_path.is_file():
                continue
            table = read_table(table_path, [*keys, "seed", "deviator", "player", "gain", "value"], foreign=True)
            mine = (table[list(keys)] == pd.Series(keys)).all(axis=1) & (table["player"] != "nashconv")
            if "beta" in table:
                mine &= table["beta"] == of["beta"]
            elif table_path.parent != folder and len(list(folder.parent.glob("beta_*"))) > 1:
                continue
            if not mine.any():
                continue
            with _ours(table_path, "a table of gains"):
                rows = table[mine].assign(value=table["value"].abs()).groupby(["seed", "deviator"], sort=False)
                means = rows[["gain", "value"]].mean()
                means["share"] = means["gain"] / means.pop("value")
                found = {int(seed): part.droplevel("seed").to_dict() for seed, part in means.groupby("seed")}
            return str(table_path) if path.is_absolute() else os.path.relpath(table_path), found
    return None, {}


def _of_training(folder: Path, path: Path) -> Summary:
    """Weights with all that lies beside them."""
    result = {**_of_weights(path), "path": str(folder), "kind": "training"}
    for file, kind in _files(folder).items():
        if kind == "history":
            history = _of_history(file)
            courses = {member["seed"]: member["curve"] for member in history["members"]}
            for member in result["members"]:
                member[f"course of {history['curve_of']}"] = courses.get(member["seed"])
        elif kind == "weights" and file != path:
            result["snapshots_after"] = sorted(set(read_weights(file).meta["transitions"]))
    record = read_run(path) or {}
    shown = ("wall_seconds", "peak_memory_mib", "device", "threads", "machine", "system", "versions", "config")
    return {"path": str(folder), "kind": "training", **result, **{k: record[k] for k in shown if k in record}}


def _of_json(path: Path) -> Summary:
    """A record; or the state of a run, or measurements as a list."""
    content = read_json(path)
    if isinstance(content, list) and content and all(isinstance(row, dict) for row in content):
        return {"kind": "measurements", "rows": content}
    if isinstance(content, dict) and {"slots", "rules", "active"} <= set(content):
        return {"kind": "state of a run", "more": f"nash-dqn status {path.parent.parent}"}
    return {**(record := _record(path)), "kind": "run", "of": record["kind"]}


_PROGRESS = ("seed", "stopped", "iterations", "final_loss")


def _of_checkpoint(path: Path) -> Summary:
    """How far an unfinished training is, and its members as of the last row of history."""
    run = read_progress(path)
    with _ours(path, "a training's checkpoint"):
        return {
            "algorithm": str(run["algorithm"]),
            "scenario": run.get("scenario"),
            "recipe": run.get("recipe_name"),
            "device": str(run["device"]),
            "done": int(run["done"]),
            "total": int(run["total"]),
            "wall_seconds": float(run["wall_seconds"]),
            "members": [{name: member[name] for name in _PROGRESS} for member in run["members"]],
        }


def _of_history(path: Path) -> Summary:
    """First and last values of each seed, and the course of the first quantity, in means over equal stretches."""
    table = _table(path)
    with _ours(path, "a training's history"):
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
    with _ours(path, "a table"):
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
    for folder in _walk(path):
        files = _files(folder)
        shown = [(file, kind, _in_brief(file, kind)) for file, kind in files.items()]
        if "weights" in files.values():
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
    return f"{len(found['seeds'])} seeds{lost}, {found['wall_seconds']:.0f} s"
