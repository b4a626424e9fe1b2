"""NeWRF: narrow-band channels of one antenna, ray-traced through three furnished rooms (a simulation).

Origin: https://github.com/LuHaofan/NeWRF (MATLAB, up to two reflections). Licence: MIT.
Citation: Lu, Vattheuer, Mirzasoleiman and Abari, NeWRF: A Deep Learning Framework for Wireless Radiation Field
Reconstruction and Channel Prediction, ICML 2024.
Files: `newrf.npz`, 5,875 receivers in nine sets, a set being a room at a carrier with walls of a material;
`geometry/*.stl` hold the rooms, in metres.
Samples: one receiver each, a single complex number; the positions of transmitter and receiver are those of the link.
Labels: `position` of the receiver (x, y, z) in metres; `visibility`, LOS or NLOS.
Splits: `receivers`, every fifth receiver of each set out; within the conference room, whose sets share their receivers,
`frequency-MHZ` and `material-NAME`, one set out; `room-NAME`, one room out. A session is a fifth of the receivers of a
set. What the set is made for, the level from the position (a radio map), has the channel as its target and so is no
label.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from foundation.data.shards.spec import Dataset, Splits, raw_files
from foundation.datasets.common import arrays, from_files, leave_out, parts
from foundation.signal import Link, Signal

NAME = "newrf-raytraced-rooms"
HOMEPAGE = "https://github.com/LuHaofan/NeWRF"
FIFTHS = 5
MATERIALS = ("concrete", "plasterboard", "wood")


class _Fifth(NamedTuple):
    name: str
    number: int
    carrier_mhz: int
    rows: range

    @property
    def session(self) -> str:
        return f"{self.name}-{self.number}"

    @property
    def room(self) -> str:
        return self.name.partition("_")[0]

    @property
    def material(self) -> str:
        """Material of the walls; empty where the authors name none."""
        return next((each for each in MATERIALS if each in self.name), "")


def build(raw: Path) -> Dataset:
    """The data set in the folder `raw`."""
    path = raw_files(raw, "newrf.npz", name=NAME, homepage=HOMEPAGE)[0]
    return from_files(
        raw,
        {path: partial(_read, path)},
        lambda: _splits(_fifths(path)),
        name=NAME,
        title="NeWRF: ray-traced narrow-band channels in three rooms",
        licence="MIT",
        citation="Lu, Vattheuer, Mirzasoleiman and Abari, NeWRF, ICML 2024",
        homepage=HOMEPAGE,
        tasks={"position": "regression", "visibility": "classification"},
    )


def _fifths(path: Path) -> list[_Fifth]:
    """Every fifth receiver of a set, from each of the first five."""
    names, set_of, carrier_ghz = arrays(path, "set_names", "set", "freq_ghz")
    found = []
    for index, name in enumerate(names.tolist()):
        rows = np.flatnonzero(set_of == index)
        carrier = round(1000 * float(carrier_ghz[rows[0]]))
        found += [_Fifth(name, n, carrier, range(rows[n], rows[-1] + 1, FIFTHS)) for n in range(FIFTHS)]
    return found


def _read(path: Path) -> Iterator[Signal]:
    channel, receiver, transmitter, in_sight = arrays(path, "csi", "rx_xyz", "tx_xyz", "los")
    for fifth in _fifths(path):
        for row in fifth.rows:
            x, y, z = receiver[row].tolist()
            a, b, c = transmitter[row].tolist()
            yield Signal(
                values=channel[row].reshape(1, 1, 1),
                time_s=np.zeros(1),
                links=(Link(tx_position_m=(a, b, c), rx_position_m=(x, y, z)),),
                frequency_hz=np.zeros(1),
                kind="channel",
                carrier_hz=fifth.carrier_mhz * 1e6,
                device="NeWRF simulation",
                environment=fifth.room,
                session=fifth.session,
                labels={"position": (x, y, z), "visibility": "LOS" if in_sight[row] else "NLOS"},
            )


def _splits(fifths: list[_Fifth]) -> Splits:
    conference = [each for each in fifths if each.room == "conference"]
    last = {each.session: "test" if each.number == FIFTHS - 1 else "train" for each in fifths}
    return {
        "receivers": parts(last, ("train", "test")),
        **leave_out("frequency", {e.session: str(e.carrier_mhz) for e in conference if not e.material}),
        **leave_out("material", {e.session: e.material for e in conference if e.material}),
        **leave_out("room", {e.session: e.room for e in fifths}),
    }
