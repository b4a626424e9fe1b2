"""Predictions of one fitted model on one test part, with the score that needs no input."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foundation.data.labelled import Target
from foundation.errors import ReadError
from foundation.evaluate.statistics.metrics import scores
from foundation.files import write_atomically
from foundation.json_file import load_json


@dataclass(frozen=True)
class TaskResult:
    """Truth and prediction of every test sample.

    Attributes:
        label: name of the label.
        classes: class names, or None for a regression.
        truth, predicted: int64 [n] class indices, or float64 [n, size].
        constant: the best constant prediction from the training labels: the most frequent class, or the median.
    """

    label: str
    classes: tuple[str, ...] | None
    truth: NDArray
    predicted: NDArray
    constant: NDArray

    @classmethod
    def of(cls, target: Target, training: NDArray, truth: NDArray, predicted: NDArray) -> TaskResult:
        """
        Args:
            training: the encoded labels that the model was fitted to.
        """
        best = np.bincount(training).argmax() if target.classes is not None else np.median(training, axis=0)
        return cls(target.label, target.classes, truth, predicted, np.asarray(best))

    @property
    def scores(self) -> dict[str, float]:
        """Metric -> value, see `foundation.evaluate.statistics.metrics.scores`."""
        return scores(self.truth, self.predicted, self.label)

    @property
    def chance(self) -> dict[str, float]:
        """The scores of the constant prediction."""
        return scores(self.truth, np.broadcast_to(self.constant, self.truth.shape), self.label)

    @property
    def confusion(self) -> NDArray[np.int64]:
        """[true class, predicted class]: counts of test samples. Of a classification alone."""
        assert self.classes is not None
        counts = np.zeros((len(self.classes),) * 2, np.int64)
        np.add.at(counts, (self.truth, self.predicted), 1)
        return counts


def save_results(path: Path, found: Mapping[str, TaskResult]) -> None:
    """Write the results of every test part as JSON."""
    raw = {
        part: {
            "label": one.label,
            "classes": one.classes,
            **{name: getattr(one, name).tolist() for name in ("truth", "predicted", "constant")},
        }
        for part, one in found.items()
    }
    write_atomically(path, json.dumps(raw))


def load_results(path: Path) -> dict[str, TaskResult]:
    """Read what `save_results` wrote.

    Raises:
        ReadError: the file is missing or is no such file.
    """
    try:
        raw = load_json(path, finite=False)
        return {part: _result(fields) for part, fields in raw.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ReadError(f"{path}: not a file of predictions ({error}); fine-tune again into a new folder.") from None


def _result(fields: dict) -> TaskResult:
    classes = None if fields["classes"] is None else tuple(fields["classes"])
    kind = np.float64 if classes is None else np.int64
    truth, predicted, constant = (np.asarray(fields[name], kind) for name in ("truth", "predicted", "constant"))
    return TaskResult(fields["label"], classes, truth, predicted, constant)
