"""Figures of a study as PNG bytes: every figure against a quantity, and the loss against steps, on log axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator

from foundation.evaluate.report.curves import STYLES
from foundation.results.figure_style import COLOURS, INK, dress, to_png
from foundation.results.rows import interval
from foundation.results.tables import metric_of
from foundation.study.laws import ScalingLaw
from foundation.study.measures import MASKED, Measure, cost_of, measures
from foundation.study.plan import Study
from foundation.study.runs import Done
from foundation.study.trends import PARAMETERS, curve, other_levels

COLUMNS = 3


def against(study: Study, done: Sequence[Done], axis: str, law: tuple[str, ScalingLaw] | None) -> bytes:
    """A panel per figure: its loss or error over a quantity, both logarithmic, a line for each combination of the other
    levels of the grid. Bars are 95 % intervals over seeds. The fitted joint law is dashed in the panel of the loss.
    """
    trained = [each for each in done if each[0].trained]
    shown = [measure for measure in measures(study, trained[0]) if measure.is_headline]
    height = -(-len(shown) // COLUMNS)
    figure = Figure(figsize=(4.0 * min(COLUMNS, len(shown)), 3.1 * height + 0.4), layout="constrained")
    grid = figure.subplots(height, min(COLUMNS, len(shown)), squeeze=False).ravel()
    for axes, measure in zip(grid, shown, strict=False):
        _panel(axes, study, trained, axis, measure, law if measure.metric == MASKED else None)
    for axes in grid[len(shown) :]:
        axes.set_visible(False)
    handles, labels = grid[0].get_legend_handles_labels()
    if labels != [""]:
        figure.legend(handles, labels, loc="outside lower left", frameon=False, ncols=6)
    return to_png(figure)


def _panel(
    axes: Axes, study: Study, trained: Sequence[Done], axis: str, measure: Measure, law: tuple[str, ScalingLaw] | None
) -> None:
    others = other_levels([run for run, _ in trained], axis)
    amounts = np.array([measured.facts[axis] for _, measured in trained], np.float64)
    levels = np.array([run.levels[axis] for run, _ in trained])
    costs = np.array([cost_of(measure, measures(study, each)[measure]) for each in trained])
    for place, other in enumerate(dict.fromkeys(others)):
        own = np.array([name == other for name in others])
        # By level: of tokens, seeds see almost as many, but not exactly.
        cells = [own & (levels == level) for level in dict.fromkeys(levels[own])]
        cells.sort(key=lambda cell: float(amounts[cell].mean()))
        x = np.array([amounts[cell].mean() for cell in cells])
        mean, low, high = np.array([interval(costs[cell].tolist()) for cell in cells]).T
        low = np.maximum(low, 0.2 * mean)  # a log axis has no 0
        style = _style(place)
        axes.errorbar(x, mean, yerr=(mean - low, high - mean), label=other, markersize=4, capsize=3, **style)
        if law is not None and axis in (PARAMETERS, law[0]):
            fine = np.geomspace(x[0], x[-1], 50)
            first = trained[int(np.flatnonzero(own)[0])][1].facts
            held = np.full_like(fine, first[law[0] if axis == PARAMETERS else PARAMETERS])
            fitted = law[1].at(fine, held) if axis == PARAMETERS else law[1].at(held, fine)
            axes.plot(fine, fitted, color=style["color"], linestyle="--", linewidth=1)
    axes.set_title(measure.text, fontsize=9, color=INK)
    metric = metric_of(measure.metric)
    label = "wrong, share" if metric.more_is_better else metric.label.partition(":")[0]
    ticks = np.array([amounts[levels == level].mean() for level in dict.fromkeys(levels)])
    _logarithmic(axes, ticks, f"{axis}{' of the encoder' if axis == PARAMETERS else ''}", label)


def curves(done: Sequence[Done]) -> bytes | None:
    """Masked loss of training over steps, a line for each variant (mean over its seeds); None without logs."""
    found: dict[str, list[tuple[Any, Any]]] = {}
    for run, _ in done:
        steps, losses = curve(run)
        if len(steps):
            found.setdefault(run.variant, []).append((steps, losses))
    if not found:
        return None
    figure = Figure(figsize=(8.4, 3.6 + 0.08 * len(found)), layout="constrained")
    axes = figure.subplots()
    for place, (variant, each) in enumerate(found.items()):
        steps = each[0][0]
        same = [losses for others, losses in each if len(others) == len(steps)]
        axes.plot(steps, np.mean(same, axis=0), label=variant, markersize=3, linewidth=1.2, **_style(place))
    _logarithmic(axes, np.array([]), "optimiser step", "masked loss of training")
    figure.legend(loc="outside right upper", frameon=False, fontsize=8)
    return to_png(figure)


def _style(place: int) -> dict[str, Any]:
    marker, dashes = STYLES[place // len(COLOURS) % len(STYLES)]
    return {"color": COLOURS[place % len(COLOURS)], "marker": marker, "linestyle": dashes}


def _logarithmic(axes: Axes, ticks: np.ndarray, x: str, y: str) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    if len(ticks):
        axes.xaxis.set_major_locator(FixedLocator(ticks.tolist()))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.4g}"))
    low, high = axes.get_ylim()
    # Less than a decade has no major tick of its own.
    axes.yaxis.set_minor_formatter(
        FuncFormatter(lambda value, _: f"{value:.4g}") if high < 10 * low else NullFormatter()
    )
    dress(axes, x, y)
    axes.tick_params(which="minor", labelsize=7)


def _short(value: float) -> str:
    return f"{value / 1e6:.3g} M" if value >= 1e6 else f"{value / 1e3:.3g} k" if value >= 1e4 else f"{value:g}"
