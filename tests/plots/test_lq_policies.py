from typing import Any

import numpy as np
import pytest
from pandas import DataFrame

from nash_dqn.evaluation import lq_error
from nash_dqn.evaluation.statistics import tidy
from nash_dqn.plots.lq_policies import ERROR_COLUMNS, SCATTER_COLUMNS, plot
from nash_dqn.plots.style import ALGORITHM_COLOURS
from tests.plots.looking import fits, series

STEPS = 4
ALGORITHMS = {"nash-text": "nash_dqn", "nash-lq": "nash_dqn", "fp-lq": "fictitious_play"}
SIZES = {"nash-text": 0.2, "nash-lq": 0.02, "fp-lq": 0.3}


@pytest.fixture
def errors() -> DataFrame:
    """Relative error: the policy's size times the seed (1, 2, 4) times (1 + m), over all steps ten times the size."""
    factors = {**{str(m): 1.0 + m for m in range(STEPS)}, "all": 10.0}
    table = tidy({"policy": list(SIZES), "seed": (1, 2, 4), "visited_by": ["exact", "learned"], "step": list(factors)})
    relative = table["policy"].map(SIZES) * table["seed"] * table["step"].map(factors)
    relative = relative.where(table["visited_by"] == "learned", relative / 2)
    table = table.assign(scenario="lq", algorithm=table["policy"].map(ALGORITHMS), relative=relative)
    return table.sample(frac=1, random_state=np.random.default_rng(1))


@pytest.fixture
def scatter() -> DataFrame:
    """Twenty actions a seed and step, learned = (1 + size) exact."""
    axes: dict[str, Any] = {"policy": list(SIZES), "seed": (1, 2, 4), "step": range(STEPS)}
    table = tidy({**axes, "exact": np.linspace(-3.0, 2.5, 20).tolist()})
    exact = table["exact"] * (1 + table["step"])
    return table.assign(scenario="lq", exact=exact, learned=(1 + table["policy"].map(SIZES)) * exact)


def test_lines_are_the_errors_and_their_medians(errors: DataFrame, scatter: DataFrame) -> None:
    figure = plot(errors, scatter)
    looks = set()
    for axes, half in zip(figure.axes[-2:], (1, 0.5), strict=True):
        for policy, size in SIZES.items():
            label = f"{policy}, median of 3 of 3 seeds"
            (median,) = series(axes, label)
            np.testing.assert_allclose(median[:, 1], [100 * size * half * 2 * (1 + m) for m in range(STEPS)])
            (line,) = [line for line in axes.lines if line.get_label() == label]
            assert line.get_color() == ALGORITHM_COLOURS[ALGORITHMS[policy]]
            looks.add((line.get_color(), line.get_linestyle()))
            whole = [1000 * size * half * seed for seed in (1, 2, 4)]
            assert any(
                np.allclose(np.asarray(line.get_ydata()), whole)
                for line in axes.lines
                if len(np.asarray(line.get_ydata())) == 3
            )
        thin = sorted(np.asarray(line.get_ydata())[0] for line in axes.lines if line.get_linewidth() == 0.6)
        expected = [100 * size * half * seed for size in SIZES.values() for seed in (1, 2, 4)]
        np.testing.assert_allclose(thin, sorted(expected))
        assert axes.get_ylim()[0] < series(axes, "5%")[0][0, 1] == 5 < axes.get_ylim()[1]
    assert len(looks) == 3
    assert fits(figure)


def test_actions_are_drawn_at_their_decision_point_and_a_seed_far_off_on_the_edge(
    errors: DataFrame, scatter: DataFrame
) -> None:
    wild = (scatter["policy"] == "nash-text") & (scatter["seed"] == 1) & (scatter["step"] == 3)
    panels = iter(plot(errors, scatter.assign(learned=scatter["learned"].mask(wild, 1e6))).axes)
    for policy in errors["policy"].unique():
        for step in range(STEPS):
            axes, of = next(panels), (scatter["policy"] == policy) & (scatter["step"] == step)
            near = scatter.loc[of & ~wild, ["exact", "learned"]]
            np.testing.assert_array_equal(np.asarray(axes.lines[1].get_xydata()), near)
            assert axes.get_xlim() == axes.get_ylim()
            assert near.abs().to_numpy().max() < axes.get_xlim()[1] < 50
            far = [len(points) for points in series(axes, "off scale") if (points[:, 1] == axes.get_ylim()[1]).all()]
            assert far == ([20] if (of & wild).any() else [])


def test_of_many_decision_points_first_and_last_are_among_those_shown() -> None:
    steps = [*map(str, range(10)), "all"]
    rows = [("lq", "nash-a", "nash_dqn", 1, visitor, step, 0.1) for visitor in ("learned", "exact") for step in steps]
    points = [("lq", "nash-a", 1, step, 1.0, 1.1) for step in range(10)]
    figure = plot(DataFrame(rows, columns=list(ERROR_COLUMNS)), DataFrame(points, columns=list(SCATTER_COLUMNS)))
    titles = [axes.get_title(loc="left")[4:] for axes in figure.axes[:5]]
    assert titles == [f"$m$ = {step}" for step in (0, 2, 4, 7, 9)]
    assert len(series(figure.axes[-1], "nash-a, median of one seed")[0]) == 10


def test_seeds_that_are_not_finite_are_counted_and_in_no_median(errors: DataFrame, scatter: DataFrame) -> None:
    lost = (errors["policy"] == "nash-lq") & (errors["seed"] == 4) & (errors["step"] == "all")
    lost |= errors["algorithm"] == "fictitious_play"
    axes = plot(errors.assign(relative=errors["relative"].mask(lost)), scatter).axes[-2]
    (median,) = series(axes, "nash-lq, median of 2 of 3 seeds")
    np.testing.assert_allclose(median[:, 1], [3 * (1 + m) for m in range(STEPS)])
    assert not np.isfinite(series(axes, "fp-lq, median of 0 of 3 seeds")[0][:, 1]).any()


def test_what_is_wrong_with_the_tables_is_said(errors: DataFrame, scatter: DataFrame) -> None:
    assert set(ERROR_COLUMNS) - {"scenario"} <= set(lq_error.COLUMNS)
    assert set(SCATTER_COLUMNS) - {"scenario"} <= set(lq_error.SCATTER_COLUMNS)
    for message, tables in (
        ("lq_scatter: scenario = 'other': allowed are lq", (errors, scatter.assign(scenario="other"))),
        ("lq_error: step must be 0, 1, .. and all; found 0, 1, 2, 3", (errors[errors["step"] != "all"], scatter)),
        ("lq_error: no row with visited_by=exact", (errors[errors["visited_by"] != "exact"], scatter)),
        ("lq_error: more than one row with seed=1", (errors.assign(seed=1), scatter)),
        ("lq_error: algorithm = 'ppo': allowed are nash_dqn, fictit", (errors.assign(algorithm="ppo"), scatter)),
    ):
        with pytest.raises(ValueError, match=message):
            plot(*tables)
