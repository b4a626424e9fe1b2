"""XRF55: 55 indoor actions of 39 people in four scenes, the Wi-Fi part.

Origin: https://github.com/aiotgroup/XRF55-repo (data on Kaggle, xrfdataset/xrf55; three Intel 5300 receivers at 5.64
GHz, 200 packets per second). Licence: not stated here: see the homepage. Citation: Wang et al., XRF55: A Radio
Frequency Dataset for Human Indoor Action Analysis, IMWUT 8(1), 2024.
Files: `[SCENE/...]WiFi/PP_AA_RR.npy`: person, action, repetition (20 of each); 42900 files of 2.2 MB, amplitudes [9
links of 30 subcarriers, 1000 packets], see `layouts/xrf55.yaml`. RFID and mmWave parts are not read.
Samples: one file each.
Labels: `action`, 01 to 55.
Splits: `published`: repetitions 1 to 14 train, 15 to 20 test (same people and scenes); `person`: leave every fifth
person out; `scene`: train in the first scene (by name), test in the others, where there are several. A session is a
repetition.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from foundation.data.shards.spec import Dataset, Splits, raw_files
from foundation.datasets.common import NOT_STATED, from_files, layout, parts
from foundation.readers.arrays.layouts import Layout
from foundation.readers.arrays.reader import stream
from foundation.signal import Signal

NAME = "xrf55"
HOMEPAGE = "https://github.com/aiotgroup/XRF55-repo"
_REPETITIONS_OF_TRAINING = 14
_SIDES = ("train", "test")


def build(raw: Path) -> Dataset:
    """The data set in the folder `raw`; what lies above a folder `WiFi` is the scene."""
    files = raw_files(raw, "**/WiFi/[0-9]*_[0-9]*_[0-9]*.npy", name=NAME, homepage=HOMEPAGE)
    scene = {path: path.parent.parent.relative_to(raw).as_posix().replace("/", "-").strip(".") for path in files}
    session = {path: f"{scene[path]}-{path.stem}".strip("-") for path in files}
    given = layout("xrf55")
    return from_files(
        raw,
        {path: partial(_read, path, given, session[path], scene[path]) for path in files},
        lambda: _splits(session, scene),
        name=NAME,
        title="XRF55: 55 indoor actions, Intel 5300 CSI amplitudes",
        licence=NOT_STATED,
        citation="Wang et al., XRF55, IMWUT 8(1), 2024, doi:10.1145/3643543",
        homepage=HOMEPAGE,
        tasks={"action": "classification"},
    )


def _read(path: Path, given: Layout, session: str, scene: str) -> Iterator[Signal]:
    return (signal.with_(session=session, environment=scene) for signal in stream(path, given))


def _splits(session: dict[Path, str], scene: dict[Path, str]) -> Splits:
    numbers = {path: [int(number) for number in path.stem.split("_")] for path in session}
    first = min(scene.values())
    tests = {
        "published": {path for path in session if numbers[path][2] > _REPETITIONS_OF_TRAINING},
        "person": {path for path in session if numbers[path][0] % 5 == 0},
        "scene": {path for path in session if scene[path] != first},
    }
    return {
        split: parts({session[path]: "test" if path in test else "train" for path in session}, _SIDES)
        for split, test in tests.items()
        if test
    }
