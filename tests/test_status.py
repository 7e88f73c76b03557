"""How far a run is: a run made by hand, whose numbers are worked out beside it."""

import json
import os
import time
from pathlib import Path

import pytest

from nash_dqn.cli import main
from nash_dqn.status import FILE, ActiveJob, RuleState, RunState, render, summarise

NOW = time.mktime((2026, 3, 5, 12, 0, 0, 0, 0, -1))


def state(folder: Path, **changes: object) -> RunState:
    """Two jobs at a time for 1000 s: 3 of 5 trainings are done and one runs; of 4 evaluations none."""
    run = RunState(
        started=NOW - 1000,
        slots=2,
        rules={"train_x": RuleState(5, 3, [100.0, 200.0, 300.0]), "score": RuleState(4), "plot_y": RuleState(2)},
        active={"7": ActiveJob("train_x", "Train x, seed 4", "logs/train.log", NOW - 120)},
    )
    for name, value in changes.items():
        assert hasattr(run, name)
        setattr(run, name, value)
    write(folder, run, NOW - 5)
    return run


def write(folder: Path, run: RunState, at: float) -> None:
    """Write a state as if at another time."""
    run.write(folder)
    content = json.loads((folder / FILE).read_text())
    (folder / FILE).write_text(json.dumps({**content, "updated": at}))


def log(folder: Path, text: str, changed: float, name: str = "logs/train.log") -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (changed, changed))


STARTED = "11:58:10 process 1 on node\n"  # 110 s before NOW
TRAINS = STARTED + "11:59:57 500 of 2000 iterations, 10/s, 150 s left, mean loss 1\n"


def test_what_is_written_is_read(tmp_path: Path) -> None:
    run = state(tmp_path)
    assert RunState.read(tmp_path) == RunState(**{**vars(run), "updated": NOW - 5})
    assert [path.name for path in (tmp_path / "logs").iterdir()] == ["progress.json"]
    run.finish("7", NOW - 108.75)
    run.finish("8", NOW)  # not among the active ones
    assert (run.rules["train_x"], run.active) == (RuleState(5, 4, [100.0, 200.0, 300.0, 11.2]), {})


def test_time_left_is_what_jobs_say_and_what_their_kind_took(tmp_path: Path) -> None:
    state(tmp_path, rules={"train_x": RuleState(5, 3, [100.0, 200.0, 300.0]), "score": RuleState(4, 1, [40.0])})
    log(tmp_path, TRAINS, NOW - 3)
    summary = summarise(tmp_path, NOW)
    job = summary["active"][0]
    assert (job["state"], job["done"], job["total"], job["speed"]) == ("running", 500, 2000, 10.0)
    assert job["elapsed"] == 110
    # 150 s of the running one, a training of 200 s, three evaluations of 40 s, two at a time
    assert summary["left"] == (150 + 200 + 3 * 40) / 2
    assert summary["unknown"] == {}
    assert (summary["jobs"], summary["done"]) == (9, 4)
    assert render(summary).splitlines() == [
        "4 of 9 jobs done after 17 min, about 4 min left: training 3 of 5, evaluation 1 of 4",
        "  Train x, seed 4: 500 of 2000 iterations, 10/s, at most 2 min left",
    ]
    state(tmp_path, rules={"train_x": RuleState(4, 3, [100.0])})
    assert summarise(tmp_path, NOW)["left"] == 150  # the longest job is not shared out


def test_kinds_never_measured_are_named(tmp_path: Path) -> None:
    state(tmp_path, rules={"train_x": RuleState(3), "score": RuleState(4)}, earlier={})
    log(tmp_path, STARTED, NOW - 3)
    summary = summarise(tmp_path, NOW)
    assert (summary["left"], summary["unknown"]) == (0, {"train_x": 3, "score": 4})
    assert "time left not known yet: 7 jobs whose kind was never finished here (train_x, score)" in render(summary)
    assert "  Train x, seed 4: 110 s" in render(summary).splitlines()
    # The first of its kind says itself how long it takes: 110 s so far and 150 s more, as will the two after it.
    log(tmp_path, TRAINS, NOW - 3)
    summary = summarise(tmp_path, NOW)
    assert (summary["left"], summary["unknown"]) == ((150 + 2 * 260) / 2, {"score": 4})
    assert ", about 6 min left and 4 jobs whose kind was never finished here (score): " in render(summary)


def test_kinds_measured_in_an_earlier_run_have_its_times(tmp_path: Path) -> None:
    earlier = {"train_x": 1e6, "score": 30.0, "plot_y": 5.0}
    state(tmp_path, earlier=earlier)
    log(tmp_path, STARTED, NOW - 3)
    summary = summarise(tmp_path, NOW)
    # The mean of this run, 200 s, counts for trainings, and 110 s of one have passed.
    assert summary["left"] == (90 + 200 + 4 * 30 + 2 * 5) / 2
    assert "  Train x, seed 4: 110 s of about 3 min" in render(summary).splitlines()
    assert RunState.read(tmp_path).means() == {**earlier, "train_x": 200.0}


def test_a_queued_job_has_no_log_or_that_of_an_earlier_run_and_a_killed_one_a_silent_log(tmp_path: Path) -> None:
    state(tmp_path)
    waits = ["  1 started or queued, not yet running"]
    assert render(summarise(tmp_path, NOW)).splitlines()[1:] == waits
    log(tmp_path, TRAINS, NOW - 5000)
    assert render(summarise(tmp_path, NOW)).splitlines()[1:] == waits
    state(tmp_path, active={"7": ActiveJob("train_x", "Train x, seed 4", "logs/train.log", NOW - 900)})
    log(tmp_path, TRAINS, NOW - 300)
    assert "Train x, seed 4: no sign of life for 5 min" in render(summarise(tmp_path, NOW))


def test_where_jobs_queue_as_many_run_as_do_now(tmp_path: Path) -> None:
    active = {str(k): ActiveJob("train_x", f"Train {k}", f"logs/{k}.log", NOW - 120) for k in range(3)}
    state(tmp_path, slots=100, active=active, rules={"train_x": RuleState(6, 3, [200.0])})
    log(tmp_path, STARTED, NOW - 3, "logs/0.log")
    assert summarise(tmp_path, NOW)["left"] == 90 + 200 + 200


def test_a_killed_run_is_not_shown_as_running(tmp_path: Path) -> None:
    run = state(tmp_path)
    write(tmp_path, run, NOW - 600)
    log(tmp_path, TRAINS, NOW - 600)
    summary = summarise(tmp_path, NOW)
    assert (summary["state"], summary["active"]) == ("stopped", [])
    assert "left" not in summary
    assert render(summary) == (
        "3 of 11 jobs done; the run was stopped, its last sign of life is of 11:50: "
        "training 3 of 5, evaluation 0 of 4, figures 0 of 2"
    )
    # A job of it on another machine goes on.
    log(tmp_path, TRAINS, NOW - 3)
    assert [job["state"] for job in summarise(tmp_path, NOW)["active"]] == ["running"]


def test_a_run_that_ended_says_how(tmp_path: Path) -> None:
    state(tmp_path, ended="failed", failed=["Train x, seed 4"], active={})
    assert render(summarise(tmp_path, NOW + 1e6)).splitlines() == [
        "3 of 11 jobs done; the run failed at 11:59 after 17 min: training 3 of 5, evaluation 0 of 4, figures 0 of 2",
        "  failed: Train x, seed 4",
    ]


def test_a_job_that_began_after_midnight_is_not_a_day_old(tmp_path: Path) -> None:
    midnight = time.mktime((2026, 3, 5, 0, 0, 0, 0, 0, -1))
    run = state(tmp_path, active={"7": ActiveJob("train_x", "Train", "logs/train.log", midnight - 300)})
    write(tmp_path, run, midnight + 600)
    log(tmp_path, "00:03:20 process 1 on node\n", midnight + 595)
    assert summarise(tmp_path, midnight + 600)["active"][0]["elapsed"] == 400


def test_many_jobs_without_logs_are_counted(tmp_path: Path) -> None:
    active = {str(k): ActiveJob("score", f"Score {k}", None, NOW - 30) for k in range(14)}
    state(tmp_path, active=active, package="/a/b", rules={"score": RuleState(20, 1, [40.0])})
    assert render(summarise(tmp_path, NOW)).splitlines()[11:] == [
        "  Score 10: 30 s of about 40 s",
        "  Score 11: 30 s of about 40 s",
        "  and 2 more",
        "  jobs run the package installed in /a/b, not the checkout's",
    ]


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", str(tmp_path)]) == 2
    assert (
        capsys.readouterr().err
        == f"nash-dqn status: {tmp_path / FILE}: no such file; no run was started in this folder\n"
    )
    state(tmp_path, ended="finished")
    assert main(["status", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["state"] == "finished"
    assert main(["status", str(tmp_path)]) == 0
    assert capsys.readouterr().out.startswith("3 of 11 jobs done; the run finished at ")
    (tmp_path / FILE).write_text('{"rules": []}')
    assert main(["status", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert "progress.json: not the state of a run" in error and error.count("\n") == 1
