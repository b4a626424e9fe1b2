"""Intel 5300 Wi-Fi CSI: the `.dat` files of the Linux 802.11n CSI Tool (Halperin et al., 2011).

A file is a chain of records: uint16 big-endian length of what follows, one code byte, body. Code 0xBB is a measurement,
0xC1 a captured payload (skipped). Values come from the csiread library, which stops silently at the first defect; so
the chain is checked here first.

What the file says: antennas, 20 or 40 MHz (bit 11 of `rate_n_flags`, RATE_MCS_HT40_MSK of iwlwifi), a 1 MHz clock of
32 bits. What it does not say: the carrier, the day, the transmit antennas behind the spatial streams (`Link.tx` counts
streams). Values are the NIC's 8-bit integers, whose level changes between packets with its gain control; `scaled=True`
puts RSSI and AGC back in.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foundation.errors import ReadError
from foundation.readers.files import read_bytes
from foundation.readers.wifi import clock
from foundation.readers.wifi.intel5300_scale import factors
from foundation.signal import Link, Signal

SPACING_HZ = 312_500.0
#: Subcarriers reported at 20 MHz (grouping 2) and 40 MHz (grouping 4): IEEE 802.11n-2009, Table 7-25f.
INDICES_20MHZ = np.array([*range(-28, 0, 2), -1, *range(1, 28, 2), 28])
INDICES_40MHZ = np.array([*range(-58, 0, 4), *range(2, 59, 4)])

_MEASUREMENT, _PAYLOAD = 0xBB, 0xC1
_HT40 = 1 << 11
#: Of antennas on either side; of subcarriers reported.
_MOST, _SUBCARRIERS = 3, 30
#: Packets that are decoded at a time.
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


def read(path: Path, *, carrier_hz: float = 0.0, interval_s: float = 0.0, scaled: bool = False) -> Signal:
    """Read one capture; values [packets, rx * tx, 30], links ordered (rx, tx) with tx running fastest.

    Receive chains are put back in the order of the antenna ports A, B, C where all three were used; with fewer the
    NIC's own order is kept, as the CSI Tool does. At 40 MHz the standard turns the upper half of the band by 90 degrees
    (802.11n-2009, 20.3.9.3.4); that turn is undone, so that the phase is continuous across the carrier.

    Packets of another antenna count or bandwidth than the most frequent one are dropped, with a warning. Where the
    clock stands still or runs backward (the card was reset), the packet is put one median interval after the one
    before it, with a warning.

    Args:
        carrier_hz: the carrier, which the file does not store; 0 means not known.
        interval_s: seconds between packets, in place of the recorded clock; 0 uses the clock.
        scaled: values in units of the noise, see `foundation.readers.wifi.intel5300_scale`, in place of raw integers.

    Raises:
        ReadError: the file is missing, empty, truncated or malformed, or has no measurement or no running clock.
    """
    headers, offsets = _scan(read_bytes(path), path)
    kept, (rx, tx, is_40mhz) = _most_frequent(headers, path)
    time = (
        np.arange(len(headers)) * interval_s if interval_s > 0 else clock.unwrap(headers["clock"], 1e-6, path, bits=32)
    )
    values = _decode(path, headers, offsets, kept, rx, tx)
    if scaled:
        used = headers[kept]
        scale = factors(values, used["rssi"], used["noise"], used["agc"], rx, tx)
        values *= scale.astype(np.float32)[:, None, None, None]
    indices = INDICES_40MHZ if is_40mhz else INDICES_20MHZ
    if is_40mhz:
        values[..., indices > 0] *= -1j
    return Signal(
        values=values.reshape(len(kept), rx * tx, len(indices)),
        time_s=time[kept] - time[kept[0]],
        links=tuple(Link(t, r) for r in range(rx) for t in range(tx)),
        frequency_hz=indices * SPACING_HZ,
        kind="csi",
        carrier_hz=carrier_hz,
        bandwidth_hz=40e6 if is_40mhz else 20e6,
        device="Intel 5300",
        session=path.stem,
    )


def _scan(data: bytes, path: Path) -> tuple[NDArray, NDArray[np.int64]]:
    """Headers and byte offsets of all measurements, after checking the whole chain of records."""
    starts, at = [], 0
    while at < len(data):
        code = data[at + 2] if at + 2 < len(data) else None
        end = at + 2 + (int.from_bytes(data[at:], "big") if code is None else data[at] << 8 | data[at + 1])
        if code is not None and code != _MEASUREMENT and code != _PAYLOAD:
            raise ReadError(
                f"{path}: record code {code:#04x} at byte {at + 2}; expected 0xbb or 0xc1 of the Linux 802.11n CSI "
                "Tool, so this is another format or damaged: copy it again or cut it before this record."
            )
        if code is None or end > len(data):
            raise ReadError(
                f"{path}: truncated, the record at byte {at} should end at byte {max(end, at + 3)} but the file has "
                f"{len(data)} bytes; copy it again or cut it to {at} bytes."
            )
        if code == _MEASUREMENT:
            if end - at < _HEADER.itemsize:
                raise ReadError(f"{path}: the record at byte {at} has {end - at} bytes; a measurement has at least 23.")
            starts.append(at)
        at = end if end > at + 2 else at + 3  # a length of 0 would never advance
    if not starts:
        raise ReadError(f"{path}: no measurement (record code 0xbb) in {len(data)} bytes; record with CSI logging on.")
    offsets = np.asarray(starts)
    rows = np.frombuffer(data, np.uint8)[offsets[:, None] + np.arange(_HEADER.itemsize)]
    headers = np.ascontiguousarray(rows).view(_HEADER)[:, 0]
    bad = ~_consistent(headers)
    if bad.any():
        first = int(np.argmax(bad))
        record = headers[first]
        raise ReadError(
            f"{path}: packet {first} at byte {offsets[first]} contradicts itself (rx {record['rx']}, tx "
            f"{record['tx']}, {record['payload']} payload bytes, record length {record['length']}, antenna order "
            f"{record['antennas']:#04x}); expected 1..3 antennas and the length they imply: copy the file again."
        )
    return headers, offsets


def _consistent(headers: NDArray) -> NDArray[np.bool_]:
    """Per record: do antenna counts, lengths and antenna order agree?"""
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


def _most_frequent(headers: NDArray, path: Path) -> tuple[NDArray[np.int64], tuple[int, int, bool]]:
    """Packets of the most frequent (rx, tx, 40 MHz), the earliest of equals, and that configuration."""
    setups = headers["rx"].astype(int) << 3 | headers["tx"].astype(int) << 1 | ((headers["rate"] & _HT40) > 0)
    unique, first, counts = np.unique(setups, return_index=True, return_counts=True)
    best = setups[min(zip(-counts, first, strict=True))[1]]
    kept = np.flatnonzero(setups == best)
    rx, tx, is_40mhz = int(best) >> 3, int(best) >> 1 & 3, int(best) & 1
    if len(unique) > 1:
        changed = int(np.argmax(setups != best))
        warnings.warn(
            f"{path}: dropped {len(headers) - len(kept)} of {len(headers)} packets whose antennas or bandwidth differ "
            f"from the most frequent ({rx} rx, {tx} tx, {40 if is_40mhz else 20} MHz), the first at packet {changed}",
            stacklevel=3,
        )
    return kept, (rx, tx, bool(is_40mhz))


def _decode(
    path: Path, headers: NDArray, offsets: NDArray[np.int64], kept: NDArray[np.int64], rx: int, tx: int
) -> NDArray[np.complex64]:
    """complex [kept, rx, tx, 30] of the packets of one setup.

    csiread gives eight times the bytes of the file, and more where antennas differ: so it is asked for blocks.
    """
    import csiread

    raw = csiread.Intel(None, nrxnum=_MOST, ntxnum=int(headers["tx"].max()), if_report=False, bufsize=_BLOCK)
    values = np.empty((len(kept), rx, tx, _SUBCARRIERS), np.complex64)
    order = _port_order(headers)
    for at in range(0, len(offsets), _BLOCK):
        count = min(_BLOCK, len(offsets) - at)
        raw.seek(str(path), int(offsets[at]), count)
        if raw.count != count:
            raise ReadError(
                f"{path}: csiread decoded {raw.count} of {count} packets at byte {offsets[at]}; report this file as a "
                "defect."
            )
        rows = slice(*np.searchsorted(kept, [at, at + count]))
        field = np.asarray(raw.csi)[kept[rows] - at]
        if rx < _MOST:
            # csiread applies the order of three ports even where fewer were used, which leaves holes; the CSI Tool
            # does not.
            field = np.take_along_axis(field, order[kept[rows]][:, None, :rx, None], axis=2)
        values[rows] = field[:, :, :rx, :tx].transpose(0, 2, 3, 1)
    return values
