"""Read Wi-Fi RSSI fingerprints of the UJIIndoorLoc dataset (`trainingData.csv`, `validationData.csv`).

Source: Torres-Sospedra et al., "UJIIndoorLoc", IPIN 2014; UCI Machine Learning Repository, data set 310. One row per
scan: dBm of 520 access points (WAP001 to WAP520; 100 = not heard), LONGITUDE and LATITUDE in metres (EPSG:3857), FLOOR,
BUILDINGID, SPACEID, RELATIVEPOSITION, USERID, PHONEID and TIMESTAMP. The bands of the access points are unknown.
"""

from __future__ import annotations

import io
import re
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foundation.errors import ReadError
from foundation.readers.files import read_bytes
from foundation.signal import Link, Signal

NOT_HEARD = 100
#: Plausible RSSI, in dBm.
_WEAKEST, _STRONGEST = -150, 0
_ACCESS_POINT = re.compile(r"WAP\d+")
_NEEDED = ("LONGITUDE", "LATITUDE", "FLOOR", "BUILDINGID", "USERID", "PHONEID")


def sniff(head: bytes) -> bool:
    """True for a table whose first columns are WAP001 and WAP002."""
    return head.removeprefix(b"\xef\xbb\xbf").replace(b'"', b"").startswith(b"WAP001,WAP002,")


def read(path: Path) -> list[Signal]:
    """Read one signal per scan.

    `Link.tx` numbers the access points in the order of the file; access points that were not heard are invalid. Labels:
    `position`, the two coordinates in metres; `building` and `floor`, classes. A session is one user with one phone.
    Scans that heard nothing are dropped, with a warning.

    Returns:
        Per signal values [1, access points, 1] in dBm, kind "rssi".

    Raises:
        ReadError: the file is missing, empty, not this table, or a field is not a number or not a plausible RSSI.
    """
    names, table = _table(read_bytes(path), path)
    columns = [index for index, name in enumerate(names) if _ACCESS_POINT.fullmatch(name)]
    strength = table[:, columns]
    heard = strength != NOT_HEARD
    wrong = heard & ~((strength >= _WEAKEST) & (strength <= _STRONGEST))
    if wrong.any():
        row, column = (int(i) for i in np.argwhere(wrong)[0])
        raise ReadError(
            f"{path}, line {row + 2}: {names[columns[column]]} is {strength[row, column]:g}; expected {_WEAKEST} to "
            f"{_STRONGEST} dBm, or {NOT_HEARD} for not heard."
        )
    usable = heard.any(axis=1)
    if not usable.any():
        raise ReadError(f"{path}: none of its {len(table)} scans heard an access point; expected fingerprints.")
    if not usable.all():
        warnings.warn(
            f"{path}: dropped {int((~usable).sum())} of {len(table)} scans that heard no access point, the first in "
            f"line {int(np.argmin(usable)) + 2}",
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
    return Signal(
        values=strength[None, :, None].astype(np.complex64),
        valid=heard[None, :, None],
        time_s=np.zeros(1),
        links=links,
        frequency_hz=np.zeros(1),
        kind="rssi",
        carrier_hz=0.0,
        is_real=True,
        device=f"phone {phone:g}",
        subject=f"user {user:g}",
        session=f"{path.stem}-user-{user:g}-phone-{phone:g}",
        labels={"position": (float(x), float(y)), "floor": f"{floor:g}", "building": f"{building:g}"},
    )


def _table(data: bytes, path: Path) -> tuple[list[str], NDArray[np.float64]]:
    """Parse column names and numbers [rows, columns], all finite."""
    head, _, body = data.removeprefix(b"\xef\xbb\xbf").partition(b"\n")
    names = head.decode("latin-1").strip().replace('"', "").split(",")
    missing = [name for name in ("WAP001", *_NEEDED) if name not in names]
    if missing:
        raise ReadError(f"{path}: has no column {missing[0]}; expected the table of UJIIndoorLoc with its first line.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # an empty table is an error below
            table = np.loadtxt(io.BytesIO(body), delimiter=",", comments=None, ndmin=2)
    except ValueError as error:
        raise ReadError(
            f"{path}: not a table of numbers ({error}, counted below the first line); copy it again."
        ) from error
    if len(table) == 0 or table.shape[1] != len(names) or not np.isfinite(table).all():
        raise ReadError(
            f"{path}: {table.shape[0]} rows of {table.shape[1]} fields, {int((~np.isfinite(table)).sum())} of them not "
            f"finite; expected one row or more of {len(names)} finite numbers: copy the file again."
        )
    return names, table
