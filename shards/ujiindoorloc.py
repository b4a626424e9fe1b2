"""UJIIndoorLoc: Wi-Fi RSSI fingerprints of 520 access points in three buildings of a university.

Origin: https://archive.ics.uci.edu/dataset/310/ujiindoorloc. Licence: CC BY 4.0. Citation: Torres-Sospedra et al.,
UJIIndoorLoc: A New Multi-building and Multi-floor Database for WLAN Fingerprint-based Indoor Localization Problems,
IPIN 2014.
Files: `trainingData.csv` (19937 scans, 43 MB) and `validationData.csv` (1111 scans, taken four months later), at any
depth.
Samples: one scan each. Labels: `position` (longitude, latitude in metres), `building`, `floor`.
Split: `published`: train on the first file, test on the second, where other people and phones scanned. A session is a
person with a phone; choose hyperparameters on some people of the training file.
"""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path

from foundation.data.shards.spec import Dataset, raw_files
from foundation.datasets.common import from_files, parts, readable
from foundation.readers.rssi import uji_indoorloc
from foundation.signal import Signal

NAME = "ujiindoorloc"
HOMEPAGE = "https://archive.ics.uci.edu/dataset/310/ujiindoorloc"
_PARTS = {"trainingData": "train", "validationData": "test"}


def build(raw: Path) -> Dataset:
    """The data set in the folder `raw`."""
    found = raw_files(raw, "**/*Data.csv", name=NAME, homepage=HOMEPAGE)
    files = [path for path in found if path.stem in _PARTS]

    @cache
    def part_of() -> dict[str, str]:
        return {signal.session: _PARTS[path.stem] for path in files for signal in readable(partial(_scans, path))}

    return from_files(
        raw,
        {path: partial(_scans, path) for path in files},
        lambda: {"published": parts(part_of(), ("train", "test"))},
        name=NAME,
        title="UJIIndoorLoc: Wi-Fi RSSI fingerprints in three buildings",
        licence="CC-BY-4.0",
        citation="Torres-Sospedra et al., UJIIndoorLoc, IPIN 2014, doi:10.1109/IPIN.2014.7275492",
        homepage=HOMEPAGE,
        tasks={"position": "regression", "building": "classification", "floor": "classification"},
    )


def _scans(path: Path) -> list[Signal]:
    return sorted(uji_indoorloc.read(path), key=lambda signal: signal.session)
