"""One labelled problem: training and test samples of one split, and which of the test samples belong together."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from foundation.config import TaskSection
from foundation.data.labelled import Target
from foundation.data.shards.corpus import read_part
from foundation.data.shards.manifest import Manifest
from foundation.errors import RecipeError
from foundation.signal import Signal


@dataclass(frozen=True)
class Problem:
    """The samples of a task. `tests` maps the part's name to its signals."""

    target: Target
    train: list[Signal]
    tests: dict[str, list[Signal]]

    @classmethod
    def load(cls, task: TaskSection, split: str) -> Problem:
        """Read the parts of one split; samples without the label are left out.

        Raises:
            ShardError, RecipeError: no such shards, split, part or label, or a part without a sample that has it.
        """
        parts = {part: read_part(task.shards, split, part) for part in (task.train, *task.tests)}
        target = Target.of(parts[task.train], task.label, Manifest.load(task.shards).tasks.get(task.label))
        kept = {part: [s for s in signals if task.label in s.labels] for part, signals in parts.items()}
        empty = [part for part, signals in kept.items() if not signals]
        if empty:
            raise RecipeError(
                f"{task.shards}: part {empty[0]!r} of split {split!r} has no sample labelled {task.label!r}."
            )
        return cls(target, kept[task.train], {part: kept[part] for part in task.tests})

    @property
    def signals(self) -> list[Signal]:
        """Of all parts."""
        return [*self.train, *(signal for signals in self.tests.values() for signal in signals)]

    @property
    def kind(self) -> str:
        return "regression" if self.target.classes is None else "classification"


def blocks(signals: list[Signal], truth: np.ndarray) -> np.ndarray:
    """int64 [n]: which samples were recorded together, and are right or wrong together.

    Of classes: those of one session and one class. Of numbers, as of a drive through a flat: stretches of about the
    square root of a session's samples, in their order.
    """
    sessions = np.unique([signal.session for signal in signals], return_inverse=True)[1]
    within = truth
    if truth.ndim > 1:
        within = np.zeros(len(signals), np.int64)
        for session in np.unique(sessions):
            rows = np.flatnonzero(sessions == session)
            within[rows] = np.arange(len(rows)) // math.ceil(math.sqrt(len(rows)))
    return np.unique(np.stack([sessions, within], 1), axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)
