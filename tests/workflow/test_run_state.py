"""Snakemake's events, sent by hand, as the run's state; and a job's log as a sign of life."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from snakemake.logging import logger
from snakemake_interface_logger_plugins.common import LogEvent

import nash_dqn
from nash_dqn.status import RunState, render, summarise
from tests.common import ROOT, load

WORKFLOW = ROOT / "workflow"


def job(rule: str, output: list[str]) -> SimpleNamespace:
    return SimpleNamespace(rule=SimpleNamespace(name=rule), output=output)


@pytest.fixture
def run_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.chdir(tmp_path)
    before, level = list(logger.handlers), logger.level
    logger.setLevel(logging.INFO)
    yield load(WORKFLOW / "run_state.py")
    logger.handlers[:] = before
    logger.setLevel(level)


def workflow(**changes: Any) -> SimpleNamespace:
    jobs = [job("train_x", ["a"]), job("train_x", ["b"]), job("plot_y", ["c"]), job("all", [])]
    return SimpleNamespace(dag=SimpleNamespace(needrun_jobs=lambda: iter(jobs)), nodes=None, cores=2, **changes)


def info(number: int, rule: str, message: str | None, output: list[str] | None) -> None:
    extra = {"jobid": number, "rule_name": rule, "rule_msg": message, "output": output, "log": ["logs/a.log"]}
    logger.info("starts", extra={"event": LogEvent.JOB_INFO, **extra})


def test_events_become_the_state(run_state: ModuleType, tmp_path: Path) -> None:
    watcher = run_state.Watcher()
    watcher.start(workflow())
    state = RunState.read(tmp_path)
    assert {name: (rule.jobs, rule.done) for name, rule in state.rules.items()} == {"train_x": (2, 0), "plot_y": (1, 0)}
    assert state.slots == 2
    info(1, "train_x", "Train x, seed 1", ["a"])
    info(2, "plot_y", None, ["c"])
    info(0, "all", None, [])
    active = RunState.read(tmp_path).active
    assert {number: (job.rule, job.what, job.log) for number, job in active.items()} == {
        "1": ("train_x", "Train x, seed 1", "logs/a.log"),
        "2": ("plot_y", "plot_y", "logs/a.log"),
    }
    logger.info("done", extra={"event": LogEvent.JOB_FINISHED, "job_id": 1})
    logger.error("bad", extra={"event": LogEvent.JOB_ERROR, "jobid": 2})
    logger.info("something else")
    watcher.end("failed")
    state = RunState.read(tmp_path)
    assert (state.rules["train_x"].done, len(state.rules["train_x"].seconds)) == (1, 1)
    assert (state.active, state.failed, state.ended) == ({}, ["plot_y"], "failed")
    logger.info("done", extra={"event": LogEvent.JOB_FINISHED, "job_id": 2})
    assert RunState.read(tmp_path) == state  # nothing is written after the end


def test_a_package_that_is_not_the_checkout_s_is_named(run_state: ModuleType, tmp_path: Path) -> None:
    said: list[str] = []
    logger.addHandler(SimpleNamespace(level=0, handle=lambda record: said.append(record.getMessage())))
    watcher = run_state.Watcher()
    watcher.start(workflow(), "/lib/site-packages/nash_dqn")
    watcher.end("finished")
    assert said == [f"Jobs run nash_dqn {nash_dqn.__version__} as installed in /lib/site-packages/nash_dqn."]
    assert RunState.read(tmp_path).package == "/lib/site-packages/nash_dqn"
    shown = render(summarise(tmp_path)).splitlines()
    assert "  jobs run the package installed in /lib/site-packages/nash_dqn, not the checkout's" in shown


def test_times_of_the_run_before_are_kept(run_state: ModuleType, tmp_path: Path) -> None:
    first = run_state.Watcher()
    first.start(workflow())
    info(1, "train_x", None, ["a"])
    logger.info("done", extra={"event": LogEvent.JOB_FINISHED, "job_id": 1})
    first.end("failed")
    took = RunState.read(tmp_path).rules["train_x"].seconds
    second = run_state.Watcher()
    second.start(workflow())
    second.end("finished")
    assert RunState.read(tmp_path).earlier == {"train_x": took[0]}


def test_it_gives_signs_of_life_and_says_how_far_it_is(
    run_state: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line goes to Snakemake's own log, which holds neither colours nor carriage returns."""
    said: list[str] = []
    logger.addHandler(SimpleNamespace(level=0, handle=lambda record: said.append(record.getMessage())))
    monkeypatch.setattr(run_state, "_WRITE_SECONDS", 0.05)
    monkeypatch.setattr(run_state, "_SAY_SECONDS", 0.1)
    watcher = run_state.Watcher()
    watcher.start(workflow())
    first = RunState.read(tmp_path).updated
    deadline = time.monotonic() + 10
    while not said and time.monotonic() < deadline:
        time.sleep(0.05)
    watcher.end("finished")
    assert re.match(r"0 of 3 jobs done after \d+(\.\d)? s, time left not known yet: 3 jobs", said[0]), said[0]
    assert not {"\x1b", "\r"} & set("".join(said))
    assert RunState.read(tmp_path).updated > first


def test_a_log_is_touched_as_long_as_its_job_lives(tmp_path: Path) -> None:
    """A log begins with who writes it; its time of change, set back, is renewed; and that of a dead job is not."""
    log = tmp_path / "job.log"
    code = (
        "import sys, time; sys.path.insert(0, sys.argv[1]); import _job; _job._SIGN_OF_LIFE_SECONDS = 0.1; "
        "_job.log_to(sys.argv[2]); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(WORKFLOW / "scripts"), str(log)])
    try:
        deadline = time.monotonic() + 30
        while not (log.exists() and log.stat().st_size) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert f" process {process.pid} on " in log.read_text()
        os.utime(log, (1000, 1000))
        while log.stat().st_mtime == 1000 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert time.time() - log.stat().st_mtime < 30
    finally:
        process.kill()
        process.wait()
    os.utime(log, (1000, 1000))
    time.sleep(0.5)
    assert log.stat().st_mtime == 1000
