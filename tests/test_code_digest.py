"""The digest changes with the code a script runs, and with nothing else."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.common import ROOT, load

SOURCE = ROOT / "workflow" / "code_digest.py"

FILES = {
    "workflow/scripts/job.py": "from _shared import log\nfrom pkg.room import worker\n",
    "workflow/scripts/_shared.py": "import sys\n",
    "workflow/scripts/other.py": "import pkg.unrelated\n",
    "src/pkg/__init__.py": "",
    "src/pkg/base.py": "import json\n",
    "src/pkg/late.py": "LATE = 1\n",
    "src/pkg/typed.py": "class Typed: ...\n",
    "src/pkg/unrelated.py": "from pkg import base\n",
    "src/pkg/room/__init__.py": "",
    "src/pkg/room/helper.py": "HELP = 1\n",
    "src/pkg/room/helper.html": "<p></p>\n",
    "src/pkg/room/helper.js": "start()\n",
    "src/pkg/unrelated.js": "start()\n",
    "src/pkg/room/deep/__init__.py": "",
    "src/pkg/room/deep/leaf.py": "from ... import late\n",
    "src/pkg/room/worker.py": (
        "from typing import TYPE_CHECKING\n"
        "from ..base import json\n"
        "from . import helper\n"
        "if TYPE_CHECKING:\n"
        "    from pkg.typed import Typed\n"
        "def work():\n"
        "    import pkg.room.deep.leaf\n"
    ),
}
OUTSIDE = {"scripts/other.py", "pkg/unrelated.py", "pkg/unrelated.js"}
CLOSURE = {name.partition("/")[2] for name in FILES} - OUTSIDE


@pytest.fixture(scope="module")
def module() -> ModuleType:
    """``workflow/code_digest.py``, which is no part of the package."""
    return load(SOURCE)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small checkout whose script reaches modules by every kind of import statement."""
    for name, text in FILES.items():
        path = tmp_path / "checkout" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "checkout"


def digest_of(module: ModuleType, tree: Path) -> str:
    digest: str = module.digest(module.import_closure(tree / "workflow/scripts/job.py", tree / "src/pkg"))
    return digest


def test_closure_follows_every_kind_of_import(module: ModuleType, tree: Path) -> None:
    closure = module.import_closure(tree / "workflow/scripts/job.py", tree / "src/pkg")
    assert set(closure) == CLOSURE


@pytest.mark.parametrize("name", sorted(FILES))
def test_digest_changes_with_the_closure_alone(module: ModuleType, tree: Path, name: str) -> None:
    before = digest_of(module, tree)
    path = tree / name
    path.write_text(path.read_text() + "added = 1\n")
    inside = name.partition("/")[2] in CLOSURE
    assert (digest_of(module, tree) != before) == inside


def test_digest_survives_a_moved_checkout_times_and_line_endings(module: ModuleType, tree: Path) -> None:
    before = digest_of(module, tree)
    moved = tree.parent / "elsewhere" / "clone"
    shutil.copytree(tree, moved)
    for path in moved.rglob("*.py"):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
        os.utime(path, (0, 0))
    assert digest_of(module, moved) == before


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        ('"""Of a module."""\n\nx = 1\n', '"""Said\n# better."""\nx = 1\n# why\n', True),
        ('def f():\n    """Of a function."""\n    return 1\n', "def f():\n    # why\n    return 1\n", True),
        ('x = """kept\n# line\n"""\n', 'x = """kept\n"""\n', False),
        ('x = f"""kept\n\n{1}"""\n', 'x = f"""kept\n{1}"""\n', False),
        ('class A: "a"; x = 1\n', 'class A: "a"; x = 2\n', False),
        ('"""a"""\nx = __doc__\n', '"""b"""\nx = __doc__\n', False),
        ("if a:\n    b\n", "if a:\n        b\n", False),
    ],
)
def test_what_runs_counts_and_what_explains_it_does_not(
    module: ModuleType, tree: Path, before: str, after: str, same: bool
) -> None:
    digests = []
    for text in (before, after):
        (tree / "src/pkg/late.py").write_text(text)
        digests.append(digest_of(module, tree))
    assert (digests[0] == digests[1]) == same


def test_moving_text_between_files_changes_the_digest(module: ModuleType, tree: Path) -> None:
    before = digest_of(module, tree)
    (tree / "src/pkg/late.py").write_text("")
    (tree / "src/pkg/room/__init__.py").write_text(FILES["src/pkg/late.py"])
    assert digest_of(module, tree) != before


def test_import_cycles_end(module: ModuleType, tree: Path) -> None:
    (tree / "src/pkg/base.py").write_text("from pkg.room import worker\n")
    assert set(module.import_closure(tree / "workflow/scripts/job.py", tree / "src/pkg")) == CLOSURE


def test_an_import_that_leads_nowhere_is_named(module: ModuleType, tree: Path) -> None:
    (tree / "src/pkg/base.py").write_text("from pkg.missing import anything\n")
    with pytest.raises(ModuleNotFoundError, match=r"base\.py: imports pkg\.missing"):
        digest_of(module, tree)


@pytest.mark.parametrize("call", ["importlib.import_module('pkg.late')", "__import__('pkg.late')"])
def test_dynamic_imports_are_refused(module: ModuleType, tree: Path, call: str) -> None:
    (tree / "src/pkg/base.py").write_text(f"import importlib\n{call}\n")
    with pytest.raises(ValueError, match=r"base\.py:2: .* cannot be followed"):
        digest_of(module, tree)


def test_modules_that_a_script_takes_by_name_count(module: ModuleType, tree: Path) -> None:
    script, package = tree / "workflow/scripts/job.py", tree / "src/pkg"
    (tree / "src/pkg/base.py").write_text("from pkgutil import resolve_name\nresolve_name('pkg.unrelated:x')\n")
    with pytest.raises(ValueError, match=r"base\.py:2: resolve_name\(\) cannot be followed"):
        module.import_closure(script, package)
    added = {"pkg/unrelated.py", "pkg/unrelated.js"}
    assert set(module.import_closure(script, package, ["pkg.unrelated"])) == CLOSURE | added
    with pytest.raises(ModuleNotFoundError, match=r"pkg\.absent"):
        module.import_closure(script, package, ["pkg.absent"])


def test_a_missing_script_is_named(module: ModuleType, tree: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"absent\.py"):
        module.import_closure(tree / "workflow/scripts/absent.py", tree / "src/pkg")


def test_installed_package_is_the_one_hashed(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every script of the workflow has a digest, and it is found from any working directory."""
    scripts = sorted(path.name for path in (SOURCE.parent / "scripts").glob("[a-z]*.py"))
    monkeypatch.chdir("/")
    digests = {module.code_digest(f"workflow/scripts/{name}", "nash_dqn.games.basket") for name in scripts}
    assert len(digests) == len(scripts) > 0


def test_each_file_is_parsed_once(module: ModuleType, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Snakemake asks for the digest of every rule at each start."""
    parsed: list[str] = []
    original = ast.parse

    def parse(content: bytes, filename: str) -> ast.Module:
        parsed.append(filename)
        return original(content, filename)

    with monkeypatch.context() as patch:
        patch.setattr(ast, "parse", parse)
        for script in ("job", "other", "job"):
            module.import_closure(tree / f"workflow/scripts/{script}.py", tree / "src/pkg")
    python = [name for name in CLOSURE if name.endswith(".py")]
    assert len(parsed) == len(set(parsed)) == len(python) + 2  # `other` and `unrelated`


def test_jobs_that_read_tables_alone_do_without_torch() -> None:
    """It takes longer to import than such a job takes to run."""
    modules = [f"plots.{path.stem}" for path in (SOURCE.parents[1] / "src/nash_dqn/plots").glob("[a-z]*.py")]
    modules = [name for name in modules if name not in ("plots.explorer", "plots.penalty_study")]
    names = [f"nash_dqn.{name}" for name in (*modules, "config", "deviations", "evaluation.claims", "table_page")]
    code = f"import {', '.join(names)}, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
