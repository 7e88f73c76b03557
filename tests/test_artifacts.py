"""Files: complete or absent, the same bytes for the same content, one clear line when one cannot be used."""

import dataclasses
import errno
import json
import math
import os
import pickle
import shlex
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
from tests.common import FILES

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


def contents(folder: Path) -> list[str]:
    """What lies in the folder, hidden files too."""
    return sorted(os.listdir(folder))


def refusal(read: Any, *arguments: Any) -> str:
    """The one line with which something is refused."""
    with pytest.raises(ArtifactError) as caught:
        read(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- atomic writes --------------------------------------------------------------------------------


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "made" / "figure.pdf"
    with atomic_path(path) as temporary:
        assert (temporary.parent, temporary.suffix) == (path.parent, ".pdf")
        temporary.write_text("old")
        assert not path.exists()
    with pytest.raises(KeyboardInterrupt), atomic_path(path) as temporary:
        temporary.write_text("half of the n")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert contents(path.parent) == ["figure.pdf"]


def test_files_get_the_permissions_that_the_umask_allows(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_json(tmp_path / "x.json", {})
    finally:
        os.umask(before)
    assert (tmp_path / "x.json").stat().st_mode & 0o777 == 0o640


def test_what_the_system_refuses_to_write_is_one_line_and_harms_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it refuses to make the folder, to write, to flush or to rename."""
    path = tmp_path / "table.csv"
    path.write_text("old")

    def refused(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "disk full", "/some/where")

    hint = "make room, or the folder writable, and run it again"
    steps: list[tuple[object, str]] = [
        (Path, "mkdir"),
        (Path, "write_bytes"),
        (artifacts, "_flush_to_disk"),
        (os, "replace"),
    ]
    for owner, name in steps:
        with monkeypatch.context() as patched:
            patched.setattr(owner, name, refused)
            line = refusal(write_csv, path, pd.DataFrame({"a": [1]}))
        assert line == f"{path}: cannot be written (disk full); {hint}"
        assert path.read_text() == "old"
        assert contents(tmp_path) == ["table.csv"]


# --- JSON and tables --------------------------------------------------------------------------------


def test_json_keeps_the_order_and_turns_our_types_into_its_own(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    value = {
        "z": Settings(0.003, Schedule(2.5, 0.5)),
        "a": [np.float64(1.5), np.int64(2), np.True_, None, "Ψ", math.nan, np.float32("inf")],
        "where": Path("results/x"),
    }
    write_json(path, value)
    assert path.read_text(encoding="utf-8").endswith("}\n")
    assert list(read_json(path)) == ["z", "a", "where"]
    assert (
        json.loads(path.read_text())
        == read_json(path)
        == {
            "z": {"rate": 0.003, "schedule": {"start": 2.5, "end": 0.5}},
            "a": [1.5, 2, True, None, "Ψ", None, None],
            "where": "results/x",
        }
    )
    with pytest.raises(TypeError, match="cannot write set"):
        write_json(tmp_path / "x.json", {"a": {1}})
    assert contents(tmp_path) == ["run.json"]


def test_tables_read_back_bit_for_bit(tmp_path: Path) -> None:
    values = np.array([0.1, 1 / 3, -1e-300, 5e300, math.nan, 2.0**-52])
    table = pd.DataFrame({"name": ["NA", "none", "1-1", "nan", "null", "a,b"], "value": values, "count": range(6)})
    table["reject"] = pd.array([True, None, False] * 2, dtype="boolean")
    write_csv(tmp_path / "t.csv", table)
    read = read_table(tmp_path / "t.csv", list(table.columns))
    assert read["name"].tolist() == table["name"].tolist()
    assert read["value"].to_numpy().tobytes() == values.tobytes()
    assert read["count"].tolist() == list(range(6))
    assert read["reject"].astype("boolean").isna().tolist() == [False, True, False] * 2
    write_csv(tmp_path / "t.csv", pd.DataFrame({"a": [1.5, math.nan], "b": ["x", "y"]}))
    assert (tmp_path / "t.csv").read_bytes() == b"a,b\n1.5,x\n,y\n"
    assert r"t.csv: lacks the column(s) c, d (it has a, b)" in refusal(read_table, tmp_path / "t.csv", ["a", "c", "d"])


def test_several_tables_are_read_as_one(tmp_path: Path) -> None:
    for name, seeds in (("b", [2]), ("a", [1, 3]), ("empty", [])):
        write_csv(tmp_path / name, pd.DataFrame({"seed": seeds, "gain": [0.5] * len(seeds), "of": [name] * len(seeds)}))
    read = read_tables([tmp_path / name for name in ("b", "empty", "a")], ["seed", "of"])
    assert read["of"].tolist() == ["b", "a", "a"]
    assert read["seed"].tolist() == [2, 1, 3]
    assert (read["seed"].dtype, read["gain"].dtype) == (np.int64, np.float64)  # not the empty table's, which has none
    assert list(read_tables([tmp_path / "empty"] * 2, ["seed"]).columns) == ["seed", "gain", "of"]


def test_broken_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "x"
    for content in (b"", b'{"a": 1', b'a,b\n"unclosed', b"a,b\n1,2\n1,2,3,4\n", b"a\n\xff\xfe\n"):
        path.write_bytes(content)
        assert refusal(read_json, path).startswith(f"{path}: not JSON (")
        if not content.startswith(b"{"):
            assert refusal(read_table, path, ["a"], True).startswith(f"{path}: not a CSV table (")
    for read in (read_json, read_tensors, lambda path: read_table(path, [])):
        assert "absent: no such file; " in refusal(read, tmp_path / "absent")
        assert "cannot be read" in refusal(read, tmp_path)


# --- weights --------------------------------------------------------------------------------------


def test_weights_read_back_and_are_ordinary_safetensors(tmp_path: Path) -> None:
    path, whole = tmp_path / "w.safetensors", torch.arange(6.0, requires_grad=True)
    views = {"c": whole[:4], "d": whole[2:].reshape(2, 2).T}  # of one storage, and in no order that can be written
    write_tensors(path, {**TENSORS, **views}, METADATA)
    tensors, metadata = read_tensors(path)
    assert metadata == {**METADATA, "format": "nash_dqn/1"}
    assert all(torch.equal(tensors[name], tensor) for name, tensor in TENSORS.items())
    assert tensors["d"].tolist() == [[2, 4], [3, 5]]
    assert torch.equal(safetensors.torch.load_file(path)["b.weight"], TENSORS["b.weight"])
    with safetensors.safe_open(path, framework="pt") as file:
        assert file.metadata()["z"] == "1"
    with pytest.raises(ValueError, match="'other/1'"):
        write_tensors(path, TENSORS, {"format": "other/1"})


def test_equal_weights_give_equal_bytes_in_every_process(tmp_path: Path) -> None:
    """safetensors itself orders metadata by a hash that is drawn anew in each process."""
    program = (
        "import sys, torch; from nash_dqn.artifacts import write_tensors;"
        "write_tensors(sys.argv[1], {'w': torch.ones(3)}, {name: name for name in 'abcdefgh'})"
    )
    path = tmp_path / "there.safetensors"
    subprocess.run([sys.executable, "-c", program, str(path)], check=True)
    write_tensors(tmp_path / "here.safetensors", {"w": torch.ones(3)}, {name: name for name in "hgfedcba"})
    assert (tmp_path / "here.safetensors").read_bytes() == path.read_bytes()


class Bomb:
    """Unpickling it writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (str(self.path), "w"))


def test_pickles_are_refused_and_not_run(tmp_path: Path) -> None:
    path, trace = tmp_path / "w.safetensors", tmp_path / "trace"
    path.write_bytes(pickle.dumps(Bomb(trace)))
    assert "not a complete safetensors file" in refusal(read_tensors, path)
    torch.save({"w": torch.ones(2), "bomb": Bomb(trace)}, path)
    assert "not a complete safetensors file" in refusal(read_tensors, path)
    assert not trace.exists()


def test_safetensors_of_another_origin_are_refused(tmp_path: Path) -> None:
    others: list[dict[str, str] | None] = [None, {"format": "pt"}]
    for metadata in others:
        safetensors.torch.save_file({"w": torch.ones(2)}, tmp_path / "w.safetensors", metadata)
        assert "another origin" in refusal(read_tensors, tmp_path / "w.safetensors")


# --- records and digests --------------------------------------------------------------------------------


def test_a_record_says_what_ran_and_with_what() -> None:
    record = run_record("training", {"seeds": [1], "device": "cpu"})
    assert (record["kind"], record["seeds"], record["threads"]) == ("training", [1], 1)  # conftest.py
    assert (record["versions"]["torch"], record["versions"]["numpy"]) == (torch.__version__, np.__version__)
    assert set(record["versions"]) >= {"python", "nash_dqn", "safetensors"}


def damaged(data: bytes) -> list[bytes]:
    """Empty, truncated, with one bit turned, longer."""
    return [b"", data[: len(data) // 2], data[:-3] + bytes([data[-3] ^ 1]) + data[-2:], data + b"\n"]


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A folder with a training's files, a table of its own and one below it."""
    history = pd.DataFrame({"seed": [1, 1], "iteration": [100, 200], "loss": [2.0, 1.0]})
    result = Result(TENSORS, METADATA, ({}, METADATA), history, {"seeds": [1], "members": []})
    write_training(result, *(tmp_path / name for name in FILES))
    write_csv(tmp_path / "gains.csv", history)
    write_csv(tmp_path / "below" / "gains.csv", history)
    return tmp_path


def read_any(path: Path) -> object:
    return read_table(path, []) if path.suffix == ".csv" else read_tensors(path)


@pytest.mark.parametrize("name", ["snapshots.safetensors", "history.csv", "below/gains.csv"])
def test_a_damaged_or_edited_file_is_named(results: Path, name: str) -> None:
    """Those of a training by its record, other tables by what lies beside them."""
    path = results / name
    read_any(path)
    witness = "run.json" if name in FILES else ".gains.csv.sha256"
    wrong = f"{path}: truncated or edited: its sha256 is not the one in {witness} beside it; "
    for content in damaged(path.read_bytes()):
        path.write_bytes(content)
        assert refusal(read_any, path).startswith(wrong)
        if path.suffix == ".csv":
            assert refusal(read_table, path, [], True).startswith(wrong)
    for other in {*FILES[:3], "gains.csv", "below/gains.csv"} - {name}:
        read_any(results / other)


def test_what_a_training_leaves(results: Path) -> None:
    assert contents(results) == sorted([*FILES, "gains.csv", ".gains.csv.sha256", "below"])
    assert read_json(results / "run.json")["kind"] == "training"
    assert read_tensors(results / "snapshots.safetensors")[0] == {}  # too short for one
    check = ["sha256sum", "--check", "--strict", ".gains.csv.sha256"]
    assert subprocess.run(check, cwd=results, capture_output=True).returncode == 0


def test_a_table_without_a_digest_is_read_only_as_a_foreign_one(results: Path) -> None:
    """Made by hand, copied alone, or of a training whose record holds no digests."""
    (results / "run.json").write_text("{}")
    (results / "gains.csv").rename(results / "mine.csv")
    for name in ("mine.csv", "history.csv"):
        assert f"{name}: no sha256 beside it tells whether it is whole; " in refusal(read_table, results / name, [])
        assert len(read_table(results / name, ["loss"], foreign=True)) == 2


def test_a_damaged_record_is_named_by_those_who_need_it(results: Path) -> None:
    (results / "run.json").write_bytes((results / "run.json").read_bytes()[:-9])
    assert "run.json: not JSON" in refusal(read_tensors, results / "weights.safetensors")


# --- what to do about it ----------------------------------------------------------------------------------

SNAKEFILE = r"""
rule all:
    input: "drawn",
rule draw:
    input: "results/a table.csv",
    output: "drawn",
    shell: "cp {input:q} {output}"
rule table:
    output: "results/a table.csv",
    shell: "cd results; printf 'a\\n1\\n2\\n' >'a table.csv'; sha256sum 'a table.csv' >'.a table.csv.sha256'"
"""


def test_the_command_that_an_error_recommends_rebuilds_the_file_in_its_own_run(tmp_path: Path) -> None:
    """Damaged or gone, though what depends on it is there and newer; another run's file stays as it is."""
    run, other = tmp_path / "it's a run" / "results", tmp_path / "results"
    for results in (run, other):
        results.mkdir(parents=True)
        (results / "a table.csv").write_text("of another run, and damaged too\n")
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    here: dict[str, Any] = {"cwd": tmp_path, "check": True, "capture_output": True}
    here["env"] = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    subprocess.run(["snakemake", "--cores", "1", "--directory", str(run.parent), "--forceall"], **here)
    table = run / "a table.csv"
    assert read_table(table, ["a"])["a"].tolist() == [1, 2]
    for damage in (lambda: table.write_bytes(b"a\n1\n"), table.unlink):
        damage()
        message = refusal(read_table, table, ["a"])
        assert f"--directory {shlex.quote(str(run.parent))}" in message
        subprocess.run(message[message.index("snakemake --directory") :], shell=True, **here)
        assert read_table(table, ["a"])["a"].tolist() == [1, 2]
    assert (other / "a table.csv").read_text() == "of another run, and damaged too\n"


def test_hints_for_files_that_no_rule_makes(tmp_path: Path) -> None:
    """A training does without its checkpoint, and a copy outside any run can only be copied again."""
    assert "copy it again from where it was made" in refusal(read_json, tmp_path / "x.json")
    (tmp_path / ".snakemake").mkdir()
    checkpoint = tmp_path / ".checkpoints" / "a b" / "checkpoint.safetensors"
    assert refusal(read_tensors, checkpoint).endswith("a training that finds it so begins anew")
