"""Ownership of run directories: each belongs to the one resolved recipe that is stored in it."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from foundation.checkpoints.layout import FINAL, FOLDER, step_of
from foundation.checkpoints.training import load_checkpoint
from foundation.config import PretrainRecipe, TrainSection, dump_recipe
from foundation.config.yaml_errors import read_mapping
from foundation.errors import CheckpointError, RecipeError
from foundation.files import write_atomically

#: Keys that may change when a run resumes, because they do not define what is trained. `accumulate` follows from the
#: number of processes, see `_with_equal_steps`.
FREE = {"out", "logger", "data.workers", "data.held_out", "data.cache", "data.cache_gb"} | {
    f"train.{name}"
    for name in (
        "timeout_s",
        "accelerator",
        "log_every",
        "picture_every",
        "held_out_every",
        "devices",
        "nodes",
        "threads",
        "accumulate",
        "offload",
        "activation_checkpointing",
        "checkpoint_every",
        "keep_last",
        "keep_every",
    )
}


def take_ownership(recipe: PretrainRecipe) -> PretrainRecipe:
    """Write the resolved recipe into the run directory, or check that it matches the stored one.

    Before the first checkpoint the stored recipe is replaced: nothing would be lost. So it is by one of another number
    of steps, see `_rescheduled`, as long as the run has not reached its last.

    Returns:
        the recipe; where another number of processes resumes the run, with the `train.accumulate` that keeps its steps
        as large as they were.

    Raises:
        RecipeError: the directory has checkpoints of another recipe, its recipe cannot be read, or so many processes
            cannot share a step of the run.
    """
    path = recipe.out / "recipe.yaml"
    steps = [step_of(checkpoint) or 0 for checkpoint in (recipe.out / FOLDER).glob("*.ckpt")]
    if not path.exists() or not steps:
        write_atomically(path, dump_recipe(recipe))
        return recipe
    stored = read_mapping(path, RecipeError, "cannot be read; put back the recipe of this run.")
    changed, planned = changes(_rescheduled(stored, recipe, max(steps)), recipe), stored.get("train", {}).get("steps")
    if not changed and planned is not None and recipe.train.steps != planned:
        if (recipe.out / FOLDER / FINAL).exists():
            raise RecipeError(
                f"{recipe.out} is finished: its learning rate has come down over {planned} steps; to train on, start a "
                f"new run from its weights, with init={recipe.out / 'model'} and another out=."
            )
        print(f"{recipe.out}: goes on to step {recipe.train.steps} in place of {planned}, on that schedule.")
        write_atomically(path, dump_recipe(_with_equal_steps(recipe, stored)))
    if changed:
        raise RecipeError(
            f"{recipe.out} was trained with another recipe ({'; '.join(changed[:3])}); "
            "set out= to a new directory, or restore the recipe to resume."
        )
    return recipe if (recipe.out / FOLDER / FINAL).exists() else _with_equal_steps(recipe, stored)


def _with_equal_steps(recipe: PretrainRecipe, stored: dict) -> PretrainRecipe:
    """The recipe with as many batches in a step over all processes as the stored recipe of the run has.

    Raises:
        RecipeError: the processes cannot share them evenly, or the stored recipe is none.
    """
    try:
        train, before = recipe.train, PretrainRecipe.model_validate(stored).train
    except ValidationError:
        raise RecipeError(f"{recipe.out / 'recipe.yaml'}: cannot be read; put back the recipe of this run.") from None
    batches = before.accumulate * before.processes
    accumulate, left = divmod(batches, train.processes)
    if left:
        shares = [number for number in range(1, batches + 1) if batches % number == 0]
        near = [max(n for n in shares if n < train.processes), *[n for n in shares if n > train.processes][:1]]
        raise RecipeError(
            f"{recipe.out}: a step of this run is {batches} batches of train.batch_size={train.batch_size}, which "
            f"{train.processes} processes (train.devices x train.nodes) cannot share evenly; resume with "
            f"{' or '.join(map(str, near))}, or set out= to a new directory."
        )
    return recipe.model_copy(update={"train": train.model_copy(update={"accumulate": accumulate})})


def changes(old: dict, recipe: PretrainRecipe) -> list[str]:
    """`differences` between a stored recipe, perhaps of an earlier version, and the current one."""
    return differences(_completed(old), recipe.model_dump(mode="json"))


def _rescheduled(old: dict, recipe: PretrainRecipe, reached: int) -> dict:
    """A stored recipe with the number of steps of this one, where a run that has reached a step can go on to it.

    To more steps always: the schedule is a function of the step and of their number. To fewer, or to another decay,
    while the learning rate of both `wsd` schedules is still at its peak: what was trained until now is the same.
    """
    try:
        before, now = TrainSection.model_validate(old.get("train")), recipe.train
    except ValidationError:
        return old
    stable = before.schedule == now.schedule == "wsd" and reached <= min(before.decay_start, now.decay_start)
    kept = ("steps", "decay_share") if stable else ("steps",) if now.steps >= before.steps else ()
    return {**old, "train": {**old["train"], **{name: getattr(now, name) for name in kept}}}


def _completed(old: dict) -> dict:
    """A stored recipe with keys that its version did not have at their current defaults."""
    try:
        return PretrainRecipe.model_validate(old).model_dump(mode="json")
    except ValidationError:
        return old


def differences(old: dict, new: dict, prefix: str = "") -> list[str]:
    """Dotted keys in which two resolved recipes differ, each with both values; keys in `FREE` are ignored."""
    found = []
    for key in sorted({*old, *new}):
        a, b = old.get(key), new.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            found += differences(a, b, f"{prefix}{key}.")
        elif a != b and prefix + key not in FREE:
            found.append(f"{prefix}{key}: {a} there, {b} here")
    return found


def refuse_foreign(last: Path, recipe: PretrainRecipe) -> None:
    """Check that a checkpoint was written with this recipe.

    Raises:
        CheckpointError: it was written with another recipe, or is damaged.
    """
    changed = changes(_rescheduled(load_checkpoint(last)[0], recipe, step_of(last) or 0), recipe)
    if changed:
        raise CheckpointError(
            f"{last} was written with another recipe ({'; '.join(changed[:3])}); put back this run's own, or set out= "
            "to a new directory."
        )
