"""The independent parts of an evaluation: one fit each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import NamedTuple

import numpy as np

from foundation.config import EvaluateRecipe
from foundation.results.rows import WITH_TARGET_DATA

SUPERVISED = {"cnn": "supervised CNN", "resnet": "ResNet-20"}
#: Modes whose features can be aligned with unlabelled test recordings.
ALIGNABLE = ("baseline", "untrained", "probe", "knn")


@dataclass(frozen=True)
class Job:
    """One fit. `method` is the name of its rows: a baseline's, a baseline's or a checkpoint's; `fitted` what it is fitted
    to, see `EvaluateRecipe.fittings`."""

    fold: str
    fitted: str
    method: str
    mode: str
    seed: int
    fraction: float

    @property
    def base(self) -> str:
        """The mode, whether aligned or not."""
        return self.mode.removesuffix(self.alignment)

    @property
    def alignment(self) -> str:
        """What the mode ends in, "" where nothing is aligned."""
        return next((end for end in WITH_TARGET_DATA if self.mode.endswith(end)), "")

    @property
    def group(self) -> tuple[str, str, str, str, int]:
        """Jobs that share most of their work: features of the same weights."""
        return (self.fold, self.fitted, self.method, self.base, self.seed)


def jobs_of(recipe: EvaluateRecipe) -> Iterator[Job]:
    """Every mode x seed x label fraction of every fold; those that share features follow one another."""
    for fold, fitted in product(recipe.folds, recipe.fittings):
        for (method, base), seed, fraction in product(_lines(recipe), recipe.seeds, recipe.fractions):
            for mode in _modes(recipe, method, base):
                yield Job(fold, fitted, method, mode, seed, fraction)


def _lines(recipe: EvaluateRecipe) -> list[tuple[str, str]]:
    """Method and mode."""
    of_baselines = [(each.title, "baseline") for each in recipe.baselines if "baseline" in recipe.modes]
    of_networks = [(SUPERVISED[mode], str(mode)) for mode in recipe.modes if mode in SUPERVISED]
    adapted = [mode for mode in recipe.modes if mode != "baseline" and mode not in SUPERVISED]
    return [*of_baselines, *of_networks, *product(recipe.sources, adapted)]


def _modes(recipe: EvaluateRecipe, method: str, base: str) -> list[str]:
    if recipe.align == "none" or base not in ALIGNABLE:
        return [base]
    # Only a kernel head trains itself: the others are not sure of anything in a way that all of them share.
    others = [each.title for each in recipe.baselines if each.method != "kernel"]
    if recipe.align == "self-training" and (base == "knn" or (base == "baseline" and method in others)):
        return [base]
    return [base, f"{base}+{recipe.align}"]


class Line(NamedTuple):
    """What has one figure: a method in a mode, from so many labels, on a test part."""

    part: str
    method: str
    mode: str
    fraction: float


@dataclass
class Runs:
    """The answers of one line. Folds (several splits of one set, such as leave-geometry-out) follow one another.

    Attributes:
        truth, block: [n], or [n, d], of the test samples; see `foundation.evaluate.task.blocks`.
        predicted: seed -> as `truth`.
        poolings: how often which pooling was taken.
    """

    truth: np.ndarray
    block: np.ndarray
    predicted: Mapping[int, np.ndarray]
    poolings: Counter[str] = field(default_factory=Counter)

    @property
    def seeds(self) -> list[int]:
        """Those that count as runs of their own: the first alone where all say the same."""
        first, *others = self.predicted
        alike = all(np.array_equal(self.predicted[first], self.predicted[other]) for other in others)
        return [first] if alike else [first, *others]
