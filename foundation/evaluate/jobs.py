"""Jobs of an evaluation: independent fits, one for every mode, label fraction, seed and fold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import NamedTuple

import numpy as np

from foundation.config import LABELS_ALONE, EvaluateRecipe
from foundation.results.rows import DOMAIN, WITH_TARGET_DATA

SUPERVISED = {"cnn": "supervised CNN", "resnet": "ResNet-20"}
STATISTICS, LWM = "statistics", "lwm-1.0"
#: Modes whose features can be aligned with unlabelled test recordings.
ALIGNABLE = ("baseline", STATISTICS, LWM, "untrained", "probe", "knn")
#: Modes that read the weights of an encoder, to which those of a domain adapter can be added.
ADAPTABLE = ("probe", "knn", "lora", "full")


@dataclass(frozen=True)
class Job:
    """One fit.

    Attributes:
        method: name in result rows, see `title`, or that of a checkpoint.
        fitted: configuration of the training recordings, see `EvaluateRecipe.fittings`.
    """

    fold: str
    fitted: str
    method: str
    mode: str
    seed: int
    fraction: float

    @property
    def base(self) -> str:
        """The mode without its suffix."""
        return next((self.mode.removesuffix(end) for end in WITH_TARGET_DATA if self.mode.endswith(end)), self.mode)

    @property
    def has_domain(self) -> bool:
        """Whether a domain adapter is added to the encoder."""
        return self.mode.endswith(DOMAIN)

    @property
    def alignment(self) -> str:
        """The suffix of a mode whose features are aligned, "" if they are not."""
        return "" if self.has_domain else self.mode.removeprefix(self.base)

    @property
    def group(self) -> tuple[str, str, str, str, int]:
        """Key of jobs that share features."""
        return (self.fold, self.fitted, self.method, self.base, self.seed)


def jobs_of(recipe: EvaluateRecipe) -> Iterator[Job]:
    """Every mode, seed and label fraction of every fold; jobs that share features are adjacent."""
    for fold, fitted in product(recipe.folds, recipe.fittings):
        for (method, base), seed, fraction in product(_lines(recipe), recipe.seeds, recipe.fractions):
            for mode in _modes(recipe, method, base):
                yield Job(fold, fitted, method, mode, seed, fraction)


def title(recipe: EvaluateRecipe, mode: str) -> str:
    """Name in result rows of a mode that needs no checkpoint; of hand-made features, of the first."""
    if mode == "baseline":
        return recipe.baselines[0].title
    if mode == STATISTICS:
        return "closed-form statistics"
    if mode == LWM:
        return "LWM 1.0"
    return SUPERVISED[mode] + (f", best of {recipe.tune.search}" if recipe.tune.search else "")


def _lines(recipe: EvaluateRecipe) -> list[tuple[str, str]]:
    """Method and mode."""
    of_baselines = [(each.title, "baseline") for each in recipe.baselines if "baseline" in recipe.modes]
    alone = [(title(recipe, mode), str(mode)) for mode in recipe.modes if mode in LABELS_ALONE and mode != "baseline"]
    adapted = [mode for mode in recipe.modes if mode not in LABELS_ALONE]
    return [*of_baselines, *alone, *product(recipe.sources, adapted)]


def _modes(recipe: EvaluateRecipe, method: str, base: str) -> list[str]:
    adapted = [base + DOMAIN] if recipe.domain is not None and base in ADAPTABLE else []
    if base not in ALIGNABLE:
        return [base, *adapted]
    # Self-training needs comparable confidences, which only the kernel head has.
    others = [each.title for each in recipe.baselines if not each.is_stack]
    has_confidences = base != "knn" and not (base == "baseline" and method in others)
    ways = [way for way in dict.fromkeys(recipe.align) if way != "self-training" or has_confidences]
    return [base, *(f"{base}+{way}" for way in ways), *adapted]


class Line(NamedTuple):
    """Key of one result: a method in a mode at a label fraction on a test part."""

    part: str
    method: str
    mode: str
    fraction: float


@dataclass
class Runs:
    """Predictions of one line; folds (several splits of one data set) are concatenated.

    Attributes:
        truth: targets [n] or [n, d] of the test samples.
        block: int64 [n], see `foundation.evaluate.task.blocks`.
        predicted: seed -> predictions, shaped as `truth`.
        poolings: how often each pooling was chosen.
    """

    truth: np.ndarray
    block: np.ndarray
    predicted: Mapping[int, np.ndarray]
    poolings: Counter[str] = field(default_factory=Counter)

    @property
    def seeds(self) -> list[int]:
        """Seeds that count as separate runs: the first only, if all predictions are equal."""
        first, *others = self.predicted
        alike = all(np.array_equal(self.predicted[first], self.predicted[other]) for other in others)
        return [first] if alike else [first, *others]
