"""The critical-difference diagram of a ranking (Demsar 2006, figure 1)."""

from __future__ import annotations

from matplotlib.figure import Figure

from foundation.evaluate.statistics.ranks import Ranking
from foundation.results.figure_style import COLOURS, INK, MUTED, to_png

_STEP = 0.34  # inches from line to line


def critical_difference(shown: Ranking) -> bytes:
    """Average ranks on one axis, the best on the left; a thick bar joins those without a significant difference."""
    count = len(shown.names)
    half, bars = -(-count // 2), shown.alike()
    depth = 0.5 + 0.42 * len(bars)  # of the first name below the axis, in steps
    figure = Figure(figsize=(9.6, _STEP * (half + depth + 3.6)), layout="constrained")
    axes = figure.subplots()
    margin = 0.62 * (count - 1)  # room for names beside the axis
    axes.set_xlim(1 - margin, count + margin)
    axes.set_ylim(half + depth + 0.6, -2.6)
    axes.axis("off")
    axes.plot([1, count], [0, 0], color=INK, linewidth=1)
    for tick in range(1, count + 1):
        axes.plot([tick, tick], [0, -0.25], color=INK, linewidth=1)
        axes.text(tick, -0.4, str(tick), ha="center", va="bottom", fontsize=9, color=MUTED)
    if shown.critical is not None:
        end = 1 + min(shown.critical, count - 1)
        axes.plot([1, end], [-1.7, -1.7], color=COLOURS[1], linewidth=2, marker="|", markersize=8)
        wider = "" if shown.critical <= count - 1 else ", wider than the axis"
        text = f"critical difference {shown.critical:.2f}{wider}"
        axes.text(1, -1.95, text, ha="left", va="bottom", fontsize=9, color=MUTED)
    for place, (first, last) in enumerate(bars):
        y = 0.45 + 0.42 * place
        ends = [shown.average[first] - 0.03, shown.average[last] + 0.03]
        axes.plot(ends, [y, y], color=INK, linewidth=4, solid_capstyle="round")
    for place, (name, rank) in enumerate(zip(shown.names, shown.average, strict=True)):
        left = place < half
        y = depth + (place if left else count - 1 - place) + 0.5
        end = 1 - 0.04 * count if left else count + 0.04 * count
        colour = COLOURS[0] if place == 0 else MUTED
        axes.plot([rank, rank, end], [0, y, y], color=colour, linewidth=1)
        text = f"{name}  {rank:.2f}" if left else f"{rank:.2f}  {name}"
        axes.text(end, y, f" {text} ", ha="right" if left else "left", va="center", fontsize=10, color=INK)
    return to_png(figure)
