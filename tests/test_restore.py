"""The record of trainings: what is packed comes back byte for byte, and only where it is the same training."""

import hashlib
import io
import lzma
import tarfile
from pathlib import Path
from typing import Any

import pytest
import torch

from nash_dqn.agents.training import describe
from nash_dqn.artifacts import ArtifactError, read_json, read_tensors, write_json, write_tensors
from nash_dqn.games.base import ObservationSpec
from nash_dqn.restore import INDEX, archives, is_restored, pack, plan, restore

NAME, OTHER = "code/nash-code", "code/nash-text"
SETTINGS: dict[str, Any] = {"recipe": {"rate": 0.5, "penalty": {"beta": 10}}, "seeds": [1, 2]}
CODE = "c0de"
SNAPSHOTS = "snapshots.safetensors"
WITHOUT = {NAME: [], OTHER: [SNAPSHOTS]}


def leave(folder: Path, transitions: list[int]) -> None:
    """What a training leaves, in little, with snapshots after so many joint transitions."""
    folder.mkdir(parents=True)
    (folder / "weights.safetensors").write_bytes(bytes(range(256)) * 40)
    (folder / "history.csv").write_text("seed,loss\n1,0.5\n")
    tensors = {"actor.sigma.0.weight": torch.ones(len(transitions), 2, 3)} if transitions else {}
    seeds = [1] * len(transitions)
    policy = describe("nash_dqn", ObservationSpec(), seeds, 1, None, policy="nash-code", transitions=transitions)
    write_tensors(folder / SNAPSHOTS, tensors, policy)
    digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    write_json(folder / "run.json", {"kind": "training", "wall_seconds": 1.5, "sha256": digests})


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    for training in WITHOUT:
        leave(tmp_path / "trained" / training, [10_000, 20_000])
    return tmp_path / "trained"


def recorded(trained: Path) -> dict[str, bytes]:
    return archives(
        trained, {name: {"settings": SETTINGS, "code": CODE, "without": of} for name, of in WITHOUT.items()}
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def record(trained: Path, tmp_path: Path) -> Path:
    """Of both, of one without its snapshots."""
    for name, data in recorded(trained).items():
        path = tmp_path / "record" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return tmp_path / "record"


def test_a_training_comes_back_byte_for_byte_and_marked(record: Path, trained: Path, tmp_path: Path) -> None:
    restore(record, NAME, tmp_path / NAME)
    run = tmp_path / NAME / "run.json"
    assert is_restored(run) and not is_restored(trained / NAME / "run.json")
    content = read_json(run)
    assert set(content.pop("restored")) == {"date", "nash_dqn", "without"}
    write_json(run, content)
    assert contents(tmp_path / NAME) == contents(trained / NAME)


def test_left_out_snapshots_are_those_of_a_short_training(record: Path, trained: Path, tmp_path: Path) -> None:
    leave(tmp_path / "short", [])
    restore(record, OTHER, tmp_path / OTHER)
    restored = contents(tmp_path / OTHER)
    assert restored[SNAPSHOTS] == contents(tmp_path / "short")[SNAPSHOTS] != contents(trained / OTHER)[SNAPSHOTS]
    assert read_tensors(tmp_path / OTHER / SNAPSHOTS)[0] == {}  # the digest in run.json is its own
    assert read_json(tmp_path / OTHER / "run.json")["restored"]["without"] == [SNAPSHOTS]


def test_an_archive_says_nothing_but_names_and_contents(trained: Path) -> None:
    """Neither order nor times nor owners: it is the same wherever it is made."""
    assert recorded(trained) == recorded(trained)
    data = pack({"b": b"1", "a": b"2"})
    assert data == pack({"a": b"2", "b": b"1"})
    with tarfile.open(fileobj=io.BytesIO(lzma.decompress(data))) as archive:
        assert [(m.name, m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode) for m in archive] == [
            (name, 0, 0, 0, "", "", 0o644) for name in ("a", "b")
        ]


def test_what_was_edited_is_not_recorded(trained: Path) -> None:
    (trained / NAME / "history.csv").write_text("seed\n2\n")
    with pytest.raises(ArtifactError, match=r"nash-code/history.csv: missing, truncated or edited: .* in run.json; "):
        recorded(trained)


ASKED = {"settings": SETTINGS, "code": CODE, "without": [SNAPSHOTS]}
TURNED = {"seeds": [1, 2], "recipe": {"penalty": {"beta": 10}, "rate": 0.5}}
AT_25 = {**SETTINGS, "recipe": {"rate": 0.5, "penalty": {"beta": 25}}}
ALL_ELSE = {"recipe": {}, "seeds": [2, 1], "device": "cuda"}


def test_a_training_is_restored_if_settings_and_code_agree(record: Path, tmp_path: Path) -> None:
    """And if it has the snapshots that are needed."""
    others: list[tuple[dict[str, Any] | None, str]] = [
        ({**ASKED, "settings": AT_25}, "other recipe.penalty.beta"),
        ({**ASKED, "settings": ALL_ELSE}, "other device, recipe.penalty and 2 more"),
        ({**ASKED, "code": "other"}, "the code that trains has changed"),
        (None, "no longer in the configuration"),
    ]
    for asked, reason in others:
        found = plan(record, tmp_path, lambda name, asked=asked: asked)  # type: ignore[misc]
        assert (found.restored, found.others) == ({}, {NAME: reason, OTHER: reason})
        head = f"{record}/ holds 2 trainings, 0 of which are restored where they are needed"
        assert str(found) == f"{head}; not restored: {NAME}, {OTHER} ({reason})."
    found = plan(record, tmp_path, lambda name: {**ASKED, "settings": TURNED})
    assert (list(found.restored), found.others) == ([NAME, OTHER], {})
    assert str(found) == f"{record}/ holds 2 trainings, 2 of which are restored where they are needed."
    found = plan(record, tmp_path, lambda name: {**ASKED, "without": []})
    assert (list(found.restored), found.others) == ([NAME], {OTHER: f"{SNAPSHOTS} not recorded"})
    assert str(plan(tmp_path, tmp_path, lambda name: None)) == f"{tmp_path}/ holds 0 trainings: nothing is restored."


def test_what_the_run_trained_stays_and_what_it_restored_is_restored_again(record: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    restore(record, NAME, results / NAME)
    write_json(results / OTHER / "run.json", {"kind": "training"})
    found = plan(record, results, lambda name: ASKED)
    assert (list(found.restored), found.others) == ([NAME], {OTHER: "trained by this run"})


@pytest.mark.parametrize("name", [f"{NAME}.tar.xz", INDEX])
def test_a_damaged_record_is_one_line(record: Path, tmp_path: Path, name: str) -> None:
    path = record / name
    for content in (b"cut", None):
        path.write_bytes(b"cut")
        if content is None:  # it cannot be read
            path.unlink()
            path.mkdir()
        with pytest.raises(ArtifactError) as planned:
            plan(record, tmp_path, lambda name: ASKED)
        with pytest.raises(ArtifactError) as restored:
            restore(record, NAME, tmp_path / "restored")
        line = str(planned.value)
        assert line == str(restored.value) and line.startswith(f"{path}: ") and "\n" not in line
        assert line.endswith(f"; put it back (git checkout {path}), or run snakemake without restore=true")
        assert not (tmp_path / "restored").exists()


def test_what_is_not_recorded_is_refused(record: Path, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"index.json: has no table1/fp-code; run snakemake without restore=true"):
        restore(record, "table1/fp-code", tmp_path / "restored")
