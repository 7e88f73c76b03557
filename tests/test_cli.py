"""``nash-dqn``: what ``show`` says of files the library wrote, and one line for every mistake."""

import json
import math
import os
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from nash_dqn import __version__
from nash_dqn.agents import nash_dqn
from nash_dqn.agents.training import describe
from nash_dqn.artifacts import run_record, write_csv, write_json, write_tensors, write_training
from nash_dqn.checkpoint import Checkpoint
from nash_dqn.cli import main
from nash_dqn.config import recipe
from nash_dqn.games.base import Game, ObservationSpec
from nash_dqn.games.basket import Basket
from nash_dqn.games.interbank import Interbank
from nash_dqn.games.traders import Traders
from nash_dqn.status import RuleState, RunState
from tests.common import CONFIG, FILES, ROOT
from tests.weights import FULL, META, SEEDS, answered, network, record, refused, write_networks

RECIPE = {"penalty": {"norm": "l1", "beta": 0.5}, "iterations": 40}


def write_weights(path: Path, **meta: Any) -> None:
    """A trained policy; the second member is not finite."""
    actor = network(FULL, 1)
    actor.sigma.biases[0][1, 0, 0] = math.nan
    write_networks(path, {"actor": actor, "critic": network(FULL, 2)}, FULL, bound=50.0, **meta)


def history() -> pd.DataFrame:
    """Of seed 5 the loss falls by a factor of ten a row, seed 1 has one row, seed 7 ends without a number."""
    rows = [(5, 10 * k, 100 * k, 10.0 ** (4 - k), float(k)) for k in range(1, 5)]
    rows += [(1, 10, 100, 3.0, 2.0), (7, 10, 100, 3.0, 1.0), (7, 20, 200, math.nan, 1.0)]
    return pd.DataFrame(rows, columns=["seed", "iteration", "transitions", "loss", "reward"])


def gains() -> pd.DataFrame:
    rows = [
        ("toy", "mine", "nash_dqn", seed, deviator, player, gain * scale, -2.0)
        for seed, scale in ((5, 1.0), (1, math.nan), (7, 2.0))
        for deviator, gain in (("same", 0.1), ("memory", 0.2))
        for player in ("1", "2", "3")
    ]
    rows += [("toy", "mine", "nash_dqn", 5, "same", "nashconv", 99.0, -2.0)]
    columns = ["scenario", "policy", "algorithm", "seed", "deviator", "player", "gain", "value"]
    return pd.DataFrame(rows, columns=columns)


def write_folder(folder: Path) -> Path:
    """A training's folder."""
    write_weights(folder / "weights.safetensors")
    write_weights(folder / "snapshots.safetensors", transitions=[10, 20, 20])
    write_csv(folder / "history.csv", history())
    write_json(folder / "run.json", record(recipe=RECIPE))
    (folder / "notes.md").write_text("nothing of ours\n")
    return folder


def shown(capsys: pytest.CaptureFixture[str], path: Path) -> tuple[dict[str, Any], str]:
    """As JSON and as text."""
    summary = answered(capsys, "show", str(path))
    assert main(["show", str(path)]) == 0
    text, err = capsys.readouterr()
    assert err == ""
    assert text.count("\n") < 60
    return summary, text


def row_of(text: str, start: str) -> list[str]:
    """The words of the one line that starts so."""
    (line,) = [line for line in text.splitlines() if line.split()[:1] == [start]]
    return line.split()[1:]


# --- show ---------------------------------------------------------------------------------------------------


def test_weights_and_snapshots(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "weights.safetensors"
    write_weights(path)
    summary, text = shown(capsys, path)
    assert (summary["kind"], summary["algorithm"], summary["scenario"]) == ("weights", "nash_dqn", "toy")
    assert (summary["policy"], summary["seeds"], summary["bound"]) == ("mine", SEEDS, 50.0)
    assert (summary["finite"], summary["sees"]["price"]) == ([True, False, True], "S-Y")
    # phi 2-4-3, sigma 6+3-6-5-1, and a linear skip term of 8 features at each of 4 steps
    actor = (2 * 4 + 4 + 4 * 3 + 3) + (9 * 6 + 6 + 6 * 5 + 5 + 5 * 1 + 1) + 4 * 8
    layers = {"phi": [2, 4, 3], "sigma": [9, 6, 5, 1], "skip": [4, 8, 1]}
    assert summary["networks"]["actor"] == {**layers, "parameters": actor}
    assert row_of(text, "finite") == ["true,", "false,", "true"]
    write_weights(path, transitions=[10_000, 20_000, 20_000])
    summary, _ = shown(capsys, path)
    assert (summary["kind"], summary["transitions"]) == ("snapshots", [10_000, 20_000, 20_000])


def test_a_runs_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_json(tmp_path / "run.json", record(recipe=RECIPE))
    summary, text = shown(capsys, tmp_path / "run.json")
    assert (summary["kind"], summary["of"], summary["config"]["recipe"]["iterations"]) == ("run", "training", 40)
    assert row_of(text, "5") == ["40", "iterations", "false", "1.25"]
    assert row_of(text, "1") == ["20", "diverged", "true", "null"]
    assert f"torch {torch.__version__}" in text
    assert "penalty (norm l1, beta 0.5)" in " ".join(text.split())
    write_json(tmp_path / "run.json", run_record("evaluation", {"paths": 7}))
    summary, text = shown(capsys, tmp_path / "run.json")
    assert (summary["of"], summary["paths"], row_of(text, "paths")) == ("evaluation", 7, ["7"])


def test_a_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """How far a training is."""
    run = {"algorithm": "nash_dqn", **META, "seeds": [5, 1], "device": "cpu", "wall_seconds": 83.2}
    ends = [(5, 1200, "goes on", 2.5), (1, 400, "diverged", None)]
    members = [
        {"seed": seed, "iterations": at, "stopped": end, "diverged": end == "diverged", "final_loss": loss}
        for seed, at, end, loss in ends
    ]
    path = tmp_path / "results" / "checkpoint.safetensors"
    progress = {**run, "done": 1234, "total": 20_000, "members": members}
    Checkpoint(path, "key").write({"noise": torch.ones(3)}, progress)
    summary, text = shown(capsys, path)
    assert (summary["kind"], summary["algorithm"], summary["policy"]) == ("checkpoint", "nash_dqn", "mine")
    assert (summary["done"], summary["total"], summary["wall_seconds"]) == (1234, 20_000, 83.2)
    assert row_of(text, "5") == ["goes", "on", "1200", "2.5"]
    assert row_of(text, "1") == ["diverged", "400", "null"]
    assert "1,234 of 20,000 iterations, 83 s" in shown(capsys, tmp_path)[1]


def test_a_history(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "history.csv"
    write_csv(path, history())
    summary, text = shown(capsys, path)
    first = summary["members"][0]
    assert (summary["kind"], summary["curve_of"], first["rows"], first["transitions"]) == ("history", "loss", 4, 400)
    assert (first["loss"], first["reward"]) == ({"first": 1000.0, "last": 1.0}, {"first": 1.0, "last": 4.0})
    assert first["curve"] == [1000.0, 100.0, 10.0, 1.0]
    # even steps of the logarithm
    assert row_of(text, "5") == ["4", "40", "400", "1000", "->", "1", "1", "->", "4", "█▆▃▁"]
    assert row_of(text, "7")[-1] == "▁?"
    long = pd.DataFrame({"seed": 1, "iteration": range(1, 641), "transitions": range(640), "reward": range(-99, 541)})
    write_csv(path, long)
    summary, _ = shown(capsys, path)
    assert summary["members"][0]["curve"] == [20.0 * k - 89.5 for k in range(32)]  # means of 20 rows each


def test_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "gains.csv"
    gains().to_csv(path, index=False)  # anybody's
    summary, _ = shown(capsys, path)
    columns = {column.pop("column"): column for column in summary["columns"]}
    assert (summary["kind"], summary["rows"]) == ("table", 19)
    assert columns["gain"] == {"low": 0.1, "high": 99.0, "empty": 6}
    assert columns["deviator"] == {"values": ["same", "memory"], "empty": 0}


def test_a_trainings_folder_and_its_score(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_folder(tmp_path / "toy" / "mine")
    summary, text = shown(capsys, folder)
    assert (summary["kind"], summary["policy"], summary["gains_of_deviators"]) == ("training", "mine", None)
    assert summary["snapshots_after"] == [10, 20]
    assert row_of(text, "5") == ["40", "iterations", "false", "1.25", "█▆▃▁"]

    write_csv(folder / "exploitability.csv", gains())
    summary, text = shown(capsys, folder)
    assert summary["gains_of_deviators"] == str(folder / "exploitability.csv")
    first, diverged, last = summary["members"]
    assert [first["gain"]["same"], first["share"]["same"], last["gain"]["memory"], last["share"]["memory"]] == (
        pytest.approx([0.1, 0.05, 0.4, 0.2])
    )
    assert (diverged["gain"]["same"], diverged["share"]["same"]) == (None, None)
    assert row_of(shown(capsys, folder / "weights.safetensors")[1], "7")[-4:] == ["0.2", "0.4", "0.1", "0.2"]


def test_whatever_the_workflow_makes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Figures, pages, logs, benchmarks, measurements and a run's state; other people's files are left out."""
    write_folder(tmp_path / "a" / "run")
    png = b"\x89PNG\r\n\x1a\n" + bytes(8) + (640).to_bytes(4) + (480).to_bytes(4)
    made: dict[str, tuple[bytes, str, dict[str, Any]]] = {
        "fig.png": (png, "figure", {"pixels": [640, 480]}),
        "fig.pdf": (b"%PDF-1.4\n", "figure", {"bytes": 9}),
        "page.html": (b"<!DOCTYPE html>\n<title>Claims</title>\n", "page", {"title": "Claims"}),
        "job.log": (b"10:00:01 process 7 on n\n10:00:09 5 of 20 iterations, loss 3\n", "log",
                    {"iterations": "5 of 20", "last_line": "10:00:09 5 of 20 iterations, loss 3"}),
        "job.tsv": (b"s\th:m:s\tmax_rss\n2.5\t0:00:02\t-\n", "benchmark", {"rows": 1}),
        "cost.json": (b'[{"agents": 2, "ms": 1.5}]', "measurements", {"rows": [{"agents": 2, "ms": 1.5}]}),
        "logs/progress.json": (b'{"slots": 1, "rules": {}, "active": {}}', "state of a run",
                               {"more": f"nash-dqn status {tmp_path}"}),
    }  # fmt: skip
    (tmp_path / "logs").mkdir()
    for name, (content, kind, holds) in made.items():
        (tmp_path / name).write_bytes(content)
        summary, _ = shown(capsys, tmp_path / name)
        assert (summary["kind"], {key: summary[key] for key in holds}) == (kind, holds)
    (tmp_path / "pyproject.toml").write_text("[build-system]\nrequires = []\n")
    (tmp_path / "notes.md").write_text("a note, of no use\n")
    (tmp_path / "logs" / "package.json").write_text('{"name": "another"}\n')
    (tmp_path / "run.json").write_text("{")
    summary, text = shown(capsys, tmp_path)
    assert {entry["path"] for entry in summary["entries"]} == {*made, "a/run", "run.json"}
    assert row_of(text, "a/run") == ["training", "3", "seeds,", "1", "diverged,", "83", "s"]
    assert row_of(text, "run.json") == ["record", "damaged"]


GAMES: dict[str, Game] = {
    "groups": Traders(sizes=(1, 2), n_steps=3),
    "vectors": Basket(n_agents=2, n_steps=3),
    "another field": Interbank(n_agents=3, n_steps=3),
}
SHORTLY: dict[str, Any] = {
    **{"iterations": 2, "episodes_per_iteration": 2, "minibatch_episodes": 2, "replay_episodes": 2, "patience": None},
    **{"observation": {"inventories": "visible"}, "phi_hidden": [4], "value_hidden": [6], "advantage_hidden": [5]},
    **{"skip_terms": True, "history_every": 2},
}


def train_elsewhere(folder: Path, game: Game) -> Path:
    """A short training on a game that is not the market, as the library writes it."""
    settings = {**recipe(CONFIG, "nash-text"), **SHORTLY}
    result = nash_dqn.train(game, nash_dqn.NashDQNRecipe.from_dict(settings), [3, 4], **META)
    write_training(result, *(folder / name for name in FILES))
    return folder


def test_trainings_on_other_games(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = "of another game than the market, which alone act is for; give a policy of it"
    scores = gains().assign(seed=lambda rows: rows["seed"].map({5: 3, 1: 4, 7: 9}))
    for name, game in GAMES.items():
        folder = train_elsewhere(tmp_path / name, game)
        write_csv(folder / "exploitability.csv", scores)
        summary, _ = shown(capsys, folder)
        assert (summary["algorithm"], summary["seeds"], summary["of_market"]) == ("nash_dqn", [3, 4], False)
        assert (summary["action_dim"], summary["finite"]) == (game.action_dim, [True, True])
        assert summary["members"][0]["share"]["same"] == pytest.approx(0.05)
        for file in FILES:
            shown(capsys, folder / file)
        message = refused(capsys, "act", "--policy", str(folder), "--time", "0", "--price", "10", "--inventory", "2")
        assert message == f"nash-dqn act: {folder / 'weights.safetensors'}: {wrong}"
    # Traders see five own features; the lone one has others in the second group only, the two in both groups.
    summary, _ = shown(capsys, tmp_path / "groups")
    value = summary["networks"]["value"]
    assert summary["groups"] == [1, 2]
    assert (value["group_0.sigma"], value["group_1.sigma"]) == ([9, 6, 1], [13, 6, 1])
    assert value["group_1.phi_0"] == value["group_1.phi_1"] == [1, 4]
    assert value["group_0.skip"] == [3, 21, 1]  # products of 5 features and a mean item at each step


# --- what is refused ----------------------------------------------------------------------------------------


EDITED_RECORDS: list[dict[str, Any]] = [
    {"members": None}, {"members": [{}]}, {"seeds": [5]}, {"config": {}}, {"wall_seconds": "long"}, {"versions": 3},
    {"algorithm": None},
]  # fmt: skip
EDITED_POLICIES: list[dict[str, Any]] = [
    {"seeds": [1, 2]}, {"seeds": None}, {"observation": {"price": "gold"}}, {"bound": "wide"},
    {"meta": {"transitions": [1]}}, {"meta": {"groups": [3]}}, {"meta": {"groups": [1, "2"]}}, {"meta": {"groups": 3}},
]  # fmt: skip


def test_edited_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "run.json"
    for edit in EDITED_RECORDS:
        write_json(path, {key: value for key, value in {**record(), **edit}.items() if value is not None})
        assert f"{path}: not a run's record as this package writes it" in refused(capsys, "show", str(path))
    path = tmp_path / "edited" / "weights.safetensors"
    description = json.loads(describe("nash_dqn", FULL, SEEDS, 1, None, **META)["policy"])
    actor = network(FULL, 1).state_dict("actor")
    for edit in EDITED_POLICIES:
        write_tensors(path, actor, {"policy": json.dumps({**description, **edit})})
        assert f"{path}: not a policy as this package writes it" in refused(capsys, "show", str(path))
    of_group = {
        key.replace("actor", "actor.group_0"): tensor
        for key, tensor in network(ObservationSpec(), 1).state_dict("actor").items()
    }
    for tensors, meta, wrong in (
        ({**actor, "actor.sigma.1.weight": torch.zeros(3, 7, 5)}, META, "actor.sigma.1 does not fit the layer before"),
        ({**actor, "actor.other": torch.zeros(3, 1)}, META, "actor.other belongs to no network"),
        (of_group, {**META, "groups": [0]}, "groups of [0] agents"),
    ):
        write_tensors(path, tensors, {"policy": json.dumps({**description, "meta": meta})})
        assert wrong in refused(capsys, "show", str(path))
    path = tmp_path / "history.csv"
    path.write_text("seed,iteration,transitions,loss\n1,10,100,much\n")
    assert f"{path}: not a training's history as" in refused(capsys, "show", str(path))
    path.write_text("seed,iteration,transitions,loss\n1,10,100,1")
    assert f"{path}: not a table as this package writes it (ValueError('cut off" in refused(capsys, "show", str(path))


def test_foreign_and_missing_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes.md").write_text("a note, of no use\n")
    (tmp_path / "x.json").write_text('{"a": 1}\n')
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "empty").mkdir()
    write_weights(tmp_path / "w" / "weights.safetensors")
    write_json(tmp_path / "w" / "run.json", record(scenario="other"))
    for name, expected in {
        "notes.md": "notes.md: nothing that this workflow makes; give weights",
        "pipe": "pipe: nothing that this workflow makes; give weights",
        "x.json": "x.json: JSON of another origin",
        "absent": "absent: no such file",
        "empty": "empty: nothing in it that this workflow makes",
        "w": "run.json: of another training (scenario 'other'",
        "x" * 5000: "File name too long",
    }.items():
        assert expected in refused(capsys, "show", str(tmp_path / name))


def test_misspelt_commands(capsys: pytest.CaptureFixture[str]) -> None:
    for words, expected in {
        "": "nash-dqn: the following arguments are required: COMMAND",
        "sow": "nash-dqn: COMMAND: invalid choice: 'sow'",
        "show": "nash-dqn show: the following arguments are required: PATH",
        "show ''": "nash-dqn show: PATH: got '', expected a file or folder (. is this one)",
        "show --jso x": "nash-dqn: unrecognized arguments: --jso",
    }.items():
        assert refused(capsys, *shlex.split(words)).startswith(expected)


# --- the program --------------------------------------------------------------------------------------------


def test_help_and_status_do_not_wait_for_torch(tmp_path: Path) -> None:
    """Nor for pandas or any other library that takes long to import."""
    RunState(started=0.0, slots=1, rules={"train_x": RuleState(1)}).write(tmp_path)
    printed = []
    for arguments in (["--help"], ["show", "--help"], ["act", "--help"], ["--version"], ["status", str(tmp_path)]):
        code = f"import sys; sys.argv[1:] = {arguments}\nfrom nash_dqn.cli import main\ntry: main()\n"
        code += "finally: assert not {'torch', 'numpy', 'pandas', 'yaml', 'pydantic'} & set(sys.modules)"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
        printed.append(done.stdout)
    assert printed[-2] == f"nash-dqn {__version__}\n" and "0 of 1 jobs done" in printed[-1]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["scripts"] == {"nash-dqn": "nash_dqn.cli:main"}


def test_output_that_cannot_be_written(tmp_path: Path) -> None:
    """ASCII only, a reader that leaves, a full disk and a closed output: no traceback, and help is no exception."""
    RunState(started=0.0, slots=1, rules={"train_x": RuleState(1)}, failed=["κκκκ"]).write(tmp_path)
    program = [sys.executable, "-m", "nash_dqn.cli"]
    show = [*program, "status", str(tmp_path)]
    ascii_only = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = subprocess.run(show, capture_output=True, env=ascii_only)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"????" in done.stdout
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as left:
        done = subprocess.run(show, stdout=left, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (0, b"")
    for command in (shlex.join(show), shlex.join([*program, "--help"])):
        for redirection, wrong in ((">/dev/full", "No space left on device"), (">&-", "closed")):
            done = subprocess.run(f"{command} {redirection}", shell=True, stderr=subprocess.PIPE)
            assert done.returncode == 2
            assert done.stderr.decode().endswith(f": standard output: {wrong}\n") and done.stderr.count(b"\n") == 1
    for redirection in ("2>&-", "2>/dev/full"):
        done = subprocess.run(f"{shlex.join([*program, 'status', 'nowhere'])} {redirection}", shell=True)
        assert done.returncode == 2
