"""Ways to look into a drawn figure, and a table that two figures share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from pandas import DataFrame

from nash_dqn.plots.style import style

Series = Callable[[Axes, str], list[np.ndarray]]


@pytest.fixture(scope="session")
def series() -> Series:
    """Points ``[n, 2]`` of each line, or line with error bars, of a panel with this label."""

    def found(axes: Axes, label: str) -> list[np.ndarray]:
        bars = [container[0] for container in axes.containers if container.get_label() == label]
        lines = [line for line in axes.lines if line.get_label() == label]
        return [np.asarray(line.get_xydata(), dtype=float) for line in (*lines, *bars)]

    return found


@pytest.fixture(scope="session")
def words() -> Callable[[Figure], str]:
    """All text of a figure."""

    def all_text(figure: Figure) -> str:
        with style():
            figure.draw_without_rendering()  # tick labels exist from then on
        return "\n".join(artist.get_text() for artist in figure.findobj(Text) if artist.get_visible())

    return all_text


@pytest.fixture(scope="session")
def fits() -> Callable[[Figure], bool]:
    """Tell whether all that is drawn lies on the page."""

    def inside(figure: Figure) -> bool:
        with style():
            figure.draw_without_rendering()
            drawn = figure.get_tightbbox()
        width, height = figure.get_size_inches()
        return bool(min(drawn.x0, drawn.y0, width - drawn.x1, height - drawn.y1) >= 0)

    return inside


@pytest.fixture
def sweep() -> DataFrame:
    """Losses of what three seeds returned at four betas, on the scale of the paper's."""
    losses = {0.0: (84, 86, 88), 1.0: (79, 80, 84), 10.0: (58, 60, 65), 100.0: (52, 54, 53)}
    rows = [
        (
            "code",
            f"nash-unstopped+beta={beta:g}",
            "nash-unstopped",
            beta,
            seed,
            "returned",
            5000 + seed,
            float(loss),
            0,
            False,
        )
        for beta, of_seeds in losses.items()
        for seed, loss in enumerate(of_seeds, start=1)
    ]
    columns = ["scenario", "policy", "base", "beta", "seed", "measure", "iteration", "loss", "resets", "diverged"]
    return DataFrame(rows, columns=columns)
