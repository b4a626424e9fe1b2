"""Figure of the score lost on recordings of other configurations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from foundation.config import AT
from foundation.results.figure_style import COLOURS, INK, dress, plain, to_png
from foundation.results.rows import Row
from foundation.results.tables import metric_of

#: Metrics that `foundation.evaluate.transfer_loss.loss_rows` gives.
LOSS_METRICS = ("accuracy_lost", "mean_error_added_m", "median_error_added_m")


def loss_figure(rows: Sequence[Row]) -> bytes:
    """Loss against configuration: a panel per set, test part, mode and label fraction, a colour per method, 95 %
    intervals over seeds.

    Args:
        rows: of one metric among `LOSS_METRICS`.
    """
    methods = list(dict.fromkeys(row.method for row in rows))
    panels = list(dict.fromkeys(_panel(row) for row in rows))
    columns = min(2, len(panels))
    drawing = Figure(figsize=(5.6 * columns, 3.4 * -(-len(panels) // columns) + 0.4), layout="constrained")
    grid = drawing.subplots(-(-len(panels) // columns), columns, squeeze=False, sharey=True).ravel()
    metric = metric_of(rows[0].metric)
    for axes, panel in zip(grid, panels, strict=False):
        own = [row for row in rows if _panel(row) == panel]
        names = list(dict.fromkeys(row.split.partition(AT)[2] for row in own))
        for place, method in enumerate(methods):
            mine = [row for row in own if row.method == method]
            x = np.array([names.index(row.split.partition(AT)[2]) for row in mine])
            x = x + 0.3 * (place - (len(methods) - 1) / 2) / max(1, len(methods) - 1)
            mean, low, high = metric.scale * np.array([(row.mean, row.low, row.high) for row in mine]).reshape(-1, 3).T
            colour = COLOURS[place % len(COLOURS)]
            axes.errorbar(x, mean, yerr=(mean - low, high - mean), color=colour, fmt="o", capsize=3, label=method)
        axes.axhline(0, color=INK, linewidth=0.8)
        axes.set_xticks(range(len(names)), plain(names))
        axes.set_xlim(-0.5, len(names) - 0.5)
        axes.set_title(panel, fontsize=10, color=INK)
        dress(axes, "", metric.label)
        axes.tick_params(axis="x", labelsize=8)
    for axes in grid[len(panels) :]:
        axes.set_visible(False)
    drawing.legend(*grid[0].get_legend_handles_labels(), loc="outside lower left", frameon=False, ncols=4)
    return to_png(drawing)


def _panel(row: Row) -> str:
    return f"{row.set}, {row.split.partition(AT)[0]}: {row.mode}, {100 * row.fraction:g} % of the labels"
