"""Stability of CSI-based activity recognition: one person, one room, recorded again after 10, 20 and 60 minutes.

Origin: https://github.com/GeoTecINIT/stability-csi-har; an ESP32-S2 hears an access point on channel 6 (2.437 GHz,
20 MHz), HT-LTF, 56 subcarriers, about 100 Hz; amplitudes only. Licence of the data: ODC-BY 1.0.
Citation: Matey-Sanz, Torres-Sospedra and Moreira, Temporal Stability on Human Activity Recognition based on Wi-Fi CSI,
IPIN 2023.
Files: `03_WINDOWED/Dn/eEE_{rx_tx,tx_rx}-{x,y}.npy`: windows [window, 56 subcarriers, 50 packets] and their labels.
Samples: one window each. The authors smoothed each window by a wavelet filter, and windows overlap their neighbours by
half, so that a split inside an execution leaks.
Labels: `activity`, 10 classes, such as walking_tx (towards the transmitter).
Split: `drift`: train on executions e01 to e08 of D1; test on e09 and e10 (test-D1E) and on D2, D3 and D4, which were
recorded later. A session is one execution in one direction. Choose hyperparameters on training executions alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from foundation.data.shards.spec import Dataset, Sample, Splits, fingerprint, raw_files
from foundation.errors import ShardError
from foundation.readers.wifi import esp32_npy

NAME = "stability-csi-har"
HOMEPAGE = "https://github.com/GeoTecINIT/stability-csi-har"

_TRAINING_EXECUTIONS = {f"e{number:02d}" for number in range(1, 9)}


def build(raw: Path) -> Dataset:
    """The data set in the folder `raw`, which holds `03_WINDOWED/`."""
    files = raw_files(raw, "03_WINDOWED/D[1-4]/e*-x.npy", name=NAME, homepage=HOMEPAGE)
    return Dataset(
        name=NAME,
        title="Temporal stability of activity recognition on ESP32 Wi-Fi CSI amplitudes (D1 to D4)",
        licence="ODC-BY-1.0",
        citation="Matey-Sanz, Torres-Sospedra and Moreira, Temporal Stability on Human Activity Recognition based on "
        "Wi-Fi CSI, IPIN 2023",
        homepage=HOMEPAGE,
        tasks={"activity": "classification"},
        pieces=[partial(_samples, path) for path in files],
        splits=lambda: _splits(files),
        parameters={"raw": fingerprint(raw, files)},
    )


def _session(path: Path) -> str:
    return f"{path.parent.name}-{path.name.removesuffix('-x.npy')}"


def _samples(path: Path) -> Iterator[Sample]:
    activities = _activities(path.with_name(path.name.replace("-x.npy", "-y.npy")))
    windows = esp32_npy.read(path)
    if len(activities) != len(windows):
        raise ShardError(f"{path}: has {len(windows)} windows but {len(activities)} labels; download it again.")
    for index, (window, activity) in enumerate(zip(windows, activities, strict=True)):
        yield (
            f"{_session(path)}-{index:04d}",
            window.with_(
                session=_session(path),
                environment="stability-room",
                source=NAME,
                licence="ODC-BY-1.0",
                labels={"activity": activity},
            ),
        )


def _activities(path: Path) -> list[str]:
    try:
        return [str(name).lower() for name in np.load(path, allow_pickle=False)]
    except (OSError, ValueError, EOFError) as error:
        raise ShardError(f"{path}: the labels cannot be read ({error}); download the set again.") from error


def _splits(files: list[Path]) -> Splits:
    drift: dict[str, list[str]] = {part: [] for part in ("train", "test-D1E", "test-D2", "test-D3", "test-D4")}
    for path in files:
        recording = path.parent.name
        if recording != "D1":
            part = f"test-{recording}"
        else:
            part = "train" if path.name[:3] in _TRAINING_EXECUTIONS else "test-D1E"
        drift[part].append(_session(path))
    return {"drift": drift}
