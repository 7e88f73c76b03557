"""What can be set, as a page; or what files of settings come to: ``python -m nash_dqn.settings [FILE ...]``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from nash_dqn.settings.fields import ConfigError, allowed, resolved, schema_of, show
from nash_dqn.settings.files import load_yaml
from nash_dqn.settings.study import ALGORITHMS, GAMES, Study, validate


def keys(schema: Mapping[str, Any], root: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Key (``*`` for any name), what is allowed, unit, default and meaning of each setting, sections included."""
    for key, inner in schema.get("properties", {}).items():
        found = resolved(inner, root)
        unit = found.pop("unit", "-")
        default = show(found["default"]) if "default" in found else "required"
        yield ".".join((*path, key)), _allowed(found, root), unit, default, found["description"]
        yield from keys(found, root, (*path, key))
    for named in schema.get("patternProperties", {}).values():
        found = resolved(named, root)
        if found.get("description"):  # of the class: what one of these is
            yield ".".join((*path, "*")), _allowed(found, root), "-", "-", found["description"]
        yield from keys(found, root, (*path, "*"))


def _allowed(schema: Mapping[str, Any], root: Mapping[str, Any]) -> str:
    nullable = " or null" if schema.get("nullable") else ""
    return f"a mapping{nullable}" if "properties" in schema else allowed(schema, root)


def page() -> str:
    """The reference of keys, in Markdown."""
    root = schema_of(Study)
    lines = [
        "# Settings",
        "",
        "Keys of config/config.yaml; `*` stands for a name. Unit `1` is dimensionless, `-` is no quantity. A scenario",
        "or a policy may also have a `base`, the name of another, from which it takes all that it does not give. What",
        "else it has depends on its `game` or `algorithm`, which stands in parentheses.",
        "",
        "| Key | Allowed | Unit | Default | Meaning |",
        "|---|---|---|---|---|",
    ]
    found = [(key, *cells) for key, *cells in keys(root, root)]
    for section, kinds in (("scenarios", GAMES), ("policies", ALGORITHMS)):
        for name, kind in kinds.items():
            of_kind = schema_of(kind)
            found += [(f"{key} ({name})", *cells) for key, *cells in keys(of_kind, of_kind, (section, "*"))]
    for key, *cells in found:
        shown = [cell.partition("\n\n")[0].replace("\n", " ").replace("|", "\\|") for cell in cells]
        lines.append(f"| `{key}` | {' | '.join(shown)} |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """Print the reference of keys; or check files, each laid over the one before, and print all that they come to."""
    parser = argparse.ArgumentParser(prog="python -m nash_dqn.settings", description=main.__doc__)
    parser.add_argument("files", nargs="*", metavar="FILE", help="such as config/config.yaml my.yaml")
    files = parser.parse_args(arguments).files
    try:
        print(yaml.safe_dump(validate(load_yaml(*files)), sort_keys=False, width=120) if files else page())
    except ConfigError as error:
        sys.exit(f"Error in the configuration: {error}")


if __name__ == "__main__":
    main()
