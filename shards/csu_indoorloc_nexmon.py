"""CSUIndoorLoc: Nexmon CSI at reference and test points in the corridors of a university.

Origin: https://github.com/EPIC-CSU/csi-rssi-dataset-indoor-nav (Colorado State University, 2021 and 2022; BCM43455c0,
20 MHz at 5 GHz). Licence: BSD-3-Clause. Citation: Wang and Pasricha, A Framework for CSI-Based Indoor Localization with
1D Convolutional Neural Networks, IPIN 2022.
Files: `data/ref/ref_POINT_PACKETS.pcap` (about 1 MB each) and `data/test/test_POINT_PACKETS.pcap` (33 kB).
Samples: non-overlapping windows of 10 packets, of the transmitter with most packets in the file.
Labels: `location`, the point, such as 215_2 (second point at room 215).
Split: `published`: train on the reference points, test on the test points, which were recorded on their own. A session
is a recording. The few files of the sample in the data folder share hardly a point, so they only test the reader.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from foundation.data.shards.spec import Dataset, raw_files
from foundation.datasets.common import from_files, parts, windows
from foundation.readers.wifi import nexmon
from foundation.signal import Signal

NAME = "csu-indoorloc-nexmon"
HOMEPAGE = "https://github.com/EPIC-CSU/csi-rssi-dataset-indoor-nav"
PACKETS = 10


def build(raw: Path) -> Dataset:
    """The data set in the folder `raw`, which holds `data/`."""
    files = raw_files(raw, "data/*/*_*_*_*.pcap", name=NAME, homepage=HOMEPAGE)
    published = {path.stem: "train" if path.parent.name == "ref" else "test" for path in files}
    return from_files(
        raw,
        {path: partial(_read, path) for path in files},
        lambda: {"published": parts(published, ("train", "test"))},
        name=NAME,
        title="Nexmon Wi-Fi CSI at points in university corridors",
        licence="BSD-3-Clause",
        citation="Wang and Pasricha, A Framework for CSI-Based Indoor Localization with 1D CNNs, IPIN 2022",
        homepage=HOMEPAGE,
        tasks={"location": "classification"},
    )


def _read(path: Path) -> Iterator[Signal]:
    location = "_".join(path.stem.split("_")[1:-1])
    return windows(nexmon.read(path)[0].with_(session=path.stem, labels={"location": location}), PACKETS)
