"""Read the UDP datagrams to one port from packet captures in the classic libpcap format.

Source: https://wiki.wireshark.org/Development/LibpcapFileFormat; link types of https://www.tcpdump.org/linktypes.html.
A file is a header of 24 bytes, then per packet its time, the captured length, the length on the wire, and the captured
bytes. The first four bytes give byte order and clock resolution.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from foundation.errors import ReadError
from foundation.readers.wifi.records import leave_out_incomplete

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
FILE_HEADER, PACKET_HEADER, _IP_HEADER, _UDP_HEADER = 24, 16, 20, 8  # without the options of IP
_UDP = 17
LONGEST_PACKET = 262_144  # MAXIMUM_SNAPLEN of libpcap


@dataclass(frozen=True)
class Datagrams:
    """The datagrams found in a capture.

    Attributes:
        time_ns: receive times [N], nanoseconds.
        offset: byte offsets [N] of the payloads in the file.
        size: bytes [N] of the payloads.
        packets: number of packets in the file, of any kind.
    """

    time_ns: NDArray[np.uint64]
    offset: NDArray[np.int64]
    size: NDArray[np.int64]
    packets: int


def is_capture(head: bytes) -> bool:
    """True for a packet capture, classic or pcapng."""
    return head[:4] in MAGICS or head.startswith(PCAPNG_MAGIC)


def datagrams(data: bytes, port: int, path: Path) -> Datagrams:
    """Find every IPv4 UDP datagram to `port` whose headers were captured completely.

    An incomplete last packet, as of a recorder that was stopped, is left out, with a warning.

    Raises:
        ReadError: not a classic libpcap file, an unknown link type, or no whole packet.
    """
    if data.startswith(PCAPNG_MAGIC):
        raise ReadError(
            f"{path}: is a pcapng file; expected classic pcap: convert it with 'editcap -F pcap IN OUT' or record with "
            "'tcpdump -w'."
        )
    if data[:4] not in MAGICS or len(data) < FILE_HEADER:
        raise ReadError(f"{path}: no pcap header in its {len(data)} bytes; expected a capture by tcpdump.")
    order, resolution_ns = MAGICS[data[:4]]
    link = struct.unpack_from(f"{order}I", data, 20)[0] & 0x0FFFFFFF
    if link not in _LINK_HEADER:
        known = ", ".join(map(str, _LINK_HEADER))
        raise ReadError(f"{path}: link type {link}; expected one of {known}: record on an Ethernet-like interface.")
    starts: list[int] = []
    at = FILE_HEADER
    while at < len(data):
        start = at + PACKET_HEADER
        kept = struct.unpack_from(f"{order}I", data, at + 8)[0] if start <= len(data) else 0
        end = start + kept
        if kept > LONGEST_PACKET:
            raise ReadError(
                f"{path}: packet {len(starts)} at byte {at} claims {kept} bytes; expected at most {LONGEST_PACKET}, "
                f"so the file is damaged: copy it again or cut it to {at} bytes."
            )
        if end > len(data):
            leave_out_incomplete(path, f"packet {len(starts)}", at, end, len(data), whole=len(starts))
            break
        starts.append(start)
        at = end
    octets, begin = np.frombuffer(data, np.uint8), np.array(starts, np.int64)
    rows, payload = _udp_payloads(octets, begin + _LINK_HEADER[link], np.append(begin[1:] - PACKET_HEADER, at), port)
    headers = sliding_window_view(octets, PACKET_HEADER)[begin[rows] - PACKET_HEADER].view(f"{order}u4")
    seconds, fraction, sizes = headers.astype(np.int64)[:, :3].T
    time_ns = (seconds * 10**9 + fraction * resolution_ns).astype(np.uint64)
    return Datagrams(time_ns, payload, begin[rows] + sizes - payload, len(starts))


def _udp_payloads(
    octets: NDArray[np.uint8], ip: NDArray[np.int64], end: NDArray[np.int64], port: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices of the packets (bytes `ip` to `end`) that are UDP datagrams to `port`, and offsets of their payload."""
    rows = np.flatnonzero(ip + _IP_HEADER + _UDP_HEADER <= end)
    first = octets[ip[rows]]
    length = (first & 15) * np.int64(4)
    udp = ip[rows] + length
    whole = (first >> 4 == 4) & (length >= _IP_HEADER) & (udp + _UDP_HEADER <= end[rows])
    rows, udp = rows[whole], udp[whole]
    to_port = (octets[udp + 2] == port >> 8) & (octets[udp + 3] == port & 255)
    ours = to_port & (octets[ip[rows] + 9] == _UDP)
    return rows[ours], udp[ours] + _UDP_HEADER
