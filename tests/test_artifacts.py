"""Files: complete or absent, the same bytes for the same content, one clear line when one cannot be used."""

import dataclasses
import errno
import hashlib
import json
import math
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch

from nash_dqn import artifacts
from nash_dqn.artifacts import (
    ArtifactError,
    atomic_path,
    read_json,
    read_table,
    read_tables,
    read_tensors,
    run_record,
    write_csv,
    write_json,
    write_tensors,
    write_training,
)

TENSORS = {"b.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.tensor([0.1, -0.2])}
METADATA = {"policy": '{"seeds": [1, 2]}', "z": "1", "y": "2", "x": "3"}


class Schedule(NamedTuple):
    start: float
    end: float


@dataclasses.dataclass(frozen=True)
class Settings:
    rate: float
    schedule: Schedule


class Result(NamedTuple):
    tensors: dict[str, torch.Tensor]
    metadata: dict[str, str]
    snapshots: tuple[dict[str, torch.Tensor], dict[str, str]]
    history: pd.DataFrame
    record: dict[str, Any]


def contents(tmp_path: Path) -> list[str]:
    """What lies in the folder, hidden files too."""
    return sorted(os.listdir(tmp_path))


# --- atomic writes --------------------------------------------------------------------------------


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("old")
    with pytest.raises(RuntimeError, match="midway"), atomic_path(path) as temporary:
        temporary.write_text("half of the n")
        raise RuntimeError("midway")
    assert path.read_text() == "old"
    assert contents(tmp_path) == ["table.csv"]


def test_an_interrupt_is_a_failed_write(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), atomic_path(tmp_path / "x.json") as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert contents(tmp_path) == []


def test_the_temporary_file_lies_beside_the_final_one_and_keeps_its_suffix(tmp_path: Path) -> None:
    path = tmp_path / "made" / "figure.pdf"
    with atomic_path(path) as temporary:
        assert temporary.parent == path.parent
        assert temporary.suffix == ".pdf"
        temporary.write_text("x")
        assert not path.exists()
    assert contents(path.parent) == ["figure.pdf"]


def test_files_get_the_permissions_that_the_umask_allows(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_json(tmp_path / "x.json", {})
    finally:
        os.umask(before)
    assert (tmp_path / "x.json").stat().st_mode & 0o777 == 0o640


REFUSALS = {"disk full": errno.ENOSPC, "read-only": errno.EROFS, "no permission": errno.EACCES, "quota": errno.EDQUOT}


@pytest.mark.parametrize("step", ["making the folder", "writing", "flushing", "renaming"])
@pytest.mark.parametrize("refusal", REFUSALS)
def test_what_the_system_refuses_to_write_is_one_line_and_harms_nothing(
    refusal: str, step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "table.csv"
    path.write_text("old")
    cause = os.strerror(REFUSALS[refusal])

    def refused(*_: Any, **__: Any) -> None:
        raise OSError(REFUSALS[refusal], cause, "/some/where")

    owner, name = {
        "making the folder": (Path, "mkdir"),
        "writing": (Path, "write_bytes"),
        "flushing": (artifacts, "_flush_to_disk"),
        "renaming": (os, "replace"),
    }[step]
    monkeypatch.setattr(owner, name, refused)
    with pytest.raises(ArtifactError) as caught:
        write_csv(path, pd.DataFrame({"a": [1]}))
    hint = "make room, or the folder writable, and run it again"
    assert str(caught.value) == f"{path}: cannot be written ({cause}); {hint}"
    assert path.read_text() == "old"
    assert contents(tmp_path) == ["table.csv"]


def test_a_disk_that_fills_up_half_way(tmp_path: Path) -> None:
    """The kernel refuses all beyond 1,000 bytes of a file, as it does beyond the end of a disk."""
    program = (
        "import resource, sys, torch; from nash_dqn.artifacts import write_tensors;"
        "write_tensors(sys.argv[1], {'w': torch.ones(3)}, {});"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000));"
        "write_tensors(sys.argv[1], {'w': torch.ones(1000)}, {})"
    )
    path = tmp_path / "w.safetensors"
    run = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True)
    assert run.returncode == 1
    assert run.stderr.splitlines()[-1].startswith(
        f"nash_dqn.artifacts.ArtifactError: {path}: cannot be written (File too large)"
    )
    assert contents(tmp_path) == ["w.safetensors"]
    assert read_tensors(path)[0]["w"].tolist() == [1, 1, 1]


# --- JSON -----------------------------------------------------------------------------------------


def test_json_keeps_the_order_and_turns_our_types_into_its_own(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    value = {
        "z": Settings(0.003, Schedule(2.5, 0.5)),
        "a": [np.float64(1.5), np.int64(2), np.True_, None, "Ψ"],
        "where": Path("results/x"),
    }
    write_json(path, value)
    assert path.read_text(encoding="utf-8").endswith("}\n")
    assert list(read_json(path)) == ["z", "a", "where"]
    assert read_json(path) == {
        "z": {"rate": 0.003, "schedule": {"start": 2.5, "end": 0.5}},
        "a": [1.5, 2, True, None, "Ψ"],
        "where": "results/x",
    }


def test_json_has_no_nan(tmp_path: Path) -> None:
    write_json(tmp_path / "x.json", {"final_loss": math.nan, "best": [np.float32("inf")]})
    assert json.loads((tmp_path / "x.json").read_text()) == {"final_loss": None, "best": [None]}


def test_json_of_another_type_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="cannot write set"):
        write_json(tmp_path / "x.json", {"a": {1}})
    assert contents(tmp_path) == []


@pytest.mark.parametrize("content", [b"", b'{"a": 1', b"\xff\xfe"])
def test_broken_json_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(ArtifactError, match="x.json: not JSON") as caught:
        read_json(tmp_path / "x.json")
    assert "\n" not in str(caught.value)


# --- CSV ------------------------------------------------------------------------------------------


def test_tables_read_back_bit_for_bit(tmp_path: Path) -> None:
    values = np.array([0.1, 1 / 3, -1e-300, 5e300, math.nan, 2.0**-52])
    table = pd.DataFrame({"name": ["NA", "none", "1-1", "nan", "null", "a,b"], "value": values, "count": range(6)})
    write_csv(tmp_path / "t.csv", table)
    read = read_table(tmp_path / "t.csv", ["name", "value", "count"])
    assert read["name"].tolist() == table["name"].tolist()
    assert read["value"].to_numpy().tobytes() == values.tobytes()
    assert read["count"].tolist() == list(range(6))


def test_tables_have_unix_line_ends_and_no_index(tmp_path: Path) -> None:
    write_csv(tmp_path / "t.csv", pd.DataFrame({"a": [1.5, math.nan], "b": ["x", "y"]}))
    assert (tmp_path / "t.csv").read_bytes() == b"a,b\n1.5,x\n,y\n"


def test_an_undecided_boolean_is_an_empty_field(tmp_path: Path) -> None:
    table = pd.DataFrame({"reject": pd.array([True, None, False], dtype="boolean"), "n": [1, 2, 3]})
    write_csv(tmp_path / "t.csv", table)
    read = read_table(tmp_path / "t.csv", ["reject"])["reject"].astype("boolean")
    assert read.isna().tolist() == [False, True, False]
    assert read.dropna().tolist() == [True, False]


def test_missing_columns_are_named(tmp_path: Path) -> None:
    write_csv(tmp_path / "t.csv", pd.DataFrame({"a": [1], "c": [2]}))
    with pytest.raises(ArtifactError, match=r"t.csv: lacks the column\(s\) b, d \(it has a, c\)"):
        read_table(tmp_path / "t.csv", ["a", "b", "d"])


def test_several_tables_are_read_as_one(tmp_path: Path) -> None:
    for name, seeds in (("b", [2]), ("a", [1, 3]), ("empty", [])):
        write_csv(tmp_path / name, pd.DataFrame({"seed": seeds, "gain": [0.5] * len(seeds), "of": [name] * len(seeds)}))
    read = read_tables([tmp_path / name for name in ("b", "empty", "a")], ["seed", "of"])
    assert read["of"].tolist() == ["b", "a", "a"]
    assert read["seed"].tolist() == [2, 1, 3]
    assert (read["seed"].dtype, read["gain"].dtype) == (np.int64, np.float64)  # not the empty table's, which has none
    assert list(read_tables([tmp_path / "empty"] * 2, ["seed"]).columns) == ["seed", "gain", "of"]
    with pytest.raises(ArtifactError, match=r"a: lacks the column\(s\) low"):
        read_tables([tmp_path / "a"], ["low"])


@pytest.mark.parametrize("content", [b"", b'a,b\n"unclosed', b"a,b\n1,2\n1,2,3,4\n", b"a\n\xff\xfe\n"])
def test_broken_tables_are_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(ArtifactError, match="t.csv: not a CSV table") as caught:
        read_table(tmp_path / "t.csv", ["a"])
    assert "\n" not in str(caught.value)


# --- weights --------------------------------------------------------------------------------------


def test_weights_read_back(tmp_path: Path) -> None:
    write_tensors(tmp_path / "w.safetensors", TENSORS, METADATA)
    tensors, metadata = read_tensors(tmp_path / "w.safetensors")
    assert metadata == {**METADATA, "format": "nash_dqn/1"}
    assert tensors.keys() == TENSORS.keys()
    assert all(torch.equal(tensors[name], tensor) for name, tensor in TENSORS.items())


def test_views_and_gradients_are_no_obstacle(tmp_path: Path) -> None:
    whole = torch.arange(6.0, requires_grad=True)
    write_tensors(tmp_path / "w.safetensors", {"a": whole[:4], "b": whole[2:].reshape(2, 2).T}, {})
    tensors, _ = read_tensors(tmp_path / "w.safetensors")
    assert tensors["a"].tolist() == [0, 1, 2, 3]
    assert tensors["b"].tolist() == [[2, 4], [3, 5]]


def test_weights_are_ordinary_safetensors(tmp_path: Path) -> None:
    write_tensors(tmp_path / "w.safetensors", TENSORS, METADATA)
    tensors = safetensors.torch.load_file(tmp_path / "w.safetensors")
    assert torch.equal(tensors["b.weight"], TENSORS["b.weight"])
    with safetensors.safe_open(tmp_path / "w.safetensors", framework="pt") as file:
        assert file.metadata()["z"] == "1"


def test_equal_weights_give_equal_bytes_in_every_process(tmp_path: Path) -> None:
    # safetensors itself orders metadata by a hash that is drawn anew in each process.
    program = (
        "import sys, torch; from nash_dqn.artifacts import write_tensors;"
        "write_tensors(sys.argv[1], {'w': torch.ones(3)}, {name: name for name in 'abcdefgh'})"
    )
    digests = set()
    for k in range(2):
        path = tmp_path / f"{k}.safetensors"
        subprocess.run([sys.executable, "-c", program, str(path)], check=True)
        digests.add(hashlib.sha256(path.read_bytes()).hexdigest())
    write_tensors(tmp_path / "here.safetensors", {"w": torch.ones(3)}, {name: name for name in "hgfedcba"})
    digests.add(hashlib.sha256((tmp_path / "here.safetensors").read_bytes()).hexdigest())
    assert len(digests) == 1


def test_metadata_of_another_format_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'other/1'"):
        write_tensors(tmp_path / "w.safetensors", TENSORS, {"format": "other/1"})


@pytest.mark.parametrize("share", [0.0, 0.03, 0.5, 0.99])
def test_truncated_weights_are_named(tmp_path: Path, share: float) -> None:
    path = tmp_path / "w.safetensors"
    write_tensors(path, TENSORS, METADATA)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(ArtifactError, match="w.safetensors: not a complete safetensors file") as caught:
        read_tensors(path)
    assert "\n" not in str(caught.value)


class Bomb:
    """Unpickling it writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("writer", ["pickle", "torch"])
def test_pickles_are_refused_and_not_run(tmp_path: Path, writer: str) -> None:
    path, trace = tmp_path / "w.safetensors", tmp_path / "trace"
    if writer == "pickle":
        path.write_bytes(pickle.dumps(Bomb(trace)))
    else:
        torch.save({"w": torch.ones(2), "bomb": Bomb(trace)}, path)
    with pytest.raises(ArtifactError, match="not a complete safetensors file"):
        read_tensors(path)
    assert not trace.exists()


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}])
def test_safetensors_of_another_origin_are_refused(tmp_path: Path, metadata: dict[str, str] | None) -> None:
    safetensors.torch.save_file({"w": torch.ones(2)}, tmp_path / "w.safetensors", metadata)
    with pytest.raises(ArtifactError, match="another origin"):
        read_tensors(tmp_path / "w.safetensors")


@pytest.mark.parametrize("read", [read_tensors, read_json, lambda path: read_table(path, ["a"])])
def test_missing_files_and_folders_are_named(tmp_path: Path, read: Any) -> None:
    with pytest.raises(ArtifactError, match="absent: no such file; "):
        read(tmp_path / "absent")
    with pytest.raises(ArtifactError, match="cannot be read"):
        read(tmp_path)


# --- records --------------------------------------------------------------------------------------


def test_a_record_says_what_ran_and_with_what() -> None:
    record = run_record("training", {"seeds": [1], "device": "cpu"})
    assert record["kind"] == "training"
    assert record["seeds"] == [1]
    assert record["versions"]["torch"] == torch.__version__
    assert record["versions"]["numpy"] == np.__version__
    assert set(record["versions"]) >= {"python", "nash_dqn", "safetensors"}
    assert record["threads"] == 1  # conftest.py


@pytest.fixture
def training(tmp_path: Path) -> Path:
    """A folder with a training's files."""
    history = pd.DataFrame({"seed": [1, 1], "iteration": [100, 200], "loss": [2.0, 1.0]})
    result = Result(TENSORS, METADATA, (TENSORS, METADATA), history, {"seeds": [1], "members": []})
    write_training(result, *(tmp_path / name for name in FILES))
    return tmp_path


FILES = ("weights.safetensors", "snapshots.safetensors", "history.csv", "run.json")
DAMAGE: dict[str, Any] = {
    "empty": lambda data: b"",
    "truncated": lambda data: data[: len(data) // 2],
    "last byte missing": lambda data: data[:-1],
    "one bit": lambda data: data[:-3] + bytes([data[-3] ^ 1]) + data[-2:],
    "edited": lambda data: data.replace(b"2.0", b"9.0").replace(b"weight", b"Weight"),
    "longer": lambda data: data + b"\n",
}


def read_any(path: Path) -> object:
    return read_table(path, []) if path.suffix == ".csv" else read_tensors(path)


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("name", FILES[:3])
def test_a_damaged_or_edited_file_of_a_training_is_named(training: Path, name: str, damage: str) -> None:
    path = training / name
    read_any(path)
    whole = path.read_bytes()
    path.write_bytes(DAMAGE[damage](whole))
    assert path.read_bytes() != whole
    with pytest.raises(ArtifactError) as caught:
        read_any(path)
    wrong = "truncated or edited: its sha256 is not the one in run.json beside it"
    assert str(caught.value) == f"{path}: {wrong}; to rebuild it: rm '{path}' && snakemake"
    for other in set(FILES[:3]) - {name}:
        read_any(training / other)


def test_a_file_the_record_does_not_know_is_not_checked(training: Path) -> None:
    """Tables of evaluations may lie beside it; records of other programs and older ones hold no digests."""
    (training / "gains.csv").write_text("a\n1\n")
    assert len(read_table(training / "gains.csv", ["a"])) == 1
    path = training / "history.csv"
    path.write_text(path.read_text().replace("2.0", "9.0"))
    for record in ("{}", "[]", '{"sha256": {}}'):
        (training / "run.json").write_text(record)
        assert read_table(path, ["loss"])["loss"].tolist() == [9.0, 1.0]


def test_a_damaged_record_is_named_by_those_who_need_it(training: Path) -> None:
    (training / "run.json").write_bytes((training / "run.json").read_bytes()[:-9])
    with pytest.raises(ArtifactError, match=r"run\.json: not JSON"):
        read_tensors(training / "weights.safetensors")


@pytest.mark.parametrize("along", [{"early": torch.ones(2)}, {}], ids=["snapshots", "none"])
def test_a_training_leaves_four_files(tmp_path: Path, along: dict[str, torch.Tensor]) -> None:
    history = pd.DataFrame({"seed": [1, 1], "iteration": [100, 200], "loss": [2.0, 1.0]})
    result = Result(TENSORS, METADATA, (along, {"policy": "{}"}), history, {"seeds": [1], "members": []})
    names = ("w.safetensors", "s.safetensors", "h.csv", "run.json")
    write_training(result, *(tmp_path / name for name in names))
    assert contents(tmp_path) == sorted(names)
    tensors, metadata = read_tensors(tmp_path / "s.safetensors")
    assert {name: tensor.tolist() for name, tensor in tensors.items()} == {name: [1.0, 1.0] for name in along}
    assert metadata == {"policy": "{}", "format": "nash_dqn/1"}
    pd.testing.assert_frame_equal(read_table(tmp_path / "h.csv", ["seed"]), history)
    assert read_json(tmp_path / "run.json")["kind"] == "training"
    assert read_tensors(tmp_path / "w.safetensors")[0].keys() == TENSORS.keys()
