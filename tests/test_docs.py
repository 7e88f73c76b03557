"""The documents say what is: numbers come from docs/claims.csv, and what they name exists."""

import argparse
import ast
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

import pandas as pd
import pytest
from snakemake.cli import get_argument_parser

import nash_dqn
from nash_dqn import cli
from nash_dqn.config import ConfigError, policy, scenario
from nash_dqn.published import AUTHORS_POLICIES
from nash_dqn.record import PAGE, render_claims, replace_block
from tests.common import CONFIG, ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")),
    *(ROOT / folder / "README.md" for folder in ("config", "results", "figures", "record")),
    *sorted((ROOT / "docs").glob("*.md")),
]
MADE = (
    *("results/", "figures/", "logs/", "benchmarks/", ".test/results", ".test/figures"),
    *(".api/", ".checkpoints", ".snakemake/", ".venv", "report.html"),
)
"""What the workflow or make leaves behind: named in the documents, absent from a fresh checkout."""
EXAMPLES = {"my.yaml", "oligopoly.py", "nash_dqn.games.oligopoly"}
"""Files that a reader makes."""
OWN_POLICIES = r"nash-dqn|nash-fast|nash-rate|nash-oligopoly"
"""Policies that a reader adds, and the command."""


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def spans(text: str) -> Iterator[str]:
    """What stands in code type: spans, and the lines of code blocks."""
    blocks = re.compile(r"^```.*?\n(.*?)^```", re.DOTALL | re.MULTILINE)
    for block in blocks.findall(text):
        yield from block.splitlines()
    yield from re.findall(r"`([^`\n]+)`", blocks.sub("", text))


def anchors(path: Path) -> set[str]:
    """Anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_blocks_on_the_page_are_those_of_the_files() -> None:
    page, docs = (ROOT / "docs" / PAGE).read_text(encoding="utf-8"), ROOT / "docs"
    bench = (docs / "bench.txt").read_text(encoding="utf-8").rstrip()
    blocks = {"claims": render_claims(pd.read_csv(docs / "claims.csv")), "bench": f"```text\n{bench}\n```"}
    for name, content in blocks.items():
        assert replace_block(page, name, content) == page, "run `make record`"


def dead_links(page: Path) -> Iterator[str]:
    """Links to files and headings that are not there."""
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        file, _, anchor = target.partition("#")
        path = (page.parent / file).resolve() if file else page
        if not re.match(r"[a-z]+:", target) and (not path.exists() or (anchor and anchor not in anchors(path))):
            yield target


def unknown_targets(page: Path) -> Iterator[str]:
    """Targets of make that the Makefile does not have."""
    rules = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    for span in spans(page.read_text(encoding="utf-8")):
        command = re.match(r"make((?: [^#>]+)?)", span)
        words = command[1].split() if command else []
        yield from (word for word in words if re.fullmatch(r"[a-z]+", word) and word not in rules)


def absent_paths(page: Path) -> Iterator[str]:
    """Files and folders in code type that are not in a checkout."""
    path = re.compile(r"(?<![\w./{}+=-])\.?[\w-]+(?:/[\w.-]+)*(?:/|\.(?:md|ya?ml|toml|cff|txt|py|smk))(?![\w{])")
    words = {word for span in spans(page.read_text(encoding="utf-8")) for word in path.findall(span)} - EXAMPLES
    bases = (ROOT, ROOT / "src" / "nash_dqn")
    yield from (w for w in sorted(words) if not w.startswith(MADE) and not any((base / w).exists() for base in bases))


def unknown_names(page: Path) -> Iterator[str]:
    """``nash_dqn.a.b`` that is no module and nothing in one."""
    for span in spans(page.read_text(encoding="utf-8")):
        for name in re.findall(r"(?<![\w./])nash_dqn(?:\.\w+)+", span):
            if name not in EXAMPLES and not resolves(name):
                yield name


def unknown_policies(page: Path) -> Iterator[str]:
    """Policies in code type, told by how names begin, that the configuration does not have and no example adds."""
    for span in spans(page.read_text(encoding="utf-8")):
        for name in re.findall(r"(?<![\w./-])(?:nash|fp|authors|reference)-\w[\w-]*\b(?:\+\w+(?:=[0-9.]+)?)?", span):
            for one in name.split("-vs-"):
                own = one in AUTHORS_POLICIES or re.fullmatch(OWN_POLICIES, one)
                if not (own or known(policy, re.sub("[+-][A-Z]+$", "", one))):
                    yield one


def unknown_scenarios(page: Path) -> Iterator[str]:
    """Folders below results/ and figures/, in code type, that are of no scenario."""
    for span in spans(page.read_text(encoding="utf-8")):
        for name in re.findall(r"(?<![\w./-])(?:results|figures)/([a-z][\w+=]*)(?=/[a-z])", span):
            if name not in ("equilibrium_path", "oligopoly") and not known(scenario, name):
                yield name


def known(find: Callable[..., object], name: str) -> bool:
    try:
        find(CONFIG, name)
    except ConfigError:
        return False
    return True


@pytest.mark.parametrize(
    "wrong_in", [dead_links, unknown_targets, absent_paths, unknown_names, unknown_policies, unknown_scenarios]
)
def test_what_the_pages_name_exists(wrong_in: Callable[[Path], Iterator[str]]) -> None:
    found = {name_of(page): wrong for page in PAGES if (wrong := list(wrong_in(page)))}
    assert not found


def resolves(name: str) -> bool:
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found = import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for attribute in parts[length:]:
            if not hasattr(found, attribute):
                return False
            found = getattr(found, attribute)
        return True
    return False


def commands(page: Path) -> list[str]:
    """Each command line: of console blocks, without their output, and of spans that begin with a program."""
    text = page.read_text(encoding="utf-8")
    blocks = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
    lines: list[str] = []
    for language, block in blocks.findall(text):
        if language == "console":
            typed = [line.removeprefix("$ ") for line in block.splitlines() if line.startswith("$ ")]
            lines += typed or block.splitlines()
    return lines + re.findall(r"`((?:snakemake|nash-dqn) [^`\n]+)`", blocks.sub("", text))


def words_of(command: str) -> list[str]:
    return shlex.split(re.sub(r"\$\([^)]*\)", "VALUE", command), comments=True)


def parsed(parser: argparse.ArgumentParser, words: list[str]) -> argparse.Namespace:
    try:
        return parser.parse_args(words[1:])
    except SystemExit:
        pytest.fail(f"{' '.join(words)}: does not parse")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_parse(page: Path) -> None:
    """Targets stand before the options, some of which take every word that follows for a value of theirs."""
    values = {"--configfile": r".+\.yaml", "--config": r"\w+=.+", "--default-resources": r"\w+=.+", "-R": r"[a-z_]+"}
    for command in commands(page):
        checked = subprocess.run(["bash", "-n", "-c", command], text=True, capture_output=True)
        assert checked.returncode == 0, f"{command}\n{checked.stderr}"
        words = words_of(command)
        if words[0] == "nash-dqn":
            parsed(cli._parser(), words)
        elif words[0] == "snakemake":
            first = next((k for k, word in enumerate(words) if word.startswith("-")), len(words))
            assert sorted(parsed(get_argument_parser(), words).targets) == sorted(words[1:first]), " ".join(words)
            option = ""
            for word in words[first:]:
                option = word if word.startswith("-") else option
                if option in values and word != option:
                    assert re.fullmatch(values[option], word), f"{' '.join(words)}: {option} takes {word}"


def test_rules_and_results_named_are_the_workflow_s(tmp_path: Path) -> None:
    text = README + (ROOT / "docs" / PAGE).read_text(encoding="utf-8")
    targets = set(re.findall(r"(?<![\w./])(?:results|figures)/[\w./-]+\.\w+", text))
    # Those of the authors' weights are made where these are given.
    targets = {name for name in targets if not name.endswith(".md") and not re.search("nash-fast|authors-", name)}
    forced = set()
    for page in PAGES:
        for words in map(words_of, commands(page)):
            if words[0] == "snakemake":
                given = parsed(get_argument_parser(), words)
                of_own = given.configfile or "oligopoly" in " ".join(words)  # made of what a reader adds
                targets |= set() if of_own else {target for target in given.targets if target.islower()}
                forced |= set(given.forcerun)
    assert forced and {"train", "penalty_study", "games", "many_agents"} <= targets, "the documents lost their examples"
    (tmp_path / "config").mkdir()
    shutil.copy(ROOT / "config" / "config.yaml", tmp_path / "config")
    dry_run = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "workflow" / "Snakefile"), "--dry-run"]
    command = [*dry_run, "--directory", str(tmp_path), *sorted(targets), "--forcerun", *sorted(forced)]
    result = subprocess.run(command, cwd=tmp_path, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert result.returncode == 0, f"{' '.join(command)}\n{result.stdout}"


def test_the_readme_s_file_adds_a_policy_to_fig_2(tmp_path: Path) -> None:
    (example,) = re.findall(r"^```yaml\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    (tmp_path / "my.yaml").write_text(example, encoding="utf-8")
    (line,) = (words for words in map(words_of, commands(ROOT / "README.md")) if "my.yaml" in words)
    command = [sys.executable, "-m", *line, "--snakefile", str(ROOT / "workflow" / "Snakefile"), "--dry-run"]
    planned = subprocess.run(command, cwd=tmp_path, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert planned.returncode == 0 and "results/code/nash-fast/run.json" in planned.stdout, planned.stdout


def test_python_imports_what_exists() -> None:
    using = (ROOT / "docs" / "using.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", using, re.DOTALL | re.MULTILINE)
    assert any("nash_dqn" in block for block in blocks)
    for block in blocks:
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom):
                module = import_module(str(node.module))
                assert all(hasattr(module, alias.name) for alias in node.names), ast.unparse(node)


def test_newest_version_in_the_changelog_is_the_package_s() -> None:
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^## \[(\d[^\]]*)\]", changes, re.MULTILINE)
    assert versions[:1] == [nash_dqn.__version__]
