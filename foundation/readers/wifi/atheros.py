"""Atheros Wi-Fi CSI: the `.dat` files of the Atheros CSI Tool for ath9k cards (Xie, Li and Li, MobiCom 2015).

A file is a chain of records: uint16 length of what follows, a header of 25 bytes, the CSI, the payload. Numbers are in
the byte order of the machine that recorded, little or big (OpenWrt routers); newer tools put one byte before the first
record, 0xff for big and 0x00 for little. The CSI is a stream of 10-bit two's complement integers, lowest bits first:
imaginary then real part, receive antenna fastest, then transmit antenna, then subcarrier (`read_csi.c` of the tool).

Read here and not by csiread, which gives the entries of one subcarrier to the wrong antennas (transmit fastest) and
copies the CSI into 4096 bytes whatever length the record claims.

What the file says: antennas, 56 or 114 subcarriers, the centre of the primary channel, a 64-bit clock in microseconds.
Values are the NIC's integers; its gain differs between packets and is not undone.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from foundation.errors import ReadError
from foundation.readers.files import read_bytes
from foundation.readers.wifi import clock
from foundation.signal import Link, Signal

SPACING_HZ = 312_500.0
#: Subcarriers by their number: 20 and 40 MHz (IEEE 802.11n-2009, 20.3.9.4.6).
INDICES = {56: np.array([*range(-28, 0), *range(1, 29)]), 114: np.array([*range(-58, -1), *range(2, 59)])}

_BITS = 10
_HEADER = np.dtype(
    [
        ("clock", "<u8"),
        ("csi_length", "<u2"),
        ("channel_mhz", "<u2"),
        ("error", "u1"),
        ("noise", "u1"),
        ("rate", "u1"),
        ("is_40mhz", "u1"),
        ("tones", "u1"),
        ("rx", "u1"),
        ("tx", "u1"),
        ("rssi", "u1", 4),
        ("payload", "<u2"),
    ]
)
_Order = Literal["<", ">"]
_ORDERS: dict[int, _Order] = {0x00: "<", 0xFF: ">"}
#: What a record may have beyond header, CSI and payload: some recorders count the trailing length field.
_SLACK = 2


def sniff(head: bytes) -> bool:
    """True if the first records agree with themselves in one of the byte orders."""
    return _byte_order(head) is not None


def read(path: Path, *, carrier_hz: float = 0.0, interval_s: float = 0.0) -> Signal:
    """Read one capture; values [packets, rx * tx, 56 or 114], links ordered (rx, tx) with tx running fastest.

    At 40 MHz the standard turns the upper half of the band by 90 degrees (802.11n-2009, 20.3.9.3.4); that turn is
    undone, so that the phase is continuous across the carrier. The driver names the centre of the primary channel; at
    40 MHz the carrier lies 10 MHz above or below it, which the file does not say: give `carrier_hz` where it matters.

    Records without CSI (a payload alone) are passed over. Packets whose header contradicts itself, and packets of
    other antennas, subcarriers or channel than the most frequent, are dropped, with a warning. Where the clock stands
    still or jumps, the packet is put one median interval after the one before it, with a warning.

    Args:
        carrier_hz: the carrier; 0 takes the channel that the file names.
        interval_s: seconds between packets, in place of the recorded clock; 0 uses the clock.

    Raises:
        ReadError: the file is missing, empty, truncated or malformed, or has no usable packet or no running clock.
    """
    data = read_bytes(path)
    headers, offsets = _scan(data, path)
    kept, (rx, tx, tones, channel_mhz) = _most_frequent(headers, path)
    ticks = headers["clock"]
    time = np.arange(len(headers)) * interval_s if interval_s > 0 else clock.unwrap(ticks, 1e-6, path)
    field = _decode(data, offsets[kept], tones, tx, rx)
    indices = INDICES[tones]
    if tones == 114:
        field = np.where(indices[:, None, None] > 0, np.complex64(-1j) * field, field)
    return Signal(
        values=field.transpose(0, 3, 2, 1).reshape(len(kept), rx * tx, tones).astype(np.complex64),
        time_s=time[kept] - time[kept[0]],
        links=tuple(Link(t, r) for r in range(rx) for t in range(tx)),
        frequency_hz=indices * SPACING_HZ,
        kind="csi",
        carrier_hz=carrier_hz or channel_mhz * 1e6,
        bandwidth_hz=20e6 if tones == 56 else 40e6,
        device="Atheros ath9k",
        session=path.stem,
    )


def _byte_order(data: bytes) -> tuple[int, _Order] | None:
    """Where the first record starts and its byte order; None if no reading of the first records is sound."""
    marked = [(1, _ORDERS[data[0]])] if data and data[0] in _ORDERS else []
    readings: list[tuple[int, _Order]] = [(0, "<"), (0, ">"), *marked]
    for start, order in readings:
        at = start
        while at + 2 + _HEADER.itemsize <= len(data):
            length, header = _record(data, at, order)
            parts = _HEADER.itemsize + int(header["csi_length"][0]) + int(header["payload"][0])
            if not parts <= length <= parts + _SLACK:
                break
            if header["csi_length"][0]:
                if _consistent(header)[0]:
                    return start, order
                break
            at += 2 + length
    return None


def _record(data: bytes, at: int, order: _Order) -> tuple[int, NDArray]:
    """The length and the header of the record at a byte."""
    length = int.from_bytes(data[at : at + 2], "little" if order == "<" else "big")
    return length, np.frombuffer(data, _HEADER.newbyteorder(order), count=1, offset=at + 2)


def _scan(data: bytes, path: Path) -> tuple[NDArray, NDArray[np.int64]]:
    """Headers of all usable packets and the byte offsets of their CSI, after checking the whole chain of records."""
    found = _byte_order(data)
    if found is None:
        raise ReadError(
            f"{path}: no CSI whose header agrees with itself in either byte order at the start of the file; expected "
            "records of the Atheros CSI Tool (56 or 114 subcarriers, 1..3 antennas, matching lengths): copy it again."
        )
    at, order = found
    starts: list[int] = []
    while at < len(data):
        end = at + 2 + int.from_bytes(data[at : at + 2], "little" if order == "<" else "big")
        if end > len(data) or at + 2 > len(data):
            raise ReadError(
                f"{path}: truncated, the record at byte {at} should end at byte {end} but the file has {len(data)} "
                f"bytes; copy it again or cut it to {at} bytes."
            )
        if end - at < 2 + _HEADER.itemsize:
            raise ReadError(
                f"{path}: the record at byte {at} has {end - at} bytes; expected at least {2 + _HEADER.itemsize}, so "
                f"the file is damaged: copy it again or cut it to {at} bytes."
            )
        starts.append(at)
        at = end
    offsets = np.asarray(starts) + 2
    rows = sliding_window_view(np.frombuffer(data, np.uint8), _HEADER.itemsize)[offsets]
    headers = np.ascontiguousarray(rows).view(_HEADER.newbyteorder(order))[:, 0]
    return _usable(headers, offsets, len(data), path)


def _usable(headers: NDArray, offsets: NDArray[np.int64], size: int, path: Path) -> tuple[NDArray, NDArray[np.int64]]:
    """Headers and CSI offsets of the packets that have CSI and agree with themselves."""
    measured = np.flatnonzero(headers["csi_length"])
    parts = _HEADER.itemsize + headers["csi_length"].astype(int) + headers["payload"]
    fits = parts <= np.diff(offsets, append=size + 2) - 2
    good = (_consistent(headers) & fits)[measured]
    if not good.all():
        warnings.warn(
            f"{path}: dropped {int((~good).sum())} of {len(measured)} packets whose header contradicts itself, the "
            f"first at byte {offsets[measured[~good][0]] - 2}",
            stacklevel=4,
        )
    kept = measured[good]
    return headers[kept], offsets[kept] + _HEADER.itemsize


def _consistent(headers: NDArray) -> NDArray[np.bool_]:
    """Per record: do the antennas and subcarriers give the length of the CSI, and is the channel a Wi-Fi channel?"""
    rx, tx, tones = (headers[name].astype(int) for name in ("rx", "tx", "tones"))
    in_range = (rx >= 1) & (rx <= 3) & (tx >= 1) & (tx <= 3) & (headers["is_40mhz"] <= 1)
    in_band = (headers["channel_mhz"] >= 2300) & (headers["channel_mhz"] <= 6100)
    known = np.isin(tones, list(INDICES))
    return np.asarray(in_range & in_band & known & (headers["csi_length"] == tones * rx * tx * 2 * _BITS // 8))


def _most_frequent(headers: NDArray, path: Path) -> tuple[NDArray[np.int64], tuple[int, int, int, int]]:
    """Packets of the most frequent (rx, tx, subcarriers, channel), the earliest of equals, and that setup."""
    setups = np.stack([headers[name].astype(int) for name in ("rx", "tx", "tones", "channel_mhz")], axis=1)
    unique, first, inverse, counts = np.unique(
        setups, axis=0, return_index=True, return_inverse=True, return_counts=True
    )
    best = min(range(len(unique)), key=lambda i: (-counts[i], first[i]))
    kept = np.flatnonzero(inverse.ravel() == best)
    rx, tx, tones, channel_mhz = (int(x) for x in unique[best])
    if len(unique) > 1:
        changed = int(np.argmax(inverse.ravel() != best))
        warnings.warn(
            f"{path}: dropped {len(headers) - len(kept)} of {len(headers)} packets whose antennas, subcarriers or "
            f"channel differ from the most frequent ({rx} rx, {tx} tx, {tones} subcarriers, {channel_mhz} MHz), the "
            f"first at packet {changed}",
            stacklevel=3,
        )
    return kept, (rx, tx, tones, channel_mhz)


def _decode(data: bytes, offsets: NDArray[np.int64], tones: int, tx: int, rx: int) -> NDArray[np.complex64]:
    """complex [packets, subcarrier, tx, rx]; four 10-bit integers fill five bytes."""
    size = tones * rx * tx * 2 * _BITS // 8
    raw = sliding_window_view(np.frombuffer(data, np.uint8), size)[offsets].reshape(len(offsets), -1, 5)
    low, high = raw[..., :4].astype(np.int16), raw[..., 1:].astype(np.int16)
    shift = np.array([0, 2, 4, 6], np.int16)
    numbers = (low >> shift | high << (8 - shift)) & ((1 << _BITS) - 1)
    sign = np.int16(1 << (_BITS - 1))
    parts = ((numbers ^ sign) - sign).reshape(len(offsets), tones, tx, rx, 2)
    field = np.empty(parts.shape[:-1], np.complex64)
    field.imag, field.real = parts[..., 0], parts[..., 1]
    return field
