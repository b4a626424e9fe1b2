"""Convert interleaved baseband samples to signals of kind "iq", for all readers of IQ recordings.

Data types are named as in SigMF 1.2 ("Dataset Format"): `c` complex (I, then Q) or `r` real, then the component, then
the byte order, as in `cf32_le`, `ci16_be`, `cu8`, `ri8`.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from foundation.errors import ReadError
from foundation.readers.files import whole_records
from foundation.signal import Label, Link, Signal

#: Name of a data type -> (is complex, type of one component).
DATATYPES: dict[str, tuple[bool, np.dtype]] = {
    f"{prefix}{component}{suffix}": (prefix == "c", np.dtype(f"{order}{component[0]}{int(component[1:]) // 8}"))
    for prefix in "cr"
    for component in ("f32", "f64", "i32", "i16", "u32", "u16", "i8", "u8")
    for suffix, order in ((("", "|"),) if component.endswith("8") else (("_le", "<"), ("_be", ">")))
}


#: Sample rates beyond these are no rates, and their times may overflow.
_SLOWEST_HZ, _FASTEST_HZ = 1e-6, 1e15


def datatype_of(name: object, where: str) -> tuple[bool, np.dtype]:
    """Look up (is complex, type of one component) of a data type by name.

    A multi-byte type without byte order, as many programs write it, is little-endian, with a warning. Upper case and
    suffixes of more or fewer letters (`cf32_LE`, `cf32_big`) are read as the SigMF library does.

    Raises:
        ReadError: the data type is unknown.
    """
    if isinstance(name, str):
        component, mark, order = name.strip().lower().partition("_")
        suffix = "" if component.endswith("8") else f"_{order[:1]}e" if mark else "_le"
        if found := DATATYPES.get(component + suffix):
            if suffix and not mark:
                warnings.warn(f"{where}: datatype {name!r} has no byte order; read as little-endian", stacklevel=3)
            return found
    raise ReadError(f"{where}: unknown datatype {repr(name)[:40]}; expected one of {', '.join(sorted(DATATYPES))}.")


def sample_bytes(datatype: tuple[bool, np.dtype], channels: int) -> int:
    """Bytes of one sample of all channels."""
    is_complex, component = datatype
    return component.itemsize * (2 if is_complex else 1) * channels


def decode(data: bytes | memoryview, datatype: tuple[bool, np.dtype], channels: int, where: str) -> NDArray:
    """Decode interleaved channels into samples [T, channels], scaled by `full_scale`.

    An incomplete last sample is left out, with a warning.

    Returns:
        complex64, or float32 for real data types.

    Raises:
        ReadError: there is no whole sample.
    """
    is_complex, component = datatype
    size = sample_bytes(datatype, channels)
    count = whole_records(len(data), size, where, "sample")
    numbers = full_scale(np.frombuffer(data, component, count * (size // component.itemsize)))
    return (numbers.view(np.complex64) if is_complex else numbers).reshape(-1, channels)


def full_scale(numbers: NDArray) -> NDArray[np.float32]:
    """Scale integers to [-1, 1) of full scale, unsigned ones about their midpoint, as the SigMF library does.

    So the level of a signal does not depend on its storage type. Floating-point numbers are unchanged.
    """
    if numbers.dtype.kind == "f":
        with np.errstate(over="ignore"):  # beyond float32 becomes infinite, which `signal_of` marks invalid
            return np.asarray(numbers.astype(np.float32, copy=False))
    half = np.float32(2.0 ** (8 * numbers.dtype.itemsize - 1))
    scaled = numbers.astype(np.float32)
    if numbers.dtype.kind == "u":
        scaled -= half
    scaled /= half
    return scaled


def check_rate(sample_rate_hz: float, where: str) -> None:
    """Raise a ReadError unless a sample rate is one that a receiver can have."""
    if not _SLOWEST_HZ <= sample_rate_hz <= _FASTEST_HZ:
        raise ReadError(
            f"{where}: the sample rate is {sample_rate_hz}; expected samples per second, from {_SLOWEST_HZ:g} to "
            f"{_FASTEST_HZ:g}."
        )


def signal_of(samples: NDArray, sample_rate_hz: float, where: str, **fields: object) -> Signal:
    """Convert samples [T, channels] to a signal with one link per receive channel.

    Time starts at 0 with a step of 1 / rate. Samples that are not finite are marked invalid, with a warning. The
    bandwidth is the sample rate, or half of it for real samples.

    Args:
        samples: complex, or float where the recording is real.
        sample_rate_hz: samples per second.
        where: name of the recording, for messages.
        fields: further fields of the `Signal`.

    Returns:
        Values [T, channels, 1] at frequency offset 0.

    Raises:
        ReadError: no sample is finite, or the rate is not a positive number.
    """
    check_rate(sample_rate_hz, where)
    is_real = samples.dtype.kind == "f"
    samples = samples.astype(np.complex64, copy=False)[:, :, None]
    valid = None  # a mask would be as large as an 8-bit file
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


def example_of(parts: NDArray[np.float32], sample_rate_hz: float, session: str, labels: Mapping[str, Label]) -> Signal:
    """Convert one example of a modulation dataset, I and Q [2, T], to a signal [T, 1, 1] of unknown carrier.

    Samples that are not finite are marked invalid. Complex values are kept as stored.

    Raises:
        ReadError: the sample rate is senseless.
    """
    check_rate(sample_rate_hz, session)
    return Signal(
        values=np.ascontiguousarray(parts.T).view(np.complex64)[:, :, None],
        valid=(np.isfinite(parts[0]) & np.isfinite(parts[1]))[:, None, None],
        time_s=np.arange(parts.shape[1]) / sample_rate_hz,
        links=(Link(),),
        frequency_hz=np.zeros(1),
        kind="iq",
        carrier_hz=0.0,
        bandwidth_hz=sample_rate_hz,
        session=session,
        labels=labels,
    )
