"""What a suite says as a whole: paired tests between modes, and ranks over tasks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from foundation.config import LABELS_ALONE
from foundation.evaluate.jobs import SUPERVISED, Line
from foundation.evaluate.statistics.paired_test import Difference, difference, holm
from foundation.evaluate.statistics.ranks import Ranking, ranking
from foundation.evaluate.suite import Measured
from foundation.results.rows import Row
from foundation.results.tables import HEADLINES, metric_of

FIRST_BASELINE = "first baseline"
#: What starts from random weights: of checkpoints with one network, the first has the rows.
FROM_NOTHING = ("untrained", "scratch")


@dataclass(frozen=True)
class PairedTest:
    """A paired test: `first` against `second` on a test part, from so many labels. `adjusted` is p after Holm, over all
    tests of the suite."""

    set: str
    split: str
    fraction: float
    metric: str
    first: str
    second: str
    found: Difference
    adjusted: float

    def as_dict(self) -> dict[str, object]:
        fields = asdict(self)
        return {**fields.pop("found"), **fields}


def paired_tests(measured: Sequence[Measured], pairs: Sequence[tuple[str, str]]) -> list[PairedTest]:
    """Every pair of modes on every test part and label fraction, of each checkpoint; and each checkpoint against the
    first in the same mode."""
    found = []
    for each in measured:
        for first, second in _pairs(each, pairs):
            found.append((each, first, second, difference(each.runs[first], each.runs[second])))
    adjusted = holm([test.p for *_, test in found])
    return [
        PairedTest(
            each.task.recipe.set,
            each.task.recipe.part_name(first.part),
            first.fraction,
            headline(each),
            contender(each, first.method, first.mode),
            contender(each, second.method, second.mode),
            test,
            p,
        )
        for (each, first, second, test), p in zip(found, adjusted, strict=True)
    ]


def _pairs(each: Measured, pairs: Sequence[tuple[str, str]]) -> Iterator[tuple[Line, Line]]:
    """The lines to compare, where both were run."""
    names = list(each.task.recipe.sources)
    wanted = [((_method(each, a, name), a), (_method(each, b, name), b)) for name in names or [""] for a, b in pairs]
    wanted += [((names[0], mode), (name, mode)) for name in names[1:] for mode in ("probe", "knn", "lora", "full")]
    lines = set(each.runs)
    for part, fraction in dict.fromkeys((line.part, line.fraction) for line in each.runs):
        for first, second in dict.fromkeys(wanted):
            one, other = (Line(part, method, mode, fraction) for method, mode in (first, second))
            if one in lines and other in lines:
                yield one, other


def _method(each: Measured, mode: str, checkpoint: str) -> str:
    """The name of a mode's rows: the first baseline, the baseline, or those of a checkpoint."""
    if mode in LABELS_ALONE:
        return SUPERVISED.get(mode, each.task.recipe.baselines[0].title)
    return each.task.outcomes.twin(checkpoint) if checkpoint and mode in FROM_NOTHING else checkpoint


def contender(each: Measured, method: str, mode: str) -> str:
    """How a line is called where tasks are put side by side. The name of a single checkpoint is left out, and hand-made
    features go by their place: each task has its own."""
    if mode == "baseline":
        return FIRST_BASELINE if method == each.task.recipe.baselines[0].title else f"{method}, baseline"
    return f"{method}, {mode}" if method in each.task.recipe.checkpoints else mode


def headline(each: Measured) -> str:
    """The metric by which the task is judged."""
    return next(metric for metric in HEADLINES if any(row.metric == metric for row in each.rows))


def rankings(measured: Sequence[Measured]) -> dict[float, Ranking]:
    """Label fraction -> ranks of everything that all tasks have, test recordings unseen; each test part is a task."""
    scores: dict[float, dict[str, dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
    better: dict[str, bool] = {}
    for each in measured:
        metric = headline(each)
        for row in each.rows:
            if row.metric != metric or row.has_target_data:
                continue
            task = f"{row.set}, {row.split}"
            better[task] = metric_of(metric).more_is_better
            scores[row.fraction][task][contender(each, row.method, row.mode)] = row.mean
    found = {fraction: ranking(tasks, better) for fraction, tasks in sorted(scores.items())}
    return {fraction: ranks for fraction, ranks in found.items() if ranks is not None}


def headline_rows(measured: Sequence[Measured]) -> list[Row]:
    return [row for each in measured for row in each.rows if row.metric == headline(each)]
