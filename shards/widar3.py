"""Widar3.0, raw: 17 people and 22 gestures in three rooms, six Intel 5300 receivers.

Origin: https://tns.thss.tsinghua.edu.cn/widar3.0/ (1000 packets per second at 5.825 GHz). Licence: not stated
(research).
Citation: Zhang et al., Widar3.0: Zero-Effort Cross-Domain Gesture Recognition with Wi-Fi, IEEE TPAMI, 2021.
Files: `CSI/DAY/USER/userU-G-L-F-R-rN.dat`: gesture, location, facing direction, repetition, receiver; six files a
gesture.
Samples: one file each, about 2 s of one receiver: packets x 3 antennas x 30 subcarriers.
Labels: `gesture`, 22 classes, see `widar_common.py`.
Splits: `room-R`, `person-userU`, `location-L` and `facing-F`, each leaves one out: the cross-domain tests of the paper,
whose own draws of people are not published. A session is a day, person, location and facing direction; the six
receivers of one gesture are in one session.
"""

from __future__ import annotations

from pathlib import Path

from foundation.data.shards.spec import Dataset
from foundation.datasets.widar_common import CARRIER_HZ, widar
from foundation.readers.wifi import intel5300
from foundation.signal import Signal

NAME = "widar3"


def build(raw: Path) -> Dataset:
    """The data set in the folder `raw`, at any depth of which the days' folders lie."""
    return widar(raw, "**/user*-*-*-*-*-r[1-6].dat", _read, name=NAME, title="Widar3.0: gestures, raw Intel 5300 CSI")


def _read(path: Path) -> list[Signal]:
    return [intel5300.read(path)[0].with_(carrier_hz=CARRIER_HZ)]
