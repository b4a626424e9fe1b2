"""Common parts of data sets of many files: a `Dataset` over files and a reader, windows, and splits by group."""

from __future__ import annotations

import contextlib
import difflib
import itertools
import math
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foundation.data.shards.spec import (
    Dataset,
    DefinitionError,
    FilePiece,
    Parameter,
    Sample,
    Splits,
    TaskType,
    fingerprint,
)
from foundation.errors import ShardError, WfmError
from foundation.readers.arrays.layouts import Layout, load_layout
from foundation.signal import Signal

#: Licence of a set whose publisher names none: ask before redistributing it.
NOT_STATED = "not stated"
#: Larger sets have several files per piece: a piece of one small file has more overhead than content.
PIECES = 1000

Read = Callable[[], Iterable[Signal]]


def layout(name: str, **changes: Any) -> Layout:
    """Load a layout of `shards/layouts/`, with some of its keys changed."""
    return load_layout(Path(__file__).parent / "layouts" / f"{name}.yaml", **changes)


def from_files(
    raw: Path,
    reads: Mapping[Path, Read],
    splits: Callable[[], Splits],
    *,
    name: str,
    title: str,
    licence: str,
    citation: str,
    homepage: str,
    tasks: Mapping[str, TaskType],
    parameters: Mapping[str, Parameter] | None = None,
) -> Dataset:
    """A data set whose samples are the signals of files in order; keys number the files and their signals.

    Args:
        reads: file -> function that yields its signals, with session and labels; labels that are not a task are left
            out with a warning. Sessions must be contiguous in this order. Every value must pickle, see
            `Dataset.pieces`.
        parameters: parameters, besides the raw files, on which the samples depend.
    """
    entries = [
        (path, partial(_samples, number, path, read, tuple(tasks), name, licence))
        for number, (path, read) in enumerate(reads.items())
    ]
    size = max(1, math.ceil(len(entries) / PIECES))
    return Dataset(
        name=name,
        title=title,
        licence=licence,
        citation=citation,
        homepage=homepage,
        tasks=tasks,
        pieces=[FilePiece(tuple(entries[first : first + size])) for first in range(0, len(entries), size)],
        splits=splits,
        parameters={"raw": fingerprint(raw, reads), **(parameters or {})},
    )


def simulated_pieces(
    draw: Callable[..., Iterable[Signal]], name: str, count: int, seed: int, piece: int
) -> list[Callable[[], Iterator[Sample]]]:
    """The samples of a simulator, `piece` windows at a time, numbered in the set.

    Args:
        draw: (count, seed, first=) -> windows from number `first` on, which depend on seed and number alone.
        name: begins the names of samples.
    """
    return [partial(_drawn, draw, name, first, min(piece, count - first), seed) for first in range(0, count, piece)]


def _drawn(draw: Callable[..., Iterable[Signal]], name: str, first: int, count: int, seed: int) -> Iterator[Sample]:
    for index, signal in enumerate(draw(count, seed, first=first), start=first):
        yield f"{name}-{index:09d}", signal


def _samples(number: int, path: Path, read: Read, tasks: Sequence[str], name: str, licence: str) -> Iterator[Sample]:
    told: set[str] = set()
    for index, signal in enumerate(read()):
        key = f"{number:06d}_{index:08d}"
        _tell_undeclared(f"{name}: {path.name}: sample {key}", set(signal.labels) - told, signal.labels, tasks)
        told |= set(signal.labels)
        labels = {task: signal.labels[task] for task in tasks if task in signal.labels}
        yield key, signal.with_(labels=labels, source=name, licence=licence)


def _tell_undeclared(where: str, new: Iterable[str], labels: Iterable[str], tasks: Sequence[str]) -> None:
    """Warn of labels that are no task; refuse one that is spelt like a task that has no label.

    Raises:
        DefinitionError: a label and a task are the same word but for its spelling.
    """
    unlabelled = [task for task in tasks if task not in labels]
    for label in sorted(set(new) - set(tasks)):
        if near := difflib.get_close_matches(label, unlabelled, n=1):
            raise DefinitionError(
                f"{where}: has a label {label!r} but none for the task {near[0]!r}; spell the two alike."
            )
        warnings.warn(f"{where}: label {label!r} is left out: the tasks are {', '.join(tasks) or 'none'}", stacklevel=2)


def arrays(path: Path, *names: str) -> list[NDArray[Any]]:
    """Arrays of numbers or of text of an `.npz` file, by name. Nothing is unpickled.

    Raises:
        ShardError: the file is missing or damaged, or has no such array.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return [file[name] for name in names]
    except (OSError, ValueError, LookupError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ShardError(
            f"{path}: is no intact .npz file with {', '.join(names)} ({error}); download the set again."
        ) from error


def runs(values: NDArray[Any]) -> list[tuple[int, slice]]:
    """The number of each run of equal neighbours in a column, and its rows."""
    starts = [0, *(np.flatnonzero(values[1:] != values[:-1]) + 1).tolist(), len(values)]
    return [(int(values[start]), slice(start, stop)) for start, stop in itertools.pairwise(starts)]


def readable(read: Read) -> Iterator[Signal]:
    """The signals of a file as far as it can be read: a build leaves it out, and says why, where it cannot."""
    with contextlib.suppress(WfmError, OSError, ValueError, LookupError, EOFError):
        yield from read()


def windows(signal: Signal, length: int) -> Iterator[Signal]:
    """Non-overlapping windows of `length` times; the remainder is dropped, and so, with a warning, are windows without
    measurements and recordings shorter than a window."""
    if len(signal.time_s) < length:
        warnings.warn(
            f"session {signal.session}: left out, {len(signal.time_s)} times are fewer than a window of {length}",
            stacklevel=2,
        )
    for start in range(0, len(signal.time_s) - length + 1, length):
        if signal.mask[start : start + length].any():
            yield signal.window(start, length)
        else:
            warnings.warn(
                f"session {signal.session}: left out times {start} to {start + length - 1}, where nothing was measured",
                stacklevel=2,
            )


def parts(part_of: Mapping[str, str], names: Sequence[str] = ()) -> dict[str, list[str]]:
    """Invert session -> part into part -> sessions; `names` gives the order of the parts, including empty ones."""
    found: dict[str, list[str]] = {name: [] for name in names}
    for session, part in part_of.items():
        found.setdefault(part, []).append(session)
    return found


def leave_out(what: str, group_of: Mapping[str, str]) -> Splits:
    """Leave-one-group-out splits: `WHAT-GROUP` trains on all other groups and tests on this one."""
    return {
        f"{what}-{group}": parts({s: "test" if g == group else "train" for s, g in group_of.items()}, ("train", "test"))
        for group in sorted(set(group_of.values()))
    }


def cut_in_tenths(
    signals: Iterable[Signal], cell: Callable[[Signal], str], counts: Mapping[str, int]
) -> Iterator[Signal]:
    """Set the session of each example to the tenth of its cell; examples are ordered by cell, `counts` of each.

    For sets that do not record which examples were cut from one stretch of signal: neighbours stay in one session.
    """
    seen: Counter[str] = Counter()
    for signal in signals:
        name = cell(signal)
        yield signal.with_(session=f"{name}-{10 * seen[name] // counts[name]}")
        seen[name] += 1


def split_in_tenths(counts: Mapping[str, int]) -> Splits:
    """Split by tenths of every cell: the first eight train, the ninth validates and the last tests."""
    part = ["train"] * 8 + ["valid", "test"]
    sessions = {
        f"{name}-{tenth}": part[tenth]
        for name, count in counts.items()
        for tenth in sorted({10 * index // count for index in range(count)})
    }
    return {"tenths": parts(sessions, ("train", "valid", "test"))}
