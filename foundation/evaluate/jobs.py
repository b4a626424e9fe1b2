"""The independent parts of an evaluation, and where the outcome of each is kept so that a stopped one goes on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from functools import cache
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save

from foundation.adapt.store import weights_hash
from foundation.data.manifest import Manifest
from foundation.files import write_atomically
from foundation.hub.load import load_encoder
from foundation.recipe import EvaluateRecipe

#: Modes that draw nothing but the label subset; with all labels, every seed would repeat the same numbers.
DETERMINISTIC = ("probe", "knn", "floor")

#: Test part -> (truth, prediction).
Outcome = dict[str, tuple[np.ndarray, np.ndarray]]


TRUTH, PREDICTED = "truth/", "predicted/"


@dataclass(frozen=True)
class Job:
    fold: str
    mode: str
    fraction: float
    seed: int


def jobs_of(recipe: EvaluateRecipe) -> Iterator[Job]:
    """Every mode x label fraction x seed of every fold, a fold at a time."""
    for fold in recipe.folds:
        for mode in recipe.modes:
            for fraction in recipe.fractions:
                repeats = mode in DETERMINISTIC and fraction == 1 and recipe.floor_method != "extra-trees"
                for seed in recipe.seeds[:1] if repeats else recipe.seeds:
                    yield Job(fold, mode, fraction, seed)


class Outcomes:
    """A file per finished job. Its name says all that the outcome depends on: the weights, the shards, how the job is
    done and the source code of this package. Nothing stale is ever read, and what is no longer asked for stays."""

    def __init__(self, recipe: EvaluateRecipe) -> None:
        self.folder = recipe.keep
        # What selects jobs or how they are run does not change what comes out of one.
        how = recipe.model_dump_json(exclude={"name", "keep", "modes", "fractions", "seeds", "workers", "decoder"})
        shards = Manifest.load(recipe.task.shards).fingerprint()
        weights = {fold: weights_hash(load_encoder(recipe.checkpoint.format(split=fold))) for fold in recipe.folds}
        self._common = {fold: f"{source_hash()} {how} {shards} {weights[fold]}" for fold in recipe.folds}

    def path(self, job: Job) -> Path:
        """Where the outcome of the job is, or will be."""
        text = f"{self._common[job.fold]} {astuple(job)}"
        return self.folder / f"{hashlib.sha256(text.encode()).hexdigest()[:24]}.safetensors"


def load_outcome(path: Path) -> Outcome | None:
    """What `save_outcome` wrote, or None where the job is still to be done."""
    if not path.exists():
        return None
    arrays = load_file(path)
    parts = [name.removeprefix(TRUTH) for name in arrays if name.startswith(TRUTH)]
    return {part: (arrays[TRUTH + part], arrays[PREDICTED + part]) for part in parts}


def save_outcome(path: Path, outcome: Outcome) -> None:
    """Write one job's outcome, whole or not at all."""
    arrays = {TRUTH + part: truth for part, (truth, _) in outcome.items()}
    arrays |= {PREDICTED + part: predicted for part, (_, predicted) in outcome.items()}
    write_atomically(path, save({name: np.ascontiguousarray(array) for name, array in arrays.items()}))


@cache
def source_hash() -> str:
    """SHA-256 of the source that an outcome goes through: an outcome of other code is another outcome."""
    root, digest = Path(__file__).parents[1], hashlib.sha256()
    for package in ("signal", "data", "nn", "models", "adapt", "evaluate"):
        for path in sorted((root / package).glob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()
