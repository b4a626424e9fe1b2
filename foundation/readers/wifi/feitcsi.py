"""FeitCSI captures (`.csi`): Intel AX200 and AX210 at 20 to 160 MHz, HT, VHT and HE.

A file is a chain of measurements, each a header of 272 bytes and the values it announces
(https://feitcsi.kuskosoft.com/csi_format; rate flags as `RATE_MCS_*` in iwlwifi). How the values are stored is told in
`intel_ax`. The header's microsecond clock (byte 88) runs along with the documented 320 MHz FTM clock (byte 8), which
starts again every 13.4 s.

What the file does not say: the carrier. Values are counts of the firmware, after its gain control.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from foundation.errors import ReadError
from foundation.readers.files import read_bytes
from foundation.readers.split import by_kind
from foundation.readers.wifi import clock, intel_ax
from foundation.signal import Link, Signal

_HEADER = np.dtype(
    {
        "names": ["size", "rx", "tx", "tones", "transmitter", "clock", "rate"],
        "formats": ["<u4", "u1", "u1", "<u4", "S6", "<u4", "<u4"],
        "offsets": [0, 46, 47, 52, 68, intel_ax.CLOCK_OFFSET, 92],
        "itemsize": intel_ax.HEADER_BYTES,
    }
)
_ANTENNAS = 2  # of every NIC that FeitCSI supports
#: By bits 8..10 of the rate flags. No capture of legacy OFDM (1) or EHT (5) shows in which order FeitCSI has the tones.
_FORMATS = {2: "HT", 3: "VHT", 4: "HE"}
_MHZ = (20, 40, 80, 160)  # by bits 11..13


class _Kind(NamedTuple):
    transmitter: bytes
    plan: intel_ax.Plan
    rx: int
    tx: int


def sniff(head: bytes) -> bool:
    """True if the first measurement, and every other whose header is whole in `head`, has the size that it implies."""
    at = 0
    while at + _HEADER.itemsize <= len(head):
        header = np.frombuffer(head, _HEADER, count=1, offset=at)
        if not _consistent(header)[0]:
            return False
        at += _HEADER.itemsize + int(header["size"][0])
    return at > 0


def read(path: Path, *, carrier_hz: float = 0.0, interval_s: float = 0.0) -> list[Signal]:
    """Read one capture; values [packets, rx * tx, tones], links ordered (rx, tx) with tx running fastest.

    Packets that differ in transmitter, format, bandwidth or antennas become signals of their own, the largest first,
    with a warning; their times count from the first packet of the file. Pilots, which the NIC does not measure, are
    marked invalid. Packets that are not HT, VHT or HE are skipped, with a warning.

    Args:
        carrier_hz: the carrier, which the file does not store; 0 means not known.
        interval_s: seconds between packets, in place of the recorded clock; 0 uses the clock.

    Raises:
        ReadError: the file is missing, empty, truncated or malformed, or has no packet that can be read or no running
            clock.
    """
    data = read_bytes(path)
    headers, starts = _scan(data, path)
    time = np.arange(len(headers)) * np.float64(interval_s)
    if interval_s <= 0:
        time = clock.unwrap(headers["clock"], 1e-6, path, bits=intel_ax.CLOCK_BITS)
    kinds = [_kind(header) for header in headers]
    groups = by_kind(kinds, "transmitter, format, bandwidth or antennas", path)
    if None in kinds:
        first = headers[kinds.index(None)]
        what = f"HT, VHT or HE with the tones of its bandwidth (rate flags {first['rate']:#x}, {first['tones']} tones)"
        if not groups:
            raise ReadError(f"{path}: none of its {len(kinds)} packets is {what}; record one of these formats.")
        warnings.warn(
            f"{path}: skipped {kinds.count(None)} of {len(kinds)} packets, the first is not {what}", stacklevel=2
        )
    return [_signal(data, starts[packets], time[packets], kind, carrier_hz, path) for kind, packets in groups.items()]


def _signal(
    data: bytes, starts: NDArray[np.int64], time_s: NDArray[np.float64], kind: _Kind, carrier_hz: float, path: Path
) -> Signal:
    size = 4 * kind.rx * kind.tx * len(kind.plan.indices)
    payload = b"".join(data[start : start + size] for start in starts)
    return Signal(
        values=intel_ax.channel(payload, len(starts), kind.plan),
        valid=kind.plan.measured,
        time_s=time_s,
        links=tuple(Link(t, r) for r in range(kind.rx) for t in range(kind.tx)),
        frequency_hz=kind.plan.frequency_hz,
        kind="csi",
        carrier_hz=carrier_hz,
        bandwidth_hz=kind.plan.mhz * 1e6,
        device="Intel AX200/AX210",
        session=path.stem,
    )


def _scan(data: bytes, path: Path) -> tuple[NDArray, NDArray[np.int64]]:
    """Headers of all measurements and the byte offsets of their values, after checking the whole chain."""
    starts: list[int] = []
    at = 0
    while at < len(data):
        start = at + _HEADER.itemsize
        end = start + int.from_bytes(data[at : at + 4], "little")
        if end > len(data):
            raise ReadError(
                f"{path}: truncated, the measurement at byte {at} should end at byte {end} but the file has "
                f"{len(data)} bytes; copy it again or cut it to {at} bytes."
            )
        header = np.frombuffer(data, _HEADER, count=1, offset=at)
        if not _consistent(header)[0]:
            raise ReadError(
                f"{path}: measurement {len(starts)} at byte {at} contradicts itself (rx {header['rx'][0]}, tx "
                f"{header['tx'][0]}, {header['tones'][0]} tones, {header['size'][0]} bytes); expected 1..{_ANTENNAS} "
                "antennas and 4 bytes per value of FeitCSI: copy the file again."
            )
        starts.append(start)
        at = end
    rows = [data[start - _HEADER.itemsize : start] for start in starts]
    return np.frombuffer(b"".join(rows), _HEADER), np.asarray(starts)


def _consistent(headers: NDArray) -> NDArray[np.bool_]:
    rx, tx, tones = (headers[name].astype(np.int64) for name in ("rx", "tx", "tones"))
    in_range = (rx >= 1) & (rx <= _ANTENNAS) & (tx >= 1) & (tx <= _ANTENNAS) & (tones >= 1)
    return np.asarray(in_range & (headers["size"] == 4 * rx * tx * tones))


def _kind(header: NDArray) -> _Kind | None:
    """None where the format is unknown or has other tones than the header counts."""
    rate = int(header["rate"])
    packet_format, width = _FORMATS.get(rate >> 8 & 7, ""), rate >> 11 & 7
    plan = intel_ax.plan(packet_format, _MHZ[width]) if width < len(_MHZ) else None
    if plan is None or len(plan.indices) != header["tones"]:
        return None
    return _Kind(header["transmitter"].tobytes(), plan, int(header["rx"]), int(header["tx"]))
