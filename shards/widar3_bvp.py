"""Widar3.0, body-coordinate velocity profiles: the power of the body's motion over two velocities and time.

Origin, citation, labels and splits: as `widar3`. Licence: not stated (research).
Files: `BVP/DAY-VS/6-link/USER/userU-G-L-F-R-*.mat` (20181130-VS has no folder 6-link), 43658 files,
`velocity_spectrum_ro` [20 velocities x, 20 velocities y, times].
Samples: one file each; values [times, 20, 20] of kind "spectrogram". `Link.rx` counts the velocity along x, from -1.8
to 2 m/s; the frequency axis is the Doppler shift of the velocity along y, velocity over wavelength. 10 profiles per
second. Files without a profile are left out, with a warning.

SenseFi's copy of this set (Widardata, 22 x 20 x 20 in text) lacks person, place and day, so it cannot be split; it is
not read.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from foundation.data.shards.spec import Dataset
from foundation.datasets.widar_common import CARRIER_HZ, widar
from foundation.errors import ReadError
from foundation.readers.arrays.containers import open_container
from foundation.signal import SPEED_OF_LIGHT, Link, Signal

NAME = "widar3-bvp"
BINS, STEP_M_S, INTERVAL_S = 20, 0.2, 0.1
_VELOCITY = STEP_M_S * np.arange(1 - BINS // 2, 1 + BINS // 2, dtype=np.float64)


def build(raw: Path) -> Dataset:
    """The data set in the folder `raw`, at any depth of which the days' folders lie."""
    return widar(raw, "**/user*-*-*-*-*.mat", _read, name=NAME, title="Widar3.0: gestures, velocity profiles")


def _read(path: Path) -> Iterator[Signal]:
    with open_container(path) as container:
        power = container.array("velocity_spectrum_ro").whole()
    if power.size == 0:
        warnings.warn(f"{path}: holds no velocity profile and is left out", stacklevel=2)
        return
    if power.shape[:2] != (BINS, BINS) or power.ndim > 3:  # MATLAB drops the axis of a single time
        raise ReadError(f"{path}: has shape {power.shape}; expected [{BINS}, {BINS}, times]: download it again.")
    values = power.reshape(BINS, BINS, -1).transpose(2, 0, 1)
    yield Signal(
        values=values.astype(np.complex64),
        valid=np.isfinite(values),
        time_s=np.arange(len(values), dtype=np.float64) * INTERVAL_S,
        links=tuple(Link(0, index) for index in range(BINS)),
        frequency_hz=_VELOCITY * CARRIER_HZ / SPEED_OF_LIGHT,
        kind="spectrogram",
        carrier_hz=CARRIER_HZ,
        is_real=True,
        device="Intel 5300",
    )
