"""How every figure looks, and how it is written to disk.

Figures are plain :class:`matplotlib.figure.Figure` objects, not pyplot's, so nothing here needs a display.
Matplotlib's settings are process-wide all the same; :func:`style` therefore changes them only inside a ``with``
block, from the library's own defaults (a user's matplotlibrc has no say), and one thread at a time.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import matplotlib.style
import seaborn
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from nash_dqn.artifacts import atomic_path
from nash_dqn.published import AUTHORS_POLICIES

MM = 1 / 25.4
"""One millimetre in inches."""

WIDTH_MM = 170.0
"""Width of a figure across two columns of a printed page."""

(BLUE, ORANGE, GREEN, VERMILION, PURPLE, BROWN, PINK, GREY, YELLOW, SKY) = seaborn.color_palette("colorblind").as_hex()
PALETTE = (BLUE, ORANGE, GREEN, PURPLE, BROWN, SKY, VERMILION, PINK)
"""Colours for series without a meaning of their own, such as seeds."""

ALGORITHM_COLOURS = MappingProxyType({"nash_dqn": BLUE, "fictitious_play": ORANGE})
ALGORITHM_NAMES = MappingProxyType({"nash_dqn": "Nash-DQN", "fictitious_play": "FP"})
REFERENCE = GREY
"""Colour of policies of self-play by gradients."""
DIVERGED = VERMILION
"""Colour of whatever marks a diverged training."""

SMALL = 6.5
"""Size of notes and of crowded tick labels (points)."""

FORMATS = (".pdf", ".png")
# No dates and no versions: the same table gives the same bytes.
_METADATA: dict[str, dict[str, Any]] = {
    ".pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    ".png": {"Software": None},
}

_RC: dict[str, Any] = {
    "font.family": "sans-serif",
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
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.minor.size": 1.5,
    "ytick.minor.size": 1.5,
    "lines.linewidth": 1.2,
    "lines.markersize": 4,
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


def new_figure(height_mm: float, *, width_mm: float = WIDTH_MM, layout: str | None = "constrained") -> Figure:
    """Return an empty figure of the given size (millimetres) with its own off-screen canvas."""
    figure = Figure(figsize=(width_mm * MM, height_mm * MM), layout=layout)  # type: ignore[arg-type]
    FigureCanvasAgg(figure)
    return figure


def letter(index: int) -> str:
    """Return the letter of panel ``index`` (0 is a) in parentheses.

    Raises:
        ValueError: if the index lies outside a to z.
    """
    if not 0 <= index < 26:
        raise ValueError(f"panel index {index}: panels are lettered a to z, so it must lie in 0..25")
    return f"({chr(ord('a') + index)})"


def policy_name(policy: str) -> str:
    """Return the short name of a policy ``algorithm/recipe``: Nash-DQN, FP, self-play with its recipe, or the authors'.

    Raises:
        ValueError: if the algorithm is none of these, or there is no recipe.
    """
    algorithm, _, recipe = policy.partition("/")
    if policy in AUTHORS_POLICIES:
        return AUTHORS_POLICIES[policy]
    names = {**ALGORITHM_NAMES, "self_play": f"self-play, {recipe}"}
    if algorithm not in names or not recipe:
        raise ValueError(f"policy '{policy}' must be {' or '.join(f'{known}/RECIPE' for known in names)}")
    return names[algorithm]


def title_panel(axes: Axes, index: int, title: str, *, pad: float | None = None, left: float = 0.0) -> None:
    """Title a panel ``(a) title``: ``pad`` points above it, from ``left`` (0 is its left end, in axes widths)."""
    axes.set_title(f"{letter(index)} {title}", loc="left", pad=pad, x=left)


def scale_log(axes: Axes, low: float, high: float) -> None:
    """Make the y axis logarithmic, for values from ``low`` to ``high``, with plain numbers where these are short."""
    axes.set_yscale("log")
    if 1e-3 <= low <= high < 1e5 and high < 1e3 * low:
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def number(value: float, decimals: int) -> str:
    """Return the value with so many decimals and a typographic minus sign, the way the axes print it."""
    return f"{value:.{decimals}f}".replace("-", "\N{MINUS SIGN}")


def compact(value: float, digits: int = 3) -> str:
    """Return the value to so many significant digits with a typographic minus sign; 1.2e+09 for what is too long."""
    text = f"{value:#.{digits}g}"
    return text.rstrip(".").replace("-", "\N{MINUS SIGN}")


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
