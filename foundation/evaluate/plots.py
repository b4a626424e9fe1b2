"""Figures of a report as PNG bytes. Matplotlib without pyplot: no window system and no global state is touched."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator
from numpy.typing import NDArray

from foundation.evaluate.metrics import power_profile_db, sample_distances, temporal_autocorrelation
from foundation.results.rows import Row
from foundation.results.tables import metric_of

INK, MUTED, GRID, BLANK = "#1f2430", "#6b7280", "#e5e7eb", "#d5d9e0"
#: Told apart by the colour-blind too (Okabe and Ito, 2008); the first is the model's wherever there is one.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
_MAP = "viridis"


@dataclass(frozen=True)
class Reconstruction:
    """One window whose masked entries the model filled in, all [T, R]; complex arrays are shown by their amplitude.

    Attributes:
        visible_mask: bool, True where the model saw what was measured.
        prediction: what the model made of it; where it saw, what it saw: with the noise that the truth does not have.
        nmse: linear, by name ("model", "linear interpolation", ...), over the masked entries.
        time_s, frequency_hz: the axes [T] and [R] where they are known; samples and bins are counted otherwise.
    """

    title: str
    truth: NDArray[Any]
    visible_mask: NDArray[np.bool_]
    prediction: NDArray[Any]
    nmse: Mapping[str, float]
    time_s: NDArray[np.float64] | None = None
    frequency_hz: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class SampleComparison:
    """Generated windows beside real ones that no training saw, and beside Gaussian noise of matched mean and variance.

    All [N, T, R] of the same T and R; complex arrays are shown by their amplitude.
    """

    name: str
    held_out: NDArray[Any]
    generated: NDArray[Any]
    gaussian: NDArray[Any]
    time_s: NDArray[np.float64] | None = None
    frequency_hz: NDArray[np.float64] | None = None


def loss_curve(history: Sequence[Mapping[str, float]]) -> bytes:
    """Every column with "loss" in its name over `step`; a long one is drawn thin, with its running median on top.

    Raises:
        ValueError: no row has a step and a finite loss.
    """
    names = list(dict.fromkeys(name for row in history for name in row if "loss" in name))
    curves = {}
    for name in names:
        points = np.array([(r["step"], r[name]) for r in history if "step" in r and np.isfinite(r.get(name, np.nan))])
        if len(points):
            curves[name] = points
    if not curves:
        raise ValueError("loss_curve: no row of the history has 'step' and a finite loss")
    figure = Figure(figsize=(8.4, 3.2), layout="constrained")
    axes = figure.subplots()
    for (name, points), colour in zip(curves.items(), COLOURS * len(curves), strict=False):
        step, loss = points.T
        if len(points) > 60:
            width = max(5, len(points) // 40)
            axes.plot(step, loss, color=colour, alpha=0.25, linewidth=0.8)
            smooth = [np.median(loss[max(0, i - width) : i + width + 1]) for i in range(len(loss))]
            axes.plot(step, smooth, color=colour, linewidth=2, label=name)
        else:
            axes.plot(step, loss, color=colour, linewidth=2, marker="o", markersize=3, label=name)
    losses = np.concatenate([points[:, 1] for points in curves.values()])
    if losses.min() > 0 and losses.max() > 20 * losses.min():
        axes.set_yscale("log")
    _dress(axes, "optimiser step", "loss")
    axes.legend(frameon=False)
    return to_png(figure)


def reconstruction(shown: Reconstruction) -> bytes:
    """Three panels on one colour scale: the truth, what the model saw (masked entries blank), what it made of it."""
    truth, prediction = _amplitude(shown.truth), _amplitude(shown.prediction)
    seen = np.ma.masked_where(~np.asarray(shown.visible_mask, bool), prediction)
    scale = Normalize(*np.percentile(truth, [0.5, 99.5]))
    figure = Figure(figsize=(10.6, 3.3), layout="constrained")
    panels = figure.subplots(1, 3, sharex=True, sharey=True)
    share = 100 * np.mean(np.asarray(shown.visible_mask, bool))
    titles = ("truth", f"what the model saw ({share:.0f} %)", "reconstruction")
    for axes, field, title in zip(panels, (truth, seen, prediction), titles, strict=True):
        image = _field(axes, field, scale, shown.time_s, shown.frequency_hz)
        axes.set_title(title, fontsize=11, color=INK)
        axes.set_xlabel(_time_label(shown.time_s), color=MUTED)
    panels[0].set_ylabel(_frequency_label(shown.frequency_hz), color=MUTED)
    bar = figure.colorbar(image, ax=panels, pad=0.01, aspect=28, extend="both")
    bar.set_label("amplitude", color=MUTED)
    bar.outline.set_visible(False)
    return to_png(figure)


def samples(shown: SampleComparison, examples: int = 4) -> bytes:
    """Example windows of the three kinds over each other, and beside them the two statistics that tell them apart."""
    kinds = {"held out": shown.held_out, "model": shown.generated, "Gaussian": shown.gaussian}
    colours = {"held out": INK, "model": COLOURS[0], "Gaussian": COLOURS[1]}
    scale = Normalize(*np.percentile(_amplitude(shown.held_out), [0.5, 99.5]))
    figure = Figure(figsize=(11.6, 5.4), layout="constrained")
    halves: Any = figure.subfigures(1, 2, width_ratios=(1.35, 1))
    left, right = halves
    count = min(examples, *(len(windows) for windows in kinds.values()))
    grid = left.subplots(3, count, squeeze=False, sharex=True, sharey=True)
    for row, (name, windows) in zip(grid, kinds.items(), strict=True):
        for axes, window in zip(row, windows, strict=False):
            image = _field(axes, _amplitude(window), scale, shown.time_s, shown.frequency_hz)
        row[0].set_ylabel(name, color=colours[name], fontsize=11, fontweight="bold")
    left.supxlabel(_time_label(shown.time_s), color=MUTED, fontsize=10)
    left.supylabel(_frequency_label(shown.frequency_hz), color=MUTED, fontsize=10)
    bar = left.colorbar(image, ax=grid, pad=0.01, aspect=40, extend="both")
    bar.set_label("amplitude", color=MUTED)
    bar.outline.set_visible(False)
    profile, memory = right.subplots(2, 1)
    for name, windows in kinds.items():
        style: dict[str, Any] = {
            "color": colours[name],
            "linewidth": 2,
            "linestyle": "--" if name == "Gaussian" else "-",
        }
        far = None if name == "held out" else sample_distances(shown.held_out, windows)
        frequency = np.arange(np.shape(windows)[2]) if shown.frequency_hz is None else shown.frequency_hz / 1e6
        level = power_profile_db(windows)
        profile.plot(
            frequency, level, **style, label=name if far is None else f"{name}, {far['power_profile_db']:.1f} dB off"
        )
        correlation = temporal_autocorrelation(windows)
        lag = (
            np.arange(len(correlation)) if shown.time_s is None else shown.time_s[: len(correlation)] - shown.time_s[0]
        )
        memory.plot(
            lag, correlation, **style, label=name if far is None else f"{name}, {far['autocorrelation']:.2f} off"
        )
    _dress(profile, _frequency_label(shown.frequency_hz), "power over its mean, dB")
    _dress(memory, "lag, samples" if shown.time_s is None else "lag, s", "autocorrelation")
    for axes in (profile, memory):
        axes.legend(frameon=False, fontsize=9)
    return to_png(figure)


def fractions(rows: Sequence[Row]) -> bytes:
    """A metric over the share of training labels, one panel per data set and test part, one line per method and mode.

    Bars are the 95 % intervals over seeds. A panel with one fraction is drawn as a list of points instead.

    Args:
        rows: of one metric.
    """
    panels = list(dict.fromkeys((row.set, row.split) for row in rows))
    lines = list(dict.fromkeys((row.method, row.mode) for row in rows))
    colours = dict(zip(lines, COLOURS * len(lines), strict=False))
    columns = min(2, len(panels))
    height = -(-len(panels) // columns)
    listed = len({row.fraction for row in rows}) == 1
    tall = 0.9 + 0.3 * len(lines) if listed else 3.0
    figure = Figure(figsize=(5.4 * columns, tall * height + 0.25 * len(lines) * (not listed)), layout="constrained")
    grid = figure.subplots(height, columns, squeeze=False, sharex=True, sharey=True).ravel()
    for axes, panel in zip(grid, panels, strict=False):
        part = [row for row in rows if (row.set, row.split) == panel]
        (_listed if listed else _by_fraction)(axes, part, lines, colours)
        axes.set_title(", ".join(name for name in panel if name), fontsize=11, color=INK)
        axes.tick_params(labelbottom=True)  # shared axes hide them on all but the last row
    for axes in grid[len(panels) :]:
        axes.set_visible(False)
    if not listed:
        handles, labels = _legend(list(grid[: len(panels)]))
        figure.legend(handles, labels, loc="outside lower left", frameon=False, ncols=2)
    return to_png(figure)


def _by_fraction(axes: Axes, rows: Sequence[Row], lines: Sequence[tuple[str, str]], colours: Mapping[Any, str]) -> None:
    metric = metric_of(rows[0].metric)
    for place, line in enumerate(lines):
        points = sorted((row for row in rows if (row.method, row.mode) == line), key=lambda row: row.fraction)
        if not points:
            continue
        # Lines are set apart by 2 % of their fraction, so that intervals do not hide one another.
        x = np.array([100 * row.fraction for row in points]) * 1.02 ** (place - len(lines) / 2)
        mean, down, up = _bars(points, metric.scale)
        axes.errorbar(
            x, mean, yerr=(down, up), color=colours[line], label=_name(line), marker="o", markersize=4, capsize=3
        )
    axes.set_xscale("log")
    axes.set_xticks(sorted({100 * row.fraction for row in rows}))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    _dress(axes, "share of the training labels, %", metric.label)


def _listed(axes: Axes, rows: Sequence[Row], lines: Sequence[tuple[str, str]], colours: Mapping[Any, str]) -> None:
    metric = metric_of(rows[0].metric)
    for place, line in enumerate(lines):
        points = [row for row in rows if (row.method, row.mode) == line]
        if points:
            mean, down, up = _bars(points, metric.scale)
            axes.errorbar(mean, [place] * len(points), xerr=(down, up), color=colours[line], fmt="o", capsize=3)
    axes.set_yticks(range(len(lines)), [_name(line) for line in lines])
    axes.set_ylim(len(lines) - 0.5, -0.5)
    _dress(axes, metric.label, "")


def _bars(rows: Sequence[Row], scale: float) -> tuple[NDArray, NDArray, NDArray]:
    mean, low, high = (scale * np.array([getattr(row, name) for row in rows]) for name in ("mean", "low", "high"))
    return mean, mean - low, high - mean


def _legend(panels: Sequence[Axes]) -> tuple[list[Any], list[str]]:
    found: dict[str, Any] = {}
    for axes in panels:
        handles, labels = axes.get_legend_handles_labels()
        found.update(dict(zip(labels, handles, strict=True)))
    return list(found.values()), list(found)


def _name(line: tuple[str, str]) -> str:
    return ", ".join(part for part in line if part)


def _amplitude(field: NDArray[Any]) -> NDArray[np.float64]:
    return np.asarray(np.abs(field) if np.iscomplexobj(field) else field, dtype=np.float64)


def _field(
    axes: Axes,
    field: NDArray[Any],
    scale: Normalize,
    time_s: NDArray[np.float64] | None,
    frequency_hz: NDArray[np.float64] | None,
) -> Any:
    """A [T, R] field with time to the right and frequency upward; masked entries are grey."""
    x = np.arange(field.shape[0]) if time_s is None else time_s - time_s[0]
    y = np.arange(field.shape[1]) if frequency_hz is None else frequency_hz / 1e6
    colours: Colormap = _colour_map()
    axes.set_facecolor(BLANK)
    image = axes.pcolormesh(x, y, field.T, norm=scale, cmap=colours, shading="nearest", rasterized=True)
    axes.tick_params(colors=MUTED, labelsize=8, length=2)
    axes.spines[:].set_visible(False)
    return image


def _colour_map() -> Colormap:
    import matplotlib

    return matplotlib.colormaps[_MAP].with_extremes(bad=BLANK)


def _time_label(time_s: object) -> str:
    return "time, samples" if time_s is None else "time, s"


def _frequency_label(frequency_hz: object) -> str:
    return "frequency, bins" if frequency_hz is None else "frequency offset, MHz"


def _dress(axes: Axes, x: str, y: str) -> None:
    axes.set_xlabel(x, color=MUTED)
    axes.set_ylabel(y, color=MUTED)
    axes.tick_params(colors=MUTED, labelsize=9)
    quiet_frame(axes)


def quiet_frame(axes: Axes) -> None:
    """A light grid behind the data, and lines on the left and below alone."""
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(BLANK)


def to_png(figure: Figure) -> bytes:
    """The figure as a PNG file. No date and no version in it: equal figures give equal bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130, facecolor="white", metadata={"Software": None})
    return buffer.getvalue()
