"""Where a job's output goes: the rule's log, and errors to the terminal as well."""

from __future__ import annotations

import faulthandler
import logging
import os
import sys
import traceback
from pathlib import Path
from types import TracebackType


def log_to(path: str) -> None:
    """Send all this process prints to the file ``path``; call once, before anything else is imported.

    File descriptors are redirected, not just ``sys.stdout``: output of compiled libraries, and a crash inside
    them, belong in the log too. An exception goes to the log with its traceback, to the terminal in a line.
    """
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    terminal = os.fdopen(os.dup(sys.stderr.fileno()), "w", buffering=1)
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
        os.dup2(log, stream.fileno())
        stream.reconfigure(line_buffering=True)  # progress is for reading while the job runs
    os.close(log)
    faulthandler.enable()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")

    def report(kind: type[BaseException], error: BaseException, where: TracebackType | None) -> None:
        traceback.print_exception(kind, error, where)
        terminal.write(f"{kind.__name__}: {error} (see {path})\n")

    sys.excepthook = report
