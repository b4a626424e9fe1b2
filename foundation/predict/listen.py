"""Predictions of a capture that grows: the windows of `wfm predict` on the finished one, as they become complete."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from foundation.data.cutter import Cut, Cutter, Gap
from foundation.errors import ReadError, SignalError
from foundation.inspect.options import parse_options
from foundation.predict.model import Model
from foundation.predict.prediction import Prediction
from foundation.predict.sources import Pump, Source
from foundation.readers.live import DECODERS, FURTHEST_BYTES, Decoder, Part, Piece, decoder_of, detect
from foundation.readers.live.parts import MOST_STREAMS

REPORT_S = 10.0  # between two reports of what could not be read
_WAIT_S = 0.2  # for something to arrive, after which it is looked whether a report is due
_TOGETHER = 32  # windows that are predicted at a time where many are complete: more would delay the first
_SAME_S = 1e-6  # two times that are one, of clocks that count microseconds


@dataclass(frozen=True)
class Began:
    """A recording: what comes of one sender until it begins anew.

    Attributes:
        recording: its number, also `signal` of its predictions.
        transmitter: address of the sender; "" where it is not known.
        links, responses: of its packets.
        is_new: the sender is new; False: it has begun anew, as after a restart.
    """

    recording: int
    transmitter: str
    links: int
    responses: int
    is_new: bool


@dataclass(frozen=True)
class Answer:
    """A window that was predicted, and the time from the arrival of its last packet to the prediction."""

    recording: int
    transmitter: str
    prediction: Prediction
    latency_s: float


@dataclass(frozen=True)
class Missing:
    """Windows that are not predicted, because too little of them was received."""

    recording: int
    transmitter: str
    start_s: float
    end_s: float
    windows: int


@dataclass(frozen=True)
class Refused:
    """A recording that is not like those of training, and why it is not predicted."""

    recording: int
    transmitter: str
    reason: str


@dataclass(frozen=True)
class Counted:
    """What has been received so far.

    Attributes:
        packets, windows: decoded, and predicted.
        missing: windows that were not predicted.
        bad: frames or lines that could not be read; `problem` is the first.
        lost: pieces that came faster than they were read.
    """

    packets: int
    windows: int
    missing: int
    bad: int
    lost: int
    problem: str


Event = Began | Answer | Missing | Refused | Counted


class _Recording:
    """One recording while it comes in."""

    def __init__(self, part: Part, cutter: Cutter) -> None:
        self.number, self.transmitter, self.cutter = part.recording, part.transmitter, cutter
        self.reason = ""  # for which it was refused
        self.is_checked = False
        self._arrivals: deque[tuple[float, float]] = deque()

    def arrived(self, part: Part) -> None:
        self._arrivals.extend(zip(part.signal.time_s.tolist(), part.arrived_s.tolist(), strict=True))

    def begin_anew(self, cutter: Cutter) -> None:
        self.cutter = cutter
        self._arrivals.clear()

    def arrival_of(self, last_s: float) -> float:
        """When the last packet up to this time arrived; times are asked for in order, and earlier ones forgotten."""
        while len(self._arrivals) > 1 and self._arrivals[1][0] <= last_s + _SAME_S:
            self._arrivals.popleft()
        return self._arrivals[0][1]


class Listener:
    """Listens to one source.

    Args:
        format: a key of `foundation.readers.live.DECODERS`; None: it is detected from what arrives.
        options: of the format, as of `wfm inspect`.
        hop_s: as of `Model.predict`.
        watch: is called with all that is decoded, before it is predicted.

    Attributes:
        model: that predicts.

    Raises:
        ReadError: the format is not one of those.
        CheckpointError: the adapter does not say how its training windows were cut.
        SignalError: the hop is no time between two windows.
    """

    def __init__(
        self,
        model: Model,
        source: Source,
        format: str | None = None,
        options: Sequence[str] = (),
        hop_s: float | None = None,
        watch: Callable[[Part], None] | None = None,
    ) -> None:
        self.model = model
        self._source, self._options, self._watch = source, options, watch
        self._new_cutter = lambda: model.cutter(hop_s)
        self._new_cutter()
        self._decoder = self._decoder_of(format) if format is not None else None
        self._waiting: list[Piece] = []  # until the format is known
        self._recordings: OrderedDict[Hashable, _Recording] = OrderedDict()
        self._packets = self._windows = self._missing = self._strange = 0

    def events(self) -> Iterator[Event]:
        """What happens, until the source ends; a report at most every `REPORT_S`, and at the end.

        Raises:
            ReadError: the source is no capture of a known format, or cannot be read any more.
        """
        pump = Pump(self._source)
        said, due = self._counted(pump), time.monotonic() + REPORT_S
        try:
            while (pieces := pump.take(_WAIT_S)) is not None:
                yield from self._fed(pieces)
                if time.monotonic() >= due:
                    now, due = self._counted(pump), time.monotonic() + REPORT_S
                    if (now.bad, now.lost) != (said.bad, said.lost):
                        yield now
                    said = now
            yield from self._ended()
            yield self._counted(pump)
        finally:
            pump.close()

    def counted(self) -> Counted:
        """What was received, for a listener whose events are no longer asked for."""
        return self._counted(None)

    def _counted(self, pump: Pump | None) -> Counted:
        bad, problem = (self._decoder.bad, self._decoder.problem) if self._decoder else (0, "")
        lost = pump.lost if pump else 0
        return Counted(self._packets, self._windows, self._missing, bad + self._strange, lost, problem)

    def _decoder_of(self, name: str) -> Decoder:
        path = Path(self._source.name)
        if name not in DECODERS:
            decoder_of(name, path, False, {})  # which says so
        return decoder_of(name, path, self._source.is_datagram, parse_options(name, self._options))

    def _fed(self, pieces: list[Piece]) -> Iterator[Event]:
        if self._decoder is None:
            pieces = self._detected(pieces)
        if self._decoder is not None and pieces:
            yield from self._predicted(self._decoder.feed(pieces))

    def _detected(self, pieces: list[Piece]) -> list[Piece]:
        """The pieces from the first one of a known format on; they wait until it is known."""
        if self._source.is_datagram:
            for index, piece in enumerate(pieces):
                if name := detect(piece.data, is_datagram=True):
                    self._decoder = self._decoder_of(name)
                    return pieces[index:]
                self._strange += 1
            return []
        self._waiting += pieces
        head = b"".join(piece.data for piece in self._waiting)
        if name := detect(head, is_datagram=False):
            self._decoder = self._decoder_of(name)
            pieces, self._waiting = self._waiting, []
            return pieces
        if len(head) > FURTHEST_BYTES:
            raise self._unknown(head)
        return []

    def _unknown(self, head: bytes) -> ReadError:
        return ReadError(
            f"{self._source.name}: nothing of {', '.join(DECODERS)} in its first {len(head)} bytes (they begin with "
            f"{head[:8].hex(' ') or 'none'}); name the format with --format, or read the finished file: wfm predict."
        )

    def _ended(self) -> Iterator[Event]:
        if self._decoder is None:
            raise self._unknown(b"".join(piece.data for piece in self._waiting))
        yield from self._predicted(self._decoder.end())
        for recording in list(self._recordings.values()):
            yield from self._answered([(recording, recording.cutter.end)])

    def _predicted(self, parts: Sequence[Part]) -> Iterator[Event]:
        waiting: list[tuple[_Recording, Callable[[], list[Cut | Gap]]]] = []
        for part in parts:
            self._packets += len(part.signal.time_s)
            if self._watch is not None:
                self._watch(part)
            recording = self._recordings.get(part.stream)
            if recording is None or recording.number != part.recording:
                yield from self._answered(waiting)
                waiting = []
                yield from self._began(part, recording)
                recording = self._recordings[part.stream]
            recording.arrived(part)
            waiting.append((recording, partial(recording.cutter.add, part.signal)))
        yield from self._answered(waiting)

    def _began(self, part: Part, before: _Recording | None) -> Iterator[Event]:
        if before is not None:
            yield from self._answered([(before, before.cutter.end)])
        self._recordings[part.stream] = _Recording(part, self._new_cutter())
        self._recordings.move_to_end(part.stream)
        if len(self._recordings) > MOST_STREAMS:
            self._recordings.popitem(last=False)
        _, links, responses = part.signal.values.shape
        yield Began(part.recording, part.transmitter, links, responses, before is None)

    def _answered(self, waiting: Sequence[tuple[_Recording, Callable[[], list[Cut | Gap]]]]) -> Iterator[Event]:
        """What is said of the windows that these calls complete."""
        cuts: list[tuple[_Recording, Cut]] = []
        for recording, complete in waiting:
            try:
                found = complete()
                if not recording.is_checked and (first := next((one for one in found if isinstance(one, Cut)), None)):
                    self.model.check(first.window)
                    recording.is_checked = True
            except SignalError as error:
                recording.begin_anew(self._new_cutter())  # what follows may have another rate
                if str(error) != recording.reason:
                    recording.reason = str(error)
                    yield Refused(recording.number, recording.transmitter, recording.reason)
                continue
            for one in found:
                if isinstance(one, Cut):
                    cuts.append((recording, one))
                else:
                    self._missing += one.windows
                    recording.arrival_of(one.end_s)  # forgets what lies before
                    yield Missing(recording.number, recording.transmitter, *one)
        for start in range(0, len(cuts), _TOGETHER):
            some = cuts[start : start + _TOGETHER]
            answers = self.model.answer([(recording.number, cut) for recording, cut in some])
            now = time.time()
            self._windows += len(some)
            for (recording, _), answer in zip(some, answers, strict=True):
                latency = now - recording.arrival_of(answer.end_s - self.model.interval_s)
                yield Answer(recording.number, recording.transmitter, answer, latency)
