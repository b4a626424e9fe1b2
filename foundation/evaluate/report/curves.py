"""Figures of a report as PNG bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator
from numpy.typing import NDArray

from foundation.evaluate.generation import SampleComparison
from foundation.evaluate.report.transfer_plot import LOSS_METRICS, loss_figure
from foundation.evaluate.statistics.metrics import power_profile_db, sample_distances, temporal_autocorrelation
from foundation.results.figure_style import (
    COLOURS,
    INK,
    MUTED,
    amplitude,
    dress,
    field,
    plain,
    response_axis,
    time_label,
    to_png,
)
from foundation.results.page import figure
from foundation.results.rows import Row
from foundation.results.tables import METRICS, metric_of

#: Marker and line of the first lines, and of those that have the colours a second and a third time.
STYLES = (("o", "-"), ("s", "--"), ("^", ":"))


def loss_curve(history: Sequence[Mapping[str, float]]) -> bytes:
    """Every column with "loss" in its name, but for counts of spikes, over `step`.

    A long curve is drawn as a thin line with its running median on top.

    Raises:
        ValueError: no row has a step and a finite loss.
    """
    names = list(dict.fromkeys(name for row in history for name in row if "loss" in name and "spikes" not in name))
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
    dress(axes, "optimiser step", "loss")
    axes.legend(frameon=False)
    return to_png(figure)


def samples(shown: SampleComparison, examples: int = 4) -> bytes:
    """Example windows of the three kinds over each other, and beside them the two statistics in which they differ."""
    y, y_label = response_axis(shown.frequency_hz)
    kinds = {"held out": shown.held_out, "model": shown.generated, "Gaussian": shown.gaussian}
    colours = {"held out": INK, "model": COLOURS[0], "Gaussian": COLOURS[1]}
    scale = Normalize(*np.percentile(amplitude(shown.held_out), [0.5, 99.5]))
    figure = Figure(figsize=(11.6, 5.4), layout="constrained")
    halves: Any = figure.subfigures(1, 2, width_ratios=(1.35, 1))
    left, right = halves
    count = min(examples, *(len(windows) for windows in kinds.values()))
    grid = left.subplots(3, count, squeeze=False, sharex=True, sharey=True)
    for row, (name, windows) in zip(grid, kinds.items(), strict=True):
        for axes, window in zip(row, windows, strict=False):
            image = field(axes, amplitude(window), scale, shown.time_s, y)
        row[0].set_ylabel(name, color=colours[name], fontsize=11, fontweight="bold")
    left.supxlabel(time_label(shown.time_s), color=MUTED, fontsize=10)
    left.supylabel(y_label, color=MUTED, fontsize=10)
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
        frequency = np.arange(np.shape(windows)[2]) if y is None else y
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
    dress(profile, y_label, "power over its mean, dB")
    dress(memory, "lag, samples" if shown.time_s is None else "lag, s", "autocorrelation")
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
        marker, dashes = STYLES[lines.index(line) // len(COLOURS) % len(STYLES)]
        style: dict[str, Any] = {"color": colours[line], "marker": marker, "linestyle": dashes}
        axes.errorbar(x, mean, yerr=(down, up), label=_name(line), markersize=4, capsize=3, **style)
    axes.set_xscale("log")
    axes.set_xticks(sorted({100 * row.fraction for row in rows}))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    dress(axes, "share of the training labels, %", metric.label)


def _listed(axes: Axes, rows: Sequence[Row], lines: Sequence[tuple[str, str]], colours: Mapping[Any, str]) -> None:
    metric = metric_of(rows[0].metric)
    for place, line in enumerate(lines):
        points = [row for row in rows if (row.method, row.mode) == line]
        if points:
            mean, down, up = _bars(points, metric.scale)
            axes.errorbar(mean, [place] * len(points), xerr=(down, up), color=colours[line], fmt="o", capsize=3)
    axes.set_yticks(range(len(lines)), plain(_name(line) for line in lines))
    axes.set_ylim(len(lines) - 0.5, -0.5)
    dress(axes, metric.label, "")


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


def curves(rows: Sequence[Row]) -> list[Markup]:
    found = []
    for metric in dict.fromkeys(row.metric for row in rows):
        better = ("Higher" if METRICS[metric].more_is_better else "Lower") + " is better. " if metric in METRICS else ""
        caption = (
            f"{metric_of(metric).label}. {better}Bars are 95 % intervals over seeds; a point without one is of one "
            "seed, or of seeds with equal results. Two results differ only where their bars lie clearly apart."
        )
        draw = loss_figure if metric in LOSS_METRICS else fractions
        found.append(figure(draw([row for row in rows if row.metric == metric]), caption))
    return found
