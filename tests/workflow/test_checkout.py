"""A run stops at once where its jobs could not start, or would run the code of another checkout."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.common import ROOT, load

PYTHON = Path("/opt/python/bin/python3")


@pytest.fixture(scope="module")
def checkout() -> ModuleType:
    """``workflow/checkout.py``, which is no part of the package."""
    return load(ROOT / "workflow" / "checkout.py")


def test_a_checkout_may_lie_anywhere_without_braces(checkout: ModuleType) -> None:
    for name in ("a b", "it's", "größe"):
        checkout.check_paths(Path("/home") / name, PYTHON)
    for name in ("{x}", "a}"):
        with pytest.raises(ValueError, match="braces") as caught:
            checkout.check_paths(Path("/home") / name, PYTHON)
        assert str(caught.value).startswith(f"'/home/{name}': ") and "\n" not in str(caught.value)


def test_a_python_that_a_shell_cannot_start_is_refused(checkout: ModuleType) -> None:
    for name in ("a b", "it's", "a$b", "a;b", "(a)", "a\tb", "a*", "a\\b"):
        with pytest.raises(ValueError, match="cannot start jobs") as caught:
            checkout.check_paths(Path("/home/me"), Path(f"/opt/{name}/bin/python"))
        assert "\n" not in str(caught.value)
    python = "/opt/größe-3.11_a+b%a=b,b@c~:x/bin/python"  # which a shell can start
    checkout.check_paths(Path("/home/me"), Path(python))
    assert subprocess.run(["bash", "-c", f"echo {python}"], capture_output=True, text=True).stdout == f"{python}\n"


def test_a_user_without_a_name_is_told_what_to_set(checkout: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", {}.__getitem__)
    with pytest.raises(ValueError, match=rf"^the system has no name for user {os.getuid()}; to give one: export USER="):
        checkout.check_user()
    monkeypatch.setenv("USER", "me")
    checkout.check_user()


def test_whose_package_it_is(checkout: ModuleType, tmp_path: Path) -> None:
    """This checkout's, also through a link; installed for good, which the run's state says; another's; none."""
    own = tmp_path / "own" / "src" / "nash_dqn"
    own.mkdir(parents=True)
    assert checkout.check_package(tmp_path / "own", own) is None
    (tmp_path / "link").symlink_to(own.parent)
    assert checkout.check_package(tmp_path / "own", tmp_path / "link" / "nash_dqn") is None
    installed = tmp_path / "venv" / "lib" / "site-packages" / "nash_dqn"
    assert checkout.check_package(tmp_path / "own", installed) == str(installed)
    other = tmp_path / "other" / "src" / "nash_dqn"
    with pytest.raises(
        ValueError, match=re.escape(f"jobs would run {other}, not the code of this checkout, {tmp_path}")
    ):
        checkout.check_package(tmp_path / "own", other)
    with pytest.raises(ValueError, match="not installed for .*; to have this checkout's: pip install"):
        checkout.check_package(tmp_path / "own", None)


def test_another_checkout_s_code_is_refused_before_any_job(tmp_path: Path) -> None:
    """Though it is the only one that is installed, and this one's modules are broken."""
    for name in ("workflow", "config", "src"):
        shutil.copytree(ROOT / name, tmp_path / "b" / name, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "b/src/nash_dqn/config.py").write_text("broken(\n")
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    run = subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "1"],
        cwd=tmp_path / "b",
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert run.returncode == 1
    wrong = (
        f"Error: jobs would run {ROOT / 'src/nash_dqn'}, not the code of this checkout, {tmp_path / 'b'}; to have that:"
    )
    assert run.stdout.splitlines()[1:] == [f"{wrong} pip install --no-deps --editable '{tmp_path / 'b'}'"]
