"""Content hash of the code a rule runs: editing a module reruns the rules that use it, and only those.

Snakemake follows a rule's script but not the modules that script imports. Each rule therefore carries this
digest among its params: it changes with what runs of the script or of any module of ``nash_dqn`` that the
script imports, directly or not, and with nothing else (no docstrings, lines of comment, time stamps, absolute paths or
unrelated modules). Files that lie beside a module under its name, such as the markup of a page, are part of it.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

_PACKAGE = "nash_dqn"
_IMPORTING = ("import_module", "__import__", "resolve_name")
_DATA = (".html", ".js")
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
_REPOSITORY = Path(__file__).resolve().parents[1]


@cache
def code_digest(script: str, *modules: str) -> str:
    """Digest of ``script`` (path from the repository's root) and of everything it imports from ``nash_dqn``.

    The package is looked up the way the job will find it: it need not lie in this checkout. ``modules`` of the package
    are those that the script takes by a name in the configuration, which no import statement shows.

    Raises:
        ModuleNotFoundError: the package is not installed, or an import of one of its modules leads nowhere.
        ValueError: a module imports dynamically, which cannot be followed.
    """
    spec = find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"package {_PACKAGE} is not installed: pip install -e {_REPOSITORY}")
    return digest(import_closure(_REPOSITORY / script, Path(spec.origin).parent, modules))


def digest(files: dict[str, Path]) -> str:
    r"""Hash of names and contents, of Python's files as far as it runs; every line ending counts as ``\n``."""
    total = hashlib.sha256()
    for name, path in sorted(files.items()):
        content = _read(path)
        if path.suffix == ".py":
            content = _parsed(content, str(path)).runs
        total.update(f"{name} {len(content)}\n".encode())
        total.update(content)
    return total.hexdigest()


def import_closure(script: Path, package: Path, modules: Iterable[str] = ()) -> dict[str, Path]:
    """The script, ``modules``, and every file they import from ``package`` or the script's folder, directly or not.

    All import statements count, also those inside functions and under ``if TYPE_CHECKING``. Importing
    ``a.b.c`` runs ``a/__init__.py`` and ``a/b/__init__.py``, so these count too.

    Args:
        script: the file to start from.
        package: folder of the package, holding its ``__init__.py``.
        modules: dotted names of modules of the package to start from as well.

    Returns:
        Names that do not tell where the checkout lies (``nash_dqn/games/market.py``, ``scripts/claims.py``)
        to paths.

    Raises:
        ModuleNotFoundError: an import of the package leads to no file.
        ValueError: a file imports dynamically, which cannot be followed; by ``resolve_name`` it may, where ``modules``
            are given.
    """
    scripts = script.parent
    files = {f"{scripts.name}/{script.name}": script}
    todo = [(script, "")]

    def add(importer: Path, module: str, certain: bool) -> None:
        top = module.partition(".")[0]
        own = top == package.name
        if not own and not (scripts / f"{top}.py").is_file():
            return  # the standard library or an installed dependency
        root = package.parent if own else scripts
        path = _source(root, module)
        if path is None:
            if certain:
                raise ModuleNotFoundError(f"{importer}: imports {module}, which has no source file")
            return  # `from a import b` where b is no module but a name in a
        base = root if own else root.parent
        if path.relative_to(base).as_posix() not in files:
            files.update({part.relative_to(base).as_posix(): part for part in _with_data(path)})
            todo.append((path, module if path.name == "__init__.py" else module.rpartition(".")[0]))

    for named in modules:
        for module, certain in _with_parents(named):
            add(script, module, certain)
    while todo:
        importer, parent = todo.pop()
        for module, certain in _imports(importer, parent, dynamic=bool(modules)):
            add(importer, module, certain)
    return files


def _imports(path: Path, parent: str, dynamic: bool) -> Iterator[tuple[str, bool]]:
    """Dotted names a file imports, packages before their modules, and whether each is a module for certain.

    ``parent`` is the package that relative imports of this file start from; ``dynamic``, whether what it imports by a
    name that it is given (``resolve_name``) is known.
    """
    file = _parsed(_read(path), str(path))
    for called, line in file.calls:
        if called != "resolve_name" or not dynamic:
            raise ValueError(f"{path}:{line}: {called}() cannot be followed, use an import statement")
    for level, module, names in file.imports:
        base = module
        if level:
            steps = parent.split(".")
            package = ".".join(steps[: len(steps) - level + 1])
            base = f"{package}.{module}" if module else package
        yield from _with_parents(base)
        for name in names:
            yield f"{base}.{name}", False


class _Parsed(NamedTuple):
    """Import statements as (level, module, names from it), calls that import, each with its line, and what runs."""

    imports: list[tuple[int, str, tuple[str, ...]]]
    calls: list[tuple[str, int]]
    runs: bytes


def _read(path: Path) -> bytes:
    return path.read_bytes().replace(b"\r\n", b"\n")


@cache
def _parsed(content: bytes, filename: str) -> _Parsed:
    """Most of the rules' closures share most of their files: each content is parsed once."""
    imports: list[tuple[int, str, tuple[str, ...]]] = []
    calls = []
    literal: set[int] = set()  # lines of strings that go on over several, where nothing is a comment
    silent: set[int] = set()  # lines of docstrings
    lines = content.split(b"\n")
    for node in ast.walk(ast.parse(content, filename=filename)):
        if isinstance(node, ast.Import):
            imports += [(0, alias.name, ()) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            imports.append((node.level, node.module or "", tuple(alias.name for alias in node.names)))
        elif isinstance(node, ast.Call):
            called = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if called in _IMPORTING:
                calls.append((called, node.lineno))
        elif isinstance(node, ast.Constant | ast.JoinedStr):
            several = range(node.lineno, (node.end_lineno or 0) + 1)
            literal.update(several if len(several) > 1 else ())
        if isinstance(node, _DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            text = node.body[0]
            first, last = text.lineno, text.end_lineno or 0
            beside = lines[first - 1][: text.col_offset] + lines[last - 1][text.end_col_offset :]
            silent.update(range(first, last + 1) if not beside.strip() else ())
    if b"__doc__" in content:  # such a module's docstrings are among its data
        silent = set()
    kept = []
    for number, line in enumerate(lines, start=1):
        bare = line.strip()
        if number not in silent and (number in literal or (bare and not bare.startswith(b"#"))):
            kept.append(line)
    return _Parsed(imports, calls, b"\n".join(kept))


def _with_parents(module: str) -> Iterator[tuple[str, bool]]:
    steps = module.split(".")
    for length in range(1, len(steps) + 1):
        yield ".".join(steps[:length]), True


def _with_data(path: Path) -> list[Path]:
    """A module's file, and those beside it that have its name and hold text of a page."""
    return [path, *(data for suffix in _DATA if (data := path.with_suffix(suffix)).is_file())]


def _source(root: Path, module: str) -> Path | None:
    """File of a dotted module name below ``root``, or None."""
    path = root.joinpath(*module.split("."))
    for candidate in (path / "__init__.py", path.with_suffix(".py")):
        if candidate.is_file():
            return candidate
    return None
