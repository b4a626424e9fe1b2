"""Cache of a study: the pretraining of every run in `CACHE/NAME/VARIANT-SEED`, and its measurements beside it.

A pretraining belongs to its recipe: a changed one stops the study before anything runs. The file name of measurements
is a hash of the data, the settings and the source code that they depend on, so that stale ones are never read.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from foundation.checkpoints.layout import FINAL, FOLDER
from foundation.config.yaml_errors import read_mapping
from foundation.data.shards.manifest import Manifest
from foundation.errors import RecipeError
from foundation.evaluate.cache import source_hash
from foundation.files import write_atomically
from foundation.study.plan import Run, Study, Task
from foundation.train.directory.ownership import changes

#: Modules of this package that affect a measurement, besides those of an evaluation.
_MODULES = ("heldout", "probes", "facts", "judge")


class Score(BaseModel):
    """The headline metric of one task at a label fraction, on n samples."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    set: str
    split: str
    fraction: float
    metric: str
    value: float
    n: int


class Measured(BaseModel):
    """Measurements of one run.

    Attributes:
        losses: held-out loss by mask kind, see `foundation.study.heldout`.
        held_out: number of held-out samples.
        facts: see `foundation.study.facts.facts_of`.
        versions: of the software that measured.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    losses: dict[str, float]
    held_out: int
    scores: list[Score]
    facts: dict[str, Any]
    versions: dict[str, str]


def file_of(study: Study, run: Run) -> Path:
    """File of the measurements of a run, whether it exists or not."""
    held_out = study.recipe.held_out
    parts: list[Any] = [source_hash(), _own_source(), study.recipe.fractions, run.seed]
    parts += [None if held_out is None else [held_out.model_dump(mode="json"), _fingerprint(held_out.shards)]]
    parts += [_how(task) for task in study.judged_by(run)]
    parts += [] if run.trained else [run.pretrain.model.model_dump(mode="json")]  # a folder of its own only if trained
    return run.folder / f"measured-{hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]}.json"


def load_measured(path: Path) -> Measured | None:
    """Read what `save_measured` wrote; None if the run is not measured yet, or its file is damaged, which is said."""
    if not path.exists():
        return None
    try:
        return Measured.model_validate_json(path.read_bytes())
    except ValidationError:
        warnings.warn(f"{path}: damaged measurements; the run is measured again.", stacklevel=2)
        return None


def save_measured(path: Path, found: Measured) -> None:
    """Write the measurements of a run atomically."""
    write_atomically(path, found.model_dump_json(indent=1) + "\n")


def is_trained(run: Run) -> bool:
    """Whether the pretraining of a run is finished, or none is needed."""
    return not run.trained or (run.folder / FOLDER / FINAL).exists()


def refuse_changed(runs: Sequence[Run]) -> None:
    """Check that cached pretrainings have the recipes of this study.

    Raises:
        RecipeError: one has another recipe; names the run and the first changes.
    """
    for run in runs:
        path = run.folder / "recipe.yaml"
        if not (run.trained and path.exists() and any((run.folder / FOLDER).glob("*.ckpt"))):
            continue
        changed = changes(
            read_mapping(path, RecipeError, "cannot be read; put back the recipe of this run."), run.pretrain
        )
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
    section, tune = task.recipe.task, task.recipe.tune
    data = [str(section.shards), _fingerprint(section.shards), task.split, section.train, section.label]
    return [*data, task.recipe.set, task.samples, tune.pooling, tune.augment]


@cache
def _fingerprint(shards: str | Path) -> str:
    return Manifest.load(shards).fingerprint()
