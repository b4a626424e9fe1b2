"""What the live page shows: the latest seconds of one recording, its amplitude over time, and what was said of it."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Hashable
from dataclasses import asdict
from typing import Any

import numpy as np

from foundation.predict.listen import Answer, Began, Event, Missing, Refused
from foundation.readers.live import Part

SHOWN_S = 30.0
_ROW_S = 0.05  # of a row of the picture
_MOST_COLUMNS = 64  # of responses that lie side by side and are averaged
_QUIET_S = 3.0  # without a packet, after which another recording is shown
_MOST_NOTES = 50
_SILENT_DB = -200.0


class Board:
    """Is written to by the thread that listens and read by those that serve."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._recording, self._transmitter, self._seen = -1, "", 0.0
        self._stream: Hashable = None
        self._rows: deque[tuple[int, float, list[float | None]]] = deque(maxlen=round(SHOWN_S / _ROW_S))
        self._answers: deque[tuple[int, dict[str, Any]]] = deque(maxlen=1000)
        self._notes: deque[dict[str, Any]] = deque(maxlen=_MOST_NOTES)
        self._sum: np.ndarray | None = None  # of the row that is being received: decibels, and how many
        self._count = np.zeros(0)
        self._row, self._number, self._said = 0, 0, 0
        self._problem = ""

    def watch(self, part: Part) -> None:
        """Take packets into the picture, where they are of the recording that is shown."""
        now = time.monotonic()
        with self._lock:
            if part.recording != self._recording:
                if now - self._seen < _QUIET_S and part.stream != self._stream:
                    return
                self._stream = part.stream
                self._show(part.recording, part.transmitter)
            self._seen = now
            self._draw(part)

    def tell(self, event: Event) -> None:
        """Take an event into the timeline or the notes."""
        with self._lock:
            if isinstance(event, Answer):
                if event.recording == self._recording:
                    self._said += 1
                    fields = asdict(event.prediction) | {"latency_s": event.latency_s}
                    self._answers.append((self._said, fields))
            elif isinstance(event, Began | Missing | Refused):
                self._notes.append({"event": type(event).__name__.lower(), "at": time.time(), **asdict(event)})

    def stop(self, problem: str) -> None:
        """Nothing more will come, and why."""
        with self._lock:
            self._problem = problem

    def state(self, row: int, answer: int) -> dict[str, Any]:
        """What the page does not have yet, as JSON types.

        Args:
            row, answer: numbers of the latest row and answer that it has; those of the recording that it shows.
        """
        with self._lock:
            return {
                "recording": self._recording,
                "transmitter": self._transmitter,
                "shown_s": SHOWN_S,
                "row_s": _ROW_S,
                "rows": [list(each) for each in self._rows if each[0] > row],
                "answers": [[number, fields] for number, fields in self._answers if number > answer],
                "notes": list(self._notes),
                "problem": self._problem,
            }

    def _show(self, recording: int, transmitter: str) -> None:
        """Begin with another recording; rows and answers are counted on, so that a page sees that they are new."""
        self._recording, self._transmitter = recording, transmitter
        self._rows.clear()
        self._answers.clear()
        self._sum, self._row = None, 0

    def _draw(self, part: Part) -> None:
        """Mean amplitude in decibels of all links, in rows of equal time and columns of neighbouring responses."""
        signal = part.signal
        amplitude, valid = np.abs(signal.values), signal.mask
        count = valid.sum(1)
        mean = np.where(count > 0, amplitude.sum(1) / np.maximum(count, 1), np.nan)  # [T, R]
        with np.errstate(divide="ignore", invalid="ignore"):
            level = np.maximum(20 * np.log10(mean), _SILENT_DB)
        edges = np.linspace(0, level.shape[1], min(_MOST_COLUMNS, level.shape[1]) + 1).astype(int)[:-1]
        known = np.add.reduceat(np.isfinite(level), edges, axis=1)
        total = np.add.reduceat(np.nan_to_num(level), edges, axis=1)
        for row, levels, counts in zip((signal.time_s / _ROW_S).astype(int).tolist(), total, known, strict=True):
            if self._sum is not None and row != self._row:
                self._finish()
            if self._sum is None:
                self._sum, self._count, self._row = np.zeros(len(edges)), np.zeros(len(edges)), row
            self._sum, self._count = self._sum + levels, self._count + counts

    def _finish(self) -> None:
        assert self._sum is not None
        self._number += 1
        found = [round(s / n, 1) if n else None for s, n in zip(self._sum.tolist(), self._count.tolist(), strict=True)]
        self._rows.append((self._number, self._row * _ROW_S, found))
        self._sum = None
