"""Encode a Signal as the members of one shard sample and decode it: `signal.npy`, `meta.json`, optionally `clean.npy`.

Invalid entries are stored as NaN, so that a plain `numpy.load` shows them. Real-valued signals are stored as float32.
Axes that are exactly uniform are stored as (start, step, count). A time axis is stored so as well if it is uniform
within `UNIFORM` of its step: rounding errors of that size are far below the accuracy of any receiver clock.
"""

from __future__ import annotations

import io
import json
import math
import tokenize
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from foundation.errors import ShardError
from foundation.json_file import parse_json
from foundation.signal.signal import Link, Signal, all_finite

SCHEMA_VERSION = 1
#: Largest deviation from a uniform time axis, relative to its step, that is stored as uniform.
UNIFORM = 1e-6
_TEXT = ("kind", "device", "environment", "subject", "session", "source", "licence")


def encode(signal: Signal) -> dict[str, bytes]:
    """Encode a signal: member name -> bytes. Equal signals give equal bytes."""
    meta: dict[str, Any] = {"schema_version": SCHEMA_VERSION}
    meta.update({name: getattr(signal, name) for name in _TEXT})
    meta.update(carrier_hz=float(signal.carrier_hz), bandwidth_hz=float(signal.bandwidth_hz), is_real=signal.is_real)
    meta["time_s"] = _pack_axis(signal.time_s, UNIFORM)
    meta["frequency_hz" if signal.domain == "frequency" else "delay_s"] = _pack_axis(signal.response)
    meta["links"] = [[link.tx, link.rx, link.tx_position_m, link.rx_position_m] for link in signal.links]
    meta["labels"] = dict(signal.labels)
    values = (
        signal.values
        if signal.mask.all()
        else np.where(signal.mask, signal.values, np.complex64(complex(np.nan, np.nan)))
    )
    members = {"signal.npy": _to_npy(values, signal.is_real)}
    if signal.clean is not None:
        members["clean.npy"] = _to_npy(signal.clean, signal.is_real)
    members["meta.json"] = json.dumps(meta, sort_keys=True, separators=(",", ":")).encode()
    return members


def decode(members: Mapping[str, bytes | memoryview], where: str = "sample", *, clean: bool = True) -> Signal:
    """Decode the members written by `encode`. Arrays are never unpickled, and are not copied if every entry is valid.

    Args:
        members: member name -> bytes.
        where: shard and key, named in error messages.
        clean: whether the noise-free truth is read where there is one; it is as large as the signal.

    Raises:
        ShardError: a member is missing or corrupt, or its schema version is newer than this code.
        SignalError: the members can be parsed but contradict each other.
    """
    for name in ("signal.npy", "meta.json"):
        if name not in members:
            raise ShardError(f"{where}: member {name} is missing; rebuild the shard or run 'wfm shards verify'.")
    try:
        meta = parse_json(members["meta.json"], finite=False)
        stored = _from_npy(members["signal.npy"])
        truth = _from_npy(members["clean.npy"]) if clean and "clean.npy" in members else None
        version = meta["schema_version"]
        if version > SCHEMA_VERSION:
            raise ShardError(f"{where}: schema_version {version} is newer than {SCHEMA_VERSION}; update foundation.")
        _check_types(meta)
        valid = None if all_finite(stored) else np.isfinite(stored)
        times, _, responses = stored.shape
        return Signal(
            values=stored,
            valid=valid,
            clean=truth,
            time_s=_unpack_axis(meta["time_s"], times),
            frequency_hz=_unpack_axis(meta["frequency_hz"], responses) if "frequency_hz" in meta else None,
            delay_s=_unpack_axis(meta["delay_s"], responses) if "delay_s" in meta else None,
            links=_links(tuple((tx, rx, _point(a), _point(b)) for tx, rx, a, b in meta["links"])),
            labels={k: tuple(v) if isinstance(v, list) else v for k, v in meta["labels"].items()},
            carrier_hz=meta["carrier_hz"],
            bandwidth_hz=meta["bandwidth_hz"],
            is_real=meta["is_real"],
            **{name: meta[name] for name in _TEXT},
        )
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
        raise ShardError(f"{where}: cannot be decoded ({error}); run 'wfm shards verify' on its directory.") from error


def stored_shape(members: Mapping[str, bytes | memoryview]) -> tuple[int, int, int]:
    """Shape (times, links, responses) of an encoded sample, read from the array header without decoding the data.

    Raises:
        KeyError: the array is missing.
        ValueError: its header is corrupt.
    """
    data = members["signal.npy"]
    times, links, responses = _npy_header(bytes(data[: _npy_start(data)]))[1]
    if min(times, links, responses) < 1:
        raise ValueError(f"an array has the shape {(times, links, responses)}")
    return times, links, responses


def _check_types(meta: Any) -> None:
    """Refuse metadata whose fields are not of their types; `Signal` checks what they hold."""
    wrong = [name for name in _TEXT if not isinstance(meta[name], str)]
    wrong += [name for name in ("carrier_hz", "bandwidth_hz") if not isinstance(meta[name], (int, float))]
    for name, label in meta["labels"].items():
        if isinstance(label, (str, int, float)):
            continue
        if not isinstance(label, list) or not all(isinstance(number, (int, float)) for number in label):
            wrong.append(f"labels.{name}")
    if wrong or not isinstance(meta["is_real"], bool):
        raise ValueError(f"{(wrong or ['is_real'])[0]} is not of its type")


@lru_cache(maxsize=256)
def _links(raw: tuple[Any, ...]) -> tuple[Link, ...]:
    """Cached: samples of a set share their links, and those of thousands of RSSI scans would take more memory than all
    of their values."""
    return tuple(Link(*each) for each in raw)


def _point(raw: list[float] | None) -> tuple[float, float, float] | None:
    return None if raw is None else (raw[0], raw[1], raw[2])


def _to_npy(values: np.ndarray, is_real: bool) -> bytes:
    buffer = io.BytesIO()
    array = np.ascontiguousarray(values.real if is_real else values)
    np.lib.format.write_array(buffer, array, version=(1, 0), allow_pickle=False)
    return buffer.getvalue()


def _from_npy(data: bytes | memoryview) -> np.ndarray:
    """Read-only view of the array in the bytes of a version-1.0 .npy file."""
    start = _npy_start(data)
    dtype, shape = _npy_header(bytes(data[:start]))
    return np.frombuffer(data, dtype, math.prod(shape), start).reshape(shape)


def _npy_start(data: bytes | memoryview) -> int:
    """Offset of the first data byte."""
    return 10 + int.from_bytes(data[8:10], "little")


@lru_cache(maxsize=256)
def _npy_header(header: bytes) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """Data type and shape. Cached: samples of a shard share few headers, and parsing dominates the decoding time."""
    file = io.BytesIO(header)
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError("an array is not in .npy format version 1.0")
    try:
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
    except (SyntaxError, tokenize.TokenError, RecursionError, MemoryError) as error:  # numpy evaluates a literal
        raise ValueError(f"the header of an array cannot be read ({type(error).__name__})") from None
    if fortran or dtype.hasobject:
        raise ValueError(f"an array is stored as {dtype}{' in Fortran order' if fortran else ''}")
    return dtype, shape


def _pack_axis(axis: np.ndarray, tolerance: float = 0.0) -> Any:
    """(start, step, count) of an axis that is uniform within `tolerance` of its step, else the list of its entries."""
    if len(axis) > 2:
        packed = {"start": float(axis[0]), "step": float(axis[1] - axis[0]), "count": len(axis)}
        if np.array_equal(_unpack_axis(packed, len(axis)), axis):
            return packed
        step = float(axis[-1] - axis[0]) / (len(axis) - 1)  # the mean step has the smallest rounding error
        if np.abs(_unpack_axis(packed | {"step": step}, len(axis)) - axis).max() < tolerance * step:
            return packed | {"step": step}
    return [float(x) for x in axis]


def _unpack_axis(packed: Any, length: int) -> np.ndarray:
    """The entries of an axis. `length`: as many as the array has, so that no count is believed."""
    if isinstance(packed, dict):
        if packed["count"] != length:
            raise ValueError(f"an axis has {packed['count']} entries where the array has {length}")
        return _uniform(packed["start"], packed["step"], length)
    return np.asarray(packed, dtype=np.float64)


@lru_cache(maxsize=256)
def _uniform(start: float, step: float, length: int) -> np.ndarray:
    """Cached: most windows of a recording have the same axes."""
    axis = np.asarray(start + step * np.arange(length), dtype=np.float64)
    axis.flags.writeable = False
    return axis
