"""Subcarrier of every entry of the CSI buffer of an ESP32.

Source: "Wi-Fi Channel State Information" in the vendor features of the ESP-IDF programming guide, one table for ESP32,
S2, S3 and C3 and one for C5. The buffer holds up to three estimates, from the legacy, the HT and the second HT (STBC)
training field; the HT one is used where present, as it has more subcarriers. The tables assume that all training fields
are enabled; of the shorter buffers, those that their length identifies are supported as well.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from foundation.readers.wifi.ofdm import HE_SPACING_HZ, SPACING_HZ


@dataclass(frozen=True)
class Layout:
    """The estimate in a buffer that is used.

    Attributes:
        start: index of its first entry in the buffer.
        indices: subcarrier index of each entry, from the centre of the channel.
        used: lowest and highest subcarrier index, on either side, that carries energy.
        bandwidth_hz: bandwidth of the channel.
        spacing_hz: subcarrier spacing.
    """

    start: int
    indices: tuple[int, ...]
    used: tuple[int, int]
    bandwidth_hz: float = 20e6
    spacing_hz: float = SPACING_HZ

    def order(self, highest: int) -> NDArray[np.int64]:
        """Positions in `indices` of the used subcarriers up to `highest`, in order of frequency."""
        numbers = np.array(self.indices)
        used = (np.abs(numbers) >= self.used[0]) & (np.abs(numbers) <= highest)
        return np.flatnonzero(used)[np.argsort(numbers[used])]


def _fft(positive: int, negative: int) -> tuple[int, ...]:
    """0..positive, then -negative..-1."""
    return (*range(positive + 1), *range(-negative, 0))


_HT20, _HT40, _HE20 = (1, 28), (2, 58), (2, 122)
_FFT64, _UPWARD64 = _fft(31, 32), tuple(range(-32, 32))


def classic(values: int, secondary: int, is_40mhz: bool) -> Layout | None:
    """The layout of an ESP32, S2, S3 or C3 buffer of `values` bytes; None if the length is unknown.

    Args:
        secondary: 0 none, 1 above, 2 below the primary channel. With one, 20 MHz packets are in order of frequency.
        is_40mhz: the packet has a bandwidth of 40 MHz.
    """
    narrow = _UPWARD64 if secondary else _FFT64
    if values == 128:
        return Layout(0, narrow, _HT20)
    if values == 104:  # the radar console omits all tones that carry no energy
        return Layout(0, (*range(-26, 0), *range(1, 27)), (1, 26))
    if (values == 256 and not is_40mhz) or (values == 384 and not secondary):
        return Layout(64, narrow, _HT20)
    if values in (256, 384) and is_40mhz:
        return Layout(values // 2 - 128, _fft(63, 64), _HT40, 40e6)
    return {
        (380, 2): Layout(64, tuple(range(-32, 31)), _HT20),
        (376, 1): Layout(64, tuple(range(-30, 32)), _HT20),
        (612, 1): Layout(64, _fft(60, 60), _HT40, 40e6),
        (612, 2): Layout(64, _fft(60, 60), _HT40, 40e6),
    }.get((values, secondary))


def c5(values: int) -> Layout | None:
    """The layout of an ESP32-C5 buffer; None if it depends on the secondary channel, which its lines do not give."""
    return {
        234: Layout(0, _fft(58, 58), _HT40, 40e6),
        468: Layout(0, _fft(58, 58), _HT40, 40e6),
        490: Layout(0, _fft(122, 122), _HE20, 20e6, HE_SPACING_HZ),
    }.get(values)
