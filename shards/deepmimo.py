"""DeepMIMO scenarios (version 4 or 3): ray-traced channels of base stations in cities and rooms.

Origin: https://deepmimo.net (one folder per scenario, from some MB to some GB). Licence: CC BY-NC-SA 4.0. Citation:
Alkhateeb, DeepMIMO: A Generic Deep Learning Dataset for Millimeter Wave and Massive MIMO Applications, ITA 2019.
Files: `SCENARIO/params.json` and `SCENARIO/[scene_N/]KEY_tN_txN_rN.npz` (or .mat, .npy), or of version 3
`SCENARIO/params.mat` and `SCENARIO/[scene_N/]BSN_UE_M-N.mat`, see `foundation.readers.arrays.deepmimo`.
Samples: one receiver each, [1, tx, subcarriers]. Options: `tx` antennas, `bandwidth_hz`, `subcarriers`.
Labels: `position` of the receiver (x, y, z) in metres, `visibility`, LOS or NLOS.
Splits: `scenario-NAME`, leave one scenario out. Neighbouring receivers see nearly the same channel, so a split within a
scenario leaks. A session is a scenario.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from foundation.data.shards.spec import Dataset, Splits, raw_files
from foundation.datasets.common import from_files, leave_out
from foundation.errors import ShardError
from foundation.readers.arrays import deepmimo3
from foundation.readers.arrays.deepmimo import Setup, stream

NAME = "deepmimo"
HOMEPAGE = "https://deepmimo.net"
LICENCE = "CC-BY-NC-SA-4.0"


def build(raw: Path, tx: int = 8, bandwidth_hz: float = 20e6, subcarriers: int = 64) -> Dataset:
    """The scenarios in the folder `raw`."""
    folders = scenarios(raw, NAME)
    setup = Setup(tx=tx, bandwidth_hz=bandwidth_hz, subcarriers=subcarriers)
    splits = leave_out("scenario", {folder.name: folder.name for folder in folders})
    return channels(raw, folders, setup, splits, name=NAME, title="DeepMIMO: ray-traced channels", citation="")


def scenarios(raw: Path, name: str) -> list[Path]:
    """The scenario folders in `raw`."""
    older = list(raw.glob("*/params.mat"))
    newer = raw_files(raw, "*/params.json", name=name, homepage=HOMEPAGE) if not older else raw.glob("*/params.json")
    return sorted({path.parent for path in [*older, *newer]})


def channels(
    raw: Path, folders: list[Path], setup: Setup, splits: Splits, *, name: str, title: str, citation: str
) -> Dataset:
    """The channels of some scenarios with one set of antennas."""
    rays = {
        folder: deepmimo3.files(folder) or sorted(path for path in folder.rglob("power_t*") if path.is_file())
        for folder in folders
    }
    missing = [folder.name for folder, files in rays.items() if not files]
    if missing:
        raise ShardError(
            f"{name}: {missing[0]} has no power_t*_tx*_r* or BS*_UE_* file; download the scenario from {HOMEPAGE}."
        )
    alkhateeb = "Alkhateeb, DeepMIMO, ITA 2019, arXiv:1902.06435"
    return from_files(
        raw,
        {files[0]: partial(stream, folder, setup) for folder, files in rays.items()},
        lambda: splits,
        name=name,
        title=title,
        licence=LICENCE,
        citation=f"{citation}; {alkhateeb}" if citation else alkhateeb,
        homepage=HOMEPAGE,
        tasks={"position": "regression", "visibility": "classification"},
        parameters={"tx": setup.tx, "bandwidth_hz": setup.bandwidth_hz, "subcarriers": setup.subcarriers},
    )
