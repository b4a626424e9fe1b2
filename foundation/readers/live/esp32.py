"""Lines of ESP32 CSI as they are printed: from the serial port, a pipe, a growing file or datagrams."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import NamedTuple

import numpy as np

from foundation.readers.live.parts import BEGINNING, LiveClock, Part, Piece, Streams
from foundation.readers.wifi.esp32_csv import LLTF_HIGHEST, highest_used, signal_of
from foundation.readers.wifi.esp32_layouts import Layout
from foundation.readers.wifi.esp32_lines import LineReader, Packet

_Kind = tuple[str, int, int, Layout]
_LONGEST_LINE = 1 << 16  # what is longer has lost its end


class _Row(NamedTuple):
    packet: Packet
    time_s: float
    arrived_s: float


class _Stream:
    """What is known of the packets of one transmitter, channel and layout."""

    def __init__(self) -> None:
        self.recording: int | None = None  # of the clock
        self.number = -1  # that it has for others
        self.first_s = 0.0
        self.highest: int | None = None  # used subcarrier; None: not known yet
        self.held: list[_Row] = []


class Esp32Decoder:
    """See `Decoder`; the options are those of `foundation.readers.wifi.esp32_csv.read`."""

    def __init__(self, path: Path, is_datagram: bool, *, carrier_hz: float = 0.0, interval_s: float = 0.0) -> None:
        self._path, self._carrier_hz = path, carrier_hz
        self._line_end = b"\n" if is_datagram else b""
        self._lines, self._rest, self._endless = LineReader(), b"", 0
        self._clock = LiveClock(1e-6, 32, interval_s)
        self._streams: Streams[_Kind, _Stream] = Streams(_Stream)
        self._numbers = count()

    @property
    def bad(self) -> int:
        return self._lines.malformed + self._endless

    @property
    def problem(self) -> str:
        return self._lines.first

    def feed(self, pieces: Sequence[Piece]) -> list[Part]:
        found: list[tuple[Packet, float]] = []
        for data, arrived_s in pieces:
            *lines, self._rest = (self._rest + data + self._line_end).split(b"\n")
            packets = (self._lines.packet(line.replace(b"\0", b"")) for line in lines)  # without zeros UTF-16 is ASCII
            found += [(packet, arrived_s) for packet in packets if packet is not None]
            if len(self._rest) > _LONGEST_LINE:
                self._endless, self._rest = self._endless + 1, b""
        times, recordings = self._clock.times([packet.ticks for packet, _ in found])
        groups: dict[tuple[_Kind, int], list[_Row]] = {}
        for (packet, arrived_s), time_s, recording in zip(found, times.tolist(), recordings.tolist(), strict=True):
            groups.setdefault((packet.kind, recording), []).append(_Row(packet, time_s, arrived_s))
        parts: list[Part] = []
        for (kind, recording), rows in groups.items():
            stream = self._streams.of(kind)
            if stream.recording != recording:
                parts += self._released(kind, stream, ended=True)
                stream.recording, stream.number, stream.first_s = recording, next(self._numbers), rows[0].time_s
            stream.held += rows
            parts += self._released(kind, stream, ended=False)
        return parts

    def end(self) -> list[Part]:
        return [part for kind, stream in self._streams.items() for part in self._released(kind, stream, ended=True)]

    def _released(self, kind: _Kind, stream: _Stream, ended: bool) -> list[Part]:
        """What a stream holds, once it is known which subcarriers carry energy."""
        rows = stream.held
        if not rows:
            return []
        packets = [row.packet for row in rows]
        if stream.highest is None:
            highest = highest_used(packets)
            if highest == LLTF_HIGHEST < packets[0].layout.used[1] and len(rows) < BEGINNING and not ended:
                return []
            stream.highest = highest
        stream.held = []
        times, arrived = np.array([(row.time_s - stream.first_s, row.arrived_s) for row in rows]).T
        signal = signal_of(packets, times, self._carrier_hz, self._path, stream.highest)
        return [Part(kind, stream.number, packets[0].transmitter, signal, arrived)]
