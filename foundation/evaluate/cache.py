"""Cache of fits, one file each, so that a stopped evaluation resumes and a job array can share the work."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from itertools import product
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from foundation.adapt.adapter_files import FILES, weights_hash
from foundation.adapt.domain import check_base
from foundation.checkpoints.load import load_encoder
from foundation.config import LABELS_ALONE, EvaluateRecipe
from foundation.data.shards.manifest import Manifest
from foundation.evaluate.baselines.lwm import load_lwm
from foundation.evaluate.jobs import LWM, Job, jobs_of
from foundation.files import write_atomically
from foundation.models.config import architecture

#: Code that affects the outcome of a fit, as folders and modules of `foundation`; tables and figures do not.
_PACKAGES = ("signal", "transforms", "data", "nn", "models", "adapt", "evaluate/baselines")
_MODULES = ("cache", "fits", "frozen", "jobs", "statistics/metrics", "task", "transfer")
_LIBRARIES = ("numpy", "peft", "scikit-learn", "scipy", "torch", "transformers")
_NAMES = ("truth/", "predicted/", "block/")


@dataclass(frozen=True)
class Outcome:
    """Predictions of one fit.

    Attributes:
        parts: test part -> (truth, prediction, block), arrays [n] or [n, size], see `foundation.evaluate.task.blocks`.
        pooling: what was chosen on training sessions, and why: poolings, hand-made features of a stack, or the
            configuration of a tuned network; None where nothing was.
    """

    parts: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]
    pooling: str | None = None


class Outcomes:
    """Cache keys of the jobs of a recipe: one file per finished job.

    The file name is a hash of all that the outcome depends on: weights, shards, settings, the source code of this
    package and library versions. Stale outcomes are therefore never read; unused files are kept.
    """

    def __init__(self, recipe: EvaluateRecipe) -> None:
        self.recipe = recipe
        shards = Manifest.load(recipe.task.shards).fingerprint()
        self._common = f"{source_hash()} {_versions()} {recipe.task.model_dump_json()} {shards}"
        if LWM in recipe.modes and recipe.lwm is not None:
            load_lwm(recipe.lwm)  # of one hash alone, which is part of the source: refuses others before any fit
        sources = dict.fromkeys(recipe.source(*each) for each in product(recipe.sources, recipe.folds, recipe.seeds))
        self._networks = {source: _network_hashes(source) for source in sources}
        self._domains = {fold: _domain_hashes(recipe, fold, self._networks) for fold in recipe.folds}

    def path(self, job: Job) -> Path:
        """The cache file of a job, whether it exists or not."""
        shown = f"{job.fitted} {' '.join(self.recipe.configurations)}"
        how = f"{self._subject(job)} {shown} {job.fold} {job.mode} {job.seed} {job.fraction}"
        return self.recipe.cache / f"{hashlib.sha256(f'{self._common} {how}'.encode()).hexdigest()[:24]}.safetensors"

    def plan(self) -> dict[Path, Job]:
        """Cache file -> job. Checkpoints with the same network share jobs that start from random weights, under the
        name of the first."""
        found: dict[Path, Job] = {}
        for job in jobs_of(self.recipe):
            found.setdefault(self.path(job), job)
        return found

    def twin(self, method: str) -> str:
        """The first checkpoint with the same network, which has the rows that start from random weights."""
        first = self.recipe.folds[0], self.recipe.seeds[0]
        networks = {name: self._networks[self.recipe.source(name, *first)][0] for name in self.recipe.sources}
        return next(name for name, network in networks.items() if network == networks[method])

    def _subject(self, job: Job) -> str:
        """Key of the network and of the settings of a job."""
        if job.base == "baseline":
            return f"{job.method} {self.recipe.tune.augment}"
        tune = self.recipe.tune.model_dump_json()
        if job.base in LABELS_ALONE:
            return tune
        network, weights = self._networks[self.recipe.source(job.method, job.fold, job.seed)]
        domain = f" {self._domains[job.fold]}" if job.has_domain else ""
        return f"{tune} {network} {'' if job.base in ('untrained', 'scratch') else weights}{domain}"


def load_outcome(path: Path) -> Outcome | None:
    """Read what `save_outcome` wrote; None if the job is not done, or its file is damaged, which is said."""
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            pooling = (file.metadata() or {}).get("pooling")
        return Outcome(_parts(arrays), pooling)
    except (SafetensorError, OSError, ValueError) as error:
        warnings.warn(f"{path}: a kept fit is damaged ({error}); it is done again.", stacklevel=2)
        return None


def _parts(arrays: dict[str, np.ndarray]) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Truth, prediction and block by test part.

    Raises:
        ValueError: one is missing, or they are not of the same samples.
    """
    parts = [name.removeprefix(_NAMES[0]) for name in arrays if name.startswith(_NAMES[0])]
    if not parts or set(arrays) != {name + part for name in _NAMES for part in parts}:
        raise ValueError("it does not hold truth, predictions and blocks of every part")
    found = {}
    for part in parts:
        truth, predicted, block = (arrays[name + part] for name in _NAMES)
        if truth.shape != predicted.shape or block.shape != truth.shape[:1] or not truth.size:
            raise ValueError(f"truth, predictions and blocks of {part!r} are not of the same samples")
        found[part] = truth, predicted, block
    return found


def save_outcome(path: Path, outcome: Outcome) -> None:
    """Write the outcome of a job atomically."""
    arrays = {
        name + part: np.ascontiguousarray(array)
        for part, found in outcome.parts.items()
        for name, array in zip(_NAMES, found, strict=True)
    }
    metadata = None if outcome.pooling is None else {"pooling": outcome.pooling}
    write_atomically(path, save(arrays, metadata))


@cache
def source_hash() -> str:
    """SHA-256 of the source code that affects an outcome."""
    digest = hashlib.sha256()
    for path in hashed_files():
        digest.update(path.read_bytes())
    return digest.hexdigest()


def hashed_files() -> list[Path]:
    """The source files that affect an outcome, in a fixed order."""
    root = Path(__file__).parents[1]
    paths = [path for package in _PACKAGES for path in sorted((root / package).rglob("*.py"))]
    return [*paths, *(root / "evaluate" / f"{name}.py" for name in _MODULES)]


def _versions() -> str:
    return " ".join(f"{name}={version(name)}" for name in _LIBRARIES)


def _domain_hashes(recipe: EvaluateRecipe, fold: str, networks: Mapping[str, tuple[str, str]]) -> list[str]:
    """SHA-256 of the domain adapter of every test part of a fold.

    Raises:
        CheckpointError: there is none, or it was fitted to another encoder than the recipe's.
    """
    folders = [folder for part in recipe.task.tests if (folder := recipe.domain_of(fold, part)) is not None]
    for folder, (_, weights) in product(folders, networks.values()):
        check_base(folder, weights)
    return [hashlib.sha256((folder / FILES[1]).read_bytes()).hexdigest() for folder in folders]


def _network_hashes(source: str) -> tuple[str, str]:
    """Keys of an encoder's configuration and of its weights."""
    encoder = load_encoder(source)
    return json.dumps(architecture(encoder.config)), weights_hash(encoder)
