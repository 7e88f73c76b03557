"""Trains as the workflow's jobs do, with the process killed at random moments; prints what came of it as JSON.

Run in an empty folder: ``python killed_training.py KILLS``; the training is killed so many times. A session of it is a
fork of this process, which has imported everything, so that a kill costs no time.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from nash_dqn import checkpoint
from nash_dqn.agents import snapshots
from nash_dqn.artifacts import read_json
from nash_dqn.config import load_yaml, training_settings, validate

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "workflow" / "scripts" / "train.py"
sys.path.insert(0, str(SCRIPT.parent))
CHECKPOINTS = Path(".checkpoints")

SIZES = {
    "value_hidden": [4], "advantage_hidden": [5], "episodes_per_iteration": 4, "minibatch_episodes": 4,
    "replay_episodes": 4, "iterations": 200, "history_every": 10,
}  # fmt: skip
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
FILES = {"weights": "weights.safetensors", "snapshots": "snapshots.safetensors", "history": "history.csv"}


def job_of(name: str) -> Callable[[Path], None]:
    """What the workflow's script does to train the policy of that name, for a folder of outputs."""
    config = validate(load_yaml(ROOT / "config" / "config.yaml"))
    settings = {**training_settings(config, "code", name), "seeds": [1, 2]}
    settings["recipe"] |= SIZES
    import_module("nash_dqn.agents.nash_dqn")
    script = compile(SCRIPT.read_text(), str(SCRIPT), "exec")

    def job(folder: Path) -> None:
        output = SimpleNamespace(run=str(folder / "run.json"), **{key: str(folder / FILES[key]) for key in FILES})
        params = SimpleNamespace(settings=settings, code="digest")
        snakemake = SimpleNamespace(params=params, output=output, log=[f"{folder}.log"])
        exec(script, {"__name__": "__main__", "snakemake": snakemake})

    return job


def session(job: Callable[[Path], None], folder: Path) -> int:
    """Start the job in a process of its own; its id."""
    process = os.fork()
    if process == 0:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in what a shell runs in the background
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        job(folder)
        os._exit(0)
    return process


def record(folder: Path) -> dict[str, Any]:
    """The record without what depends on the machine."""
    found: dict[str, Any] = read_json(folder / "run.json")
    del found["peak_memory_mib"]
    for timed in (found, *found["snapshots"]):
        del timed["wall_seconds"]
    return found


def killed_again_and_again(job: Callable[[Path], None], folder: Path, kills: int, seconds: float) -> int | None:
    """Kill so many sessions of a training, which takes so long; how many found a checkpoint. None: through too soon."""
    checkpoint.Checkpoint.__init__.__defaults__ = (seconds / 30,)
    moments = random.Random(1)
    resumed = 0
    for kill in range(kills):
        resumed += any((CHECKPOINTS / folder).rglob("*.safetensors"))
        process = session(job, folder)
        time.sleep(moments.uniform(0.1, 0.4) / kills * seconds)
        os.kill(process, SIGNALS[kill % len(SIGNALS)])
        if os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0:
            return None
    return resumed


def main(kills: int) -> None:
    """Train without interruption, then with so many, and compare."""
    snapshots._FIRST = 1000
    torch.optim.AdamW([torch.zeros(1, requires_grad=True)])  # the first one imports for seconds
    job, whole, killed = job_of("nash-refined"), Path("whole"), Path("killed")
    started = time.perf_counter()
    os.waitpid(session(job, whole), 0)
    seconds = time.perf_counter() - started

    kept = CHECKPOINTS / killed
    # A machine that was busy a moment ago may train much faster now: then all over, with kills twice as soon.
    for _ in range(5):
        resumed = killed_again_and_again(job, killed, kills, seconds)
        if resumed is not None:
            break
        for folder in (killed, kept):
            shutil.rmtree(folder, ignore_errors=True)
        seconds /= 2
    else:
        raise RuntimeError(f"a session always ended by itself, the last time within {seconds:.2g} s")
    started = time.perf_counter()
    os.waitpid(session(job, killed), 0)
    last = time.perf_counter() - started
    left = [path for top in (kept, killed) for path in top.rglob("*") if path.is_file()]
    found = {
        "resumed": resumed,
        "same": {name: (whole / name).read_bytes() == (killed / name).read_bytes() for name in FILES.values()}
        | {"record": record(whole) == record(killed)},
        "left": [str(path) for path in left if path.name not in (*FILES.values(), "run.json")],
        "wall_seconds": read_json(killed / "run.json")["wall_seconds"],
        "last_session": last,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(int(sys.argv[1]))
