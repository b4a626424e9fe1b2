"""`evaluate(recipe)`: every mode x label fraction x seed on one task, as rows with intervals.

Folds (several splits of one set, such as leave-geometry-out) are pooled: a seed's score is over the test samples of all
folds together. Fits are independent, so they are shared out to worker processes of one thread each, and each is kept as
soon as it is done: an evaluation that was stopped goes on, one that is repeated only reads.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from foundation.data.stream import read_part
from foundation.data.workers import in_order
from foundation.evaluate.bench import Bench
from foundation.evaluate.jobs import Job, Outcome, Outcomes, jobs_of, load_outcome, save_outcome
from foundation.evaluate.metrics import scores
from foundation.evaluate.reconstruction import decoder_rows
from foundation.hub.load import load_masked
from foundation.recipe import EvaluateRecipe
from foundation.results.rows import Row, summarise

SHOWN = 256  # signals that the decoder is judged on

Scores = dict[tuple[str, str, float], dict[int, list[tuple[np.ndarray, np.ndarray]]]]


def evaluate(recipe: EvaluateRecipe, command: str) -> list[Row]:
    """Run everything the recipe asks for and summarise it.

    Raises:
        RecipeError, ShardError, CheckpointError: the task, the shards or the checkpoint cannot be used; a checkpoint
            that was pretrained on a test session is refused.
    """
    jobs = list(jobs_of(recipe))
    found: Scores = defaultdict(lambda: defaultdict(list))
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as bar:
        task = bar.add_task(f"evaluate {recipe.name}", total=len(jobs))
        for job, outcome in _run(recipe, jobs):
            for part, pair in outcome.items():
                found[(part, job.mode, job.fraction)][job.seed].append(pair)
            bar.advance(task)
    rows = _rows(recipe, found, command)
    return rows + _decoder(recipe, command) if recipe.decoder else rows


def _decoder(recipe: EvaluateRecipe, command: str) -> list[Row]:
    """On up to `SHOWN` test signals, spread evenly; of folds, the first."""
    fold = recipe.folds[0]
    signals = read_part(recipe.task.shards, fold, recipe.task.tests)
    chosen = signals[:: max(1, len(signals) // SHOWN)][:SHOWN]
    model = load_masked(recipe.checkpoint.format(split=fold))
    return decoder_rows(model, chosen, set_name=recipe.set, split=fold, command=command)


def _run(recipe: EvaluateRecipe, jobs: list[Job]) -> Iterator[tuple[Job, Outcome]]:
    """Outcomes of all jobs: those kept from an earlier call first, the others as they are done."""
    outcomes = Outcomes(recipe)
    waiting: list[tuple[Job, Path]] = []
    for job in jobs:
        path = outcomes.path(job)
        known = load_outcome(path)
        if known is None:
            waiting.append((job, path))
        else:
            yield job, known
    text = recipe.model_dump_json()
    work = ((text, job, path) for job, path in waiting)
    yield from zip((job for job, _ in waiting), in_order(_work, work, recipe.workers), strict=True)


def _work(item: tuple[str, Job, Path]) -> Outcome:
    """Do one job and keep its outcome."""
    text, job, path = item
    bench = _bench(text, job.fold)
    predicted = bench.predict(job.mode, job.fraction, job.seed)
    truth = {part: bench.problem.target.encode(signals) for part, signals in bench.problem.tests.items()}
    outcome = {part: (truth[part], predicted[part]) for part in truth}
    save_outcome(path, outcome)
    return outcome


@lru_cache(maxsize=2)
def _bench(text: str, fold: str) -> Bench:
    return Bench(EvaluateRecipe.model_validate_json(text), fold)


def _rows(recipe: EvaluateRecipe, found: Scores, command: str) -> list[Row]:
    rows = []
    for (part, mode, fraction), by_seed in found.items():
        per_seed: dict[str, list[float]] = defaultdict(list)
        count = 0
        for pairs in by_seed.values():
            truth, predicted = (np.concatenate([pair[i] for pair in pairs]) for i in (0, 1))
            count = len(truth)
            for metric, value in scores(truth, predicted).items():
                per_seed[metric].append(value)
        hand = f"{recipe.floor_features} features, {recipe.floor_method}"
        for metric, values in per_seed.items():
            rows.append(
                summarise(
                    values,
                    set=recipe.set,
                    split=recipe.part_name(part),
                    method=hand if mode == "floor" else recipe.name,
                    mode=mode,
                    fraction=fraction,
                    metric=metric,
                    n=count,
                    command=command,
                )
            )
    return rows
