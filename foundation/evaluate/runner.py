"""Run the jobs of an evaluation in worker processes and summarise their outcomes.

Jobs are independent; each outcome is cached as soon as it is done, so that a stopped evaluation resumes and a repeated
one only reads the cache.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from foundation.config import EvaluateRecipe
from foundation.data.shards.worker_pool import in_order
from foundation.evaluate.cache import Outcome, load_outcome, save_outcome
from foundation.evaluate.fits import Bench
from foundation.evaluate.jobs import Job, Line, Runs
from foundation.evaluate.statistics.metrics import scores
from foundation.results.rows import Row, summarise


def run_jobs(recipe: EvaluateRecipe, jobs: Mapping[Path, Job], done: Callable[[], None]) -> dict[Job, Outcome]:
    """Outcomes of these jobs, from the cache or computed now.

    Args:
        done: called after every job.
    """
    found: dict[Job, Outcome] = {}
    waiting: list[tuple[Job, Path]] = []
    for path, job in jobs.items():
        known = load_outcome(path)
        if known is None:
            waiting.append((job, path))
        else:
            found[job] = known
            done()
    text = recipe.model_dump_json()
    work = ((text, job, path) for job, path in waiting)
    workers = max(1, min(recipe.workers, len(waiting)))
    for (job, _), outcome in zip(waiting, in_order(_work, work, workers), strict=True):
        found[job] = outcome
        done()
    return {job: found[job] for job in jobs.values()}


def _work(item: tuple[str, Job, Path]) -> Outcome:
    """Run one job and cache its outcome."""
    text, job, path = item
    outcome = _bench(text, job.fold, job.fitted).outcome(job)
    save_outcome(path, outcome)
    return outcome


@lru_cache(maxsize=2)
def _bench(text: str, fold: str, fitted: str) -> Bench:
    return Bench(EvaluateRecipe.model_validate_json(text), fold, fitted)


def pool_folds(recipe: EvaluateRecipe, found: Mapping[Job, Outcome]) -> dict[Line, Runs]:
    """Predictions of all jobs by line, folds concatenated in the recipe's order."""
    by_line: dict[Line, dict[int, dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]]] = defaultdict(dict)
    poolings: dict[Line, Counter[str]] = defaultdict(Counter)
    for job, outcome in found.items():
        for part, arrays in outcome.parts.items():
            line = Line(part, job.method, job.mode, job.fraction)
            by_line[line].setdefault(job.seed, {})[job.fold] = arrays
            if outcome.pooling is not None:
                poolings[line].update(outcome.pooling.split("+"))  # every one that a head reads
    return {line: _joined(recipe, by_seed, poolings[line]) for line, by_seed in by_line.items()}


def _joined(
    recipe: EvaluateRecipe,
    by_seed: Mapping[int, Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray]]],
    poolings: Counter[str],
) -> Runs:
    first = [by_seed[min(by_seed)][fold] for fold in recipe.folds]
    offsets = np.cumsum([0, *(block.max() + 1 for _, _, block in first)])
    return Runs(
        np.concatenate([truth for truth, _, _ in first]),
        np.concatenate([block + offset for (_, _, block), offset in zip(first, offsets[:-1], strict=True)]),
        {seed: np.concatenate([folds[fold][1] for fold in recipe.folds]) for seed, folds in sorted(by_seed.items())},
        poolings,
    )


def rows_of(recipe: EvaluateRecipe, runs: Mapping[Line, Runs], command: str) -> list[Row]:
    """One row per line and metric, with the interval over seeds. A method without randomness gives equal predictions
    for all seeds and counts as one run."""
    rows = []
    for line, found in runs.items():
        per_seed: dict[str, list[float]] = defaultdict(list)
        for seed in found.seeds:
            for metric, value in scores(found.truth, found.predicted[seed], recipe.task.label).items():
                per_seed[metric].append(value)
        rows += [row_of(recipe, line, metric, values, len(found.truth), command) for metric, values in per_seed.items()]
    return rows


def row_of(recipe: EvaluateRecipe, line: Line, metric: str, values: Sequence[float], n: int, command: str) -> Row:
    """The row of a line and metric from its values by seed on n samples."""
    return summarise(
        values,
        set=recipe.set,
        split=recipe.part_name(line.part),
        method=line.method,
        mode=line.mode,
        fraction=line.fraction,
        metric=metric,
        n=n,
        command=command,
    )


def pooling_sentences(runs: Mapping[Line, Runs]) -> list[str]:
    """How often each pooling was chosen, per method and mode."""
    counted: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for line, found in runs.items():
        counted[line.method, line.mode].update(found.poolings)
    return [
        f"{method}, {mode}: " + ", ".join(f"{name} ({count})" for name, count in counts.most_common())
        for (method, mode), counts in counted.items()
        if counts
    ]
