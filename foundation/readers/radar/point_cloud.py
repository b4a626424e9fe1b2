"""Point clouds of FMCW radars as maps of velocity over three projections: range, lateral position and height.

A point cloud is the output of the radar's detector on its range-Doppler-angle map. A cell of a map holds the square
root of the power of its points, and 0 where nothing was detected.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from foundation.errors import ReadError
from foundation.signal import SPEED_OF_LIGHT, Link, Signal

#: Range starts at the radar; the other two have it in the middle and are clipped to their outermost cells.
PROJECTIONS = ("range", "lateral", "height")
#: Velocities of a map; which of them is zero; cells of a projection.
DOPPLER_BINS, STILL, CELLS = 16, 8, 16
_MOST_POWER = 1e30


@dataclass(frozen=True)
class Resolution:
    """Steps of a radar's ranges (metres) and velocities (metres per second), and the ranges that make a cell."""

    range_m: float
    velocity_m_s: float
    ranges_per_cell: int

    @property
    def cell_m(self) -> float:
        """Width of a cell in metres, the same in the three projections."""
        return self.ranges_per_cell * self.range_m


def point_cloud_signal(
    points: NDArray[np.float64],
    velocity: NDArray[np.float64],
    power: NDArray[np.float64],
    row: NDArray[np.int64],
    time_s: NDArray[np.float64],
    resolution: Resolution,
    where: str,
) -> Signal:
    """The maps of a recording.

    `Link.tx` is the projection, `Link.rx` the Doppler bin; the delay axis is twice the range of the centre of a cell
    over the speed of light.

    Points that are not finite or outside the map are dropped, with a warning.

    Args:
        points: [P, 3] in metres from the radar: ahead, to the side, up.
        velocity: [P] in metres per second.
        power: [P], linear.
        row: [P], the frame of each point, an index into `time_s`.
        time_s: [frames].
        where: the recording, named in messages.

    Returns:
        Values [frames, 48 links, 16 cells], real amplitudes, kind "radar", without a session.

    Raises:
        ReadError: no point is within the range and velocity of the maps.
    """
    cell = resolution.cell_m
    with np.errstate(invalid="ignore", over="ignore"):
        depth = np.floor(np.linalg.norm(points, axis=1) / cell)
        lateral, height = np.clip(np.floor(points[:, 1:] / cell) + CELLS // 2, 0, CELLS - 1).T
        doppler = np.round(velocity / resolution.velocity_m_s) + STILL
        good = (depth >= 0) & (depth < CELLS) & (doppler >= 0) & (doppler < DOPPLER_BINS) & (power < _MOST_POWER)
        good &= np.isfinite(points).all(axis=1)
    if not good.any():
        raise ReadError(f"{where}: none of its {len(good)} points lies within the range and velocity of the radar.")
    if not good.all():
        warnings.warn(
            f"{where}: dropped {int((~good).sum())} of {len(good)} points beyond {CELLS * cell:.1f} m, beyond "
            f"{STILL * resolution.velocity_m_s:.1f} m/s or not finite, the first at index {int(np.argmin(good))}",
            stacklevel=4,
        )
    shape = (len(time_s), DOPPLER_BINS, CELLS)
    maps = []
    for index in (depth, lateral, height):
        flat = ((row * DOPPLER_BINS + doppler) * CELLS + index)[good].astype(np.int64)
        maps.append(np.bincount(flat, power[good], minlength=int(np.prod(shape))).reshape(shape))
    return Signal(
        values=np.sqrt(np.concatenate(maps, axis=1)),
        time_s=time_s - time_s[0],
        links=tuple(Link(projection, bin_) for projection in range(len(PROJECTIONS)) for bin_ in range(DOPPLER_BINS)),
        delay_s=(np.arange(CELLS, dtype=np.float64) + 0.5) * (2 * cell / SPEED_OF_LIGHT),
        kind="radar",
        carrier_hz=77e9,
        bandwidth_hz=SPEED_OF_LIGHT / (2 * resolution.range_m),
        is_real=True,
        device="TI IWR1443",
    )
