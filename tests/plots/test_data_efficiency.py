import numpy as np
import pytest
from pandas import DataFrame, concat

from nash_dqn.plots.data_efficiency import plot, plot_time
from tests.plots.looking import fits, series, words

NASH, FP = "nash-text, median of 3 seeds", "fp-code, median of 3 seeds"

COUNTS = (10_000, 100_000, 1_000_000)
RECORDS = [
    {"policy": policy, "snapshots": [{"transitions": count, "wall_seconds": count / 1e4} for count in COUNTS]}
    for policy in ("nash-text", "fp-code")
]


@pytest.fixture
def learning() -> DataFrame:
    """Nash-DQN: seed 2 stops early, seed 3 diverges at 500,000 transitions. FP: three seeds to the end."""
    rows = []
    for policy, algorithm in (("nash-text", "nash_dqn"), ("fp-code", "fictitious_play")):
        for seed in (1, 2, 3):
            for at, count in enumerate(COUNTS):
                where = ("code", policy, algorithm, seed, "memory", "reference")
                if algorithm == "nash_dqn" and at == 2 and seed > 1:
                    if seed == 3:
                        rows.append((*where, 500_000, np.nan, np.nan))
                    continue
                gain = seed * 10.0 ** (1 - at)
                rows.append((*where, count, gain, gain / 20))
    columns = ["scenario", "policy", "algorithm", "seed", "deviator", "reference"]
    return DataFrame(rows, columns=[*columns, "transitions", "gain", "relative_distance"])


@pytest.fixture
def gains() -> DataFrame:
    """How exploitable the reference is: by 0.0012 at most; other rows do not count."""
    rows = [
        ("code", "reference", 1, "memory", "1", 0.0012),
        ("code", "reference", 2, "memory", "1", 0.0008),
        ("code", "reference", 1, "memory", "nashconv", 0.5),
        ("code", "reference", 1, "same", "1", 0.5),
        ("code", "reference-same", 1, "memory", "1", 0.5),
        ("code", "nash-text", 1, "memory", "1", 0.5),
    ]
    return DataFrame(rows, columns=["scenario", "policy", "seed", "deviator", "player", "high"])


def test_medians_keep_what_stopped_and_count_what_diverged(learning: DataFrame, gains: DataFrame) -> None:
    figures = (plot(learning, gains), plot_time(learning, gains, RECORDS))
    for figure, unit in zip(figures, (1.0, 1e4), strict=True):
        for axes, factor in zip(figure.axes, (1.0, 0.05), strict=True):
            (fp,), (nash,) = series(axes, FP), series(axes, NASH)
            np.testing.assert_allclose(fp, np.transpose([np.array(COUNTS) / unit, factor * np.array([20, 2, 0.2])]))
            # At the end: 0.1, 2 of the training that stopped early, and infinity.
            np.testing.assert_allclose(nash[:, 1], factor * np.array([20.0, 2.0, 2.0]))
            seed = [np.asarray(line.get_ydata()) for line in axes.lines if line.get_linewidth() == 0.6][1]
            np.testing.assert_allclose(seed, factor * np.array([20, 2]))  # of Nash-DQN, which stopped early
        assert fits(figure)
    lost = learning[(learning["algorithm"] == "nash_dqn") & (learning["seed"] != 2)]
    (median,) = series(plot(lost, gains).axes[0], "nash-text, median of 2 seeds")
    assert median[:, 0].tolist() == list(COUNTS[:2])  # infinite at the end


def test_a_divergence_is_marked_where_it_happened(learning: DataFrame, gains: DataFrame) -> None:
    np.testing.assert_allclose(series(plot(learning, gains).axes[0], "diverged"), [[[500_000, 3]]])
    # When it happened is not known: the last policy kept stands for it.
    np.testing.assert_allclose(series(plot_time(learning, gains, RECORDS).axes[0], "diverged"), [[[10, 3]]])
    early = learning[learning["gain"].isna()].assign(transitions=900)
    assert series(plot(early, gains).axes[0], "diverged")[0][0, 0] == 900
    assert not np.isfinite(series(plot_time(early, gains, RECORDS).axes[0], "diverged")[0]).all()


def test_published_budgets_and_the_level_are_on_the_page(learning: DataFrame, gains: DataFrame) -> None:
    figure = plot(learning, gains)
    for axes in figure.axes:
        for label, budget in (("2 million", 2_000_000), ("10.5 million", 10_500_000)):
            (line,) = series(axes, f"published budget, {label}")
            assert axes.get_xlim()[0] < line[0, 0] == budget < axes.get_xlim()[1]
    assert series(figure.axes[0], "gain 0.15")[0][0, 1] == 0.15
    only_fp = plot(learning[learning["algorithm"] == "fictitious_play"], gains)
    assert not series(only_fp.axes[0], "published budget, 2 million")


def test_the_reference_is_called_what_it_is(learning: DataFrame, gains: DataFrame) -> None:
    assert "distance to reference\nits own gain at most 0.0012" in words(plot(learning, gains))
    assert "its own gain not measured" in words(plot(learning, gains[gains["policy"] != "reference"]))
    gains.loc[0, "high"] = np.nan
    assert "it diverged" in words(plot(learning, gains))
    assert "(there is none)" in words(plot(learning.assign(reference=np.nan, relative_distance=np.nan), gains))


def test_an_empty_table_gives_a_figure_that_says_so(learning: DataFrame, gains: DataFrame) -> None:
    for figure in (plot(learning.head(0), gains), plot_time(learning.head(0), gains, RECORDS)):
        assert "no training was long enough" in words(figure)


def test_what_does_not_belong_together_is_refused(learning: DataFrame, gains: DataFrame) -> None:
    two = concat([learning, learning.assign(deviator="same")])
    for message, tables in (
        (r"^data_efficiency: scenario = 'code': allowed are table1$", (learning, gains.assign(scenario="table1"))),
        (r"^data_efficiency: algorithm = 'dqn': allowed are nash_dqn, ", (learning.assign(algorithm="dqn"), gains)),
        (
            r"^data_efficiency: deviator must be the same in every",
            (two, gains),
        ),
    ):
        with pytest.raises(ValueError, match=message):
            plot(*tables)
    with pytest.raises(ValueError, match=r"^data_efficiency: no record has the time of nash-text after 10000 tr"):
        plot_time(learning, gains, RECORDS[1:])
