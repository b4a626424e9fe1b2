"""What is kept of a run: its pretraining in `keep/name/variant-seed`, and beside it what it was measured to be.

A pretraining belongs to its recipe: with another one the study stops before anything is run. Measurements are cheap and
have a file for every way of measuring, so that none is overwritten and none is stale: its name is a hash of what is
measured on, how, and the source of this package.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict

from foundation.checkpoints.layout import FINAL, FOLDER
from foundation.data.shards.manifest import Manifest
from foundation.errors import RecipeError
from foundation.evaluate.cache import source_hash
from foundation.files import write_atomically
from foundation.study.plan import Run, Study, Task
from foundation.train.directory.ownership import changes

#: What a measurement goes through besides what an evaluation does.
_MODULES = ("heldout", "probes", "facts", "judge")


class Score(BaseModel):
    """The headline metric of one task from a share of its labels."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    set: str
    split: str
    fraction: float
    metric: str
    value: float
    n: int


class Measured(BaseModel):
    """What one run was measured to be. `losses`: by mask kind, see `foundation.study.heldout`; `facts`: see `facts_of`;
    `versions` of what measured it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    losses: dict[str, float]
    held_out: int
    scores: list[Score]
    facts: dict[str, Any]
    versions: dict[str, str]


def file_of(study: Study, run: Run) -> Path:
    """Where the measurements of the run are, or will be."""
    held_out = study.recipe.held_out
    parts: list[Any] = [source_hash(), _own_source(), study.recipe.fractions, run.seed]
    parts += [None if held_out is None else [held_out.model_dump(mode="json"), _fingerprint(held_out.shards)]]
    parts += [_how(task) for task in study.tasks]
    parts += [] if run.trained else [run.pretrain.model.model_dump(mode="json")]  # a folder of its own only if trained
    return run.folder / f"measured-{hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]}.json"


def load_measured(path: Path) -> Measured | None:
    """What `save_measured` wrote; None where it is still to be done."""
    return Measured.model_validate_json(path.read_bytes()) if path.exists() else None


def save_measured(path: Path, found: Measured) -> None:
    write_atomically(path, found.model_dump_json(indent=1) + "\n")


def is_trained(run: Run) -> bool:
    """Whether its pretraining is finished; what needs none is."""
    return not run.trained or (run.folder / FOLDER / FINAL).exists()


def refuse_changed(runs: Sequence[Run]) -> None:
    """Stop where a kept pretraining has another recipe than is asked for now, before anything is run.

    Raises:
        RecipeError: names the run and the first changes.
    """
    for run in runs:
        path = run.folder / "recipe.yaml"
        if not (run.trained and path.exists() and any((run.folder / FOLDER).glob("*.ckpt"))):
            continue
        changed = changes(yaml.safe_load(path.read_text()), run.pretrain)
        if changed:
            raise RecipeError(
                f"{run.folder} was pretrained with another recipe ({'; '.join(changed[:3])}); give the study another "
                "name=, or put the recipe back, or delete that folder to run it again."
            )


def _own_source() -> str:
    folder, digest = Path(__file__).parent, hashlib.sha256()
    for name in _MODULES:
        digest.update((folder / f"{name}.py").read_bytes())
    return digest.hexdigest()


def _how(task: Task) -> list[Any]:
    asked, tune = task.recipe.task, task.recipe.tune
    where = [str(asked.shards), _fingerprint(asked.shards), task.split, asked.train, asked.label]
    return [*where, task.recipe.set, task.samples, tune.pooling, tune.augment]


@cache
def _fingerprint(shards: str | Path) -> str:
    return Manifest.load(shards).fingerprint()
