"""``nash-dqn``: what ``show`` says of files the library wrote, and one line for every mistake."""

import dataclasses
import json
import math
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from nash_dqn import __version__
from nash_dqn.agents import fictitious_play, nash_dqn, self_play
from nash_dqn.agents.training import describe
from nash_dqn.artifacts import read_tensors, run_record, write_csv, write_json, write_tensors, write_training
from nash_dqn.checkpoint import Checkpoint
from nash_dqn.cli import main
from nash_dqn.games.base import FeatureScales, Game, ObservationSpec
from nash_dqn.games.basket import Basket
from nash_dqn.games.interbank import Interbank
from nash_dqn.games.market import Market
from nash_dqn.games.traders import Traders
from nash_dqn.networks import ObservationNetwork
from nash_dqn.seeding import generator

GAME = Market(
    n_agents=3, horizon=2.0, n_steps=4, kappa=0.5, theta=10.0, sigma=0.1, gamma=0.02, rho=0.5, eta=0.05, b1=0.1, b2=0.1
)
SCALES = FeatureScales(time_centre=1, time=1, price=1, impact=1, flow=1, inventory=1)
SPEC = ObservationSpec("S-Y", "others_mean", True, "visible", SCALES)
SEEDS = [5, 1, 7]
META: dict[str, Any] = {"scenario": "toy", "recipe_name": "mine"}


def network(outputs: int, seeds: list[int] = SEEDS) -> ObservationNetwork:
    streams = [generator(seed, "test_cli", outputs) for seed in seeds]
    return ObservationNetwork.create(6, 2, (4, 3), (6, 5), outputs, streams, skip=(4, 1))


def write_weights(path: Path, **meta: Any) -> None:
    """A trained policy; the second member is not finite."""
    actor = network(1)
    actor.sigma.biases[0][1, 0, 0] = math.nan
    tensors = {**actor.state_dict("actor"), **network(2).state_dict("critic")}
    write_tensors(path, tensors, describe("nash_dqn", SPEC, SEEDS, 1, 50.0, **META, **meta))


def record(**changes: Any) -> dict[str, Any]:
    ends = [("iterations", 40, 1.25), ("diverged", 20, math.nan), ("early_stopping", 30, 7.5)]
    members = [
        {"seed": seed, "iterations": count, "stopped": end, "diverged": end == "diverged", "final_loss": loss}
        for seed, (end, count, loss) in zip(SEEDS, ends, strict=True)
    ]
    config = {"game": dataclasses.asdict(GAME), "recipe": {"penalty": {"norm": "l1", "beta": 0.5}, "iterations": 40}}
    run = {"algorithm": "nash_dqn", **META, "device": "cpu", "config": config, "seeds": SEEDS, "wall_seconds": 83.2}
    return run_record("training", {**run, "members": members, **changes})


def history() -> pd.DataFrame:
    """Of seed 5 the loss falls by a factor of ten a row, seed 1 has one row, seed 7 ends without a number."""
    rows = [(5, 10 * k, 100 * k, 10.0 ** (4 - k), float(k)) for k in range(1, 5)]
    rows += [(1, 10, 100, 3.0, 2.0), (7, 10, 100, 3.0, 1.0), (7, 20, 200, math.nan, 1.0)]
    return pd.DataFrame(rows, columns=["seed", "iteration", "transitions", "loss", "reward"])


def gains(recipe: str = "mine") -> pd.DataFrame:
    rows = [
        ("toy", "nash_dqn", recipe, seed, deviator, player, gain * scale, -2.0)
        for seed, scale in ((5, 1.0), (1, math.nan), (7, 2.0))
        for deviator, gain in (("same", 0.1), ("memory", 0.2))
        for player in ("1", "2", "3")
    ]
    rows += [("toy", "nash_dqn", recipe, 5, "same", "nashconv", 99.0, -2.0)]
    columns = ["scenario", "algorithm", "recipe", "seed", "deviator", "player", "gain", "value"]
    return pd.DataFrame(rows, columns=columns)


def write_folder(folder: Path) -> Path:
    """A training's folder whose files have other names than the workflow's."""
    write_weights(folder / "net.bin")
    write_weights(folder / "kept.bin", transitions=[10, 20, 20])
    write_csv(folder / "course.txt", history())
    write_json(folder / "run.json", record())
    (folder / "notes.md").write_text("nothing of ours\n")
    return folder


def shown(capsys: pytest.CaptureFixture[str], path: Path) -> tuple[dict[str, Any], str]:
    """As JSON and as text."""
    assert main(["show", str(path), "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert main(["show", str(path)]) == 0
    text, err = capsys.readouterr()
    assert err == ""
    assert text.count("\n") < 50
    assert max(map(len, text.splitlines())) < 160
    return summary, text


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line on stderr with which the arguments are refused."""
    try:
        status: Any = main(arguments)
    except SystemExit as stop:
        status = stop.code
    out, err = capsys.readouterr()
    assert (status, out, err.count("\n")) == (2, "", 1)
    return err.strip()


def row_of(text: str, start: str) -> list[str]:
    """The words of the one line that starts so."""
    (line,) = [line for line in text.splitlines() if line.split()[:1] == [start]]
    return line.split()[1:]


# --- show ---------------------------------------------------------------------------------------------------


def test_weights(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_weights(tmp_path / "x")
    summary, text = shown(capsys, tmp_path / "x")
    assert (summary["kind"], summary["algorithm"], summary["scenario"]) == ("weights", "nash_dqn", "toy")
    assert (summary["recipe"], summary["seeds"], summary["bound"]) == ("mine", SEEDS, 50.0)
    assert summary["finite"] == [True, False, True]
    # phi 2-4-3, sigma 6+3-6-5-1, and a linear skip term of 8 features at each of 4 steps
    actor = (2 * 4 + 4 + 4 * 3 + 3) + (9 * 6 + 6 + 6 * 5 + 5 + 5 * 1 + 1) + 4 * 8
    layers = {"phi": [2, 4, 3], "sigma": [9, 6, 5, 1], "skip_terms": [4, 8, 1]}
    assert summary["networks"]["actor"] == {**layers, "parameters": actor}
    assert "price less impact" in summary["sees"][1]
    assert "own past flow" in summary["sees"]
    assert summary["sees"][-1] == "in scales of its own"
    assert row_of(text, "finite") == ["NOT", "those", "of", "seed", "1"]
    assert row_of(text, "actor")[0] == "9-6-5-1,"
    assert "exploitability" not in text


def test_snapshots(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_weights(tmp_path / "x", transitions=[10_000, 20_000, 20_000])
    summary, text = shown(capsys, tmp_path / "x")
    assert (summary["kind"], summary["transitions"]) == ("snapshots", [10_000, 20_000, 20_000])
    assert row_of(text, "10,000") == ["5"]
    assert row_of(text, "20,000") == ["1,", "7"]


def test_a_runs_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_json(tmp_path / "x", record())
    summary, text = shown(capsys, tmp_path / "x")
    assert (summary["kind"], summary["of"], summary["config"]["recipe"]["iterations"]) == ("run", "training", 40)
    assert row_of(text, "5") == ["iterations", "40", "1.25"]
    assert row_of(text, "1") == ["DIVERGED", "20", "-"]
    assert row_of(text, "7") == ["early_stopping", "30", "7.5"]
    assert row_of(text, "took")[:2] == ["83.2", "s,"]
    assert f"torch {torch.__version__}" in text
    assert "penalty (norm l1, beta 0.5)" in text
    write_json(tmp_path / "x", run_record("evaluation", {"paths": 7}))
    summary, text = shown(capsys, tmp_path / "x")
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
    assert (summary["kind"], summary["algorithm"], summary["recipe"]) == ("checkpoint", "nash_dqn", "mine")
    assert (summary["done"], summary["total"], summary["wall_seconds"]) == (1234, 20_000, 83.2)
    assert row_of(text, "done") == ["1,234", "of", "20,000", "iterations", "(6%)"]
    assert row_of(text, "took")[:4] == ["83.2", "s", "so", "far;"]
    assert row_of(text, "5") == ["goes", "on", "1,200", "2.5"]
    assert row_of(text, "1") == ["DIVERGED", "400", "-"]
    _, text = shown(capsys, tmp_path)
    assert row_of(text, "results/checkpoint.safetensors") == [
        "checkpoint",
        "1,234",
        "of",
        "20,000",
        "iterations,",
        "83",
        "s",
    ]
    path.write_bytes(path.read_bytes()[:-1])
    assert refused(capsys, "show", str(path)).startswith(f"nash-dqn show: {path}: not a complete safetensors file")
    _, text = shown(capsys, tmp_path)
    assert row_of(text, "results/checkpoint.safetensors") == ["checkpoint", "damaged"]


def test_a_history(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_csv(tmp_path / "x", history())
    summary, text = shown(capsys, tmp_path / "x")
    first = summary["members"][0]
    assert (summary["kind"], summary["curve_of"], first["rows"], first["transitions"]) == ("history", "loss", 4, 400)
    assert first["values"] == {"loss": {"first": 1000.0, "last": 1.0}, "reward": {"first": 1.0, "last": 4.0}}
    assert first["curve"] == [1000.0, 100.0, 10.0, 1.0]
    assert row_of(text, "5") == ["4", "400", "1000", "->", "1", "1", "->", "4", "█▆▃▁"]  # even steps of the logarithm
    assert row_of(text, "7")[-1] == "▁?"
    long = pd.DataFrame({"seed": 1, "iteration": range(1, 641), "transitions": range(640), "reward": range(640)})
    write_csv(tmp_path / "x", long)
    summary, _ = shown(capsys, tmp_path / "x")
    assert summary["members"][0]["curve"] == [9.5 + 20 * k for k in range(32)]  # means of 20 rows each


def test_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_csv(tmp_path / "x", gains())
    summary, text = shown(capsys, tmp_path / "x")
    columns = {column.pop("name"): column for column in summary["columns"]}
    assert (summary["kind"], summary["rows"]) == ("table", 19)
    assert columns["gain"] == {"low": 0.1, "high": 99.0, "empty": 6}
    assert columns["deviator"] == {"values": ["same", "memory"], "empty": 0}
    assert row_of(text, "gain") == ["0.1", "to", "99", "6"]
    assert row_of(text, "value") == ["-2"]


def test_a_trainings_folder_and_its_score(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_folder(tmp_path / "toy" / "nash_dqn" / "mine" / "beta_0.5")
    summary, text = shown(capsys, folder)
    assert (summary["kind"], summary["beta"], summary["exploitability"]) == ("training", 0.5, None)
    assert summary["snapshots"]["transitions"] == [10, 20, 20]
    assert "mine, beta = 0.5" in text
    assert row_of(text, "5") == ["iterations", "40", "1.25", "1000", "█▆▃▁", "1"]
    assert row_of(text, "1")[:2] == ["DIVERGED", "20"]

    write_csv(tmp_path / "toy" / "exploitability.csv", gains("another"))
    assert shown(capsys, folder)[0]["exploitability"] is None
    write_csv(tmp_path / "toy" / "exploitability.csv", gains())
    summary, text = shown(capsys, folder)
    same, memory = summary["exploitability"]["gains"]["same"], summary["exploitability"]["gains"]["memory"]
    assert [same[0]["gain"], same[0]["share"], memory[2]["gain"], memory[2]["share"]] == pytest.approx(
        [0.1, 0.05, 0.4, 0.2]
    )
    assert (same[1]["gain"], same[1]["share"]) == (None, None)
    assert row_of(text, "7")[-6:] == ["0.2", "(10", "%)", "0.4", "(20", "%)"]
    assert row_of(shown(capsys, folder / "net.bin")[1], "5")[-3:] == ["0.2", "(10", "%)"]

    # With another beta beside it, that table does not say which of them it is of; one with betas does.
    (folder.parent / "beta_3").mkdir()
    summary, text = shown(capsys, folder)
    assert summary["exploitability"]["gains"] == {}
    assert "does not tell which of the betas" in text
    by_beta = pd.concat([gains().assign(beta=3.0, gain=9.0), gains().assign(beta=0.5)])
    write_csv(tmp_path / "toy" / "beta_exploitability.csv", by_beta)
    assert shown(capsys, folder)[0]["exploitability"]["gains"]["same"][0]["gain"] == pytest.approx(0.1)


def test_any_other_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_folder(tmp_path / "a" / "run")
    write_csv(tmp_path / "a" / "gains.csv", gains())
    (tmp_path / "b").mkdir()
    write_weights(tmp_path / "b" / "x")
    (tmp_path / "b" / "run.json").write_text("{")
    summary, text = shown(capsys, tmp_path)
    assert [(entry["path"], entry["kind"], entry["holds"]) for entry in summary["entries"]] == [
        ("a/run", "training", "3 seeds, 1 diverged, 83 s"),
        ("b", "training", "no sound record of a run"),
        ("a/gains.csv", "table", "19 rows"),
    ]
    assert row_of(text, "a/gains.csv") == ["table", "19", "rows"]


def test_a_real_training(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = self_play.SelfPlayRecipe.from_dict(
        {"observation": {}, "hidden": [4], "iterations": 4, "episodes_per_iteration": 2, "learning_rate": 0.01,
         "opponent_rate": 1.0, "history_every": 2}
    )  # fmt: skip
    result = self_play.train(GAME, recipe, [1, 2], **META)
    names = ("weights.safetensors", "snapshots.safetensors", "history.csv", "run.json")
    write_training(result, *(tmp_path / name for name in names))
    summary, text = shown(capsys, tmp_path)
    assert (summary["kind"], summary["algorithm"], summary["seeds"]) == ("training", "self_play", [1, 2])
    assert row_of(text, "snapshots") == ["none"]  # too short for one
    assert [member["rows"] for member in summary["history"]["members"]] == [2, 2]
    assert summary["run"]["wall_seconds"] == result.record["wall_seconds"]
    for name in names:
        shown(capsys, tmp_path / name)
    state = ["--time", "0.5", "--price", "10", "--inventory", "2"]
    assert main(["act", "--policy", str(tmp_path), *state]) == 0


GAMES: dict[str, Any] = {
    "groups": Traders(sizes=(1, 2), n_steps=3),
    "vectors": Basket(n_agents=2, n_steps=3),
    "another field": Interbank(n_agents=3, n_steps=3),
}


def train_elsewhere(folder: Path, game: Game, algorithm: str) -> Path:
    """A short training on a game that is not the market, as the library writes it."""
    shared: dict[str, Any] = {
        "observation": {"inventories": "visible"}, "phi_hidden": [4], "learning_rate": 0.01, "weight_decay": 0.0,
        "gradient_clip": None, "history_every": 2,
    }  # fmt: skip
    if algorithm == "nash_dqn":
        own = {
            "critic": None, "policy": "nash", "p11": "cholesky", "skip_terms": True, "value_hidden": [6],
            "advantage_hidden": [5], "iterations": 2, "episodes_per_iteration": 2, "minibatch_episodes": 2,
            "replay_episodes": 2, "learning_rate_schedule": "constant", "adam_beta2": 0.999, "explorers": "all",
            "exploration": {"start": 0.5, "end": 0.5}, "opponent_gradient": True, "target": None, "patience": None,
            "penalty": {"norm": "l1", "beta": 0.0}, "watched": "loss", "returned": "last", "divergence_factor": 1e6,
        }  # fmt: skip
        result = nash_dqn.train(game, nash_dqn.NashDQNRecipe.from_dict({**shared, **own}), [3, 4], **META)
    else:
        responses: dict[str, Any] = {
            "actor_hidden": [6], "critic_hidden": [5], "iterations": 1, "first_epochs": 2, "epochs": 2,
            "episodes_per_epoch": 2, "target_rate": 0.5, "action_bound": 9.0, "action_scale": None,
            "exploration": {"start": 0.5, "end": 0.5, "target_sd": None}, "returned": "target",
            "optimisers": "renewed", "opponents": "last", "largest_loss": None,
        }  # fmt: skip
        recipe = fictitious_play.FictitiousPlayRecipe.from_dict({**shared, **responses})
        result = fictitious_play.train(game, recipe, [3, 4], **META)
    write_training(
        result, *(folder / n for n in ("weights.safetensors", "snapshots.safetensors", "history.csv", "run.json"))
    )
    return folder


@pytest.mark.parametrize("algorithm", ["nash_dqn", "fictitious_play"])
@pytest.mark.parametrize("game", GAMES.values(), ids=GAMES)
def test_trainings_on_other_games(
    game: Game, algorithm: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = train_elsewhere(tmp_path, game, algorithm)
    scores = gains().assign(algorithm=algorithm, seed=lambda rows: rows["seed"].map({5: 3, 1: 4, 7: 9}))
    write_csv(folder / "exploitability.csv", scores)
    summary, text = shown(capsys, folder)
    assert (summary["algorithm"], summary["seeds"], summary["of_market"]) == (algorithm, [3, 4], False)
    assert (summary["recipe"], summary["action_dim"], summary["finite"]) == ("mine", game.action_dim, [True, True])
    assert row_of(text, "sees")[-2:] == ["inventories", "visible"] and "price S," not in text.split("game")[0]
    assert "shares/hour" not in text and "in the game's units" in text
    assert ("vectors of 2" in text) == (game.action_dim == 2)
    assert row_of(text, "3")[0] == "iterations" and "0.1 (5 %)" in text
    for name in ("weights.safetensors", "snapshots.safetensors", "run.json", "history.csv"):
        shown(capsys, folder / name)
    message = refused(capsys, "act", "--policy", str(folder), "--time", "0", "--price", "10", "--inventory", "2")
    wrong = "of another game than the market, which alone act is for; give a policy of it"
    assert message == f"nash-dqn act: {folder / 'weights.safetensors'}: {wrong}"


def test_architecture_of_each_group(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Traders see five own features; the lone one has others in the second group only, the two in both groups."""
    summary, text = shown(capsys, train_elsewhere(tmp_path, GAMES["groups"], "nash_dqn"))
    assert summary["groups"] == [1, 2]
    first, second = summary["networks"]["value"]["groups"]
    phi, skip = 1 * 4 + 4, 3 * (6 * 7 // 2)  # of one item; of products of 5 features and a mean item at each step
    assert first == {"agents": [1, 1], "phi": [[1, 4]], "sigma": [9, 6, 1], "skip_terms": [3, 21, 1],
                     "parameters": phi + (9 * 6 + 6) + (6 + 1) + skip}  # fmt: skip
    assert (second["agents"], second["phi"], second["sigma"]) == ([2, 3], [[1, 4], [1, 4]], [13, 6, 1])
    assert summary["networks"]["value"]["parameters"] == first["parameters"] + second["parameters"]
    assert row_of(text, "agents")[:6] == ["1", "+", "2", "in", "2", "groups,"]
    assert row_of(text, "value")[:7] == ["group", "1", "(agent", "1):", "9-6-1,", "pooled", "by"]
    assert "group 2 (agents 2-3): 13-6-1, pooled by 1-4 and 1-4, skip terms 3 x" in text


@pytest.mark.parametrize("groups", [[3], [1, 1, 1], [1, -2], [1, "2"], 3])
def test_groups_that_do_not_fit(groups: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = train_elsewhere(tmp_path, GAMES["groups"], "nash_dqn") / "weights.safetensors"
    path.with_name("run.json").unlink()  # whose digest would tell
    tensors, metadata = read_tensors(path)
    description = json.loads(metadata["policy"])
    description["meta"]["groups"] = groups
    write_tensors(path, tensors, {"policy": json.dumps(description)})
    assert f"{path}: not a policy as this package writes it" in refused(capsys, "show", str(path))


# --- what is refused ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.0, 1e-3, 0.3, 0.999])
@pytest.mark.parametrize("name", ["weights.safetensors", "run.json", "history.csv"])
def test_truncated_files(name: str, share: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / name
    write_weights(tmp_path / "weights.safetensors")
    write_json(tmp_path / "run.json", record())
    write_csv(tmp_path / "history.csv", history())
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * (len(whole) - 1))])
    message = refused(capsys, "show", str(path))
    assert message.startswith(f"nash-dqn show: {path}: not ")
    assert "; delete it and " in message


@pytest.mark.parametrize(
    ("key", "value"),
    [("members", None), ("members", [{}]), ("seeds", [5]), ("config", {}), ("wall_seconds", "long"), ("versions", 3)],
)
def test_edited_records(key: str, value: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "run.json"
    write_json(path, {**record(), key: value})
    assert f"{path}: not a run's record as this package writes it" in refused(capsys, "show", str(path))
    write_json(path, {name: held for name, held in record().items() if name != "algorithm"})
    assert f"{path}: not a run's record as this package writes it" in refused(capsys, "show", str(path))


@pytest.mark.parametrize(
    "edit",
    [
        {"seeds": [1, 2]},
        {"seeds": None},
        {"observation": {"price": "gold"}},
        {"bound": "wide"},
        {"meta": {"transitions": [1]}},
    ],
)
def test_edited_weights(edit: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    description = {**json.loads(describe("nash_dqn", SPEC, SEEDS, 1, None, **META)["policy"]), **edit}
    path = tmp_path / "weights.safetensors"
    write_tensors(path, network(1).state_dict("actor"), {"policy": json.dumps(description)})
    assert f"{path}: not a policy as this package writes it" in refused(capsys, "show", str(path))


def test_layers_that_do_not_fit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "weights.safetensors"
    tensors = network(1).state_dict("actor")
    tensors["actor.sigma.1.weight"] = torch.zeros(3, 7, 5)
    write_tensors(path, tensors, describe("nash_dqn", SPEC, SEEDS, 1, None))
    assert "actor.sigma.1 does not fit the layer before it" in refused(capsys, "show", str(path))


def test_edited_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "history.csv"
    path.write_text("seed,iteration,transitions,loss\n1,10,100,much\n")
    assert f"{path}: not a training's history as" in refused(capsys, "show", str(path))
    path.write_text("seed,iteration,transitions,loss\n1,10,100,1.5,2,3\n1,2\n1,2,3,4,5,6,7\n")
    assert f"{path}: not a CSV table" in refused(capsys, "show", str(path))


def test_foreign_and_missing_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes.md").write_text("a note, of no use\n")
    (tmp_path / "x").write_text('{"a": 1}\n')
    os.mkfifo(tmp_path / "pipe")
    for name in ("notes.md", "pipe"):
        assert f"{name}: nothing that this workflow makes; give weights" in refused(
            capsys, "show", str(tmp_path / name)
        )
    assert "x: JSON of another origin" in refused(capsys, "show", str(tmp_path / "x"))
    assert "absent: no such file" in refused(capsys, "show", str(tmp_path / "absent"))
    (tmp_path / "empty").mkdir()
    assert "empty: nothing in it that this workflow makes" in refused(capsys, "show", str(tmp_path / "empty"))
    write_weights(tmp_path / "w" / "weights.safetensors")
    write_json(tmp_path / "w" / "run.json", record(scenario="other"))
    assert "run.json: of another training (scenario 'other'" in refused(capsys, "show", str(tmp_path / "w"))
    assert "File name too long" in refused(capsys, "show", "x" * 5000)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "nash-dqn: COMMAND: missing, expected show, act, status or check"),
        (["sow"], "nash-dqn: COMMAND: invalid choice: 'sow'"),
        (["show"], "nash-dqn show: the following arguments are required: PATH"),
        (["show", "--jso", "x"], "nash-dqn: unrecognized arguments: --jso"),
    ],
)
def test_misspelt_commands(arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(capsys, *arguments).startswith(expected)


# --- the program --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["show", "act"])
def test_help_has_an_example_and_does_not_wait_for_torch(command: str) -> None:
    code = f"import sys; sys.argv[1:] = ['{command}', '--help']\nfrom nash_dqn.cli import main\n"
    code += "try: main()\nfinally: assert not {'torch', 'numpy', 'pandas'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"example:\n  nash-dqn {command} " in done.stdout


def test_version_and_the_console_script(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"nash-dqn {__version__}\n"
    project = tomllib.loads((Path(__file__).resolve().parents[1] / "pyproject.toml").read_text())["project"]
    assert project["scripts"] == {"nash-dqn": "nash_dqn.cli:main"}


def test_a_narrow_terminal_and_a_reader_that_leaves(tmp_path: Path) -> None:
    """A sparkline where only ASCII can be printed, and ``| true``: no traceback."""
    write_csv(tmp_path / "history.csv", history())
    command = [sys.executable, "-m", "nash_dqn.cli", "show", str(tmp_path / "history.csv")]
    ascii_only = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = subprocess.run(command, capture_output=True, env=ascii_only)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"????" in done.stdout
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as closed:
        done = subprocess.run(command, stdout=closed, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (0, b"")
