"""Figures of windows whose masked entries a model has imputed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from foundation.results.figure_style import (
    BLANK,
    COLOURS,
    INK,
    MUTED,
    amplitude,
    dress,
    field,
    response_axis,
    time_label,
    to_png,
)


@dataclass(frozen=True)
class Reconstruction:
    """One window with imputed entries, all arrays [T, R]; complex arrays are shown by their amplitude.

    Attributes:
        truth: NaN where nothing was measured.
        visible_mask: bool, True where the model saw what was measured.
        prediction: the imputed window; visible entries are the measured ones, noise included.
        nmse: linear, by name ("model", "linear interpolation", ...), over the masked entries.
        time_s, frequency_hz, delay_s: the axes [T] and [R] where they are known; otherwise indices are shown.
        places: name of the index along R where it has no axis.
        unit: of the values.
    """

    title: str
    truth: NDArray[Any]
    visible_mask: NDArray[np.bool_]
    prediction: NDArray[Any]
    nmse: Mapping[str, float]
    time_s: NDArray[np.float64] | None = None
    frequency_hz: NDArray[np.float64] | None = None
    delay_s: NDArray[np.float64] | None = None
    places: str = "response, bins"
    unit: str = "amplitude"


def reconstruction(shown: Reconstruction) -> bytes:
    """Three panels on one colour scale: truth, visible entries (masked ones blank), reconstruction.

    A window of one time or one response is drawn as lines.
    """
    figure = Figure(figsize=(10.6, 3.3), layout="constrained")
    _three_panels(figure, shown)
    return to_png(figure)


def reconstructions(shown: Sequence[Reconstruction], title: str) -> bytes:
    """`reconstruction` of several windows below each other, each with its title, errors and colour scale."""
    figure = Figure(figsize=(10.6, 0.5 + 3.2 * len(shown)), layout="constrained")
    figure.suptitle(title, x=0.01, ha="left", fontsize=13, fontweight="bold", color=INK)
    rows: Any = figure.subfigures(len(shown), 1, squeeze=False)[:, 0]
    for row, one in zip(rows, shown, strict=True):
        errors = [f"{name} {10 * np.log10(value):.1f} dB" for name, value in one.nmse.items() if value > 0]
        facts = [one.title, *([f"error (NMSE) in the hidden part: {', '.join(errors)}"] if errors else [])]
        row.suptitle("  ·  ".join(facts), x=0.01, ha="left", fontsize=10, color=MUTED)
        _three_panels(row, one)
    return to_png(figure)


def _three_panels(figure: Any, shown: Reconstruction) -> None:
    """Draw into a figure or a subfigure."""
    truth, prediction = amplitude(shown.truth), amplitude(shown.prediction)
    visible, measured = np.asarray(shown.visible_mask, bool), np.isfinite(truth)
    prediction = np.where(measured, prediction, np.nan)
    fields = truth, np.where(visible, prediction, np.nan), prediction
    panels = figure.subplots(1, 3, sharex=True, sharey=True)
    share = 100 * np.mean(visible[measured])
    for axes, title in zip(panels, ("truth", f"what the model saw ({share:.0f} %)", "reconstruction"), strict=True):
        axes.set_title(title, fontsize=11, color=INK)
    if 1 in truth.shape:
        _lines(panels, shown, fields)
        return
    scale = Normalize(*np.nanpercentile(truth, [0.5, 99.5]))
    y, label = response_axis(shown.frequency_hz, shown.delay_s, shown.places)
    for axes, values in zip(panels, fields, strict=True):
        image = field(axes, values, scale, shown.time_s, y)
        axes.set_xlabel(time_label(shown.time_s), color=MUTED)
    panels[0].set_ylabel(label, color=MUTED)
    bar = figure.colorbar(image, ax=panels, pad=0.01, aspect=28, extend="both")
    bar.set_label(shown.unit, color=MUTED)
    bar.outline.set_visible(False)


def _lines(panels: Sequence[Axes], shown: Reconstruction, fields: Sequence[NDArray[np.float64]]) -> None:
    """Over the response axis, or over time where there is one response; the reconstruction over the truth."""
    truth, seen, made = (values.ravel() for values in fields)
    if len(fields[0]) == 1:
        axis, label = response_axis(shown.frequency_hz, shown.delay_s, shown.places)
    else:
        axis, label = None if shown.time_s is None else shown.time_s - shown.time_s[0], time_label(shown.time_s)
    x = np.arange(truth.size) if axis is None else axis
    marker: dict[str, Any] = {"marker": "o", "markersize": 3} if truth.size < 40 else {}
    panels[2].plot(x, truth, color=MUTED, linewidth=1, label="truth")
    across = panels[1].get_xaxis_transform()
    panels[1].fill_between(x, 0, 1, where=np.isnan(seen), step="mid", color=BLANK, linewidth=0, transform=across)
    for axes, values, colour in zip(panels, (truth, seen, made), (INK, INK, COLOURS[0]), strict=True):
        axes.plot(x, values, color=colour, linewidth=1.3, label="model", **marker)
        dress(axes, label, "")
    panels[2].legend(frameon=False, fontsize=8)
    panels[0].set_ylabel(shown.unit, color=MUTED)
