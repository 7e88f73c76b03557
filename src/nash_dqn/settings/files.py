"""Files of settings: read strictly, laid over each other, and each entry's ``base`` filled in."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from nash_dqn.settings.fields import ConfigError, fail, one_line, show, suggestion

__all__ = ["BASED", "lay_over", "load_yaml", "with_bases"]

BASED = ("scenarios", "policies")
"""Sections whose entries may name another of the section as their ``base``."""

_NAMED = (
    *(*BASED, "lq.policies", "fictitious_play.policies", "games"),
    *("ablation.switches", "ablation.variants", "ablation.variants.*"),
)
"""Mappings from names, in which null takes an entry away."""


class _Loader(yaml.SafeLoader):
    """YAML's safe loader, but a repeated key is an error (YAML would silently keep the last one)."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[tuple[str, str]] = set()
        for key, _ in node.value:
            identity = (key.tag, key.value) if isinstance(key, yaml.ScalarNode) else None
            if identity in seen:
                message = f"duplicate key {show(key.value)}, expected each key once in a mapping"
                raise yaml.constructor.ConstructorError(problem=message, problem_mark=key.start_mark)
            if identity is not None:
                seen.add(identity)
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            made = super().construct_object(node, deep)
        except ValueError as error:  # e.g. a date with month 13: PyYAML lets Python's own error through
            message = f"cannot read {show(node.value)}"
            raise yaml.constructor.ConstructorError(problem=message, problem_mark=node.start_mark) from error
        number = isinstance(node, yaml.ScalarNode) and isinstance(made, int | float) and not isinstance(made, bool)
        if number and (":" in node.value or re.fullmatch(r"[-+]?0[0-9_]+", node.value)):
            base, plain = (60, "") if ":" in node.value else (8, f" or {node.value.lstrip('0')}")
            message = f"YAML reads {show(node.value)} as {made}, a number to base {base}: write {made}{plain}"
            raise yaml.constructor.ConstructorError(problem=message, problem_mark=node.start_mark)
        return made


for _kind in ("set", "omap", "pairs", "binary"):  # nothing that JSON does not know
    _Loader.add_constructor(f"tag:yaml.org,2002:{_kind}", yaml.SafeLoader.construct_undefined)


def load_yaml(*layers: str | Path | Mapping[str, Any]) -> dict[str, Any]:
    """Read YAML files whose top levels are mappings, lay each over the one before, and fill in bases.

    A layer that is a mapping is taken as it is.

    Raises:
        ConfigError: a file cannot be opened, is not UTF-8 or not YAML (with line and column), repeats a key within one
            mapping, or is no mapping; or as :func:`with_bases`.
    """
    config: dict[str, Any] = {}
    for layer in layers:
        config = lay_over(config, layer if isinstance(layer, Mapping) else _read(Path(layer)))
    return with_bases(config)


def _read(path: Path) -> dict[str, Any]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot read: {error.strerror}") from error
    try:
        content = yaml.load(data.decode("utf-8-sig"), Loader=_Loader)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        raise ConfigError(f"{path}: line {line}, column {column}: not UTF-8, expected UTF-8 text") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise ConfigError(one_line(f"{path}: {where}{error.problem or error.context}")) from error
    except yaml.YAMLError as error:  # a character that YAML does not allow
        raise ConfigError(one_line(f"{path}: not YAML: {error}")) from error
    except RecursionError as error:
        raise ConfigError(f"{path}: not readable: nested too deeply") from error
    if not isinstance(content, dict):
        what = f"got {show(content)} at the top level" if data.strip() else "the file is empty"
        raise ConfigError(f"{path}: {what}, expected a mapping")
    return content


def lay_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of the one with the values of the other: mappings merge by key, all else, null and lists too, replaces."""
    merged = dict(below)
    for key, value in above.items():
        nested = isinstance(merged.get(key), Mapping) and isinstance(value, Mapping)
        merged[key] = lay_over(merged[key], value) if nested else copy.deepcopy(value)
    return merged


def with_bases(config: Mapping[str, Any]) -> dict[str, Any]:
    """A copy in which entries have what their ``base`` has and they do not give, and entries of null are left out.

    Raises:
        ConfigError: a base is no entry of the section, or leads back to the entry.
    """
    complete = copy.deepcopy(dict(config))
    for path in _NAMED:
        for named in _mappings(complete, path):
            for name in [name for name, entry in named.items() if entry is None]:
                del named[name]
    for section in BASED:
        entries = complete.get(section)
        if isinstance(entries, dict):
            complete[section] = {name: _with_base(section, entries, name) for name in entries}
    return complete


def _mappings(config: object, path: str) -> list[dict[str, Any]]:
    """What stands at that dotted path, ``*`` for any name, where it is a mapping."""
    found = [config]
    for key in path.split("."):
        mappings = [node for node in found if isinstance(node, dict)]
        found = [value for node in mappings for name, value in node.items() if key in (name, "*")]
    return [node for node in found if isinstance(node, dict)]


def _with_base(section: str, entries: Mapping[str, Any], name: str, derived: tuple[str, ...] = ()) -> Any:
    entry = entries[name]
    if not isinstance(entry, Mapping) or entry.get("base") is None:
        return {key: value for key, value in entry.items() if key != "base"} if isinstance(entry, Mapping) else entry
    base, at = entry["base"], (section, name, "base")
    if not isinstance(base, str) or base not in entries:
        fail(at, base, f"a name from {section} ({', '.join(map(str, entries))})", suggestion(base, map(str, entries)))
    if base in (*derived, name):
        fail(at, base, f"one that does not lead back to it ({' -> '.join((*derived, name, base))})")
    below = _with_base(section, entries, base, (*derived, name))
    own = {key: value for key, value in entry.items() if key != "base"}
    return lay_over(below, own) if isinstance(below, Mapping) else own
