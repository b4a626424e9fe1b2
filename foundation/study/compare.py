"""Compare variants: rows with intervals over seeds, and paired differences from the reference variant by seed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from foundation.config.study import STATISTICS
from foundation.results.rows import Row, interval, summarise
from foundation.results.tables import metric_of
from foundation.study.measures import MASKED, Measure, measures
from foundation.study.plan import Study
from foundation.study.runs import Done


@dataclass(frozen=True)
class Difference:
    """Variant minus another, `first`, which is the first one except for sets that were left out: mean and 95 % interval
    over seeds; with one seed all three are equal."""

    measure: Measure
    variant: str
    first: str
    mean: float
    low: float
    high: float
    seeds: int

    @property
    def verdict(self) -> str:
        """Interpretation of the interval: better, worse, or not significant."""
        if self.seeds < 2:
            return "one seed: no interval"
        if self.low <= 0 <= self.high:
            return "includes 0: nothing found"
        return "better" if (self.mean > 0) == metric_of(self.measure.metric).more_is_better else "worse"


def rows_of(study: Study, done: Sequence[Done]) -> list[Row]:
    """One row per variant and measure."""
    found: dict[tuple[str, Measure], list[float]] = defaultdict(list)
    for each in done:
        for measure, value in measures(study, each).items():
            found[each[0].variant, measure].append(value)
    return [
        summarise(
            values,
            set=measure.set,
            split=measure.split,
            method=variant,
            mode="" if measure.metric == MASKED else "probe",
            fraction=measure.fraction,
            metric=measure.metric,
            n=measure.n,
            command=study.command,
        )
        for (variant, measure), values in found.items()
    ]


def differences(study: Study, done: Sequence[Done]) -> Iterator[Difference]:
    """Differences of all variants from the first, and from the closed form of what was pretrained without the set that
    it is judged on; cells of a grid are left to the scaling laws.

    A seed determines initial weights, batches, masks and label subset alike for all variants, so that differences are
    paired by seed.
    """
    first = next(iter(study.recipe.variants), None)
    values = {(each[0].variant, each[0].seed): measures(study, each) for each in done}
    if first is None:
        return
    for measure in dict.fromkeys(measure for each in values.values() for measure in each if measure.is_headline):
        pairs = [(variant, first) for variant in dict.fromkeys(variant for variant, _ in values) if variant != first]
        pairs += [(variant, STATISTICS) for variant in dict.fromkeys(run.variant for run, _ in done if run.left_out)]
        for variant, other in pairs:
            both = [
                (values[variant, seed][measure], values[other, seed][measure])
                for seed in study.recipe.seeds
                if measure in values.get((variant, seed), ()) and measure in values.get((other, seed), ())
            ]
            if both:
                yield Difference(measure, variant, other, *interval([own - its for own, its in both]), len(both))
