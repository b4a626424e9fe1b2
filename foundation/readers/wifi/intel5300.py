"""Read Wi-Fi CSI `.dat` files of the Linux 802.11n CSI Tool, for the Intel 5300 (Halperin et al., 2011).

A file is a chain of records: uint16 big-endian length of the rest, one code byte, body. Code 0xBB is a measurement,
0xC1 a captured payload (skipped). Values are decoded by the csiread library, which stops silently at the first defect;
so the chain is checked here first.

The file gives antennas, 20 or 40 MHz (bit 11 of `rate_n_flags`, RATE_MCS_HT40_MSK of iwlwifi) and a 32-bit clock of
1 MHz. It does not give the carrier, the date, or the mapping of spatial streams to transmit antennas (`Link.tx` counts
streams). Values are the 8-bit integers of the network card, whose level changes between packets with its automatic gain
control (AGC); `scaled=True` restores it from RSSI and AGC.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from foundation.errors import ReadError
from foundation.readers.files import read_bytes
from foundation.readers.links import antenna_links
from foundation.readers.wifi.clock import packet_times
from foundation.readers.wifi.grouping import by_kind
from foundation.readers.wifi.intel5300_scale import factors
from foundation.readers.wifi.ofdm import SPACING_HZ, undo_ht40_rotation
from foundation.readers.wifi.records import ends_in_zeros, headers_at, leave_out_incomplete
from foundation.signal import Signal

#: Subcarriers reported at 20 MHz (grouping 2) and 40 MHz (grouping 4): IEEE 802.11n-2009, Table 7-25f.
INDICES_20MHZ = np.array([*range(-28, 0, 2), -1, *range(1, 28, 2), 28])
INDICES_40MHZ = np.array([*range(-58, 0, 4), *range(2, 59, 4)])

_MEASUREMENT, _PAYLOAD = 0xBB, 0xC1
_HT40 = 1 << 11
#: Most antennas on either side; subcarriers reported.
_MOST, _SUBCARRIERS = 3, 30
#: Packets decoded at a time.
_BLOCK = 256
_HEADER = np.dtype(
    [
        ("length", ">u2"),
        ("code", "u1"),
        ("clock", "<u4"),
        ("count", "<u2"),
        ("reserved", "<u2"),
        ("rx", "u1"),
        ("tx", "u1"),
        ("rssi", "u1", 3),
        ("noise", "i1"),
        ("agc", "u1"),
        ("antennas", "u1"),
        ("payload", "<u2"),
        ("rate", "<u2"),
    ]
)


def sniff(head: bytes) -> bool:
    """True if the first record has a known code and a consistent length."""
    if len(head) < _HEADER.itemsize or head[2] not in (_MEASUREMENT, _PAYLOAD):
        return False
    if head[2] == _MEASUREMENT:
        return bool(_consistent(np.frombuffer(head, _HEADER, count=1))[0])
    second = 2 + int.from_bytes(head[:2], "big") + 2
    return second >= len(head) or head[second] in (_MEASUREMENT, _PAYLOAD)


class _Kind(NamedTuple):
    rx: int
    tx: int
    mhz: int


def read(path: Path, *, carrier_hz: float = 0.0, interval_s: float = 0.0, scaled: bool = False) -> list[Signal]:
    """Read one capture.

    One signal per antenna count and bandwidth, the one with most packets first; with several, a warning says so.

    Receive chains are sorted by antenna port A, B, C where all three were used; with fewer the order of the network
    card is kept, as the CSI Tool does. At 40 MHz the rotation of the upper half of the band is undone
    (`ofdm.undo_ht40_rotation`).

    An incomplete last record, as of a recorder that was stopped, is left out, with a warning. Steps of a clock that
    stands still or runs backward (the card was reset) are replaced by the median, with a warning.

    Args:
        carrier_hz: carrier frequency, which the file does not store; 0 means unknown.
        interval_s: seconds between packets, in place of the recorded clock; 0 uses the clock.
        scaled: return channel amplitudes relative to the noise (`intel5300_scale.factors`) in place of raw integers.

    Returns:
        Per signal values [packets, rx * tx, 30], links ordered (rx, tx) with tx running fastest.

    Raises:
        ReadError: the file is missing, empty or malformed, or has no whole measurement or no running clock.
    """
    headers, offsets = _scan(read_bytes(path), path)
    time = packet_times(headers["clock"], 1e-6, path, bits=32, interval_s=interval_s)
    mhz = np.where(headers["rate"] & _HT40, 40, 20)
    columns = (headers["rx"].tolist(), headers["tx"].tolist(), mhz.tolist())
    groups = by_kind((_Kind(*kind) for kind in zip(*columns, strict=True)), "antennas or bandwidth", path)
    fields = _decode(path, headers, offsets, groups)
    return [
        _signal(fields[kind], headers[rows], time[rows] - time[rows[0]], kind, carrier_hz, scaled, path)
        for kind, rows in groups.items()
    ]


def _signal(
    values: NDArray[np.complex64],
    headers: NDArray,
    time_s: NDArray[np.float64],
    kind: _Kind,
    carrier_hz: float,
    scaled: bool,
    path: Path,
) -> Signal:
    """The signal of packets of one kind, values [packets, rx, tx, 30]."""
    if scaled:
        scale = factors(values, headers["rssi"], headers["noise"], headers["agc"], kind.rx, kind.tx)
        values *= scale.astype(np.float32)[:, None, None, None]
    indices = INDICES_20MHZ if kind.mhz == 20 else INDICES_40MHZ
    if kind.mhz == 40:
        undo_ht40_rotation(values, indices)
    return Signal(
        values=values.reshape(len(values), kind.rx * kind.tx, len(indices)),
        time_s=time_s,
        links=antenna_links(kind.rx, kind.tx),
        frequency_hz=indices * SPACING_HZ,
        kind="csi",
        carrier_hz=carrier_hz,
        bandwidth_hz=kind.mhz * 1e6,
        device="Intel 5300",
        session=path.stem,
    )


def _scan(data: bytes, path: Path) -> tuple[NDArray, NDArray[np.int64]]:
    """Headers and byte offsets of all whole measurements, after checking the chain of records."""
    starts: list[int] = []
    at = records = 0
    while at < len(data):
        code = data[at + 2] if at + 2 < len(data) else None
        end = at + 2 + (int.from_bytes(data[at:], "big") if code is None else data[at] << 8 | data[at + 1])
        if code is not None and code != _MEASUREMENT and code != _PAYLOAD:
            if ends_in_zeros(path, data, at, whole=records):
                break
            raise ReadError(
                f"{path}: record code {code:#04x} at byte {at + 2}; expected 0xbb or 0xc1 of the Linux 802.11n CSI "
                "Tool, so this is another format or damaged: copy it again or cut it before this record."
            )
        if code is None or end > len(data):
            if code == _MEASUREMENT and at + _HEADER.itemsize <= len(data):
                _check(headers_at(data, np.array([at]), _HEADER), np.array([at]), len(starts), path)
            leave_out_incomplete(path, "the record", at, max(end, at + 3), len(data), whole=records)
            break
        if code == _MEASUREMENT:
            if end - at < _HEADER.itemsize:
                raise ReadError(f"{path}: the record at byte {at} has {end - at} bytes; a measurement has at least 23.")
            starts.append(at)
        records += 1
        at = end if end > at + 2 else at + 3  # a length of 0 would never advance
    if not starts:
        raise ReadError(f"{path}: no measurement (record code 0xbb) in {len(data)} bytes; record with CSI logging on.")
    offsets = np.asarray(starts)
    headers = headers_at(data, offsets, _HEADER)
    _check(headers, offsets, 0, path)
    return headers, offsets


def _check(headers: NDArray, offsets: NDArray[np.int64], first: int, path: Path) -> None:
    """Raise a ReadError if a header contradicts itself; `first` is the number of the first packet."""
    bad = ~_consistent(headers)
    if bad.any():
        at = int(np.argmax(bad))
        record = headers[at]
        raise ReadError(
            f"{path}: packet {first + at} at byte {offsets[at]} is inconsistent (rx {record['rx']}, tx "
            f"{record['tx']}, {record['payload']} payload bytes, record length {record['length']}, antenna order "
            f"{record['antennas']:#04x}); expected 1..3 antennas and the length they imply: copy the file again."
        )


def _consistent(headers: NDArray) -> NDArray[np.bool_]:
    """Per record: are antenna counts, lengths and antenna order consistent?"""
    rx, tx = headers["rx"].astype(int), headers["tx"].astype(int)
    size = (_SUBCARRIERS * (rx * tx * 16 + 3) + 7) // 8
    order = _port_order(headers)
    used = np.arange(_MOST) < rx[:, None]
    ports = np.where(used, 1 << order, 0)
    distinct = ports.sum(axis=1) == np.bitwise_or.reduce(ports, axis=1)
    in_range = (rx >= 1) & (rx <= _MOST) & (tx >= 1) & (tx <= _MOST) & np.all(~used | (order < _MOST), axis=1)
    whole = (headers["payload"] == size) & (headers["length"] == size + _HEADER.itemsize - 2)
    return np.asarray(in_range & distinct & whole)


def _port_order(headers: NDArray) -> NDArray[np.int64]:
    """int [packets, 3]: the antenna port behind each receive chain."""
    return np.asarray((headers["antennas"].astype(np.int64)[:, None] >> np.array([0, 2, 4])) & 3)


def _decode(
    path: Path, headers: NDArray, offsets: NDArray[np.int64], groups: dict[_Kind, NDArray[np.int64]]
) -> dict[_Kind, NDArray[np.complex64]]:
    """Decode the packets of every kind with csiread into complex [packets, rx, tx, 30].

    csiread returns eight times the bytes of the file, and more where antennas differ: so it decodes block by block.
    """
    import csiread

    raw = csiread.Intel(None, nrxnum=_MOST, ntxnum=int(headers["tx"].max()), if_report=False, bufsize=_BLOCK)
    values = {
        kind: np.empty((len(rows), kind.rx, kind.tx, _SUBCARRIERS), np.complex64) for kind, rows in groups.items()
    }
    order = _port_order(headers)
    for at in range(0, len(offsets), _BLOCK):
        count = min(_BLOCK, len(offsets) - at)
        raw.seek(str(path), int(offsets[at]), count)
        if raw.count != count:
            raise ReadError(
                f"{path}: csiread decoded {raw.count} of {count} packets at byte {offsets[at]}; please report "
                "this file."
            )
        for kind, rows in groups.items():
            part = slice(*np.searchsorted(rows, [at, at + count]))
            field = np.asarray(raw.csi)[rows[part] - at]
            if kind.rx < _MOST:
                # csiread applies the order of three ports even where fewer were used, which leaves gaps; the CSI Tool
                # does not.
                field = np.take_along_axis(field, order[rows[part]][:, None, : kind.rx, None], axis=2)
            values[kind][part] = field[:, :, : kind.rx, : kind.tx].transpose(0, 2, 3, 1)
    return values
