"""eWINE: UWB impulse responses with and without line of sight in seven rooms and halls.

Origin: https://github.com/ewine-project/UWB-LOS-NLOS-Data-Set (Decawave DWM1000). Licence: not stated. Citation: Bregar
and Mohorcic, Improving Indoor Localization Using Convolutional Neural Networks on Computationally Restricted Devices,
IEEE Access 6, 2018.
Files: `uwb_dataset_part1.csv` to `uwb_dataset_part7.csv` (6000 rows, 40 MB each), at any depth.
Samples: one row each, magnitudes cut from 1016 taps to 16 before the first path and 144 (43 m) from it on, as
`uwb_cirs_2018`; rows that have fewer taps on a side are left out.
Labels: `visibility`, LOS or NLOS; `range` in metres, as the modules measured it.
Split: `files`: parts 1 to 5 train, 6 validates, 7 tests. It LEAKS: the authors shuffled the rows of all rooms over the
files and stored no room, so no split can keep rooms apart. Report it as an upper bound. A session is a file.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from foundation.data.shards.spec import Dataset, raw_files
from foundation.datasets.common import NOT_STATED, from_files, parts
from foundation.datasets.uwb_cirs_2018 import TAPS_AFTER, TAPS_BEFORE
from foundation.readers.uwb import ewine
from foundation.signal import Signal

NAME = "ewine-uwb"
HOMEPAGE = "https://github.com/ewine-project/UWB-LOS-NLOS-Data-Set"
_PARTS = {"6": "valid", "7": "test"}


def build(raw: Path) -> Dataset:
    """The data set in the folder `raw`."""
    files = raw_files(raw, "**/uwb_dataset_part[1-7].csv", name=NAME, homepage=HOMEPAGE)
    part_of = {path.stem: _PARTS.get(path.stem[-1], "train") for path in files}
    return from_files(
        raw,
        {path: partial(_read, path) for path in files},
        lambda: {"files": parts(part_of, ("train", "valid", "test"))},
        name=NAME,
        title="eWINE: UWB impulse responses with and without line of sight",
        licence=NOT_STATED,
        citation="Bregar and Mohorcic, IEEE Access 6, 2018, doi:10.1109/ACCESS.2018.2817800",
        homepage=HOMEPAGE,
        tasks={"visibility": "classification", "range": "regression"},
    )


def _read(path: Path) -> Iterator[Signal]:
    for signal in ewine.read(path):
        first = int(np.argmin(np.abs(signal.response)))
        taps = slice(first - TAPS_BEFORE, first + TAPS_AFTER)
        if taps.start >= 0 and taps.stop <= len(signal.response):
            cut = signal.response[taps]
            yield signal.with_(values=signal.values[:, :, taps], valid=signal.mask[:, :, taps], delay_s=cut)
