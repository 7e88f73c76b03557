"""A run that takes its trainings from a record of the toy run: what comes out, what is trained nevertheless, and that
nothing that was trained gives way.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nash_dqn.artifacts import read_table
from nash_dqn.restore import archives
from nash_dqn.summary import summarise

if TYPE_CHECKING:
    from tests.workflow.conftest import Checkout

RESTORE = ("--config", "restore=true")
TRAININGS = {"train_fictitious_play": 3, "train_nash_dqn": 6, "train_self_play": 1}
OWN = ("results/claims.csv", "results/claims.html")  # which say that trainings were restored


@pytest.fixture(scope="module")
def recorded(smoke_run: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A copy after the toy run, with a record of it."""
    checkout = smoke_run.copy(tmp_path_factory.mktemp("record") / "checkout")
    asked = checkout.snakemake("results/trainings.json")
    assert asked.returncode == 0, asked.stdout
    results = checkout.run_directory / "results"
    for name, data in archives(results, json.loads((results / "trainings.json").read_text())).items():
        path = checkout.run_directory / "record" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return checkout


@pytest.fixture
def fresh(recorded: Checkout, tmp_path: Path) -> Checkout:
    """With the record alone."""
    checkout = recorded.copy(tmp_path / "fresh")
    for name in ("results", "figures", ".snakemake", "logs", "benchmarks"):
        shutil.rmtree(checkout.run_directory / name)
    return checkout


def test_a_restored_run_has_the_tables_of_the_training_one(fresh: Checkout, smoke_run: Checkout) -> None:
    """And says that it is restored, until a run without `restore` trains."""
    run = fresh.snakemake("train", "tables", *RESTORE)
    assert run.returncode == 0, run.stdout
    planned = fresh.announced(run)
    assert planned["restore"] == 10 and not TRAININGS.keys() & planned.keys()
    assert "record/ holds 10 trainings, 10 of which are restored where they are needed." in run.stdout
    made, theirs = ({name: of[0] for name, of in checkout.results().items()} for checkout in (fresh, smoke_run))
    assert made.keys() == {name for name in theirs if name.startswith("results")}
    differ = {name for name, digest in made.items() if digest != theirs[name] and not name.endswith("/run.json")}
    assert differ == {*OWN, *(f"results/code/nash-unstopped+beta={b}/snapshots.safetensors" for b in (0, 100))}
    claims, before = (
        read_table(checkout.run_directory / OWN[0], ["claim", "ours", "seeds"]) for checkout in (fresh, smoke_run)
    )
    ours = claims[claims["claim"] == "Trainings"]
    assert ours[["scenario", "ours", "seeds"]].to_numpy().tolist() == [["code", 8, 8]]
    assert claims.drop(ours.index).to_csv(index=False) == before.to_csv(index=False)

    results = fresh.run_directory / "results"
    assert set(summarise(results / "code/nash-code")["restored"]) == {"date", "nash_dqn", "without"}
    assert ", restored" in str(summarise(results)["entries"][0]["holds"])

    assert fresh.planned("train", "tables", *RESTORE) == {}
    planned = fresh.planned("train", "tables")
    assert TRAININGS.items() <= planned.items() and "restore" not in planned
    alone = fresh.planned("results/lq_code/lq_error.csv")
    assert alone == {"train_nash_dqn": 1, "train_fictitious_play": 1, "lq_error": 1}
    command = [sys.executable, "-m", "nash_dqn.record", "--directory", ".test", *RESTORE]
    environment = {**os.environ, "PYTHONPATH": str(fresh.root / "src")}
    refused = subprocess.run(command, cwd=fresh.root, env=environment, capture_output=True, text=True)
    assert refused.returncode != 0
    assert "run.json: restored from the record, so it is there already; run without restore=true" in refused.stderr


def test_what_was_trained_is_not_restored(recorded: Checkout) -> None:
    run = recorded.snakemake("-n", *RESTORE)
    assert run.returncode == 0 and recorded.announced(run) == {}
    assert "0 of which are restored where they are needed; not restored: code/fp-average, " in run.stdout
    assert "and 7 more (trained by this run)." in run.stdout


def test_other_settings_and_other_code_are_trained(fresh: Checkout) -> None:
    fresh.configure(policies={"nash-lq": {"iterations": 21}})
    fresh.edit("src/nash_dqn/agents/fictitious_play.py", "{}\nedited = True\n".format)
    run = fresh.snakemake("-n", "train", *RESTORE)
    assert run.returncode == 0, run.stdout
    assert fresh.announced(run) == {"restore": 6, "train_nash_dqn": 1, "train_fictitious_play": 3, "train": 1}
    assert "lq_code/nash-lq (other recipe.iterations)" in run.stdout
    assert "code/fp-average, code/fp-code, lq_code/fp-lq (the code that trains has changed)" in run.stdout


def test_what_the_record_cannot_give_is_one_line(fresh: Checkout) -> None:
    """Snapshots along which the run does not measure, and an archive that is damaged."""
    for target, training in (("penalty_study", r"code/nash-unstopped\+beta=\d+"), ("fictitious_play", "lq_code/fp-lq")):
        run = fresh.snakemake(target, *RESTORE)
        assert run.returncode != 0
        line = f"Error in the record: record/{training}.tar.xz: has no snapshots, which this target needs; "
        assert re.match(line, run.stdout.splitlines()[-1])
    archive = fresh.run_directory / "record/code/fp-code.tar.xz"
    archive.write_bytes(archive.read_bytes()[:-100])
    run = fresh.snakemake(*RESTORE)
    assert run.returncode != 0
    line = "Error in the record: record/code/fp-code.tar.xz: damaged: its sha256 is not the one in index.json; "
    assert run.stdout.splitlines()[-1].startswith(line)
    assert fresh.snakemake("-n").returncode == 0  # without restoring nobody asks
