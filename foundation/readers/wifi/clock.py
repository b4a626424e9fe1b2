"""Receive times in seconds from the counter that a device writes on every packet."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foundation.errors import ReadError

#: A longer step is not a pause of the capture but a clock that was set, such as by network time after start-up.
LONGEST_STEP_S = 86_400.0


def packet_times(
    ticks: NDArray, tick_s: float, path: Path, *, bits: int = 64, interval_s: float = 0.0
) -> NDArray[np.float64]:
    """Seconds from the first packet [T], strictly increasing, of counter values [T], one per packet.

    The counter wraps. A step of zero, of more than half its range (it ran backward) or of more than a day is not
    elapsed time: it is replaced by the median step, with a warning.

    Args:
        ticks: unsigned counter values.
        tick_s: seconds per count.
        bits: width of the counter, which restarts from 0 after 2**bits counts.
        interval_s: packet interval to use in place of the counter, in seconds; 0 uses the counter.

    Raises:
        ReadError: no step of two or more packets is usable, or `interval_s` is negative or not finite.
    """
    if not (np.isfinite(interval_s) and interval_s >= 0):
        raise ReadError(f"{path}: interval_s={interval_s}; expected seconds between packets, or 0 for the clock.")
    if interval_s > 0:
        return np.arange(len(ticks)) * np.float64(interval_s)
    mask = (1 << bits) - 1
    counts = ticks.astype(np.uint64)
    steps = (counts[1:] - counts[:-1]) & np.uint64(mask)
    bad = (steps == 0) | (steps > min(mask >> 1, int(LONGEST_STEP_S / tick_s)))
    if bad.any():
        if bad.all():
            raise ReadError(
                f"{path}: the clock stands still or is invalid in all {len(ticks)} packets, so their times are "
                "unknown; give the packet interval in seconds, interval_s=0.001 or whatever it was."
            )
        median = max(1, int(np.median(steps[~bad])))
        steps[bad] = median
        warnings.warn(
            f"{path}: the clock stands still, jumps or runs backward at {int(bad.sum())} of {len(ticks)} packets, "
            f"the first at packet {int(np.argmax(bad)) + 1}; these steps are replaced by the median, "
            f"{median * tick_s:.6f} s",
            stacklevel=4,
        )
    return np.concatenate([[0.0], np.cumsum(steps.astype(np.float64))]) * tick_s
