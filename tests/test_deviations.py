"""The table of decisions, from a page made by hand and from the project's own."""

import pytest

from nash_dqn.deviations import COLUMNS, read_deviations
from tests.common import ROOT

PAGE = r"""# Record

## What was run

| axis | name |
|---|---|
| scenario | `table1` |

## Contradictions

| # | text | tables and figures | released code | here | why |
|--:|---|---|---|---|---|
| 1 | \|c\| | – | c | both, as [said](method.md#c) `here` | no reason |

## Further

### Market

| question | here | why |
|---|---|---|
| floor | 0.01 | *kept* |

Text.

| question | here | why |
|---|---|---|
| reward | sums | so |
"""


def test_tables_that_say_what_is_done_here_and_why() -> None:
    rows = read_deviations(PAGE)
    assert all(tuple(row) == COLUMNS for row in rows)
    assert [list(row.values()) for row in rows] == [
        ["Contradictions", "1", "|c|", "–", "c", "both, as said here", "no reason"],
        ["Market", "floor", "", "", "", "0.01", "kept"],
        ["Market", "reward", "", "", "", "sums", "so"],
    ]


def test_pages_without_one_are_refused() -> None:
    with pytest.raises(ValueError, match="no table with the columns 'here' and 'why'"):
        read_deviations("# Record\n\n| axis | name |\n|---|---|\n| a | b |\n")
    with pytest.raises(ValueError, match="a row of 2 cells in a table of 3"):
        read_deviations("| question | here | why |\n|---|---|---|\n| a | b |\n")


def test_the_project_s_own() -> None:
    rows = read_deviations((ROOT / "docs" / "results.md").read_text(encoding="utf-8"))
    gaps = [row["subject"] for row in rows if row["section"] == "Contradictions and gaps in the paper"]
    assert gaps and gaps == [str(k) for k in range(1, len(gaps) + 1)]
    assert {"Market", "Nash-DQN", "Fictitious play", "Figures and tests"} <= {row["section"] for row in rows}
    assert all(row["here"] and row["why"] for row in rows)
