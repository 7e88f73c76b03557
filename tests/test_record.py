"""Recording a finished run: what is written, and which runs are refused."""

import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from nash_dqn import record
from nash_dqn.artifacts import ArtifactError, write_csv, write_json
from nash_dqn.evaluation.claims import COLUMNS
from nash_dqn.evaluation.cross_play_tests import TEST_COLUMNS
from nash_dqn.evaluation.exploitability import COLUMNS as EXPLOITABILITY_COLUMNS
from nash_dqn.record import render_claims, render_summary, render_switches, render_times, replace_block, times_table

PAGE = "# Record\n\n" + "".join(
    f"<!-- {n}:begin -->\nold\n<!-- {n}:end -->\n\ntext\n" for n in ("claims", "switches", "times", "bench")
)
NAN = math.nan


def claims(*rows: tuple[Any, ...]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(COLUMNS))


def test_verdicts_are_counted_by_claim() -> None:
    table = claims(
        ("code", "Fig 1", "loss", 32.3, 30.04, 28.01, 32.07, 3, "holds"),
        ("code", "Fig 1", "loss later", 32.3, 1.0, -1.0, 3.0, 3, "inconclusive"),
        ("code", "Fig 3", "reward", -1.349, -1.3521, NAN, NAN, 1, "reported"),
        ("table1", "Fig 1", "loss", 32.3, -3.0, -4.0, -2.0, 3, "does not hold"),
    )
    assert render_claims(table).splitlines()[2:] == [
        "| code | Fig 1 | 1 | 0 | 1 |",
        "| table1 | Fig 1 | 0 | 1 | 0 |",
    ]


def gains(policy: str, *of_seeds: tuple[float, float, float, float]) -> list[dict[str, Any]]:
    """Rows of exploitability.csv: gain, low, high and value of each seed."""
    names = {"policy": policy, "deviator": "memory"}
    return [
        {**names, "seed": seed, "player": player, "gain": gain, "low": low, "high": high, "value": value}
        for seed, (gain, low, high, value) in enumerate(of_seeds, 1)
        for player in ("1", "nashconv")
    ]


def paired(comparison: str, pair: str, scope: str, *numbers: float) -> dict[str, Any]:
    names = dict(zip(("mean_difference", "low", "high"), numbers, strict=True))
    return {"comparison": comparison, "pair": pair, "scope": scope, "test": "paired", **names}


def test_summary_has_a_row_for_each_policy_and_comparison() -> None:
    table = pd.DataFrame(
        [
            *gains("nash-code", (0.1, 0.09, 0.11, -1.3), (0.2, 0.19, 0.21, -1.5), (NAN, NAN, NAN, NAN)),
            *gains("fp-code", (0.3, 0.29, 0.31, -1.4)),
            *gains("reference", (0.001, 0.0, 0.002, -1.35)),
        ]
    )
    tests = pd.DataFrame(
        [
            paired("nash-code-vs-fp-code", "first_nash-all_other", "1-1", 0.01, 0.0, 0.02),
            paired("nash-code-vs-fp-code", "first_nash-all_other", "2-1", 0.03, 0.02, 0.04),
            paired("nash-code-vs-fp-code", "first_nash-all_other", "pooled", 0.02, -0.107, 0.147),
            paired("authors-nash-vs-authors-fp", "first_nash-all_other", "1-1", -0.0307, -0.031, -0.0304),
            paired("authors-nash-vs-authors-fp", "first_nash-all_other", "pooled", -0.0307, NAN, NAN),
            paired("authors-nash-vs-authors-fp", "first_other-all_nash", "1-1", 0.03, 0.0297, 0.0303),
        ]
    )
    # Two seeds of gains 0.1 and 0.2: mean 0.15, half-width t(0.975, 1) x 0.05 = 0.635
    assert render_summary(table).splitlines() == [
        "| policy | trainings | value | gain of a deviator, with memory |",
        "| --- | ---: | ---: | ---: |",
        "| nash-code | 3, 1 diverged | -1.400 [-2.671, -0.129] | 0.150 [-0.485, 0.785] |",
        "| fp-code | 1 | -1.400 | 0.300 [0.290, 0.310] |",
        "| reference | 1 | -1.350 | 0.001 [0.000, 0.002] |",
    ]
    assert render_switches(tests).splitlines() == [
        "| comparison | switching to the first, the others at the second | "
        "switching to the second, the others at the first |",
        "| --- | ---: | ---: |",
        "| nash-code-vs-fp-code | 0.020 [-0.107, 0.147] |  |",
        "| authors-nash-vs-authors-fp | -0.031 [-0.031, -0.030] | 0.030 [0.030, 0.030] |",
    ]


def run_record(policy: str, algorithm: str, seconds: float, *stopped: str) -> dict[str, Any]:
    return {
        "kind": "training",
        **{"scenario": "code", "policy": policy, "algorithm": algorithm},
        "versions": {"nash_dqn": "0.1.0", "python": "3.11.9", "torch": "2.13.0"},
        **{"threads": 1, "machine": "x86_64", "system": "Linux", "device": "cpu"},
        **{"peak_memory_mib": 400, "wall_seconds": seconds},
        "sha256": {},
        "members": [{"iterations": 20000 - 1000 * k, "stopped": end} for k, end in enumerate(stopped)],
    }


FP = run_record("fp-code", "fictitious_play", 5000, "iterations", "iterations")
NASH = run_record("nash-text", "nash_dqn", 100, "iterations", "diverged")


def test_times_of_trainings_and_jobs() -> None:
    assert render_times([FP, NASH], [600.0, 0.7]) == (
        "1 h 35 min of one core in all: 2 trainings 1 h 25 min, 2 evaluations and figures 10 min. "
        "Made with nash_dqn 0.1.0, Python 3.11.9, torch 2.13.0, 1 thread, device cpu, x86_64 Linux."
    )
    assert times_table([FP, NASH]).to_csv(index=False).splitlines()[1:] == [
        "code,fp-code,fictitious_play,20000 19000,2 ran to the end,1 h 23 min,400",
        'code,nash-text,nash_dqn,20000 19000,"1 ran to the end, 1 diverged",100 s,400',
    ]


def test_a_block_and_nothing_else_is_replaced() -> None:
    begin, end = "<!-- times:begin -->", "<!-- times:end -->"
    page = replace_block(PAGE, "times", "new")
    assert page == PAGE.replace(f"{begin}\nold\n{end}", f"{begin}\n\nnew\n\n{end}")
    assert replace_block(page, "times", "new") == page


def test_page_without_proper_markers_is_refused() -> None:
    for page, complaint in {
        "<!-- claims:begin -->": "claims:end --> stands 0 times",
        "<!-- claims:begin --><!-- claims:begin --><!-- claims:end -->": "claims:begin --> stands 2 times",
        "<!-- claims:end --><!-- claims:begin -->": "stands before",
    }.items():
        with pytest.raises(ArtifactError, match=complaint):
            replace_block(page, "claims", "new")


# ------------------------------------------------------------------------------------- a whole run

SNAKEFILE = """
rule all:
    input: "figures/a.png",
rule draw:
    input: "results/a.csv",
    output: "figures/a.png",
    shell: "cp {input} {output}"
rule table:
    output: "results/a.csv",
    shell: "echo a > {output}"
"""


def test_what_belongs_to_a_run_is_what_snakemake_says(tmp_path: Path) -> None:
    """And a run that lacks a result, or has an old one, is not complete, though its end may be there."""
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    options = ["--snakefile", str(tmp_path / "Snakefile")]
    with pytest.raises(ArtifactError, match=r"figures/a.png: missing, update pending, so the run is not complete; "):
        record.outputs(tmp_path, options)
    snakemake = [sys.executable, "-m", "snakemake", *options, "--directory", str(tmp_path), "--cores", "1", "--quiet"]
    subprocess.run([*snakemake, "all"], check=True)
    assert record.outputs(tmp_path, options) == [Path("figures/a.png"), Path("results/a.csv")]
    (tmp_path / "results/a.csv").write_text("other\n")
    os.utime(tmp_path / "results/a.csv", (2e9, 2e9))
    with pytest.raises(ArtifactError, match="figures/a.png: updated input files, update pending"):
        record.outputs(tmp_path, options)
    (tmp_path / "results/a.csv").unlink()
    with pytest.raises(ArtifactError, match=r"a.csv: missing, .*snakemake --directory .* --force results/a.csv$"):
        record.outputs(tmp_path, options)
    with pytest.raises(ArtifactError, match="snakemake --summary: "):
        record.outputs(tmp_path, ["--no-such-option"])


def test_what_determines_trainings_is_snakemake_s_word_and_restored_ones_are_refused(tmp_path: Path) -> None:
    (tmp_path / "Snakefile").write_text(
        "rule train:\n    output: 'run.json'\n"
        "rule trainings:\n    output: 'results/trainings.json'\n    shell: 'echo [1] > {output}'\n"
    )
    options = ["--snakefile", str(tmp_path / "Snakefile")]
    assert record.determined(tmp_path, options) == [1]
    write_json(tmp_path / "run.json", {"restored": {"date": "2026-01-01"}})
    with pytest.raises(ArtifactError, match=r"/run.json: restored from the record, .* run without restore=true first$"):
        record.outputs(tmp_path, options)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished run with made-up numbers, and docs/ to record it in."""
    results = tmp_path / "results"
    rows = [(name, "Fig 3", "reward", -1.349, -1.35, -1.4, -1.3, 2, "holds") for name in ("code", "table1")]
    write_csv(results / "claims.csv", claims(*rows))
    table = pd.DataFrame(gains("nash-code", (0.1, 0.09, 0.11, -1.3)), columns=list(EXPLOITABILITY_COLUMNS))
    write_csv(results / "code" / "exploitability.csv", table)
    columns = ["comparison", *TEST_COLUMNS]
    switch = paired("nash-code-vs-fp-code", "first_nash-all_other", "1-1", 0.01, 0.0, 0.02)
    write_csv(results / "code" / "cross_play_tests.csv", pd.DataFrame([switch], columns=columns))
    for made in (NASH, FP, {"kind": "conversion", "policy": "authors-fp"}):
        write_json(results / "code" / made["policy"] / "run.json", made)
    for name in ("figures/code/fig2.png", "figures/code/fig2.pdf"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "claims.tsv").write_text("s\th:m:s\tmax_rss\n2.5\t0:00:02\t-\n3.5\t0:00:02\t-\n")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "results.md").write_text(PAGE)
    (tmp_path / "docs" / "bench.txt").write_text("fast\n")
    (tmp_path / "README.md").write_text("<!-- summary:begin -->\nold\n<!-- summary:end -->\n")
    files = [path.relative_to(tmp_path) for top in ("results", "figures") for path in (tmp_path / top).rglob("*.*")]
    monkeypatch.setattr(record, "outputs", lambda folder, options: sorted(files))
    of = {"settings": {}, "code": "", "without": []}
    monkeypatch.setattr(record, "determined", lambda folder, options: {f"code/{m['policy']}": of for m in (NASH, FP)})
    return tmp_path


def docs(run: Path) -> dict[str, bytes]:
    paths = [run / "README.md", *(path for top in ("docs", "record") for path in (run / top).rglob("*.*"))]
    return {str(path.relative_to(run)): path.read_bytes() for path in paths}


def record_it(run: Path) -> None:
    record.main([f"--directory={run}", f"--docs={run / 'docs'}"])


def test_run_is_recorded(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run / "record" / "code").mkdir(parents=True)
    (run / "record" / "code" / "nash-old.tar.xz").touch()  # of an earlier run
    record_it(run)
    found = docs(run)
    recorded = {"index.json", "code/fp-code.tar.xz", "code/nash-text.tar.xz"}
    assert {name for name in found if "record" in name} == {f"record/{name}" for name in recorded}
    assert found["docs/claims.csv"] == (run / "results" / "claims.csv").read_bytes()
    blocks = {
        "claims": render_claims(pd.read_csv(run / "docs" / "claims.csv")),
        "switches": render_switches(pd.read_csv(run / "results" / "code" / "cross_play_tests.csv")),
        "times": render_times([FP, NASH], [3.0]),
        "bench": "```text\nfast\n```",
    }
    expected = PAGE
    for name, content in blocks.items():
        expected = replace_block(expected, name, content)
    assert found["docs/results.md"].decode() == expected
    times = pd.read_csv(run / "docs" / "times.csv")
    assert times["policy"].tolist() == ["fp-code", "nash-text"]
    assert found["docs/figures/code/fig2.png"] == b"figures/code/fig2.png"
    assert not any(name.endswith(".pdf") for name in found)
    readme = found["README.md"].decode()
    assert "| nash-code | 1 | -1.300 | 0.100 [0.090, 0.110] |" in readme
    assert capsys.readouterr().out == "8 files written, among them 2 recorded trainings of 0.0 MB\n"
    record_it(run)
    assert docs(run) == found, "recording twice changes something"


def test_damaged_and_missing_files_are_refused(run: Path) -> None:
    """In one line, and docs/ stays as it was."""
    damage: list[tuple[str, Callable[[str], str] | None, str]] = [
        ("results/claims.csv", lambda text: text[:-40], "truncated or edited"),
        ("results/code/cross_play_tests.csv", None, "no such file"),
        ("results/code/nash-text/run.json", lambda text: text[:-40], "not JSON"),
        ("benchmarks/claims.tsv", lambda text: text.replace("s\t", "t\t"), "not a benchmark"),
        ("docs/results.md", lambda text: text.replace("times:end", "times:"), "times:end --> stands 0 times"),
        ("docs/bench.txt", None, "in the checkout: make --silent bench >/"),
    ]
    for name, change, complaint in damage:
        whole = (run / name).read_text()
        (run / name).unlink()
        if change is not None:
            (run / name).write_text(change(whole))
        before = docs(run)
        with pytest.raises(SystemExit) as caught:
            record_it(run)
        assert str(caught.value).startswith("error: ") and "\n" not in str(caught.value)
        assert complaint in str(caught.value)
        assert docs(run) == before
        (run / name).write_text(whole)
