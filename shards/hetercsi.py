"""HeterCSI: QuaDRiGa channels of many array sizes, bands and speeds.

Origin: https://github.com/zcy8998/HeterCSI (channels made by its MATLAB scripts). Licence: not stated.
Citation: the repository.
Files: `DN/{train,val,test}_data.mat` (MATLAB 7.3) and `DN/config.mat`; see `layouts/hetercsi.yaml`.
Samples: one channel each, [time, antennas, subcarriers].
Labels: `speed` in m/s.
Splits: `published`, the files; `scenario-DN`, leave one configuration out. A session is a file.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from foundation.data.shards.spec import Dataset, raw_files
from foundation.datasets.common import NOT_STATED, from_files, layout, leave_out, parts
from foundation.readers.arrays.reader import stream

NAME = "hetercsi"
HOMEPAGE = "https://github.com/zcy8998/HeterCSI"
_PARTS = {"train_data": "train", "val_data": "valid", "test_data": "test"}


def build(raw: Path) -> Dataset:
    """The data set in the folder `raw`, which holds `D1/`, `D2/`, ..."""
    files = [p for p in raw_files(raw, "D*/*_data.mat", name=NAME, homepage=HOMEPAGE) if p.stem in _PARTS]
    given = layout("hetercsi")
    session = {path: f"{path.parent.name}-{path.stem}" for path in files}
    published = {session[path]: _PARTS[path.stem] for path in files}
    return from_files(
        raw,
        {path: partial(stream, path, given) for path in files},
        lambda: {
            "published": parts(published, tuple(_PARTS.values())),
            **leave_out("scenario", {session[path]: path.parent.name for path in files}),
        },
        name=NAME,
        title="HeterCSI: QuaDRiGa channels of many configurations",
        licence=NOT_STATED,
        citation=f"HeterCSI, {HOMEPAGE}",
        homepage=HOMEPAGE,
        tasks={"speed": "regression"},
    )
