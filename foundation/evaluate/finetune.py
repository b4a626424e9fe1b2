"""`finetune(recipe)`: fit LoRA and a head to one task, save them, and score every test part."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from foundation.adapt import add_domain, fit_calibrated, merge_domain, predict, save_adapter
from foundation.adapt.adapter_files import weights_hash
from foundation.adapt.domain import RECORD
from foundation.checkpoints.load import load_encoder
from foundation.config import FinetuneRecipe
from foundation.data.labelled import Target, TokenSet, label_subset
from foundation.data.seen import Seen
from foundation.errors import CheckpointError, RecipeError
from foundation.evaluate.leakage import refuse_overlap
from foundation.evaluate.notes import augment_note, environment_note
from foundation.evaluate.report.task_page import print_task, write_task_page
from foundation.evaluate.task import Problem
from foundation.evaluate.task_result import TaskResult, save_results
from foundation.files import exclusive, refuse_existing
from foundation.machine import on_device, set_threads
from foundation.models.task import TaskModel

RESULTS, PAGE = "predictions.json", "report.html"  # in the adapter folder


def finetune(recipe: FinetuneRecipe) -> dict[str, TaskResult]:
    """Test part -> truth, predictions and chance; prints them and writes a page into the adapter folder.

    Raises:
        CheckpointError: `recipe.out` exists (nothing is overwritten) or the checkpoint cannot be loaded.
        WfmError: another process writes it.
        RecipeError, ShardError: the task cannot be loaded.
    """
    refuse_existing(recipe.out, CheckpointError)  # before an hour of fitting, not after
    if not isinstance(recipe.task.split, str):
        raise RecipeError("task.split: fine-tuning makes one adapter, so give one split; 'wfm evaluate' takes several.")
    with exclusive(recipe.out):
        return _finetune(recipe)


def _finetune(recipe: FinetuneRecipe) -> dict[str, TaskResult]:
    assert isinstance(recipe.task.split, str)
    print(f"{recipe.out}: {set_threads(recipe.threads)}.", flush=True)
    base = on_device(load_encoder(recipe.checkpoint), recipe.device)
    problem = Problem.load(recipe.task, recipe.task.split)
    tested = recipe.task.shards, recipe.task.split, recipe.task.tests
    refuse_overlap(recipe.checkpoint, *tested)
    encoder = base
    if recipe.domain is not None:
        refuse_overlap(recipe.domain, *tested, did="adapted to")
        encoder = merge_domain(base, recipe.domain)
    seen = Seen.of(problem.train)
    for signals in problem.tests.values():
        seen.check(signals)
    data = TokenSet(problem.train, encoder.config)
    targets = problem.target.encode(problem.train)
    truths = {part: problem.target.encode(signals) for part, signals in problem.tests.items()}  # refuses before the fit
    rows = label_subset(targets, recipe.fraction, recipe.seed)
    model, calibration = fit_calibrated(
        encoder, data, rows, targets, problem.target, recipe.tune, recipe.seed, loaded_on=base, progress=True
    )
    found = {}
    for part, signals in problem.tests.items():
        output = predict(model, TokenSet(signals, encoder.config))
        predicted = output if problem.target.classes is None else output.argmax(1)
        found[part] = TaskResult.of(problem.target, targets[rows], truths[part], predicted)
    if recipe.domain is not None:
        model = add_domain(model, base, recipe.domain)

    # In one folder with what it answers, which appears whole: a half that a stop leaves would refuse the next call.
    def beside(folder: Path) -> None:
        calibration.save(folder)
        _write(folder, found, recipe, len(rows))

    _save(model, problem.target, recipe, weights_hash(base), seen, beside)
    _print(found, recipe)
    return found


def _save(
    model: TaskModel,
    target: Target,
    recipe: FinetuneRecipe,
    base_hash: str,
    seen: Seen,
    beside: Callable[[Path], None],
) -> None:
    """Save the adapter; where its folder cannot be written any more, in the folder for temporary files.

    Args:
        beside: as of `save_adapter`.

    Raises:
        CheckpointError: it was saved elsewhere; says where.
    """
    try:
        save_adapter(model, target, recipe.checkpoint, base_hash, recipe.out, seen, beside)
    except OSError as problem:
        elsewhere = Path(tempfile.mkdtemp(prefix="wfm-adapter-")) / recipe.out.name
        save_adapter(model, target, recipe.checkpoint, base_hash, elsewhere, seen, beside)
        raise CheckpointError(
            f"{recipe.out} cannot be written ({(problem.strerror or str(problem)).lower()}); the adapter is kept in "
            f"{elsewhere}."
        ) from problem


def _print(found: Mapping[str, TaskResult], recipe: FinetuneRecipe) -> None:
    if first := environment_note(recipe.task, [str(recipe.task.split)]):
        print(first)
    print_task(found)
    if note := augment_note(recipe.task, recipe.tune, ["lora"]):
        print(note)


def _write(folder: Path, found: Mapping[str, TaskResult], recipe: FinetuneRecipe, labelled: int) -> None:
    save_results(folder / RESULTS, found)
    if recipe.domain is not None:
        for name in RECORD:
            shutil.copyfile(recipe.domain / name, folder / name)
    facts = {
        "checkpoint": recipe.checkpoint,
        **({} if recipe.domain is None else {"domain adapter": str(recipe.domain)}),
        "shards": str(recipe.task.shards),
        "split": str(recipe.task.split),
        "labelled training samples": f"{labelled:,} ({100 * recipe.fraction:g} % of the labels)",
        "test samples": ", ".join(f"{len(one.truth):,} in {part}" for part, one in found.items()),
        "LoRA rank": str(recipe.tune.lora_rank),
        "augmentation (tune.augment)": f"{recipe.tune.augment:g} neper",
    }
    note = environment_note(recipe.task, [str(recipe.task.split)])
    write_task_page(folder / PAGE, recipe.name, found, facts, note)
