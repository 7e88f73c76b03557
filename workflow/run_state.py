"""Keeps logs/progress.json while Snakemake runs jobs, and says on the terminal and in Snakemake's log how far it is."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path
from typing import Any

from snakemake.logging import logger
from snakemake_interface_logger_plugins.common import LogEvent

import nash_dqn
from nash_dqn.status import ActiveJob, RuleState, RunState, render, summarise

_WRITE_SECONDS = 10.0  # as a sign of life: a state not written for long is of a run that was killed
_SAY_SECONDS = 60.0


class Watcher(logging.Handler):
    """Follows Snakemake's events from :meth:`start`, its ``onstart``, to :meth:`end`."""

    def start(self, workflow: Any, package: str | None = None) -> None:
        """Begin with what the workflow has to do, in the folder it runs in.

        ``package`` is where the code of its jobs is installed; None for the checkout's own.
        """
        self._folder = Path.cwd()
        rules: dict[str, RuleState] = {}
        for job in workflow.dag.needrun_jobs():
            if job.output:  # a rule without output, such as `all`, does nothing itself
                rules.setdefault(job.rule.name, RuleState(0)).jobs += 1
        try:
            earlier = RunState.read(self._folder).means()
        except ValueError:  # the first run in this folder, or one of a version that wrote another form
            earlier = {}
        self._state = RunState(time.time(), workflow.nodes or workflow.cores, rules, earlier=earlier, package=package)
        self._change = threading.Lock()  # events come from any of Snakemake's threads
        self._over = threading.Event()
        with self._change:
            self._state.write(self._folder)
        if package is not None:
            logger.info(f"Jobs run nash_dqn {nash_dqn.__version__} as installed in {package}.")
        logger.addHandler(self)
        threading.Thread(target=self._go_on, name="progress", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """Take note of a job that starts, ends or fails."""
        event = getattr(record, "event", None)
        with self._change:
            active = self._state.active
            if event == LogEvent.JOB_INFO and record.output:  # type: ignore[attr-defined]
                log = record.log[0] if record.log else None  # type: ignore[attr-defined]
                name, what = record.rule_name, record.rule_msg  # type: ignore[attr-defined]
                active[str(record.jobid)] = ActiveJob(name, what or name, log, time.time())  # type: ignore[attr-defined]
            elif event == LogEvent.JOB_FINISHED:
                self._state.finish(str(record.job_id), time.time())  # type: ignore[attr-defined]
            elif event == LogEvent.JOB_ERROR:
                failed = active.pop(str(record.jobid), None)  # type: ignore[attr-defined]
                if failed:
                    self._state.failed.append(failed.what)
            else:
                return
            self._state.write(self._folder)

    def end(self, how: str) -> None:
        """The run has ended: say so in the file."""
        logger.removeHandler(self)
        self._over.set()
        with self._change:
            self._state.ended = how
            if how == "finished":  # with --quiet progress Snakemake does not say which jobs have ended
                self._state.active.clear()
                for rule in self._state.rules.values():
                    rule.done = rule.jobs
            self._state.write(self._folder)

    def _go_on(self) -> None:
        said = time.monotonic()
        while not self._over.wait(_WRITE_SECONDS):
            with self._change:
                if self._over.is_set():
                    return
                self._state.write(self._folder)
            if time.monotonic() - said >= _SAY_SECONDS:
                said = time.monotonic()
                logger.info(render(summarise(self._folder)))
