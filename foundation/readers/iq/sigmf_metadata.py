"""Parse and check the metadata of a SigMF recording: its dataset, captures and labelled annotations.

What the SigMF library reads although the specification forbids it is read here, too, with a warning: numbers as text or
as floats, data types without byte order, captures out of order, and annotations beyond the end of the dataset.
"""

from __future__ import annotations

import math
import warnings
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from foundation.errors import ReadError
from foundation.readers.files import parse_json
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

        Annotations are cut to the `total` samples of the dataset, and captures and annotations beyond them left out,
        with a warning.
        """
        captures = [capture for capture in self.captures if capture.start < total]
        if len(captures) < len(self.captures):
            warnings.warn(
                f"{self.where}: the dataset ends after {total} samples, so the last "
                f"{len(self.captures) - len(captures)} of {len(self.captures)} captures are left out",
                stacklevel=4,
            )
        starts = [capture.start for capture in captures]
        if starts[0] > 0:
            warnings.warn(f"{self.where}: the {starts[0]} samples before the first capture are dropped", stacklevel=4)
        changes: dict[int, list[tuple[str, int]]] = {start: [] for start in starts}
        for label, start, end in self._spans(starts, total):
            changes.setdefault(max(start, starts[0]), []).append((label, 1))
            changes.setdefault(max(end, starts[0]), []).append((label, -1))
        active: Counter[str] = Counter()
        overlaps = 0
        cuts = sorted(cut for cut in changes if cut < total)
        for first, stop in zip(cuts, [*cuts[1:], total], strict=True):
            for label, change in changes[first]:
                active[label] += change
                if not active[label]:
                    del active[label]
            overlaps += len(active) > 1
            capture = captures[bisect_right(starts, first) - 1]
            yield first, stop, capture, {"label": next(iter(active))} if len(active) == 1 else {}
        if overlaps:
            warnings.warn(
                f"{self.where}: {overlaps} segments have several labels and are left without one", stacklevel=4
            )

    def _spans(self, starts: list[int], total: int) -> Iterator[tuple[str, int, int]]:
        """Yield (label, first sample, end) of each annotation, cut to the dataset; warns of those that exceed it."""
        beyond: list[Annotation] = []
        for annotation in self.annotations:
            after = bisect_right(starts, annotation.start)
            end_of_capture = starts[after] if after < len(starts) else total
            end = end_of_capture if annotation.count is None else annotation.start + annotation.count
            if annotation.start >= total or end > total:
                beyond.append(annotation)
            if annotation.start < min(end, total):
                yield annotation.label, annotation.start, min(end, total)
        if beyond:
            warnings.warn(
                f"{beyond[0].where}: begins at sample {beyond[0].start} and exceeds the {total} samples of the data, "
                f"as do {len(beyond)} of {len(self.annotations)} labelled annotations; they are cut, or left out",
                stacklevel=5,
            )


def parse(data: bytes, where: str) -> Metadata:
    """Parse the bytes of a `.sigmf-meta`; unknown fields are ignored.

    Raises:
        ReadError: it is not SigMF metadata, or a field without which samples cannot be found has no sound value.
    """
    meta = parse_json(data, where, "name the .sigmf-meta file, or copy it again")
    if not isinstance(meta, dict) or not isinstance(meta.get("global"), dict):
        raise ReadError(f"{where}: has no object 'global'; expected SigMF metadata, name the .sigmf-meta file.")
    for name in ("captures", "annotations"):
        entries = meta[name] = [] if meta.get(name) is None else meta[name]
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
    first = _whole(captures[0].get("core:sample_start")) if captures else offset
    return offset if first is None or first >= offset else 0


def _dataset_name(header: dict[str, Any], where: str) -> str:
    """Name of the dataset file in the metadata; "" if there is none."""
    name = header.get("core:dataset", "")
    if not isinstance(name, str) or PurePosixPath(name).name != name or name == ".." or set(name) & set("\\:\0"):
        raise ReadError(f"{where}: core:dataset is {name!r}; expected the name of a file in the same folder, no path.")
    return name


def _captures(entries: list[dict[str, Any]], base: int, where: str) -> list[Capture]:
    """The captures in order of their start; of several with one start, the last."""
    found: dict[int, Capture] = {}
    skipped = 0
    for index, entry in enumerate(entries):
        here = f"{where}, capture {index}"
        if index == 0 and entry.get("core:sample_start") is None:
            warnings.warn(f"{here}: has no core:sample_start; it is taken as the start of the file", stacklevel=4)
            entry = {**entry, "core:sample_start": base}
        start = _count(entry, "core:sample_start", here) - base
        skipped += _count(entry, "core:header_bytes", here, 0)
        if found and start <= max(found):
            if skipped:
                raise ReadError(
                    f"{here}: core:sample_start is {start + base}; expected more than in the capture before, as "
                    "core:header_bytes count in the order of the file: sort the captures."
                )
            warnings.warn(f"{here}: does not start after the capture before; captures are sorted", stacklevel=4)
        found[start] = Capture(start, skipped, _number(entry, "core:frequency", here))
    wrong = [date for entry in entries if not isinstance(date := entry.get("core:datetime", ""), str)]
    if wrong:
        warnings.warn(
            f"{where}: core:datetime is {_short(wrong[0])} in {len(wrong)} of {len(entries)} captures where SigMF has "
            "an ISO 8601 string; it is ignored, times count from the start of each capture",
            stacklevel=4,
        )
    return [found[start] for start in sorted(found)]


def _annotations(entries: list[dict[str, Any]], base: int, where: str) -> Iterator[Annotation]:
    """The labelled annotations; one without a sound start or count is left out, with a warning."""
    odd: list[str] = []
    for index, entry in enumerate(entries):
        label = _text(entry, "core:label")
        if not label:
            continue
        here = f"{where}, annotation {index}"
        start = _whole(entry.get("core:sample_start"))
        count = _whole(entry["core:sample_count"]) if entry.get("core:sample_count") is not None else None
        if start is None or start < base or (count is None and entry.get("core:sample_count") is not None):
            first = _short(entry.get("core:sample_start"))
            odd.append(
                f"{here}: is left out, starting at {first} with {_short(entry.get('core:sample_count'))} samples"
            )
            continue
        if any(isinstance(entry.get(key), (float, str)) for key in ("core:sample_start", "core:sample_count")):
            odd.append(f"{here}: its start or count is no integer and is rounded")
        yield Annotation(start - base, count, label, here)
    if odd:
        warnings.warn(f"{odd[0]} ({len(odd)} of {len(entries)} annotations are unsound)", stacklevel=4)


def _whole(value: object) -> int | None:
    """A count as an integer, also from a float or text; None if it is no number from 0 to 2^63 - 1."""
    try:
        number = value if isinstance(value, int) else round(float(value))  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None
    return number if not isinstance(value, bool) and 0 <= number < 1 << 63 else None


def _count(entry: dict[str, Any], key: str, where: str, default: int | None = None) -> int:
    value = entry.get(key, default)
    found = _whole(value)
    if found is None:
        raise ReadError(f"{where}: {key} is {_short(value)}; expected an integer from 0 to 2^63 - 1.")
    if not isinstance(value, int):
        warnings.warn(f"{where}: {key} is {_short(value)} where SigMF has an integer; read as {found}", stacklevel=4)
    return found


def _number(entry: dict[str, Any], key: str, where: str) -> float:
    """A finite number >= 0, also from text, with a warning; 0 where the key is absent or, with a warning, senseless."""
    value = entry.get(key)
    try:
        number = math.nan if isinstance(value, bool) else float(0 if value is None else value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    is_known = 0 <= number < 1e300
    if not is_known or isinstance(value, str):
        what = f"read as {number:.12g}" if is_known else "taken as unknown"
        warnings.warn(f"{where}: {key} is {_short(value)} where SigMF has a number of hertz; {what}", stacklevel=4)
    return number if is_known else 0.0


def _text(entry: dict[str, Any], key: str) -> str:
    value = entry.get(key, "")
    return value if isinstance(value, str) else ""


def _short(value: object) -> str:
    return repr(value)[:40]
