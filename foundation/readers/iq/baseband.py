"""Interleaved baseband samples -> `Signal` of kind "iq": what the readers of IQ recordings share.

Data types carry the names of SigMF 1.2 ("Dataset Format"): `c` complex (I, then Q) or `r` real, then the component,
then the byte order, as in `cf32_le`, `ci16_be`, `cu8`, `ri8`.
"""

from __future__ import annotations

import math
import warnings

import numpy as np
from numpy.typing import NDArray

from foundation.errors import ReadError
from foundation.signal import Link, Signal

#: Name -> (is complex, type of one component).
DATATYPES: dict[str, tuple[bool, np.dtype]] = {
    f"{prefix}{component}{suffix}": (prefix == "c", np.dtype(f"{order}{component[0]}{int(component[1:]) // 8}"))
    for prefix in "cr"
    for component in ("f32", "f64", "i32", "i16", "u32", "u16", "i8", "u8")
    for suffix, order in ((("", "|"),) if component.endswith("8") else (("_le", "<"), ("_be", ">")))
}


def datatype_of(name: object, where: str) -> tuple[bool, np.dtype]:
    """(is complex, type of one component) of a data type's name.

    Raises:
        ReadError: there is no such data type.
    """
    if not isinstance(name, str) or name not in DATATYPES:
        raise ReadError(f"{where}: datatype {name!r} is not known; expected one of {', '.join(sorted(DATATYPES))}.")
    return DATATYPES[name]


def decode(data: bytes | memoryview, datatype: tuple[bool, np.dtype], channels: int, where: str) -> NDArray:
    """Samples [T, channels] of interleaved channels: complex64, or float32 for real data types; see `full_scale`.

    Raises:
        ReadError: the bytes are not a whole number of samples.
    """
    is_complex, component = datatype
    size = component.itemsize * (2 if is_complex else 1) * channels
    if len(data) == 0 or len(data) % size:
        raise ReadError(
            f"{where}: {len(data)} bytes are not a whole number of samples of {size} bytes ({channels} channels); "
            f"copy the file again, cut it to {len(data) // size * size} bytes or correct the datatype."
        )
    numbers = full_scale(np.frombuffer(data, component))
    return (numbers.view(np.complex64) if is_complex else numbers).reshape(-1, channels)


def full_scale(numbers: NDArray) -> NDArray[np.float32]:
    """Integers to [-1, 1) of their full scale, unsigned ones around their midpoint, as SigMF's own library does.

    So one signal has one level whatever the type it was stored in. Floating-point numbers are kept.
    """
    if numbers.dtype.kind == "f":
        with np.errstate(over="ignore"):  # beyond float32 is not finite, which `signal_of` marks
            return np.asarray(numbers.astype(np.float32, copy=False))
    half = np.float32(2.0 ** (8 * numbers.dtype.itemsize - 1))
    scaled = numbers.astype(np.float32)
    if numbers.dtype.kind == "u":
        scaled -= half
    scaled /= half
    return scaled


def signal_of(samples: NDArray, sample_rate_hz: float, where: str, **fields: object) -> Signal:
    """Samples [T, channels] -> values [T, channels, 1] at frequency offset 0, one link per receive channel.

    Time starts at 0 in steps of exactly 1 / rate. Samples that are not finite are marked invalid, with a warning. The
    bandwidth is that of the samples: the rate, or half of it where they are real.

    Args:
        fields: passed on to `Signal`.

    Raises:
        ReadError: no sample is finite, or the rate is not a positive number.
    """
    if not (math.isfinite(sample_rate_hz) and sample_rate_hz > 0):
        raise ReadError(f"{where}: the sample rate is {sample_rate_hz}; expected samples per second, more than 0.")
    is_real = samples.dtype.kind == "f"
    samples = samples.astype(np.complex64, copy=False)[:, :, None]
    valid = None  # it would be as large as an 8-bit file
    if not np.isfinite(samples).all():
        valid = np.isfinite(samples)
        if not valid.any():
            raise ReadError(f"{where}: none of {valid.size} samples is a finite number; check the datatype.")
        warnings.warn(
            f"{where}: {int((~valid).sum())} of {valid.size} samples are not finite and are marked invalid, the first "
            f"at index {int(np.argmin(valid.all(axis=(1, 2))))}",
            stacklevel=3,
        )
        samples = np.where(valid, samples, 0)
    time_s = np.arange(len(samples), dtype=np.float64)
    time_s *= 1.0 / sample_rate_hz  # in place: recordings have 10**8 samples
    return Signal(
        values=samples,
        valid=valid,
        time_s=time_s,
        links=tuple(Link(0, channel) for channel in range(samples.shape[1])),
        frequency_hz=np.zeros(1),
        kind="iq",
        is_real=is_real,
        bandwidth_hz=sample_rate_hz / 2 if is_real else sample_rate_hz,
        **fields,  # type: ignore[arg-type]
    )
