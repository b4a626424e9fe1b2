"""Packet captures of nexmon_csi, and the one signal of a capture."""

from __future__ import annotations

import struct
import warnings
from pathlib import Path

import numpy as np

from foundation.readers.wifi import nexmon
from foundation.signal import Signal

MAC, OTHER_MAC = bytes(range(6)), bytes(range(6, 12))
CHANSPEC = {20: 0xD024, 40: 0xD826, 80: 0xE02A}
CHIP = {"4339": 0x0001, "43455c0": 0x0065, "4358": 0x0003, "4366c0": 0x006A}


def random_bins(seed: int, bins: int = 64) -> np.ndarray:
    """Integer-valued complex [bins] over the whole range of 16 bits."""
    parts = np.random.default_rng(seed).integers(-(2**15), 2**15, (2, bins))
    return np.asarray(parts[0] + 1j * parts[1])


def csi(
    bins: np.ndarray,
    *,
    core: int = 0,
    stream: int = 0,
    sequence: int = 0,
    mac: bytes = MAC,
    chip: int = 0x0065,
    mhz: int = 20,
    swapped: bool = False,
    tail: bytes = b"",
) -> bytes:
    """A UDP payload as the firmware sends it, with 16-bit integers."""
    pair = core | stream << 3
    header = struct.pack("<HbB", 0x1111, -60, 0x88) + mac + struct.pack("<H", sequence)
    header += struct.pack(">H" if swapped else "<H", pair) + struct.pack("<HH", CHANSPEC[mhz], chip)
    words = np.stack([bins.real, bins.imag], axis=1).astype("<i2").tobytes()
    return header + words + tail


def ethernet(payload: bytes, port: int = 5500) -> bytes:
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 28 + len(payload), 1, 0, 1, 17, 0, bytes([10] * 4), bytes([255] * 4))
    udp = struct.pack(">HHHH", 5500, port, 8 + len(payload), 0)
    return b"\xff" * 6 + b"NEXMON" + b"\x08\x00" + ip + udp + payload


def capture(packets: list[tuple[float, bytes]], order: str = "<", nano: bool = False, link: int = 1) -> bytes:
    """A classic pcap file of (seconds, packet)."""
    out = struct.pack(f"{order}IHHiIII", 0xA1B23C4D if nano else 0xA1B2C3D4, 2, 4, 0, 0, 262144, link)
    for seconds, packet in packets:
        fraction = round(seconds % 1 * (1e9 if nano else 1e6))
        out += struct.pack(f"{order}IIII", int(seconds), fraction, len(packet), len(packet)) + packet
    return out


def read_one(path: Path, **options: object) -> Signal:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (signal,) = nexmon.read(path, **options)  # type: ignore[arg-type]
    return signal
