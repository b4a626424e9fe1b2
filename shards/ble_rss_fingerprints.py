"""BLE RSSI fingerprints that a robot took in a furnished flat.

Origin: https://doi.org/10.5281/zenodo.5457591 (one transmitter on a robot, six anchors). Licence: CC BY 4.0.
Citation: Kolakowski, Automated Calibration of RSS Fingerprinting Based Systems Using a Mobile Robot and Machine
Learning, Sensors 21, 6270, 2021.
Files: `anchors.csv`, `calibration/calibration_df.csv` (4104 points, 0.7 MB), `tests/test_robot_df.csv` (719 points) and
`tests/test_walk_df.csv` (a walk without positions). `calibration/calib*_df.csv` hold the same points in another frame.
Samples: one instant each with the 2.5 s around it, 16 instants, the RSSI of all anchors in dBm; of the walk, all of it.
Of the instant alone, a packet or two of each anchor, k-NN is wrong by 2.06 m (leaving out drives of the calibration),
of the mean over 2 s to either side by 1.54 m.
Labels: `position` (x, y) in metres, `heading` in radians.
Split: `robot`: train on the calibration, test on the robot's test drive; `rest` holds the walk. A session is a
drive, of which the calibration has four.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from foundation.data.shards.spec import Dataset, raw_files
from foundation.datasets.common import from_files, parts, readable
from foundation.readers.rssi import ble_rss

NAME = "ble-rss-fingerprints"
HOMEPAGE = "https://doi.org/10.5281/zenodo.5457591"
AROUND = 8  # instants of a third of a second
_PARTS = {"calibration_df": "train", "test_robot_df": "test", "test_walk_df": "rest"}


def build(raw: Path) -> Dataset:
    """The data set in the folder `raw`, which holds `anchors.csv`, `calibration/` and `tests/`."""
    anchors = raw_files(raw, "anchors.csv", name=NAME, homepage=HOMEPAGE)[0]
    files = [path for path in raw_files(raw, "*/*_df.csv", name=NAME, homepage=HOMEPAGE) if path.stem in _PARTS]
    reads = {path: partial(ble_rss.read, path, anchors=anchors, around=AROUND) for path in files}
    return from_files(
        raw,
        reads,
        lambda: {
            "robot": parts(
                {signal.session: _PARTS[path.stem] for path, read in reads.items() for signal in readable(read)},
                ("train", "test", "rest"),
            )
        },
        name=NAME,
        title="BLE RSSI fingerprints of a robot in a furnished flat",
        licence="CC-BY-4.0",
        citation="Kolakowski, Sensors 21, 6270, 2021, doi:10.3390/s21186270",
        homepage=HOMEPAGE,
        tasks={"position": "regression", "heading": "regression"},
        parameters={"around": AROUND},
    )
