"""Dependencies stand in three files that must agree; the Makefile sets them up and keeps no broken set-up."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

import nash_dqn
from tests.common import ROOT

CONDA_NAMES = {"torch": "pytorch", "matplotlib": "matplotlib-base", "snakemake": "snakemake-minimal"}
CONDA_ONLY = {
    "python",  # requires-python
    "pip",  # installs the project itself
    "pygments",  # what the extra of snakemake[reports] stands for
}


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.fixture(scope="module")
def conda() -> dict[str, SpecifierSet]:
    """environment.yml's package names and version ranges."""
    document = yaml.safe_load((ROOT / "environment.yml").read_text())
    assert all(isinstance(line, str) for line in document["dependencies"]), "no nested pip list"
    lines = [line.partition(" ") for line in document["dependencies"]]
    return {name: SpecifierSet(versions) for name, _, versions in lines}


@pytest.fixture(scope="module")
def pins() -> dict[str, str]:
    """constraints.txt's package names and releases."""
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    pairs = [line.split("==") for line in lines]
    assert all(len(pair) == 2 for pair in pairs), "every line is name==release"
    names = [canonicalize_name(name) for name, _ in pairs]
    assert len(set(names)) == len(names), "a package is pinned twice"
    return dict(zip(names, (release for _, release in pairs), strict=True))


def requirements(project: dict[str, Any], *extras: str) -> list[Requirement]:
    table = project["project"]
    lines = [*table["dependencies"], *(line for extra in extras for line in table["optional-dependencies"][extra])]
    return [Requirement(line) for line in lines]


def test_conda_and_pip_ask_for_the_same_packages_in_the_same_ranges(
    project: dict[str, Any], conda: dict[str, SpecifierSet]
) -> None:
    expected = {CONDA_NAMES.get(r.name, r.name): r.specifier for r in requirements(project, "report", "slurm")}
    assert {name: versions for name, versions in conda.items() if name not in CONDA_ONLY} == expected


def test_one_range_of_python_everywhere(project: dict[str, Any], conda: dict[str, SpecifierSet]) -> None:
    asked = SpecifierSet(project["project"]["requires-python"])
    assert conda["python"] == asked
    oldest = project["tool"]["mypy"]["python_version"]
    assert asked == SpecifierSet(f">={oldest}")
    assert project["tool"]["ruff"]["target-version"] == "py" + oldest.replace(".", "")
    make = (ROOT / "Makefile").read_text()
    assert re.findall(r"version_info >= \((\d+), (\d+)\)", make) == [tuple(oldest.split("."))]


def test_every_direct_dependency_is_pinned_within_its_range(project: dict[str, Any], pins: dict[str, str]) -> None:
    outside = {
        str(requirement): pins.get(canonicalize_name(requirement.name))
        for requirement in requirements(project, "pettingzoo", "report", "slurm", "test")
        if not requirement.specifier.contains(pins.get(canonicalize_name(requirement.name), "0"))
    }
    assert outside == {}


def test_one_range_for_a_package_that_is_named_twice(project: dict[str, Any]) -> None:
    ranges: dict[str, set[SpecifierSet]] = {}
    for requirement in requirements(project, "pettingzoo", "report", "slurm", "test"):
        ranges.setdefault(requirement.name, set()).add(requirement.specifier)
    assert {name: found for name, found in ranges.items() if len(found) > 1} == {}


def test_page_of_dependencies_lists_them_all(project: dict[str, Any]) -> None:
    extras = project["project"]["optional-dependencies"]
    asked = [(line, "") for line in project["project"]["dependencies"]]
    asked += [(line, extra) for extra, lines in extras.items() for line in lines]
    expected = sorted((re.split("[<>=]", line)[0], extra) for line, extra in asked)
    assert sorted((name, extra) for name, extra, *_ in page_of_dependencies()) == expected


def test_licences_on_the_page_are_those_that_packages_declare() -> None:
    """The first licence of a row stands in what the installed package says of itself."""
    families = {name: name for name in ("MIT", "MIT-0")}
    families |= {"BSD-3-Clause": "BSD", "PSF-based": "Python Software Foundation", "Apache-2.0": "Apache"}
    checked = 0
    for name, _, _, licence in page_of_dependencies():
        try:
            declared = metadata(name.partition("[")[0])
        except PackageNotFoundError:  # an extra that is not installed
            continue
        said = [v for key in ("License-Expression", "License", "Classifier") for v in declared.get_all(key) or ()]
        assert families[re.split("[ ,]", licence)[0]] in " ".join(said), f"{name}: {said}"
        checked += 1
    assert checked > 10


def page_of_dependencies() -> list[tuple[str, str, str, str]]:
    """Packages of docs/using.md: name, extra, what for, licence."""
    section = (ROOT / "docs" / "using.md").read_text(encoding="utf-8").partition("## Dependencies")[2]
    rows, extra = [], ""
    for line in section.splitlines():
        if heading := re.fullmatch(r"Extra `(\w+)`:", line):
            extra = heading[1]
        elif row := re.fullmatch(r"\* (\S+): (.+) \((.+)\)", line):
            rows.append((row[1], extra, row[2], row[3]))
    return rows


def test_the_container_names_no_releases_of_its_own(project: dict[str, Any]) -> None:
    """Packages come from the project's lists; its one number is the Python that the project asks for."""
    lines = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if not line.startswith("#")]
    oldest = project["project"]["requires-python"].removeprefix(">=")
    assert [line for line in lines if line.startswith("FROM")] == [f"FROM python:{oldest}-slim"]
    assert [
        line for line in lines if re.search(r"\d+\.\d+|[=<>~]=|https?:", line) and not line.startswith("FROM")
    ] == []
    installs = [line for line in lines if re.search(r"\b(?:pip|apt|apt-get|conda) ", line)]
    assert len(installs) == 1 and "--constraint constraints.txt --editable '.[report]'" in installs[0]
    assert any(line.startswith("USER ") for line in lines)


def copied(recipe: str) -> list[str]:
    """What a Dockerfile copies from the checkout."""
    return [source for line in re.findall(r"^COPY (.+) \S+$", recipe, re.M) for source in line.split()]


def test_the_container_copies_what_its_build_is_given() -> None:
    sources = set(copied((ROOT / "Dockerfile").read_text()))
    given = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert all((ROOT / source).exists() for source in sources)
    assert {source for source in sources if not any(f"{source}/".startswith(f"{name}/") for name in given)} == set()


def test_the_container_copies_what_a_job_needs(tmp_path: Path) -> None:
    """A small job of the toy run, in a folder that holds what the image does, and no more, by a user without a name,
    as `--user` makes one."""
    recipe = (ROOT / "Dockerfile").read_text()
    for source in copied(recipe):
        target = tmp_path / source
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / source).is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
            shutil.copytree(ROOT / source, target, ignore=ignored, dirs_exist_ok=True)
        else:
            shutil.copy(ROOT / source, target)
    entry, default = re.findall(r"^(?:ENTRYPOINT|CMD) (\[.+\])$", recipe, re.M)
    command = [sys.executable, *json.loads(entry)[1:], *json.loads(default), "results/deviations.html"]
    (tmp_path / "nameless").mkdir()
    (tmp_path / "nameless" / "sitecustomize.py").write_text("import pwd\npwd.getpwuid = {}.__getitem__\n")
    said = dict(pair.split("=") for line in re.findall(r"^ENV (.+)$", recipe, re.M) for pair in line.split())
    environment = {
        **said,
        "HOME": str(tmp_path / "home"),
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join([str(tmp_path / "src"), str(tmp_path / "nameless")]),
    }
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / ".test" / "results" / "deviations.html").exists()


def test_pins_name_releases_that_every_platform_has(pins: dict[str, str]) -> None:
    assert "://" not in (ROOT / "constraints.txt").read_text()
    assert {name: release for name, release in pins.items() if Version(release).local} == {}


def test_citation_is_of_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == nash_dqn.__version__


# The Makefile's set-up, with a stand-in for Python: `-m venv` makes a `.venv` whose interpreter notes what it
# is asked.
STAND_IN = """#!/bin/sh
case "$1 $2" in
"-m venv") rm -rf .venv; mkdir -p .venv/bin; cp "$0" .venv/bin/python; echo venv >>calls ;;
"-m pip") echo pip >>calls; test ! -e broken ;;
"-c "*) exec {python} -c 'import sys; sys.version_info = {version}; exec(sys.argv[1])' "$2" ;;
esac
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    folder = tmp_path / "checkout"
    folder.mkdir()
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, folder)
    return folder


def make(
    checkout: Path, target: str, python: str | None = None, version: tuple[int, int] = (3, 11)
) -> subprocess.CompletedProcess[str]:
    """Run make with the stand-in, which says that it is Python `version`, or with the interpreter named."""
    stand_in = checkout.parent / "python"
    stand_in.write_text(STAND_IN.format(python=sys.executable, version=version))
    stand_in.chmod(0o755)
    command = ["make", target, f"PYTHON={python or stand_in}"]
    # A make that runs this very suite hands its own flags down.
    environment = {key: value for key, value in os.environ.items() if key not in ("MAKEFLAGS", "MAKELEVEL")}
    return subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=False)


def calls(checkout: Path) -> list[str]:
    """What the stand-in was asked since the last call of this function."""
    path = checkout / "calls"
    lines = path.read_text().split() if path.exists() else []
    path.unlink(missing_ok=True)
    return lines


def test_too_old_a_python_is_refused_in_one_line(checkout: Path) -> None:
    done = make(checkout, "replicate", version=(3, 10))
    assert done.returncode != 0
    errors = [line for line in done.stderr.splitlines() if "***" not in line]  # less make's own closing line
    assert errors == [
        f"error: {checkout.parent / 'python'} is Python 3.10, and 3.11 or newer is needed: make PYTHON=/path/to/python3"
    ]
    assert calls(checkout) == []


def test_a_home_that_cannot_be_written_is_refused_in_one_line(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/dev/null")
    done = make(checkout, "replicate")
    assert done.returncode != 0 and calls(checkout) == []
    errors = [line for line in done.stderr.splitlines() if "***" not in line]
    assert len(errors) == 1 and errors[0].startswith("error: HOME='/dev/null' is no folder that can be written to")


def test_no_python_is_refused_in_one_line(checkout: Path) -> None:
    done = make(checkout, "replicate", python="no-such-python")
    assert done.returncode != 0
    assert "error: no 'no-such-python' here" in done.stderr


def test_set_up_is_done_once(checkout: Path) -> None:
    assert make(checkout, ".venv/ready-test").returncode == 0
    assert calls(checkout) == ["venv", "pip", "pip"]
    assert make(checkout, ".venv/ready-test").returncode == 0
    assert make(checkout, ".venv/ready").returncode == 0
    assert calls(checkout) == []


def test_failed_set_up_is_an_error_and_is_done_over(checkout: Path) -> None:
    (checkout / "broken").touch()
    assert make(checkout, ".venv/ready").returncode != 0
    assert calls(checkout) == ["venv", "pip"]
    (checkout / "broken").unlink()
    assert make(checkout, ".venv/ready").returncode == 0
    assert calls(checkout) == ["venv", "pip"]


def test_changed_dependencies_are_set_up_anew(checkout: Path) -> None:
    assert make(checkout, ".venv/ready-test").returncode == 0
    for changed in ("pyproject.toml", "constraints.txt"):
        calls(checkout)
        for name in ("pyproject.toml", "constraints.txt"):
            os.utime(checkout / name, (1e9, 1e9))
        stamp = (checkout / ".venv" / "ready-test").stat().st_mtime
        os.utime(checkout / changed, (stamp + 1, stamp + 1))
        assert make(checkout, ".venv/ready-test").returncode == 0
        assert calls(checkout) == ["venv", "pip", "pip"]


def test_moved_checkout_is_set_up_anew(checkout: Path) -> None:
    assert make(checkout, ".venv/ready").returncode == 0
    moved = checkout.rename(checkout.with_name("elsewhere"))
    calls(moved)
    assert make(moved, ".venv/ready").returncode == 0
    assert calls(moved) == ["venv", "pip"]


def test_a_path_from_which_nothing_starts_is_refused_in_one_line(checkout: Path) -> None:
    for name in ("a b", "it's", "a$b", "a{b}", "a:b", "a\\b", "a[b"):
        checkout = checkout.rename(checkout.with_name(name))
        done = make(checkout, "replicate")
        assert done.returncode != 0
        errors = [line for line in done.stderr.splitlines() if "***" not in line]
        assert len(errors) == 1
        assert errors[0].startswith(f"error: {checkout}: programs of an environment at such a path")
        assert calls(checkout) == []
