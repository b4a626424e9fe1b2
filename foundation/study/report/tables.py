"""Tables of a study: differences between variants, scaling exponents, and the cost of runs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from foundation.results.tables import Pivot, metric_of
from foundation.study.compare import Difference
from foundation.study.laws import Exponent
from foundation.study.runs import Done
from foundation.study.trends import Trend


def differences_table(found: Sequence[Difference]) -> Pivot:
    body = []
    for each in found:
        metric = metric_of(each.measure.metric)
        mean, low, high = (f"{metric.scale * x:+.{metric.digits}f}" for x in (each.mean, each.low, each.high))
        shown = f"{mean} [{low}, {high}]" if each.seeds > 1 else mean
        body.append((f"{each.variant} minus {each.first}", each.measure.text, shown, each.verdict))
    best = frozenset((i, 3) for i, each in enumerate(found) if each.verdict == "better")
    seeds = f", mean [95 % interval] over {found[0].seeds} seeds" if found and found[0].seeds > 1 else ""
    title = f"Differences{seeds}"
    return Pivot(title, ("variants", "figure", "difference", "in words"), tuple(body), best)


def trends_table(found: Sequence[Trend]) -> Pivot:
    body = [
        (each.axis, each.what, exponent_text(each.exponent), each.exponent.verdict, str(each.runs)) for each in found
    ]
    title = "Power laws: figure ~ quantity ^ -exponent, [95 % interval]"
    return Pivot(title, ("quantity", "figure", "exponent", "in words", "runs"), tuple(body), frozenset())


def facts_table(done: Sequence[Done]) -> Pivot:
    """Of every variant, the median over its seeds."""
    names = ("parameters", "samples", "sessions", "steps", "tokens", "steps_per_s", "train_s")
    body = []
    for variant in dict.fromkeys(run.variant for run, _ in done):
        own = [measured.facts for run, measured in done if run.variant == variant]
        known = [[float(facts[name]) for facts in own if name in facts] for name in names]
        body.append((variant, str(len(own)), *(_number(np.median(values)) if values else "-" for values in known)))
    title = "Cost of a run, median over seeds: parameters of the encoder, data of the training part, tokens seen"
    return Pivot(title, ("variant", "runs", *names), tuple(body), frozenset())


def exponent_text(each: Exponent) -> str:
    """The value and its interval, if there is one."""
    ends = f" [{each.low:.3f}, {each.high:.3f}]" if np.isfinite([each.low, each.high]).all() else ""
    return f"{each.value:.3f}{ends}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
