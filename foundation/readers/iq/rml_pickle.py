"""Read RadioML pickles (2016.04C, 2016.10a, 2016.10b, RML22): {(modulation, SNR in dB): float [examples, 2, 128]}.

Sources: O'Shea and West, Radio Machine Learning Dataset Generation with GNU Radio, 2016; Sathyanarayanan et al., RML22,
2023. Nothing is unpickled, see `foundation.readers.arrays.array_pickle`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foundation.errors import ReadError
from foundation.readers.arrays import array_pickle
from foundation.readers.iq.baseband import example_of
from foundation.signal import Signal


def sniff(head: bytes) -> bool:
    """True for the start of a pickle, of any protocol, that contains a NumPy array early."""
    begins = head.startswith((b"(dp", b"}q")) or (
        head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05")
    )
    return begins and (b"_reconstruct" in head or b"_frombuffer" in head)


def read(path: Path, *, sample_rate_hz: float = 200e3) -> list[Signal]:
    """Read every example of a file, see `stream`."""
    return list(stream(path, sample_rate_hz=sample_rate_hz))


def stream(path: Path, *, sample_rate_hz: float = 200e3) -> Iterator[Signal]:
    """Read one signal per example, with the labels `modulation` and `snr` in dB.

    Args:
        sample_rate_hz: sample rate, which the files do not store; the default is that of the published generators.

    Yields:
        Signals with values [128, 1, 1] of kind "iq".

    Raises:
        ReadError: the file is missing, truncated or damaged, or contains anything but numbers by modulation and SNR.
    """
    path = Path(path)
    for modulation, snr, examples in [_entry(key, value, path) for key, value in array_pickle.pairs(path)]:
        for parts in examples.astype(np.float32, copy=False):
            yield example_of(parts, sample_rate_hz, path.stem, {"modulation": modulation, "snr": snr})


def counts(path: Path) -> dict[tuple[str, float], int]:
    """Count the examples of each (modulation, SNR), in the order of `stream`."""
    entries = [_entry(key, value, path) for key, value in array_pickle.pairs(path)]
    return {(modulation, snr): len(examples) for modulation, snr, examples in entries}


def _entry(key: Any, value: Any, path: Path) -> tuple[str, float, NDArray]:
    """Check an entry of the dictionary; returns (modulation, SNR in dB, examples)."""
    pair = key if isinstance(key, tuple) and len(key) == 2 else (None, None)
    name, snr = pair[0].decode("ascii", "replace") if isinstance(pair[0], bytes) else pair[0], pair[1]
    if not isinstance(name, str) or not isinstance(snr, (int, float)) or not math.isfinite(snr):
        raise ReadError(f"{path}: a key is not (modulation, SNR in dB); expected a RadioML file of 2016 or RML22.")
    shape = value.shape if isinstance(value, np.ndarray) else type(value).__name__
    if not isinstance(value, np.ndarray) or value.ndim != 3 or value.shape[1] != 2 or 0 in value.shape:
        raise ReadError(f"{path}: {name[:20]!r} at {snr:g} dB is {shape}; expected an array [examples, 2, samples].")
    if value.dtype.kind not in "fiu":
        raise ReadError(f"{path}: {name[:20]!r} at {snr:g} dB holds {value.dtype}; expected real numbers, I and Q.")
    return name, float(snr), value
