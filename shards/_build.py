"""What data sets of many files share: a `Dataset` of files that a reader turns into signals, and splits by groups."""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from foundation.data.shards.spec import Dataset, Parameter, Sample, Splits, TaskType, fingerprint
from foundation.errors import ShardError, SignalError
from foundation.readers.arrays.layouts import Layout, load_layout
from foundation.signal import Signal

#: The licence of a set whose publisher names none: ask before you pass it on.
NOT_STATED = "not stated"
#: Sets of more files have several in a piece: a piece of one small file would cost more than the file.
PIECES = 1000

Read = Callable[[], Iterable[Signal]]


def layout(name: str, **changes: Any) -> Layout:
    """A layout of `shards/layouts/`, with some of its keys changed."""
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
    """A data set whose samples are the signals of files, one file after another; keys count files and signals.

    Args:
        reads: file -> what gives its signals, with session and labels; labels that are no task are left out. In this
            order the sessions must follow each other. Every value must pickle, see `Dataset.pieces`.
        parameters: what shapes the samples besides the raw files.
    """
    numbered = list(enumerate(reads.items()))
    size = max(1, math.ceil(len(numbered) / PIECES))
    return Dataset(
        name=name,
        title=title,
        licence=licence,
        citation=citation,
        homepage=homepage,
        tasks=tasks,
        pieces=[
            partial(_samples, numbered[first : first + size], tuple(tasks), name, licence)
            for first in range(0, len(numbered), size)
        ],
        splits=splits,
        parameters={"raw": fingerprint(raw, reads), **(parameters or {})},
    )


def _samples(
    numbered: Sequence[tuple[int, tuple[Path, Read]]], tasks: Sequence[str], name: str, licence: str
) -> Iterator[Sample]:
    for number, (path, read) in numbered:
        try:
            for index, signal in enumerate(read()):
                labels = {task: signal.labels[task] for task in tasks if task in signal.labels}
                yield f"{number:06d}_{index:08d}", signal.with_(labels=labels, source=name, licence=licence)
        except SignalError as error:
            raise ShardError(f"{name}: {path}: {error}") from error


def windows(signal: Signal, length: int) -> Iterator[Signal]:
    """Windows that do not overlap; what is left at the end is dropped, and so, with a warning, are those in which
    nothing was measured, and recordings shorter than one."""
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
    """Session -> part, turned into part -> sessions; `names` gives the order of the parts, empty ones too."""
    found: dict[str, list[str]] = {name: [] for name in names}
    for session, part in part_of.items():
        found.setdefault(part, []).append(session)
    return found


def leave_out(what: str, group_of: Mapping[str, str]) -> Splits:
    """For each group a split `WHAT-GROUP` that trains on all other groups and tests on it."""
    return {
        f"{what}-{group}": parts({s: "test" if g == group else "train" for s, g in group_of.items()}, ("train", "test"))
        for group in sorted(set(group_of.values()))
    }


def cut_in_tenths(
    signals: Iterable[Signal], cell: Callable[[Signal], str], counts: Mapping[str, int]
) -> Iterator[Signal]:
    """Examples that come cell by cell, `counts` of each, with the tenth of its cell as the session of each.

    For sets that do not tell which examples were cut from one stretch of signal: neighbours stay together.
    """
    seen: Counter[str] = Counter()
    for signal in signals:
        name = cell(signal)
        yield signal.with_(session=f"{name}-{10 * seen[name] // counts[name]}")
        seen[name] += 1


def split_in_tenths(counts: Mapping[str, int]) -> Splits:
    """Of every cell the first eight tenths train, the ninth validates and the last tests."""
    part = ["train"] * 8 + ["valid", "test"]
    sessions = {
        f"{name}-{tenth}": part[tenth]
        for name, count in counts.items()
        for tenth in sorted({10 * index // count for index in range(count)})
    }
    return {"tenths": parts(sessions, ("train", "valid", "test"))}
