"""Ways to look into a drawn figure."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from nash_dqn.plots.style import style


def series(axes: Axes, label: str) -> list[np.ndarray]:
    """Points ``[n, 2]`` of each line, or line with error bars, of a panel with this label."""
    bars = [container[0] for container in axes.containers if container.get_label() == label]
    lines = [line for line in axes.lines if line.get_label() == label]
    return [np.asarray(line.get_xydata(), dtype=float) for line in (*lines, *bars)]


def intervals(axes: Axes) -> list[np.ndarray]:
    """Points ``[2, 2]`` of each vertical line between two points."""
    lines = [np.asarray(line.get_xydata(), dtype=float) for line in axes.lines]
    return [line for line in lines if len(line) == 2 and line[0, 0] == line[1, 0]]


def words(figure: Figure) -> str:
    """All text of a figure."""
    with style():
        figure.draw_without_rendering()  # tick labels exist from then on
    return "\n".join(artist.get_text() for artist in figure.findobj(Text) if artist.get_visible())


def fits(figure: Figure) -> bool:
    """Tell whether all that is drawn lies on the page."""
    with style():
        figure.draw_without_rendering()
        drawn = figure.get_tightbbox()
    width, height = figure.get_size_inches()
    return bool(min(drawn.x0, drawn.y0, width - drawn.x1, height - drawn.y1) >= 0)
