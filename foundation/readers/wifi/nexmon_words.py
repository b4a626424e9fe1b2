"""Decode the 32-bit words of nexmon_csi, one per FFT bin: pairs of 16-bit integers, or packed floating point.

On the BCM4339 and 43455c0 a word is an int16 real part, then an int16 imaginary part. On the 4358 and 4366c0 it holds
sign and magnitude of each part and one exponent for both, 9 + 9 + 5 or 12 + 12 + 6 bits, the exponent lowest
(`utils/matlab/unpack_float.c` of github.com/seemoo-lab/nexmon_csi).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: Chip -> (bits of a part with its sign, bits of the exponent); None for 16-bit integers.
FORMATS: dict[str, tuple[int, int] | None] = {"4339": None, "43455c0": None, "4358": (9, 5), "4366c0": (12, 6)}

_SCALED_BITS = 10
_BLOCK = 256  # datagrams decoded at a time, which bounds the memory


def decode(words: NDArray[np.uint32], bits: tuple[int, int] | None, autoscale: bool) -> NDArray[np.complex64]:
    """Decode words [datagrams, FFT bins] into complex values of the same shape.

    Args:
        bits: a value of `FORMATS`.
        autoscale: scale every datagram of floating point by a power of two so that its largest part has 11 bits, and
            truncate to integers, as the tool does; False keeps the exact numbers.
    """
    field = np.empty(words.shape, np.complex64)
    if bits is None:
        parts = words.view("<i2").reshape(*words.shape, 2)
        field.real, field.imag = parts[..., 0], parts[..., 1]
        return field
    for start in range(0, len(words), _BLOCK):
        rows = slice(start, start + _BLOCK)
        field.real[rows], field.imag[rows] = _floats(words[rows], *bits, autoscale)
    return field


def _floats(words: NDArray[np.uint32], mantissa: int, exponent: int, autoscale: bool) -> list[NDArray[np.float32]]:
    """Real and imaginary parts."""
    lowest = -(1 << (exponent - 1))
    power = ((words & ((1 << exponent) - 1)) ^ -lowest).astype(np.int32) + lowest
    shifts = (exponent + mantissa, exponent)
    sizes = [(words >> shift & ((1 << (mantissa - 1)) - 1)).astype(np.int32) for shift in shifts]
    if autoscale:
        both = sizes[0] | sizes[1]
        highest_bit = np.where(both > 0, power + np.frexp(both.astype(np.float32))[1] - 1, lowest)
        power += _SCALED_BITS - highest_bit.max(axis=1, keepdims=True)
        # No product exceeds 11 bits, so a longer shift to the left is one of 0.
        left, right = np.clip(power, 0, _SCALED_BITS), np.clip(-power, 0, 31)
        scaled = [(size << left >> right).astype(np.float32) for size in sizes]
    else:
        scaled = [np.ldexp(size.astype(np.float32), power) for size in sizes]
    return [
        np.where(words >> (shift + mantissa - 1) & 1, -part, part) for shift, part in zip(shifts, scaled, strict=True)
    ]
