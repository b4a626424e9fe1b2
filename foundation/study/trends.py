"""Trends of the measures of a study in a quantity: parameters, samples, sessions, steps."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from foundation.config.study import QUANTITIES
from foundation.results.rows import interval
from foundation.study.heldout import ALL
from foundation.study.laws import LEAST, Array, Exponent, ScalingLaw, power_law, scaling_law
from foundation.study.measures import cost_of, measures
from foundation.study.plan import Run, Study
from foundation.study.runs import Done
from foundation.train.directory.history import read_history

PARAMETERS = "parameters"


@dataclass(frozen=True)
class Trend:
    """`what` is proportional to `axis` ^ -exponent with all other settings fixed, over so many runs."""

    what: str
    axis: str
    exponent: Exponent
    runs: int


def trends(study: Study, done: Sequence[Done]) -> list[Trend]:
    """Trends of every measure in every numeric axis of a grid, and of every variant's training loss in steps."""
    return [*_axis_trends(study, done), *_step_trends(done)]


def numeric_axes(study: Study) -> list[str]:
    """Axes of the grid that are quantities with at least `LEAST` levels."""
    return [axis for axis, levels in study.recipe.grid.items() if axis in QUANTITIES and len(levels) >= LEAST]


def other_levels(runs: Sequence[Run], axis: str) -> list[str]:
    """The levels of each run on the other axes of the grid."""
    return [", ".join(level for name, level in run.levels.items() if name != axis) for run in runs]


def joint_law(study: Study, done: Sequence[Done]) -> tuple[str, ScalingLaw] | None:
    """The data axis, and the scaling law of the held-out loss in parameters and data; None if the grid lacks two such
    axes, or too few runs are done."""
    axes = numeric_axes(study)
    data = next((axis for axis in axes if axis != PARAMETERS), None)
    found = [measured for run, measured in done if run.trained and measured.losses]
    if data is None or PARAMETERS not in axes or not found:
        return None
    sizes, amounts = (np.array([each.facts[axis] for each in found], np.float64) for axis in (PARAMETERS, data))
    try:
        return data, scaling_law(sizes, amounts, np.array([each.losses[ALL] for each in found]))
    except ValueError:
        return None


def curve(run: Run) -> tuple[Array, Array]:
    """Steps and masked loss of training, averaged over logarithmic bins of a factor 4/3, because the masks vary
    from batch to batch; empty if nothing was logged."""
    logged = [(row["step"] + 1, row["mse"]) for row in read_history(run.folder) if np.isfinite(row.get("mse", np.nan))]
    if not run.trained or not logged:
        return np.empty(0), np.empty(0)
    steps, losses = np.array(logged).T
    own = np.unique(np.floor(np.log(steps) / np.log(4 / 3)), return_inverse=True)[1]
    count = np.bincount(own)
    return np.bincount(own, steps) / count, np.bincount(own, losses) / count


def _axis_trends(study: Study, done: Sequence[Done]) -> Iterator[Trend]:
    trained = [each for each in done if each[0].trained]
    for axis in numeric_axes(study):
        amounts = np.array([measured.facts[axis] for _, measured in trained], np.float64)
        group: NDArray[np.int64] = np.unique(other_levels([run for run, _ in trained], axis), return_inverse=True)[1]
        if len(np.unique(amounts)) < LEAST or len(np.unique(group)) == len(group):
            continue  # too few runs are done
        found = [measures(study, each) for each in trained]
        for measure in (measure for measure in found[0] if measure.is_headline):
            costs = np.array([cost_of(measure, each[measure]) for each in found])
            yield Trend(measure.text, axis, power_law(amounts, costs, group), len(trained))


def _step_trends(done: Sequence[Done]) -> Iterator[Trend]:
    """The exponent of every variant's training loss after warm-up, with its interval over seeds."""
    found: dict[str, list[float]] = defaultdict(list)
    for run, _ in done:
        steps, losses = curve(run)
        late = steps > run.pretrain.train.warmup_steps
        if late.sum() >= LEAST:
            exponent = power_law(steps[late], losses[late], np.zeros(late.sum(), np.int64))
            found[run.variant].append(exponent.value)
    for variant, exponents in found.items():
        mean, low, high = interval(exponents)
        known = Exponent(mean, low, high) if len(exponents) > 1 else Exponent(mean, np.nan, np.nan)
        yield Trend(f"training loss of {variant}", "steps", known, len(exponents))
