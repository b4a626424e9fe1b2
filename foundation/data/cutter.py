"""Windows of a recording that arrives in parts: the same as of the whole, however it was divided.

What is decided of a recording is decided on its beginning, and a window at another rate is made of the samples around
it alone, so that a window never depends on what comes long after it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from foundation.data.views import view_of
from foundation.errors import SignalError
from foundation.signal import Signal
from foundation.transforms.phase import sanitize
from foundation.transforms.resample import reach_s, resample_onto

if TYPE_CHECKING:
    from foundation.data.windows import WindowShape

LEAST_MEASURED = 0.5  # share of the samples of a window that have an entry
LONGEST = 1.5  # times the longest training window: a window that takes longer spans a gap
BEGINNING = 64  # samples, or a window where that is longer, that the rate of a recording is measured on
_EARLY = 1e-6  # of an interval, by which rounding may put the last time of a grid behind the last sample


class Cut(NamedTuple):
    """A window of a recording: its beginning and end in seconds on the recording's time axis."""

    start_s: float
    end_s: float
    window: Signal


class Gap(NamedTuple):
    """Windows that are left out, as too little of them was measured: from the first to the end of the last."""

    start_s: float
    end_s: float
    windows: int


class Cutter:
    """Cuts one recording, all of whose parts have the same links and responses.

    Args:
        shape: of the training windows.
        views: kind -> what the network reads of it, see `foundation.data.views`.
        hop_s: seconds from the beginning of a window to that of the next; None: its duration.

    Raises:
        SignalError: the hop is no time between two windows.
    """

    def __init__(self, shape: WindowShape, views: Mapping[str, str], hop_s: float | None = None) -> None:
        self._shape, self._views, self._step = shape, dict(views), shape.step(hop_s)
        self._parts: list[Signal] = []
        self._times = np.empty(0)  # of these parts
        self._before = 0  # samples that were dropped
        self._next = 0  # number of the next window
        self._origin = 0.0  # first time of the recording
        self._interval: float | None = None  # of the recording; None: not known yet
        self._resamples = False

    def add(self, part: Signal) -> list[Cut | Gap]:
        """The windows that are complete with these samples, which follow those before.

        Raises:
            SignalError: the recording is far slower than the training windows.
        """
        if not self._before and not self._parts:
            self._origin = float(part.time_s[0])
        self._parts.append(part)
        self._times = np.concatenate([self._times, part.time_s])
        enough = 1 if self._shape.length == 1 else max(self._shape.length, BEGINNING)
        if self._interval is None and len(self._times) >= enough:
            self._measure(self._times[:enough])
        return self._complete(ended=False) if self._interval is not None else []

    def end(self) -> list[Cut | Gap]:
        """The windows that waited for what would follow.

        Raises:
            SignalError: as `add`.
        """
        if self._interval is None and len(self._times):
            self._measure(self._times)
        return self._complete(ended=True) if self._interval is not None else []

    def _measure(self, times: np.ndarray) -> None:
        self._interval = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
        self._resamples = self._shape.must_resample(self._interval, self._parts[0])

    def _complete(self, ended: bool) -> list[Cut | Gap]:
        find = self._resampled if self._resamples else self._as_recorded
        found: list[Cut | Gap] = []
        while (one := find(ended)) is not None:
            if isinstance(one, Gap) and found and isinstance(found[-1], Gap):
                found[-1] = Gap(found[-1].start_s, one.end_s, found[-1].windows + one.windows)
            else:
                found.append(one)
        self._drop()
        return found

    def _as_recorded(self, ended: bool) -> Cut | Gap | None:
        start = self._next * self._step - self._before
        stop = start + self._shape.length
        if stop > len(self._times):
            return None
        self._next += 1
        begin, last = float(self._times[start]), float(self._times[stop - 1])
        if last - begin > LONGEST * self._shape.longest_s:
            return Gap(begin, last + self._shape.interval_s, 1)
        return self._judged(begin, last, lambda: self._stretch(start, stop))

    def _resampled(self, ended: bool) -> Cut | Gap | None:
        new = self._shape.interval_s
        grid = self._origin + np.float64(new) * (self._next * self._step + np.arange(self._shape.length))
        reach = reach_s(self._interval or 0.0, new)
        late = self._times[-1] + _EARLY * new if len(self._times) else -np.inf
        if grid[-1] > late or (not ended and grid[-1] + reach > late):
            return None
        self._next += 1
        begin, last = float(grid[0]), float(grid[-1])
        start, stop = np.searchsorted(self._times, [begin - reach, last + reach * (1 + 1e-9)])
        inside = np.searchsorted(self._times, [begin, last])
        if inside[0] == inside[1]:
            return self._empty(begin, last, int(inside[1]))
        return self._judged(begin, last, lambda: resample_onto(self._as_read(int(start), int(stop)), grid, new))

    def _empty(self, begin: float, last: float, following: int) -> Gap:
        """The window from `begin` to `last`, which has no sample, and all further ones before the following sample."""
        hop = self._step * self._shape.interval_s
        more = int((self._times[following] - last) / hop) if following < len(self._times) else 0
        self._next += more
        return Gap(begin, last + more * hop + self._shape.interval_s, 1 + more)

    def _as_read(self, start: int, stop: int) -> Signal:
        """The samples from `start` to `stop`, without a phase that is not read."""
        around = self._stretch(start, stop)
        view = view_of(around, self._views)
        if view == "log-amplitude":  # a phase that is random in every packet cannot be interpolated
            return around.with_(values=np.abs(around.values), clean=None)
        return sanitize(around) if view == "sanitized" else around

    def _judged(self, begin: float, last: float, make: Callable[[], Signal]) -> Cut | Gap:
        end = last + self._shape.interval_s
        try:
            window = make()
        except SignalError:  # nothing was measured there, or nothing that is close enough to anything else
            return Gap(begin, end, 1)
        if float(window.mask.any((1, 2)).mean()) < LEAST_MEASURED:
            return Gap(begin, end, 1)
        return Cut(begin, end, window.with_(time_s=window.time_s - window.time_s[0]))

    def _stretch(self, start: int, stop: int) -> Signal:
        """The samples from `start` to `stop`, of those that are kept."""
        lengths = np.cumsum([len(part.time_s) for part in self._parts])
        first = int(np.searchsorted(lengths, start, "right"))
        last = int(np.searchsorted(lengths, stop, "left"))
        shift = int(lengths[first - 1]) if first else 0
        parts = self._parts[first : last + 1]
        return _joined(parts).part(times=slice(start - shift, stop - shift))

    def _drop(self) -> None:
        """Forget the parts that no further window needs."""
        if self._resamples:
            begin = self._origin + self._shape.interval_s * self._next * self._step
            needed = int(np.searchsorted(self._times, begin - reach_s(self._interval or 0.0, self._shape.interval_s)))
        else:
            needed = self._next * self._step - self._before
        gone = 0
        while self._parts and gone + len(self._parts[0].time_s) <= needed:
            gone += len(self._parts.pop(0).time_s)
        self._before += gone
        self._times = self._times[gone:]


def _joined(parts: list[Signal]) -> Signal:
    if len(parts) == 1:
        return parts[0]
    names = ("values", "time_s", "mask")
    values, time_s, valid = (np.concatenate([getattr(part, name) for part in parts]) for name in names)
    return parts[0].with_(values=values, time_s=time_s, valid=valid, clean=None)
