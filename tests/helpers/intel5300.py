"""Files of the Linux 802.11n CSI Tool, packed bit by bit as its documentation says."""

from __future__ import annotations

import struct

import numpy as np

from helpers.files import written as written

HT20 = 0x0101


def random_csi(seed: int, rx: int = 3, tx: int = 1) -> np.ndarray:
    """Integer-valued complex [30, rx, tx] in the range of the NIC's 8 bits."""
    parts = np.random.default_rng(seed).integers(-128, 128, (2, 30, rx, tx))
    return np.asarray(parts[0] + 1j * parts[1])


def intel_record(csi: np.ndarray, clock: int, order: tuple[int, ...] = (0, 1, 2), rate: int = HT20) -> bytes:
    """One 0xBB record as the CSI Tool writes it: `csi` [30, rx chain, tx], 3 bits before every subcarrier."""
    _, rx, tx = csi.shape
    bits, at = 0, 0
    for subcarrier in csi.reshape(30, rx * tx):
        at += 3
        for value in subcarrier:
            bits |= (int(value.real) & 255) << at | (int(value.imag) & 255) << (at + 8)
            at += 16
    payload = bits.to_bytes((30 * (rx * tx * 16 + 3) + 7) // 8, "little")
    ports = order[0] | order[1] << 2 | order[2] << 4
    body = struct.pack("<BIHHBBBBBbBBHH", 0xBB, clock, 1, 0, rx, tx, 30, 31, 32, -90, 20, ports, len(payload), rate)
    return struct.pack(">H", len(body) + len(payload)) + body + payload
