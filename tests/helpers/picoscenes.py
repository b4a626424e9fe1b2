"""Frames of PicoScenes with the CSI of every device, and the signals that are read from them."""

from __future__ import annotations

import struct
import warnings
from pathlib import Path

import numpy as np

from foundation.readers.wifi import picoscenes
from foundation.signal import Signal

AX200, INTEL_5300, QCA9300, USRP = 0x2000, 0x5300, 0x9300, 0x1234
NON_HT, HT, VHT, HE, HE_MU = range(5)
STATION = b"\x00\x16\xea\x12\x34\x56"
QOS_DATA, CTS = 0x88, 0xC4
CSI_LAYOUTS = {1: "<HbHQQIHBBBBI", 2: "<HbHQQIHBBBBhI", 3: "<HbHQQIHBBBHBhI", 4: "<HBbHQQIHBBBHBhI"}
LEGACY_ORDER = [-21, -7, 7, 21, *(k for k in range(-26, 27) if k not in (-21, -7, 0, 7, 21))]


def segment(name: bytes, version: int, content: bytes) -> bytes:
    body = bytes([len(name) + 1]) + name + b"\0" + struct.pack("<H", version) + content
    return struct.pack("<I", len(body)) + body


def csi_segment(
    payload: bytes,
    device: int,
    tones: int,
    rx: int,
    tx: int = 1,
    version: int = 2,
    packet_format: int = HT,
    mhz: int = 20,
    antennas: int = 0,
    shift: int = 0,
    carrier_hz: int = 2_412_000_000,
) -> bytes:
    fields = [device, packet_format, mhz, carrier_hz, mhz * 10**6, 312_500, tones, tx, rx, 0, antennas, len(payload)]
    if version >= 2:
        fields.insert(11, shift)
    if version >= 3:
        fields.insert(10, 1)
    if version >= 4:
        fields.insert(1, 67)
    return segment(b"CSI", version, struct.pack(CSI_LAYOUTS[version], *fields) + payload)


def frame(
    csi: bytes,
    ticks: int,
    device: int = INTEL_5300,
    ax_clock: int | None = None,
    transmitter: bytes = STATION,
    control: int = QOS_DATA,
) -> bytes:
    basic = segment(b"RxSBasic", 1, struct.pack("<HQhBHHBBBBbbbbb", device, ticks, 2412, 1, 20, 800, *[0] * 9))
    segments = [basic, segment(b"ExtraInfo", 1, bytes(20))]
    if ax_clock is not None:
        header = bytearray(272)
        struct.pack_into("<I", header, 88, ax_clock)
        segments.append(segment(b"MVMExtra", 1, struct.pack("<H", 272) + bytes(header)))
    segments.append(csi)
    mpdu = bytes([control, 0, 0, 0]) + b"\xff" * 6 + transmitter + bytes(14)
    body = struct.pack("<IHB", 0x20150315, 1, len(segments)) + b"".join(segments) + mpdu
    return struct.pack("<I", len(body)) + body


def integers(seed: int, shape: tuple[int, ...], bits: int) -> np.ndarray:
    parts = np.random.default_rng(seed).integers(-(1 << (bits - 1)), 1 << (bits - 1), (2, *shape))
    return np.asarray(parts[0] + 1j * parts[1])


def stream(numbers: list[tuple[int, int]], size: int) -> bytes:
    """(value, bits) lowest bit first."""
    total, at = 0, 0
    for value, bits in numbers:
        total |= (int(value) & ((1 << bits) - 1)) << at
        at += bits
    return total.to_bytes(size, "little")


def intel_5300(field: np.ndarray, **fields: int) -> bytes:
    """A CSI segment of `field` [30, rx chain, tx]."""
    numbers: list[tuple[int, int]] = []
    for tone in field.reshape(30, -1):
        numbers.append((0, 3))
        for value in tone:
            numbers += [(value.real, 8), (value.imag, 8)]
    _, rx, tx = field.shape
    return csi_segment(stream(numbers, 60 * rx * tx + 12), INTEL_5300, 30, rx, tx, **fields)


def qca9300(field: np.ndarray, **fields: int) -> bytes:
    """A CSI segment of `field` [tones, tx, rx]."""
    numbers = [(part, 10) for value in field.ravel() for part in (value.imag, value.real)]
    tones, tx, rx = field.shape
    return csi_segment(stream(numbers, field.size * 20 // 8), QCA9300, tones, rx, tx, **fields)


def ax200(stored: np.ndarray, packet_format: int = HT, **fields: int) -> bytes:
    """A CSI segment of `stored` [rx, tx, tones]."""
    parts = np.stack([stored.real, stored.imag], axis=-1).astype("<i2")
    rx, tx, tones = stored.shape
    return csi_segment(parts.tobytes(), AX200, tones, rx, tx, 4, packet_format, **fields)


def usrp(field: np.ndarray, numbers: list[int], matrix: bytes = b"BBv2", **fields: int) -> bytes:
    """A CSI segment of `field` [rx, tx, tones]."""
    rx, tx, tones = field.shape
    dimensions = struct.pack("<3Q" if matrix == b"BBv2" else "<3I", tones, tx, rx)
    payload = np.array(numbers, "<i2").tobytes() + matrix + b"\x03" + dimensions + b"CD\x40C"
    return csi_segment(payload + field.astype("<c16").tobytes(), USRP, tones, rx, tx, **fields)


def quietly(path: Path) -> list[Signal]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return picoscenes.read(path)


def indices(signal: Signal) -> list[int]:
    assert signal.frequency_hz is not None
    return (signal.frequency_hz / 312_500).astype(int).tolist()
