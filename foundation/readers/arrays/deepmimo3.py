"""Read the paths of DeepMIMO version 3 scenarios, files of MATLAB 5, in the matrices of version 4.

A scenario is a folder with `params.mat` (`carrier_freq` in hertz, `transmit_power` in dBm) and, per base station b and
users from m to n - 1, `BSb_UE_m-n.mat`: `rx_locs` [users, 5] (x, y, z in metres, distance, path loss), often `tx_loc`,
and a cell per user in `channels` (of two polarisations, `channels_VV`) with the array `p` [8 or more, paths] of phase
in degrees, delay in seconds, power in dB, azimuth and zenith angle of arrival, then of departure, and 1 for the direct
path. Without `tx_loc`, the base station's place is row b of `rx_locs` in `BSb_BS.mat`. Scenes are folders `scene_N`.

Source: `raytracing_v3.py` and `construct_deepmimo.py` of https://github.com/DeepMIMO/DeepMIMO-python, whose power is
that of the path plus the transmit power, in watts.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foundation.errors import ReadError
from foundation.readers.arrays import mat5
from foundation.readers.files import read_bytes

_FILE = re.compile(r"BS(\d+)_UE_(\d+)-(\d+)\.mat")
#: Keys of version 4 in the order of the rows of `p`; the last row is 1 for the direct path.
_ROWS = ("phase", "delay", "power", "aoa_az", "aoa_el", "aod_az", "aod_el")
_DBM_OF_A_WATT = 30.0

Array = NDArray[np.float64]


def files(path: Path) -> list[Path]:
    """The files of users in a scenario folder, in the order of base stations and users; or `path` itself if it is one.

    Raises nothing: an empty list if it is no such scenario.
    """
    found = path.rglob("BS*_UE_*.mat") if path.is_dir() else [path]
    named = [(file, match) for file in found if (match := _FILE.fullmatch(file.name))]
    return [file for file, _ in sorted(named, key=lambda pair: (pair[0].parent, *map(int, pair[1].groups())))]


def carrier_hz(file: Path) -> float:
    """The carrier of the scenario of a file of users; 0 if there is no `params.mat`."""
    return _parameter(file, "carrier_freq")


def rays(file: Path) -> dict[str, Array]:
    """The matrices of version 4 for one file of users: [users, paths], NaN where there are fewer paths.

    Raises:
        ReadError: the file is missing, damaged or not of this layout.
    """
    found = _variables(file)
    name = "channels" if "channels" in found else "channels_VV"
    if name not in found or "rx_locs" not in found:
        raise ReadError(
            f"{file}: holds {', '.join(found)[:80] or 'nothing'}; expected channels and rx_locs of a DeepMIMO 3 "
            "scenario: download it again."
        )
    paths = found[name].cells()
    places = _numbers(found, "rx_locs", file)
    if any(p.ndim != 2 or (p.size and len(p) < len(_ROWS) + 1) for p in paths) or places.shape[:1] != (len(paths),):
        raise ReadError(
            f"{file}: {name} has {len(paths)} cells, rx_locs shape {places.shape}; expected a row of rx_locs and an "
            "array of 8 rows for each user: download it again."
        )
    most = max((p.shape[1] for p in paths if p.size), default=1)
    table = np.full((len(paths), len(_ROWS) + 1, most), np.nan)
    for user, p in enumerate(paths):
        if p.size:
            table[user, :, : p.shape[1]] = p[: len(_ROWS) + 1]
    result = {key: table[:, row] for row, key in enumerate(_ROWS)}
    result["power"] = result["power"] + _parameter(file, "transmit_power") - _DBM_OF_A_WATT
    direct = table[:, len(_ROWS)]
    return result | {
        "inter": np.where(np.isnan(direct), np.nan, direct != 1),
        "rx_pos": places[:, :3],
        "tx_pos": _base_station(found, file),
    }


def _variables(file: Path) -> dict[str, mat5.Matrix]:
    if not mat5.sniff(read_bytes(file, 128)):
        raise ReadError(f"{file}: is not a MATLAB 5 file; expected one of a DeepMIMO 3 scenario, download it again.")
    return mat5.matrices(file)


def _numbers(found: dict[str, mat5.Matrix], key: str, file: Path) -> Array:
    if found[key].refused:
        raise ReadError(f"{file}: {key} is a MATLAB {found[key].refused}; expected numbers, download it again.")
    return np.asarray(found[key].load().real, np.float64)


def _parameter(file: Path, key: str) -> float:
    """A number in `params.mat` of the scenario, beside the file or above its scene; 0, with a warning, without one."""
    for folder in (file.parent, file.parent.parent):
        about = folder / "params.mat"
        if about.exists():
            known = _variables(about)
            value = _numbers(known, key, about) if key in known else np.zeros(0)
            if value.size != 1 or not np.isfinite(value).all():
                raise ReadError(f"{about}: {key} is {value.ravel()[:4]}; expected one number, download it again.")
            return float(value.ravel()[0])
    warnings.warn(f"{file}: there is no params.mat beside it, so {key} is taken as 0", stacklevel=4)
    return 0.0


def _base_station(found: dict[str, mat5.Matrix], file: Path) -> Array:
    """Where the base station of a file is, [1, 3] in metres."""
    if "tx_loc" in found:
        place = _numbers(found, "tx_loc", file).reshape(1, -1)
    else:
        match = _FILE.fullmatch(file.name)
        assert match is not None
        other = file.with_name(f"BS{match[1]}_BS.mat")
        known = _variables(other)
        places = _numbers(known, "rx_locs", other) if "rx_locs" in known else np.zeros((0, 3))
        place = places[int(match[1]) - 1 : int(match[1])]
    if place.shape[0] != 1 or place.shape[1] < 3:
        raise ReadError(f"{file}: has no tx_loc, nor is it in the BS file beside it; download the scenario again.")
    return place[:, :3]
