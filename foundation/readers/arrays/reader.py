"""Read signals from array files (`containers`) whose meaning a layout file (`layouts`) describes.

A dataset published as arrays needs no reader of its own, only a layout; `shards/layouts/` has those of common datasets.
Array files do not say what their axes mean, so a layout is always required: nothing is guessed.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foundation.errors import ReadError
from foundation.readers.arrays.containers import Container, Stored, open_container
from foundation.readers.arrays.containers import sniff as sniff
from foundation.readers.arrays.layouts import AXES, Layout, Source, load_layout
from foundation.readers.links import antenna_links
from foundation.signal import Label, Link, Signal

#: Bytes of one array that are loaded at a time.
_BLOCK_BYTES = 1 << 26
_FIELDS = ("session", "subject", "environment")


def read(path: Path, layout: Layout | Path | str) -> list[Signal]:
    """Read every signal of a file, see `stream`; `layout` is a Layout or the path of a layout file."""
    return list(stream(path, layout if isinstance(layout, Layout) else load_layout(Path(layout))))


def stream(path: Path, layout: Layout) -> Iterator[Signal]:
    """Read the signals of a file, one per entry of the axis `sample`, block by block for HDF5 and `.npy` files.

    Without an axis `time` there is one time, without `response` the response is at frequency (or delay) 0. Entries that
    are NaN or infinite in any part were not measured: they are invalid. Samples without any valid entry are left out,
    with a warning. The session is the group `session` of the path, else the file.

    Yields:
        Signals with values [time, link, response], links ordered (rx, tx) with tx running fastest; an axis `link`
        counts receivers.

    Raises:
        ReadError: the file is missing, damaged or does not match the layout; names the key, the axes found and
            expected.
    """
    path = Path(path)
    found = _groups(path, layout)
    with open_container(path) as container:
        stored = {role: container.array(key) for role, key in layout.keys.given.items()}
        shapes = {role: array.shape for role, array in stored.items()}
        if len(set(shapes.values())) > 1:
            raise ReadError(f"{path}: the arrays of keys have shapes {shapes}; expected one shape for all.")
        where = f"{path}: {' and '.join(layout.keys.given.values())}"
        dimensions = layout.dimensions(next(iter(shapes.values())), where)
        sizes = dict(dimensions)
        samples = sizes.get("sample", 1)
        common = _common(layout, container, sizes, found)
        labels = {name: _labels(source, name, container, found, samples) for name, source in layout.labels.items()}
        common |= {"session": _session(path, layout)} | {
            name: found.pop(name).replace("/", "-") for name in _FIELDS if name in found
        }
        texts = {name: text for name, text in found.items() if not name.startswith("_")}
        empty = 0
        for index, (values, valid) in enumerate(_fields(stored, layout, dimensions, samples)):
            if valid is not None and not valid.any():
                empty += 1
                continue
            own = {name: each[index] for name, each in labels.items()}
            yield Signal(values=values, valid=valid, labels=texts | own, **common)
        if empty == samples:
            raise ReadError(f"{where}: no entry is a finite number; expected measurements, copy the file again.")
        if empty:
            warnings.warn(f"{where}: left out {empty} of {samples} samples without a finite entry", stacklevel=2)


def _groups(path: Path, layout: Layout) -> dict[str, str]:
    """The groups of the layout's path expression in the path of the file."""
    if layout.path is None:
        return {}
    match = re.search(f"(?:^|/)(?:{layout.path})$", path.as_posix())
    if match is None:
        raise ReadError(
            f"{path}: the path does not end as {layout.path!r} says; keep the folders as published, or correct the "
            "layout's path."
        )
    return {name: text for name, text in match.groupdict().items() if text is not None}


def _session(path: Path, layout: Layout) -> str:
    """The part of the path that the layout describes, or the name of the file, without its suffix."""
    match = re.search(f"(?:^|/)({layout.path})$", path.as_posix()) if layout.path else None
    whole = match[1] if match else path.name
    return whole.removesuffix(path.suffix).replace("/", "-")


def _common(layout: Layout, container: Container, sizes: dict[str, int], found: dict[str, str]) -> dict[str, Any]:
    """Fields that all signals of the file share."""

    def number(name: str) -> float | None:
        given = getattr(layout, name)
        if not isinstance(given, Source):
            return None if given is None else float(given)
        value = _source(given, container, found).ravel()
        if value.size != 1 or not np.isfinite(value[0]):
            raise ReadError(f"{container.path}: {name} is {value[:4]} in {given.key!r}; expected one finite number.")
        return float(value[0])

    times, responses = sizes.get("time", 1), sizes.get("response", 1)
    interval = number("interval_s")
    if times > 1 and not interval:
        raise ReadError(f"{container.path}: has {times} times but the layout has no interval_s; give it, in seconds.")
    bandwidth = number("bandwidth_hz") or 0.0
    common: dict[str, Any] = {
        "time_s": np.arange(times) * (interval or 0.0),
        "links": _links(sizes),
        "kind": layout.kind,
        "is_real": set(layout.keys.given) == {"amplitude"},
        "carrier_hz": number("carrier_hz"),
        "bandwidth_hz": bandwidth,
        "device": layout.device,
        "licence": layout.licence,
    }
    if layout.domain == "delay":
        step = number("step_s") or (1.0 / bandwidth if bandwidth else None)
        common["delay_s"] = np.arange(responses) * _needed(step, responses, "step_s or bandwidth_hz", container.path)
    else:
        step = number("spacing_hz") or (bandwidth / responses or None)
        index = _indices(layout, responses, container.path)
        common["frequency_hz"] = index * _needed(step, responses, "spacing_hz or bandwidth_hz", container.path)
    return common


def _needed(step: float | None, responses: int, names: str, path: Path) -> float:
    if step is None and responses > 1:
        raise ReadError(f"{path}: has {responses} responses but the layout has no {names}; give one of them.")
    return step or 0.0


def _indices(layout: Layout, responses: int, path: Path) -> NDArray[np.float64]:
    """Subcarrier index of each response: as the layout lists them, else evenly about the carrier."""
    if layout.subcarriers is None:
        return np.arange(responses, dtype=np.float64) - (responses - 1) / 2
    listed = [np.arange(first, last + 1, *step) for first, last, *step in layout.subcarriers]
    index = np.concatenate(listed).astype(np.float64)
    if len(index) != responses:
        raise ReadError(f"{path}: has {responses} responses; expected the {len(index)} subcarriers of the layout.")
    return index


def _links(sizes: dict[str, int]) -> tuple[Link, ...]:
    return antenna_links(sizes.get("link", sizes.get("rx", 1)), sizes.get("tx", 1))


def _source(source: Source, container: Container, found: dict[str, str]) -> NDArray:
    """Read the numbers of a source, multiplied by its scale."""
    if source.file is None:
        values = container.array(source.key).whole()
    else:
        try:
            name = source.file.format(**found)
        except (KeyError, IndexError, ValueError, AttributeError, TypeError):
            raise ReadError(
                f"{container.path}: {source.file!r} names a group that the layout's path does not have; it has: "
                f"{', '.join(found) or 'none'}."
            ) from None
        with open_container(container.path.parent / name) as other:
            values = other.array(source.key).whole()
    return values if source.scale == 1.0 else values * source.scale


def _labels(source: Source, name: str, container: Container, found: dict[str, str], samples: int) -> list[Label]:
    """One label per sample, from an array whose first or last axis is the sample, or from a column of text."""
    if source.categorical and source.file is None and container.texts is not None:
        texts = container.texts(source.key)
        texts = list(dict.fromkeys(texts)) if samples == 1 else texts
        if len(texts) != samples:
            raise ReadError(
                f"{container.path}: label {name} ({source.key!r}) has {len(texts)} values, such as {texts[0][:40]!r}; "
                f"expected one for each of {samples} samples."
            )
        return list(texts)
    values = _source(source, container, found)
    along = [axis for axis in (0, values.ndim - 1) if values.shape[axis : axis + 1] == (samples,)]
    if values.size == 0 or values.dtype.kind == "c" or not (along or samples == 1):
        raise ReadError(
            f"{container.path}: label {name} ({source.key!r}) is {values.dtype} {values.shape}; expected real numbers, "
            f"one or one row for each of {samples} samples."
        )
    rows = (np.moveaxis(values, along[0], 0) if along else values).reshape(samples, -1)
    if not np.isfinite(rows).all():
        first = int(np.argmin(np.isfinite(rows).all(axis=1)))
        raise ReadError(f"{container.path}: label {name} ({source.key!r}) of sample {first} is not a finite number.")
    if source.classes:
        where = f"{container.path}: label {name} of sample"
        return [_class(row, source.classes, f"{where} {index}") for index, row in enumerate(rows)]
    if source.categorical:
        return [",".join(str(int(value)) for value in row) for row in rows]
    return [float(row[0]) if len(row) == 1 else tuple(float(value) for value in row) for row in rows]


def _class(row: NDArray, classes: list[str], where: str) -> str:
    """The class of a row, which is a class number or a one-hot vector."""
    one_hot = len(row) == len(classes) and len(row) > 1
    number = int(np.argmax(row)) if one_hot else int(row[0])
    if (row.sum() != 1 or row[number] != 1) if one_hot else (len(row) != 1 or not 0 <= row[0] < len(classes)):
        raise ReadError(
            f"{where} is {row[:4]}; expected a number below {len(classes)}, or a one-hot vector of {len(classes)}."
        )
    return classes[number]


def _fields(
    stored: dict[str, Stored], layout: Layout, dimensions: list[tuple[str, int]], samples: int
) -> Iterator[tuple[NDArray[np.complex64], NDArray[np.bool_] | None]]:
    """Yield values [time, link, response] of each sample, and the mask of valid ones: None if all are."""
    shape = next(iter(stored.values())).shape
    axes = layout.present(len(shape))
    along = axes.index("sample") if "sample" in axes else None
    block = max(1, _BLOCK_BYTES // (16 * math.prod(shape) // samples or 1))
    for start in range(0, samples, block):
        stop = min(start + block, samples)
        index = tuple(slice(start, stop) if axis == along else slice(None) for axis in range(len(shape)))
        sizes = [(name, stop - start if name == "sample" else size) for name, size in dimensions]
        parts = {role: _ordered(array.read(index), sizes) for role, array in stored.items()}
        values, valid = _combine(parts, layout)
        yield from zip(values, [None] * len(values) if valid is None else valid, strict=True)


def _ordered(array: NDArray, sizes: list[tuple[str, int]]) -> NDArray:
    """Reorder an array of any layout to [sample, time, link, response, part]."""
    names = [name for name, _ in sizes]
    order = [name for name in AXES if name in names]
    array = array.reshape([size for _, size in sizes]).transpose([names.index(name) for name in order])
    length = dict(sizes)
    links = math.prod(length.get(name, 1) for name in ("rx", "tx", "link"))
    return array.reshape(*(length.get(name, 1) for name in ("sample", "time")), links, length.get("response", 1), -1)


def _combine(parts: dict[str, NDArray], layout: Layout) -> tuple[NDArray[np.complex64], NDArray[np.bool_] | None]:
    """Complex values from the arrays of each role, and the mask of valid ones: None if all are."""
    with np.errstate(all="ignore"):  # entries that are not finite are masked
        if "complex" in parts:
            values = parts["complex"][..., 0].astype(np.complex64)
        elif "real" in parts:
            values = _join(parts["real"][..., 0], parts["imag"][..., 0])
        elif "parts" in parts:
            values = _join(parts["parts"][..., 0], parts["parts"][..., 1])
        else:
            amplitude = parts["amplitude"][..., 0]
            if layout.unit == "decibel":
                amplitude = np.where(np.isfinite(amplitude), 10 ** (amplitude.astype(np.float64) / 20), np.nan)
            if "phase" in parts:
                phase = parts["phase"][..., 0].astype(np.float64)
                values = _join(amplitude * np.cos(phase), amplitude * np.sin(phase))
            else:
                values = _join(amplitude, np.float32(0))
        values *= np.float32(layout.scale)
    if np.isfinite(values).all():
        return values, None
    valid = np.isfinite(values)
    return np.where(valid, values, np.complex64(0)), valid


def _join(real: NDArray, imaginary: NDArray | np.float32) -> NDArray[np.complex64]:
    """real + j imaginary; adding a real and an imaginary array would turn an infinite part into NaN."""
    values = np.empty(real.shape, np.complex64)
    values.real, values.imag = real, imaginary
    return values
