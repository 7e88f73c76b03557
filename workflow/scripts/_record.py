"""What jobs read off a training's record."""

from __future__ import annotations

from nash_dqn.artifacts import read_json


def sound_members(path: str) -> list[bool]:
    """For each member, in the order of the weights, whether its training did not diverge."""
    return [not member["diverged"] for member in read_json(path)["members"]]
