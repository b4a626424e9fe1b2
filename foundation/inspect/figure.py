"""Overview figure of a signal: frame intervals, amplitude, phase and Doppler of its first link on physical axes."""

from __future__ import annotations

from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.ticker import NullLocator
from numpy.typing import NDArray

from foundation.inspect.panels import (
    COLUMNS,
    LINES,
    Panel,
    amplitude_panel,
    doppler_panel,
    level_of,
    level_unit,
    name_of,
    phase_panel,
    response_axis,
    sanitized,
)
from foundation.inspect.raster import longest_step, raster
from foundation.inspect.units import in_words, scaled_unit
from foundation.results.figure_style import BLANK, COLOURS, INK, MUTED, quiet_frame, to_png
from foundation.signal import Signal


def picture(signal: Signal, title: str, facts: str) -> bytes:
    """PNG of frame intervals, amplitude, phase and Doppler over time; panels that do not apply are omitted.

    Phases are sanitised (`foundation.transforms.phase`) per link, because receive chains may change their phase by
    half a turn between packets. For radar the amplitude is summed over the links of the first transmitter (or
    projection). A single frame is drawn as lines over the response axis.

    Args:
        title, facts: heading and subheading.
    """
    if len(signal.time_s) == 1:
        return _png(_single_frame(signal), title, facts)
    panels = [amplitude_panel(signal), phase_panel(signal)] if len(signal.response) > 1 else []
    spectrum = doppler_panel(signal)
    if spectrum is None and signal.kind in ("csi", "csi-amplitude"):
        facts += "  ·  no Doppler: too few consecutive frames"
    shown = [panel for panel in [*panels, spectrum] if panel is not None]
    strips = [_arrivals] * (signal.kind != "iq") + [_envelope] * (len(signal.response) == 1)
    heights = [0.5 if strip is _arrivals else 1.6 for strip in strips] + [2.0] * len(shown)
    figure = Figure(figsize=(11.5, 1.2 + 1.05 * sum(heights)), layout="constrained")
    grid = GridSpec(len(heights), 3, figure, width_ratios=(1, 0.014, 0.22), height_ratios=heights)
    span = signal.time_s[-1] - signal.time_s[0]
    factor, unit = scaled_unit(float(span), "s")
    column: list[Axes] = []
    for row in range(len(heights)):
        axes = figure.add_subplot(grid[row, 0], sharex=column[0] if column else None)
        column.append(axes)
        if row < len(strips):
            strips[row](axes, signal, factor)
            continue
        panel = shown[row - len(strips)]
        bar = figure.colorbar(_heat(axes, panel, factor), cax=figure.add_subplot(grid[row, 1]))
        bar.set_label(panel.unit, color=MUTED, fontsize=9)
        bar.ax.tick_params(colors=MUTED, labelsize=8, length=2)
        bar.outline.set_visible(False)
        _profile(figure.add_subplot(grid[row, 2], sharey=axes), panel)
    for axes in column[:-1]:
        axes.tick_params(labelbottom=False)
    column[-1].set_xlabel(f"time, {unit}", color=MUTED)
    margin = 0.004 * span
    column[0].set_xlim((signal.time_s[0] - margin) * factor, (signal.time_s[-1] + margin) * factor)
    return _png(figure, title, facts)


def _arrivals(axes: Axes, signal: Signal, factor: float) -> None:
    """Strip of the interval before each frame; lost frames stand out as longer intervals."""
    steps = np.asarray(np.diff(signal.time_s))
    median = float(np.median(steps))
    late = (steps > longest_step(steps)) | ~np.asarray(signal.mask.any(axis=(1, 2)))[1:]
    scale = scaled_unit(median, "s")[0]
    for which, colour, size in ((~late, INK, 2), (late, COLOURS[1], 9)):
        axes.scatter(
            signal.time_s[1:][which] * factor, steps[which] * scale, s=size, color=colour, linewidths=0, rasterized=True
        )
    axes.set_yscale("log")
    axes.set_ylim(0.5 * min(steps.min(), 0.5 * median) * scale, 2 * max(steps.max(), 2 * median) * scale)
    _dress(axes, "")
    ticks = [median] + [float(steps.max())] * bool(steps.max() > 4 * median)
    axes.set_yticks([tick * scale for tick in ticks], [in_words(tick, "s") for tick in ticks])
    axes.yaxis.set_minor_locator(NullLocator())
    _title(axes, f"interval between frames: median {in_words(median, 's')}, {int(late.sum())} gaps")


def _envelope(axes: Axes, signal: Signal, factor: float) -> None:
    """Level over time, for signals with a single entry on the response axis."""
    level = level_of(signal)[:, :, 0]
    for i in range(min(LINES, len(signal.links))):
        seen = signal.mask[:, i, 0]
        image, (left, right) = raster(signal.time_s, level[:, i], seen, COLUMNS)
        edges = np.linspace(left, right, len(image) + 1)
        axes.plot((edges[1:] + edges[:-1]) / 2 * factor, image, color=COLOURS[i % len(COLOURS)], linewidth=1)
    _dress(axes, level_unit(signal))
    middle = sum(axes.get_ylim()) / 2
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, middle - 0.5), max(high, middle + 0.5))  # show at least 1 dB: smaller changes are noise
    _title(axes, "amplitude")


def _heat(axes: Axes, panel: Panel, factor: float) -> Any:
    rows, extent = _even_rows(panel.axis)
    field = np.where(rows >= 0, panel.image[:, rows], np.nan).T
    image = axes.imshow(
        field,
        extent=(panel.edges[0] * factor, panel.edges[1] * factor, *extent),
        origin="lower",
        aspect="auto",
        interpolation="nearest",
        cmap=matplotlib.colormaps[panel.colours].with_extremes(bad=BLANK),
        vmin=panel.limits[0],
        vmax=panel.limits[1],
    )
    _title(axes, panel.title)
    axes.set_ylabel(panel.label, color=MUTED)
    axes.tick_params(colors=MUTED, labelsize=8, length=2)
    axes.spines[:].set_visible(False)
    return image


def _profile(axes: Axes, panel: Panel) -> None:
    for (name, profile), colour in reversed(list(zip(panel.profiles.items(), COLOURS + COLOURS, strict=False))):
        first = colour == COLOURS[0]
        axes.plot(profile, panel.axis, color=colour, linewidth=1.6 if first else 0.9, label=name)
    _dress(axes, "")
    _title(axes, f"mean, {panel.unit}")
    axes.tick_params(labelleft=False, labelsize=8)
    if len(panel.profiles) > 1 and panel.title == "amplitude":
        axes.legend(frameon=False, fontsize=7, loc="best", reverse=True)
    if panel.speed:
        speed = panel.speed
        beside = axes.secondary_yaxis(
            "right", functions=(lambda y: np.multiply(y, speed), lambda v: np.divide(v, speed))
        )
        sign = " (+: shorter)" if panel.axis[0] < 0 else ""
        beside.set_ylabel(f"path speed, m/s{sign}", color=MUTED, fontsize=8)
        beside.tick_params(colors=MUTED, labelsize=8, length=2)
        beside.spines[:].set_visible(False)


def _single_frame(signal: Signal) -> Figure:
    complex_ = not signal.is_real
    figure = Figure(figsize=(11.5, 5.6 if complex_ else 3.6), layout="constrained")
    grid = figure.subplots(1 + complex_, 1, sharex=True, squeeze=False)[:, 0]
    axis, label = response_axis(signal)
    marker = {"marker": "o", "markersize": 3} if len(axis) < 40 else {}
    level = np.where(signal.mask, level_of(signal), np.nan)[0]
    has_line = complex_ and signal.domain == "frequency" and len(axis) > 1
    turned = sanitized(signal) if has_line else signal.values[:, :LINES]
    angle = np.where(signal.mask[:, :LINES], np.angle(turned), np.nan)[0]
    units = (level_unit(signal), f"phase{', sanitised' * has_line}, rad")
    for axes, lines, unit in zip(grid, (level, angle), units, strict=False):
        if len(axis) == 1:
            axes.bar(range(len(lines)), lines[:, 0], color=COLOURS[0])
        else:
            for i in range(min(LINES, len(lines))):
                axes.plot(
                    axis, lines[i], color=COLOURS[i % len(COLOURS)], linewidth=1.2, label=name_of(signal, i), **marker
                )
        _dress(axes, unit)
    grid[-1].set_xlabel(label if len(axis) > 1 else "link", color=MUTED)
    if len(signal.links) > 1 and len(axis) > 1:
        grid[0].legend(frameon=False, fontsize=8, ncols=4)
    return figure


def _even_rows(axis: NDArray[np.float64]) -> tuple[NDArray[np.int64], tuple[float, float]]:
    """Index of the axis entry shown in each row of a uniform grid (-1: none), and the edges of the grid."""
    spacing = np.diff(axis)
    step, tolerance = float(spacing.min()), 0.51 * float(np.median(spacing))
    grid = axis[0] + step * np.arange(int(np.rint((axis[-1] - axis[0]) / step)) + 1)
    after = np.clip(np.searchsorted(axis, grid), 1, len(axis) - 1)
    nearest = np.where(grid - axis[after - 1] <= axis[after] - grid, after - 1, after)
    shown = np.where(np.abs(axis[nearest] - grid) <= max(tolerance, 0.51 * step), nearest, -1)
    return shown, (float(grid[0] - step / 2), float(grid[-1] + step / 2))


def _title(axes: Axes, text: str) -> None:
    axes.set_title(text, loc="left", fontsize=9, color=INK)


def _dress(axes: Axes, y: str) -> None:
    axes.set_ylabel(y, color=MUTED, fontsize=9)
    axes.tick_params(colors=MUTED, labelsize=8, length=2)
    quiet_frame(axes)


def _png(figure: Figure, title: str, facts: str) -> bytes:
    figure.suptitle(f"{title}\n", fontsize=13, color=INK, x=0.01, ha="left", fontweight="bold")
    figure.text(0.01, 1 - 0.42 / figure.get_figheight(), facts, fontsize=9, color=MUTED, va="center")
    return to_png(figure)
