import numpy as np
import pytest
from pandas import DataFrame

from nash_dqn.plots.equilibrium_path import COLUMNS, plot
from nash_dqn.studies import equilibrium_path
from tests.plots.looking import fits, series, words

PANELS = ("value", "smallest_singular")
LABELS = {
    "reference-same": "reference-same: sees what the text says",
    "reference": "reference: also its own past order flow",
}


@pytest.fixture
def paths() -> DataFrame:
    """Without memory the path turns back at t = 0.35, its fourth point; with memory it arrives at t = 1."""
    along = {"reference-same": (0.0, 0.1, 0.3, 0.35, 0.32, 0.31), "reference": (0.0, 0.25, 0.5, 0.75, 1.0)}
    rows = [
        (policy, at, t, 0.5 * 0.2**t, 0.1 * 0.1**t, -1.4 - t - 0.01 * at, 1e-3 * (abs(0.35 - t) + 1e-3))
        for policy, ts in along.items()
        for at, t in enumerate(ts)
    ]
    return DataFrame(rows, columns=list(COLUMNS)).sample(frac=1, random_state=np.random.default_rng(1))


def test_lines_are_the_paths_and_a_ring_is_where_one_folds(paths: DataFrame) -> None:
    figure = plot(paths)
    for axes, panel in zip(figure.axes, PANELS, strict=True):
        for policy, label in LABELS.items():
            rows = paths[paths["policy"] == policy].sort_values("point")
            np.testing.assert_array_equal(series(axes, label), [rows[["kappa", panel]]])
        left, right = axes.get_xlim()
        assert left > 0.5 > 0.1 > right, "from the released code's kappa on the left to Table 1's on the right"
        # 0.5 x 0.2^0.35 and 0.1 x 0.1^0.35
        (ring,) = series(axes, r"fold at $\kappa$ = 0.285, $\sigma$ = 0.045")
        fold = paths[(paths["policy"] == "reference-same") & (paths["point"] == 3)]
        np.testing.assert_array_equal(ring, fold[["kappa", panel]])
    assert fits(figure)


def test_a_path_that_was_lost_at_once_is_drawn_without_a_fold(paths: DataFrame) -> None:
    figure = plot(paths[paths["point"] < 1])
    assert "fold at" not in words(figure)
    assert {"code", "table1"} <= set(words(figure).splitlines())
    assert fits(figure)


def test_tables_that_cannot_be_drawn(paths: DataFrame) -> None:
    assert set(COLUMNS) - {"policy"} <= set(equilibrium_path.COLUMNS)
    for message, wrong in (
        ("policy = 'history': allowed are reference-same, reference", paths.assign(policy="history")),
        ("a point of a policy stands twice", paths.assign(point=1)),
        ("numbers must be finite, kappa and smallest_singular > 0", paths.assign(kappa=0.0)),
        ("numbers must be finite, kappa and smallest_singular > 0", paths.assign(value=np.nan)),
    ):
        with pytest.raises(ValueError, match=f"equilibrium_path: {message}"):
            plot(wrong)
