"""Labelled samples in memory: tokens beside targets, for fine-tuning and evaluation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from foundation.data.labels import label_of
from foundation.data.layout import PlainSpec, TokenSpec
from foundation.data.shards.manifest import nearest
from foundation.data.shards.spec import TaskType
from foundation.data.tokens import Collated, Sample, collate, sample_of
from foundation.errors import RecipeError
from foundation.signal import Signal
from foundation.transforms.augment import device_responses

KEPT_BYTES = 2**28  # of the tokens that a set keeps
#: Tokens that pass through a network at a time; a larger batch is cut into pieces of a quarter of this, for which
#: attention and pooling take some hundred MB.
MOST_TOKENS = 2**16
COPIES = 2  # augmented copies of every training sample that heads on frozen features see
AUGMENTED_TOGETHER = 128  # samples of one seed of augmentation


@dataclass(frozen=True)
class Target:
    """Type of a label: class names in order, or None for a regression target of `size` numbers."""

    label: str
    classes: tuple[str, ...] | None
    size: int

    @classmethod
    def of(cls, signals: Sequence[Signal], label: str, kind: TaskType | None = None) -> Target:
        """The target of a label in the training signals.

        Args:
            kind: task type that the shards declare, where classes may be integers, or numbers and text. None: text is
                a class, numbers are a regression target.

        Raises:
            RecipeError: no signal carries the label (names those that exist), or all have one class.
        """
        found = [value for signal in signals if (value := label_of(signal, label)) is not None]
        if not found:
            known = {name for signal in signals for name in signal.labels}
            there = nearest(label, known) if known else "they carry none at all."
            raise RecipeError(f"task.label: no training sample carries {label!r}; {there}")
        if kind == "classification" or (kind is None and isinstance(found[0], str)):
            names = tuple(sorted({str(value) for value in found}))
            if len(names) < 2:
                raise RecipeError(
                    f"task.label: all {len(found)} training samples are of one class of {label!r}, {names[0]!r}; "
                    "name a split whose training part has two at least."
                )
            return cls(label, names, len(names))
        return cls(label, None, np.atleast_1d(np.asarray(found[0])).size)

    def encode(self, signals: Sequence[Signal]) -> np.ndarray:
        """int64 [n] class indices or float64 [n, size]: single precision would round UTM coordinates, which are
        millions of metres, to a quarter of a metre.

        Raises:
            RecipeError: a class that is not in the training part, or a number that is not finite.
        """
        values: list[Any] = [label_of(signal, self.label) for signal in signals]
        if self.classes is None:
            numbers = np.array([np.atleast_1d(value) for value in values], np.float64).reshape(-1, self.size)
            if not np.isfinite(numbers).all():
                raise RecipeError(
                    f"task.label: {self.label!r} is not finite in session "
                    f"{signals[int(np.argmin(np.isfinite(numbers).all(axis=1)))].session!r}; build the shards again, "
                    "without the label where it is not known."
                )
            return numbers
        unknown = sorted({str(value) for value in values} - set(self.classes))
        if unknown:
            raise RecipeError(
                f"task.label: test classes {', '.join(map(repr, unknown))} of {self.label!r} are not in the training "
                "part; name a split that trains on every class, or leave the label out of samples that are not scored."
            )
        return np.array([self.classes.index(str(value)) for value in values], np.int64)


class TokenSet:
    """Signals with their tokens, in batches that are collated but not cut. What is known of the first signals is kept,
    up to `KEPT_BYTES`, for the others made anew: positions of 20,000 RSSI scans of 520 access points take 400 MB."""

    def __init__(self, signals: Sequence[Signal], spec: TokenSpec) -> None:
        self.signals, self.spec = signals, PlainSpec(spec)
        self._kept: list[Sample] = []
        size = 0
        for signal in signals:
            self._kept.append(sample_of(signal, self.spec))
            size += self._kept[-1].position.nbytes + self._kept[-1].link.nbytes
            if size > KEPT_BYTES:
                break

    def __len__(self) -> int:
        return len(self.signals)

    def batch(self, rows: np.ndarray, augment: float = 0.0, seed: int = 0) -> Collated:
        """The batch of these rows; with `augment` > 0 each signal passes through a random device response first."""
        return collate(self._samples(rows, augment, seed), self.spec)

    def pieces(self, rows: np.ndarray, augment: float = 0.0, seed: int = 0) -> Iterator[Collated]:
        """As `batch`, in several where it would have more than `MOST_TOKENS`."""
        samples = self._samples(rows, augment, seed)
        tokens = max(sample.layout.tokens for sample in samples)
        step = len(samples) if len(samples) * tokens <= MOST_TOKENS else max(1, MOST_TOKENS // 4 // tokens)
        for start in range(0, len(samples), step):
            yield collate(samples[start : start + step], self.spec)

    def batches(self, size: int = 128) -> Iterator[Collated]:
        """All rows in order."""
        for start in range(0, len(self), size):
            yield from self.pieces(np.arange(start, min(start + size, len(self))))

    def _samples(self, rows: np.ndarray, augment: float, seed: int) -> list[Sample]:
        if augment:
            changed = device_responses((self.signals[i] for i in rows), seed, augment)
            return [sample_of(signal, self.spec) for signal in changed]
        return [self._kept[i] if i < len(self._kept) else sample_of(self.signals[i], self.spec) for i in rows.tolist()]


def augmented_copies(signals: Sequence[Signal], augment: float) -> Iterator[list[Signal]]:
    """Copies of training samples as of other devices, one list after the other; none without `augment`. They are those
    that `foundation.adapt.training_features` passes through an encoder."""
    for seed in copy_seeds(augment):
        starts = range(0, len(signals), AUGMENTED_TOGETHER)
        pieces = ((signals[k : k + AUGMENTED_TOGETHER], seed + k) for k in starts)
        yield [each for piece, own in pieces for each in device_responses(piece, own, augment)]


def copy_seeds(augment: float) -> list[int]:
    """A seed of augmentation for each copy."""
    return [10_000_019 * (k + 1) for k in range(COPIES if augment > 0 else 0)]


def label_subset(targets: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """Sorted rows int64 [m] of a random subset of the samples; of classes, the same share of each and at least one.

    Args:
        targets: int64 [n] classes or float [n, d] numbers.
    """
    rng = np.random.default_rng(seed)
    if fraction >= 1:
        return np.arange(len(targets))
    if targets.ndim > 1:
        return np.sort(rng.choice(len(targets), max(1, round(fraction * len(targets))), replace=False))
    picked = []
    for value in np.unique(targets):
        rows = np.flatnonzero(targets == value)
        picked.append(rng.choice(rows, max(1, round(fraction * len(rows))), replace=False))
    return np.sort(np.concatenate(picked))
