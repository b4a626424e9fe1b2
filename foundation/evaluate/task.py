"""A labelled problem: training and test samples of one split, and blocks of dependent test samples."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from foundation.config import TaskSection
from foundation.data.labelled import Target
from foundation.data.labels import labelled, refuse_unknown_label, task_type
from foundation.data.shards.corpus import read_part
from foundation.data.shards.manifest import Manifest
from foundation.errors import RecipeError
from foundation.signal import Signal


@dataclass(frozen=True)
class Problem:
    """Labelled samples of a task; `tests` maps each test part to its signals."""

    target: Target
    train: list[Signal]
    tests: dict[str, list[Signal]]

    @classmethod
    def load(cls, task: TaskSection, split: str) -> Problem:
        """Read the parts of one split; samples without the label are left out.

        Raises:
            ShardError, RecipeError: no such shards, split, part or label, or a part without labelled samples.
        """
        manifest = Manifest.load(task.shards)
        refuse_unknown_label(manifest, task.label)
        parts = {part: read_part(task.shards, split, part) for part in (task.train, *task.tests)}
        target = Target.of(parts[task.train], task.label, task_type(task.label, manifest.tasks))
        kept = {part: labelled(signals, task.label) for part, signals in parts.items()}
        empty = [part for part, signals in kept.items() if not signals]
        if empty:
            raise RecipeError(
                f"{task.shards}: part {empty[0]!r} of split {split!r} has no sample labelled {task.label!r}."
            )
        return cls(target, kept[task.train], {part: kept[part] for part in task.tests})

    @property
    def signals(self) -> list[Signal]:
        """Signals of all parts."""
        return [*self.train, *(signal for signals in self.tests.values() for signal in signals)]

    @property
    def kind(self) -> str:
        return "regression" if self.target.classes is None else "classification"


def blocks(signals: list[Signal], truth: np.ndarray) -> np.ndarray:
    """Block index of every sample, int64 [n]: samples of a block were recorded together and are not independent.

    For classes, a block is one session and class. For numbers, as of a robot driving through a flat, it is a contiguous
    run of about the square root of a session's samples.
    """
    sessions = np.unique([signal.session for signal in signals], return_inverse=True)[1]
    within = truth
    if truth.ndim > 1:
        within = np.zeros(len(signals), np.int64)
        for session in np.unique(sessions):
            rows = np.flatnonzero(sessions == session)
            within[rows] = np.arange(len(rows)) // math.ceil(math.sqrt(len(rows)))
    return np.unique(np.stack([sessions, within], 1), axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)
