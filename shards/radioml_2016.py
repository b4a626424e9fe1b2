"""RadioML 2016: modulations of synthetic signals over channel models, 128 IQ samples each.

Origin: https://www.deepsig.ai/datasets (GNU Radio). Licence: CC BY-NC-SA 4.0. Citation: O'Shea and West, Radio Machine
Learning Dataset Generation with GNU Radio, GNU Radio Conference 2016.
Files: one of `RML2016.10a_dict.pkl` (220000 examples, 640 MB), `RML2016.10b.dat` (1.2 million, 3.3 GB) and
`2016.04C.multisnr.pkl` (162060). They are pickles, which are read without being unpickled.
Samples: one example each, [128, 1, 1].
Labels: `modulation`, `snr` in dB.
Split: `tenths`: of every modulation and SNR the first eight tenths in the order of the file train, the ninth validates,
the last tests. No split is published; papers draw examples at random. Which ones were cut from one stretch of signal is
not stored, so that neighbours stay together. A session is one tenth of a modulation at an SNR.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from foundation.data.shards.spec import Dataset, raw_files
from foundation.datasets.common import cut_in_tenths, from_files, split_in_tenths
from foundation.readers.iq import rml_pickle
from foundation.signal import Signal

NAME = "radioml-2016"
HOMEPAGE = "https://www.deepsig.ai/datasets"


def build(raw: Path) -> Dataset:
    """The data set in the folder `raw`, which holds one of the files (or several, which are then joined)."""
    return pickles(
        raw,
        "*2016.*",
        name=NAME,
        title="RadioML 2016: modulations of synthetic signals",
        licence="CC-BY-NC-SA-4.0",
        citation="O'Shea and West, Radio Machine Learning Dataset Generation with GNU Radio, 2016",
        homepage=HOMEPAGE,
    )


def pickles(raw: Path, pattern: str, *, name: str, title: str, licence: str, citation: str, homepage: str) -> Dataset:
    """RadioML pickles that match a pattern."""
    files = raw_files(raw, pattern, name=name, homepage=homepage)
    return from_files(
        raw,
        {path: partial(_read, path) for path in files},
        lambda: split_in_tenths({cell: n for path in files for cell, n in _counts(path).items()}),
        name=name,
        title=title,
        licence=licence,
        citation=citation,
        homepage=homepage,
        tasks={"modulation": "classification", "snr": "regression"},
    )


def _cell(signal: Signal) -> str:
    return f"{signal.session}-{signal.labels['modulation']}-{signal.labels['snr']:g}"


def _counts(path: Path) -> dict[str, int]:
    cells = rml_pickle.counts(path).items()
    return {f"{path.stem}-{modulation}-{snr:g}": count for (modulation, snr), count in cells}


def _read(path: Path) -> Iterator[Signal]:
    return cut_in_tenths(rml_pickle.stream(path), _cell, _counts(path))
