"""The floating-point words of nexmon_csi against the arithmetic of the tool."""

from __future__ import annotations

import numpy as np
import pytest

from foundation.readers.wifi.nexmon_words import FORMATS, decode


@pytest.mark.parametrize(("chip", "seed"), [("4358", 0), ("4358", 1), ("4366c0", 2), ("4366c0", 3)])
def test_floats_are_scaled_as_the_tool_does(chip: str, seed: int) -> None:
    """Against the sentence-by-sentence arithmetic of `unpack_float.c`."""
    bits = FORMATS[chip]
    assert bits is not None
    mantissa, exponent = bits
    rng = np.random.default_rng(seed)
    words = rng.integers(0, 2**32, (5, 64), dtype=np.uint32) & np.uint32(2 ** (2 * mantissa + exponent) - 1)
    words[1] &= np.uint32(2**exponent - 1)  # nothing but exponents: all zero
    size = 2 ** (mantissa - 1) - 1
    for row, scaled, exact in zip(words.tolist(), decode(words, bits, True), decode(words, bits, False), strict=True):
        parts = []
        for word in row:
            power = word & (2**exponent - 1)
            power -= 2**exponent if power >= 2 ** (exponent - 1) else 0
            real, imag = word >> exponent + mantissa & size, word >> exponent & size
            negative = (word >> exponent + 2 * mantissa - 1 & 1, word >> exponent + mantissa - 1 & 1)
            parts.append((power, (real, imag), [-1 if n else 1 for n in negative]))
        top = max([p + max(v).bit_length() - 1 for p, v, _ in parts if any(v)], default=0)
        for got, raw, (power, values, signs) in zip(scaled, exact, parts, strict=True):
            shift = power + 10 - top
            wanted = [s * int(v * 2.0**shift) for v, s in zip(values, signs, strict=True)]
            assert (got.real, got.imag) == tuple(wanted)
            assert (raw.real, raw.imag) == tuple(s * v * 2.0**power for v, s in zip(values, signs, strict=True))
