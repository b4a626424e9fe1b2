"""MM-Fi: 27 daily and rehabilitation exercises of 40 people in four rooms, the Wi-Fi part.

Origin: https://github.com/ybhbingo/MMFi_dataset (Atheros, 40 MHz). Licence: CC BY-NC 4.0.
Citation: Yang et al., MM-Fi: Multi-Modal Non-Intrusive 4D Human Dataset for Versatile Wireless Sensing, NeurIPS 2023.
Files: `E0N/SNN/ANN/wifi-csi/frameNNN.mat`, 297 of each action (320760 files of about 50 kB); see `layouts/mm-fi.yaml`.
Samples: one frame each: 10 packets x 3 antennas x 114 subcarriers, amplitude and phase.
Labels: `activity`, A01 to A27.
Splits: the authors' `cross-subject` (test on every fifth person) and `cross-environment` (test in E04), with their
validation part as test; their random split leaks and is not given. A session is one action of one person.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from foundation.data.shards.spec import Dataset, Splits, raw_files
from foundation.datasets.common import from_files, layout, parts
from foundation.readers.arrays.reader import stream

NAME = "mm-fi"
HOMEPAGE = "https://github.com/ybhbingo/MMFi_dataset"


def build(raw: Path) -> Dataset:
    """The data set in the folder `raw`, which holds `E01/` to `E04/`."""
    files = raw_files(raw, "E*/S*/A*/wifi-csi/frame*.mat", name=NAME, homepage=HOMEPAGE)
    sessions = list(dict.fromkeys("-".join(path.parts[-5:-2]) for path in files))
    given = layout("mm-fi")
    return from_files(
        raw,
        {path: partial(stream, path, given) for path in files},
        lambda: _splits(sessions),
        name=NAME,
        title="MM-Fi: exercises of 40 people in four rooms, Atheros CSI",
        licence=given.licence,
        citation="Yang et al., MM-Fi, NeurIPS 2023 Datasets and Benchmarks",
        homepage=HOMEPAGE,
        tasks={"activity": "classification"},
    )


def _splits(sessions: list[str]) -> Splits:
    person = {s: int(s.split("-")[1][1:]) for s in sessions}
    return {
        "cross-subject": parts({s: "train" if person[s] % 5 else "test" for s in sessions}, ("train", "test")),
        "cross-environment": parts({s: "test" if s[:3] == "E04" else "train" for s in sessions}, ("train", "test")),
    }
