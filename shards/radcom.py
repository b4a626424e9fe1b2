"""RadCom (RadarCommDataset): radar and communication waveforms, 128 IQ samples each, at 10 MS/s.

Origin: https://github.com/ANDROComputationalSolutions/RadarCommDataset. Licence: not stated. Citation: Jagannath and
Jagannath, Multi-task Learning Approach for Modulation and Wireless Signal Classification for 5G and Beyond, 2021.
Files: one of `RadComAWGN.hdf5`, `RadComDynamic.hdf5` and `RadComOta2.45GHz.hdf5` (SNR -20 to 18 dB, 700 examples a
class).
Samples: one example each, [128, 1, 1], in the order of their keys.
Labels: `modulation`, `waveform` (the kind of service), `snr` in dB.
Split: `tenths`, as `radioml_2016`, of every modulation, waveform and SNR in the order of the keys (which are text: 1,
10, 100, 101, ...), so that most neighbours stay together. No split is published.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from foundation.data.shards.spec import Dataset, raw_files
from foundation.datasets.common import NOT_STATED, cut_in_tenths, from_files, split_in_tenths
from foundation.readers.iq import radcom
from foundation.signal import Label, Signal

NAME = "radcom"
HOMEPAGE = "https://github.com/ANDROComputationalSolutions/RadarCommDataset"


def build(raw: Path) -> Dataset:
    """The data set in the folder `raw`, which holds one of the files (or several, which are then joined)."""
    files = raw_files(raw, "RadCom*.hdf5", name=NAME, homepage=HOMEPAGE)
    return from_files(
        raw,
        {path: partial(_read, path) for path in files},
        lambda: split_in_tenths({cell: n for path in files for cell, n in _counts(path).items()}),
        name=NAME,
        title="RadCom: radar and communication waveforms",
        licence=NOT_STATED,
        citation="Jagannath and Jagannath, ICC 2021, arXiv:2101.10254",
        homepage=HOMEPAGE,
        tasks={"modulation": "classification", "waveform": "classification", "snr": "regression"},
    )


def _cell(path: Path, labels: Mapping[str, Label]) -> str:
    return f"{path.stem}-{labels['modulation']}-{labels['waveform']}-{labels['snr']:g}"


def _counts(path: Path) -> dict[str, int]:
    return Counter(_cell(path, labels) for labels in radcom.labels(path))


def _read(path: Path) -> Iterator[Signal]:
    return cut_in_tenths(radcom.stream(path), lambda signal: _cell(path, signal.labels), _counts(path))
