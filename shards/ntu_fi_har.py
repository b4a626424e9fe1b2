"""NTU-Fi HAR: six activities of 20 people, Atheros CSI amplitudes.

Origin: https://github.com/xyanchen/WiFi-CSI-Sensing-Benchmark (SenseFi; its processed data). Licence: not stated for
the data, MIT for the code. Citation: Yang et al., EfficientFi, IEEE Internet of Things Journal, 2022,
doi:10.1109/JIOT.2021.3139958; Yang et al., SenseFi, Patterns, 2023.
Files: `NTU-Fi_HAR/{train_amp,test_amp}/CLASS/*.mat` (936 and 264 files of about 4 MB), see `layouts/ntu-fi.yaml`.
Samples: one file each, 2000 packets x 3 antennas x 114 subcarriers.
Labels: `activity`: box, circle, clean, fall, run or walk.
Split: `published`, the two folders. A session is a file: the files do not say who was recorded, so the same people are
on both sides, and pieces of one recording may be.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from foundation.data.shards.spec import Dataset, raw_files
from foundation.datasets.common import NOT_STATED, from_files, layout, parts
from foundation.readers.arrays.layouts import Layout
from foundation.readers.arrays.reader import stream
from foundation.signal import Signal

NAME = "ntu-fi-har"
HOMEPAGE = "https://github.com/xyanchen/WiFi-CSI-Sensing-Benchmark"


def build(raw: Path) -> Dataset:
    """The data set in the folder `raw`, which holds `NTU-Fi_HAR/`."""
    return ntu_fi(
        raw,
        "NTU-Fi_HAR",
        "activity",
        name=NAME,
        title="NTU-Fi HAR: six activities in Atheros CSI amplitudes",
        citation="Yang et al., EfficientFi, IEEE Internet of Things Journal, 2022, doi:10.1109/JIOT.2021.3139958",
    )


def ntu_fi(raw: Path, folder: str, task: str, *, name: str, title: str, citation: str) -> Dataset:
    """A set of SenseFi's two folders, whose classes are those of `task`."""
    files = raw_files(raw, f"{folder}/*_amp/*/*.mat", name=name, homepage=HOMEPAGE)
    sessions = {f"{p.parents[1].name}-{p.parent.name}-{p.stem}": p.parents[1].name.removesuffix("_amp") for p in files}
    given = layout("ntu-fi")
    return from_files(
        raw,
        {path: partial(_read, path, given, task) for path in files},
        lambda: {"published": parts(sessions, ("train", "test"))},
        name=name,
        title=title,
        licence=NOT_STATED,
        citation=citation,
        homepage=HOMEPAGE,
        tasks={task: "classification"},
    )


def _read(path: Path, given: Layout, task: str) -> Iterator[Signal]:
    return (signal.with_(labels={task: signal.labels["class"]}) for signal in stream(path, given))
