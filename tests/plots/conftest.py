"""A table that two figures share."""

from __future__ import annotations

import pytest
from pandas import DataFrame


@pytest.fixture
def sweep() -> DataFrame:
    """Losses of what three seeds returned at four betas, on the scale of the paper's."""
    losses = {0.0: (84, 86, 88), 1.0: (79, 80, 84), 10.0: (58, 60, 65), 100.0: (52, 54, 53)}
    rows = [
        ("code", f"nash-unstopped+beta={beta:g}", "nash-unstopped", beta, seed, 5000 + seed, float(loss))
        for beta, of_seeds in losses.items()
        for seed, loss in enumerate(of_seeds, start=1)
    ]
    columns = ["scenario", "policy", "base", "beta", "seed", "iteration", "loss"]
    return DataFrame(rows, columns=columns).assign(measure="returned", resets=0, diverged=False)
