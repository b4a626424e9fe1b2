"""Read Wi-Fi CSI `.dat` files of the Atheros CSI Tool, for ath9k network cards (Xie, Li and Li, MobiCom 2015).

A file is a chain of records: uint16 length of the rest, a header of 25 bytes, the CSI, the payload. Numbers are in the
byte order of the recording machine, little or big (OpenWrt routers); newer tools write one byte before the first
record, 0xff for big and 0x00 for little endian. The CSI is a stream of 10-bit two's complement integers, least
significant bit first: imaginary then real part, receive antenna fastest, then transmit antenna, then subcarrier
(`read_csi.c` of the tool).

csiread is not used: it assigns the entries of a subcarrier to the wrong antennas (transmit fastest) and copies the CSI
into 4096 bytes whatever length the record claims.

The file gives antennas, 56 or 114 subcarriers, the centre frequency of the primary channel and a 64-bit microsecond
clock. Values are the integers of the network card; its gain differs between packets and is not corrected.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from foundation.errors import ReadError
from foundation.readers.files import read_bytes
from foundation.readers.links import antenna_links
from foundation.readers.wifi.clock import packet_times
from foundation.readers.wifi.grouping import by_kind
from foundation.readers.wifi.ofdm import INDICES, SPACING_HZ, undo_ht40_rotation
from foundation.readers.wifi.records import ends_in_zeros, headers_at, leave_out_incomplete
from foundation.signal import Signal

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
_TONES = (56, 114)
#: Extra bytes of a record beyond header, CSI and payload: some recorders count the trailing length field.
_SLACK = 2


def sniff(head: bytes) -> bool:
    """True if the headers of the first records are consistent in one of the byte orders."""
    return _byte_order(head) is not None


class _Kind(NamedTuple):
    rx: int
    tx: int
    tones: int
    channel_mhz: int


def read(path: Path, *, carrier_hz: float = 0.0, interval_s: float = 0.0) -> list[Signal]:
    """Read one capture.

    One signal per antenna count, number of subcarriers and channel, the one with most packets first; with several, a
    warning says so.

    At 40 MHz the rotation of the upper half of the band is undone (`ofdm.undo_ht40_rotation`). The driver reports the
    centre of the primary channel; at 40 MHz the carrier is 10 MHz above or below it, which the file does not say: give
    `carrier_hz` where it matters.

    Records without CSI (payload only) are skipped. Packets with an inconsistent header are dropped, and an incomplete
    last record, as of a recorder that was stopped, is left out, each with a warning. Steps of a clock that stands
    still or jumps are replaced by the median, with a warning.

    Args:
        carrier_hz: carrier frequency; 0 takes the channel that the file gives.
        interval_s: seconds between packets, in place of the recorded clock; 0 uses the clock.

    Returns:
        Per signal values [packets, rx * tx, 56 or 114], links ordered (rx, tx) with tx running fastest.

    Raises:
        ReadError: the file is missing, empty or malformed, or has no usable packet or no running clock.
    """
    data = read_bytes(path)
    headers, offsets = _scan(data, path)
    time = packet_times(headers["clock"], 1e-6, path, interval_s=interval_s)
    columns = [headers[name].tolist() for name in _Kind._fields]
    groups = by_kind((_Kind(*kind) for kind in zip(*columns, strict=True)), "antennas, subcarriers or channel", path)
    signals = []
    for kind, rows in groups.items():
        payload = sliding_window_view(np.frombuffer(data, np.uint8), _size(kind))[offsets[rows]]
        signals.append(_signal(payload, time[rows] - time[rows[0]], kind, carrier_hz, path))
    return signals


def _size(kind: _Kind) -> int:
    """Bytes of the CSI of a packet."""
    return kind.tones * kind.rx * kind.tx * 2 * _BITS // 8


def _signal(
    payload: NDArray[np.uint8], time_s: NDArray[np.float64], kind: _Kind, carrier_hz: float, path: Path
) -> Signal:
    """The signal of the CSI [packets, bytes] of one kind."""
    field = decode(payload, kind.tones, kind.tx, kind.rx)
    values = field.transpose(0, 3, 2, 1).reshape(len(payload), kind.rx * kind.tx, kind.tones)
    if kind.tones == 114:
        undo_ht40_rotation(values, INDICES[kind.tones])
    return Signal(
        values=values,
        time_s=time_s,
        links=antenna_links(kind.rx, kind.tx),
        frequency_hz=INDICES[kind.tones] * np.float64(SPACING_HZ),
        kind="csi",
        carrier_hz=carrier_hz or kind.channel_mhz * 1e6,
        bandwidth_hz=20e6 if kind.tones == 56 else 40e6,
        device="Atheros ath9k",
        session=path.stem,
    )


def decode(payload: NDArray[np.uint8], tones: int, tx: int, rx: int) -> NDArray[np.complex64]:
    """Decode CSI [packets, bytes] into complex [packets, subcarrier, tx, rx]; four 10-bit integers fill five bytes."""
    raw = payload.reshape(len(payload), -1, 5)
    low, high = raw[..., :4].astype(np.int16), raw[..., 1:].astype(np.int16)
    shift = np.array([0, 2, 4, 6], np.int16)
    numbers = (low >> shift | high << (8 - shift)) & ((1 << _BITS) - 1)
    sign = np.int16(1 << (_BITS - 1))
    parts = ((numbers ^ sign) - sign).reshape(len(payload), tones, tx, rx, 2)
    field = np.empty(parts.shape[:-1], np.complex64)
    field.imag, field.real = parts[..., 0], parts[..., 1]
    return field


def _byte_order(data: bytes) -> tuple[int, _Order] | None:
    """Offset of the first record and its byte order; None if no interpretation of the first records is consistent."""
    marked = [(1, _ORDERS[data[0]])] if data and data[0] in _ORDERS else []
    candidates: list[tuple[int, _Order]] = [(0, "<"), (0, ">"), *marked]
    for start, order in candidates:
        at = start
        while at + 2 + _HEADER.itemsize <= len(data):
            length, header = _record(data, at, order)
            if _excess(length, header) not in range(_SLACK + 1):
                break
            if header["csi_length"][0]:
                if _consistent(header)[0]:
                    return start, order
                break
            at += 2 + length
    return None


def _record(data: bytes, at: int, order: _Order) -> tuple[int, NDArray]:
    """Length and header of the record at byte `at`."""
    length = int.from_bytes(data[at : at + 2], "little" if order == "<" else "big")
    return length, np.frombuffer(data, _HEADER.newbyteorder(order), count=1, offset=at + 2)


def _excess(length: int, header: NDArray) -> int:
    """Bytes of a record beyond its header, CSI and payload."""
    return length - _HEADER.itemsize - int(header["csi_length"][0]) - int(header["payload"][0])


def _damaged(path: Path, at: int, what: str) -> ReadError:
    return ReadError(
        f"{path}: the record at byte {at} has {what}, so the file is damaged: copy it again or cut it to {at} bytes."
    )


def _scan(data: bytes, path: Path) -> tuple[NDArray, NDArray[np.int64]]:
    """Headers of all usable packets and byte offsets of their CSI, after checking the chain of records."""
    found = _byte_order(data)
    if found is None:
        raise ReadError(
            f"{path}: no CSI with a consistent header in either byte order at the start of the file; expected records "
            "of the Atheros CSI Tool (56 or 114 subcarriers, 1..3 antennas, matching lengths): copy it again."
        )
    at, order = found
    starts: list[int] = []
    while at < len(data):
        end = at + 2 + int.from_bytes(data[at : at + 2], "little" if order == "<" else "big")
        if ends_in_zeros(path, data, at, whole=len(starts)):
            break
        if end > len(data) or at + 2 > len(data):
            if at + 2 + _HEADER.itemsize <= len(data) and _excess(*_record(data, at, order)) not in range(_SLACK + 1):
                raise _damaged(path, at, "a header that contradicts its length")
            leave_out_incomplete(path, "the record", at, max(end, at + 2), len(data), whole=len(starts))
            break
        if end - at < 2 + _HEADER.itemsize:
            raise _damaged(path, at, f"{end - at} bytes; expected at least {2 + _HEADER.itemsize}")
        starts.append(at)
        at = end
    offsets = np.asarray(starts) + 2
    return _usable(headers_at(data, offsets, _HEADER.newbyteorder(order)), offsets, at, path)


def _usable(headers: NDArray, offsets: NDArray[np.int64], end: int, path: Path) -> tuple[NDArray, NDArray[np.int64]]:
    """Headers and CSI offsets of the packets that have CSI and a consistent header, in records up to byte `end`."""
    measured = np.flatnonzero(headers["csi_length"])
    parts = _HEADER.itemsize + headers["csi_length"].astype(int) + headers["payload"]
    fits = parts <= np.diff(offsets, append=end + 2) - 2
    good = (_consistent(headers) & fits)[measured]
    if not good.all():
        warnings.warn(
            f"{path}: dropped {int((~good).sum())} of {len(measured)} packets with an inconsistent header, the first "
            f"at byte {offsets[measured[~good][0]] - 2}",
            stacklevel=4,
        )
    kept = measured[good]
    return headers[kept], offsets[kept] + _HEADER.itemsize


def _consistent(headers: NDArray) -> NDArray[np.bool_]:
    """Per record: does the CSI length follow from antennas and subcarriers, and is the channel in a Wi-Fi band?"""
    rx, tx, tones = (headers[name].astype(int) for name in ("rx", "tx", "tones"))
    in_range = (rx >= 1) & (rx <= 3) & (tx >= 1) & (tx <= 3) & (headers["is_40mhz"] <= 1)
    in_band = (headers["channel_mhz"] >= 2300) & (headers["channel_mhz"] <= 6100)
    known = np.isin(tones, _TONES)
    return np.asarray(in_range & in_band & known & (headers["csi_length"] == tones * rx * tx * 2 * _BITS // 8))
