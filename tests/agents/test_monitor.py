"""History, early stopping and divergence on loss series made by hand."""

import math
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from nash_dqn.agents.monitor import EarlyStopping, Monitor


def run(
    losses: Sequence[Sequence[float]],
    every: int,
    early: EarlyStopping | None = None,
    factor: float = 1000.0,
) -> Monitor:
    """Feed each member its losses as a trainer would; a member's one weight is the number of iterations it trained.

    The second statistic is minus the loss.
    """
    total = len(losses[0])
    trained = torch.zeros(len(losses), 1)

    def weights() -> dict[str, Tensor]:
        return {"weight": trained}

    seeds = [10 * (k + 1) for k in range(len(losses))]
    monitor = Monitor(seeds, ("loss", "minus"), total, every, factor, early, weights())
    for iteration in range(total):
        now = torch.tensor([losses[k][iteration] for k in monitor.active])
        monitor.add(torch.stack((now, -now)))
        trained += 1
        if monitor.due(iteration + 1):
            kept = monitor.check(iteration + 1, 7 * (iteration + 1), weights, iteration=iteration + 1)
            if len(kept) < len(monitor.active):
                monitor.select(kept)
                trained = trained[kept]
            if not kept:
                break
    return monitor


def outcome(monitor: Monitor) -> list[tuple[int, str]]:
    return [(member["iterations"], member["stopped"]) for member in monitor.record()]


# --- history ------------------------------------------------------------------------------------------------


def test_history_is_the_mean_of_the_iterations_since_the_last_row() -> None:
    """Rows after iterations 3, 6 and 8, the last though 8 is no multiple of 3; seed by seed."""
    monitor = run([[1, 2, 3, 4, 5, 9, 10, 20], [0, 0, 6, 0, 0, 3, 1, 2]], every=3)
    history = monitor.history()
    assert history.columns.tolist() == ["seed", "iteration", "transitions", "loss", "minus"]
    assert history["seed"].tolist() == [10, 10, 10, 20, 20, 20]
    assert history["iteration"].tolist() == [3, 6, 8] * 2
    assert history["transitions"].tolist() == [21, 42, 56] * 2
    assert history["loss"].tolist() == [2.0, 6.0, 15.0, 2.0, 1.0, 1.5]
    assert history["minus"].tolist() == [-2.0, -6.0, -15.0, -2.0, -1.0, -1.5]
    assert monitor.record()[0] == {
        "seed": 10, "iterations": 8, "transitions": 56, "stopped": "iterations", "diverged": False,
        "best_loss": 2.0, "final_loss": 15.0,
    }  # fmt: skip
    assert monitor.weights()["weight"].tolist() == [[8.0], [8.0]]


@pytest.mark.parametrize("early", [EarlyStopping(100, 1), EarlyStopping(100, 4), EarlyStopping(100, 50)])
def test_the_early_stopping_window_does_not_reach_into_the_history(early: EarlyStopping) -> None:
    losses = [[float(i * i % 17) for i in range(60)]]
    plain, watched = run(losses, every=5), run(losses, every=5, early=early)
    assert plain.history().equals(watched.history())


# --- early stopping -----------------------------------------------------------------------------------------


def expected_stop(losses: Sequence[float], every: int, early: EarlyStopping) -> int:
    """The first check with no new lowest windowed mean in the last ``patience`` iterations, from the definition."""
    means = {end: sum(losses[end - early.window : end]) / early.window for end in range(early.window, len(losses) + 1)}
    for done in range(1, len(losses) + 1):
        if done % every == 0 or done == len(losses):
            seen = {end: mean for end, mean in means.items() if end <= done}
            lowest_at = min(seen, key=lambda end: (seen[end], end)) if seen else 0
            if done - lowest_at >= early.patience:
                return done
    return len(losses)


def test_stops_patience_iterations_after_the_lowest_loss() -> None:
    """Window 1: the lowest loss, 1, comes at iteration 4, and an equal one later is no improvement: 4 + 5 = 9."""
    losses = [5.0, 3.0, 4.0, 1.0, 2.0, 2.0, 1.0, 2.0, 2.0, 2.0, 0.0, 0.0]
    monitor = run([losses], every=1, early=EarlyStopping(patience=5, window=1))
    assert outcome(monitor) == [(9, "early_stopping")]
    assert monitor.weights()["weight"].item() == 9
    assert monitor.history()["iteration"].tolist() == list(range(1, 10))
    assert monitor.record()[0]["best_loss"] == 1.0
    assert monitor.record()[0]["final_loss"] == 2.0


def test_a_window_takes_no_notice_of_one_lucky_loss() -> None:
    """Window 3: means 4, 3.33 (5, 4, 1), 2.33 (4, 1, 2), 1.67 (1, 2, 2) at iteration 6, then 2, 1.67, 2, ...: 6 + 4."""
    losses = [3.0, 5.0, 4.0, 1.0, 2.0, 2.0, 2.0, 1.0, 2.0, 2.0, 2.0, 0.0, 0.0]
    monitor = run([losses], every=1, early=EarlyStopping(patience=4, window=3))
    assert outcome(monitor) == [(10, "early_stopping")]


@pytest.mark.parametrize("every", [1, 2, 3, 5, 7, 100])
@pytest.mark.parametrize("window", [1, 2, 3, 10, 12])
def test_stops_at_the_first_check_at_which_patience_is_over(window: int, every: int) -> None:
    """However the window compares with the iterations between checks."""
    losses = [100.0 / (i + 1) + 20 * ((i * 7919) % 13 == 0) + (i > 60) * (i - 60) + ((i * 31) % 7) for i in range(120)]
    for patience in (12, 20, 35):
        early = EarlyStopping(patience, window)
        stop = expected_stop(losses, every, early)
        monitor = run([losses], every, early)
        assert monitor.record()[0]["iterations"] == stop
        if stop < 120:
            assert monitor.record()[0]["stopped"] == "early_stopping"


def test_improvement_goes_on_for_ever() -> None:
    losses = [1.0 / (i + 1) for i in range(50)]
    assert outcome(run([losses], every=5, early=EarlyStopping(3, 3))) == [(50, "iterations")]


def test_members_stop_on_their_own() -> None:
    """Each member's stop is that of a run by itself."""
    falling = [50.0 - i for i in range(40)]
    losses = [[max(x, bottom) for x in falling] for bottom in (45.0, 10.5, 30.0)]
    early = EarlyStopping(6, 2)
    together = run(losses, every=2, early=early)
    for k, series in enumerate(losses):
        alone = run([series], every=2, early=early)
        assert outcome(alone)[0] == outcome(together)[k]
        assert together.weights()["weight"][k] == alone.weights()["weight"][0]
    assert [stopped for stopped, _ in outcome(together)] == [14, 40, 28]
    history = together.history()
    assert history.groupby("seed")["iteration"].max().tolist() == [14, 40, 28]


def test_a_window_holds_the_members_own_losses_after_another_has_left() -> None:
    """The first member leaves with losses that would be the lowest ever in another's window, which spans checks."""
    falling = [50.0 - i for i in range(40)]
    losses = [[1.0] * 40, falling, [x + 100 for x in falling]]
    together = run(losses, every=2, early=EarlyStopping(patience=10, window=7))
    assert outcome(together) == [(18, "early_stopping"), (40, "iterations"), (40, "iterations")]


# --- divergence ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [math.nan, math.inf, 5000.0])
def test_a_diverged_member_keeps_its_last_sound_weights(bad: float) -> None:
    """Checks after 2, 4, 6, ...; the bad loss comes at iteration 5: weights of iteration 4, found at 6."""
    sound = [2.0] * 10
    diverging = [2.0, 2.0, 2.0, 2.0, bad, 2.0, 2.0, 2.0, 2.0, 2.0]
    monitor = run([sound, diverging, sound], every=2, factor=1000.0)
    assert outcome(monitor) == [(10, "iterations"), (6, "diverged"), (10, "iterations")]
    assert monitor.weights()["weight"].flatten().tolist() == [10.0, 4.0, 10.0]
    record = monitor.record()[1]
    assert record["diverged"] is True
    assert record["best_loss"] == 2.0
    assert record["final_loss"] == ((bad + 2) / 2 if math.isfinite(bad) else None)
    assert len(monitor.history()) == 5 + 3 + 5


def test_divergence_is_judged_by_the_factor() -> None:
    """A mean loss of 10 times the best is not yet more than 10 times the best."""
    assert outcome(run([[1.0, 10.0, 10.0, 10.1, 1.0]], every=1, factor=10.0)) == [(4, "diverged")]
    assert outcome(run([[1.0, 10.0, 10.0, 10.0, 1.0]], every=1, factor=10.0)) == [(5, "iterations")]
    # The best, not the first or the last.
    assert outcome(run([[5.0, 1.0, 8.0, 11.0]], every=1, factor=10.0)) == [(4, "diverged")]


def test_a_restart_forgets_the_best_loss_but_the_record_keeps_it() -> None:
    """A loss of 50 has diverged from 1, but not after a restart; there 5000 has, from 50."""
    for restart, end in ((False, (3, "diverged")), (True, (5, "diverged"))):
        weights = {"a": torch.zeros(1, 1)}
        monitor = Monitor([1], ("loss",), 6, 1, 10.0, None, weights)
        for done, loss in enumerate([1.0, 1.0, 50.0, 50.0, 5000.0, 1.0], 1):
            if restart and done == 3:
                monitor.restart()
            monitor.add(torch.full((1, 1), loss))
            if not monitor.check(done, done, weights.copy):
                break
        assert outcome(monitor) == [end]
        assert monitor.record()[0]["best_loss"] == 1.0


def test_diverged_at_the_first_check_keeps_the_initial_weights() -> None:
    monitor = run([[math.nan] * 4, [1.0] * 4], every=2)
    assert outcome(monitor) == [(2, "diverged"), (4, "iterations")]
    assert monitor.weights()["weight"].flatten().tolist() == [0.0, 4.0]
    record = monitor.record()[0]
    assert record["best_loss"] is None and record["final_loss"] is None


def test_weights_that_are_not_finite_are_not_kept() -> None:
    """The loss is known before the step that spoils the weights, so it may still be finite when they are not."""
    weights = {"a": torch.zeros(2, 1)}
    monitor = Monitor([1, 2], ("loss",), 3, 1, 10.0, None, weights)
    weights["a"][1] = torch.inf
    monitor.add(torch.ones(1, 2))
    assert monitor.check(1, 1, lambda: weights) == [0]
    assert [member["stopped"] for member in monitor.record()] == ["iterations", "diverged"]
    assert not monitor.weights()["a"].any()


def test_all_members_gone() -> None:
    monitor = run([[1.0, 1.0, math.nan, 1.0], [1.0, math.nan, 1.0, 1.0]], every=1)
    assert outcome(monitor) == [(3, "diverged"), (2, "diverged")]
    assert monitor.weights()["weight"].flatten().tolist() == [2.0, 1.0]


def test_weights_are_copies() -> None:
    weights = {"a": torch.zeros(1, 2)}
    monitor = Monitor([1], ("loss",), 2, 1, 10.0, None, weights)
    weights["a"] += 1
    assert not monitor.weights()["a"].any()
    monitor.add(torch.ones(1, 1))
    monitor.check(1, 1, lambda: weights)
    weights["a"] += 1
    assert (monitor.weights()["a"] == 1).all()
