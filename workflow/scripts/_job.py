"""Where a job's output goes: the rule's log, and errors to the terminal as well."""

from __future__ import annotations

import faulthandler
import logging
import os
import platform
import sys
import threading
import time
import traceback
from pathlib import Path
from types import TracebackType

_SIGN_OF_LIFE_SECONDS = 10


def log_to(path: str) -> None:
    """Send all this process prints to the file ``path``; call once, before anything else is imported.

    File descriptors are redirected, not just ``sys.stdout``: output of compiled libraries, and a crash inside
    them, belong in the log too. An exception goes to the log with its traceback, to the terminal in a line.
    The log's time of change is renewed every few seconds, so that a log tells whether its job is alive, also from
    another machine.
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
    logging.getLogger("fontTools").setLevel(logging.WARNING)  # it tells each table of each font
    logging.info("process %d on %s", os.getpid(), platform.node())
    threading.Thread(target=_live, args=(path,), daemon=True).start()

    def report(kind: type[BaseException], error: BaseException, where: TracebackType | None) -> None:
        traceback.print_exception(kind, error, where)
        terminal.write(f"{kind.__name__}: {error} (see {path})\n")

    sys.excepthook = report


def _live(path: str) -> None:
    """Renew the log's time of change until the process ends or the log is gone."""
    while True:
        time.sleep(_SIGN_OF_LIFE_SECONDS)
        try:
            os.utime(path)
        except FileNotFoundError:
            return
