"""UT-HAR: seven activities, Intel 5300 CSI amplitudes, as SenseFi cut them.

Origin: https://github.com/xyanchen/WiFi-CSI-Sensing-Benchmark (processed from
https://github.com/ermongroup/Wifi_Activity_Recognition). Licence: not stated. Citation: Yousefi et al., A Survey on
Behavior Recognition Using WiFi Channel State Information, IEEE Communications Magazine, 2017.
Files: `UT_HAR/data/X_{train,val,test}.csv` (NumPy arrays of 3977, 496 and 500 windows, 1.4 GB together) and
`UT_HAR/label/y_*.csv`; see `layouts/ut-har.yaml`.
Samples: windows of 250 packets x 3 antennas x 30 subcarriers.
Labels: `activity`, 0 to 6; the files name no class.
Split: `published`. It LEAKS: windows of one recording were assigned at random, and the files do not say which belong
together, so no split of this set can be better. Report it as an upper bound. A session is a file.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from foundation.data.shards.spec import Dataset, raw_files
from foundation.datasets.common import NOT_STATED, from_files, layout, parts
from foundation.readers.arrays.reader import stream

NAME = "ut-har"
HOMEPAGE = "https://github.com/xyanchen/WiFi-CSI-Sensing-Benchmark"
_PARTS = {"X_train": "train", "X_val": "valid", "X_test": "test"}


def build(raw: Path) -> Dataset:
    """The data set in the folder `raw`, which holds `UT_HAR/`."""
    files = raw_files(raw, "UT_HAR/data/X_*.csv", name=NAME, homepage=HOMEPAGE)
    given = layout("ut-har")
    published = {f"data-{path.stem}": _PARTS[path.stem] for path in files}
    return from_files(
        raw,
        {path: partial(stream, path, given) for path in files},
        lambda: {"published": parts(published, ("train", "valid", "test"))},
        name=NAME,
        title="UT-HAR: seven activities in Intel 5300 CSI amplitudes",
        licence=NOT_STATED,
        citation="Yousefi et al., IEEE Communications Magazine 55(10), 2017, doi:10.1109/MCOM.2017.1700082",
        homepage=HOMEPAGE,
        tasks={"activity": "classification"},
    )
