import numpy as np
import pytest
from pandas import DataFrame

from nash_dqn.plots.tables import grid, only, require_columns, select, truths


def test_require_columns_names_table_and_column() -> None:
    with pytest.raises(ValueError, match=r"^sweep: column beta is missing; there are seed, loss$"):
        require_columns(DataFrame({"seed": [1], "loss": [2.0]}), "sweep", ["seed", "beta"])


def test_an_empty_table_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^sweep: the table has no rows$"):
        require_columns(DataFrame({"seed": []}), "sweep", ["seed"])


def test_only_returns_the_one_value_and_refuses_two() -> None:
    assert only(DataFrame({"recipe": ["a", "a"]}), "sweep", "recipe") == "a"
    with pytest.raises(ValueError, match=r"^sweep: recipe must be the same in every row; found a, b$"):
        only(DataFrame({"recipe": ["b", "a"]}), "sweep", "recipe")


def test_select_names_what_is_not_there() -> None:
    table = DataFrame({"seed": [1, 2], "beta": [0, 0], "loss": [3.0, 4.0]})
    assert select(table, "sweep", seed=2, beta=0)["loss"].tolist() == [4.0]
    with pytest.raises(ValueError, match=r"^sweep: no row with seed=3, beta=0$"):
        select(table, "sweep", seed=3, beta=0)


def test_grid_sorts_levels_whatever_the_order_of_rows() -> None:
    table = DataFrame({"a": [2, 1, 2, 1], "b": ["y", "x", "x", "y"], "value": [22.0, 11.0, 21.0, 12.0]})
    (a, b), values = grid(table, "t", ("a", "b"), "value")
    assert (a.tolist(), list(b)) == ([1, 2], ["x", "y"])
    np.testing.assert_array_equal(values, [[11, 12], [21, 22]])


def test_grid_names_a_gap() -> None:
    with pytest.raises(ValueError, match=r"^t: no row with a=2, b=1$"):
        grid(DataFrame({"a": [1, 1, 2], "b": [1, 2, 2], "value": [0.0] * 3}), "t", ("a", "b"), "value")


def test_grid_names_a_repetition() -> None:
    with pytest.raises(ValueError, match=r"^t: more than one row with a=1, b=2$"):
        grid(DataFrame({"a": [1, 1], "b": [2, 2], "value": [0.0, 1.0]}), "t", ("a", "b"), "value")


@pytest.mark.parametrize("values", [[True, False], [True, None], [np.True_, np.nan]])
def test_truths_takes_what_csv_files_give(values: list[object]) -> None:
    found = truths(DataFrame({"reject": values}), "t", "reject")
    assert found[0] is np.True_ or found[0] is True
    assert found.isna()[1] == (values[1] is None or values[1] is np.nan)


def test_truths_refuses_words() -> None:
    with pytest.raises(ValueError, match=r"^t: reject must hold True, False or nothing; found True, maybe$"):
        truths(DataFrame({"reject": ["maybe", True]}), "t", "reject")
