"""Result rows as tables for documents, terminals and reports."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from foundation.results.rows import Row


@dataclass(frozen=True)
class Metric:
    """How a metric is written: label with unit, factor, digits after the point, and whether more is better."""

    label: str
    scale: float
    digits: int
    more_is_better: bool


METRICS = {
    "accuracy": Metric("accuracy, %", 100.0, 1, True),
    "mean_error_m": Metric("mean error, m", 1.0, 2, False),
    "median_error_m": Metric("median error, m", 1.0, 2, False),
    "mean_error": Metric("mean error, unit of the label", 1.0, 3, False),
    "median_error": Metric("median error, unit of the label", 1.0, 3, False),
    "masked_mse": Metric("masked loss: mean square error of hidden tokens", 1.0, 4, False),
    "accuracy_lost": Metric("accuracy lost, points", 100.0, 1, False),
    "mean_error_added_m": Metric("mean error added, m", 1.0, 2, False),
    "median_error_added_m": Metric("median error added, m", 1.0, 2, False),
    "mean_error_added": Metric("mean error added, unit of the label", 1.0, 3, False),
    "median_error_added": Metric("median error added, unit of the label", 1.0, 3, False),
    "nmse": Metric("NMSE", 1.0, 4, False),
    "nmse_db": Metric("NMSE, dB", 1.0, 1, False),
    "autocorrelation": Metric("distance of the temporal autocorrelation", 1.0, 3, False),
    "power_profile_db": Metric("distance of the mean power profile, dB", 1.0, 2, False),
    "power_spread_db": Metric("distance of the spread of power profiles, dB", 1.0, 2, False),
}
#: The metrics that tasks are compared by, one for each kind of task.
HEADLINES = ("accuracy", "mean_error_m", "mean_error")


@dataclass(frozen=True)
class Pivot:
    """One table: a title, the header cells, the body cells, and which (row, column) of the body are the best."""

    title: str
    header: tuple[str, ...]
    body: tuple[tuple[str, ...], ...]
    best: frozenset[tuple[int, int]]


def metric_of(name: str) -> Metric:
    """How the metric is written; one that is not in `METRICS` keeps its name and unit."""
    return METRICS.get(name, Metric(name, 1.0, 3, True))


def pivot(rows: Sequence[Row]) -> list[Pivot]:
    """One table per data set and metric, and per test part where several label fractions were measured; rows that used
    unlabelled test recordings stand in tables of their own, whose titles say so.

    A line is a method and its mode; the columns are the label fractions, or else the test parts. Cells read
    `mean [low, high]`, or `mean` where one seed was run.
    """
    tables = []
    for set_, metric, aligned in dict.fromkeys((row.set, row.metric, row.has_target_data) for row in rows):
        group = [row for row in rows if (row.set, row.metric, row.has_target_data) == (set_, metric, aligned)]
        named = f"{set_}, WITH unlabelled test recordings" if aligned else set_
        if len({row.fraction for row in group}) == 1:
            splits = sorted({row.split for row in group})
            fraction = f", {_percent(group[0].fraction)} of the labels"
            tables.append(_one(named + fraction, group, splits, lambda row: row.split))
            continue
        for split in sorted({row.split for row in group}):
            part = [row for row in group if row.split == split]
            fractions = [_percent(fraction) for fraction in sorted({row.fraction for row in part})]
            title = f"{named}, {split}, by share of the labels"
            tables.append(_one(title, part, fractions, lambda row: _percent(row.fraction)))
    return tables


def markdown(rows: Sequence[Row]) -> str:
    """The tables in Markdown, each with its title; the best mean of a column is bold."""
    return "\n\n".join(map(markdown_table, pivot(rows))) + "\n"


def markdown_table(table: Pivot) -> str:
    """One table in Markdown, with its title."""
    lines = [_line([_escape(name) for name in table.header]), _line(["---"] * 2 + ["---:"] * (len(table.header) - 2))]
    for index, cells in enumerate(table.body):
        shown = [_escape(cell) for cell in cells]
        lines.append(_line([f"**{c}**" if (index, j) in table.best else c for j, c in enumerate(shown)]))
    return f"{_escape(table.title)}\n\n" + "\n".join(lines)


def _one(title: str, rows: Sequence[Row], columns: Sequence[str], column_of: Callable[[Row], str]) -> Pivot:
    metric = metric_of(rows[0].metric)
    lines = list(dict.fromkeys((row.method, row.mode) for row in rows))
    cells = {((row.method, row.mode), column_of(row)): row for row in rows}
    body = tuple(
        (method, mode or "-", *(cell(cells.get(((method, mode), column)), metric) for column in columns))
        for method, mode in lines
    )
    best = set()
    for j, column in enumerate(columns):
        means = {i: cells[line, column].mean for i, line in enumerate(lines) if (line, column) in cells}
        if len(means) > 1 and rows[0].metric in METRICS:
            top = max(means.values()) if metric.more_is_better else min(means.values())
            best |= {(i, j + 2) for i, mean in means.items() if mean == top}
    seeds = _span([row.seeds for row in rows])
    ended = "" if seeds == "1" else f", mean [95 % interval] over {seeds} seeds"
    title = f"{title}: {metric.label}{ended}, {_span([row.n for row in rows])} test samples"
    return Pivot(title, ("method", "mode", *columns), body, frozenset(best))


def cell(row: Row | None, metric: Metric) -> str:
    """A row as it stands in a table: `mean [low, high]`; nothing where there is none."""
    if row is None:
        return ""
    mean, low, high = (f"{value * metric.scale:.{metric.digits}f}" for value in (row.mean, row.low, row.high))
    return mean if row.seeds == 1 else f"{mean} [{low}, {high}]"


def _percent(fraction: float) -> str:
    return f"{100 * fraction:g} %"


def _span(numbers: Sequence[int]) -> str:
    return str(min(numbers)) if min(numbers) == max(numbers) else f"{min(numbers)} to {max(numbers)}"


def _escape(text: str) -> str:
    """Text on one line, in which nothing is Markdown: neither markup, nor HTML, nor a link."""
    return re.sub(r"([\\|*_<>`]|\](?=[(\[:]))", r"\\\1", " ".join(text.split()))


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
