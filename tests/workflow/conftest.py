"""Copies of the repository, without results or after the toy run, which is made once for all of a machine's tests."""

from __future__ import annotations

import atexit
import fcntl
import functools
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from nash_dqn.settings.files import lay_over

REPOSITORY = Path(__file__).resolve().parents[2]
COPIED = ("workflow", "config", "src", ".test/config", "docs/results.md")
MADE = ("results", "figures", "logs", "benchmarks", ".snakemake")


@functools.cache
def snakemakes(**environment: str) -> subprocess.Popen[str]:
    """The process that starts Snakemake for the tests of this one, with these changes of the environment."""
    command = [sys.executable, str(Path(__file__).with_name("forked_snakemake.py"))]
    environment = {**os.environ, **environment}
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True)
    atexit.register(server.communicate)
    return server


class Checkout:
    """A copy of the repository that runs its own package at the sizes of the toy configuration."""

    repository, copied = REPOSITORY, COPIED

    def __init__(self, root: Path) -> None:
        self.root = root
        self.run_directory = root / ".test"

    @classmethod
    def copy_repository(cls, root: Path) -> Checkout:
        """A copy without any result."""
        for name in COPIED:
            source, target = REPOSITORY / name, root / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
            else:
                shutil.copy2(source, target)
        return cls(root)

    @classmethod
    def finish(cls, root: Path) -> Checkout:
        """A copy after the toy run: what the repository's own left is taken over where it is still right."""
        checkout = cls.copy_repository(root)
        for name in MADE:
            if (REPOSITORY / ".test" / name).is_dir():
                ignored = shutil.ignore_patterns("locks", "incomplete")
                shutil.copytree(REPOSITORY / ".test" / name, checkout.run_directory / name, ignore=ignored)
        there = checkout.results()
        wanted = checkout.snakemake("--summary").stdout if there else ""
        for name in there:  # what was made on request is not the toy run's
            if f"\n{name}\t" not in wanted:
                (checkout.run_directory / name).unlink()
        checkout.run()
        return checkout

    def copy(self, root: Path) -> Checkout:
        """A copy with all results, somewhere else."""
        return Checkout(Path(shutil.copytree(self.root, root, symlinks=True)))

    def snakemake(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """``--cores 2`` unless the arguments, of which the last one counts, name another number."""
        command = ["--directory", ".test", "--cores", "2", *arguments]
        own = {"PYTHONPATH": str(self.root / "src"), "XDG_CACHE_HOME": str(self.root / "cache")}
        # What Python reads as it starts is given to a process of its own.
        server = snakemakes(**{key: environment[key] for key in ("TZ", "PYTHONHASHSEED") if key in environment})
        assert server.stdin is not None and server.stdout is not None
        with tempfile.NamedTemporaryFile() as output:
            run = [str(self.root), command, {**own, **environment}, output.name]
            server.stdin.write(f"{json.dumps(run)}\n")
            server.stdin.flush()
            status = int(server.stdout.readline())
            return subprocess.CompletedProcess(command, status, output.read().decode())

    def planned(self, *arguments: str) -> dict[str, int]:
        """Jobs of a dry run, by rule."""
        return self.run("--dry-run", *arguments)

    def run(self, *arguments: str, **environment: str) -> dict[str, int]:
        """Jobs of a run that succeeds, by rule."""
        run = self.snakemake(*arguments, **environment)
        assert run.returncode == 0, run.stdout
        return self.announced(run)

    @staticmethod
    def announced(run: subprocess.CompletedProcess[str]) -> dict[str, int]:
        """Jobs by rule, as a run announces them; none where nothing is to be done."""
        if "Nothing to be done" in run.stdout:
            return {}
        table = re.search(r"^Job stats:\njob +count\n-+ +-+\n(.*?)^total +\d+$", run.stdout, re.M | re.S)
        assert table is not None, run.stdout
        return {rule: int(count) for rule, count in (line.split() for line in table[1].splitlines())}

    def edit(self, name: str, change: Callable[[str], str] = "{}\n# a comment\n".format) -> None:
        path = self.root / name
        before = path.read_text()
        after = change(before)
        assert after != before, f"the edit of {name} changes nothing"
        path.write_text(after)

    def configure(self, **changes: Any) -> None:
        """Lay changes over the small run's configuration."""
        path = self.run_directory / "config" / "config.yaml"
        config = lay_over(yaml.safe_load(path.read_text()), changes)
        path.write_text(yaml.safe_dump(config, sort_keys=False))

    def results(self) -> dict[str, tuple[str, int]]:
        """Digest and modification time of every result and figure."""
        files = [path for top in ("results", "figures") for path in (self.run_directory / top).rglob("*")]
        return {
            path.relative_to(self.run_directory).as_posix(): (
                hashlib.sha256(path.read_bytes()).hexdigest(),
                path.stat().st_mtime_ns,
            )
            for path in files
            if path.is_file() and not path.name.startswith(".")  # digests of tables
        }


@pytest.fixture(scope="session")
def smoke_run(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A copy after the toy run. The first process that asks makes it, for all: nobody may change it."""
    own = tmp_path_factory.getbasetemp()
    folder = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    with (folder / "smoke.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (folder / "smoke").exists():
            return Checkout(folder / "smoke")
        shutil.rmtree(folder / "smoke.part", ignore_errors=True)
        return Checkout(Checkout.finish(folder / "smoke.part").root.rename(folder / "smoke"))


@pytest.fixture
def finished(smoke_run: Checkout, tmp_path: Path) -> Checkout:
    """A copy of the finished toy run, in another place, to be edited."""
    return smoke_run.copy(tmp_path / "checkout")
