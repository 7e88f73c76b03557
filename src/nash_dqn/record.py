"""``python -m nash_dqn.record``: bring docs/ and record/ up to date with a finished run: no number is typed by hand.

Copies ``results/claims.csv`` and every PNG of the run to docs/, writes docs/times.csv, and the marked blocks anew: in
docs/results.md ``claims`` (from the claims), ``switches`` (from the tests of the first scenario), ``times`` (from the
run records and the workflow's benchmarks) and ``bench`` (from docs/bench.txt, what ``make bench`` prints), in README.md
``summary`` (from the first scenario's table of gains). Whatever stands between ``<!-- NAME:begin -->`` and
``<!-- NAME:end -->`` is replaced, everything else stays.
The run's trainings, and no others, go to record/ beside docs/ (:mod:`nash_dqn.restore`).
What belongs to the run, and that all of it is there and up to date, is Snakemake's own word.
"""

from __future__ import annotations

import argparse
import io
import shlex
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from nash_dqn.artifacts import RECORD, ArtifactError, atomic_path, read_json, read_table, remake
from nash_dqn.evaluation.claims import COLUMNS
from nash_dqn.evaluation.cross_play_tests import POOLED, TEST_COLUMNS
from nash_dqn.evaluation.exploitability import COLUMNS as EXPLOITABILITY_COLUMNS
from nash_dqn.evaluation.statistics import mean_interval
from nash_dqn.progress import duration
from nash_dqn.restore import SUFFIX, archives, is_restored

__all__ = [
    "determined",
    "main",
    "outputs",
    "render_claims",
    "render_summary",
    "render_switches",
    "render_times",
    "replace_block",
    "times_table",
    "update",
]

PAGE = "results.md"
"""The page in docs/ that holds the blocks."""

_ENDS = {"iterations": "ran to the end", "early_stopping": "stopped early", "diverged": "diverged"}
_CLASSES = {"same": "same observations", "memory": "with memory", "history": "with all its past"}
_SWITCHES = {
    "first_nash-all_other": "switching to the first, the others at the second",
    "first_other-all_nash": "switching to the second, the others at the first",
}


# --------------------------------------------------------------------------------------------- Markdown


def render_summary(gains: pd.DataFrame) -> str:
    """Each policy's value and what deviators gain, as a Markdown table.

    Each number is the mean over trainings with its 95 % t interval, of a single training that over paths. Trainings
    that diverged are counted, and left out.

    Args:
        gains: columns of ``exploitability.csv`` of one scenario.
    """
    policies: dict[tuple[str, ...], dict[str, str]] = {}
    first = gains[gains["player"].astype(str) == "1"]
    for (policy, deviator), part in first.groupby(["policy", "deviator"], sort=False):
        known = part.dropna(subset=["gain"])
        lost = f", {len(part) - len(known)} diverged" if len(known) < len(part) else ""
        value = _over_trainings(known, "value")
        row = policies.setdefault((policy,), {"trainings": f"{len(part)}{lost}", "value": value})
        row[f"gain of a deviator, {_CLASSES[deviator]}"] = _over_trainings(known, "gain")
    return _table(["policy"], policies)


def render_switches(tests: pd.DataFrame) -> str:
    """What switching gains in each comparison, as a Markdown table; numbers as in :func:`render_summary`.

    Args:
        tests: columns of ``cross_play_tests.csv`` of one scenario.
    """
    comparisons: dict[tuple[str, ...], dict[str, str]] = {}
    paired = tests[tests["test"] == "paired"].dropna(subset=["low"])
    for (comparison, pair), found in paired.groupby(["comparison", "pair"], sort=False):
        pooled = found[found["scope"] == POOLED]  # of a single pair of trainings there is only its own
        row = (pooled if len(pooled) or len(found) != 1 else found)[["mean_difference", "low", "high"]]
        if len(row):
            comparisons.setdefault((comparison,), {})[_SWITCHES[pair]] = _estimate(*row.iloc[0])
    return _table(["comparison"], comparisons)


def _over_trainings(rows: pd.DataFrame, column: str) -> str:
    if len(rows) > 1:
        return _estimate(*mean_interval(rows[column])[:3])
    if rows.empty:
        return ""
    one = rows.iloc[0]
    return _estimate(one["gain"], one["low"], one["high"]) if column == "gain" else f"{one[column]:.3f}"


def _estimate(mean: float, low: float, high: float) -> str:
    text, *ends = (f"{round(value, 3) + 0.0:.3f}" for value in (mean, low, high))  # no negative zero
    return f"{text} [{', '.join(ends)}]"


def render_claims(claims: pd.DataFrame) -> str:
    """How many quantities of each claim hold, do not hold or are not decided, as Markdown; claims.csv has each of them.

    Args:
        claims: columns :data:`nash_dqn.evaluation.claims.COLUMNS`.
    """
    verdicts = ("holds", "does not hold", "inconclusive")
    by_claim = claims[claims["verdict"] != "reported"].groupby(["scenario", "claim"], sort=False)["verdict"]
    return _table(
        ["scenario", "claim"],
        {names: {verdict: int((found == verdict).sum()) for verdict in verdicts} for names, found in by_claim},
    )


def render_times(trainings: Sequence[Mapping[str, Any]], jobs: Sequence[float]) -> str:
    """What the run took, and what made it, as a line.

    Args:
        trainings: their records.
        jobs: seconds of every other job.
    """
    learning, rest = sum(record["wall_seconds"] for record in trainings), sum(jobs)
    return (
        f"{duration(learning + rest)} of one core in all: {len(trainings)} trainings {duration(learning)}, "
        f"{len(jobs)} evaluations and figures {duration(rest)}. "
        f"Made with {'; '.join(dict.fromkeys(map(_stack, trainings)))}."
    )


def times_table(trainings: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """What each training took, all its seeds side by side: a row for each record, ``iterations`` by seed."""
    return pd.DataFrame(
        {
            "scenario": record["scenario"],
            "policy": record["policy"],
            "algorithm": record["algorithm"],
            "iterations": " ".join(str(member["iterations"]) for member in record["members"]),
            "outcome": _outcome(record["members"]),
            "wall_time": duration(record["wall_seconds"]),
            "peak_memory_mib": round(record["peak_memory_mib"]),
        }
        for record in trainings
    )


def _outcome(members: Sequence[Mapping[str, Any]]) -> str:
    counts = Counter(member["stopped"] for member in members)
    return ", ".join(f"{count} {_ENDS[stopped]}" for stopped, count in counts.items())


def _stack(record: Mapping[str, Any]) -> str:
    versions, threads = record["versions"], record["threads"]
    return (
        f"nash_dqn {versions['nash_dqn']}, Python {versions['python']}, torch {versions['torch']}, {threads} "
        f"thread{'s' * (threads > 1)}, device {record['device']}, {record['machine']} {record['system']}"
    )


def replace_block(page: str, name: str, content: str) -> str:
    """The page with what stands between the markers of a block replaced.

    Raises:
        ArtifactError: a marker is missing or stands more than once.
    """
    marks = [f"<!-- {name}:{end} -->" for end in ("begin", "end")]
    for mark in marks:
        if page.count(mark) != 1:
            raise ArtifactError(f"{mark} stands {page.count(mark)} times in a page, it must stand once")
    start, end = page.index(marks[0]) + len(marks[0]), page.index(marks[1])
    if start > end:
        raise ArtifactError(f"{marks[1]} stands before {marks[0]} in a page")
    return f"{page[:start]}\n\n{content}\n\n{page[end:]}"


def _table(names: Sequence[str], rows: Mapping[tuple[str, ...], Mapping[str, Any]]) -> str:
    """A Markdown table of rows that have these names; other columns are flush right, what a row lacks is empty."""
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    lines = [[*names, *columns], [*["---"] * len(names), *["---:"] * len(columns)]]
    lines += [[*of, *(row.get(column, "") for column in columns)] for of, row in rows.items()]
    cells = [[str(cell).replace("|", "\\|") for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)


# -------------------------------------------------------------------------------------------- the run


def outputs(run: Path, options: Sequence[str] = ()) -> list[Path]:
    """Every file that the workflow makes in the run's folder with these options of Snakemake's, below that folder.

    Raises:
        ArtifactError: Snakemake refuses, a file is missing, one is to be made again, or a training was restored.
    """
    table = pd.read_csv(io.StringIO(_snakemake(run, "--summary", *options)), sep="\t")
    for path in (run / name for name in table["output_file"] if Path(name).name == RECORD):
        if path.exists() and is_restored(path):
            wrong = "restored from the record, so it is there already"
            raise ArtifactError(f"{path}: {wrong}; run without restore=true first")
    for row in table[(table["status"] == "missing") | (table["plan"] != "no update")].itertuples():
        path = run / row.output_file
        raise ArtifactError(f"{path}: {row.status}, {row.plan}, so the run is not complete; {remake(path)}")
    return [Path(name) for name in sorted(table["output_file"])]


def determined(run: Path, options: Sequence[str] = ()) -> dict[str, Any]:
    """What determines each of the run's trainings, and which of its files are recorded, by its name: also Snakemake's
    word, with errors as of :func:`outputs`.
    """
    target = Path("results") / "trainings.json"
    _snakemake(run, str(target), "--cores", "1", *options)
    found: dict[str, Any] = read_json(run / target)
    return found


def _snakemake(run: Path, *arguments: str) -> str:
    """What Snakemake prints in the run's folder."""
    command = [sys.executable, "-m", "snakemake", *arguments, "--directory", str(run)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise ArtifactError(f"snakemake {arguments[0]}: {' '.join(done.stderr.split())[-500:]}")
    return done.stdout


def update(run: Path, docs: Path, options: Sequence[str] = ()) -> list[Path]:
    """Copy the run's claims and pictures to ``docs``, write the pages' blocks and, beside ``docs``, the record of its
    trainings; returns what was written.

    Everything is read and checked before anything is written.

    Raises:
        ArtifactError: a file is missing, stale or damaged, or a page lacks a marker.
    """
    made = outputs(run, options)
    claims = read_table(run / "results" / "claims.csv", COLUMNS)
    records = [read_json(run / path) for path in made if path.name == RECORD]  # by scenario and policy, as paths are
    trainings = [record for record in records if record["kind"] == "training"]
    headline = run / "results" / claims["scenario"].iloc[0]
    tests = read_table(headline / "cross_play_tests.csv", ["comparison", *TEST_COLUMNS])
    gains = read_table(headline / "exploitability.csv", EXPLOITABILITY_COLUMNS)
    pages = {
        docs.parent / "README.md": {"summary": render_summary(gains)},
        docs / PAGE: {
            "claims": render_claims(claims),
            "switches": render_switches(tests),
            "times": render_times(trainings, _job_seconds(run / "benchmarks")),
            "bench": f"```text\n{_text(docs / 'bench.txt').rstrip()}\n```",
        },
    }
    written = {docs / "claims.csv": (run / "results" / "claims.csv").read_bytes()}
    written[docs / "times.csv"] = times_table(trainings).to_csv(index=False, lineterminator="\n").encode()
    for path in made:
        if path.suffix == ".png":
            written[docs / path] = (run / path).read_bytes()
    for page, blocks in pages.items():
        text = _text(page)
        for name, content in blocks.items():
            text = replace_block(text, name, content)
        written[page] = text.encode()
    record = docs.parent / "record"
    written |= {record / name: data for name, data in archives(run / "results", determined(run, options)).items()}
    for path, data in written.items():
        with atomic_path(path) as temporary:
            temporary.write_bytes(data)
    for path in {*record.rglob(f"*{SUFFIX}")} - written.keys():
        path.unlink()
    return list(written)


def _job_seconds(benchmarks: Path) -> list[float]:
    """What the jobs that Snakemake timed took."""
    seconds = []
    for path in sorted(benchmarks.rglob("*.tsv")):
        try:
            seconds.append(float(pd.read_csv(path, sep="\t")["s"].mean()))
        except (ValueError, KeyError) as error:
            raise ArtifactError(f"{path}: not a benchmark of Snakemake's ({error}); {remake(path)}") from None
    return seconds


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        command = f"make --silent bench >{shlex.quote(str(path.absolute()))}"
        hint = f"; to make it, in the checkout: {command}" if path.name == "bench.txt" else ""
        raise ArtifactError(f"{path}: cannot read: {error.strerror}{hint}") from None


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line; a run that cannot be recorded ends it with one line."""
    parser = argparse.ArgumentParser(
        prog="python -m nash_dqn.record",
        description="Bring docs/ and record/ up to date with a finished run. Other options are the run's of Snakemake.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--directory", type=Path, default=Path(), metavar="FOLDER", help="where the run is (default: .)"
    )
    parser.add_argument("--docs", type=Path, default=Path("docs"), metavar="FOLDER", help="where the pages are")
    given, options = parser.parse_known_args(arguments)
    try:
        written = update(given.directory, given.docs, options)
    except ArtifactError as error:
        sys.exit(f"error: {error}")
    recorded = [path for path in written if path.name.endswith(SUFFIX)]
    megabytes = sum(path.stat().st_size for path in recorded) / 1e6
    print(f"{len(written)} files written, among them {len(recorded)} recorded trainings of {megabytes:.1f} MB")


if __name__ == "__main__":
    main()
