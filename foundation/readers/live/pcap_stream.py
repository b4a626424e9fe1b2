"""Whole packets of a packet capture that arrives in pieces, which may hold garbage and the headers of new captures."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from foundation.readers.wifi.pcap import FILE_HEADER, LONGEST_PACKET, MAGICS, PACKET_HEADER, Datagrams, datagrams

_DAY_S = 86_400
_LEAST = 28  # bytes of a packet of IP and UDP


class PcapStream:
    """The datagrams to a port.

    Attributes:
        bad: how often something that is no packet was passed over.
    """

    def __init__(self, path: Path, port: int) -> None:
        self._path, self._port = path, port
        self._header, self._rest = b"", b""
        self._last_s = 0
        self.bad = 0

    def add(self, data: bytes) -> tuple[bytes, Datagrams] | None:
        """The datagrams of the packets that are complete with these bytes, and what their offsets count in.

        Raises:
            ReadError: it is no packet capture, a pcapng, or of an unknown link type.
        """
        self._rest += data
        if not self._header:
            if len(self._rest) < FILE_HEADER:
                return None
            self._header = self._rest[:FILE_HEADER]
            if self._header[:4] not in MAGICS:
                datagrams(self._header, self._port, self._path)  # which says what is wrong with it
            order, resolution_ns = MAGICS[self._header[:4]]
            names = ("seconds", "fraction", "kept", "size")
            self._packet = np.dtype([(name, f"{order}u4") for name in names])
            self._fractions = 10**9 // resolution_ns
            self._rest = self._rest[FILE_HEADER:]
        whole = self._whole()
        if not whole:
            return None
        return self._header + whole, datagrams(self._header + whole, self._port, self._path)

    def _whole(self) -> bytes:
        """Cut the whole packets off what has arrived."""
        data, at, parts = self._rest, 0, []
        while len(data) - at >= PACKET_HEADER:
            if data[at : at + 4] == self._header[:4]:  # a recorder began anew
                if len(data) - at < FILE_HEADER:
                    break
                at += FILE_HEADER
                continue
            head = np.frombuffer(data, self._packet, 1, at)
            end = at + PACKET_HEADER + int(head["kept"][0])
            if not self._is_plausible(head)[0]:
                self.bad += 1
                at = self._next(data, at + 1)
            elif end > len(data):
                break
            else:
                parts.append(data[at:end])
                self._last_s = int(head["seconds"][0])
                at = end
        self._rest = data[at:]
        return b"".join(parts)

    def _is_plausible(self, heads: np.ndarray) -> np.ndarray:
        kept, size = heads["kept"], heads["size"]
        return np.asarray(
            (heads["fraction"] < self._fractions) & (kept <= size) & (size <= LONGEST_PACKET) & (kept > 0)
        )

    def _next(self, data: bytes, start: int) -> int:
        """Where the next packet begins, after something that is none: where another one follows it."""
        count = len(data) - start - PACKET_HEADER + 1
        if count <= 0:
            return start
        heads = np.ndarray(count, self._packet, data, start, (1,))
        near = np.abs(heads["seconds"].astype(np.int64) - self._last_s) <= _DAY_S
        likely = self._is_plausible(heads) & (heads["kept"] >= _LEAST) & (near | (self._last_s == 0))
        for at in (start + np.flatnonzero(likely)).tolist():
            end = at + PACKET_HEADER + int(heads["kept"][at - start])
            if end + PACKET_HEADER > len(data) or self._is_plausible(np.frombuffer(data, self._packet, 1, end))[0]:
                return at
        return start + count
