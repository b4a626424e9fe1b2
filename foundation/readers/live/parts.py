"""What live decoders take and give, and the clock and the bounded memory that they share."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from foundation.readers.wifi.clock import LONGEST_STEP_S
from foundation.signal import Signal

BEGINNING = 64  # packets that the facts of a stream are taken from
MOST_STREAMS = 64  # that are remembered: a receiver in monitor mode hears more, and garbled addresses are endless
K = TypeVar("K", bound=Hashable)
S = TypeVar("S")


class Piece(NamedTuple):
    """Bytes, or the payload of one datagram, and when they arrived, in seconds since 1970."""

    data: bytes
    arrived_s: float


@dataclass(frozen=True)
class Part:
    """Packets of one stream that follow one another.

    Attributes:
        stream: what tells the streams of a source apart.
        recording: a number of its own for every recording; another one means that the sender began anew.
        transmitter: address of the sender; "" where it is not known.
        signal: the packets, seconds from the beginning of the recording.
        arrived_s: float64 [T], when every packet arrived, in seconds since 1970.
    """

    stream: Hashable
    recording: int
    transmitter: str
    signal: Signal
    arrived_s: NDArray[np.float64]


class Decoder(Protocol):
    """Packets of one format."""

    @property
    def bad(self) -> int:
        """Frames or lines that could not be read so far."""

    @property
    def problem(self) -> str:
        """What was wrong with the first of them; "" where nothing was, or it is not known."""

    def feed(self, pieces: Sequence[Piece]) -> list[Part]:
        """The packets that are complete with these pieces.

        Raises:
            ReadError: nothing in this source can be read, such as a packet capture of an unknown link type.
        """

    def end(self) -> list[Part]:
        """The packets that waited for what would follow."""


class LiveClock:
    """Seconds from the first packet of a recording, from the counter that a device writes on every packet.

    As `foundation.readers.wifi.clock.packet_times`, for packets that come one after the other: a counter that runs
    backward or jumps by more than a day begins a new recording, and a step of zero repeats the step before.

    Args:
        tick_s: seconds per count.
        bits: width of the counter.
        interval_s: packet interval to use in place of the counter, in seconds; 0 uses the counter.
    """

    def __init__(self, tick_s: float, bits: int = 64, interval_s: float = 0.0) -> None:
        self._mask = (1 << bits) - 1
        self._longest = min(self._mask >> 1, int(LONGEST_STEP_S / tick_s))
        self._counts = interval_s == 0
        self._tick_s = tick_s if self._counts else interval_s
        self._last: int | None = None
        self._elapsed = self._recording = 0
        self._step = 1

    def times(self, ticks: Sequence[int]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Seconds, and number of the recording, of every packet, both [T]."""
        elapsed, recording = np.empty(len(ticks)), np.empty(len(ticks), np.int64)
        for row, tick in enumerate(ticks):
            step = 0 if self._last is None else (tick - self._last) & self._mask
            if not self._counts:
                self._elapsed += self._last is not None
            elif step > self._longest:
                self._recording += 1
                self._elapsed = 0
            elif self._last is not None:
                self._step = step or self._step
                self._elapsed += self._step
            self._last = tick
            elapsed[row], recording[row] = self._elapsed, self._recording
        return elapsed * self._tick_s, recording


class Streams(Generic[K, S]):
    """The state of every stream, of the latest `MOST_STREAMS`."""

    def __init__(self, make: Callable[[], S]) -> None:
        self._make, self._kept = make, OrderedDict[K, S]()

    def of(self, stream: K) -> S:
        if stream not in self._kept:
            self._kept[stream] = self._make()
            if len(self._kept) > MOST_STREAMS:
                self._kept.popitem(last=False)
        self._kept.move_to_end(stream)
        return self._kept[stream]

    def items(self) -> list[tuple[K, S]]:
        return list(self._kept.items())


def runs(numbers: NDArray[np.int64]) -> list[slice]:
    """The stretches of equal numbers."""
    ends = [*(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(numbers)]
    return [slice(start, end) for start, end in zip([0, *ends], ends, strict=False) if end > start]
