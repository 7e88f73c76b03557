"""Recording a finished run: what is written, and which runs are refused."""

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from nash_dqn import progress, record
from nash_dqn.config import fictitious_play_settings, load_yaml, nash_dqn_settings, self_play_settings
from nash_dqn.evaluation.claims import COLUMNS
from nash_dqn.evaluation.cross_play import TEST_COLUMNS
from nash_dqn.evaluation.exploitability import COLUMNS as EXPLOITABILITY_COLUMNS
from nash_dqn.record import (
    Job,
    RecordError,
    Training,
    read_block,
    render_bench,
    render_claims,
    render_summary,
    render_times,
    times_table,
)

CONFIG = Path(__file__).resolve().parents[1] / ".test" / "config" / "config.yaml"
PAGE = "# Record\n\n" + "".join(
    f"<!-- {n}:begin -->\nold\n<!-- {n}:end -->\n\ntext\n" for n in ("claims", "times", "bench")
)
NAN = math.nan
README = "# Project\n\n<!-- summary:begin -->\nold\n<!-- summary:end -->\n"
TABLES = ["policy_grid", "policy_distance", "cross_play", "cross_play_tests", "exploitability"]
TABLES += ["data_efficiency", "ddpg_best_response", "reference"]
PICTURES = ["fig2_policies", *(f"fig2_policies_{n}" for n in ("paper", "refined", "reference"))]
PICTURES += ["fig3_cross_play", "training_curves", "exploitability", "data_efficiency", "data_efficiency_time"]
TIMED = "s\th:m:s\tmax_rss\n2.5\t0:00:02\t310.5\n"


def claims(*rows: tuple[Any, ...]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(COLUMNS))


def test_verdicts_are_counted_by_claim() -> None:
    table = claims(
        ("released", "Fig 1", "loss", 32.3, 30.04, 28.01, 32.07, 3, "holds"),
        ("released", "Fig 1", "loss later", 32.3, 1.0, -1.0, 3.0, 3, "inconclusive"),
        ("released", "Fig 3", "reward", -1.349, -1.3521, NAN, NAN, 1, "reported"),
        ("table1", "Fig 1", "loss", 32.3, -3.0, -4.0, -2.0, 3, "does not hold"),
    )
    assert render_claims(table).splitlines()[2:] == [
        "| released | Fig 1 | 1 | 0 | 1 |",
        "| table1 | Fig 1 | 0 | 1 | 0 |",
    ]


def gains(policy: str, *of_seeds: tuple[float, float, float, float]) -> list[dict[str, Any]]:
    """Rows of exploitability.csv: gain, low, high and value of each seed."""
    algorithm, recipe = policy.split("/")
    names = {"algorithm": algorithm, "recipe": recipe, "deviator": "memory"}
    return [
        {**names, "seed": seed, "player": player, "gain": gain, "low": low, "high": high, "value": value}
        for seed, (gain, low, high, value) in enumerate(of_seeds, 1)
        for player in ("1", "nashconv")
    ]


def paired(comparison: str, pair: str, scope: str, *numbers: float) -> dict[str, Any]:
    names = dict(zip(("mean_difference", "low", "high"), numbers, strict=True))
    return {"comparison": comparison, "pair": pair, "scope": scope, "test": "paired", **names}


def test_summary_has_a_column_for_each_comparison() -> None:
    table = pd.DataFrame(
        [
            *gains("nash_dqn/ours", (0.1, 0.09, 0.11, -1.3), (0.2, 0.19, 0.21, -1.5), (NAN, NAN, NAN, NAN)),
            *gains("fictitious_play/ours", (0.3, 0.29, 0.31, -1.4)),
            *gains("self_play/memory", (0.001, 0.0, 0.002, -1.35)),
        ]
    )
    tests = pd.DataFrame(
        [
            paired("ours", "first_nash-all_other", "1-1", 0.01, 0.0, 0.02),
            paired("ours", "first_nash-all_other", "2-1", 0.03, 0.02, 0.04),
            paired("ours", "first_nash-all_other", "pooled", 0.02, -0.107, 0.147),
            paired("theirs", "first_nash-all_other", "1-1", -0.0307, -0.031, -0.0304),
            paired("theirs", "first_nash-all_other", "pooled", -0.0307, NAN, NAN),
        ]
    )
    compared = {
        "ours": ("nash_dqn/ours", "fictitious_play/ours"),
        "theirs": ("authors/nash", "authors/fp"),
        "reference": ("nash_dqn/ours", "self_play/memory"),
    }
    rows = {
        cells[1]: cells[2:5]
        for line in render_summary(compared, table, tests).splitlines()[2:]
        for cells in [[cell.strip() for cell in line.split("|")]]
    }
    # Two seeds of gains 0.1 and 0.2: mean 0.15, half-width t(0.975, 1) x 0.05 = 0.635
    assert rows["gain of a deviator, with memory"] == [
        *("0.150 [-0.485, 0.785] (1 of 3 diverged)", "", "0.001 [0.000, 0.002]")
    ]
    assert rows["value"][0].startswith("-1.400 [-2.671, -0.129]")
    assert rows["fictitious play: gain of a deviator, with memory"][0] == "0.300 [0.290, 0.310]"
    assert rows["value"][2] == "-1.350"
    switch = rows["switching to Nash-DQN among fictitious players"]
    assert switch == ["0.020 [-0.107, 0.147]", "-0.031 [-0.031, -0.030]", ""]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (119.4, "119 s"),
        (119.6, "2 min"),
        (3569, "59 min"),
        (3571, "1 h 00 min"),
        (7500, "2 h 05 min"),
        (36 * 3600, "36 h 00 min"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert progress.duration(seconds) == text


def run_record(seconds: float, *stopped: str) -> dict[str, Any]:
    return {
        "versions": {"nash_dqn": "0.1.0", "python": "3.11.9", "torch": "2.13.0"},
        "threads": 1,
        "machine": "x86_64",
        "system": "Linux",
        "device": "cpu",
        "peak_memory_mib": 400,
        "wall_seconds": seconds,
        "members": [{"iterations": 20000 - 1000 * k, "stopped": end} for k, end in enumerate(stopped)],
    }


def test_times_of_trainings_and_jobs() -> None:
    ran = [
        Training("released", "nash_dqn", "paper", 100.0, Path(), run_record(100, "iterations", "diverged")),
        Training("released", "fictitious_play", "last", None, Path(), run_record(5000, "iterations", "iterations")),
    ]
    assert render_times(ran, [Job("cross_play", "released", 600.0, 412.6), Job("claims", "", 0.7, NAN)]) == (
        "1 h 35 min of one core in all: 2 trainings 1 h 25 min, 2 evaluations and figures 10 min. "
        "Made with nash_dqn 0.1.0, Python 3.11.9, torch 2.13.0, 1 thread, device cpu, x86_64 Linux."
    )
    rows = times_table(ran).to_csv(index=False).splitlines()[1:]
    assert rows == [
        'released,nash_dqn,paper,100,20000 19000,"1 ran to the end, 1 diverged",100 s,400',
        "released,fictitious_play,last,,20000 19000,2 ran to the end,1 h 23 min,400",
    ]


def test_block_is_replaced_and_read_back() -> None:
    page = record.replace_block(PAGE, "times", "new")
    assert read_block(page, "times") == "new"
    assert read_block(page, "claims") == read_block(page, "bench") == "old"
    assert record.replace_block(page, "times", "new") == page
    assert record.replace_block(page, "times", "old").replace("\n\nold\n\n", "\nold\n") == PAGE


@pytest.mark.parametrize(
    ("page", "complaint"),
    [
        ("<!-- claims:begin -->", "claims:end --> stands 0 times"),
        ("<!-- claims:begin --><!-- claims:begin --><!-- claims:end -->", "claims:begin --> stands 2 times"),
        ("<!-- claims:end --><!-- claims:begin -->", "stands before"),
    ],
)
def test_page_without_proper_markers_is_refused(page: str, complaint: str) -> None:
    with pytest.raises(RecordError, match=complaint):
        record.replace_block(page, "claims", "new")


# ------------------------------------------------------------------------------------- a whole run


class Run:
    """A finished run of the toy configuration, with made-up numbers, and docs/ to record it in."""

    def __init__(self, root: Path) -> None:
        self.root = root
        config = load_yaml(CONFIG)
        for scenario in config["run"]["scenarios"]:
            folder = root / "results" / scenario
            sweep = [("unstopped", beta) for beta in (0.0, 100.0)] if scenario == "released" else []
            for recipe, beta in (("paper", 100.0), ("released", 50.0), ("refined", 0.0), *sweep):
                settings = nash_dqn_settings(config, scenario, recipe, beta)
                self.write_json(folder / "nash_dqn" / recipe / f"beta_{beta:g}" / "run.json", settings)
            for recipe in ("released", "average"):
                settings = fictitious_play_settings(config, scenario, recipe)
                self.write_json(folder / "fictitious_play" / recipe / "run.json", settings)
            settings = self_play_settings(config, scenario, "memory")
            self.write_json(folder / "self_play" / "memory" / "run.json", settings)
            for name in TABLES:
                self.write(folder / f"{name}.csv", "made,up\n")
            for name in ("cross_play", "exploitability_table", "exploitability/self_play/memory"):
                self.write(root / "benchmarks" / scenario / f"{name}.tsv", TIMED)
            for name in PICTURES:
                self.write(root / "figures" / scenario / f"{name}.png", f"{scenario} {name}")
        table = pd.DataFrame(gains("nash_dqn/released", (0.1, 0.09, 0.11, -1.3)), columns=list(EXPLOITABILITY_COLUMNS))
        self.write(root / "results/released/exploitability.csv", table.to_csv(index=False))
        tests = pd.DataFrame(
            [paired("released", "first_nash-all_other", "1-1", 0.01, 0.0, 0.02)], columns=["comparison", *TEST_COLUMNS]
        )
        self.write(root / "results/released/cross_play_tests.csv", tests.to_csv(index=False))
        self.write(root / "results/released/beta_sweep.csv", "made,up\n")
        self.write(root / "figures/released/fig1_beta_sweep.png", "released fig1_beta_sweep")
        settings = nash_dqn_settings(config, "lq_released", "lq", 0.0)
        self.write_json(root / "results/lq_released/nash_dqn/lq/beta_0/run.json", settings)
        settings = fictitious_play_settings(config, "lq_released", "lq")
        self.write_json(root / "results/lq_released/fictitious_play/lq/run.json", settings)
        self.write(root / "results/lq_released/lq_error.csv", "made,up\n")
        self.write(root / "benchmarks/lq_released/lq_error.tsv", TIMED)
        self.write(root / "figures/lq_released/lq_policies.png", "lq_released lq_policies")
        rows = [(name, "Fig 3", "reward", -1.349, -1.35, -1.4, -1.3, 2, "holds") for name in config["run"]["scenarios"]]
        self.write(root / "results" / "claims.csv", claims(*rows).to_csv(index=False))
        self.write(root / "benchmarks" / "claims.tsv", "s\th:m:s\tmax_rss\n0.5\t0:00:00\t-\n")
        self.write(root / "docs" / "results.md", PAGE)
        self.write(root / "README.md", README)
        for path in (path for path in root.rglob("*") if path.is_file()):
            os.utime(path, (1e9, 1e9))  # nothing is older than what it is made from
        self.write(root / "docs" / "bench.txt", "fast\n")

    @staticmethod
    def write(path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def write_json(self, path: Path, settings: dict[str, Any]) -> None:
        made = {"config": {key: settings[key] for key in ("game", "recipe")}, "seeds": settings["seeds"]}
        self.write(path, json.dumps({**run_record(60, "iterations", "iterations"), **made}))

    def record(self) -> None:
        folders = [f"--{name}={self.root / name}" for name in ("results", "figures", "benchmarks", "docs")]
        record.main([f"--config={CONFIG}", *folders])

    def docs(self) -> dict[str, bytes]:
        paths = [self.root / "README.md", *(path for path in (self.root / "docs").rglob("*") if path.is_file())]
        return {str(path.relative_to(self.root)): path.read_bytes() for path in paths}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


def test_run_is_recorded(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run.record()
    docs = run.docs()
    page = docs["docs/results.md"].decode()
    assert docs["docs/claims.csv"] == (run.root / "results" / "claims.csv").read_bytes()
    assert read_block(page, "claims") == render_claims(pd.read_csv(run.root / "docs" / "claims.csv"))
    assert read_block(page, "bench") == render_bench("fast") == "```text\nfast\n```"
    times = pd.read_csv(run.root / "docs" / "times.csv")
    assert (times["wall_time"] == "60 s").all()
    # Six trainings in each scenario, two of Fig. 1's, two linear-quadratic ones.
    assert times["scenario"].value_counts().to_dict() == {"released": 8, "table1": 6, "lq_released": 2}
    assert "8 evaluations and figures 18 s" in read_block(page, "times")  # 7 x 2.5 s + 0.5 s: each once
    pictures = {f"{scenario}/{name}" for scenario in ("table1", "released") for name in PICTURES}
    pictures |= {"released/fig1_beta_sweep", "lq_released/lq_policies"}
    copied = {name: content for name, content in docs.items() if name.endswith(".png")}
    assert copied == {f"docs/figures/{name}.png": name.replace("/", " ").encode() for name in pictures}
    readme = docs["README.md"].decode()
    assert "| gain of a deviator, with memory | 0.100 [0.090, 0.110] |" in readme
    assert capsys.readouterr().out == f"{len(docs) - 1} files written in {run.root / 'docs'}\n"
    run.record()
    assert run.docs() == docs, "recording twice changes something"


@pytest.mark.parametrize(
    "name",
    [
        "results/claims.csv",
        "results/released/nash_dqn/unstopped/beta_0/run.json",
        "results/released/beta_sweep.csv",
        "figures/released/fig1_beta_sweep.png",
        "results/table1/fictitious_play/average/run.json",
        "results/released/nash_dqn/refined/beta_0/run.json",
        "results/released/self_play/memory/run.json",
        "results/lq_released/fictitious_play/lq/run.json",
        *(f"results/released/{name}.csv" for name in TABLES),
        "results/lq_released/lq_error.csv",
        *(f"figures/released/{name}.png" for name in PICTURES),
        "figures/lq_released/lq_policies.png",
        "docs/results.md",
        "docs/bench.txt",
    ],
)
def test_incomplete_run_is_refused(run: Run, name: str) -> None:
    (run.root / name).unlink()
    refused(run, f"error: {run.root / name}: ")


def test_run_without_benchmarks_is_refused(run: Run) -> None:
    for path in (run.root / "benchmarks").rglob("*.tsv"):
        path.unlink()
    refused(run, f"error: {run.root / 'benchmarks'}: no benchmark file")


@pytest.mark.parametrize(
    ("newer", "stale"),
    [
        ("results/released/nash_dqn/released/beta_50/run.json", "results/released/policy_grid.csv"),
        ("results/released/self_play/memory/run.json", "results/released/cross_play.csv"),
        ("results/released/nash_dqn/unstopped/beta_0/run.json", "results/released/beta_sweep.csv"),
        ("results/released/beta_sweep.csv", "figures/released/fig1_beta_sweep.png"),
        ("results/released/cross_play.csv", "results/released/cross_play_tests.csv"),
        ("results/released/nash_dqn/refined/beta_0/run.json", "results/released/exploitability.csv"),
        ("results/released/fictitious_play/released/run.json", "results/released/data_efficiency.csv"),
        ("results/released/nash_dqn/paper/beta_100/run.json", "results/released/ddpg_best_response.csv"),
        ("results/released/self_play/memory/run.json", "results/released/reference.csv"),
        ("results/released/policy_distance.csv", "figures/released/fig2_policies.png"),
        ("results/released/policy_distance.csv", "figures/released/fig2_policies_paper.png"),
        ("results/released/cross_play_tests.csv", "figures/released/fig3_cross_play.png"),
        ("results/released/nash_dqn/paper/beta_100/run.json", "figures/released/training_curves.png"),
        ("results/released/exploitability.csv", "figures/released/exploitability.png"),
        ("results/released/exploitability.csv", "figures/released/data_efficiency.png"),
        ("results/lq_released/nash_dqn/lq/beta_0/run.json", "results/lq_released/lq_error.csv"),
        ("results/lq_released/lq_error.csv", "figures/lq_released/lq_policies.png"),
        ("results/table1/policy_distance.csv", "results/claims.csv"),
        ("results/table1/exploitability.csv", "results/claims.csv"),
    ],
)
def test_stale_run_is_refused(run: Run, newer: str, stale: str) -> None:
    """One file alone is stale: all else that may be made from the newer one is as new."""
    made = {*(run.root / "results").rglob("*.csv"), *(run.root / "figures").rglob("*.png")}
    if newer.endswith(".csv"):
        made -= set((run.root / "results").glob("*/*.csv"))
    later = (run.root / stale).stat().st_mtime + 10
    for path in made - {run.root / stale} | {run.root / newer}:
        os.utime(path, (later, later))
    refused(run, f"error: {run.root / stale}: older than {run.root / newer}")


def test_what_nothing_is_made_from_may_be_newest(run: Run) -> None:
    """Neither the claims nor any picture use these tables."""
    later = (run.root / "results" / "claims.csv").stat().st_mtime + 10
    for name in ("reference", "ddpg_best_response"):
        os.utime(run.root / "results" / "table1" / f"{name}.csv", (later, later))
    run.record()
    assert (run.root / "docs" / "claims.csv").is_file()


def test_training_that_a_table_does_not_use_may_be_newer(run: Run) -> None:
    """The sweep's other betas are measured by Fig. 1 alone."""
    later = (run.root / "results" / "claims.csv").stat().st_mtime + 10
    made_from = {"beta_sweep.csv", "fig1_beta_sweep.png", "claims.csv"}
    paths = [path for top in ("results", "figures") for path in (run.root / top).rglob("*") if path.name in made_from]
    for path in [run.root / "results" / "released" / "nash_dqn" / "unstopped" / "beta_0" / "run.json", *paths]:
        os.utime(path, (later, later))
    run.record()
    assert (run.root / "docs" / "claims.csv").is_file()


def test_training_with_other_settings_is_refused(run: Run) -> None:
    path = run.root / "results" / "table1" / "fictitious_play" / "released" / "run.json"
    made = json.loads(path.read_text())
    made["config"]["recipe"]["epochs"] += 1
    path.write_text(json.dumps(made))
    refused(run, f"error: {path}: made with other settings")


@pytest.mark.parametrize(
    ("name", "change", "complaint"),
    [
        ("results/claims.csv", lambda text: text.replace("table1", "table2"), "not of the configuration's scenarios"),
        ("results/claims.csv", lambda text: text.replace("verdict", "opinion"), "lacks the column"),
        ("benchmarks/claims.tsv", lambda text: text.replace("max_rss", "rss"), "not a benchmark"),
        ("docs/results.md", lambda text: text.replace("times:end", "times:"), "times:end --> stands 0 times"),
    ],
)
def test_damaged_file_is_refused(run: Run, name: str, change: Callable[[str], str], complaint: str) -> None:
    path = run.root / name
    path.write_text(change(path.read_text()))
    refused(run, complaint)


def refused(run: Run, complaint: str) -> None:
    """Recording ends with one line, and docs/ stays as it was."""
    before = run.docs()
    with pytest.raises(SystemExit) as caught:
        run.record()
    message = str(caught.value)
    assert complaint in message
    assert message.startswith("error: ")
    assert "\n" not in message
    assert run.docs() == before
