"""The channels of ContraWiMAE: DeepMIMO scenarios as ready-made arrays.

Origin: https://github.com/BerkIGuler/WirelessContrastiveMaskedLearning. Licence: not stated; DeepMIMO itself is CC
BY-NC-SA 4.0. Citation: Guler, Geraci and Jafarkhani, A Multi-Task Foundation Model for Wireless Channel Representation
Using Contrastive and Masked Autoencoder Learning, arXiv:2505.09160.
Files: `*.npz`, one per scenario, `channels` [sample, 1, antenna, subcarrier]; see `layouts/contrawimae.yaml`.
Samples: one channel each. Options that the files do not hold: `carrier_hz` and `bandwidth_hz` of the scenarios.
Labels: none.
Splits: `scenario-NAME`, leave one scenario out: neighbouring receivers see nearly the same channel. A session is a
file.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from foundation.data.shards.spec import Dataset, raw_files
from foundation.datasets.common import NOT_STATED, from_files, layout, leave_out
from foundation.readers.arrays.layouts import Layout
from foundation.readers.arrays.reader import stream
from foundation.signal import Signal

NAME = "contrawimae"
HOMEPAGE = "https://github.com/BerkIGuler/WirelessContrastiveMaskedLearning"


def build(raw: Path, carrier_hz: float, bandwidth_hz: float) -> Dataset:
    """The scenarios in the folder `raw`."""
    files = raw_files(raw, "*.npz", name=NAME, homepage=HOMEPAGE)
    given = layout("contrawimae", carrier_hz=carrier_hz, bandwidth_hz=bandwidth_hz)
    return from_files(
        raw,
        {path: partial(_read, path, given) for path in files},
        lambda: leave_out("scenario", {path.stem: path.stem for path in files}),
        name=NAME,
        title="ContraWiMAE: DeepMIMO channels as arrays",
        licence=NOT_STATED,
        citation="Guler, Geraci and Jafarkhani, arXiv:2505.09160",
        homepage=HOMEPAGE,
        tasks={},
        parameters={"carrier_hz": carrier_hz, "bandwidth_hz": bandwidth_hz},
    )


def _read(path: Path, given: Layout) -> Iterator[Signal]:
    return (signal.with_(environment=path.stem) for signal in stream(path, given))
