"""POWDER radio fingerprints: four base stations of one make, three standards, two days.

Origin: https://genesys-lab.org/powder (GlobecomPOWDER.zip; USRP X310 at the base stations, B210 as receiver). Licence:
not stated. Citation: Reus-Muns, Jaisinghani, Sankhe and Chowdhury, Trust in 5G Open RANs through Machine Learning: RF
Fingerprinting on the POWDER PAWR Platform, GLOBECOM 2020.
Files: `STANDARD_Day_D_PLACE_sN.bin` with `.json` (120 pairs, about 5.3 million samples or 42 MB each): 4G, 5G or Wifi,
two days, places bes, browning, honors and meb, recordings 1 to 5.
Samples: non-overlapping windows of 1024 samples.
Labels: `transmitter`, the place, and `standard`.
Splits: `day`: train on day 1, test on day 2; `recording`: of both days train on 1 to 3, validate on 4, test on 5. A
session is a recording.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from foundation.data.shards.spec import Dataset, Splits, raw_files
from foundation.datasets.common import NOT_STATED, from_files, parts, windows
from foundation.readers.iq import powder
from foundation.signal import Signal

NAME = "powder"
HOMEPAGE = "https://genesys-lab.org/powder"
SAMPLES = 1024


def build(raw: Path) -> Dataset:
    """The data set in the folder `raw`."""
    files = raw_files(raw, "*_Day_[12]_*_s[1-5].json", name=NAME, homepage=HOMEPAGE)
    return from_files(
        raw,
        {path: partial(_read, path) for path in files},
        lambda: _splits([path.stem for path in files]),
        name=NAME,
        title="POWDER: four base stations told apart by their IQ samples",
        licence=NOT_STATED,
        citation="Reus-Muns et al., GLOBECOM 2020, doi:10.1109/GLOBECOM42002.2020.9348261",
        homepage=HOMEPAGE,
        tasks={"transmitter": "classification", "standard": "classification"},
        parameters={"samples": SAMPLES},
    )


def _read(path: Path) -> Iterator[Signal]:
    recording = powder.read(path)
    place = path.stem.split("_")[3].lower()
    labels = {"transmitter": place, "standard": path.stem.split("_")[0].lower()}
    return windows(recording.with_(labels=labels), SAMPLES)


def _splits(sessions: list[str]) -> Splits:
    recording = {"4": "valid", "5": "test"}
    return {
        "day": parts({s: "train" if s.split("_")[2] == "1" else "test" for s in sessions}, ("train", "test")),
        "recording": parts({s: recording.get(s[-1], "train") for s in sessions}, ("train", "valid", "test")),
    }
