"""Rasterise frames at irregular times into the columns of an image, blank where frames were lost."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: An interval above this many medians is a gap in a regular recording: at least one packet is missing.
GAP_FACTOR = 1.5
#: The same for an irregular frame rate, for which a long interval alone does not indicate a loss.
PAUSE_FACTOR = 20.0
#: A recording is regular if this share of its intervals lies within 25 % of their median.
REGULAR_PART = 2 / 3


def is_regular(steps_s: NDArray[np.float64]) -> bool:
    """Whether the frame rate is constant, so that a long interval indicates lost frames."""
    median = np.median(steps_s)
    return bool(np.mean(np.abs(steps_s - median) < 0.25 * median) >= REGULAR_PART)


def longest_step(steps_s: NDArray[np.float64]) -> float:
    """Seconds above which an interval is drawn as a gap."""
    return float(np.median(steps_s)) * (GAP_FACTOR if is_regular(steps_s) else PAUSE_FACTOR)


def raster(
    time_s: NDArray[np.float64], values: NDArray, valid: NDArray[np.bool_], width: int
) -> tuple[NDArray, tuple[float, float]]:
    """Mean of the valid entries in each of at most `width` equal time bins.

    An empty bin takes the nearest frame, unless it lies in a gap (`longest_step`).

    Args:
        time_s: [T], T > 1.
        values, valid: [T, ...]; complex values are averaged as complex numbers.
        width: largest number of columns.

    Returns:
        [columns, ...] with NaN where nothing was measured, and the outer edges of the image in seconds.
    """
    steps = np.diff(time_s)
    median = float(np.median(steps))
    count = int(min(width, np.ceil((time_s[-1] - time_s[0]) / median) + 1))
    column_s = (time_s[-1] - time_s[0]) / (count - 1) if count > 1 else median
    column = np.rint((time_s - time_s[0]) / column_s).astype(np.int64)
    occupied, first = np.unique(column, return_index=True)
    total = np.add.reduceat(np.where(valid, values, 0), first, axis=0)
    seen = np.add.reduceat(valid.astype(np.int64), first, axis=0)
    mean = np.where(seen > 0, total / np.maximum(seen, 1), np.nan)
    centre = time_s[0] + column_s * np.arange(count)
    after = np.clip(np.searchsorted(time_s, centre), 1, len(time_s) - 1)
    before_s, after_s = centre - time_s[after - 1], time_s[after] - centre
    blank = (steps[after - 1] > longest_step(steps)) & (np.minimum(before_s, after_s) > median / 2)
    blank[occupied] = False
    nearest = np.searchsorted(occupied, column[np.where(before_s < after_s, after - 1, after)])
    nearest[occupied] = np.arange(len(occupied))
    image = mean[nearest]
    image[blank] = np.nan
    return image, (float(centre[0] - column_s / 2), float(centre[-1] + column_s / 2))
