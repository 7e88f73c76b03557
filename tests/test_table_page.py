"""The page is well-formed and holds every cell of the table, escaped."""

import math
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd

from nash_dqn.artifacts import read_table
from nash_dqn.table_page import render_page, write_with_page


def test_every_cell_is_on_the_page() -> None:
    table = pd.DataFrame({"claim <1>": ["a & b", "κ"], "ours": [0.1234567, math.nan], "seeds": [4, 12]})
    page = render_page(table, "Claims & more")
    assert "http" not in page and "src=" not in page and "url(" not in page  # it loads nothing
    # HTML's only void element here is closed, so that a parser of XML can read the rest.
    root = ElementTree.fromstring(page.removeprefix("<!DOCTYPE html>\n").replace('<meta charset="utf-8">', ""))
    assert root.findtext("head/title") == "Claims & more"
    assert [cell.text for cell in root.iter("th")] == ["claim <1>", "ours", "seeds"]
    rows = [[(cell.text, cell.get("class")) for cell in row.iter("td")] for row in root.iter("tr")][1:]
    assert rows == [
        [("a & b", None), ("0.12346", "number"), ("4", "number")],
        [("κ", None), (None, None), ("12", "number")],
    ]


def test_a_table_and_its_page_are_written_side_by_side(tmp_path: Path) -> None:
    table = pd.DataFrame({"a": [1.5]})
    write_with_page(table, tmp_path / "a.csv", tmp_path / "a.html", "A")
    assert read_table(tmp_path / "a.csv", ["a"]).equals(table)
    assert (tmp_path / "a.html").read_text() == render_page(table, "A")
