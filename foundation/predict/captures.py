"""Captures of any readable format, and shard directories, through a model: one answer each, or examples to remember."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

from foundation.config import CorpusSection
from foundation.data.shards.corpus import Corpus
from foundation.errors import WfmError
from foundation.inspect.capture import load as load_capture
from foundation.predict.model import Model
from foundation.predict.prediction import CaptureAnswer, Prediction
from foundation.signal import Signal

SAMPLES = 512  # of a shard directory that are in memory at a time


def predict_captures(
    model: Model,
    captures: Sequence[Path],
    hop_s: float | None = None,
    format: str | None = None,
    options: Sequence[str] = (),
) -> Iterator[CaptureAnswer]:
    """The answer for every capture, in order, as soon as it is there; shows progress.

    A capture that cannot be read or does not fit has an answer that says so, so that one file of a hundred does not
    lose the others.

    Args:
        hop_s: as of `Model.predict`.
        format, options: of the reader, as of `wfm inspect`.
    """
    for number, path in enumerate(captures, 1):
        name = f"{path.name} ({number} of {len(captures)})"
        found: list[Prediction] = []
        try:
            first = 0
            for signals in _pieces(path, format, options):
                found += [replace(one, signal=first + one.signal) for one in model.predict(signals, hop_s, name)]
                first += len(signals)
        except WfmError as error:
            text = str(error)
            yield CaptureAnswer(str(path), [], text if text.startswith(str(path)) else f"{path}: {text}")
        else:
            yield CaptureAnswer(str(path), found)


def remember_captures(
    model: Model,
    captures: Sequence[Path],
    label: str,
    false_alarms: float | None = None,
    format: str | None = None,
    options: Sequence[str] = (),
) -> int:
    """Add every window of these captures to the memory, under their names; the number of windows.

    Args:
        label, false_alarms: as of `Model.remember`.
        format, options: as of `predict_captures`.

    Raises:
        WfmError: a capture cannot be read or has no window; none is remembered.
    """
    before, count = model.memory, 0
    try:
        for path in captures:
            for signals in _pieces(path, format, options):
                count += model.remember(signals, label, str(path), false_alarms)
    except WfmError:
        model.memory = before
        raise
    return count


def _pieces(path: Path, format: str | None, options: Sequence[str]) -> Iterator[list[Signal]]:
    """The signals of a capture at once, those of a shard directory some at a time."""
    if path.is_dir() and format is None:
        samples = iter(Corpus(CorpusSection(shards=path, split=None, part=None)))
        while some := list(islice(samples, SAMPLES)):
            yield some
        return
    capture = load_capture(path, format, options)
    for text in capture.warnings:
        warnings.warn(f"{path}: {text}", stacklevel=2)
    yield capture.signals
