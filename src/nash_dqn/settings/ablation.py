"""Which trainings tell what each difference between two policies buys: the changes one at a time, in both directions.

A *switch* is a group of keys of a policy that belong together. Policy ``base`` with one switch added, which takes these
values from ``goal``, tells what it buys alone; ``goal`` with one removed, what it buys beside all others; they differ
where switches need each other. A *variant* is one of the two with values that neither has.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from nash_dqn.settings.files import lay_over

__all__ = ["NOT_SWITCHED", "Kind", "Setting", "settings"]

Kind = Literal["base", "added", "removed", "variant"]

NOT_SWITCHED = ("algorithm", "seeds")
"""Keys of a policy that say what is trained and who, not how."""


class Setting(NamedTuple):
    """A policy of an ablation; its name is ``base``, ``base+change`` or ``base-change``, fit for a folder.

    Attributes:
        base: the policy it starts from, with which it is compared.
        change: the switch or variant; None for the policy itself.
        kind: whether it is the policy itself, has a switch added or removed, or is a variant.
        recipe: how it is trained: all that ``policies`` has of one, with the seeds of ``base``.
    """

    base: str
    change: str | None
    kind: Kind
    recipe: dict[str, Any]


def settings(policies: Mapping[str, Mapping[str, Any]], section: Mapping[str, Any]) -> dict[str, Setting]:
    """Every policy of the ablation, by name: each end, then its switches, then its variants.

    Args:
        policies: keys and values by name.
        section: ``base`` and ``goal``, names of policies; ``switches``, lists of keys by name, of which one that
            changes nothing is left out; ``variants``, new values by key, by name of the policy and of the variant.
    """
    base, goal = (dict(policies[section[end]]) for end in ("base", "goal"))
    directions: tuple[tuple[str, str, Kind, dict[str, Any], dict[str, Any]], ...] = (
        (section["base"], "+", "added", base, goal),
        (section["goal"], "-", "removed", goal, base),
    )
    found: dict[str, Setting] = {}
    for name, sign, kind, here, there in directions:
        found[name] = Setting(name, None, "base", here)
        for switch, keys in section["switches"].items():
            taken = {key: there[key] for key in keys if there[key] != here[key]}
            if taken:
                found[f"{name}{sign}{switch}"] = Setting(name, switch, kind, {**here, **taken})
        for variant, values in section["variants"].get(name, {}).items():
            found[f"{name}+{variant}"] = Setting(name, variant, "variant", lay_over(here, values))
    return found
