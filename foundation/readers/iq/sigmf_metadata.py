"""Parse and check the metadata of a SigMF recording: its dataset, captures and labelled annotations."""

from __future__ import annotations

import json
import warnings
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from foundation.errors import ReadError
from foundation.readers.iq.baseband import datatype_of


@dataclass(frozen=True)
class Capture:
    """A capture segment.

    Attributes:
        start: index of its first sample in the file.
        skipped: header bytes in the file up to there.
        frequency_hz: centre frequency; 0 means unknown.
    """

    start: int = 0
    skipped: int = 0
    frequency_hz: float = 0.0


@dataclass(frozen=True)
class Annotation:
    """A labelled annotation.

    Attributes:
        start: index of its first sample in the file.
        count: number of samples; None: up to the end of the capture.
        label: its text.
        where: its name, for messages.
    """

    start: int
    count: int | None
    label: str
    where: str


@dataclass(frozen=True)
class Metadata:
    """One recording: captures (at least one) in order of their start, and the annotations that have a label."""

    where: str
    datatype: tuple[bool, np.dtype]
    channels: int
    sample_rate_hz: float
    trailing_bytes: int
    dataset: str
    sha512: str
    device: str
    licence: str
    captures: tuple[Capture, ...]
    annotations: tuple[Annotation, ...]

    def pieces(self, total: int) -> Iterator[tuple[int, int, Capture, dict[str, str]]]:
        """Yield (first sample, end, capture, labels) of every segment in which capture and labels are constant.

        Raises:
            ReadError: an annotation exceeds the `total` samples of the dataset.
        """
        starts = [capture.start for capture in self.captures]
        if starts[0] > 0:
            warnings.warn(f"{self.where}: the {starts[0]} samples before the first capture are dropped", stacklevel=4)
        changes: dict[int, list[tuple[str, int]]] = {start: [] for start in starts}
        for annotation in self.annotations:
            after = bisect_right(starts, annotation.start)
            end_of_capture = starts[after] if after < len(starts) else total
            end = end_of_capture if annotation.count is None else annotation.start + annotation.count
            if annotation.start >= total or end > total:
                raise ReadError(
                    f"{annotation.where}: covers samples {annotation.start} to {end - 1}, but the dataset has 0 to "
                    f"{total - 1}; copy the dataset again or correct the annotation."
                )
            changes.setdefault(max(annotation.start, starts[0]), []).append((annotation.label, 1))
            changes.setdefault(max(end, starts[0]), []).append((annotation.label, -1))
        active: Counter[str] = Counter()
        overlaps = 0
        cuts = sorted(cut for cut in changes if cut < total)
        for first, stop in zip(cuts, [*cuts[1:], total], strict=True):
            for label, change in changes[first]:
                active[label] += change
                if not active[label]:
                    del active[label]
            overlaps += len(active) > 1
            capture = self.captures[bisect_right(starts, first) - 1]
            yield first, stop, capture, {"label": next(iter(active))} if len(active) == 1 else {}
        if overlaps:
            warnings.warn(
                f"{self.where}: {overlaps} segments have several labels and are left without one", stacklevel=4
            )


def parse(data: bytes, where: str) -> Metadata:
    """Parse the bytes of a `.sigmf-meta`; unknown fields are ignored.

    Raises:
        ReadError: it is not SigMF metadata, or a field has a value that the specification does not allow.
    """
    try:
        meta = json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ReadError(f"{where}: is not JSON ({error}); name the .sigmf-meta file, or copy it again.") from error
    if not isinstance(meta, dict) or not isinstance(meta.get("global"), dict):
        raise ReadError(f"{where}: has no object 'global'; expected SigMF metadata, name the .sigmf-meta file.")
    for name in ("captures", "annotations"):
        entries = meta.setdefault(name, [])
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise ReadError(f"{where}: {name!r} is not a list of objects, as SigMF has it; correct the metadata.")
    header = meta["global"]
    if header.get("core:metadata_only") is True:
        raise ReadError(f"{where}: is metadata only (core:metadata_only), without samples; get its dataset.")
    base = _base(header, meta["captures"], where)
    channels = _count(header, "core:num_channels", where, 1)
    if channels == 0:
        raise ReadError(f"{where}: core:num_channels is 0; expected at least 1.")
    return Metadata(
        where=where,
        datatype=datatype_of(header.get("core:datatype"), where),
        channels=channels,
        sample_rate_hz=_number(header, "core:sample_rate", where),
        trailing_bytes=_count(header, "core:trailing_bytes", where, 0),
        dataset=_dataset_name(header, where),
        sha512=_text(header, "core:sha512").lower(),
        device=_text(header, "core:hw"),
        licence=_text(header, "core:license"),
        captures=tuple(_captures(meta["captures"], base, where)) or (Capture(),),
        annotations=tuple(_annotations(meta["annotations"], base, where)),
    )


def _base(header: dict[str, Any], captures: list[dict[str, Any]], where: str) -> int:
    """Index of the first sample of the file: `core:offset`, unless the captures start below it."""
    offset = _count(header, "core:offset", where, 0)
    first = _count(captures[0], "core:sample_start", f"{where}, capture 0") if captures else offset
    return offset if first >= offset else 0


def _dataset_name(header: dict[str, Any], where: str) -> str:
    """Name of the dataset file in the metadata; "" if there is none."""
    name = header.get("core:dataset", "")
    if not isinstance(name, str) or PurePosixPath(name).name != name or name == ".." or set(name) & set("\\:\0"):
        raise ReadError(f"{where}: core:dataset is {name!r}; expected the name of a file in the same folder, no path.")
    return name


def _captures(entries: list[dict[str, Any]], base: int, where: str) -> list[Capture]:
    captures: list[Capture] = []
    skipped = 0
    for index, entry in enumerate(entries):
        here = f"{where}, capture {index}"
        start = _count(entry, "core:sample_start", here) - base
        skipped += _count(entry, "core:header_bytes", here, 0)
        if captures and start <= captures[-1].start:
            raise ReadError(f"{here}: core:sample_start is {start + base}; expected more than in the capture before.")
        captures.append(Capture(start, skipped, _number(entry, "core:frequency", here)))
    wrong = [date for entry in entries if not isinstance(date := entry.get("core:datetime", ""), str)]
    if wrong:
        warnings.warn(
            f"{where}: core:datetime is {_short(wrong[0])} in {len(wrong)} of {len(entries)} captures where SigMF has "
            "an ISO 8601 string; it is ignored, times count from the start of each capture",
            stacklevel=4,
        )
    return captures


def _annotations(entries: list[dict[str, Any]], base: int, where: str) -> Iterator[Annotation]:
    for index, entry in enumerate(entries):
        label = _text(entry, "core:label")
        if not label:
            continue
        here = f"{where}, annotation {index}"
        start = _count(entry, "core:sample_start", here) - base
        count = _count(entry, "core:sample_count", here) if "core:sample_count" in entry else None
        if start < 0:
            raise ReadError(f"{here}: core:sample_start is {start + base}, before core:offset {base}; correct it.")
        yield Annotation(start, count, label, here)


def _count(entry: dict[str, Any], key: str, where: str, default: int | None = None) -> int:
    value = entry.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 63:
        raise ReadError(f"{where}: {key} is {_short(value)}; expected an integer from 0 to 2^63 - 1.")
    return value


def _number(entry: dict[str, Any], key: str, where: str) -> float:
    """A finite number >= 0; 0 where the key is absent."""
    value = entry.get(key, 0)
    # The bound is checked first: converting an integer beyond the range of a float would raise.
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value < 1e300:
        raise ReadError(f"{where}: {key} is {_short(value)}; expected a finite number of hertz, 0 or more.")
    return float(value)


def _text(entry: dict[str, Any], key: str) -> str:
    value = entry.get(key, "")
    return value if isinstance(value, str) else ""


def _short(value: object) -> str:
    return repr(value)[:40]
