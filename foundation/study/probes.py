"""Probe scores of a frozen encoder by cross-validation over training sessions, for model selection.

Test and validation parts are not read: an objective that was selected by a study is not tuned on them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from foundation.adapt import fit_stack, held_out_folds
from foundation.config import CorpusSection
from foundation.data.labelled import Target, label_subset
from foundation.data.labels import labelled, refuse_unknown_label, task_type
from foundation.data.origins import origins
from foundation.data.shards.corpus import Corpus
from foundation.data.shards.manifest import Manifest, count_sessions
from foundation.errors import RecipeError
from foundation.evaluate.statistics.metrics import scores
from foundation.results.tables import HEADLINES
from foundation.signal import Signal
from foundation.study.plan import Task


@dataclass(frozen=True)
class Labelled:
    """Labelled training samples, and cross-validation folds as of a stack: (training rows, test rows)."""

    target: Target
    signals: list[Signal]
    folds: list[tuple[np.ndarray, np.ndarray]]

    @classmethod
    def load(cls, task: Task) -> Labelled:
        """Read the training part of a task, subsampled to `task.samples`.

        Raises:
            ShardError, RecipeError: no such shards, split, part or label, or too few labels for folds.
        """
        section = task.recipe.task
        manifest = Manifest.load(section.shards)
        refuse_unknown_label(manifest, section.label)
        counts = count_sessions(manifest.shards)
        total = sum(counts[session] for session in manifest.sessions(task.split, section.train))
        samples = None if task.samples is None else min(task.samples, total)
        part = CorpusSection(shards=section.shards, split=task.split, part=section.train, samples=samples)
        every = list(Corpus(part))
        target = Target.of(every, section.label, task_type(section.label, manifest.tasks))
        signals = labelled(every, section.label)
        folds = held_out_folds(target.encode(signals), origins(signals), seed=0).rows
        if not folds:
            raise RecipeError(
                f"{section.shards}: {len(signals)} samples of part {section.train!r} with {section.label!r} are too "
                "few to leave sessions out; raise samples, or name another task."
            )
        return cls(target, signals, folds)


def probe_scores(features: dict[str, np.ndarray], labelled: Labelled, fraction: float, seed: int) -> dict[str, float]:
    """The headline metric over the predictions of all folds, from a fraction of the labels of each training part.

    As in `wfm evaluate`, stacking weights are cross-validated within the training rows (nested cross-validation).

    Args:
        features: `foundation.adapt.training_features` [K, n, F] of all samples, by pooling.
        seed: of the label subset and the kernel centres.
    """
    targets = labelled.target.encode(labelled.signals)
    truth, predicted = [], []
    for train, test in labelled.folds:
        rows = train[label_subset(targets[train], fraction, seed)]
        origin = origins(labelled.signals[i] for i in rows)
        known = {name: x[:, rows] for name, x in features.items()}
        stack = fit_stack(known, targets[rows], labelled.target.size, origin, seed)
        output = stack.predict({name: x[0][test] for name, x in features.items()})
        predicted.append(output.argmax(1) if targets.ndim == 1 else output)
        truth.append(targets[test])
    found = scores(np.concatenate(truth), np.concatenate(predicted), labelled.target.label)
    return {metric: value for metric, value in found.items() if metric in HEADLINES}
