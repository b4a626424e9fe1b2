"""Frames at any times -> the columns of an image, blank where frames were lost."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: An interval above this many medians is a gap: at least one packet is missing in a regular recording.
GAP_FACTOR = 1.5
#: The same where frames come in no regular rhythm, and a long interval alone says little.
PAUSE_FACTOR = 20.0
#: A recording is regular if this part of its intervals lies within 25 % of their median.
REGULAR_PART = 2 / 3


def is_regular(steps_s: NDArray[np.float64]) -> bool:
    """Whether intervals between frames have one length, so that a long one tells of lost frames."""
    median = np.median(steps_s)
    return bool(np.mean(np.abs(steps_s - median) < 0.25 * median) >= REGULAR_PART)


def longest_step(steps_s: NDArray[np.float64]) -> float:
    """Seconds above which an interval is drawn as a gap."""
    return float(np.median(steps_s)) * (GAP_FACTOR if is_regular(steps_s) else PAUSE_FACTOR)


def raster(
    time_s: NDArray[np.float64], values: NDArray, valid: NDArray[np.bool_], width: int
) -> tuple[NDArray, tuple[float, float]]:
    """The mean of what was measured in each of at most `width` equal stretches of time.

    A stretch without a frame of its own takes the nearest one, unless it lies in a gap (`longest_step`).

    Args:
        values, valid: [T, ...] at the times [T], T > 1; complex values are averaged as such.

    Returns:
        [columns, ...] with NaN where nothing was measured, and the times of the outer edges of the image.
    """
    steps = np.diff(time_s)
    median = float(np.median(steps))
    count = int(min(width, np.ceil((time_s[-1] - time_s[0]) / median) + 1))
    column_s = (time_s[-1] - time_s[0]) / (count - 1) if count > 1 else median
    column = np.rint((time_s - time_s[0]) / column_s).astype(np.int64)
    imputed, first = np.unique(column, return_index=True)
    total = np.add.reduceat(np.where(valid, values, 0), first, axis=0)
    seen = np.add.reduceat(valid.astype(np.int64), first, axis=0)
    mean = np.where(seen > 0, total / np.maximum(seen, 1), np.nan)
    centre = time_s[0] + column_s * np.arange(count)
    after = np.clip(np.searchsorted(time_s, centre), 1, len(time_s) - 1)
    before_s, after_s = centre - time_s[after - 1], time_s[after] - centre
    blank = (steps[after - 1] > longest_step(steps)) & (np.minimum(before_s, after_s) > median / 2)
    blank[imputed] = False
    nearest = np.searchsorted(imputed, column[np.where(before_s < after_s, after - 1, after)])
    nearest[imputed] = np.arange(len(imputed))
    image = mean[nearest]
    image[blank] = np.nan
    return image, (float(centre[0] - column_s / 2), float(centre[-1] + column_s / 2))
