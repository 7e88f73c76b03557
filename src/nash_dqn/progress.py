"""How far a loop is: a line in its log every few seconds, and that line read back."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from typing import NamedTuple

log = logging.getLogger(__name__)

_EVERY = 5.0  # seconds between lines
_LINE = re.compile(rb"^\d\d:\d\d:\d\d (\d+) of (\d+) iterations(?:, ([\d.e+-]+)/s, (\d+) s left)?", re.MULTILINE)


class Progress:
    """Logs ``done of total iterations``, iterations/s and seconds left, if the last such line is 5 s old.

    The first report is the start: a loop may begin in the middle, where an earlier one stopped, and the speed is that
    of what is done since.
    """

    def __init__(self, total: int, clock: Callable[[], float] = time.perf_counter) -> None:
        self._total, self._clock = total, clock
        self._start: tuple[float, int] | None = None
        self._reported = 0.0

    def report(self, done: int, detail: str) -> None:
        """So many iterations are done; ``detail`` ends the line. The first and the last report are always logged."""
        now = self._clock()
        if self._start is not None and now - self._reported < _EVERY and done < self._total:
            return
        self._reported = now
        pace = ""
        if self._start is None:
            self._start = now, done
        elif now > self._start[0] and done > self._start[1]:
            speed = (done - self._start[1]) / (now - self._start[0])
            pace = f", {speed:.3g}/s, {(self._total - done) / speed:.0f} s left"
        log.info("%d of %d iterations%s, %s", done, self._total, pace, detail)


class Step(NamedTuple):
    """What a log says last.

    Attributes:
        done, total: iterations.
        speed: iterations per second; None after the first report.
        left: seconds to the last iteration, if none stops early; None after the first report.
    """

    done: int
    total: int
    speed: float | None
    left: float | None


def last_step(log_text: bytes) -> Step | None:
    """The last line of :meth:`Progress.report` in a log whose lines begin with the time; None if there is none."""
    lines = _LINE.findall(log_text)
    if not lines:
        return None
    done, total, speed, left = lines[-1]
    return Step(int(done), int(total), float(speed) if speed else None, float(left) if left else None)


def duration(seconds: float) -> str:
    """A time to two units at most: ``0.4 s``, ``35 s``, ``12 min``, ``1 h 05 min``."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if round(seconds) < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
