"""RadioML 2018.01A: 24 modulations, recorded over the air and simulated, 1024 IQ samples each.

Origin: https://www.deepsig.ai/datasets. Licence: CC BY-NC-SA 4.0. Citation: O'Shea, Roy and Clancy, Over-the-Air Deep
Learning Based Radio Signal Classification, IEEE Journal of Selected Topics in Signal Processing 12(1), 2018.
Files: `GOLD_XYZ_OSC.0001_1024.hdf5` (20 GB; 2555904 examples: X, one-hot Y, Z in dB), see `layouts/radioml-2018.yaml`,
which has the class names of the corrected list `classes-fixed.json`.
Samples: one example each, [1024, 1, 1].
Labels: `modulation`, `snr` in dB.
Split: `tenths`, as `radioml_2016`: of the 4096 examples of every modulation and SNR, in the order of the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from foundation.data.shards.spec import Dataset, raw_files
from foundation.datasets.common import cut_in_tenths, from_files, layout, split_in_tenths
from foundation.readers.arrays.containers import open_container
from foundation.readers.arrays.layouts import Layout
from foundation.readers.arrays.reader import stream
from foundation.signal import Signal

NAME = "radioml-2018"
HOMEPAGE = "https://www.deepsig.ai/datasets"


def build(raw: Path) -> Dataset:
    """The data set in the folder `raw`."""
    path = raw_files(raw, "GOLD_XYZ_OSC*.hdf5", name=NAME, homepage=HOMEPAGE)[0]
    given = layout("radioml-2018")
    return from_files(
        raw,
        {path: partial(_read, path, given)},
        lambda: split_in_tenths(_counts(path, given)),
        name=NAME,
        title="RadioML 2018.01A: 24 modulations",
        licence="CC-BY-NC-SA-4.0",
        citation="O'Shea, Roy and Clancy, IEEE JSTSP 12(1), 2018, doi:10.1109/JSTSP.2018.2797022",
        homepage=HOMEPAGE,
        tasks={"modulation": "classification", "snr": "regression"},
    )


def _counts(path: Path, given: Layout) -> dict[str, int]:
    classes = given.labels["modulation"].classes
    with open_container(path) as container:
        modulation = container.array("Y").whole().argmax(axis=1)
        snr = container.array("Z").whole().ravel()
    cells, number = np.unique(np.stack([modulation, snr]), axis=1, return_counts=True)
    return {f"{classes[int(m)]}-{s:g}": int(n) for (m, s), n in zip(cells.T, number, strict=True)}


def _read(path: Path, given: Layout) -> Iterator[Signal]:
    cells = _counts(path, given)
    return cut_in_tenths(stream(path, given), lambda s: f"{s.labels['modulation']}-{s.labels['snr']:g}", cells)
