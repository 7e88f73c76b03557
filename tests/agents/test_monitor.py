"""History, early stopping, best weights and divergence on loss series made by hand."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from nash_dqn.agents.monitor import Monitor

STATISTICS = ("loss", "minus", "resets")


def run(losses: Sequence[Sequence[float]], every: int, **options: Any) -> Monitor:
    """Feeds each member its losses as a trainer would; a member's one weight is the number of iterations it trained.

    The second statistic is minus the loss, the third, which is counted, 1 at every fourth iteration.
    """
    trained = torch.zeros(len(losses), 1)

    def weights() -> dict[str, Tensor]:
        return {"weight": trained}

    seeds = [10 * (k + 1) for k in range(len(losses))]
    options = {"watched": "loss", "counted": ("resets",), **options}
    monitor = Monitor.create(seeds, weights(), len(losses[0]), every, STATISTICS, **options)
    for iteration in range(len(losses[0])):
        if not monitor.active:
            break
        now = torch.tensor([losses[k][iteration] for k in monitor.active], dtype=torch.float64)
        trained += 1
        monitor.add(torch.stack((now, -now, torch.full_like(now, iteration % 4 == 3))), weights)
        if monitor.due:
            kept = monitor.check(7 * (iteration + 1), weights, iteration=iteration + 1)
            if len(kept) < len(monitor.active):
                monitor.select(kept)
                trained = trained[kept]
    return monitor


def outcome(monitor: Monitor) -> list[tuple[int, str]]:
    return [(member["iterations"], member["stopped"]) for member in monitor.record()]


def returned(monitor: Monitor) -> list[float]:
    """The iterations whose weights are returned."""
    return monitor.weights()["weight"].flatten().tolist()


def test_a_run_without_a_loss_records_its_reward() -> None:
    monitor = Monitor.create([1, 2], {"a": torch.zeros(2, 1)}, 1, 1, ("reward",), "reward")
    monitor.add(torch.tensor([[-2.5, math.nan]]), lambda: {"a": torch.zeros(2, 1)})
    monitor.check(7, lambda: {"a": torch.zeros(2, 1)})
    ends = {"iterations": 1, "transitions": 7}
    assert monitor.record() == [
        {"seed": 1, **ends, "stopped": "iterations", "diverged": False, "final_reward": -2.5},
        {"seed": 2, **ends, "stopped": "diverged", "diverged": True, "final_reward": None},
    ]


def test_history_is_the_mean_of_the_iterations_since_the_last_row() -> None:
    """Rows after iterations 3, 6 and 8, the last though 8 is no multiple of 3; seed by seed. Resets are counted."""
    monitor = run([[1, 2, 3, 4, 5, 9, 10, 20], [0, 0, 6, 0, 0, 3, 1, 2]], every=3)
    history = monitor.history()
    assert history.columns.tolist() == ["seed", "iteration", "transitions", *STATISTICS]
    assert history["seed"].tolist() == [10, 10, 10, 20, 20, 20]
    assert history["iteration"].tolist() == [3, 6, 8] * 2
    assert history["transitions"].tolist() == [21, 42, 56] * 2
    assert history["loss"].tolist() == [2.0, 6.0, 15.0, 2.0, 1.0, 1.5]
    assert history["minus"].tolist() == [-2.0, -6.0, -15.0, -2.0, -1.0, -1.5]
    assert history["resets"].tolist() == [0, 1, 2] * 2
    assert monitor.record()[0] == {
        "seed": 10, "iterations": 8, "transitions": 56, "stopped": "iterations", "diverged": False,
        "best_loss": 2.0, "final_loss": 15.0, "returned_iteration": 8, "resets": 2,
    }  # fmt: skip
    assert returned(monitor) == [8.0, 8.0]


def test_a_look_at_single_iterations_leaves_the_history_alone() -> None:
    losses = [[float(i * i % 17) for i in range(60)]]
    assert run(losses, every=5).history().equals(run(losses, every=5, patience=100, returned="best").history())


def expected_stop(losses: Sequence[float], every: int, patience: int) -> tuple[int, int]:
    """The released code's loop, and the check that follows: where it stops, and the iteration of the lowest loss."""
    lowest, lowest_at = math.inf, 0
    for done, loss in enumerate(losses, 1):
        if loss < lowest:
            lowest, lowest_at = loss, done
        if done - lowest_at > patience:
            return min(-(-done // every) * every, len(losses)), lowest_at
    return len(losses), lowest_at


def test_stops_at_the_first_check_after_patience_is_over() -> None:
    """Each member of an ensemble, with a series of its own, against the plain loop.

    In the last an equal loss is no improvement, and a lower one comes when a patience of 5 is just not over; there and
    elsewhere lower ones that come too late are not taken.
    """
    series = [
        [100.0 / (i + 1) + 20 * ((i * 7919) % 13 == 0) + (i > 60) * (i - 60) + ((i * s) % 7) for i in range(120)]
        for s in (31, 17, 45, 2)
    ]
    series.append([5.0, 3.0, 4.0, 1.0, 2.0, 2.0, 1.0, 2.0, 2.0, 0.5, *[2.0] * 40, *[0.0] * 70])
    for patience, every, way in itertools.product((5, 12, 35), (1, 5, 100), ("best", "last")):
        monitor = run(series, every, patience=patience, returned=way)
        for k, losses in enumerate(series):
            stop, lowest_at = expected_stop(losses, every, patience)
            assert monitor.record()[k]["iterations"] == stop
            assert returned(monitor)[k] == (lowest_at if way == "best" else stop)
            if stop < 120:
                assert monitor.record()[k]["stopped"] == "early_stopping"


def test_the_watched_statistic_decides() -> None:
    """Minus the loss is lowest where the loss is highest, at iteration 2."""
    losses = [[1.0, 5.0, 1.0, 0.5, 1.0, 1.0, 0.1]]
    monitor = run(losses, every=1, watched="minus", patience=3, returned="best")
    assert (outcome(monitor), returned(monitor)) == ([(6, "early_stopping")], [2.0])
    assert (monitor.record()[0]["best_loss"], monitor.record()[0]["final_loss"]) == (-5.0, -1.0)


def test_weights_that_are_not_finite_are_never_the_best() -> None:
    """The loss is known before the step that spoils the weights: the lowest, but its weights are of no use."""
    weights = {"a": torch.zeros(2, 3), "b": torch.zeros(2, 2, 1)}
    monitor = Monitor.create([1, 2], weights, 10, 10, ("loss",), "loss", returned="best")
    for done, loss in enumerate([5.0, 4.0, 1.0, 3.0], 1):
        weights = {"a": torch.full((2, 3), float(done)), "b": torch.full((2, 2, 1), float(done))}
        if done == 3:
            weights["b"][1, 1, 0] = torch.nan
        monitor.add(torch.full((1, 2), loss), weights.copy)
    monitor.check(10, weights.copy)
    assert [member["returned_iteration"] for member in monitor.record()] == [3, 4]
    assert monitor.weights()["a"].tolist() == [[3.0] * 3, [4.0] * 3]
    assert monitor.weights()["b"].flatten(1).tolist() == [[3.0] * 2, [4.0] * 2]


def test_without_a_finite_loss_the_first_weights_are_the_best() -> None:
    monitor = run([[math.nan, math.inf, math.nan], [2.0, math.nan, 1.0]], every=3, returned="best")
    assert (outcome(monitor), returned(monitor)) == ([(3, "diverged")] * 2, [0.0, 3.0])
    assert monitor.record()[0]["returned_iteration"] == 0


@pytest.mark.parametrize(
    ("way", "weights", "bad"),
    [("last", [10.0, 4.0, 10.0], 5000.0), ("last", [10.0, 4.0, 10.0], math.nan), ("best", [1.0, 2.0, 1.0], math.inf)],
)
def test_a_diverged_member_keeps_its_last_sound_weights_or_its_best(way: str, weights: list[float], bad: float) -> None:
    """Checks after 2, 4, 6, ...; the bad loss comes at iteration 5: weights of iteration 4, found at 6."""
    sound = [2.0] * 10
    diverging = [2.0, 1.0, 3.0, 2.0, bad, 2.0, 2.0, 2.0, 2.0, 2.0]
    monitor = run([sound, diverging, sound], every=2, divergence_factor=1000.0, returned=way)
    assert outcome(monitor) == [(10, "iterations"), (6, "diverged"), (10, "iterations")]
    assert returned(monitor) == weights
    record = monitor.record()[1]
    assert record["diverged"] is True
    assert record["best_loss"] == 1.5
    assert record["returned_iteration"] == weights[1]
    assert record["final_loss"] == ((bad + 2) / 2 if math.isfinite(bad) else None)
    assert len(monitor.history()) == 5 + 3 + 5


def test_divergence_is_judged_by_the_factor() -> None:
    """A mean loss of 10 times the best is not yet more than 10 times the best."""
    assert outcome(run([[1.0, 10.0, 10.0, 10.1, 1.0]], every=1, divergence_factor=10.0)) == [(4, "diverged")]
    assert outcome(run([[1.0, 10.0, 10.0, 10.0, 1.0]], every=1, divergence_factor=10.0)) == [(5, "iterations")]
    # The best, not the first or the last.
    assert outcome(run([[5.0, 1.0, 8.0, 11.0]], every=1, divergence_factor=10.0)) == [(4, "diverged")]
    # Means between checks, not single losses: 5.5 and 55.
    assert outcome(run([[1.0, 10.0, 100.0, 10.0]], every=2, divergence_factor=10.0)) == [(4, "iterations")]
    assert outcome(run([[1.0, 10.0, 101.0, 10.0]], every=2, divergence_factor=10.0)) == [(4, "diverged")]


def test_divergence_is_judged_by_the_largest_loss() -> None:
    """A loss of 10 is not yet more than 10, however low it once was; a single iteration's, not the mean."""
    assert outcome(run([[0.001, 10.0, 10.0, 10.1, 1.0]], every=1, largest_loss=10.0)) == [(4, "diverged")]
    assert outcome(run([[0.001, 10.0, 10.0, 10.0, 1.0]], every=1, largest_loss=10.0)) == [(5, "iterations")]
    assert outcome(run([[1.0, 10.1, 1.0, 1.0, 1.0]], every=4, largest_loss=10.0)) == [(4, "diverged")]


def test_diverged_at_the_first_check_keeps_the_initial_weights() -> None:
    monitor = run([[math.nan] * 4, [1.0] * 4], every=2)
    assert outcome(monitor) == [(2, "diverged"), (4, "iterations")]
    assert returned(monitor) == [0.0, 4.0]
    record = monitor.record()[0]
    assert record["best_loss"] is None and record["final_loss"] is None


def test_weights_that_are_not_finite_are_not_kept() -> None:
    """The loss is known before the step that spoils the weights, so it may still be finite when they are not."""
    weights = {"a": torch.zeros(2, 1)}
    monitor = Monitor.create([1, 2], weights, 3, 1, ("loss",), "loss")
    weights["a"][1] = torch.inf
    monitor.add(torch.ones(1, 2), weights.copy)
    assert monitor.check(1, lambda: weights) == [0]
    assert [member["stopped"] for member in monitor.record()] == ["iterations", "diverged"]
    assert not monitor.weights()["a"].any()


@pytest.mark.parametrize("way", ["best", "last"])
def test_weights_are_copies(way: str) -> None:
    weights = {"a": torch.zeros(1, 2)}
    monitor = Monitor.create([1], weights, 2, 1, ("loss",), "loss", returned=way)
    weights["a"] += 1
    assert not monitor.weights()["a"].any()
    monitor.add(torch.ones(1, 1), weights.copy)
    monitor.check(1, lambda: weights)
    weights["a"] += 1
    assert (monitor.weights()["a"] == 1).all()
