"""RadHAR: five activities seen by a 77 GHz FMCW radar, as point clouds.

Origin: https://github.com/nesl/RadHAR (TI IWR1443, 30 frames per second). Licence: BSD-3-Clause.
Citation: Singh, Sandha, Garcia and Srivastava, RadHAR: Human Activity Recognition from Point Clouds Generated through a
Millimeter-wave Radar, mmNets 2019.
Files: `Data/{Train,Test}/ACTIVITY/*.txt` as published, or `radhar_points.npz` with the same recordings (186 of them, 12
MB).
Samples: non-overlapping windows of 60 frames (2 s, as in the paper), as fields of velocity over range, side and
height; shorter recordings have none.
Labels: `activity`, 5 classes.
Splits: `published`, the folders Train and Test; `day-1-to-2` and `day-2-to-1`: train on recordings named like
20_walk_1, test on those named like walk_20_1, and vice versa; we assume that these are the two days of recording, which
the files do not say. A session is a recording.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path

from foundation.data.shards.spec import Dataset, Splits, raw_files
from foundation.datasets.common import from_files, parts, readable, windows
from foundation.readers.radar import radhar
from foundation.signal import Signal

NAME = "radhar"
HOMEPAGE = "https://github.com/nesl/RadHAR"
FRAMES = 60
_NUMBER_FIRST = re.compile(r"_*\d+_[a-z]+_\d+")


def build(raw: Path) -> Dataset:
    """The data set in the folder `raw`."""
    files = [path for path in sorted(raw.rglob("T*/*/*.txt")) if path.parents[1].name in ("Train", "Test")]
    files = files or raw_files(raw, "*.npz", name=NAME, homepage=HOMEPAGE)

    @cache
    def sessions() -> list[str]:
        return [s.session for path in files for s in readable(partial(_recordings, path)) if len(s.time_s) >= FRAMES]

    return from_files(
        raw,
        {path: partial(_read, path) for path in files},
        lambda: _splits(sessions()),
        name=NAME,
        title="RadHAR: activities from FMCW radar point clouds",
        licence="BSD-3-Clause",
        citation="Singh, Sandha, Garcia and Srivastava, RadHAR, mmNets 2019",
        homepage=HOMEPAGE,
        tasks={"activity": "classification"},
        parameters={"frames": FRAMES, "fields": "range, aside, height"},
    )


def _read(path: Path) -> Iterator[Signal]:
    return (window for recording in _recordings(path) for window in windows(recording, FRAMES))


def _recordings(path: Path) -> Iterator[Signal]:
    """Sorted recordings, named SPLIT/ACTIVITY/RECORDING."""
    for recording in radhar.stream(path):
        is_text = path.suffix == ".txt"
        yield recording.with_(session="/".join([*path.parts[-3:-1], path.stem])) if is_text else recording


def _splits(sessions: list[str]) -> Splits:
    published = {session: session.split("/")[0].lower() for session in sessions}
    first = {s: _NUMBER_FIRST.fullmatch(s.rsplit("/", 1)[1]) is not None for s in sessions}
    return {
        "published": parts(published, ("train", "test")),
        "day-1-to-2": parts({s: "train" if style else "test" for s, style in first.items()}, ("train", "test")),
        "day-2-to-1": parts({s: "test" if style else "train" for s, style in first.items()}, ("train", "test")),
    }
