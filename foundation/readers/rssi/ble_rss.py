"""Read BLE RSSI fingerprints recorded by a robot in a furnished flat (tables `*_df.csv`).

Source: Kolakowski, "Automated Calibration of RSS Fingerprinting Based Systems Using a Mobile Robot and Machine
Learning", Sensors 21, 6270 (2021); doi:10.5281/zenodo.5457591. One row per instant: a row number, `ts` in nanoseconds,
`rssi_ID` in dBm of one transmitter at each anchor (empty: not received), and, where the robot recorded them, `x` and
`y` in metres and `heading` in radians. The ids of `calibration_df.csv` and of the tests are those of `anchors.csv`.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foundation.errors import ReadError
from foundation.readers.files import plain_text, read_bytes
from foundation.readers.tables import parse_table
from foundation.signal import Link, Signal

#: Centre of the three advertising channels, 2402, 2426 and 2480 MHz; the tables do not say which one was used.
CARRIER_HZ = 2.441e9
_ANCHOR = re.compile(r"rssi_\d+")
_PLACE = ("ts", "x", "y", "heading")
#: A longer gap between rows separates two drives of the robot.
PAUSE_S = 60.0
#: Plausible RSSI, in dBm.
_WEAKEST, _STRONGEST = -150.0, 20.0


def sniff(head: bytes) -> bool:
    """True for a table whose first line has a column `ts` and one such as `rssi_1`."""
    return _is_header(plain_text(head).partition(b"\n")[0].decode("latin-1").split(","))


def _is_header(names: list[str]) -> bool:
    stripped = [name.strip(' "') for name in names]
    return "ts" in stripped and any(map(_ANCHOR.fullmatch, stripped))


def read(path: Path, *, anchors: Path | None = None, around: int = 0) -> list[Signal]:
    """Read one table; anchors that did not receive the transmitter are invalid.

    With positions in the table: one signal per row, with the labels `position` in metres and `heading` in radians; its
    session is the drive, `TABLE-N`: a new one begins where the table pauses for a minute. Without: one signal, a walk
    over time. `Link.rx` numbers the anchors in the order of the file. Rows in which no anchor received anything, that
    are incomplete, or that have a field that is no number, are dropped, with a warning.

    Args:
        anchors: the `anchors.csv` (id, x, y, z) with the positions of the anchors; None leaves them unknown.
        around: number of instants of the same drive before a row, and one fewer after it, that its signal includes (on
            a grid of the table's own interval; missing instants are invalid): fading varies a single packet by several
            decibels, an average over a few seconds hardly. 0: the row alone.

    Returns:
        Per signal values [times, anchors, 1] in dBm, kind "rssi".

    Raises:
        ReadError: a file is missing, empty or not such a table, an RSSI is not plausible, or an anchor has no position.
    """
    data = read_bytes(path)
    if not sniff(data):
        raise ReadError(f"{path}: the first line is not ',ts,...,rssi_1,...'; expected a table of RSSI.")
    names, table = _table(data, path)
    columns = [index for index, name in enumerate(names) if _ANCHOR.fullmatch(name)]
    table = table[_usable(table[:, columns], path)]
    links = _links([names[column][len("rssi_") :] for column in columns], anchors)
    walk = _signal(table[:, columns], table[:, names.index("ts")], links, path)
    labels = [name for name in ("x", "y", "heading") if name in names]
    if not {"x", "y"} <= set(labels):
        return [walk]
    known = table[:, [names.index(name) for name in labels]]
    if not np.isfinite(known).all():
        raise ReadError(f"{path}: a row has an RSSI but no {' or no '.join(labels)}; remove it or copy the file again.")
    return _fingerprints(walk, labels, known, around, path)


def _usable(strength: NDArray[np.float64], path: Path) -> NDArray[np.bool_]:
    """Which rows [rows, anchors] have any RSSI; warns of the others."""
    usable: NDArray[np.bool_] = np.asarray(np.isfinite(strength).any(axis=1))
    if not usable.any():
        raise ReadError(f"{path}: none of its {len(strength)} rows has an RSSI; expected fingerprints.")
    if not usable.all():
        warnings.warn(f"{path}: dropped {int((~usable).sum())} of {len(usable)} rows without any RSSI", stacklevel=3)
    return usable


def _fingerprints(
    walk: Signal, names: Sequence[str], known: NDArray[np.float64], around: int, path: Path
) -> list[Signal]:
    """One signal per row of a table; `known` [rows, names] are the position and heading of each row."""
    clock = walk.time_s
    pauses = np.diff(clock) > PAUSE_S
    drive = np.concatenate([[0], np.cumsum(pauses)])
    interval = float(np.median(np.diff(clock)[~pauses])) if len(clock) > 1 else 1.0
    steps = np.arange(-around, around) if around else np.zeros(1, int)
    signals = []
    for index, row in enumerate(known):
        at = dict(zip(names, map(float, row), strict=True))
        heading = {"heading": at["heading"]} if "heading" in at else {}
        values, valid = _window(walk, index, drive, steps, interval)
        signals.append(
            walk.with_(
                values=values,
                valid=valid,
                time_s=steps * interval,
                session=f"{path.stem}-{drive[index]}",
                labels={"position": (at["x"], at["y"]), **heading},
            )
        )
    return signals


def _window(
    walk: Signal, index: int, drive: NDArray[np.int64], steps: NDArray[np.int64], interval: float
) -> tuple[NDArray[np.complex64], NDArray[np.bool_]]:
    """Values and mask at these steps of `interval` seconds from row `index`, within its drive."""
    first, last = max(0, index - len(steps)), index + len(steps) + 1
    near = first + np.flatnonzero(drive[first:last] == drive[index])
    step = np.rint((walk.time_s[near] - walk.time_s[index]) / interval).astype(int) - steps[0]
    inside = (step >= 0) & (step < len(steps))
    values = np.zeros((len(steps), *walk.values.shape[1:]), walk.values.dtype)
    valid = np.zeros(values.shape, bool)
    values[step[inside]], valid[step[inside]] = walk.values[near[inside]], walk.mask[near[inside]]
    return values, valid


def _signal(
    strength: NDArray[np.float64], clock_ns: NDArray[np.float64], links: tuple[Link, ...], path: Path
) -> Signal:
    """The signal of consecutive rows [rows, anchors], NaN where nothing was received."""
    time_s = (clock_ns - clock_ns[0]) * 1e-9
    if not np.isfinite(time_s).all() or np.any(np.diff(time_s) <= 0):
        raise ReadError(f"{path}: column ts does not increase from row to row; sort the table by time.")
    received = np.isfinite(strength)
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
    """Parse column names and numbers [rows, columns]; NaN where a field is empty."""
    table = parse_table(data, str(path))
    used = [index for index, name in enumerate(table.names) if name in _PLACE or _ANCHOR.fullmatch(name)]
    names = [table.names[index] for index in used]
    numbers, at = table.numbers(used)
    strength = numbers[:, [index for index, name in enumerate(names) if _ANCHOR.fullmatch(name)]]
    wrong = np.isinf(numbers).any(axis=1) | (strength < _WEAKEST).any(axis=1) | (strength > _STRONGEST).any(axis=1)
    if wrong.any():
        row = int(np.argmax(wrong))
        found = ", ".join(f"{name} {value:g}" for name, value in zip(names, numbers[row], strict=True))
        raise ReadError(
            f"{path}, line {at[row]}: holds {found[:120]}; expected finite numbers, for an RSSI from {_WEAKEST:g} to "
            f"{_STRONGEST:g} dBm."
        )
    return names, numbers


def _links(names: list[str], anchors: Path | None) -> tuple[Link, ...]:
    """Links to the anchors of these ids, with their positions where a file gives them."""
    positions = {} if anchors is None else _positions(anchors)
    missing = [name for name in names if anchors is not None and name not in positions]
    if missing:
        raise ReadError(
            f"{anchors}: has no anchor {missing[0]}, which the table's rssi_{missing[0]} needs; give the right file."
        )
    return tuple(Link(0, index, rx_position_m=positions.get(name)) for index, name in enumerate(names))


def _positions(path: Path) -> dict[str, tuple[float, float, float]]:
    """Parse a table of anchors: id -> position in metres."""
    text = plain_text(read_bytes(path)).decode("latin-1")
    rows = [[field.strip(' "') for field in line.split(",")] for line in text.splitlines() if line.strip()]
    try:
        if rows[:1] != [["id", "x", "y", "z"]]:
            raise ValueError("its first line is not 'id,x,y,z'")
        positions = {name: (float(x), float(y), float(z)) for name, x, y, z in rows[1:]}
    except ValueError as error:
        raise ReadError(f"{path}: is not a table of anchors ({error}); expected id,x,y,z in metres.") from error
    if not all(math.isfinite(value) for position in positions.values() for value in position):
        raise ReadError(f"{path}: the position of an anchor is not finite; expected id,x,y,z in metres.")
    return positions
