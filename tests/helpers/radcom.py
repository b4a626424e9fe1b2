"""Files of RadCom: one HDF5 dataset per example."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

KEYS = [("AM-DSB", "AM radio", "-20", "0"), ("BPSK", "SATCOM", "18", "699"), ("PULSED", "Air-Ground-MTI", "-2", "3")]


def written(path: Path, examples: dict[str, np.ndarray]) -> Path:
    with h5py.File(path, "w") as file:
        for key, values in examples.items():
            file[key] = values
    return path
