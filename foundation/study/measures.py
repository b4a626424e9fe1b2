"""The measures of a run: held-out losses and probe scores, each with a key."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from foundation.results.tables import metric_of
from foundation.study.heldout import ALL
from foundation.study.plan import Study
from foundation.study.runs import Done

MASKED = "masked_mse"


class Measure(NamedTuple):
    """Key of one measure on `n` samples; for a held-out loss `split` is the mask kind, and `fraction` is 1."""

    set: str
    split: str
    fraction: float
    metric: str
    n: int

    @property
    def is_headline(self) -> bool:
        """Whether it is a score, or the held-out loss over all mask kinds."""
        return self.metric != MASKED or self.split == ALL

    @property
    def text(self) -> str:
        """Name for tables."""
        if self.metric == MASKED:
            return f"{self.set}, {self.split}"
        return f"{self.set}, {self.split.partition(',')[0]}, {100 * self.fraction:g} % of the labels"


def measures(study: Study, done: Done) -> dict[Measure, float]:
    """All measures of a run."""
    measured, found = done[1], {}
    if study.recipe.held_out is not None:
        name = f"{Path(study.recipe.held_out.shards).name}, held out"
        for kind, loss in measured.losses.items():
            found[Measure(name, kind, 1.0, MASKED, measured.held_out)] = loss
    for score in measured.scores:
        found[Measure(score.set, score.split, score.fraction, score.metric, score.n)] = score.value
    return found


def cost_of(measure: Measure, value: float) -> float:
    """The positive cost that a power law is fitted to: a loss or an error; for an accuracy the error rate, at least
    half a sample."""
    if metric_of(measure.metric).more_is_better:
        return max(1 - value, 0.5 / measure.n)
    return max(value, 1e-12)
