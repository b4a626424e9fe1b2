"""Subcarrier of every entry of the CSI buffer of an ESP32.

Source for ESP32, S2, S3 and C3: "Wi-Fi Channel State Information" in the vendor features of the ESP-IDF programming
guide. The buffer holds up to three estimates, from the legacy, the HT and the second HT (STBC) training field; the HT
one is used where present, as it has more subcarriers. The table assumes that all training fields are enabled; of the
shorter buffers, those that their length identifies are supported as well.

C5, C6 and C61 hold one training field, in order of frequency. The guide gives 0..58, -58..-1 for the C5; but real lines
(the READMEs of esp-csi for the C6 and of its esp-crab for the C5; espressif/esp-csi issue 240) have the zeros of the
carrier in the middle of the buffer, and `esp_radar` of esp-csi leaves out the middle too.
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


def _upward(negative: int, positive: int) -> tuple[int, ...]:
    """-negative..positive."""
    return tuple(range(-negative, positive + 1))


_LLTF, _HT20, _HT40, _HE20 = (1, 26), (1, 28), (2, 58), (2, 122)
_FFT64, _UPWARD64 = _fft(31, 32), _upward(32, 31)
_LLTF_NUMBERS = 53
#: Numbers in a buffer of the C5, C6 or C61 -> its layout. Twice as many of the same come with STBC.
_NEWER = {
    # Legacy, 12 bits: every second subcarrier.
    52: Layout(0, tuple(k for k in range(-26, 27, 2) if k), _LLTF),
    # C5 and C61: legacy, HT and VHT at 20 MHz, HT at 40 MHz, HE at 20 MHz.
    106: Layout(0, _upward(26, 26), _LLTF),
    114: Layout(0, _upward(28, 28), _HT20),
    228: Layout(0, _upward(28, 28), _HT20),
    234: Layout(0, _upward(58, 58), _HT40, 40e6),
    468: Layout(0, _upward(58, 58), _HT40, 40e6),
    490: Layout(0, _upward(122, 122), _HE20, 20e6, HE_SPACING_HZ),
    # C6: legacy or HT at 20 MHz, HT at 40 MHz, HE at 20 MHz.
    128: Layout(0, _UPWARD64, _HT20),
    256: Layout(0, _upward(64, 63), _HT40, 40e6),
    512: Layout(0, _upward(128, 127), _HE20, 20e6, HE_SPACING_HZ),
}


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
        return Layout(0, (*range(-26, 0), *range(1, 27)), _LLTF)
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


def newer(buffer: NDArray[np.int16]) -> Layout | None:
    """The layout of a buffer of an ESP32-C5, C6 or C61; None if the length is unknown.

    Two lengths of the C6 have two meanings each; the zeros at the carrier tell them apart.
    """
    layout = _NEWER.get(len(buffer))
    if len(buffer) == 256 and _is_zero(buffer, 32, 96):
        return Layout(0, _UPWARD64, _HT20)  # HT at 20 MHz, twice: with STBC
    if len(buffer) == 512 and _is_zero(buffer, 64, 192):
        return Layout(0, _upward(64, 63), _HT40, 40e6)  # HT at 40 MHz, twice
    return layout


def unpack_12_bits(buffer: NDArray[np.int16]) -> NDArray[np.int16] | None:
    """Numbers of 12 bits that a legacy buffer of the C5 or C61 holds in pairs of bytes; None if it holds signed bytes.

    Bytes have 53 subcarriers; of 12 bits there are 26 (espressif/esp-idf issue 18982), then two zeros. The second byte
    of a pair holds the upper four bits.
    """
    if len(buffer) != 2 * _LLTF_NUMBERS or buffer[-2:].any() or ((buffer[1::2] < 0) | (buffer[1::2] > 15)).any():
        return None
    numbers = (buffer[:-2:2] & 255) | buffer[1:-2:2] << 8
    return np.asarray((numbers ^ 0x800) - 0x800, np.int16)


def _is_zero(buffer: NDArray[np.int16], *pairs: int) -> bool:
    return not any(buffer[2 * pair] or buffer[2 * pair + 1] for pair in pairs)
