"""Whose code the jobs would run, and from where: looked at before anything of the package is imported."""

from __future__ import annotations

import getpass
import os
import re
import sys
from importlib.util import find_spec
from pathlib import Path

_CHECKOUT = Path(__file__).resolve().parents[1]
_INSTALLED = (
    "site-packages",
    "dist-packages",
)  # folders of packages that are there for good, not as links to a checkout


def check() -> str | None:
    """Stop with one line where jobs could not start, or would run another checkout's code.

    Returns:
        Where the package lies if it is installed for good, which is then what the jobs run; None if it is this
        checkout's.
    """
    try:
        check_user()
        check_paths(_CHECKOUT, Path(sys.executable))
        spec = find_spec("nash_dqn")
        return check_package(_CHECKOUT, None if spec is None or spec.origin is None else Path(spec.origin).parent)
    except ValueError as error:
        sys.exit(f"Error: {error}")


def check_user() -> None:
    """Refuse a user without a name, for which Snakemake asks before the first job.

    Raises:
        ValueError: one line.
    """
    try:
        getpass.getuser()
    except (KeyError, OSError):
        raise ValueError(f"the system has no name for user {os.getuid()}; to give one: export USER=me") from None


def check_paths(checkout: Path, python: Path) -> None:
    """Refuse what Snakemake cannot start a job from: it formats the paths of scripts as Python formats strings, and
    hands the path of Python to a shell as it is.

    Raises:
        ValueError: one line.
    """
    if "{" in str(checkout) or "}" in str(checkout):
        raise ValueError(
            f"{str(checkout)!r}: Snakemake cannot run scripts below a folder with braces in its name; move it"
        )
    strange = re.search(r"[^\w@%+=:,./~-]", str(python))
    if strange:
        allowed = "letters, digits and . _ - + , = @ % : ~"
        raise ValueError(
            f"{str(python)!r}: Snakemake cannot start jobs with a Python that has {strange[0]!r} in its path; make the "
            f"environment (for make: move the checkout) where paths have {allowed} only"
        )


def check_package(checkout: Path, package: Path | None) -> str | None:
    """Where the package lies if it is installed for good; None if it is the checkout's.

    Raises:
        ValueError: one line: there is none, or it is another checkout's.
    """
    install = f"pip install --no-deps --editable '{checkout}'"
    if package is None:
        raise ValueError(f"package nash_dqn is not installed for {sys.executable}; to have this checkout's: {install}")
    if package.resolve() == checkout / "src" / "nash_dqn":
        return None
    if package.parent.name in _INSTALLED:
        return str(package)
    raise ValueError(f"jobs would run {package}, not the code of this checkout, {checkout}; to have that: {install}")
