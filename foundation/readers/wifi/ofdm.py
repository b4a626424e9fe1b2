"""Subcarriers and channels of IEEE 802.11 OFDM that several readers share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: Subcarrier spacing in hertz: of non-HT, HT and VHT (IEEE 802.11-2020), and of HE (802.11ax-2021).
SPACING_HZ, HE_SPACING_HZ = 312_500.0, 78_125.0
#: Number of subcarriers -> their indices from the centre of the channel (data and pilots): HT and VHT at 20, 40 and
#: 80 MHz (IEEE 802.11-2016, 19.3.9.4.6 and 21.3.7).
INDICES: dict[int, NDArray[np.int64]] = {
    56: np.array([*range(-28, 0), *range(1, 29)]),
    114: np.array([*range(-58, -1), *range(2, 59)]),
    242: np.array([*range(-122, -1), *range(2, 123)]),
}


def channel_hz(number: int, *, is_5ghz: bool) -> float:
    """Centre frequency in hertz of a channel number of the 2.4 or the 5 GHz band (IEEE 802.11-2020, Annex E)."""
    if is_5ghz:
        return 5e9 + 5e6 * number
    return 2.484e9 if number == 14 else 2.407e9 + 5e6 * number


def undo_ht40_rotation(values: NDArray[np.complex64], indices: NDArray[np.int64]) -> None:
    """Rotate the upper half of a 40 MHz channel back by 90 degrees, in place.

    A transmitter rotates it (IEEE 802.11n-2009, 20.3.9.3.4); without the rotation the phase is continuous across the
    carrier.

    Args:
        values: [..., subcarriers].
        indices: [subcarriers], from the centre of the channel.
    """
    values[..., indices > 0] *= np.complex64(-1j)
