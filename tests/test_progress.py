"""What a loop logs of itself is what is read back, and speeds are those of a clock set by hand."""

import logging

import pytest

from nash_dqn.progress import Progress, Step, duration, last_step


class Clock:
    """Time that stands still unless it is set."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_first_and_last_reports_are_logged_and_others_every_five_seconds(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    clock = Clock()
    progress = Progress(1000, clock)
    for done, at in [(100, 1000), (200, 1004.9), (300, 1008), (400, 1012), (500, 1013.1), (1000, 1014)]:
        clock.now = at
        progress.report(done, f"loss {done}")
    # 300 - 100 in 8 s; 500 - 100 in 13.1 s, 500 left; 1000 - 100 in 14 s.
    assert caplog.messages == [
        "100 of 1000 iterations, loss 100",
        "300 of 1000 iterations, 25/s, 28 s left, loss 300",
        "500 of 1000 iterations, 30.5/s, 16 s left, loss 500",
        "1000 of 1000 iterations, 64.3/s, 0 s left, loss 1000",
    ]


def test_a_loop_that_begins_in_the_middle_has_the_speed_of_what_is_done_since(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    clock = Clock()
    progress = Progress(10_000, clock)
    progress.report(9_000, "")
    clock.now += 40
    progress.report(9_010, "")
    assert last_step(b"10:00:00 " + caplog.messages[-1].encode()) == Step(9_010, 10_000, 0.25, 3960.0)


def test_last_line_of_a_log_counts() -> None:
    log = (
        b"22:00:01 process 7 on node\n"
        b"22:00:09 1 of 20 iterations, mean loss 3\n"
        b"22:00:14 5 of 20 iterations, 1.2e+03/s, 12 s left, mean loss 3 4\n"
        b"22:00:15 seed 2 stops at iteration 5: lowest loss at 3\n"
        b"22:00:16 9 of 2"
    )
    assert last_step(log) == Step(5, 20, 1200.0, 12.0)
    assert last_step(b"22:00:09 1 of 20 iterations, mean loss 3\n") == Step(1, 20, None, None)
    assert last_step(b"22:00:01 process 7 on node\n") is None
    assert last_step(b"") is None


def test_durations_have_two_units_at_most() -> None:
    times = {0.04: "0.0 s", 9.94: "9.9 s", 9.96: "10 s", 119.4: "119 s", 119.6: "2 min", 3569: "59 min"}
    times |= {3571: "1 h 00 min", 7500: "2 h 05 min", 36 * 3600: "36 h 00 min"}
    assert {seconds: duration(seconds) for seconds in times} == times
