"""What tables call a training of Nash-DQN at some weight beta of the penalty (23)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["names_of"]


def names_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """Columns of a training's record: ``policy``; ``base``, the policy that it is but for its beta; and ``beta``."""
    policy: str = record["policy"]
    base, _, _ = policy.partition("+beta=")
    return {"policy": policy, "base": base, "beta": record["config"]["recipe"]["penalty"]["beta"]}
