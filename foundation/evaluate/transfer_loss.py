"""Loss of performance of a head on recordings of another configuration than it was fitted to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from foundation.config import EvaluateRecipe
from foundation.evaluate.jobs import Line, Runs
from foundation.evaluate.runner import row_of
from foundation.evaluate.statistics.metrics import scores
from foundation.evaluate.transfer import reference_of
from foundation.results.rows import Row

#: Metric -> name of its loss, and the sign that makes a loss positive.
LOSSES = {
    "accuracy": ("accuracy_lost", -1),
    "mean_error_m": ("mean_error_added_m", 1),
    "median_error_m": ("median_error_added_m", 1),
    "mean_error": ("mean_error_added", 1),
    "median_error": ("median_error_added", 1),
}


def loss_rows(recipe: EvaluateRecipe, runs: Mapping[Line, Runs], command: str) -> list[Row]:
    """One row per configuration, line and metric: the loss against the same heads on the same samples in the reference
    configuration, with the interval over seeds."""
    rows = []
    for line, shown in runs.items():
        part = reference_of(line.part)
        if part is None:
            continue
        reference, found = runs[line._replace(part=part)], defaultdict(list)
        for seed in max(shown.seeds, reference.seeds, key=len):
            before = scores(reference.truth, reference.predicted[seed], recipe.task.label)
            for metric, value in scores(shown.truth, shown.predicted[seed], recipe.task.label).items():
                found[metric].append(LOSSES[metric][1] * (value - before[metric]))
        rows += [
            row_of(recipe, line, LOSSES[metric][0], values, len(shown.truth), command)
            for metric, values in found.items()
        ]
    return rows
