"""UWB channel impulse responses registered in a furnished apartment, with and without line of sight.

Origin: https://doi.org/10.5281/zenodo.4742391 (Decawave EVK1000, channel 2, PRF 64 MHz, 57 geometries of two devices).
Licence: CC BY 4.0. Citation: Kolakowski (2021), as at the address above; Kolakowski and Modelski, MIKON 2018,
doi:10.23919/MIKON.2018.8405190.
Files: `results/N.log` or `results/N.log.gz`, `results/labels.csv`, `anchors.csv`, `tags.csv`, `pairs.csv`.
Samples: one accumulation each, cut from 1016 taps to 160: 16 before the first path, 144 (43 m) from it on. Every
log has these: a longer cut would end where the latest first path of a log leaves no more taps, and so identify the
log. By then the mean power is within 1 dB of the noise before the first path.
Labels: `visibility`, LOS, NLOS (the direct path is attenuated) or NDP-NLOS (there is no direct path); `distance`,
metres between the devices in the horizontal plane (their heights are not in the tables).
Splits: `geometry-0` to `geometry-5`, leave geometries out. A session is a log file, that is a geometry; the sessions of
each class are assigned in turn to the six test parts. Geometries may share one of their two positions.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from foundation.data.shards.spec import Dataset, Sample, Splits, fingerprint, raw_files
from foundation.errors import ShardError
from foundation.readers.uwb import decaranging
from foundation.signal import Label

NAME = "uwb-cirs-2018"
HOMEPAGE = "https://doi.org/10.5281/zenodo.4742391"
FOLDS = 6
TAPS_BEFORE, TAPS_AFTER = 16, 144


def build(raw: Path) -> Dataset:
    """The data set in the folder `raw`, which holds `results/`. Logs that are not there are left out of the folds."""
    logs = {_number(path): path for path in raw_files(raw, "results/*.log*", name=NAME, homepage=HOMEPAGE)}
    logs = dict(sorted(logs.items()))
    labels = _labels(raw / "results")
    missing = [path.name for number, path in logs.items() if number not in labels]
    if missing:
        raise ShardError(f"{NAME}: {missing[0]} has no row in labels.csv and pairs.csv; complete the raw folder.")
    return Dataset(
        name=NAME,
        title="UWB channel impulse responses in a furnished apartment (Decawave EVK1000)",
        licence="CC-BY-4.0",
        citation="Kolakowski (2021), UWB Channel Impulse Responses Registered in a Furnished Apartment, "
        "doi:10.5281/zenodo.4742391",
        homepage=HOMEPAGE,
        tasks={"visibility": "classification", "distance": "regression"},
        pieces=[partial(_samples, number, path, labels[number]) for number, path in logs.items()],
        splits=lambda: _splits({number: str(labels[number]["visibility"]) for number in logs}),
        parameters={"raw": fingerprint(raw, logs.values())},
    )


def _samples(number: int, path: Path, labels: dict[str, Label]) -> Iterator[Sample]:
    recording = decaranging.read(path)
    first = int(np.argmin(np.abs(recording.response)))
    taps = slice(first - TAPS_BEFORE, first + TAPS_AFTER)
    if first < TAPS_BEFORE or len(recording.response) < first + TAPS_AFTER:
        raise ShardError(f"{path}: has fewer than {TAPS_BEFORE} taps before or {TAPS_AFTER} after the first path.")
    recording = recording.with_(
        values=recording.values[:, :, taps],
        valid=recording.mask[:, :, taps],
        delay_s=recording.response[taps],
        session=_session(number),
        environment="apartment",
        source=NAME,
        licence="CC-BY-4.0",
        labels=labels,
    )
    for index in range(len(recording.time_s)):
        yield f"{_session(number)}-{index:05d}", recording.window(index, 1)


def _number(path: Path) -> int:
    return int(path.name.partition(".")[0])


def _session(number: int) -> str:
    return f"log{number:02d}"


def _labels(folder: Path) -> dict[int, dict[str, Label]]:
    """Log number -> labels, from the four tables."""
    anchors, tags = (
        {row["location"]: (float(row["x"]), float(row["y"])) for row in _table(folder / name)}
        for name in ("anchors.csv", "tags.csv")
    )
    visibility = {int(row["file_id"]): row["label"].replace(" ", "-") for row in _table(folder / "labels.csv")}
    return {
        number: {
            "visibility": visibility[number],
            "distance": math.dist(anchors[row["anchor_location"]], tags[row["tag_location"]]),
        }
        for row in _table(folder / "pairs.csv")
        if (number := int(row["file_number"])) in visibility
    }


def _table(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        raise ShardError(f"{path}: is missing; download the whole set from {HOMEPAGE}.")
    with path.open(newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))


def _splits(visibility: dict[int, str]) -> Splits:
    fold_of: dict[int, int] = {}
    for name in sorted(set(visibility.values())):
        for number in (number for number, label in visibility.items() if label == name):
            fold_of[number] = len(fold_of) % FOLDS
    return {
        f"geometry-{fold}": {
            "train": [_session(number) for number in visibility if fold_of[number] != fold],
            "test": [_session(number) for number in visibility if fold_of[number] == fold],
        }
        for fold in range(FOLDS)
    }
