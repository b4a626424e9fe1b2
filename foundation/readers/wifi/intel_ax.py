"""Decode CSI as the firmware of the Intel AX200 and AX210 reports it; FeitCSI and PicoScenes store it unchanged.

A value is two int16, real then imaginary part, tones running fastest, then transmit streams, then receive chains. Three
properties are undocumented and were derived from captures (FeitCSI HT, VHT and HE at 20 to 160 MHz; PicoScenes non-HT
and HT at 20 MHz):

- Values are the complex conjugate of the channel: multipath appears before the direct path, and the rotation of the
  upper half of a 40 MHz channel appears as -90 degrees where the standard transmits +90.
- The tone rotation of HT and VHT (IEEE 802.11-2020, 21.3.7.5) is included; HE has none.
- HT, VHT and HE tones are stored in order of frequency, and pilots are not measured (zero in some firmware, stale
  memory in other). Non-HT stores the four pilots first, and these are measured: in that order their phase agrees with
  the neighbouring tones (coherence 0.99), in order of frequency it jumps at random.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from foundation.readers.wifi.ofdm import HE_SPACING_HZ, SPACING_HZ

#: Byte offset and width of the microsecond counter in the header of a measurement, and the size of that header.
CLOCK_OFFSET, CLOCK_BITS, HEADER_BYTES = 88, 32, 272

#: (format, MHz) -> (closed intervals of the positive tones, positive pilots); IEEE 802.11-2020 clauses 17, 19 and 21
#: and 802.11ax-2021 clause 27. The negative tones mirror them.
_PLANS: dict[tuple[str, int], tuple[tuple[tuple[int, int], ...], tuple[int, ...]]] = {
    ("non-HT", 20): (((1, 26),), (7, 21)),
    ("HT", 20): (((1, 28),), (7, 21)),
    ("HT", 40): (((2, 58),), (11, 25, 53)),
    ("VHT", 20): (((1, 28),), (7, 21)),
    ("VHT", 40): (((2, 58),), (11, 25, 53)),
    ("VHT", 80): (((2, 122),), (11, 39, 75, 103)),
    ("VHT", 160): (((6, 126), (130, 250)), (25, 53, 89, 117, 139, 167, 203, 231)),
    ("HE", 20): (((2, 122),), (22, 48, 90, 116)),
    ("HE", 40): (((3, 244),), (10, 36, 78, 104, 144, 170, 212, 238)),
    ("HE", 80): (((3, 500),), (24, 92, 158, 226, 266, 334, 400, 468)),
    ("HE", 160): (
        ((12, 509), (515, 1012)),
        (44, 112, 178, 246, 286, 354, 420, 488, 536, 604, 670, 738, 778, 846, 912, 980),
    ),
}


@dataclass(frozen=True, eq=False)
class Plan:
    """The tones of one packet format and bandwidth, in order of frequency.

    Attributes:
        mhz: bandwidth in MHz.
        indices: int [R], subcarrier indices from the centre of the channel.
        frequency_hz: float [R], offsets from the carrier in hertz.
        measured: bool [R]; False at the pilots of HT, VHT and HE.
        order: int [R], storage position of each tone.
        rotation: complex64 [R], factors by which the transmitter multiplies the tones.
    """

    mhz: int
    indices: NDArray[np.int64]
    frequency_hz: NDArray[np.float64]
    measured: NDArray[np.bool_]
    order: NDArray[np.int64]
    rotation: NDArray[np.complex64]


def plan_of(packet_format: str, mhz: int, tones: int) -> Plan | None:
    """The tones of a packet that has so many; None if its format at this bandwidth is unknown or has other tones.

    A receiver of 40 MHz and more reports packets without HT, which have 20 MHz, with its own bandwidth or with theirs.
    """
    found = plan(packet_format, 20 if packet_format == "non-HT" else mhz)
    return found if found is not None and len(found.indices) == tones else None


@cache
def plan(packet_format: str, mhz: int) -> Plan | None:
    """The tones of a format ("non-HT", "HT", "VHT" or "HE") at a bandwidth; None if the combination does not exist."""
    if (packet_format, mhz) not in _PLANS:
        return None
    intervals, positive_pilots = _PLANS[packet_format, mhz]
    positive = np.concatenate([np.arange(first, last + 1) for first, last in intervals])
    indices = np.concatenate([-positive[::-1], positive])
    is_pilot = np.isin(np.abs(indices), positive_pilots)
    is_legacy = packet_format == "non-HT"
    order = np.arange(len(indices))
    if is_legacy:
        order[np.concatenate([np.flatnonzero(is_pilot), np.flatnonzero(~is_pilot)])] = np.arange(len(indices))
    return Plan(
        mhz=mhz,
        indices=indices,
        frequency_hz=indices * (HE_SPACING_HZ if packet_format == "HE" else SPACING_HZ),
        measured=np.ones(len(indices), bool) if is_legacy else ~is_pilot,
        order=order,
        rotation=np.ones(len(indices), np.complex64) if packet_format == "HE" else _rotation(indices, mhz),
    )


def _rotation(indices: NDArray[np.int64], mhz: int) -> NDArray[np.complex64]:
    """Rotation of parts of the band by 90 or 180 degrees, which limits the peak power (IEEE 802.11-2020, 21.3.7.5)."""
    if mhz == 40:
        return np.where(indices >= 0, 1j, 1).astype(np.complex64)
    if mhz == 80:
        return np.where(indices >= -64, -1, 1).astype(np.complex64)
    if mhz == 160:
        return np.where(((indices >= -192) & (indices < 0)) | (indices >= 64), -1, 1).astype(np.complex64)
    return np.ones(len(indices), np.complex64)


def channel(payload: bytes, packets: int, tones: Plan) -> NDArray[np.complex64]:
    """Decode the channel [packets, rx * tx, R] in counts of the firmware, tx running fastest, without the rotation."""
    parts = np.frombuffer(payload, "<i2").reshape(packets, -1, len(tones.indices), 2)[:, :, tones.order]
    field = np.empty(parts.shape[:3], np.complex64)
    field.real, field.imag = parts[..., 0], parts[..., 1]
    # conj(stored) = channel * rotation, and 1 / rotation = conj(rotation).
    return np.conj(np.multiply(field, tones.rotation, out=field), out=field)
