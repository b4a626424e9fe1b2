"""Packet captures in the classic libpcap format: the UDP datagrams to one port.

Source: https://wiki.wireshark.org/Development/LibpcapFileFormat; link types of https://www.tcpdump.org/linktypes.html.
A file is a header of 24 bytes, then per packet its time, the bytes kept, the bytes on the wire, and the bytes
themselves. The first four bytes tell byte order and clock resolution.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from foundation.errors import ReadError

#: First bytes -> byte order, nanoseconds per count of the sub-second clock.
MAGICS: dict[bytes, tuple[Literal["<", ">"], int]] = {
    b"\xd4\xc3\xb2\xa1": ("<", 1000),
    b"\xa1\xb2\xc3\xd4": (">", 1000),
    b"\x4d\x3c\xb2\xa1": ("<", 1),
    b"\xa1\xb2\x3c\x4d": (">", 1),
}
PCAPNG_MAGIC = b"\x0a\x0d\x0d\x0a"

#: Link type -> bytes before the IP header: Ethernet, raw IP, Linux cooked versions 1 and 2.
_LINK_HEADER = {1: 14, 12: 0, 101: 0, 228: 0, 113: 16, 276: 20}
_FILE_HEADER, _PACKET_HEADER, _UDP_HEADER, _UDP = 24, 16, 8, 17


@dataclass(frozen=True)
class Datagrams:
    """N datagrams: receive times in nanoseconds, byte offset and size of each payload in the file; packets seen."""

    time_ns: NDArray[np.uint64]
    offset: NDArray[np.int64]
    size: NDArray[np.int64]
    packets: int


def is_capture(head: bytes) -> bool:
    """True for a packet capture, classic or pcapng."""
    return head[:4] in MAGICS or head.startswith(PCAPNG_MAGIC)


def datagrams(data: bytes, port: int, path: Path) -> Datagrams:
    """Every IPv4 UDP datagram to `port` that was captured whole enough to have a payload.

    Raises:
        ReadError: not a classic libpcap file, an unknown link type, or a truncated packet.
    """
    if data.startswith(PCAPNG_MAGIC):
        raise ReadError(
            f"{path}: is a pcapng file; expected classic pcap: convert it with 'editcap -F pcap IN OUT' or record with "
            "'tcpdump -w'."
        )
    if data[:4] not in MAGICS or len(data) < _FILE_HEADER:
        raise ReadError(f"{path}: no pcap header in its {len(data)} bytes; expected a capture by tcpdump.")
    order, resolution_ns = MAGICS[data[:4]]
    link = struct.unpack_from(f"{order}I", data, 20)[0] & 0x0FFFFFFF
    if link not in _LINK_HEADER:
        known = ", ".join(map(str, _LINK_HEADER))
        raise ReadError(f"{path}: link type {link}; expected one of {known}: record on an Ethernet-like interface.")
    header = struct.Struct(f"{order}IIII")
    rows: list[tuple[int, int, int]] = []
    at, packets = _FILE_HEADER, 0
    while at < len(data):
        start = at + _PACKET_HEADER
        seconds, fraction, kept, _ = header.unpack_from(data, at) if start <= len(data) else (0, 0, 0, 0)
        end = start + kept
        if end > len(data):
            raise ReadError(
                f"{path}: truncated, packet {packets} at byte {at} should end at byte {end} but the file has "
                f"{len(data)} bytes; copy it again or cut it to {at} bytes."
            )
        payload = _udp_payload(data, start + _LINK_HEADER[link], end, port)
        if payload is not None:
            rows.append((seconds * 10**9 + fraction * resolution_ns, payload, end - payload))
        at, packets = end, packets + 1
    table = np.array(rows, np.int64).reshape(-1, 3)
    return Datagrams(table[:, 0].astype(np.uint64), table[:, 1], table[:, 2], packets)


def _udp_payload(data: bytes, ip: int, end: int, port: int) -> int | None:
    """Where the payload of a UDP datagram to `port` starts, or None if the packet is something else."""
    if ip >= end or data[ip] >> 4 != 4:
        return None
    udp = ip + (data[ip] & 15) * 4
    payload = udp + _UDP_HEADER
    if payload > end or data[ip + 9] != _UDP or data[udp + 2 : udp + 4] != port.to_bytes(2, "big"):
        return None
    return payload
