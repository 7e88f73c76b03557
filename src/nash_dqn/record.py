"""``python -m nash_dqn.record``: bring docs/ up to date with a finished run, so that no number there is typed by hand.

Copies ``results/claims.csv`` and every PNG of the run to docs/, writes docs/times.csv, and the marked blocks anew: in
docs/results.md ``claims`` (from the claims), ``times`` (from the run records and the workflow's benchmarks) and
``bench`` (from docs/bench.txt, what ``make bench`` prints), in README.md ``summary`` (from the tables of the first
scenario). Whatever stands between ``<!-- NAME:begin -->`` and
``<!-- NAME:end -->`` is replaced, everything else stays.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from nash_dqn.artifacts import ArtifactError, atomic_path, read_json, read_table
from nash_dqn.config import (
    ConfigError,
    comparison,
    fictitious_play_settings,
    format_beta,
    load_yaml,
    nash_dqn_settings,
    self_play_settings,
)
from nash_dqn.evaluation.claims import COLUMNS
from nash_dqn.evaluation.cross_play import POOLED, TEST_COLUMNS
from nash_dqn.evaluation.exploitability import COLUMNS as EXPLOITABILITY_COLUMNS
from nash_dqn.evaluation.statistics import mean_interval
from nash_dqn.progress import duration
from nash_dqn.published import AUTHORS, AUTHORS_POLICIES

__all__ = [
    "Job",
    "RecordError",
    "Training",
    "main",
    "read_block",
    "render_bench",
    "render_claims",
    "render_summary",
    "render_times",
    "times_table",
]

PAGE = "results.md"
"""The page in docs/ that holds the blocks."""

_ALGORITHMS = ("nash_dqn", "fictitious_play", "self_play")
_ENDS = {"iterations": "ran to the end", "early_stopping": "stopped early", "diverged": "diverged"}

_MADE_FROM = {
    "policy_grid.csv": ("compared",),
    "policy_distance.csv": ("compared",),
    "cross_play.csv": ("compared",),
    "cross_play_tests.csv": ("cross_play.csv",),
    "exploitability.csv": ("measured",),
    "data_efficiency.csv": ("followed",),
    "ddpg_best_response.csv": ("answered",),
    "reference.csv": ("measured",),
    "fig2_policies.png": ("policy_grid.csv", "policy_distance.csv"),
    "fig3_cross_play.png": ("cross_play.csv", "cross_play_tests.csv"),
    "training_curves.png": ("compared",),
    "exploitability.png": ("exploitability.csv",),
    "data_efficiency.png": ("data_efficiency.csv", "exploitability.csv"),
    "data_efficiency_time.png": ("data_efficiency.csv", "exploitability.csv"),
}
"""Tables and pictures of a scenario of the run: which trainings, by their use, or tables each is made from."""
_SWEEP_MADE_FROM = {"beta_sweep.csv": ("swept",), "fig1_beta_sweep.png": ("beta_sweep.csv",)}
"""The same of a scenario in which Fig. 1 is made."""
_LQ_MADE_FROM = {"lq_error.csv": ("exact",), "lq_policies.png": ("lq_error.csv",)}
"""The same of a linear-quadratic scenario."""
_CLAIMS_FROM = (
    *("policy_distance.csv", "cross_play.csv", "cross_play_tests.csv", "exploitability.csv", "data_efficiency.csv"),
)
"""Tables of each scenario of the run that the claims are made from, beside Fig. 1's."""

_Run = tuple[str, str, float | None]
"""A training within a scenario: algorithm, recipe and beta."""


class RecordError(ValueError):
    """A run or a page that cannot be recorded; the message is one line."""


class Training(NamedTuple):
    """One training job: a run record and where it belongs."""

    scenario: str
    algorithm: str
    recipe: str
    beta: float | None
    """Weight of the penalty; None but for Nash-DQN."""
    path: Path
    """Its run.json."""
    record: Mapping[str, Any]
    """What that holds."""


class Job(NamedTuple):
    """One job of the workflow that Snakemake timed."""

    name: str
    scenario: str
    """Empty for jobs over all scenarios."""
    seconds: float
    memory: float
    """Peak resident memory, MiB; NaN where the job was too short to be sampled."""


# --------------------------------------------------------------------------------------------- Markdown


def render_summary(comparisons: Mapping[str, tuple[str, str]], gains: pd.DataFrame, tests: pd.DataFrame) -> str:
    """A column for each comparison of Nash-DQN with fictitious play, and one for the reference, as Markdown.

    Each number is the mean over trainings with its 95 % t interval, of a single training that over paths. Trainings
    that diverged are counted, and left out.

    Args:
        comparisons: ``algorithm/recipe`` of both policies, Nash-DQN's first, by name.
        gains: columns of ``exploitability.csv`` of one scenario.
        tests: columns of ``cross_play_tests.csv`` of the same.
    """
    paired = tests[tests["test"] == "paired"].dropna(subset=["low"])
    first = gains[gains["player"].astype(str) == "1"]
    columns: dict[str, dict[str, str]] = {}
    for name, (nash, other) in comparisons.items():
        rows: dict[str, str] = {}
        if other.startswith("self_play/"):
            rows |= _of_profile("", first, other)
        else:
            rows |= _of_profile("", first, nash) | _of_profile("fictitious play: ", first, other)
            for pair, text in _SWITCHES.items():
                found = paired[(paired["comparison"] == name) & (paired["pair"] == pair)]
                pooled = found[found["scope"] == POOLED]  # of a single pair of trainings there is only its own
                row = (pooled if len(pooled) or len(found) != 1 else found)[["mean_difference", "low", "high"]]
                if len(row):
                    rows[text] = _estimate(*row.iloc[0])
        columns[_TITLES.get(name, name)] = rows
    names = list(dict.fromkeys(row for rows in columns.values() for row in rows))
    table = [(row, *(columns[column].get(row, "") for column in columns)) for row in names]
    return _table(("", *columns), table, range(1, len(columns) + 1))


_TITLES = {AUTHORS: "authors' weights"}
_SWITCHES = {
    "first_nash-all_other": "switching to Nash-DQN among fictitious players",
    "first_other-all_nash": "switching to fictitious play among Nash-DQN's",
}


def _of_profile(profile: str, gains: pd.DataFrame, policy: str) -> dict[str, str]:
    """Value of a policy and what deviators gain against it, by row of the summary."""
    algorithm, recipe = policy.split("/")
    own = gains[(gains["algorithm"] == algorithm) & (gains["recipe"] == recipe)]
    rows = {}
    for deviator, part in own.groupby("deviator", sort=False):
        known = part.dropna(subset=["gain"])
        lost = f" ({len(part) - len(known)} of {len(part)} diverged)" if len(known) < len(part) else ""
        rows[f"{profile}value"] = _over_trainings(known, "value") + lost
        rows[f"{profile}gain of a deviator, {_CLASSES[str(deviator)]}"] = _over_trainings(known, "gain") + lost
    return rows


_CLASSES = {"same": "same observations", "memory": "with memory", "history": "with all its past"}


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
    rows = [
        (*names, *(int((found["verdict"] == verdict).sum()) for verdict in verdicts))
        for names, found in claims[claims["verdict"] != "reported"].groupby(["scenario", "claim"], sort=False)
    ]
    return _table(("scenario", "claim", *verdicts), rows, (2, 3, 4))


def render_times(trainings: Sequence[Training], jobs: Sequence[Job]) -> str:
    """What the run took, and what made it, as a line."""
    stacks = dict.fromkeys(_stack(training.record) for training in trainings)
    learning = sum(training.record["wall_seconds"] for training in trainings)
    rest = sum(job.seconds for job in jobs)
    return (
        f"{duration(learning + rest)} of one core in all: {len(trainings)} trainings {duration(learning)}, "
        f"{len(jobs)} evaluations and figures {duration(rest)}. Made with {'; '.join(stacks)}."
    )


def times_table(trainings: Sequence[Training]) -> pd.DataFrame:
    """What each training took, all its seeds side by side: a row each, ``iterations`` by seed."""
    rows = [
        {
            "scenario": training.scenario,
            "algorithm": training.algorithm,
            "recipe": training.recipe,
            "beta": "" if training.beta is None else format_beta(training.beta),
            "iterations": " ".join(str(member["iterations"]) for member in training.record["members"]),
            "outcome": _outcome(training.record["members"]),
            "wall_time": duration(training.record["wall_seconds"]),
            "peak_memory_mib": round(training.record["peak_memory_mib"]),
        }
        for training in trainings
    ]
    return pd.DataFrame(rows)


def render_bench(text: str) -> str:
    """What ``make bench`` printed, as it is."""
    return f"```text\n{text.rstrip()}\n```"


def read_block(page: str, name: str) -> str:
    """What stands between the markers of a block.

    Raises:
        RecordError: a marker is missing or stands more than once.
    """
    start, end = _span(page, name)
    return page[start:end].strip()


def replace_block(page: str, name: str, content: str) -> str:
    """The page with a block's content replaced; errors as for :func:`read_block`."""
    start, end = _span(page, name)
    return f"{page[:start]}\n\n{content}\n\n{page[end:]}"


def _span(page: str, name: str) -> tuple[int, int]:
    marks = [f"<!-- {name}:{end} -->" for end in ("begin", "end")]
    for mark in marks:
        if page.count(mark) != 1:
            raise RecordError(f"{mark} stands {page.count(mark)} times in a page, it must stand once")
    start, end = page.index(marks[0]) + len(marks[0]), page.index(marks[1])
    if start > end:
        raise RecordError(f"{marks[1]} stands before {marks[0]} in a page")
    return start, end


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]], numeric: Sequence[int]) -> str:
    """A Markdown table; the columns ``numeric`` are set flush right."""
    rule = ["---:" if column in numeric else "---" for column in range(len(head))]
    cells = [[str(cell).replace("|", "\\|") for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in [list(head), rule, *cells])


def _outcome(members: Sequence[Mapping[str, Any]]) -> str:
    counts = Counter(member["stopped"] for member in members)
    return ", ".join(f"{count} {_ENDS[stopped]}" for stopped, count in counts.items())


def _stack(record: Mapping[str, Any]) -> str:
    versions, threads = record["versions"], record["threads"]
    return (
        f"nash_dqn {versions['nash_dqn']}, Python {versions['python']}, torch {versions['torch']}, {threads} "
        f"thread{'s' * (threads > 1)}, device {record['device']}, {record['machine']} {record['system']}"
    )


# -------------------------------------------------------------------------------------------- the run


def trainings(config: Mapping[str, Any], results: Path) -> list[Training]:
    """Every training that the configuration asks for, in its order.

    Raises:
        ArtifactError: a run record is missing.
        RecordError: one was made with other settings than the configuration's.
    """
    found = []
    for scenario, algorithm, recipe, beta in _wanted(config):
        folder = results / scenario / algorithm / recipe
        if beta is not None:
            folder /= f"beta_{format_beta(beta)}"
            settings = nash_dqn_settings(config, scenario, recipe, beta)
        elif algorithm == "self_play":
            settings = self_play_settings(config, scenario, recipe)
        else:
            settings = fictitious_play_settings(config, scenario, recipe)
        path = folder / "run.json"
        record = read_json(path)
        wanted = {"seeds": settings["seeds"], "config": {key: settings[key] for key in ("game", "recipe")}}
        if not _covers(record, wanted):
            raise RecordError(f"{path}: made with other settings than the configuration's; run it again")
        found.append(Training(scenario, algorithm, recipe, beta, path, record))
    return found


def figures(config: Mapping[str, Any]) -> list[Path]:
    """Every picture of the run, below the folder of figures."""
    return [Path(scenario, name) for scenario, name, _ in _made(config) if name.endswith(".png")]


def jobs(scenarios: Iterable[str], benchmarks: Path) -> list[Job]:
    """The jobs that Snakemake timed, from its benchmark files.

    Raises:
        RecordError: there is none, or one that cannot be read.
    """
    found = []
    for scenario in (*scenarios, ""):
        folder = benchmarks / scenario
        for path in sorted(folder.rglob("*.tsv") if scenario else folder.glob("*.tsv")):
            try:
                row = pd.read_csv(path, sep="\t", na_values=["-", "NA"])[["s", "max_rss"]].astype(float).mean()
            except (ValueError, KeyError) as error:
                raise RecordError(f"{path}: not a benchmark of Snakemake's ({error}); make it again") from None
            name = path.relative_to(folder).with_suffix("").as_posix()
            found.append(Job(name, scenario, float(row["s"]), float(row["max_rss"])))
    if not found:
        raise RecordError(f"{benchmarks}: no benchmark file; run the workflow first, or name its --benchmarks")
    return found


def _wanted(config: Mapping[str, Any]) -> list[tuple[str, str, str, float | None]]:
    """Scenario, algorithm, recipe and beta of each training, each once."""
    uses = _uses(config)
    exact, swept = uses.pop("exact"), uses.pop("swept")
    of_run = sorted((run for runs in uses.values() for run in runs), key=lambda run: _ALGORITHMS.index(run[0]))
    wanted = [(scenario, *run) for scenario in config["run"]["scenarios"] for run in of_run]
    wanted += [(scenario, *run) for scenario in config["beta_sweep"]["scenarios"] for run in swept]
    wanted += [(scenario, *run) for scenario in config["lq"]["scenarios"] for run in exact]
    return list(dict.fromkeys(wanted))


def _uses(config: Mapping[str, Any]) -> dict[str, list[_Run]]:
    """What the trainings are for: ``exact`` of each linear-quadratic scenario, the others of each of the run's."""

    def own(recipes: Mapping[str, Iterable[str]]) -> list[_Run]:
        """Recipes by algorithm; those of Nash-DQN at their own beta."""
        return [
            (algorithm, name, float(config[algorithm][name]["penalty"]["beta"]) if algorithm == "nash_dqn" else None)
            for algorithm, names in recipes.items()
            for name in names
        ]

    pairs = [comparison(config, name) for name in config["run"]["comparisons"]]
    sweep, measured = config["beta_sweep"], config["exploitability"]["policies"]
    return {
        "swept": [("nash_dqn", sweep["recipe"], float(beta)) for beta in sweep["betas"]],
        "compared": own({name: [pair[name] for pair in pairs if name in pair] for name in _ALGORITHMS}),
        "measured": own(measured),
        "followed": own({**measured, "self_play": [config["data_efficiency"]["reference"]]}),
        "answered": own(config["ddpg_best_response"]["opponents"]),
        "exact": own({algorithm: config["lq"][algorithm] for algorithm in ("nash_dqn", "fictitious_play")}),
    }


def _made(config: Mapping[str, Any]) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Scenario and name of each table and picture, and what it is made from: uses of trainings, or names of tables."""
    others = {f"fig2_policies_{name}.png": _MADE_FROM["fig2_policies.png"] for name in config["run"]["comparisons"][1:]}
    every = (("run", {**_MADE_FROM, **others}), ("beta_sweep", _SWEEP_MADE_FROM), ("lq", _LQ_MADE_FROM))
    for section, made in every:
        for scenario in config[section]["scenarios"]:
            for name, sources in made.items():
                yield scenario, name, sources


def _covers(found: Any, wanted: Any) -> bool:
    """Whether all that is wanted was found; what a configuration leaves out has its default and is not compared."""
    if isinstance(wanted, Mapping):
        return isinstance(found, Mapping) and all(key in found and _covers(found[key], wanted[key]) for key in wanted)
    return bool(found == wanted)


def _check_complete(config: Mapping[str, Any], ran: Sequence[Training], results: Path, pictures: Path) -> None:
    """Refuse a run that lacks a result, or has one that is older than what it is made from."""
    records = {training[:4]: training.path for training in ran}
    uses = _uses(config)
    for scenario, name, made_from in _made(config):
        sources = []
        for source in made_from:
            runs = uses.get(source)
            table = results / scenario / source
            sources += [table] if runs is None else [records[scenario, *run] for run in runs]
        _check_newer((results if name.endswith(".csv") else pictures) / scenario / name, sources)
    tables = [results / scenario / name for scenario in config["run"]["scenarios"] for name in _CLAIMS_FROM]
    tables += [results / scenario / "beta_sweep.csv" for scenario in config["beta_sweep"]["scenarios"]]
    _check_newer(results / "claims.csv", tables)


def _check_newer(path: Path, sources: Sequence[Path]) -> None:
    newest = max(sources, key=lambda source: source.stat().st_mtime)
    if not path.is_file():
        raise RecordError(f"{path}: missing, so the run is not complete; run the workflow to its end first")
    if path.stat().st_mtime < newest.stat().st_mtime:
        raise RecordError(f"{path}: older than {newest}; run the workflow to its end first")


def update(config: Mapping[str, Any], results: Path, pictures: Path, benchmarks: Path, docs: Path) -> list[Path]:
    """Copy the run's claims and pictures to ``docs`` and write the page's blocks; returns what was written.

    Everything is read and checked before anything is written.

    Raises:
        ArtifactError, RecordError: a file is missing, stale or damaged, or the page lacks a marker.
    """
    ran = trainings(config, results)
    _check_complete(config, ran, results, pictures)
    timed = jobs(dict.fromkeys([*config["run"]["scenarios"], *config["lq"]["scenarios"]]), benchmarks)
    claims = read_table(results / "claims.csv", COLUMNS)
    if set(claims["scenario"]) != set(config["run"]["scenarios"]):
        raise RecordError(f"{results / 'claims.csv'}: not of the configuration's scenarios; run the workflow again")
    headline = results / config["run"]["scenarios"][0]
    tests = read_table(headline / "cross_play_tests.csv", ["comparison", *TEST_COLUMNS])
    comparisons = {name: _pair(config, name) for name in config["run"]["comparisons"]}
    if (tests["comparison"] == AUTHORS).any():
        nash, other = AUTHORS_POLICIES
        comparisons = {AUTHORS: (nash, other), **comparisons}
    gains = read_table(headline / "exploitability.csv", EXPLOITABILITY_COLUMNS)
    summary = render_summary(comparisons, gains, tests)
    readme = replace_block(_text(docs.parent / "README.md"), "summary", summary)
    page = _text(docs / PAGE)
    blocks = {
        "claims": render_claims(claims),
        "times": render_times(ran, timed),
        "bench": render_bench(_text(docs / "bench.txt")),
    }
    for name, content in blocks.items():
        page = replace_block(page, name, content)

    copies = {docs / "claims.csv": (results / "claims.csv").read_bytes()}
    copies[docs / "times.csv"] = times_table(ran).to_csv(index=False, lineterminator="\n").encode()
    drawn = figures(config)
    if AUTHORS in comparisons:
        drawn += [Path(scenario, f"fig2_policies_{AUTHORS}.png") for scenario in config["run"]["scenarios"]]
    copies |= {docs / "figures" / name: (pictures / name).read_bytes() for name in drawn}
    written = {**copies, docs / PAGE: page.encode(), docs.parent / "README.md": readme.encode()}
    for path, data in written.items():
        with atomic_path(path) as temporary:
            temporary.write_bytes(data)
    return list(written)


def _pair(config: Mapping[str, Any], name: str) -> tuple[str, str]:
    nash, other = (f"{algorithm}/{recipe}" for algorithm, recipe in comparison(config, name).items())
    return nash, other


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        hint = "; make it with: make --silent bench >docs/bench.txt" if path.name == "bench.txt" else ""
        raise RecordError(f"{path}: cannot read: {error.strerror}{hint}") from None


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line; a run that cannot be recorded ends it with one line."""
    parser = argparse.ArgumentParser(
        prog="python -m nash_dqn.record", description="Bring docs/ up to date with a finished run."
    )
    for name, what in {
        "results": "tables and trainings of the run",
        "figures": "pictures of the run",
        "benchmarks": "Snakemake's benchmark files of the run",
        "docs": "where results.md and bench.txt lie",
    }.items():
        parser.add_argument(f"--{name}", type=Path, default=Path(name), metavar="FOLDER", help=what)
    parser.add_argument("--config", type=Path, default=Path("config/config.yaml"), help="what the run was made with")
    given = parser.parse_args(arguments)
    try:
        config = load_yaml(given.config)
        written = update(config, given.results, given.figures, given.benchmarks, given.docs)
    except (ArtifactError, ConfigError, RecordError) as error:
        sys.exit(f"error: {error}")
    print(f"{len(written)} files written in {given.docs}")


if __name__ == "__main__":
    main()
