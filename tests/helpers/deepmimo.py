"""Scenarios of DeepMIMO 4, and of DeepMIMO 3 with the same paths."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from scipy.io import savemat

NAN = np.nan


RAYS = {
    "power": [[-94.522, -109.209, -118.361, -119.339], [-87.469, -83.49, NAN, NAN], [NAN] * 4],
    "phase": [[128.666, -167.909, 82.676, -116.764], [130.744, 14.926, NAN, NAN], [NAN] * 4],
    "delay": [[4.07693e-07, 2.91839e-07, 5.98605e-07, 5.90418e-07], [4.42771e-07, 4.2523e-07, NAN, NAN], [NAN] * 4],
    "aoa_az": [[-5.099, 140.216, 156.256, -51.194], [25.751, -64.127, NAN, NAN], [NAN] * 4],
    "aoa_el": [[15.123, 149.876, 141.678, 43.086], [157.767, 10.542, NAN, NAN], [NAN] * 4],
    "aod_az": [[-34.361, -108.535, -147.329, 28.92], [-72.469, 61.918, NAN, NAN], [NAN] * 4],
    "aod_el": [[79.268, 171.826, 89.981, 76.541], [111.638, 179.117, NAN, NAN], [NAN] * 4],
    "inter": [[0.0, 1.0, 11.0, 2.0], [1.0, 21.0, NAN, NAN], [NAN] * 4],
    "rx_pos": [[1.0, 2.0, 1.5], [3.0, 4.0, 1.5], [5.0, 6.0, 1.5]],
    "tx_pos": [[0.0, 7.0, 10.0]],
}


def rays(**changes: object) -> dict[str, np.ndarray]:
    return {
        key: np.asarray(value, np.float32 if key != "delay" else np.float64) for key, value in (RAYS | changes).items()
    }


def scenario(folder: Path, name: str = "t001_tx000_r000", format: str = "npz", **changes: object) -> Path:
    """A folder as the deepmimo package writes it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "params.json").write_text(json.dumps({"version": "4.0.5", "rt_params": {"frequency": 3_500_000_000}}))
    for key, value in rays(**changes).items():
        if format == "npz":
            np.savez_compressed(folder / f"{key}_{name}.npz", **{key: value})
        elif format == "mat":
            savemat(folder / f"{key}_{name}.mat", {key: value})
        else:
            np.save(folder / f"{key}_{name}.npy", value)
    np.savez(folder / f"inter_pos_{name}.npz", inter_pos=np.zeros((3, 4, 2, 3), np.float32))
    return folder


def scenario3(folder: Path, *, has_place: bool = True, polarised: bool = False, compress: bool = True) -> Path:
    """The paths of `RAYS` as version 3 stores them: two files of users, and the base station's own."""
    folder.mkdir(parents=True, exist_ok=True)
    about = {"carrier_freq": 3.5e9, "transmit_power": 10.0, "num_BS": 1, "dual_polar_available": int(polarised)}
    savemat(folder / "params.mat", about)
    given = rays()
    rows = ("phase", "delay", "power", "aoa_az", "aoa_el", "aod_az", "aod_el")
    places = np.column_stack([given["rx_pos"], np.ones((3, 2))])
    for first, last in ((0, 2), (2, 3)):
        cells = np.empty((1, last - first), object)
        for user in range(first, last):
            there = np.isfinite(given["power"][user])
            p = np.array([given[row][user, there].astype(float) for row in rows] + [given["inter"][user, there] == 0])
            p[2] += 30 - 10
            cells[0, user - first] = {"p": p}
        content = {"channels_VV" if polarised else "channels": cells, "rx_locs": places[first:last]}
        if has_place:
            content["tx_loc"] = given["tx_pos"]
        savemat(folder / f"BS1_UE_{first}-{last}.mat", content, do_compression=compress)
    savemat(folder / "BS1_BS.mat", {"rx_locs": np.column_stack([given["tx_pos"], np.ones((1, 2))])})
    return folder
