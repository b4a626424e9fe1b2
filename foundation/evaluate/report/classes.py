"""Per-class scores and the confusion matrix of a classification."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from foundation.evaluate.task_result import TaskResult
from foundation.results.figure_style import INK, MUTED, plain, to_png
from foundation.results.tables import Pivot


def class_table(found: TaskResult, part: str) -> Pivot:
    """Precision, recall and F1 of every class, in percent; bold is the class of the highest F1."""
    assert found.classes is not None
    counts = found.confusion
    right, of_truth, of_predicted = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
    body = []
    f1 = 2 * right / np.maximum(of_truth + of_predicted, 1)
    for name, hits, true, said, score in zip(found.classes, right, of_truth, of_predicted, f1, strict=True):
        body.append((name, f"{true:,}", _share(hits, said), _share(hits, true), f"{100 * score:.0f}"))
    best = frozenset((int(i), 4) for i in np.flatnonzero(f1 == f1.max()))
    return Pivot(f"{part}: scores by class, %", ("class", "samples", "precision", "recall", "F1"), tuple(body), best)


def confusion_figure(found: TaskResult, title: str) -> bytes:
    """Rows are true classes, columns predicted ones; colour and number are the share of the true class, in percent."""
    assert found.classes is not None
    counts = found.confusion
    share = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = len(found.classes)
    side = 2.2 + 0.5 * min(size, 24)
    drawing = Figure(figsize=(side + 0.6, side), layout="constrained")
    axes = drawing.subplots()
    axes.imshow(share, cmap="Blues", vmin=0, vmax=100)
    axes.set_xticks(range(size), plain(found.classes), rotation=45, ha="right")
    axes.set_yticks(range(size), plain(found.classes))
    if size <= 24:
        for i, j in np.ndindex(share.shape):
            colour = "white" if share[i, j] > 55 else INK
            axes.text(j, i, f"{share[i, j]:.0f}", ha="center", va="center", fontsize=9, color=colour)
    axes.set_xlabel("predicted class", color=MUTED)
    axes.set_ylabel("true class", color=MUTED)
    axes.set_title(title, fontsize=11, color=INK)
    axes.tick_params(colors=MUTED, labelsize=9, length=0)
    axes.spines[:].set_visible(False)
    return to_png(drawing)


def _share(hits: int, of: int) -> str:
    return f"{100 * hits / of:.0f}" if of else "-"
