"""Datagrams of nexmon_csi as they come: from UDP port 5500, or a packet capture that grows or comes through a pipe."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from itertools import count
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foundation.errors import ReadError
from foundation.readers.live.parts import BEGINNING, LiveClock, Part, Piece, Streams, runs
from foundation.readers.live.pcap_stream import PcapStream
from foundation.readers.wifi.nexmon import (
    CHIPS,
    HEADER,
    PORT,
    Links,
    frame_starts,
    frames_of,
    link_codes,
    signal_of,
    usable,
    words_at,
)
from foundation.readers.wifi.nexmon_words import FORMATS, decode
from foundation.readers.wifi.pcap import Datagrams

_MISSED = 256  # datagrams of other links after which the links of a stream are found anew
_Key = tuple[bytes, int, str]  # transmitter, chanspec, chip
_Rows = tuple[NDArray, ...]  # headers, nanoseconds, words, arrival; all [datagrams, ...]


class _Stream:
    """What is known of the datagrams of one transmitter, channel and chip."""

    def __init__(self, interval_s: float) -> None:
        self.clock = LiveClock(1e-9, 64, interval_s)
        self.links: Links | None = None  # None: not known yet
        self.held: list[_Rows] = []
        self.missed = 0
        self.recording, self.number = -1, -1  # of the clock, and the one that it has for others


class NexmonDecoder:
    """See `Decoder`; the options are those of `foundation.readers.wifi.nexmon.read`."""

    def __init__(
        self, path: Path, is_datagram: bool, *, chip: str = "", autoscale: bool = True, interval_s: float = 0.0
    ) -> None:
        if chip and chip not in FORMATS:
            raise ReadError(f"{path}: unknown chip {chip!r}; expected one of {', '.join(FORMATS)}.")
        self._path, self._chip, self._autoscale = path, chip, autoscale
        self._packets = None if is_datagram else PcapStream(path, PORT)
        self._streams: Streams[_Key, _Stream] = Streams(lambda: _Stream(interval_s))
        self._numbers = count()
        self._bad, self.problem = 0, ""

    @property
    def bad(self) -> int:
        return self._bad + (self._packets.bad if self._packets else 0)

    def feed(self, pieces: Sequence[Piece]) -> list[Part]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the reader's, of every few packets
            if self._packets is None:
                self._take(*_of_datagrams(pieces), np.array([piece.arrived_s for piece in pieces]))
            else:
                for data, arrived_s in pieces:
                    found = self._packets.add(data)
                    if found is not None:
                        self._take(*found, np.full(len(found[1].size), arrived_s))
            return self._all(ended=False)

    def end(self) -> list[Part]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return self._all(ended=True)

    def _all(self, ended: bool) -> list[Part]:
        return [part for key, stream in self._streams.items() for part in self._released(key, stream, ended)]

    def _take(self, data: bytes, found: Datagrams, arrived: NDArray[np.float64]) -> None:
        """Sort datagrams by stream."""
        if not len(found.size):
            return
        try:
            headers, times, offsets = usable(data, found, self._chip, self._path)
        except ReadError as error:
            self._bad += len(found.size)
            self.problem = self.problem or str(error)
            return
        self._bad += len(found.size) - len(headers)
        arrived = arrived[np.searchsorted(found.offset, offsets - HEADER.itemsize)]
        chips = [self._chip or CHIPS[code] for code in headers["chip"].tolist()]
        sources = headers["source"].copy().view("V6")[:, 0].tolist()
        groups: dict[_Key, list[int]] = {}
        for row, each in enumerate(zip(sources, headers["chanspec"].tolist(), chips, strict=True)):
            groups.setdefault(each, []).append(row)
        for key, rows in groups.items():
            words = words_at(data, offsets[rows], key[1])
            self._streams.of(key).held.append((headers[rows], times[rows], words, arrived[rows]))

    def _released(self, key: _Key, stream: _Stream, ended: bool) -> list[Part]:
        """The frames of a stream whose datagrams are all there, once it is known which links it has."""
        if not stream.held:
            return []
        rows = tuple(np.concatenate(each) for each in zip(*stream.held, strict=True))
        headers, times, words, arrived = rows
        every = link_codes(headers)
        kept = np.ones(len(every), bool) if stream.links is None else np.isin(every, stream.links.codes)
        starts = np.flatnonzero(kept)[frame_starts(headers["sequence"][kept], every[kept])]
        stream.missed = 0 if kept.any() else stream.missed + len(every)
        if stream.missed > _MISSED:
            stream.links, stream.missed, stream.recording = None, 0, -1
        stop = len(headers)
        if not ended and stream.links is None:
            stop = len(headers) if len(starts) > BEGINNING else 0
        if not ended and len(starts) and stop:
            is_whole = stream.links is not None and kept[starts[-1] :].sum() == len(stream.links.codes)
            stop = len(headers) if is_whole else int(starts[-1])
        stream.held = [tuple(each[stop:] for each in rows)] if stop < len(headers) else []
        if not stop or not kept[:stop].any():
            return []
        bins = decode(words[:stop], FORMATS[key[2]], self._autoscale)
        frames = frames_of(headers[:stop], bins, key[2], self._path, stream.links)
        stream.links = frames.links
        seconds, recordings = stream.clock.times(times[frames.starts].tolist())
        parts = []
        for run in runs(recordings):
            if recordings[run.start] != stream.recording:
                stream.recording, stream.number = int(recordings[run.start]), next(self._numbers)
            some = frames._replace(values=frames.values[run], valid=frames.valid[run])
            if not some.valid.any():  # of one frame came a link alone that repeats another
                self._bad += len(some.valid)
                continue
            signal = signal_of(some, seconds[run], key[1], key[2], self._path)
            parts.append(Part(key, stream.number, key[0].hex(":"), signal, arrived[frames.starts[run]]))
        return parts


def _of_datagrams(pieces: Sequence[Piece]) -> tuple[bytes, Datagrams]:
    """Payloads one after the other; their time is that of their arrival."""
    size = np.array([len(piece.data) for piece in pieces], np.int64)
    times = np.array([round(piece.arrived_s * 1e9) for piece in pieces], np.uint64)
    offset = np.concatenate([[0], np.cumsum(size)[:-1]]) if len(size) else size
    return b"".join(piece.data for piece in pieces), Datagrams(times, offset, size, len(pieces))
