"""WiFo: QuaDRiGa channels of a base station over time, one of the sets D1 to D18 at a time.

Origin: https://github.com/liuboxun/WiFo (huggingface.co/datasets/liuboxun/WiFo-dataset). Licence: not stated for the
data.
Citation: Liu et al., WiFo: Wireless Foundation Model for Channel Prediction, Science China Information Sciences, 2025.
Files: of one set: `X_train.mat` (9000 samples), `X_val.mat`, `X_test.mat`, or `X_test.mat` alone as on Hugging Face,
complex [sample, time, antenna, subcarrier]; see `layouts/wifo.yaml`.
Samples: one channel each. Options that the files do not hold and that differ from set to set (Table 2 of the paper):
`carrier_hz`, `spacing_hz`, `interval_s`, for D1 1.5e9, 90e3 and 1e-3.
Labels: none.
Split: `published`, the files. X_val.mat holds a variable X_test and X_test.mat one X_val: the parts go by the files, as
the authors' code does. Samples are drawn independently. A session is a file.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from foundation.data.shards.spec import Dataset, raw_files
from foundation.datasets.common import NOT_STATED, from_files, layout, parts
from foundation.readers.arrays.reader import stream

NAME = "wifo"
HOMEPAGE = "https://github.com/liuboxun/WiFo"
_PARTS = {"X_train": "train", "X_val": "valid", "X_test": "test"}


def build(raw: Path, carrier_hz: float, spacing_hz: float, interval_s: float) -> Dataset:
    """The set in the folder `raw`, such as `D1`."""
    files = [p for p in raw_files(raw, "X_*.mat", name=NAME, homepage=HOMEPAGE) if p.stem in _PARTS]
    numbers = {"carrier_hz": carrier_hz, "spacing_hz": spacing_hz, "interval_s": interval_s}
    given = layout("wifo", **numbers)
    return from_files(
        raw,
        {path: partial(stream, path, given) for path in files},
        lambda: {"published": parts({p.stem: _PARTS[p.stem] for p in files}, tuple(_PARTS.values()))},
        name=NAME,
        title=f"WiFo: QuaDRiGa channels over time, {raw.name}",
        licence=NOT_STATED,
        citation="Liu et al., WiFo, Science China Information Sciences, 2025, arXiv:2412.08908",
        homepage=HOMEPAGE,
        tasks={},
        parameters=numbers,
    )
