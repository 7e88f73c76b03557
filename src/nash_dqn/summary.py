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

from nash_dqn.artifacts import ArtifactError, read_json, read_table, read_tensors
from nash_dqn.checkpoint import read_progress
from nash_dqn.games.base import ObservationSpec
from nash_dqn.games.market import Market
from nash_dqn.networks import MLP, GroupedNetwork, ObservationNetwork

__all__ = ["Weights", "find_weights", "read_run", "read_weights", "summarise"]

Summary = dict[str, Any]

_AGAIN = "delete it and run snakemake"
_HEAD = 65536  # bytes that tell what a file is
_TIMES = ("seed", "iteration", "epoch", "transitions", "exploration")  # columns of a history that are not its course
_CURVE = 32  # points of a course
_PRICES = {"S": "price S", "S-Y": "price less impact S - Y"}
_FLOWS = {"total": "order flow of all", "others_mean": "mean order flow of the others"}


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


# ---------------------------------------------------------------------------------------------- recognising


def _kind(path: Path) -> str | None:
    """``tensors``, ``checkpoint``, ``json``, ``history`` or ``table``; None for anything else.

    A file of which too little is left is what its name says, so that its reader names the damage.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read ({error.strerror}); give a readable file") from None
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 2**32:  # eight characters of text are far more
        return "checkpoint" if head[8:].startswith(b'{"__metadata__":{"checkpoint":') else "tensors"
    if head.lstrip()[:1] in (b"{", b"["):
        return "json"
    names = head.split(b"\n", 1)[0].rstrip(b"\r").decode("utf-8", "replace").split(",")
    if len(names) > 1 and all(re.fullmatch(r"[a-z]\w*", name, re.ASCII) for name in names):
        return "history" if {"seed", "iteration", "transitions"} <= set(names) else "table"
    return {".safetensors": "tensors", ".json": "json", ".csv": "table"}.get(path.suffix)


def _files(folder: Path) -> dict[Path, str]:
    """The folder's own artifacts and their kinds."""
    try:
        entries = sorted(entry for entry in folder.iterdir() if entry.is_file() and not entry.name.startswith("."))
    except OSError as error:
        raise ArtifactError(f"{folder}: cannot be read ({error.strerror}); give a readable folder") from None
    kinds = {entry: _kind(entry) for entry in entries}
    return {entry: kind for entry, kind in kinds.items() if kind is not None}


@contextmanager
def _ours(path: Path, what: str) -> Iterator[None]:
    """Turn what goes wrong with content that was edited into one line about the file."""
    try:
        yield
    except ArtifactError:
        raise
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"{path}: not {what} as this package writes it ({error!r}); {_AGAIN}") from None


def read_weights(path: Path) -> Weights:
    """Read and check a file of weights or snapshots.

    Raises:
        ArtifactError: it is missing, damaged, or its parts do not fit together.
    """
    tensors, metadata = read_tensors(path)
    with _ours(path, "a policy"):
        policy = json.loads(metadata["policy"])
        observation = ObservationSpec(**policy["observation"])
        seeds, meta = [int(seed) for seed in policy["seeds"]], dict(policy["meta"])
        bound = None if policy["bound"] is None else float(policy["bound"])
        names = sorted({name.split(".")[0] for name in tensors})
        sizes = meta.get("groups")
        if sizes is not None and not all(type(size) is int and size > 0 for size in sizes):
            raise ValueError(f"groups of {sizes} agents")
        networks = {name: _network(tensors, name, sizes) for name in names}
        for name, tensor in tensors.items():
            if tensor.ndim == 0 or len(tensor) != len(seeds):
                raise ValueError(f"{name} is not of {len(seeds)} members")
        for name, network in networks.items():
            for part, mlp in _mlps(network):
                _check_layers(f"{name}.{part}", mlp)
        if len([int(time) for time in meta.get("transitions", seeds)]) != len(seeds):
            raise ValueError(f"{len(meta['transitions'])} times of {len(seeds)} snapshots")
        action_dim = int(policy["action_dim"])
        return Weights(networks, tensors, str(policy["algorithm"]), observation, seeds, bound, action_dim, meta)


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


def _mlps(network: ObservationNetwork | GroupedNetwork) -> list[tuple[str, MLP]]:
    """Its perceptrons, by the names that their tensors have."""
    if isinstance(network, ObservationNetwork):
        return [("sigma", network.sigma), *(("phi", phi) for phi in network.phi or ())]
    parts = []
    for g, group in enumerate(network.networks):
        parts += [(f"group_{g}.phi_{h}", phi) for h, phi in enumerate(group.phi or ())]
        parts.append((f"group_{g}.sigma", group.sigma))
    return parts


def _check_layers(name: str, mlp: MLP) -> None:
    for layer, (weight, bias) in enumerate(zip(mlp.weights, mlp.biases, strict=True)):
        inputs = mlp.weights[layer - 1].shape[-1] if layer else weight.shape[1]
        if weight.ndim != 3 or weight.shape[1] != inputs or bias.shape != (len(weight), 1, weight.shape[2]):
            raise ValueError(f"{name}.{layer} does not fit the layer before it")


def read_run(weights: Path) -> Summary | None:
    """The record ``run.json`` beside a file of weights, or None where there is none.

    Raises:
        ArtifactError: it is damaged, or of another training than the weights.
    """
    path = weights.with_name("run.json")
    if not path.exists():
        return None
    record = _record(path)
    of = read_weights(weights)
    theirs = {"algorithm": of.algorithm, **{key: of.meta.get(key) for key in ("scenario", "recipe_name")}}
    for key, value in theirs.items():
        if record.get(key) != value:
            found = f"{key} {record.get(key)!r}, but {weights.name} is of {value!r}"
            raise ArtifactError(f"{path}: of another training ({found}); put back the two that belong together")
    if not set(of.seeds) <= set(record["seeds"]):
        found = f"seeds {record['seeds']}, but {weights.name} is of {of.seeds}"
        raise ArtifactError(f"{path}: of another training ({found}); put back the two that belong together")
    return record


def _record(path: Path) -> Summary:
    """A run's record, of which the parts that are shown are there."""
    record = read_json(path)
    if not isinstance(record, dict) or not isinstance(record.get("kind"), str) or "versions" not in record:
        raise ArtifactError(f"{path}: JSON of another origin (no kind and versions); give a record of this package")
    with _ours(path, "a run's record"):
        dict(record["versions"])
        if record["kind"] == "training":
            record["algorithm"] = str(record["algorithm"])
            for key in ("scenario", "recipe_name"):  # a training outside the workflow need not have names
                record.setdefault(key, None)
            record["config"]["game"].items(), record["config"]["recipe"].items()
            record["wall_seconds"] = float(record["wall_seconds"])
            _beta(record)
            for member in record["members"]:
                numbers = [member["iterations"], member.get("final_loss") or 0]
                if not all(isinstance(number, int | float) for number in numbers):
                    raise TypeError(f"iterations and final_loss {numbers}")
                member.update(stopped=str(member["stopped"]), diverged=bool(member["diverged"]))
            if [member["seed"] for member in record["members"]] != list(record["seeds"]):
                raise ValueError("members are not those of seeds")
    return record


def _table(path: Path) -> pd.DataFrame:
    with _ours(path, "a table"):
        if not path.read_bytes().endswith(b"\n"):
            raise ValueError("cut off within a line")
        return read_table(path, [])


# ---------------------------------------------------------------------------------------------- summaries


def summarise(path: Path | str) -> Summary:
    """What is in a file or folder, in the types JSON knows; ``kind`` says which entries there are.

    Raises:
        ArtifactError: nothing is there, it is damaged, or this workflow did not make it.
    """
    path = Path(path)
    if not path.is_dir():
        if not path.exists():
            raise ArtifactError(f"{path}: no such file; make it first, or correct the path")
        kind = _kind(path) if path.is_file() else None
        if kind is None:
            expected = "weights, a run's record, a table, or a folder of them"
            raise ArtifactError(f"{path}: nothing that this workflow makes; give {expected}")
        return _of_file(path, kind)
    files = _files(path)
    weights = [file for file, kind in files.items() if kind == "tensors" and not _is_snapshots(file)]
    if len(weights) != 1:
        return _of_folder(path)
    parts = [_of_file(file, kind) for file, kind in files.items() if file != weights[0]]
    first = {part["kind"]: part for part in reversed(parts)}
    result = {**_of_weights(weights[0]), "path": str(path), "kind": "training"}
    result |= {name: first[name] for name in ("run", "snapshots", "history") if name in first}
    return result


def find_weights(path: Path | str) -> Path:
    """The file itself, or the one file of weights in a folder.

    Raises:
        ArtifactError: the folder has none, or several.
    """
    path = Path(path)
    if not path.is_dir():
        return path
    found = [file for file, kind in _files(path).items() if kind == "tensors" and not _is_snapshots(file)]
    if len(found) != 1:
        raise ArtifactError(f"{path}: {len(found)} files of weights in it, not one; give the file or its folder")
    return found[0]


def _is_snapshots(path: Path) -> bool:
    return "transitions" in read_weights(path).meta


def _of_file(path: Path, kind: str) -> Summary:
    of_kind = {"tensors": _of_weights, "checkpoint": _of_checkpoint, "json": _of_run, "history": _of_history}
    return of_kind.get(kind, _of_table)(path)


def _of_weights(path: Path) -> Summary:
    weights = read_weights(path)
    is_snapshots = "transitions" in weights.meta
    result: Summary = {
        "path": str(path),
        "kind": "snapshots" if is_snapshots else "weights",
        "algorithm": weights.algorithm,
        "scenario": weights.meta.get("scenario"),
        "recipe": weights.meta.get("recipe_name"),
        "seeds": weights.seeds,
        "groups": weights.groups,
        "bound": weights.bound,
        "action_dim": weights.action_dim,
        "networks": {name: _of_network(network) for name, network in weights.networks.items()},
        "finite": weights.finite,
    }
    record = read_run(path)
    result["of_market"] = weights.is_of_market(record)
    result["sees"] = _sees(weights.observation) if result["of_market"] else _options(weights.observation)
    if is_snapshots:
        return result | {"transitions": weights.meta["transitions"]}
    if record is not None:
        result |= {"members": record["members"], "beta": _beta(record)}
    return result | {"exploitability": _exploitability(path, weights, result.get("beta"))}


def _sees(spec: ObservationSpec) -> list[str]:
    sees = ["time", _PRICES[spec.price], "impact Y", _FLOWS[spec.order_flow], "own inventory"]
    sees += ["own past flow"] if spec.own_flow else []
    past = " and past flows" if spec.own_flow else ""
    sees += [f"the others' inventories{past}"] if spec.inventories == "visible" else []
    return sees + ([] if spec.scales is None else ["in scales of its own"])


def _options(spec: ObservationSpec) -> list[str]:
    """What was asked for; what that shows is for a game to say that is not the market."""
    scales = [] if spec.scales is None else ["scales of its own"]
    return [f"{name} {str(value).lower()}" for name, value in asdict(spec).items() if name != "scales"] + scales


def _of_network(network: ObservationNetwork | GroupedNetwork) -> Summary:
    """Layer sizes, and how many numbers a member trains; where agents form groups, of each group's network."""
    parameters = {"parameters": _count(network.parameters)}
    if isinstance(network, GroupedNetwork):
        return {"groups": [_of_group(group) for group in network.networks], **parameters}
    phi = [_layers(mlp) for mlp in network.phi or ()]
    return {**({"phi": phi[0]} if phi else {}), "sigma": _layers(network.sigma), **_skip(network.skip), **parameters}


def _of_group(network: ObservationNetwork) -> Summary:
    """Of a group's network, which pools the items of each group it sees; agents are counted from 1."""
    agents, phi = network.agents, [_layers(mlp) for mlp in network.phi or ()]
    assert agents is not None
    result: Summary = {"agents": [agents.start + 1, agents.stop], **({"phi": phi} if phi else {})}
    result |= {"sigma": _layers(network.sigma), **_skip(network.skip)}
    return {**result, "parameters": _count(network.parameters)}


def _layers(mlp: MLP) -> list[int]:
    return [mlp.weights[0].shape[1], *(weight.shape[2] for weight in mlp.weights)]


def _skip(coefficients: Tensor | None) -> Summary:
    return {} if coefficients is None else {"skip_terms": list(coefficients.shape[1:])}


def _count(tensors: Sequence[Tensor]) -> int:
    return sum(tensor[:1].numel() for tensor in tensors)


def _beta(record: Mapping[str, Any]) -> float | None:
    penalty = record["config"]["recipe"].get("penalty")
    return float(penalty["beta"]) if isinstance(penalty, dict) else None


def _exploitability(path: Path, weights: Weights, beta: float | None) -> Summary | None:
    """What deviators gain: the table that tells, at or up to three folders above the weights, and the gains of each
    class of deviators against each seed. Empty where the table does not tell, None where there is no table.
    """
    folder = path.absolute().parent
    keys = {
        "scenario": weights.meta.get("scenario"),
        "algorithm": weights.algorithm,
        "recipe": weights.meta.get("recipe_name"),
    }
    found: Summary | None = None
    for name in ("beta_exploitability.csv", "exploitability.csv"):
        for table_path in (parent / name for parent in (folder, *list(folder.parents)[:3])):
            if not table_path.is_file():
                continue
            table = read_table(table_path, [*keys, "seed", "deviator", "player", "gain", "value"])
            if "beta" in table:
                table = table[table["beta"] == beta]
            rows = table[(table[list(keys)] == pd.Series(keys)).all(axis=1) & (table["player"] != "nashconv")]
            shown = str(table_path) if path.is_absolute() else os.path.relpath(table_path)
            # Such a table is of the recipe's own beta, and does not say which of these that is.
            of_any = "beta" not in table and table_path.parent != folder and len(list(folder.parent.glob("beta_*"))) > 1
            if len(rows) and of_any:
                found = {"table": shown, "gains": {}}
            elif len(rows):
                return {"table": shown, "gains": _gains(table_path, rows, weights.seeds)}
    return found


def _gains(path: Path, rows: pd.DataFrame, seeds: Sequence[int]) -> Summary:
    with _ours(path, "a table of gains"):
        return {
            str(deviator): [
                {
                    "gain": float(of_seed["gain"].mean()),
                    "share": float(of_seed["gain"].mean() / of_seed["value"].abs().mean()),
                }
                for of_seed in (of[of["seed"] == seed] for seed in seeds)
            ]
            for deviator, of in rows.groupby("deviator", sort=False)
        }


def _of_run(path: Path) -> Summary:
    return {**_record(path), "path": str(path), "kind": "run", "of": _record(path)["kind"]}


def _of_checkpoint(path: Path) -> Summary:
    """How far an unfinished training is, and its members as of the last row of history."""
    run = read_progress(path)
    with _ours(path, "a training's checkpoint"):
        return {
            "path": str(path),
            "kind": "checkpoint",
            "algorithm": str(run["algorithm"]),
            "scenario": run.get("scenario"),
            "recipe": run.get("recipe_name"),
            "device": str(run["device"]),
            "done": int(run["done"]),
            "total": int(run["total"]),
            "wall_seconds": float(run["wall_seconds"]),
            "members": [
                {
                    name: member[name]
                    for name in ("seed", "stopped", "diverged", "iterations", "final_loss")
                    if name in member
                }
                for member in run["members"]
            ],
        }


def _of_history(path: Path) -> Summary:
    table = _table(path)
    with _ours(path, "a training's history"):
        columns = [name for name in table.columns if name not in _TIMES]
        if not columns:
            raise ValueError("no column but " + ", ".join(table.columns))
        members = []
        for seed, rows in table.groupby("seed", sort=False):
            ends = {n: {"first": float(rows[n].iloc[0]), "last": float(rows[n].iloc[-1])} for n in columns}
            times = {name: int(rows[name].iloc[-1]) for name in ("iteration", "transitions")}
            bins = np.array_split(rows[columns[0]].to_numpy(float), min(len(rows), _CURVE))
            with np.errstate(all="ignore"):  # a diverged member's losses may overflow
                curve = [float(part.mean()) for part in bins]
            members.append({"seed": int(str(seed)), "rows": len(rows), **times, "values": ends, "curve": curve})
        return {"path": str(path), "kind": "history", "curve_of": columns[0], "members": members}


def _of_table(path: Path) -> Summary:
    table = _table(path)
    columns = [{"name": name, **_range(table[name])} for name in table.columns]
    return {"path": str(path), "kind": "table", "rows": len(table), "columns": columns}


def _range(column: pd.Series) -> Summary:
    """Smallest and largest of numbers, the different values of anything else; and how many fields are empty."""
    empty, held = int(column.isna().sum()), column.dropna()
    if len(held) and pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        return {"low": held.min().item(), "high": held.max().item(), "empty": empty}
    return {"values": [str(value) for value in held.unique()], "empty": empty}


def _of_folder(path: Path) -> Summary:
    """Folders of trainings and all else below, without reading more than tells them apart."""
    entries: list[Summary] = []
    for name, folders, _ in os.walk(path):
        folders[:] = sorted(folder for folder in folders if not folder.startswith("."))
        folder = Path(name)
        files = _files(folder)
        if "tensors" in files.values():
            entries.append(
                {"path": str(folder.relative_to(path)), "kind": "training", "holds": _in_brief(folder / "run.json")}
            )
            files = {file: kind for file, kind in files.items() if kind == "table"}
        for file, kind in files.items():
            in_brief = {"json": _in_brief, "checkpoint": _progress_in_brief}
            holds = in_brief.get(kind, _rows_in_brief)(file)
            entries.append({"path": str(file.relative_to(path)), "kind": kind, "holds": holds})
    if not entries:
        raise ArtifactError(f"{path}: nothing in it that this workflow makes; give a folder such as results/")
    entries.sort(key=lambda entry: entry["kind"] != "training")
    return {"path": str(path), "kind": "folder", "entries": entries}


def _rows_in_brief(path: Path) -> str:
    lines = path.read_bytes().count(b"\n")
    return f"{max(lines - 1, 0):,} rows"


def _progress_in_brief(path: Path) -> str:
    try:
        found = _of_checkpoint(path)
    except ArtifactError:
        return "damaged"
    return f"{found['done']:,} of {found['total']:,} iterations, {found['wall_seconds']:.0f} s"


def _in_brief(path: Path) -> str:
    """What a run's record says, in a few words."""
    if not path.is_file():
        return "no record"
    try:
        record = _record(path)
    except ArtifactError:
        return "no sound record of a run"
    if record["kind"] != "training":
        return str(record["kind"])
    diverged = sum(bool(member["diverged"]) for member in record["members"])
    lost = f", {diverged} diverged" if diverged else ""
    return f"{len(record['seeds'])} seeds{lost}, {record['wall_seconds']:.0f} s"
