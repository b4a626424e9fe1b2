"""Style that all figures share: colours, frames, axis labels and PNG bytes.

Matplotlib without pyplot: no window system and no global state is touched.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Tick
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from matplotlib.text import Text
from numpy.typing import NDArray

INK, MUTED, GRID, BLANK = "#1f2430", "#6b7280", "#e5e7eb", "#d5d9e0"
#: A palette for colour-blind readers (Okabe and Ito, 2008); the first colour is the model's.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
_MAP = "viridis"


def amplitude(values: NDArray[Any]) -> NDArray[np.float64]:
    return np.asarray(np.abs(values) if np.iscomplexobj(values) else values, dtype=np.float64)


def field(
    axes: Axes,
    values: NDArray[Any],
    scale: Normalize,
    time_s: NDArray[np.float64] | None,
    response: NDArray[np.float64] | None,
) -> Any:
    """A [T, R] field with time to the right and its response axis upward; what is NaN is grey."""
    x = np.arange(values.shape[0]) if time_s is None else time_s - time_s[0]
    y = np.arange(values.shape[1]) if response is None else response
    colours: Colormap = matplotlib.colormaps[_MAP].with_extremes(bad=BLANK)
    axes.set_facecolor(BLANK)
    image = axes.pcolormesh(x, y, values.T, norm=scale, cmap=colours, shading="nearest", rasterized=True)
    axes.tick_params(colors=MUTED, labelsize=8, length=2)
    axes.spines[:].set_visible(False)
    return image


def time_label(time_s: object) -> str:
    return "time, samples" if time_s is None else "time, s"


def response_axis(
    frequency_hz: NDArray[np.float64] | None,
    delay_s: NDArray[np.float64] | None = None,
    counted: str = "response, bins",
) -> tuple[NDArray[np.float64] | None, str]:
    """The response axis in the unit of its label; None where it is not known."""
    if frequency_hz is not None:
        return frequency_hz / 1e6, "frequency offset, MHz"
    return (None, counted) if delay_s is None else (delay_s * 1e9, "delay, ns")


def dress(axes: Axes, x: str, y: str) -> None:
    axes.set_xlabel(x, color=MUTED)
    axes.set_ylabel(y, color=MUTED)
    axes.tick_params(colors=MUTED, labelsize=9)
    quiet_frame(axes)


def quiet_frame(axes: Axes) -> None:
    """A light grid behind the data; axis lines on the left and below only."""
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(BLANK)


def plain(names: Iterable[str]) -> list[str]:
    """Names for tick labels: a dollar sign is one, and begins no formula, which may not be valid."""
    return [name.replace("$", r"\$") for name in names]


def to_png(figure: Figure) -> bytes:
    """The figure as a PNG file. No date and no version in it: equal figures give equal bytes.

    Titles, legends and labels hold names of users, in which a dollar sign begins no formula; numbers at ticks may.
    """
    ticks = {id(label) for tick in figure.findobj(Tick) for label in (tick.label1, tick.label2)}
    for text in figure.findobj(Text):
        if id(text) not in ticks:
            text.set_parse_math(False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130, facecolor="white", metadata={"Software": None})
    return buffer.getvalue()
