"""How every figure looks, and how it is written to disk.

Figures are plain :class:`matplotlib.figure.Figure` objects, not pyplot's, so nothing here needs a display.
Matplotlib's settings are process-wide all the same; :func:`style` therefore changes them only inside a ``with``
block, from the library's own defaults (a user's matplotlibrc has no say), and one thread at a time.
"""

from __future__ import annotations

import io
import string
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
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
from matplotlib.text import Text
from matplotlib.ticker import LogLocator, NullFormatter
from numpy.typing import ArrayLike
from pandas import DataFrame

from nash_dqn.artifacts import atomic_path

WIDTH_MM = 170.0
"""Width of a figure across two columns of a printed page."""

(BLUE, ORANGE, GREEN, VERMILION, PURPLE, BROWN, PINK, GREY, YELLOW, SKY) = seaborn.color_palette("colorblind").as_hex()
PALETTE = (BLUE, ORANGE, GREEN, PURPLE, BROWN, SKY, VERMILION, PINK)
"""Colours for series without a meaning of their own, such as seeds."""

ALGORITHM_NAMES = MappingProxyType(
    {"nash_dqn": "Nash-DQN", "fictitious_play": "FP", "self_play": "self-play", "least_squares": "least squares"}
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

Estimate = Callable[[np.ndarray], tuple[float, float, float]]
"""The middle of some numbers, and the ends of the interval about it."""


@contextmanager
def style() -> Iterator[None]:
    """Draw in the project's style inside the ``with`` block; matplotlib's settings are as before afterwards."""
    with _lock, matplotlib.style.context(["default", _RC]):
        yield


@contextmanager
def drawing(height_mm: float, title: str = "", ncols: int = 3) -> Iterator[Figure]:
    """Draw on an empty figure, in the project's style, inside the ``with`` block.

    At its end one legend of all labelled artists is put below the figure, each label once.

    Args:
        height_mm: height of the figure (millimetres).
        title: of the figure.
        ncols: columns of the legend.
    """
    with style():
        figure = Figure(figsize=(WIDTH_MM / 25.4, height_mm / 25.4), layout="constrained")
        FigureCanvasAgg(figure)
        if title:
            figure.suptitle(title)
        yield figure
        named: dict[str, Any] = {}
        for axes in figure.axes:
            for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
                named.setdefault(label, handle)
        figure.legend(list(named.values()), list(named), loc="outside lower center", ncols=ncols)


def title_panels(panels: Iterable[Axes], titles: Iterable[str]) -> None:
    """Title the panels ``(a) title``, ``(b) title`` and so on."""
    for letter, axes, title in zip(string.ascii_letters, panels, titles, strict=False):
        axes.set_title(f"({letter}) {title}", loc="left")


def log_scale(axis: XAxis | YAxis, *, around: ArrayLike = (), margin: float = 1.3, decades: int = 3) -> None:
    """Make the axis logarithmic, with plain numbers where these are short.

    An axis without anything positive on it stays as it is.

    Args:
        axis: of a panel on which all is drawn.
        around: numbers that the axis shows, with room by the factor ``margin`` on either side, whatever else is drawn:
            intervals of few seeds may be far wider. By default it reaches as far as it does.
        margin: a factor.
        decades: over more of them only powers of ten are labelled.
    """
    numbers = np.asarray(around, dtype=float)
    numbers = numbers[np.isfinite(numbers) & (numbers > 0)]
    if numbers.size:
        axis.axes.set(**{f"{axis.axis_name}lim": (numbers.min() / margin, numbers.max() * margin)})
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


def log_levels(axes: Axes, levels: Iterable[float]) -> None:
    """Make the x axis logarithmic, with ticks at these levels only."""
    ticks = sorted(set(levels))
    axes.set_xscale("log")
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xticks([], minor=True)


def lay_rows(axes: Axes, names: Sequence[str]) -> None:
    """Name the rows of a panel that stand at the heights 0, 1, ..., from its top to its foot."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)


def write_beside(axes: Axes, side: str, places: ArrayLike, texts: Sequence[str], colour: str = "k") -> list[Text]:
    """Write texts at the ``right`` or the ``top`` of a panel, and return them."""
    along = "y" if side == "right" else "x"
    outside = getattr(axes, f"secondary_{along}axis")(side)
    outside.set(**{f"{along}ticks": places, f"{along}ticklabels": texts})
    outside.minorticks_off()
    outside.tick_params(length=0, pad=1 if side == "top" else 3.5, labelcolor=colour)
    outside.spines[side].set_visible(False)
    return list(getattr(outside, f"get_{along}ticklabels")())


def draw_marks(axes: Axes, x: ArrayLike, y: ArrayLike, marker: str = "o", **look: Any) -> None:
    """Draw small hollow marks, such as those of single seeds, if there are any."""
    places = np.broadcast_arrays(x, y)
    if places[0].size:
        axes.plot(*places, **{"ls": "", "marker": marker, "ms": 2.7, "mfc": "none", "mew": 0.7, **look})


def mark_edge(axes: Axes, side: str, places: ArrayLike, label: str, **look: Any) -> None:
    """Draw crosses at these places on the ``top`` or the ``right`` of a panel, such as where trainings diverged."""
    look = {"color": DIVERGED, "ms": 4.5, "mew": 1.1, "clip_on": False, "zorder": 4, "label": label, **look}
    if side == "top":
        draw_marks(axes, places, 1, "x", transform=axes.get_xaxis_transform(), **look)
    else:
        draw_marks(axes, 0.98, places, "x", transform=axes.get_yaxis_transform(), **look)


def draw_intervals(axes: Axes, rows: DataFrame, column: str, **look: Any) -> None:
    """Draw the numbers of a column and their intervals, from ``low`` to ``high``, at the heights ``place``."""
    errors = [rows[column] - rows["low"], rows["high"] - rows[column]]
    axes.errorbar(rows[column], rows["place"], xerr=errors, **{"ls": "", **look})


def averaging(estimate: Estimate) -> dict[str, Any]:
    """How seaborn draws an estimate; on a logarithmic axis it would take it of the logarithms."""
    return {
        "estimator": lambda values: estimate(values.to_numpy())[0],
        "errorbar": lambda values: estimate(values.to_numpy())[1:],
    }


def draw_estimates(axes: Axes, rows: DataFrame, column: str, estimate: Estimate, **look: Any) -> None:
    """Draw the middle of a column, and the interval about it, at each value of the column ``place``.

    Seeds without a number do not count; above a place stands how many there are, if any: 1/4 is one of four.

    Args:
        axes: panel, whose y axis is not yet logarithmic.
        rows: table, a row for each seed.
        column: the numbers.
        estimate: of the numbers at a place.
        look: as for :func:`seaborn.pointplot`.
    """
    look |= averaging(estimate)
    seaborn.pointplot(rows, x="place", y=column, native_scale=True, legend=False, ax=axes, **look)
    lost = rows[column].isna().groupby(rows["place"]).agg(["sum", "size"]).query("sum > 0")
    write_beside(axes, "top", lost.index, [f"{row[0]}/{row[1]}" for row in lost.to_numpy()], DIVERGED)


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
        if target.suffix not in _METADATA:
            raise ValueError(f"{target}: a figure can be saved as {' or '.join(_METADATA)}, not '{target.suffix}'")
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
