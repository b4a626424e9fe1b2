"""From the counter that a device writes on every packet to the increasing seconds that a `Signal` needs."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foundation.errors import ReadError

#: No capture is silent for so long: a longer step is a clock that was set, as by network time after start-up.
LONGEST_STEP_S = 86_400.0


def unwrap(ticks: NDArray, tick_s: float, path: Path, *, bits: int = 64) -> NDArray[np.float64]:
    """Counter values [T], one per packet -> seconds from the first packet [T], strictly increasing.

    A step of zero, of more than half the counter's range (the counter ran backward) or of more than a day is no time
    that passed: that packet is put one median interval after the one before it, with a warning.

    Args:
        ticks: unsigned counter values.
        tick_s: seconds per count.
        bits: the counter starts again from 0 after 2**bits counts.

    Raises:
        ReadError: no step of two or more packets is usable.
    """
    mask = (1 << bits) - 1
    counts = ticks.astype(np.uint64)
    steps = (counts[1:] - counts[:-1]) & np.uint64(mask)
    bad = (steps == 0) | (steps > min(mask >> 1, int(LONGEST_STEP_S / tick_s)))
    if bad.any():
        if bad.all():
            raise ReadError(
                f"{path}: the clock stands still in all {len(ticks)} packets or is not sound, so their times are not "
                "known; give the packet interval in seconds, interval_s=0.001 or whatever it was."
            )
        median = max(1, int(np.median(steps[~bad])))
        steps[bad] = median
        warnings.warn(
            f"{path}: the clock stands still, jumps or runs backward at {int(bad.sum())} of {len(ticks)} packets, the "
            f"first at packet {int(np.argmax(bad)) + 1}; each is put {median * tick_s:.6f} s after the one before it",
            stacklevel=4,
        )
    return np.concatenate([[0.0], np.cumsum(steps.astype(np.float64))]) * tick_s
