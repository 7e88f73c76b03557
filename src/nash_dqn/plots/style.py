"""How every figure looks, and how it is written to disk.

Figures are plain :class:`matplotlib.figure.Figure` objects, not pyplot's, so nothing here needs a display.
Matplotlib's settings are process-wide all the same; :func:`style` therefore changes them only inside a ``with``
block, from the library's own defaults (a user's matplotlibrc has no say), and one thread at a time.
"""

from __future__ import annotations

import io
import string
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import matplotlib.style
import numpy as np
import seaborn
from matplotlib.axes import Axes
from matplotlib.axis import XAxis, YAxis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter
from pandas import DataFrame, Series

from nash_dqn.artifacts import atomic_path

MM = 1 / 25.4
"""One millimetre in inches."""

WIDTH_MM = 170.0
"""Width of a figure across two columns of a printed page."""

(BLUE, ORANGE, GREEN, VERMILION, PURPLE, BROWN, PINK, GREY, YELLOW, SKY) = seaborn.color_palette("colorblind").as_hex()
PALETTE = (BLUE, ORANGE, GREEN, PURPLE, BROWN, SKY, VERMILION, PINK)
"""Colours for series without a meaning of their own, such as seeds."""

ALGORITHM_NAMES = MappingProxyType(
    {
        "nash_dqn": "Nash-DQN",
        "fictitious_play": "FP",
        "self_play": "self-play",
        "least_squares": "least squares",
    }
)
"""How an algorithm is shown; a policy is shown by its own name, in its algorithm's colour."""
ALGORITHM_COLOURS = MappingProxyType(
    {"nash_dqn": BLUE, "fictitious_play": ORANGE, "self_play": GREY, "least_squares": GREEN}
)
DIVERGED = VERMILION
"""Colour of whatever marks a diverged training."""


class Look(NamedTuple):
    """How a class of deviators is drawn, and what it sees."""

    colour: str
    marker: str
    label: str


DEVIATORS = MappingProxyType(
    {
        "same": Look(GREEN, "s", "same: sees what the policy sees"),
        "memory": Look(BLUE, "o", "memory: also its own past order flow"),
        "history": Look(ORANGE, "D", "history: also all it saw before"),
    }
)

FORMATS = (".pdf", ".png")
# No dates and no versions: the same table gives the same bytes.
_METADATA: dict[str, dict[str, Any]] = {
    ".pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    ".png": {"Software": None},
}

_RC: dict[str, Any] = {
    "font.sans-serif": ["DejaVu Sans"],
    "mathtext.fontset": "dejavusans",
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "figure.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.2,
    "lines.markersize": 4,
    **{f"{axis}tick.{kind}.width": 0.6 for axis in "xy" for kind in ("major", "minor")},
    **{f"{axis}tick.{kind}.size": size for axis in "xy" for kind, size in (("major", 2.5), ("minor", 1.5))},
    "legend.frameon": False,
    "figure.dpi": 300,  # also of the layout: sizes of letters depend a little on the resolution
    "savefig.dpi": "figure",
    "pdf.fonttype": 42,  # whole TrueType outlines, embedded; the default Type 3 is refused by some publishers
}

_lock = threading.RLock()


@contextmanager
def style() -> Iterator[None]:
    """Draw in the project's style inside the ``with`` block; matplotlib's settings are as before afterwards."""
    with _lock, matplotlib.style.context(["default", _RC]):
        yield


def new_figure(height_mm: float) -> Figure:
    """Return an empty figure of the given height (millimetres) with its own off-screen canvas."""
    figure = Figure(figsize=(WIDTH_MM * MM, height_mm * MM), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def title_panels(panels: Iterable[Axes], titles: Iterable[str]) -> None:
    """Title the panels ``(a) title``, ``(b) title`` and so on."""
    for letter, axes, title in zip(string.ascii_letters, panels, titles, strict=False):
        axes.set_title(f"({letter}) {title}", loc="left")


def legend(figure: Figure, ncols: int = 3) -> None:
    """Put one legend below the figure, of all labelled artists of its panels, each label once."""
    named: dict[str, Any] = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            named.setdefault(label, handle)
    figure.legend(list(named.values()), list(named), loc="outside lower center", ncols=ncols)


def log_scale(axis: XAxis | YAxis, decades: int = 3) -> None:
    """Make the axis logarithmic, as far as it reaches, with plain numbers where these are short.

    Over more ``decades`` only powers of ten are labelled. An axis without anything positive on it stays as it is.
    """
    if not np.isfinite(axis.get_minpos()):
        return  # nothing to draw on it
    axis.axes.set(**{f"{axis.axis_name}scale": "log"})
    axis.axes.autoscale_view()
    low, high = sorted(axis.get_view_interval())
    if high < 10**decades * low:
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    if low >= 1e-3 and high < 1e5:
        axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())


def draw_estimates(
    axes: Axes, rows: DataFrame, column: str, estimate: Callable[[np.ndarray], tuple[float, float, float]], **look: Any
) -> None:
    """Draw the middle of a column, and the interval about it, at each value of the column ``place``.

    Args:
        axes: panel, whose y axis is not yet logarithmic: seaborn would take the logarithms into the estimate.
        rows: table, a row for each seed; those without a number do not count.
        column: the numbers.
        estimate: gives the middle and the ends of the interval.
        look: as for :func:`seaborn.pointplot`.
    """
    seaborn.pointplot(
        rows,
        x="place",
        y=column,
        estimator=lambda values: estimate(values.to_numpy())[0],
        errorbar=lambda values: estimate(values.to_numpy())[1:],
        native_scale=True,
        legend=False,
        ax=axes,
        **look,
    )


def count_lost(axes: Axes, lost: Series, places: Series) -> None:
    """Write above each place on the x axis how many of its seeds diverged, if any: 1/4 is one of four."""
    counts = lost.groupby(places).agg(["sum", "size"]).query("sum > 0")
    above = axes.secondary_xaxis("top")
    above.set_xticks(counts.index, [f"{row[0]}/{row[1]}" for row in counts.to_numpy()], color=DIVERGED)
    above.tick_params(length=0, pad=1)
    above.spines["top"].set_visible(False)


def save(figure: Figure, paths: Iterable[Path | str]) -> None:
    """Write the figure to each path, in the format its suffix names, and close it.

    All files are written in full before the first takes its name, so that a failed run leaves none of them. The same
    figure always gives the same bytes (with one version of matplotlib).

    Raises:
        ValueError: if there is no path, or one whose suffix is neither .pdf nor .png.
        ArtifactError: if a file cannot be written.
    """
    targets = [Path(path) for path in paths]
    if not targets:
        raise ValueError("no path to save the figure to")
    for target in targets:
        if target.suffix not in FORMATS:
            raise ValueError(f"{target}: a figure can be saved as {' or '.join(FORMATS)}, not '{target.suffix}'")
    try:
        with style(), ExitStack() as files:
            # Lay out once: otherwise each file's layout would start from where the file before it left off.
            figure.draw_without_rendering()
            figure.set_layout_engine("none")
            for target in targets:
                drawn = io.BytesIO()  # on a full disk matplotlib's PDF writer ends with an error of zlib's
                figure.savefig(drawn, format=target.suffix[1:], metadata=_METADATA[target.suffix])
                files.enter_context(atomic_path(target)).write_bytes(drawn.getvalue())
    finally:
        figure.clear()
