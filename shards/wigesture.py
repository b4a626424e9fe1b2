"""WiGesture: gestures of eight people in a meeting room, ESP32-S3.

Origin: https://github.com/RS2002/CSI-BERT/tree/main/WiGesture (data at huggingface.co/datasets/RS2002/WiGesture; 2.4
GHz, 20 MHz, about 100 packets per second). Licence: not stated. Citation: Zhao et al., Finding the Missing Data: A
BERT-Inspired Approach Against Package Loss in Wireless Sensing, INFOCOM Workshops 2024, arXiv:2403.12400.
Files: `{Dynamic,Static}/IDN/GESTURE.csv` (47 and 72 files of 60 s): six motions, and the digits 1 to 9.
Samples: non-overlapping windows of 100 packets, 52 subcarriers of the transmitter with most packets. The order of
the 52 is not published; it is taken to go upward in frequency.
Labels: `gesture`, the file's name, and `person`, the folder's.
Splits: `person-IDN`, leave one person out, for gestures. For `person` the set has one recording of each gesture:
`gesture-G` leaves one gesture out. A session is a recording.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from foundation.data.shards.spec import Dataset, raw_files
from foundation.datasets.common import NOT_STATED, from_files, leave_out, windows
from foundation.readers.wifi import esp32_csv
from foundation.signal import Signal

NAME = "wigesture"
HOMEPAGE = "https://github.com/RS2002/CSI-BERT/tree/main/WiGesture"
PACKETS = 100


def build(raw: Path) -> Dataset:
    """The data set in the folder `raw`, which holds `Dynamic/` and `Static/`, or one of them."""
    files = raw_files(raw, "*/ID*/*.csv", name=NAME, homepage=HOMEPAGE)
    person = {_session(path): path.parent.name for path in files}
    gesture = {_session(path): path.stem.lower() for path in files}
    return from_files(
        raw,
        {path: partial(_read, path) for path in files},
        lambda: leave_out("person", person) | leave_out("gesture", gesture),
        name=NAME,
        title="WiGesture: gestures of eight people, ESP32-S3 CSI",
        licence=NOT_STATED,
        citation="Zhao et al., INFOCOM Workshops 2024, arXiv:2403.12400",
        homepage=HOMEPAGE,
        tasks={"gesture": "classification", "person": "classification"},
        parameters={"packets": PACKETS},
    )


def _session(path: Path) -> str:
    return "-".join([*path.parts[-3:-1], path.stem])


def _read(path: Path) -> Iterator[Signal]:
    person, labels = path.parent.name, {"gesture": path.stem.lower(), "person": path.parent.name}
    recording = esp32_csv.read(path)[0].with_(session=_session(path), subject=person, labels=labels)
    return windows(recording.with_(environment="wigesture-room", device="ESP32-S3"), PACKETS)
