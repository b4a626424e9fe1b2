"""Read UWB impulse responses of the eWINE dataset: seven CSV files of 6000 rows, LOS and NLOS, of a Decawave DWM1000.

Source: https://github.com/ewine-project/UWB-LOS-NLOS-Data-Set. A row has 15 numbers, named in the first line, and the
magnitudes of 1016 taps. The magnitudes are sums over RXPACC preamble symbols. The authors' example divides them by
`item[2]`, which in the published files is FP_IDX; their text says RXPACC, as does the DW1000 User Manual (4.7).
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foundation.errors import ReadError
from foundation.readers.files import plain_text, read_bytes
from foundation.readers.tables import parse_table
from foundation.readers.uwb.decaranging import CHANNELS, TAP_S
from foundation.signal import Link, Signal

FIELDS = (
    "NLOS", "RANGE", "FP_IDX", "FP_AMP1", "FP_AMP2", "FP_AMP3", "STDEV_NOISE", "CIR_PWR", "MAX_NOISE", "RXPACC", "CH",
    "FRAME_LEN", "PREAM_LEN", "BITRATE", "PRFR",
)  # fmt: skip
TAPS = 1016


def sniff(head: bytes) -> bool:
    """True for the names of the first columns."""
    return plain_text(head).startswith(b"NLOS,RANGE,FP_IDX,")


def read(path: Path) -> list[Signal]:
    """Read one signal per row; delay 0 is the first path.

    Labels: `visibility`, LOS or NLOS, and `range`, the measured distance in metres, with its error. The rows are
    shuffled over seven rooms without a room label: splits of this dataset cannot keep rooms apart. Rows without
    preamble symbols, with a first path outside the taps or with an unknown channel, and incomplete rows, are left out,
    with a warning.

    Returns:
        Per signal values [1, 1, 1016] of kind "cir", real: magnitudes per preamble symbol.

    Raises:
        ReadError: the file is missing, empty, has other columns or no row of numbers.
    """
    rows, lines = _rows(read_bytes(path), path)
    field = {name: rows[:, column] for column, name in enumerate(FIELDS)}
    usable = (field["RXPACC"] > 0) & (field["FP_IDX"] >= 0) & (field["FP_IDX"] < TAPS) & np.isfinite(rows).all(axis=1)
    usable &= np.isin(field["CH"], list(CHANNELS)) & np.isin(field["NLOS"], (0, 1))
    if not usable.any():
        raise ReadError(
            f"{path}: none of its {len(rows)} rows has preamble symbols and a first path; download it again."
        )
    if not usable.all():
        warnings.warn(
            f"{path}: left out {int((~usable).sum())} of {len(rows)} rows, the first in line "
            f"{lines[int(np.argmin(usable))]}, without preamble symbols, a first path or a known channel",
            stacklevel=2,
        )
    return [
        _signal(path, {name: float(field[name][row]) for name in FIELDS}, rows[row, len(FIELDS) :])
        for row in np.flatnonzero(usable)
    ]


def _rows(data: bytes, path: Path) -> tuple[NDArray[np.float64], list[int]]:
    """Parse the table [rows, fields and taps], after checking its column names, and the line of each row."""
    names = plain_text(data).partition(b"\n")[0].decode("ascii", "replace").strip().split(",")
    if tuple(names[: len(FIELDS)]) != FIELDS or len(names) != len(FIELDS) + TAPS:
        raise ReadError(
            f"{path}: the first line has {len(names)} columns, {','.join(names)[:40]!r}...; expected {len(FIELDS)} "
            f"from NLOS to PRFR and {TAPS} taps: this is not a file of the eWINE dataset, or truncated."
        )
    return parse_table(data, str(path)).numbers()


def _signal(path: Path, field: dict[str, float], taps: NDArray[np.float64]) -> Signal:
    carrier_hz, bandwidth_hz = CHANNELS[int(field["CH"])]
    return Signal(
        values=(taps / field["RXPACC"]).astype(np.complex64)[None, None],
        time_s=np.zeros(1),
        links=(Link(),),
        delay_s=(np.arange(TAPS, dtype=np.float64) - int(field["FP_IDX"])) * TAP_S,
        kind="cir",
        carrier_hz=carrier_hz,
        bandwidth_hz=bandwidth_hz,
        is_real=True,
        device="Decawave DW1000",
        session=path.stem,
        labels={"visibility": "NLOS" if field["NLOS"] else "LOS", "range": field["RANGE"]},
    )
