"""Array files of every format, and a layout that describes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from scipy.io import savemat

from foundation.readers.arrays.layouts import Layout


def write_matlab73(path: Path, arrays: dict[str, np.ndarray]) -> Path:
    """As MATLAB's `save -v7.3`: a user block with its name, axes backward, complex numbers as (real, imag)."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for key, array in arrays.items():
            turned = np.asarray(array).T
            if np.iscomplexobj(turned):
                pairs = np.empty(turned.shape, [("real", "f4"), ("imag", "f4")])
                pairs["real"], pairs["imag"] = turned.real, turned.imag
                turned = pairs
            file.create_dataset(key, data=turned).attrs["MATLAB_class"] = np.bytes_("single")
    with path.open("r+b") as raw:
        raw.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64, HDF5 schema 1.00 .".ljust(124) + b"\x00\x02IM")
    return path


#: Formats of `write_any`, and those of them that are read in a separate process, which an error replaces.
FORMATS = ["mat5", "mat5z", "mat73", "h5", "npz"]
PROCESS = {"mat73", "h5"}
BASE: dict[str, Any] = {
    "about": "a test",
    "keys": {"complex": "H"},
    "axes": ["sample", "time", "response"],
    "kind": "channel",
    "spacing_hz": 15e3,
    "interval_s": 1e-3,
}


def layout(**changes: Any) -> Layout:
    return Layout.model_validate(BASE | changes)


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    parts = np.random.default_rng(seed).normal(size=(2, *shape))
    return (parts[0] + 1j * parts[1]).astype(np.complex64)


def write_any(path: Path, format: str, arrays: dict[str, np.ndarray]) -> Path:
    """Write arrays in one of `FORMATS`, or the first of them as "npy"."""
    if format.startswith("mat5"):
        savemat(path, arrays, appendmat=False, do_compression=format.endswith("z"))
    elif format == "mat73":
        write_matlab73(path, arrays)
    elif format == "h5":
        with h5py.File(path, "w") as file:
            for key, array in arrays.items():
                file[key] = array
    elif format == "npz":
        with path.open("wb") as raw:
            np.savez_compressed(raw, **arrays)
    elif format == "npy":
        with path.open("wb") as raw:
            np.save(raw, next(iter(arrays.values())))
    return path
