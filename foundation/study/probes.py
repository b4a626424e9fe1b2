"""What a frozen encoder tells of left-out training sessions: the score that a choice may be made by.

No test part, and no validation part, is read: an objective that was chosen by a study has not been tuned on tests.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from foundation.adapt import fit_stack, held_out_folds
from foundation.config import CorpusSection
from foundation.data.labelled import Target, label_subset
from foundation.data.shards.corpus import Corpus
from foundation.data.shards.manifest import Manifest, count_sessions
from foundation.errors import RecipeError
from foundation.evaluate.statistics.metrics import scores
from foundation.results.tables import HEADLINES
from foundation.signal import Signal
from foundation.study.plan import Task


@dataclass(frozen=True)
class Labelled:
    """Labelled training samples, and the folds over their sessions: (rows to learn from, rows to tell)."""

    target: Target
    signals: list[Signal]
    folds: list[tuple[np.ndarray, np.ndarray]]

    @classmethod
    def load(cls, task: Task) -> Labelled:
        """The training part of a task, subset to so many samples.

        Raises:
            ShardError, RecipeError: no such shards, split, part or label, or too few labels to leave any out.
        """
        asked = task.recipe.task
        manifest = Manifest.load(asked.shards)
        counts = count_sessions(manifest.shards)
        total = sum(counts[session] for session in manifest.sessions(task.split, asked.train))
        samples = None if task.samples is None else min(task.samples, total)
        every = list(Corpus(CorpusSection(shards=asked.shards, split=task.split, part=asked.train, samples=samples)))
        target = Target.of(every, asked.label, manifest.tasks.get(asked.label))
        signals = [signal for signal in every if asked.label in signal.labels]
        folds = held_out_folds(target.encode(signals), [signal.session for signal in signals], seed=0)
        if not folds:
            raise RecipeError(
                f"{asked.shards}: {len(signals)} samples of part {asked.train!r} with {asked.label!r} are too few to "
                "leave sessions out; raise samples, or name another task."
            )
        return cls(target, signals, folds)


def probe_scores(features: dict[str, np.ndarray], labelled: Labelled, fraction: float, seed: int) -> dict[str, float]:
    """The headline metric of the answers of all folds together, from a share of the labels of each.

    As `wfm evaluate` has it for a test part: poolings and the regularisation of heads are weighed by holding out
    sessions once more, among those that are learnt from.

    Args:
        features: `foundation.adapt.training_features` of all samples, by pooling.
        seed: draws the label subset and the centres of the head.
    """
    targets = labelled.target.encode(labelled.signals)
    folds = [(known[label_subset(targets[known], fraction, seed)], asked) for known, asked in labelled.folds]
    answers = [_answers(features, labelled, targets, rows, asked, seed) for rows, asked in folds]
    truth = np.concatenate([targets[asked] for _, asked in folds])
    found = scores(truth, np.concatenate(answers), labelled.target.label)
    return {metric: value for metric, value in found.items() if metric in HEADLINES}


def _answers(
    features: dict[str, np.ndarray],
    labelled: Labelled,
    targets: np.ndarray,
    rows: np.ndarray,
    asked: np.ndarray,
    seed: int,
) -> np.ndarray:
    """What a head that learnt from `rows` says of the rows `asked`: class indices or numbers."""
    own, size = [labelled.signals[i].session for i in rows], labelled.target.size
    head, pooling, _ = fit_stack({name: x[:, rows] for name, x in features.items()}, targets[rows], size, own, seed)
    pooled = np.concatenate([features[name][0][asked] for name in pooling.split("+")], axis=1)
    with torch.no_grad():
        output = head(torch.from_numpy(pooled)).numpy()
    return np.asarray(output.argmax(1) if targets.ndim == 1 else output)
