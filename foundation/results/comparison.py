"""One line per test part: what pretraining adds to the same heads on closed-form statistics."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from foundation.results.rows import Row
from foundation.results.tables import HEADLINES, Pivot, cell, metric_of

#: Modes with a column each, beside the best hand-made baseline.
MODES = ("statistics", "untrained", "knn", "probe")


def comparison(
    rows: Sequence[Row], tests: Sequence[Mapping[str, Any]], fraction: float, seen: Collection[str]
) -> Pivot:
    """The table at one share of the labels.

    Args:
        tests: paired tests as `wfm evaluate --suite` writes them; those of `probe` against `statistics` are shown.
        seen: sets of which pretraining read a training part; their lines are marked.
    """
    pairs = {
        (test["set"], test["split"]): test
        for test in tests
        if (test["first"], test["second"], test["fraction"]) == ("probe", "statistics", fraction)
    }
    shown = [row for row in rows if row.fraction == fraction and row.metric in HEADLINES and not row.has_target_data]
    body: list[tuple[str, ...]] = []
    best = set()
    for set_, split in sorted(dict.fromkeys((row.set, row.split) for row in shown)):
        part = [row for row in shown if (row.set, row.split) == (set_, split)]
        metric = metric_of(part[0].metric)
        order = sorted((row for row in part if row.mode == "baseline"), key=lambda row: row.mean)
        columns = [order[-1 if metric.more_is_better else 0] if order else None]
        columns += [next((row for row in part if row.mode == mode), None) for mode in MODES]
        means = [row.mean for row in columns if row is not None]
        top = max(means) if metric.more_is_better else min(means)
        best |= {(len(body), j + 2) for j, row in enumerate(columns) if row is not None and row.mean == top}
        name = f"{set_}{' (seen)' if set_ in seen else ''}: {split}"
        cells = [cell(row, metric) for row in columns]
        body.append((name, metric.label, *cells, *_difference(pairs.get((set_, split)))))
    title = f"{100 * fraction:g} % of the labels; mean [95 % interval over seeds, where they differ]"
    header = ("test part", "metric", "best hand-made", *MODES, "probe - statistics [95 %, samples]", "p, Holm", "")
    return Pivot(title, header, tuple(body), frozenset(best))


def _difference(test: Mapping[str, Any] | None) -> tuple[str, str, str]:
    """The difference with its interval, its p-value, and in a word whether the interval lies on one side of 0."""
    if test is None:
        return "", "", ""
    metric = metric_of(test["metric"])
    low, mean, high = (f"{metric.scale * test[key]:+.{metric.digits}f}" for key in ("low", "mean", "high"))
    sign = 0 if test["low"] <= 0 <= test["high"] else 1 if (test["mean"] > 0) == metric.more_is_better else -1
    p = "< 0.001" if test["adjusted"] < 0.001 else f"{test['adjusted']:.3f}"
    return f"{mean} [{low}, {high}]", p, {1: "above", 0: "level", -1: "below"}[sign]
