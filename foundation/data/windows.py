"""The windows that a head was fitted to, and recordings cut in the same way.

A window is a number of consecutive samples, as data sets cut them; where a recording has another rate, it is first
resampled on its time axis in seconds.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from foundation.data.views import view_of
from foundation.errors import SignalError
from foundation.signal import Signal
from foundation.transforms.phase import sanitize
from foundation.transforms.resample import resample_time

SAME_RATE = 1.1  # ratio of two intervals that counts as one rate
#: Most samples that are made of one by interpolation: a slower recording lacks most of what the windows showed.
MOST_INTERPOLATED = 4.0
LEAST_MEASURED = 0.5  # share of the samples of a window that have an entry
LONGEST = 1.5  # times the longest training window: a window that takes longer spans a gap
_Seconds = Annotated[float, Field(ge=0)]


class Cut(NamedTuple):
    """A window of a recording: its beginning and end in seconds on the recording's time axis."""

    start_s: float
    end_s: float
    window: Signal


class WindowShape(BaseModel):
    """Length and rate of the training windows.

    Attributes:
        length: samples of most windows.
        interval_s: median of the windows' sampling intervals; 0 for windows of one sample.
        intervals_s: smallest and largest of these.
        longest_s: from the first to the last sample of the longest window.
        bandwidths_hz: smallest and largest of those that are known; None: none is.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    length: int = Field(ge=1, le=10**9)
    interval_s: _Seconds
    intervals_s: tuple[_Seconds, _Seconds]
    longest_s: _Seconds
    bandwidths_hz: tuple[_Seconds, _Seconds] | None

    @classmethod
    def of(cls, signals: Sequence[Signal]) -> WindowShape:
        intervals = [signal.interval_s for signal in signals]
        bands = [signal.bandwidth_hz for signal in signals if signal.bandwidth_hz > 0]
        return cls(
            length=Counter(len(signal.time_s) for signal in signals).most_common(1)[0][0],
            interval_s=float(np.median(intervals)),
            intervals_s=(min(intervals), max(intervals)),
            longest_s=max(float(signal.time_s[-1] - signal.time_s[0]) for signal in signals),
            bandwidths_hz=(min(bands), max(bands)) if bands else None,
        )

    @property
    def duration_s(self) -> float:
        """Seconds from the beginning of a window to that of the next one."""
        return self.length * self.interval_s

    def cut(self, signal: Signal, views: Mapping[str, str], hop_s: float | None = None) -> list[Cut]:
        """Windows of a recording, as the training samples were cut: `length` samples at their rate.

        Windows that span a gap are left out, with a warning.

        Args:
            views: kind -> what the network reads of it, see `foundation.data.views`: of a recording at another rate
                the amplitude alone is resampled where it reads no phase.
            hop_s: seconds from the beginning of a window to that of the next; None: its duration.

        Raises:
            SignalError: the recording is shorter than a window, far slower than the training windows, or has no window
                without a gap; or the hop is no time between two windows.
        """
        found = self._at_rate(signal, views)
        step = self._step(hop_s)
        if (times := len(found.time_s)) < self.length:
            raise SignalError(
                f"{_name(signal)} has {len(signal.time_s)} times in {signal.time_s[-1] - signal.time_s[0]:.3g} s, "
                f"fewer than one window of {self._in_words()}; give a longer recording."
            )
        cuts, left_out = [], 0
        for start in range(0, times - self.length + 1, step):
            last = start + self.length - 1
            begin, end = float(found.time_s[start]), float(found.time_s[last])
            measured = float(found.mask[start : last + 1].any((1, 2)).mean())
            if end - begin > LONGEST * self.longest_s or measured < LEAST_MEASURED:
                left_out += 1
            else:
                cuts.append(Cut(begin, end + self.interval_s, found.window(start, self.length)))
        if not cuts:
            raise SignalError(
                f"{_name(signal)} has no window of {self._in_words()} without a gap; give a recording that lost less."
            )
        if left_out:
            warnings.warn(f"{_name(signal)}: {left_out} windows with gaps are left out", stacklevel=2)
        return cuts

    def _at_rate(self, signal: Signal, views: Mapping[str, str]) -> Signal:
        low, high = self.intervals_s
        interval = signal.interval_s
        if self.length == 1 or interval == 0 or low / SAME_RATE <= interval <= high * SAME_RATE:
            return signal
        if interval > high * MOST_INTERPOLATED:
            raise SignalError(
                f"{_name(signal)} has {1 / interval:.3g} samples a second and the training windows had "
                f"{1 / self.interval_s:.3g}; give a recording of {1 / (high * MOST_INTERPOLATED):.3g} at least."
            )
        view = view_of(signal, dict(views))
        if view == "log-amplitude":  # a phase that is random in every packet cannot be interpolated
            signal = signal.with_(values=np.abs(signal.values), clean=None)
        elif view == "sanitized":
            signal = sanitize(signal)
        return resample_time(signal, self.interval_s)

    def _step(self, hop_s: float | None) -> int:
        if hop_s is None:
            return self.length
        step = round(hop_s / self.interval_s) if self.interval_s and np.isfinite(hop_s) else 0
        if step < 1:
            least = f"{self.interval_s:g} s at least" if self.interval_s else "none: a window is one sample"
            raise SignalError(f"the hop between windows is {hop_s:g} s; expected {least}.")
        return step

    def _in_words(self) -> str:
        if not self.interval_s:
            return f"{self.length} samples"
        return f"{self.length} samples ({self.duration_s:.3g} s at {1 / self.interval_s:.3g} a second)"


def _name(signal: Signal) -> str:
    return f"session {signal.session!r}" if signal.session else "the recording"
