"""Frames of PicoScenes as they are recorded: from a growing `.csi` file, a pipe or datagrams.

A datagram holds one frame or several, or a part of one that the following datagrams complete.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import NamedTuple

import numpy as np

from foundation.errors import ReadError
from foundation.readers.live.parts import BEGINNING, LiveClock, Part, Piece, Streams, runs
from foundation.readers.wifi.picoscenes import counter_of, signal_of, tick_s, ticks_of
from foundation.readers.wifi.picoscenes_frames import FRAME, MAGIC, Frame, parse_frame
from foundation.readers.wifi.picoscenes_values import DEVICES, Kind, kind_of

_LONGEST_FRAME = 1 << 22  # bytes; the largest of a USRP at 160 MHz has some hundred thousand
_LENGTH = 4  # bytes before the magic number


class _Row(NamedTuple):
    data: bytes  # one frame
    frame: Frame
    kind: Kind
    arrived_s: float


class _Device:
    """What is known of the frames of one device, whose clock all kinds of packets share."""

    def __init__(self) -> None:
        self.is_firmware = False
        self.clock: LiveClock | None = None  # None: which counter runs is not known yet
        self.held: list[_Row] = []


class PicoScenesDecoder:
    """See `Decoder`; the option is that of `foundation.readers.wifi.picoscenes.read`."""

    def __init__(self, path: Path, is_datagram: bool, *, interval_s: float = 0.0) -> None:
        self._path, self._is_datagram, self._interval_s = path, is_datagram, interval_s
        self.bad, self.problem = 0, ""
        self._rest = b""
        self._devices: Streams[int, _Device] = Streams(_Device)
        self._numbers = count()
        self._recordings: Streams[Kind, dict[int, int]] = Streams(
            dict
        )  # of a kind: that of the clock -> its own number

    def feed(self, pieces: Sequence[Piece]) -> list[Part]:
        for data, arrived_s in pieces:
            if self._is_datagram and self._rest and data[_LENGTH : _LENGTH + len(MAGIC)] == MAGIC:
                self._refuse("a frame whose last part was lost")
                self._rest = b""
            self._rest += data
            for frame_data in self._frames():
                self._take(frame_data, arrived_s)
        return [part for _, device in self._devices.items() for part in self._released(device, ended=False)]

    def end(self) -> list[Part]:
        return [part for _, device in self._devices.items() for part in self._released(device, ended=True)]

    def _frames(self) -> Iterator[bytes]:
        """Every whole frame of what has arrived; what is none is passed over up to the next magic number."""
        data, at = self._rest, 0
        while len(data) - at >= _LENGTH + len(MAGIC):
            end = at + _LENGTH + int.from_bytes(data[at : at + _LENGTH], "little")
            is_frame = data[at + _LENGTH : at + _LENGTH + len(MAGIC)] == MAGIC
            if not is_frame or not at + FRAME.size <= end <= at + _LONGEST_FRAME:
                self._refuse("bytes that are no frame")
                following = data.find(MAGIC, at + _LENGTH + 1)
                at = following - _LENGTH if following >= 0 else len(data) - _LENGTH - len(MAGIC) + 1
            elif end > len(data):
                break
            else:
                yield data[at:end]
                at = end
        self._rest = data[at:]

    def _take(self, data: bytes, arrived_s: float) -> None:
        try:
            frame = parse_frame(data, 0, len(data), self._path)
            if frame is None:
                return  # without CSI
            if frame.csi.device not in DEVICES:
                raise ReadError(f"{self._path}: CSI of an unknown device, {frame.csi.device:#06x}")
            kind = kind_of(frame, data, self._path)
        except ReadError as error:
            self._refuse(str(error))
            return
        if kind is None:
            self._refuse(f"an unknown packet format, {frame.csi.packet_format}")
        else:
            self._devices.of(kind.device).held.append(_Row(data, frame, kind, arrived_s))

    def _refuse(self, why: str) -> None:
        self.bad += 1
        self.problem = self.problem or why

    def _released(self, device: _Device, ended: bool) -> list[Part]:
        """What a device's frames hold, once it is known which counter is its clock."""
        rows = device.held
        if not rows or (device.clock is None and len(rows) < BEGINNING and not ended):
            return []
        code = rows[0].kind.device
        if device.clock is None:
            device.is_firmware, bits = counter_of([row.frame for row in rows[:BEGINNING]], code)
            device.clock = LiveClock(tick_s(code), bits, self._interval_s)
        device.held = []
        times, recordings = device.clock.times([ticks_of(row.frame, device.is_firmware) for row in rows])
        groups: dict[Kind, list[int]] = {}
        for index, row in enumerate(rows):
            groups.setdefault(row.kind, []).append(index)
        parts = []
        for kind, indices in groups.items():
            for run in runs(recordings[indices]):
                some = indices[run]
                part = self._part(kind, [rows[index] for index in some], times[some], int(recordings[some[0]]))
                parts += [part] if part else []
        return parts

    def _part(self, kind: Kind, rows: list[_Row], times: np.ndarray, recording: int) -> Part | None:
        frames, at = [], 0
        for row in rows:
            frames.append(row.frame._replace(at=at, start=row.frame.start + at))
            at += len(row.data)
        try:
            signal = signal_of(b"".join(row.data for row in rows), frames, times, kind, self._path)
        except ReadError as error:  # a value that is not a number
            self.bad, self.problem = self.bad + len(rows), self.problem or str(error)
            return None
        known = self._recordings.of(kind)
        if recording not in known:
            known.clear()
            known[recording] = next(self._numbers)
        arrived = np.array([row.arrived_s for row in rows])
        return Part(kind, known[recording], kind.transmitter.hex(":"), signal, arrived)
