"""Small tables like those under results/, and ways to look into a drawn figure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.text import Text
from pandas import DataFrame, concat

from nash_dqn.plots.style import style

Find = Callable[[Figure, str], list[Any]]


@pytest.fixture(scope="session")
def find() -> Find:
    """Every artist of a figure with the given gid, in drawing order."""

    def found(figure: Figure, gid: str) -> list[Artist]:
        return figure.findobj(lambda artist: artist.get_gid() == gid)

    return found


@pytest.fixture(scope="session")
def words() -> Callable[[Figure], str]:
    """All text of a figure."""

    def all_text(figure: Figure) -> str:
        texts = (artist.get_text() for artist in figure.findobj() if isinstance(artist, Text))
        return "\n".join(text for text in texts if text)

    return all_text


@pytest.fixture(scope="session")
def overhang() -> Callable[[Figure], float]:
    """How far what is drawn reaches over the edge of the page, in millimetres; negative if it does not."""

    def beyond(figure: Figure) -> float:
        with style():
            figure.draw_without_rendering()
            drawn = figure.get_tightbbox()
        width, height = figure.get_size_inches()
        return 25.4 * float(max(-drawn.x0, -drawn.y0, drawn.x1 - width, drawn.y1 - height))

    return beyond


@pytest.fixture
def sweep() -> DataFrame:
    """Losses of what three seeds returned at four betas, on the scale of the paper's."""
    losses = {0.0: (84, 86, 88), 1.0: (79, 80, 84), 10.0: (58, 60, 65), 100.0: (52, 54, 53)}
    return DataFrame(
        [
            {
                "scenario": "released",
                "recipe": "paper",
                "beta": beta,
                "seed": seed,
                "measure": "returned",
                "iteration": 5000 + seed,
                "loss": float(loss),
                "resets": 0,
                "diverged": False,
            }
            for beta, of_seeds in losses.items()
            for seed, loss in enumerate(of_seeds, start=1)
        ]
    )


@pytest.fixture(scope="session")
def policy_grid() -> DataFrame:
    """Rates -0.5 (q - q0) with q0 = 4 (10 - S) - 10 Y + shift by algorithm and seed: their zero line is q = q0."""
    shifts = {("nash_dqn", "paper"): (-1.0, 0.0, 1.0), ("fictitious_play", "last"): (0.0, 1.0, 2.0)}
    rows = [
        ("released", algorithm, recipe, seed, impact, price, time, inventory, -0.5 * (inventory - q0))
        for (algorithm, recipe), of_seeds in shifts.items()
        for seed, shift in enumerate(of_seeds, start=1)
        for impact in (-0.2, 0.0, 0.2)
        for price in (9.5, 9.75, 10.0, 10.25, 10.5)
        for q0 in (4 * (10 - price) - 10 * impact + shift,)
        for time in (0.0, 0.5, 1.0)
        for inventory in (-10.0, -5.0, 0.0, 5.0, 10.0)
    ]
    columns = ["scenario", "algorithm", "recipe", "seed", "impact", "price", "time", "inventory", "rate"]
    return DataFrame(rows, columns=columns)


@pytest.fixture(scope="session")
def policy_distance() -> DataFrame:
    rows = []
    for a, b, pairs in (
        ("nash_dqn/paper", "fictitious_play/last", ((1, 1), (2, 2), (3, 3))),
        ("nash_dqn/paper", "nash_dqn/paper", ((1, 2), (1, 3), (2, 3))),
        ("fictitious_play/last", "fictitious_play/last", ((1, 2), (1, 3), (2, 3))),
    ):
        for at, (first, second) in enumerate(pairs):
            for states, factor in (("grid", 1.0), ("visited_a", 2.0), ("visited_b", 3.0)):
                rms = factor * (0.1 + 0.1 * at)
                rows.append(("paper", a, b, first, second, states, rms, rms / 2))
    columns = ["comparison", "policy_a", "policy_b", "seed_a", "seed_b", "states", "rms", "relative"]
    return DataFrame(rows, columns=columns)


PROFILES = {"all_other": -1.35, "first_nash": -1.38, "first_other": -1.32, "all_nash": -1.34}


@pytest.fixture
def points() -> Callable[..., DataFrame]:
    """Cross-play of the named comparisons: 50 points a profile, seed pairs 0.01 apart, ``shift`` added to all."""

    def table(*comparisons: str, pairs: int = 3, shift: float = 0.0, other: str = "fictitious_play/last") -> DataFrame:
        noise = np.linspace(-0.2, 0.2, 50)
        parts = []
        for comparison in comparisons:
            for seed in range(1, pairs + 1):
                for profile, mean in PROFILES.items():
                    for design in ("independent", "common"):
                        part = DataFrame({"point": range(50), "reward": mean + shift + 0.01 * seed + noise})
                        parts.append(
                            part.assign(
                                comparison=comparison, seed_nash=seed, seed_other=seed, profile=profile, design=design
                            )
                        )
        return concat(parts, ignore_index=True).assign(scenario="released", other=other, reward_sd=2.7, paths=1000)

    return table


@pytest.fixture
def tests_table() -> Callable[..., DataFrame]:
    """Tests of the named comparisons, with differences that tell the rows apart."""

    def table(*comparisons: str, pairs: int = 3) -> DataFrame:
        scopes = [*(f"{seed}-{seed}" for seed in range(1, pairs + 1)), "pooled"]
        rows = []
        for comparison in comparisons:
            for pair, sign in (("first_nash-all_other", -1), ("first_other-all_nash", 1)):
                for at, scope in enumerate(scopes, start=1):
                    for test in ("welch", "paired"):
                        middle = sign * 0.01 * at
                        defined = scope != "pooled" or pairs > 1
                        half = 0.004 if defined else np.nan
                        p = 0.02 * at if defined else np.nan
                        rows.append(
                            (
                                comparison,
                                pair,
                                scope,
                                test,
                                middle,
                                middle - half,
                                middle + half,
                                p,
                                p < 0.05 if defined else None,
                            )
                        )
        columns = ["comparison", "pair", "scope", "test", "mean_difference", "low", "high", "p_value", "reject"]
        return DataFrame(rows, columns=columns)

    return table


@pytest.fixture
def histories() -> dict[str, DataFrame]:
    """Nash-DQN: seed 2 stops early, seed 3 diverges. Fictitious play: three iterations."""
    nash = []
    for seed, steps in ((1, 20), (2, 12), (3, 15)):
        loss = 50 + 100 / np.arange(1, steps + 1)
        if seed == 3:
            loss[-1] = 1e5
        nash.append(
            DataFrame(
                {
                    "seed": seed,
                    "iteration": range(1, steps + 1),
                    "transitions": 1000 * np.arange(1, steps + 1),
                    "loss": loss,
                }
            )
        )
    fp = []
    for seed in (1, 2, 3):
        epoch = np.arange(1, 31)
        reward = np.where(epoch < 4, -500.0, -1.35 + 0.01 * seed + 0.02 * (-1.0) ** epoch)
        fp.append(
            DataFrame(
                {
                    "seed": seed,
                    "iteration": (epoch - 1) // 10,
                    "epoch": epoch,
                    "transitions": 100 * epoch,
                    "critic_loss": 1.0 / epoch,
                    "reward": reward,
                }
            )
        )
    return {"nash_dqn/paper": concat(nash, ignore_index=True), "fictitious_play/last": concat(fp, ignore_index=True)}


@pytest.fixture
def self_play() -> DataFrame:
    """History of one training by self-play, of 20 rows."""
    done = np.arange(1, 21)
    return DataFrame({"seed": 1, "iteration": 5 * done, "transitions": 500 * done, "reward": -1.3 - 1 / done})


@pytest.fixture
def records() -> dict[str, Mapping[str, Any]]:
    def members(*entries: tuple[int, int, str]) -> dict[str, Any]:
        return {
            "members": [{"seed": seed, "transitions": played, "stopped": stopped} for seed, played, stopped in entries]
        }

    return {
        "nash_dqn/paper": members((1, 20000, "iterations"), (2, 12000, "early_stopping"), (3, 15000, "diverged")),
        "fictitious_play/last": members(*((seed, 3000, "iterations") for seed in (1, 2, 3))),
    }
