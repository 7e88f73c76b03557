"""How far a run of many jobs is, from two things it leaves in its folder while it runs.

``logs/progress.json``: what has been started and has ended, and how long jobs took (:class:`RunState`). Whoever runs
the jobs writes it anew every few seconds. And the jobs' own logs, whose time of change every job renews every few
seconds: one that has not been renewed for two minutes is of a job that no longer runs.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nash_dqn.progress import duration, last_step

__all__ = ["FILE", "ActiveJob", "RuleState", "RunState", "render", "summarise"]

FILE = Path("logs", "progress.json")
"""Where a run keeps its state, below its folder."""

_SILENT = 120.0  # seconds without a sign of life after which a run or a job counts as dead
_SKEW = 60.0  # seconds that clocks of machines may differ
_TAIL = 65536  # bytes of a log's end that are read
_SHOWN = 12  # active jobs that are listed one by one
_STAGES = {"train": "training", "restore": "restoring", "plot": "figures"}  # of rules, by the first word of their names
_OTHERS = "evaluation"


@dataclass
class ActiveJob:
    """A job that was started or sent to a queue.

    Attributes:
        rule: what kind of job it is.
        what: what it does, in words.
        log: its log, below the run's folder; None if it has none.
        since: when it was started or sent, seconds since 1970.
    """

    rule: str
    what: str
    log: str | None
    since: float


@dataclass
class RuleState:
    """The jobs of one kind: how many, how many are done, and the seconds that those took."""

    jobs: int
    done: int = 0
    seconds: list[float] = field(default_factory=list)


@dataclass
class RunState:
    """A run as :data:`FILE` holds it; times in seconds since 1970.

    Attributes:
        started: when the run began.
        slots: jobs that may run at a time.
        rules: of each kind of job.
        active: jobs started or queued, by number.
        failed: what failed jobs did.
        earlier: mean seconds of a job of each kind in earlier runs in this folder.
        updated: when the state was last written.
        ended: how the run ended; None while it goes on.
        package: where the code that the jobs run is installed; None for the checkout's own.
    """

    started: float
    slots: int
    rules: dict[str, RuleState]
    active: dict[str, ActiveJob] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    earlier: dict[str, float] = field(default_factory=dict)
    updated: float = 0.0
    ended: str | None = None
    package: str | None = None

    def finish(self, number: str, now: float) -> None:
        """A job is done; one that is not active is ignored."""
        job = self.active.pop(number, None)
        if job is not None:
            rule = self.rules.setdefault(job.rule, RuleState(1))
            rule.done += 1
            rule.seconds.append(round(now - job.since, 1))

    def means(self) -> dict[str, float]:
        """Mean seconds of a job of each kind: of this run's where any is done, else of earlier ones'."""
        own = {name: sum(rule.seconds) / len(rule.seconds) for name, rule in self.rules.items() if rule.seconds}
        return {**self.earlier, **own}

    def write(self, folder: Path) -> None:
        """Write the state below a run's folder: whole or not at all."""
        self.updated = time.time()
        path = folder / FILE
        path.parent.mkdir(exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        temporary.write_text(json.dumps(dataclasses.asdict(self), indent=1, ensure_ascii=False) + "\n", "utf-8")
        os.replace(temporary, path)

    @staticmethod
    def read(folder: Path) -> RunState:
        """What :meth:`write` wrote.

        Raises:
            ValueError: there is none, or it is of another form.
        """
        path = folder / FILE
        try:
            found = json.loads(path.read_text("utf-8"))
            rules = {name: RuleState(**rule) for name, rule in found.pop("rules").items()}
            active = {number: ActiveJob(**job) for number, job in found.pop("active").items()}
            return RunState(rules=rules, active=active, **found)
        except FileNotFoundError:
            raise ValueError(f"{path}: no such file; no run was started in this folder") from None
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"{path}: not the state of a run ({error}); the next run there writes it anew") from None


def summarise(folder: Path | str, now: float | None = None) -> dict[str, Any]:
    """What is done, what runs, and how long it will take, of the run in a folder, as plain values.

    Estimates take a job's own word for what it has left, else the mean time of finished jobs of its kind. Kinds of
    which no job was ever finished here are named as ``unknown`` and left out.

    Args:
        folder: where the run writes ``logs/``.
        now: seconds since 1970 (default: the clock's).

    Raises:
        ValueError: no run was started there.
    """
    folder = Path(folder)
    now = time.time() if now is None else now
    state = RunState.read(folder)
    means = state.means()
    jobs = [_look(job, folder, means, now) for job in state.active.values()]
    alive = state.ended is None and now - state.updated < _SILENT
    # Of a run that was killed, jobs on other machines may still go on.
    shown = [job for job in jobs if alive or job["state"] == "running"] if state.ended is None else []
    stages: dict[str, dict[str, int]] = {}
    for name, rule in state.rules.items():
        stage = stages.setdefault(_STAGES.get(name.partition("_")[0], _OTHERS), {"jobs": 0, "done": 0})
        stage["jobs"] += rule.jobs
        stage["done"] += rule.done
    summary = {
        "kind": "status",
        "folder": str(folder),
        "state": state.ended or ("running" if alive else "stopped"),
        "started": state.started,
        "updated": state.updated,
        "now": now,
        "jobs": sum(rule.jobs for rule in state.rules.values()),
        "done": sum(rule.done for rule in state.rules.values()),
        "stages": stages,
        "active": shown,
        "failed": state.failed,
        "package": state.package,
    }
    return {**summary, **(_estimate(state, jobs, means) if alive else {})}


def _look(job: ActiveJob, folder: Path, means: Mapping[str, float], now: float) -> dict[str, Any]:
    """What a started job's log says of it."""
    found: dict[str, Any] = {"rule": job.rule, "what": job.what, "state": "waiting", "typical": means.get(job.rule)}
    if job.log is None:
        return {**found, "state": "running", "elapsed": now - job.since}
    path = folder / job.log
    try:
        changed = path.stat().st_mtime
        with path.open("rb") as file:
            first = file.readline(200)
            file.seek(max(0, path.stat().st_size - _TAIL))
            text = file.read()
    except FileNotFoundError:
        return found
    if changed < job.since - _SKEW or not first:
        return found  # of an earlier run: this one's has not begun
    if now - changed > _SILENT:
        return {**found, "state": "silent", "silent": now - changed}
    found |= {"state": "running", "elapsed": max(0.0, now - _begun(first, job.since))}
    step = last_step(text)
    return found if step is None else {**found, **step._asdict()}


def _begun(first: bytes, since: float) -> float:
    """When a log was begun: the first moment after the job was sent that has the time of day of its first line."""
    stamp = re.match(rb"(\d\d):(\d\d):(\d\d) ", first)
    if stamp is None:
        return since
    hours, minutes, seconds = map(int, stamp.groups())
    day = time.localtime(since - _SKEW)
    begun = time.mktime((*day[:3], hours, minutes, seconds, 0, 0, -1))
    return begun if begun >= since - _SKEW else begun + 86400


def _estimate(state: RunState, jobs: list[dict[str, Any]], means: Mapping[str, float]) -> dict[str, Any]:
    """Seconds until all is done, and the kinds of jobs left whose time is not known."""
    own = [job for job in jobs if job.get("left") is not None]  # they say how long they take, so will others like them
    known = {**{job["rule"]: job["elapsed"] + job["left"] for job in reversed(own)}, **means}
    started, unknown = [job["left"] for job in own], Counter[str]()
    for job in (job for job in jobs if job not in own):
        if job["rule"] in known:
            started.append(max(0.0, known[job["rule"]] - job.get("elapsed", 0.0)))
        else:
            unknown[job["rule"]] += 1
    active = Counter(job["rule"] for job in jobs)
    waiting = {name: max(0, rule.jobs - rule.done - active[name]) for name, rule in state.rules.items()}
    unknown.update({name: count for name, count in waiting.items() if count and name not in known})
    work = sum(started) + sum(count * known.get(name, 0.0) for name, count in waiting.items())
    running = sum(job["state"] == "running" for job in jobs)
    # Where jobs queue, as many run at a time as do now; the last of them cannot be shared out.
    slots = running if 0 < running < len(jobs) else min(state.slots, max(len(jobs) + sum(waiting.values()), 1))
    return {"left": max(work / max(slots, 1), *started, 0.0), "unknown": unknown}


def render(summary: Mapping[str, Any]) -> str:
    """The text of what :func:`summarise` returned: plain lines, the same on a terminal and in a file."""
    done, state = f"{summary['done']} of {summary['jobs']} jobs done", summary["state"]
    stages = ", ".join(f"{name} {stage['done']} of {stage['jobs']}" for name, stage in summary["stages"].items())
    took = duration(summary["now" if state == "running" else "updated"] - summary["started"])
    at = time.strftime("%H:%M", time.localtime(summary["updated"]))
    how = f"the run {state} at {at} after {took}"
    if state == "stopped":
        how = f"the run was stopped, its last sign of life is of {at}"
    lines = [f"{done} after {took}, {_overall(summary)}" if state == "running" else f"{done}; {how}"]
    lines[0] += f": {stages}"
    running = [job for job in summary["active"] if job["state"] != "waiting"]
    lines += [f"  {job['what']}: {_job(job)}" for job in running[:_SHOWN]]
    if len(running) > _SHOWN:
        lines.append(f"  and {len(running) - _SHOWN} more")
    if len(running) < len(summary["active"]):
        lines.append(f"  {len(summary['active']) - len(running)} started or queued, not yet running")
    if summary["package"] is not None:
        lines.append(f"  jobs run the package installed in {summary['package']}, not the checkout's")
    return "\n".join(lines + [f"  failed: {what}" for what in summary["failed"]])


def _overall(summary: Mapping[str, Any]) -> str:
    unknown = summary["unknown"]
    kinds = list(unknown)
    names = ", ".join(kinds[:3]) + (f" and {len(kinds) - 3} more" if len(kinds) > 3 else "")
    missing = f"{sum(unknown.values())} jobs whose kind was never finished here ({names})"
    if unknown and summary["left"] == 0:
        return f"time left not known yet: {missing}"
    return f"about {duration(summary['left'])} left" + (f" and {missing}" if unknown else "")


def _job(job: Mapping[str, Any]) -> str:
    if job["state"] == "silent":
        return f"no sign of life for {duration(job['silent'])}: killed, or done in a group of jobs that goes on"
    if "done" in job:
        text = f"{job['done']} of {job['total']} iterations"
        if job["speed"] is not None:
            text += f", {job['speed']:.3g}/s, at most {duration(job['left'])} left"
        return text
    typical = "" if job["typical"] is None else f" of about {duration(job['typical'])}"
    return f"{duration(job['elapsed'])}{typical}"
