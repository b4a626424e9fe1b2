"""Scores of one fine-tuned model: in the terminal and as a page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure

from foundation.evaluate.report.classes import class_table, confusion_figure
from foundation.evaluate.statistics.metrics import each_score
from foundation.evaluate.task_result import TaskResult
from foundation.results.figure_style import COLOURS, dress, to_png
from foundation.results.page import facts_list, figure, lead, section, table_of, write_page
from foundation.results.tables import Pivot, metric_of
from foundation.results.terminal import print_pivot

CHANCE = "constant prediction"
CONFUSION_CAPTION = (
    "Each row is a true class, each column a predicted class; numbers are percent of the true class. A perfect model "
    "has 100 along the diagonal."
)


def sentence(part: str, found: TaskResult) -> str:
    """The headline score beside chance, in words."""
    name, value = next(iter(found.scores.items()))
    metric = metric_of(name)
    score, chance = (f"{metric.scale * x:.{metric.digits}f}" for x in (value, found.chance[name]))
    what = "the most frequent training class" if found.classes else "the median of the training labels"
    n = len(found.truth)
    return f"{part}: {metric.label} {score} on {n:,} test samples; chance ({what} for every sample) {chance}."


def score_table(found: Mapping[str, TaskResult]) -> Pivot:
    """One line per test part and metric."""
    body = []
    for part, one in found.items():
        chance = one.chance
        for name, value in one.scores.items():
            metric = metric_of(name)
            cells = (f"{metric.scale * x:.{metric.digits}f}" for x in (value, chance[name]))
            body.append((part, metric.label, *cells, f"{len(one.truth):,}"))
    return Pivot("Scores", ("test part", "metric", "LoRA", CHANCE, "samples"), tuple(body), frozenset())


def print_task(found: Mapping[str, TaskResult]) -> None:
    """Print scores, and per-class scores of a classification."""
    print_pivot(score_table(found))
    for part, one in found.items():
        if one.classes is not None:
            print_pivot(confusion_table(one, part))
            print_pivot(class_table(one, part))


def confusion_table(found: TaskResult, part: str) -> Pivot:
    """The confusion matrix as a table: percent of each true class."""
    assert found.classes is not None
    counts = found.confusion
    share = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    rows = zip(found.classes, counts.sum(axis=1), share, strict=True)
    body = tuple((name, f"{total:,}", *(f"{x:.0f}" for x in line)) for name, total, line in rows)
    title = f"{part}: confusion matrix, % of the true class; columns are predictions"
    diagonal = frozenset((i, i + 2) for i in range(len(body)))
    return Pivot(title, ("true class", "samples", *found.classes), body, diagonal)


def write_task_page(
    path: Path, name: str, found: Mapping[str, TaskResult], facts: Mapping[str, str], first: str = ""
) -> None:
    """One self-contained page: the sentence `first`, the scores in words, pictures, tables, facts."""
    sections = [
        *([lead(first)] if first else []),
        *(lead(sentence(part, one)) for part, one in found.items()),
        *(section(f"What was predicted in {part}", result_parts(part, one)) for part, one in found.items()),
        section("All scores", [table_of(score_table(found))]),
        facts_list(facts),
    ]
    write_page(path, f"{name}: a LoRA adapter and its scores", sections)


def result_parts(part: str, found: TaskResult) -> list[Markup]:
    """The picture, and for classes their table, of one test part."""
    if found.classes is None:
        return [figure(error_figure(found), f"Share of the {len(found.truth):,} test samples below each error.")]
    title = f"Which {found.label} was taken for which"
    return [figure(confusion_figure(found, title), CONFUSION_CAPTION), table_of(class_table(found, part))]


def error_figure(found: TaskResult) -> bytes:
    """Cumulative distribution of the error, of the model and of the constant prediction."""
    drawing = Figure(figsize=(8.4, 3.4), layout="constrained")
    axes = drawing.subplots()
    constant = np.broadcast_to(found.constant, found.truth.shape)
    for name, predicted, colour in (("LoRA", found.predicted, COLOURS[0]), (CHANCE, constant, COLOURS[1])):
        errors = np.sort(each_score(found.truth, predicted))
        axes.step(errors, 100 * np.arange(1, len(errors) + 1) / len(errors), where="post", color=colour, label=name)
    unit = "m" if found.label == "position" else "unit of the label"
    dress(axes, f"error, {unit}", "samples below it, %")
    axes.legend(frameon=False)
    return to_png(drawing)
