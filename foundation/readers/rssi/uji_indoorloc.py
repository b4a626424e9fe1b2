"""Read Wi-Fi RSSI fingerprints of the UJIIndoorLoc dataset (`trainingData.csv`, `validationData.csv`).

Source: Torres-Sospedra et al., "UJIIndoorLoc", IPIN 2014; UCI Machine Learning Repository, data set 310. One row per
scan: dBm of 520 access points (WAP001 to WAP520; 100 = not heard), LONGITUDE and LATITUDE in metres (EPSG:3857), FLOOR,
BUILDINGID, SPACEID, RELATIVEPOSITION, USERID, PHONEID and TIMESTAMP. The bands of the access points are unknown.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foundation.errors import ReadError
from foundation.readers.files import plain_text, read_bytes
from foundation.readers.rssi.scan import scan_signal
from foundation.readers.tables import parse_table
from foundation.signal import Link, Signal

NOT_HEARD = 100
#: Plausible RSSI, in dBm.
_WEAKEST, _STRONGEST = -150, 0
_ACCESS_POINT = re.compile(r"WAP\d+")
_NEEDED = ("LONGITUDE", "LATITUDE", "FLOOR", "BUILDINGID", "USERID", "PHONEID")


def sniff(head: bytes) -> bool:
    """True for a table whose first columns are WAP001 and WAP002."""
    return plain_text(head).replace(b'"', b"").startswith(b"WAP001,WAP002,")


def read(path: Path) -> list[Signal]:
    """Read one signal per scan.

    `Link.tx` numbers the access points in the order of the file; access points that were not heard are invalid. Labels:
    `position`, the two coordinates in metres; `building` and `floor`, classes. A session is one user with one phone.
    Scans that heard nothing, and rows that are incomplete or have a field that is no number, are dropped, with a
    warning.

    Returns:
        Per signal values [1, access points, 1] in dBm, kind "rssi".

    Raises:
        ReadError: the file is missing, empty, not this table, or an RSSI is not plausible.
    """
    names, table, lines = _table(read_bytes(path), path)
    columns = [index for index, name in enumerate(names) if _ACCESS_POINT.fullmatch(name)]
    strength = table[:, columns]
    heard = strength != NOT_HEARD
    wrong = heard & ~((strength >= _WEAKEST) & (strength <= _STRONGEST))
    if wrong.any():
        row, column = (int(i) for i in np.argwhere(wrong)[0])
        raise ReadError(
            f"{path}, line {lines[row]}: {names[columns[column]]} is {strength[row, column]:g}; expected {_WEAKEST} to "
            f"{_STRONGEST} dBm, or {NOT_HEARD} for not heard."
        )
    usable = heard.any(axis=1)
    if not usable.any():
        raise ReadError(f"{path}: none of its {len(table)} scans heard an access point; expected fingerprints.")
    if not usable.all():
        warnings.warn(
            f"{path}: dropped {int((~usable).sum())} of {len(table)} scans that heard no access point, the first in "
            f"line {lines[int(np.argmin(usable))]}",
            stacklevel=2,
        )
    links = tuple(Link(index, 0) for index in range(len(columns)))
    fields = table[:, [names.index(name) for name in _NEEDED]]
    return [_signal(strength[row], heard[row], fields[row], links, path) for row in np.flatnonzero(usable)]


def _signal(
    strength: NDArray[np.float64],
    heard: NDArray[np.bool_],
    fields: NDArray[np.float64],
    links: tuple[Link, ...],
    path: Path,
) -> Signal:
    """The signal of one scan; `fields` are those of `_NEEDED`."""
    x, y, floor, building, user, phone = fields
    return scan_signal(
        strength,
        heard,
        links,
        device=f"phone {phone:g}",
        subject=f"user {user:g}",
        session=f"{path.stem}-user-{user:g}-phone-{phone:g}",
        labels={"position": (float(x), float(y)), "floor": f"{floor:g}", "building": f"{building:g}"},
    )


def _table(data: bytes, path: Path) -> tuple[list[str], NDArray[np.float64], list[int]]:
    """Parse the names of the columns in use, their numbers [rows, columns], all finite, and the line of each row."""
    names = plain_text(data).partition(b"\n")[0].decode("latin-1").replace('"', "").split(",")
    missing = {"WAP001", *_NEEDED} - {name.strip() for name in names}
    if missing:
        raise ReadError(
            f"{path}: has no column {min(missing)}; expected the table of UJIIndoorLoc with its first line."
        )
    table = parse_table(data, str(path), last_needs_end=False)  # the last number of a row, its time, is not used
    used = [index for index, name in enumerate(table.names) if _ACCESS_POINT.fullmatch(name) or name in _NEEDED]
    numbers, lines = table.numbers(used)
    if not np.isfinite(numbers).all():
        row = int(np.argmin(np.isfinite(numbers).all(axis=1)))
        raise ReadError(
            f"{path}, line {lines[row]}: has a field that is empty or not finite; expected {len(used)} finite numbers "
            "in these columns: copy the file again."
        )
    return [table.names[index] for index in used], numbers, lines
