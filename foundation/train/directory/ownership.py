"""Ownership of run directories: each belongs to the one resolved recipe that is stored in it."""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import ValidationError

from foundation.checkpoints.training import load_checkpoint
from foundation.config import PretrainRecipe, dump_recipe
from foundation.errors import CheckpointError, RecipeError
from foundation.files import write_atomically

#: Keys that may change when a run resumes, because they do not define what is trained. With another number of
#: processes the remaining samples are still read once each, in global batches of another size.
FREE = {"out", "logger", "data.workers"} | {
    f"train.{name}"
    for name in (
        "timeout_s",
        "log_every",
        "picture_every",
        "devices",
        "nodes",
        "accumulate",
        "offload",
        "activation_checkpointing",
        "checkpoint_every",
        "keep_last",
        "keep_every",
    )
}


def take_ownership(recipe: PretrainRecipe) -> None:
    """Write the resolved recipe into the run directory, or check that it matches the stored one.

    Before the first checkpoint the stored recipe is replaced: nothing would be lost.

    Raises:
        RecipeError: the directory has checkpoints of another recipe.
    """
    path = recipe.out / "recipe.yaml"
    text = dump_recipe(recipe)
    if not path.exists() or not any((recipe.out / "checkpoints").glob("*.ckpt")):
        write_atomically(path, text)
        return
    changed = changes(yaml.safe_load(path.read_text()), recipe)
    if changed:
        raise RecipeError(
            f"{recipe.out} was trained with another recipe ({'; '.join(changed[:3])}); "
            "set out= to a new directory, or restore the recipe to resume."
        )


def changes(old: dict, recipe: PretrainRecipe) -> list[str]:
    """`differences` between a stored recipe, perhaps of an earlier version, and the current one."""
    return differences(_completed(old), recipe.model_dump(mode="json"))


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
    changed = changes(load_checkpoint(last)[0], recipe)
    if changed:
        raise CheckpointError(
            f"{last} was written with another recipe ({'; '.join(changed[:3])}); put back this run's own, or set out= "
            "to a new directory."
        )
