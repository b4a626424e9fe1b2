"""Statistics over a suite: paired tests between modes, and average ranks over tasks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from foundation.config import LABELS_ALONE
from foundation.evaluate.jobs import Line, title
from foundation.evaluate.statistics.paired_test import Difference, difference, holm
from foundation.evaluate.statistics.ranks import Ranking, ranking
from foundation.evaluate.suite import Measured
from foundation.results.rows import Row
from foundation.results.tables import HEADLINES, metric_of

FIRST_BASELINE = "first baseline"
#: Modes that start from random weights; of checkpoints with the same network, the first has their rows.
RANDOM_WEIGHTS = ("untrained", "scratch")


@dataclass(frozen=True)
class PairedTest:
    """A paired test of `first` against `second` on a test part at a label fraction. `adjusted` is the p-value after
    Holm's correction over all tests of the suite."""

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
    """Tests of every pair of modes on every test part and label fraction, for each checkpoint; and of each checkpoint
    against the first in the same mode."""
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
    """Pairs of lines to compare, of those that were run."""
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
    """The name of a mode's rows: of hand-made features the first, or a checkpoint."""
    if mode in LABELS_ALONE:
        return title(each.task.recipe, mode)
    return each.task.outcomes.twin(checkpoint) if checkpoint and mode in RANDOM_WEIGHTS else checkpoint


def contender(each: Measured, method: str, mode: str) -> str:
    """Name of a line across tasks: without the name of a single checkpoint, and with the first hand-crafted baseline as
    such, because each task has its own features."""
    if mode == "baseline":
        return FIRST_BASELINE if method == each.task.recipe.baselines[0].title else f"{method}, baseline"
    return f"{method}, {mode}" if method in each.task.recipe.checkpoints else mode


def headline(each: Measured) -> str:
    """The headline metric of a task."""
    return next(metric for metric in HEADLINES if any(row.metric == metric for row in each.rows))


def rankings(measured: Sequence[Measured]) -> dict[float, Ranking]:
    """Label fraction -> ranking of the lines that all tasks have, without those that used test recordings; each test
    part counts as a task."""
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
    """The rows of each task's headline metric."""
    return [row for each in measured for row in each.rows if row.metric == headline(each)]
