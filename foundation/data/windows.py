"""The windows that a head was fitted to, and recordings cut in the same way.

A window is a number of consecutive samples, as data sets cut them; where a recording has another rate, it is first
resampled on its time axis in seconds.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from foundation.data.cutter import Cut, Cutter, Gap
from foundation.errors import SignalError
from foundation.signal import Signal

SAME_RATE = 1.1  # ratio of two intervals that counts as one rate
#: Most samples that are made of one by interpolation: a slower recording lacks most of what the windows showed.
MOST_INTERPOLATED = 4.0
_Seconds = Annotated[float, Field(ge=0)]


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
        cutter = Cutter(self, views, hop_s)
        found = [*cutter.add(signal), *cutter.end()]
        if not found:
            raise SignalError(
                f"{_name(signal)} has {len(signal.time_s)} times in {signal.time_s[-1] - signal.time_s[0]:.3g} s, "
                f"fewer than one window of {self._in_words()}; give a longer recording."
            )
        cuts = [one for one in found if isinstance(one, Cut)]
        left_out = sum(one.windows for one in found if isinstance(one, Gap))
        if not cuts:
            raise SignalError(
                f"{_name(signal)} has no window of {self._in_words()} without a gap; give a recording that lost less."
            )
        if left_out:
            warnings.warn(f"{_name(signal)}: {left_out} windows with gaps are left out", stacklevel=2)
        return cuts

    def must_resample(self, interval_s: float, signal: Signal) -> bool:
        """Whether a recording of this interval (0: one sample) has another rate than the training windows.

        Raises:
            SignalError: it is far slower than they; names the session of `signal`.
        """
        low, high = self.intervals_s
        if self.length == 1 or interval_s == 0 or low / SAME_RATE <= interval_s <= high * SAME_RATE:
            return False
        if interval_s > high * MOST_INTERPOLATED:
            raise SignalError(
                f"{_name(signal)} has {1 / interval_s:.3g} samples a second and the training windows had "
                f"{1 / self.interval_s:.3g}; give a recording of {1 / (high * MOST_INTERPOLATED):.3g} at least."
            )
        return True

    def step(self, hop_s: float | None) -> int:
        """Samples from the beginning of a window to that of the next, of a hop in seconds; None: its length.

        Raises:
            SignalError: the hop is no time between two windows.
        """
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
