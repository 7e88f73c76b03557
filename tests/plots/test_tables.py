import numpy as np
import pytest
from pandas import DataFrame

from nash_dqn.plots.tables import check, check_grid, of_agent_1, only, select, truths


def test_tables_are_checked_in_one_line() -> None:
    table = DataFrame({"seed": [1, 2], "beta": [0, 0], "policy": ["b", "a"]})
    check(table, "sweep", ["seed", "beta"])
    with pytest.raises(ValueError, match=r"^sweep: column loss is missing; there are seed, beta, policy$"):
        check(table, "sweep", ["seed", "loss"])
    with pytest.raises(ValueError, match=r"^sweep: the table has no rows$"):
        check(table[:0], "sweep", ["seed"])
    with pytest.raises(ValueError, match=r"^sweep: policy = 'b': allowed are a, c$"):
        check(table, "sweep", ["seed"], policy=["a", "c"])
    assert only(table, "sweep", "beta") == 0
    with pytest.raises(ValueError, match=r"^sweep: policy must be the same in every row; found a, b$"):
        only(table, "sweep", "policy")
    assert select(table, "sweep", seed=2, beta=0)["policy"].tolist() == ["a"]
    with pytest.raises(ValueError, match=r"^sweep: no row with seed=3, beta=0$"):
        select(table, "sweep", seed=3, beta=0)
    mixed = DataFrame({"player": [1, "1", "nashconv"], "gain": [1, 2, 3]})
    assert of_agent_1(mixed, "gains")["gain"].tolist() == [1, 2]


def test_a_grid_has_each_combination_once() -> None:
    check_grid(DataFrame({"a": [2, 1, 2, 1], "b": ["y", "x", "x", "y"]}), "t", ("a", "b"))
    with pytest.raises(ValueError, match=r"^t: no row with a=2, b=1$"):
        check_grid(DataFrame({"a": [1, 1, 2], "b": [1, 2, 2]}), "t", ("a", "b"))
    with pytest.raises(ValueError, match=r"^t: more than one row with a=1, b=2$"):
        check_grid(DataFrame({"a": [1, 1], "b": [2, 2]}), "t", ("a", "b"))


def test_truths_takes_what_csv_files_give() -> None:
    for values in ([True, False], [True, None], [np.True_, np.nan]):
        found = truths(DataFrame({"reject": values}), "t", "reject")
        assert found[0] and found.isna()[1] == (values[1] is not False)
    with pytest.raises(ValueError, match=r"^t: reject must hold True, False or nothing; found True, maybe$"):
        truths(DataFrame({"reject": ["maybe", True]}), "t", "reject")
