"""Histories are read at the right rows."""

import pandas as pd
import pytest

from nash_dqn.evaluation.histories import diverged_by, resets_by, window_before

HISTORY = pd.DataFrame({"seed": 7, "iteration": [10, 20, 30, 40], "loss": [4.0, 3.0, 2.0, 1.0], "resets": [0, 0, 2, 3]})


def test_a_window_ends_with_its_iteration() -> None:
    assert window_before(HISTORY, 30, 20, 10)["loss"].tolist() == [3.0, 2.0]
    assert window_before(HISTORY, 40, 40, 10)["loss"].tolist() == [4.0, 3.0, 2.0, 1.0]


@pytest.mark.parametrize(("iteration", "window", "found"), [(50, 20, 1), (10, 20, 1), (35, 20, 2)])
def test_a_window_that_is_not_whole_is_refused(iteration: int, window: int, found: int) -> None:
    message = f"history of seed 7: {found} rows in the {window} iterations before {iteration}, expected 2"
    with pytest.raises(ValueError, match=message):
        window_before(HISTORY, iteration, window, 10)


def test_resets_until_the_end_of_the_row() -> None:
    """Iterations 21 to 30 are in the third row; what comes after the last row is not known."""
    assert [resets_by(HISTORY, iteration) for iteration in (1, 20, 21, 30, 31, 99)] == [0, 0, 2, 2, 3, 3]


def test_whether_a_training_had_diverged() -> None:
    lost = {"diverged": True, "iterations": 30}
    assert [diverged_by(lost, iteration) for iteration in (29, 30, 31)] == [False, True, True]
    assert not diverged_by({"diverged": False, "iterations": 30}, 31)
