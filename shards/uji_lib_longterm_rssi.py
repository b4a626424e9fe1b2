"""UJI library: Wi-Fi RSSI on two floors of a library over 25 months. Not UJIIndoorLoc.

Origin: https://doi.org/10.5281/zenodo.1066041 (version 2; June 2016 to June 2018). Licence: CC BY 4.0.
Citation: Mendoza-Silva, Richter, Torres-Sospedra, Lohan and Huerta, Long-Term WiFi Fingerprinting Dataset for Research
on Robust Indoor Positioning, Data 3, 3, 2018.
Files: `uji_lib_v2.npz`, the complete database as arrays over 104,160 scans of 620 access points.
Samples: one scan each, the access points that the training files of month 1 heard, 182: whoever trains on them cannot
know where another one stands. Scans that heard none of these are left out.
Labels: `position` (x, y) in metres, `floor`, 3 or 5 (not known of six scans).
Split: `months`: train on the training files of month 1, test on the test files of each month, `test-month-01` to
`test-month-25`; `rest` holds the later training files. A session is a file, a walk over the points. In month 25 half of
the files were recorded by another phone.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foundation.data.shards.spec import Dataset, raw_files
from foundation.datasets.common import arrays, from_files, parts
from foundation.readers.rssi.scan import scan_signal
from foundation.signal import Label, Link, Signal

NAME = "uji-lib-longterm-rssi"
HOMEPAGE = "https://doi.org/10.5281/zenodo.1066041"
NOT_HEARD = 100


def build(raw: Path) -> Dataset:
    """The data set in the folder `raw`."""
    path = raw_files(raw, "uji_lib_v2.npz", name=NAME, homepage=HOMEPAGE)[0]
    return from_files(
        raw,
        {path: partial(_read, path)},
        lambda: {"months": parts({session: _part(session) for session, _ in _files(path)}, ("train", "rest"))},
        name=NAME,
        title="UJI library: Wi-Fi RSSI on two floors over 25 months",
        licence="CC-BY-4.0",
        citation="Mendoza-Silva et al., Long-Term WiFi Fingerprinting Dataset, Data 3, 2018, doi:10.3390/data3010003",
        homepage=HOMEPAGE,
        tasks={"position": "regression", "floor": "classification"},
    )


def _files(path: Path) -> list[tuple[str, NDArray[np.intp]]]:
    """Session and rows of each published file, in the order of months."""
    month, is_train, number = arrays(path, "month", "is_train", "campaign")
    found = []
    for key in np.unique(np.stack([month, ~is_train, number], axis=1), axis=0):
        rows = np.flatnonzero((month == key[0]) & (is_train != key[1]) & (number == key[2]))
        found.append((f"month-{key[0]:02d}-{'test' if key[1] else 'train'}-{key[2]:02d}", rows))
    return found


def _part(session: str) -> str:
    month, side, _ = session.removeprefix("month-").split("-")
    if side == "test":
        return f"test-month-{month}"
    return "train" if month == "01" else "rest"


def _read(path: Path) -> Iterator[Signal]:
    strength, where = arrays(path, "rss", "xyf")
    files = _files(path)
    training = np.concatenate([rows for session, rows in files if _part(session) == "train"])
    known = np.flatnonzero((strength[training] != NOT_HEARD).any(axis=0))
    links = tuple(Link(int(index)) for index in known)
    for session, rows in files:
        for row in rows:
            scan = strength[row, known]
            if (scan != NOT_HEARD).any():
                yield _signal(scan, links, session, _labels(*where[row].tolist()))


def _labels(x: float, y: float, floor: float) -> dict[str, Label]:
    return {"position": (x, y), **({"floor": f"{floor:g}"} if floor else {})}


def _signal(scan: NDArray[np.int8], links: tuple[Link, ...], session: str, labels: dict[str, Label]) -> Signal:
    described = {"device": "phone", "environment": "uji-library", "session": session, "labels": labels}
    return scan_signal(scan, scan != NOT_HEARD, links, **described)
