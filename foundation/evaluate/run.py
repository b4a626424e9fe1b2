"""`evaluate(recipe)`: all modes, label fractions and seeds of one task, as result rows with intervals."""

from __future__ import annotations

import numpy as np

from foundation.checkpoints.load import load_masked
from foundation.config import EvaluateRecipe
from foundation.data.shards.corpus import read_part
from foundation.evaluate.cache import Outcomes
from foundation.evaluate.generation import MODEL, decoder_rows
from foundation.evaluate.leakage import refuse_overlaps
from foundation.evaluate.runner import pool_folds, pooling_sentences, rows_of, run_jobs
from foundation.evaluate.transfer_loss import loss_rows
from foundation.machine import on_device, set_threads
from foundation.progress import StepProgress
from foundation.results.rows import Row, merge_rows

SHOWN = 256  # test signals that the decoder is evaluated on


def evaluate(recipe: EvaluateRecipe, command: str) -> list[Row]:
    """Run an evaluation recipe and summarise it; with `tune.pooling: auto` prints the chosen poolings.

    Raises:
        RecipeError, ShardError, CheckpointError: the task, the shards or the checkpoint cannot be used, or the
            checkpoint was pretrained on a test session.
    """
    if recipe.workers == 1:  # else each of the processes has one
        print(f"{recipe.name}: {set_threads(recipe.threads)}.", flush=True)
    refuse_overlaps(recipe)
    jobs = Outcomes(recipe).plan()
    with StepProgress() as bar:
        task = bar.add_task(f"evaluate {recipe.name}", total=len(jobs))
        runs = pool_folds(recipe, run_jobs(recipe, jobs, lambda: bar.advance(task)))
    for sentence in pooling_sentences(runs):
        print(f"chosen on training sessions: {sentence}")
    return rows_of(recipe, runs, command) + loss_rows(recipe, runs, command) + decoder(recipe, command)


def decoder(recipe: EvaluateRecipe, command: str) -> list[Row]:
    """Decoder rows of every checkpoint on up to `SHOWN` evenly spaced test signals of the first fold; empty unless the
    recipe sets `decoder`."""
    if not recipe.decoder:
        return []
    fold = recipe.folds[0]
    signals = read_part(recipe.task.shards, fold, recipe.task.tests)
    chosen = [signals[i] for i in np.unique(np.linspace(0, len(signals) - 1, SHOWN).round().astype(int))]
    names: dict[str, str] = {"set_name": recipe.set, "split": fold, "command": command}
    rows: list[Row] = []
    for name in recipe.sources:
        model = on_device(load_masked(recipe.source(name, fold, recipe.seeds[0])), recipe.device)
        found = decoder_rows(model, chosen, **names)
        # With several checkpoints rows carry their names; rows that do not depend on a checkpoint appear once.
        new = [_named(row, name) for row in found] if len(recipe.sources) > 1 else found
        rows = merge_rows(rows, new)
    return rows


def _named(row: Row, name: str) -> Row:
    changed = name + row.method.removeprefix(MODEL) if row.method.startswith(MODEL) else row.method
    return row.model_copy(update={"method": changed})
