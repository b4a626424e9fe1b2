"""Read Wi-Fi CSI `.csi` files of FeitCSI, for the Intel AX200 and AX210: non-HT, HT, VHT and HE at 20 to 160 MHz.

A file is a chain of measurements, each a header of 272 bytes and the values it announces
(https://feitcsi.kuskosoft.com/csi_format; rate flags as `RATE_MCS_*` in iwlwifi). `intel_ax` describes how the values
are stored. The microsecond clock of the header (byte 88) is used; it is synchronous with the documented 320 MHz FTM
clock (byte 8), which wraps every 13.4 s and is used where the other stands still, as in firmware of 2025.

The file does not give the carrier, nor where in a wider channel a non-HT packet of 20 MHz lies: its frequencies count
from its own centre. No FeitCSI capture of non-HT packets was at hand; their tones are ordered as PicoScenes has them
from the same firmware. Values are counts of the firmware, after its automatic gain control.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from foundation.errors import ReadError
from foundation.readers.files import read_bytes
from foundation.readers.links import antenna_links
from foundation.readers.wifi import intel_ax
from foundation.readers.wifi.clock import packet_times
from foundation.readers.wifi.grouping import by_kind, transmitter_label
from foundation.readers.wifi.records import ends_in_zeros, headers_at, leave_out_incomplete
from foundation.signal import Signal

_HEADER = np.dtype(
    {
        "names": ["size", "ftm_clock", "rx", "tx", "tones", "transmitter", "clock", "rate"],
        "formats": ["<u4", "<u4", "u1", "u1", "<u4", "V6", "<u4", "<u4"],
        "offsets": [0, 8, 46, 47, 52, 68, intel_ax.CLOCK_OFFSET, 92],
        "itemsize": intel_ax.HEADER_BYTES,
    }
)
_FTM_HZ, _FTM_BITS = 320e6, 32
_ANTENNAS = 2  # of every NIC that FeitCSI supports
#: By bits 8..10 of the rate flags. No capture of EHT (5) was available to find its tone order.
_FORMATS = {1: "non-HT", 2: "HT", 3: "VHT", 4: "HE"}
_MHZ = (20, 40, 80, 160)  # by bits 11..13


class _Kind(NamedTuple):
    transmitter: bytes
    plan: intel_ax.Plan
    rx: int
    tx: int


def sniff(head: bytes) -> bool:
    """True if the first measurement, and every other with a complete header in `head`, has the size that it implies."""
    at = 0
    while at + _HEADER.itemsize <= len(head):
        header = np.frombuffer(head, _HEADER, count=1, offset=at)
        if not _consistent(header)[0]:
            return False
        at += _HEADER.itemsize + int(header["size"][0])
    return at > 0


def read(path: Path, *, carrier_hz: float = 0.0, interval_s: float = 0.0) -> list[Signal]:
    """Read one capture.

    Packets that differ in transmitter, format, bandwidth or antennas are returned as separate signals, the largest
    first, with a warning; their times count from the first packet of the file. Pilots, which the network card does not
    measure, are marked invalid. Packets of other formats are skipped, and an incomplete last measurement, as of
    a recorder that was stopped, is left out, each with a warning. With several signals the label `transmitter` holds
    the address.

    Args:
        carrier_hz: carrier frequency, which the file does not store; 0 means unknown.
        interval_s: seconds between packets, in place of the recorded clock; 0 uses the clock.

    Returns:
        Per signal values [packets, rx * tx, tones], links ordered (rx, tx) with tx running fastest.

    Raises:
        ReadError: the file is missing, empty or malformed, or has no packet that can be read or no running clock.
    """
    data = read_bytes(path)
    headers, starts = _scan(data, path)
    clock, tick_s, bits = headers["clock"], 1e-6, intel_ax.CLOCK_BITS
    if np.all(clock == clock[0]) and not np.all(headers["ftm_clock"] == headers["ftm_clock"][0]):
        clock, tick_s, bits = headers["ftm_clock"], 1 / _FTM_HZ, _FTM_BITS
    time = packet_times(clock, tick_s, path, bits=bits, interval_s=interval_s)
    kinds = [_kind(header) for header in headers]
    groups = by_kind(kinds, "transmitter, format, bandwidth or antennas", path)
    if None in kinds:
        first = headers[kinds.index(None)]
        what = (
            f"other than non-HT, HT, VHT or HE with the tones of its bandwidth, the first with rate flags "
            f"{first['rate']:#x} and {first['tones']} tones"
        )
        if not groups:
            raise ReadError(f"{path}: all {len(kinds)} packets are {what}; record one of these formats.")
        warnings.warn(f"{path}: skipped {kinds.count(None)} of {len(kinds)} packets {what}", stacklevel=2)
    signals = []
    for kind, packets in groups.items():
        signal = _signal(data, starts[packets], time[packets], kind, carrier_hz, path)
        signals.append(signal.with_(labels=transmitter_label(kind.transmitter.hex(":"), groups)))
    return signals


def _signal(
    data: bytes, starts: NDArray[np.int64], time_s: NDArray[np.float64], kind: _Kind, carrier_hz: float, path: Path
) -> Signal:
    size = 4 * kind.rx * kind.tx * len(kind.plan.indices)
    payload = b"".join(data[start : start + size] for start in starts)
    return Signal(
        values=intel_ax.channel(payload, len(starts), kind.plan),
        valid=kind.plan.measured,
        time_s=time_s,
        links=antenna_links(kind.rx, kind.tx),
        frequency_hz=kind.plan.frequency_hz,
        kind="csi",
        carrier_hz=carrier_hz,
        bandwidth_hz=kind.plan.mhz * 1e6,
        device="Intel AX200/AX210",
        session=path.stem,
    )


def _scan(data: bytes, path: Path) -> tuple[NDArray, NDArray[np.int64]]:
    """Headers of all measurements and the byte offsets of their values, after checking the chain."""
    starts: list[int] = []
    at = 0
    while at < len(data):
        start = at + _HEADER.itemsize
        end = start + int.from_bytes(data[at : at + 4], "little")
        header = np.frombuffer(data[at:start].ljust(_HEADER.itemsize, b"\0"), _HEADER)
        if start <= len(data) and not _consistent(header)[0]:
            if ends_in_zeros(path, data, at, whole=len(starts)):
                break
            raise ReadError(
                f"{path}: measurement {len(starts)} at byte {at} is inconsistent (rx {header['rx'][0]}, tx "
                f"{header['tx'][0]}, {header['tones'][0]} tones, {header['size'][0]} bytes); expected 1..{_ANTENNAS} "
                "antennas and 4 bytes per value of FeitCSI: copy the file again."
            )
        if end > len(data):
            leave_out_incomplete(path, "the measurement", at, end, len(data), whole=len(starts))
            break
        starts.append(start)
        at = end
    offsets = np.asarray(starts)
    return headers_at(data, offsets - _HEADER.itemsize, _HEADER), offsets


def _consistent(headers: NDArray) -> NDArray[np.bool_]:
    rx, tx, tones = (headers[name].astype(np.int64) for name in ("rx", "tx", "tones"))
    in_range = (rx >= 1) & (rx <= _ANTENNAS) & (tx >= 1) & (tx <= _ANTENNAS) & (tones >= 1)
    return np.asarray(in_range & (headers["size"] == 4 * rx * tx * tones))


def _kind(header: NDArray) -> _Kind | None:
    """The kind of a packet; None if the format is unknown or its number of tones differs from the header."""
    rate = int(header["rate"])
    packet_format, width = _FORMATS.get(rate >> 8 & 7, ""), rate >> 11 & 7
    plan = intel_ax.plan_of(packet_format, _MHZ[width], int(header["tones"])) if width < len(_MHZ) else None
    if plan is None:
        return None
    return _Kind(header["transmitter"].tobytes(), plan, int(header["rx"]), int(header["tx"]))
