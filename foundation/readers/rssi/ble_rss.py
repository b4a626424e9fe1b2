"""BLE RSSI fingerprints taken by a robot in a furnished flat (tables `*_df.csv`).

Source: Kolakowski, "Automated Calibration of RSS Fingerprinting Based Systems Using a Mobile Robot and Machine
Learning", Sensors 21, 6270 (2021); doi:10.5281/zenodo.5457591. One row per instant: a row number, `ts` in nanoseconds,
`rssi_ID` in dBm of one transmitter at each anchor (empty: not received), and, where the robot knew them, `x` and `y` in
metres and `heading` in radians. The ids of `calibration_df.csv` and of the tests are those of `anchors.csv`.
"""

from __future__ import annotations

import math
import re
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foundation.errors import ReadError
from foundation.readers.files import read_bytes
from foundation.signal import Link, Signal

#: The middle of the three advertising channels, 2402, 2426 and 2480 MHz; the tables do not say which one was used.
CARRIER_HZ = 2.441e9
_HEADER = re.compile(rb",ts(,(x|y|heading))*(,rssi_\d+)+\r?\n")
PAUSE_S = 60.0  # between two drives
_WEAKEST, _STRONGEST = -150.0, 20.0


def sniff(head: bytes) -> bool:
    """True for a table whose first line is as above."""
    return _HEADER.match(head) is not None


def read(path: Path, *, anchors: Path | None = None, around: int = 0) -> list[Signal]:
    """Read one table; values [times, anchors, 1] in dBm, kind "rssi"; what was not received is invalid.

    With positions in the table: one signal per row, with the labels `position`, metres, and `heading`, radians; its
    session is the drive, `TABLE-N`: a new one begins where the table pauses for a minute.
    Without: one signal, a walk over time. `Link.rx` counts the anchors as in the file. Rows in which no anchor received
    anything are dropped, with a warning.

    Args:
        anchors: the `anchors.csv` (id, x, y, z) that gives the links their positions; None leaves them unknown.
        around: instants of the same drive before a row, and one fewer after it, that its signal holds as well (on a
            grid of the table's own interval; what the drive lacks is invalid): one packet fades by several decibels, a
            few seconds hardly. 0: the row alone.

    Raises:
        ReadError: a file is missing, empty or not such a table, a field is no number or no possible strength, or an
            anchor has no position.
    """
    data = read_bytes(path)
    if not sniff(data):
        raise ReadError(f"{path}: the first line is not ',ts,...,rssi_1,...'; expected a table of RSSI.")
    names, table = _table(data, path)
    columns = [index for index, name in enumerate(names) if name.startswith("rssi_")]
    strength = table[:, columns]
    received = np.isfinite(strength)
    usable = received.any(axis=1)
    if not usable.any():
        raise ReadError(f"{path}: none of its {len(table)} rows has an RSSI; expected fingerprints.")
    if not usable.all():
        warnings.warn(f"{path}: dropped {int((~usable).sum())} of {len(table)} rows without any RSSI", stacklevel=2)
    places = {} if anchors is None else _anchors(anchors)
    links = tuple(_link(index, names[column][5:], places, anchors) for index, column in enumerate(columns))
    rows = np.flatnonzero(usable)
    labels = [name for name in ("x", "y", "heading") if name in names]
    whole = _signal(strength[rows], received[rows], table[rows, names.index("ts")], links, path)
    if not {"x", "y"} <= set(labels):
        return [whole]
    known = table[:, [names.index(name) for name in labels]]
    if not np.isfinite(known[rows]).all():
        raise ReadError(f"{path}: a row has an RSSI but no {' or no '.join(labels)}; remove it or copy the file again.")
    clock = whole.time_s
    pauses = np.diff(clock) > PAUSE_S
    drive = np.concatenate([[0], np.cumsum(pauses)])
    interval = float(np.median(np.diff(clock)[~pauses])) if len(clock) > 1 else 1.0
    steps = np.arange(-around, around) if around else np.zeros(1, int)
    signals = []
    for index, row in enumerate(rows):
        at = dict(zip(labels, map(float, known[row]), strict=True))
        heading = {"heading": at["heading"]} if "heading" in at else {}
        values, valid = _window(whole, index, drive, steps, interval)
        signals.append(
            whole.with_(
                values=values,
                valid=valid,
                time_s=steps * interval,
                session=f"{path.stem}-{drive[index]}",
                labels={"position": (at["x"], at["y"]), **heading},
            )
        )
    return signals


def _window(
    whole: Signal, index: int, drive: NDArray[np.int64], steps: NDArray[np.int64], interval: float
) -> tuple[NDArray[np.complex64], NDArray[np.bool_]]:
    """What was received at these steps of `interval` seconds from row `index`, in its drive."""
    first, last = max(0, index - len(steps)), index + len(steps) + 1
    near = first + np.flatnonzero(drive[first:last] == drive[index])
    step = np.rint((whole.time_s[near] - whole.time_s[index]) / interval).astype(int) - steps[0]
    inside = (step >= 0) & (step < len(steps))
    values = np.zeros((len(steps), *whole.values.shape[1:]), whole.values.dtype)
    valid = np.zeros(values.shape, bool)
    values[step[inside]], valid[step[inside]] = whole.values[near[inside]], whole.mask[near[inside]]
    return values, valid


def _signal(
    strength: NDArray[np.float64],
    received: NDArray[np.bool_],
    clock_ns: NDArray[np.float64],
    links: tuple[Link, ...],
    path: Path,
) -> Signal:
    time_s = (clock_ns - clock_ns[0]) * 1e-9
    if not np.isfinite(time_s).all() or np.any(np.diff(time_s) <= 0):
        raise ReadError(f"{path}: column ts does not increase from row to row; sort the table by time.")
    return Signal(
        values=np.where(received, strength, 0)[:, :, None],
        valid=received[:, :, None],
        time_s=time_s,
        links=links,
        frequency_hz=np.zeros(1),
        kind="rssi",
        carrier_hz=CARRIER_HZ,
        is_real=True,
        device="BLE anchors",
        session=path.stem,
    )


def _table(data: bytes, path: Path) -> tuple[list[str], NDArray[np.float64]]:
    """Column names, and the numbers [rows, columns]; NaN where a field is empty."""
    if not data.endswith(b"\n"):
        raise ReadError(f"{path}: the last line does not end, so its last number may be cut; copy the file again.")
    names, *lines = (line.split(",") for line in data.decode("latin-1").splitlines())
    rows = []
    for number, fields in enumerate(lines, start=2):
        if len(fields) != len(names):
            raise ReadError(
                f"{path}, line {number}: has {len(fields)} fields; expected {len(names)}, copy the file again."
            )
        rows.append([_number(field, name, f"{path}, line {number}") for field, name in zip(fields, names, strict=True)])
    if not rows:
        raise ReadError(f"{path}: has no row below its first line; copy the file again.")
    return names, np.array(rows, np.float64)


def _number(field: str, name: str, where: str) -> float:
    if not field:
        return math.nan
    try:
        value = float(field)
    except ValueError:
        value = math.inf
    if not math.isfinite(value) or (name.startswith("rssi_") and not _WEAKEST <= value <= _STRONGEST):
        raise ReadError(
            f"{where}: {name or 'the row number'} is {field[:40]!r}; expected a number, for an RSSI from {_WEAKEST:g} "
            f"to {_STRONGEST:g} dBm."
        )
    return value


def _anchors(path: Path) -> dict[str, tuple[float, float, float]]:
    """Id -> position in metres."""
    rows = [line.split(",") for line in read_bytes(path).decode("latin-1").splitlines()]
    try:
        if rows[0] != ["id", "x", "y", "z"]:
            raise ValueError("its first line is not 'id,x,y,z'")
        places = {name: (float(x), float(y), float(z)) for name, x, y, z in rows[1:]}
    except ValueError as error:
        raise ReadError(f"{path}: is no table of anchors ({error}); expected id,x,y,z in metres.") from error
    if not all(math.isfinite(value) for place in places.values() for value in place):
        raise ReadError(f"{path}: an anchor's position is not finite; expected id,x,y,z in metres.")
    return places


def _link(index: int, name: str, places: dict[str, tuple[float, float, float]], anchors: Path | None) -> Link:
    if anchors is not None and name not in places:
        raise ReadError(f"{anchors}: has no anchor {name}, which the table's rssi_{name} needs; give the right file.")
    return Link(0, index, rx_position_m=places.get(name))
