"""An interrupted training ends as if it had not been: stopped at any iteration, or killed at any moment."""

from __future__ import annotations

import io
import json
import math
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pytest
import torch

from nash_dqn import checkpoint
from nash_dqn.agents import fictitious_play, least_squares, nash_dqn, self_play, snapshots
from nash_dqn.agents.learner import Learner
from nash_dqn.agents.monitor import Monitor
from nash_dqn.agents.training import TrainingResult
from nash_dqn.artifacts import ArtifactError, read_json, write_tensors, write_training
from nash_dqn.checkpoint import Checkpoint, key_of, read_progress
from nash_dqn.config import training_settings
from nash_dqn.networks import create
from nash_dqn.seeding import generator
from tests.common import CONFIG, ROOT
from tests.common import SMALL as GAME

SEEDS = [1, 2, 3, 4, 5]
FILES = ("weights.safetensors", "snapshots.safetensors", "history.csv")
Train = Callable[[Checkpoint | None], TrainingResult]
ALGORITHMS: dict[str, tuple[Any, Any]] = {
    "nash_dqn": (nash_dqn, nash_dqn.NashDQNRecipe),
    "fictitious_play": (fictitious_play, fictitious_play.FictitiousPlayRecipe),
    "self_play": (self_play, self_play.SelfPlayRecipe),
    "least_squares": (least_squares, least_squares.LeastSquaresRecipe),
}


def trained(name: str, **changes: Any) -> Train:
    """A policy of the full run, trained at a small size."""
    settings = training_settings(CONFIG, "code", name)
    module, recipe_type = ALGORITHMS[settings["algorithm"]]
    recipe = recipe_type.from_dict({**settings["recipe"], **changes})

    def train(checkpoint: Checkpoint | None) -> TrainingResult:
        result: TrainingResult = module.train(GAME, recipe, SEEDS, "cpu", checkpoint, scenario="s", policy=name)
        return result

    return train


SMALL = {"value_hidden": [4], "advantage_hidden": [5], "iterations": 110}
ONCE = {"episodes_per_iteration": 4, "minibatch_episodes": 4, "replay_episodes": 4}
REPLAYED = {"episodes_per_iteration": 2, "minibatch_episodes": 3, "replay_episodes": 50}
RESETS = {"refresh": 4, "start": "random", "resets": {"after": 10, "good_below": 3000, "above": 4000}}
STOPPING = {"patience": 18, "history_every": 7, "target": RESETS}
RESPONSES = {
    "actor_hidden": [5], "critic_hidden": [4], "iterations": 4, "first_epochs": 50, "epochs": 20,
    "episodes_per_epoch": 3, "history_every": 8,
}  # fmt: skip
# Patience, and limits of losses, so low that one member leaves after the other.
TRAININGS: dict[str, Train] = {
    "replay, resets, stopping early": trained("nash-code", **SMALL, **REPLAYED, **STOPPING),
    "refined": trained("nash-refined", **SMALL, **ONCE, history_every=9),
    "lq, diverging": trained("nash-lq", **SMALL, **ONCE, history_every=4, divergence_factor=2.6),
    "fictitious play, diverging": trained("fp-code", **RESPONSES, largest_loss=700),
    "average": trained("fp-average", **RESPONSES, returned="online", optimisers="kept"),
    "self-play": trained("reference", hidden=[5], iterations=110, episodes_per_iteration=20, history_every=9),
    "least squares": trained("nash-least-squares", iterations=110, episodes_per_iteration=20, history_every=9),
}


class Interrupted(Checkpoint):
    """Written once, before iteration ``at``; some iterations later the training is interrupted."""

    def __init__(self, path: Path, at: int, lost: int = 3) -> None:
        super().__init__(path, "key", 0)
        self.at, self.end = at, at + lost

    def write(self, state: Any, progress: Mapping[str, Any]) -> None:
        if progress["done"] == self.at:
            super().write(state, progress)
        if progress["done"] >= self.end:
            raise KeyboardInterrupt


@pytest.fixture(autouse=True)
def small_snapshots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "_FIRST", 100)


def files(folder: Path, result: TrainingResult) -> dict[str, Any]:
    """What a training leaves behind, its record without times."""
    write_training(result, *(folder / name for name in (*FILES, "run.json")))
    record = read_json(folder / "run.json")
    for timed in (record, *record["snapshots"]):
        assert timed.pop("wall_seconds") > 0
    del record["peak_memory_mib"]
    return {"record": record, **{name: (folder / name).read_bytes() for name in FILES}}


# 50: where a block of random numbers ends, and the first best response; else in the midst of both
@pytest.mark.parametrize(
    ("name", "stops"),
    [
        ("replay, resets, stopping early", [30]),
        ("refined", [50]),
        ("lq, diverging", [50]),
        ("fictitious play, diverging", [50]),
        ("average", [10, 40, 41, 90]),
        ("self-play", [30]),
        ("least squares", [30]),
    ],
)
def test_a_training_stopped_and_resumed_is_the_same_to_the_bit(name: str, stops: list[int], tmp_path: Path) -> None:
    """Once or again and again; members leave, and weights are taken back, before and after a stop."""
    whole = files(tmp_path, TRAININGS[name](None))
    path = tmp_path / "checkpoint.safetensors"
    for at in stops:
        with pytest.raises(KeyboardInterrupt):
            TRAININGS[name](Interrupted(path, at))
    assert files(tmp_path, TRAININGS[name](Checkpoint(path, "key"))) == whole

    members = whole["record"]["members"]
    ended = [member["iterations"] for member in members]
    assert max(ended) > stops[-1] + 3, "or it was not stopped"
    if "diverging" in name or "early" in name:
        assert any(iteration < 50 for iteration in ended) and any(50 < iteration < 110 for iteration in ended), ended
    if "resets" in name:
        history = pd.read_csv(io.BytesIO(whole["history.csv"]))
        before, in_all = (
            history[history["iteration"] <= end].groupby("seed")["resets"].max().sum() for end in (30, 110)
        )
        assert 0 < before < in_all
        assert max(member["iterations"] - member["returned_iteration"] for member in members) >= 5


class Pair(NamedTuple):
    """Not of the package."""

    first: int


NETWORK = create((range(2), range(2, 3)), 4, 2, (3,), (5,), 2, [generator(1)], skip=(2, 2))
STATE: dict[str, Any] = {
    "tensors": [torch.tensor(2.5, dtype=torch.float64), torch.arange(6).reshape(2, 3).T, torch.empty(0, 3)],
    "stream": generator(3, "test").get_state(),
    "learner": Learner.create(NETWORK, 0.1),
    "monitor": Monitor.create([7], NETWORK.state_dict("v"), 9, 3, ("loss",), "loss", patience=2),
    "more": [None, -math.inf, ({"text": "Ψ", "whole": 3}, range(2, 5))],
}


def write(path: Path, state: Any = STATE) -> bytes:
    Checkpoint(path, "key").write(state, {"done": 3})
    return path.read_bytes()


def assert_same(one: Any, other: Any) -> None:
    """The same types, and equal to the bit."""
    assert type(one) is type(other)
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other)
        assert (one.dtype, one.device, one.requires_grad) == (other.dtype, other.device, other.requires_grad)
        assert other.data_ptr() % 64 == 0
    elif isinstance(one, (list, tuple)):
        for of_one, of_other in zip(one, other, strict=True):
            assert_same(of_one, of_other)
    elif isinstance(one, dict) or hasattr(one, "__dict__"):
        entries, others = (value if isinstance(value, dict) else vars(value) for value in (one, other))
        assert list(entries) == list(others)
        assert_same(list(entries.values()), list(others.values()))
    else:
        assert one == other


def test_a_state_comes_back_as_it_was(tmp_path: Path) -> None:
    write(tmp_path / "c")
    assert_same(STATE, Checkpoint(tmp_path / "c", "key").read())
    assert read_progress(tmp_path / "c") == {"done": 3}


@pytest.mark.parametrize("name", ["subprocess:Popen", "nash_dqn.checkpoint:Checkpoint", "nash_dqn.checkpoint:log"])
def test_no_other_class_is_ever_made(name: str, tmp_path: Path) -> None:
    write(tmp_path / "c", Pair(3))
    content, tensors = checkpoint._read(tmp_path / "c")
    with pytest.raises(TypeError, match="is no class of a training's state"):
        checkpoint._join({**content["state"], "is": name}, tensors)


def test_it_is_due_when_the_time_has_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now, times = [100.0], []
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    kept = Checkpoint(tmp_path / "c.safetensors", "key", 20)
    for _ in range(7):
        now[0] += 9
        if kept.due:
            kept.write({}, {})
            times.append(now[0])
    assert times == [127, 154]  # the first iteration at or after each 20 s, counted from the last


def test_a_checkpoint_of_other_settings_is_not_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "c.safetensors"
    assert Checkpoint(path, "key").read() is None and not caplog.messages
    write(path)
    assert Checkpoint(path, "other").read() is None
    assert caplog.messages == [f"{path}: of other settings, code or device; the training starts over"]


def test_the_key_knows_settings_code_and_device() -> None:
    settings = {"recipe": {"iterations": 3, "rate": 0.1}, "seeds": [1, 2]}
    key = key_of(settings, "digest", "cpu")
    assert key == key_of({"seeds": [1, 2], "recipe": {"rate": 0.1, "iterations": 3}}, "digest", "cpu")
    others = [
        key_of({**settings, "seeds": [2, 1]}, "digest", "cpu"),
        key_of(settings, "edited", "cpu"),
        key_of(settings, "digest", "cuda"),
    ]
    assert len({key, *others}) == 4


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "truncated": lambda data: data[: len(data) // 2],
    "last byte missing": lambda data: data[:-1],
    "a bit of a tensor": lambda data: flipped(data, len(data) - 3),
    "a bit of the rest": lambda data: flipped(data, data.index(b"whole") + 9),
    "not ours": lambda data: b"PK\x03\x04" + data,
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_checkpoint_is_reported_and_the_training_starts_over(
    damage: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "c.safetensors"
    whole = write(path)
    path.write_bytes(DAMAGE[damage](whole))
    assert Checkpoint(path, "key").read() is None
    [message] = caplog.messages
    assert message.startswith(f"{path}: ") and message.endswith("; the training starts over")
    assert "\n" not in message
    assert write(path) == whole  # and is replaced by a sound one


def test_weights_are_no_checkpoint(tmp_path: Path) -> None:
    write_tensors(tmp_path / "w.safetensors", {"w": torch.ones(2)}, {"policy": "{}"})
    with pytest.raises(ArtifactError, match="w.safetensors: no checkpoint of a training"):
        read_progress(tmp_path / "w.safetensors")


def test_a_checkpoint_that_cannot_be_written_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    Checkpoint(tmp_path / "file" / "c.safetensors", "key").write(STATE, {})
    [message] = caplog.messages
    assert message.startswith("no checkpoint kept: ") and "\n" not in message


def test_a_checkpoint_is_deleted_with_what_killed_sessions_left_of_it(tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    write(path)
    (tmp_path / ".c.0123456789ab.tmp.safetensors").write_text("half of a check")
    (tmp_path / "other.safetensors").write_text("of another training")
    for _ in range(2):
        Checkpoint(path, "key").delete()
    assert [file.name for file in tmp_path.iterdir()] == ["other.safetensors"]


KILLS = 4


def test_a_killed_training_is_the_same_to_the_byte(tmp_path: Path) -> None:
    """A job of the workflow, killed at random moments by SIGKILL, SIGTERM and SIGINT in turn, until it is through."""
    command = [sys.executable, str(ROOT / "tests" / "killed_training.py"), str(KILLS)]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=600)
    assert run.returncode == 0, run.stderr
    trial = json.loads(run.stdout)
    assert trial["resumed"] >= 1  # others were hit before the first checkpoint
    assert trial["same"] == {name: True for name in (*FILES, "record")}
    assert trial["left"] == []  # neither a checkpoint nor a temporary file
    assert trial["wall_seconds"] > trial["last_session"] / 2
