"""Formats of arrays and of IQ are told by their content, before the formats that share their first bytes."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from helpers.deepmimo import rays
from helpers.ewine import row
from helpers.ewine import written as ewine_file
from helpers.powder import recording
from helpers.radcom import KEYS
from helpers.radcom import written as radcom_file
from scipy.io import savemat

from foundation import readers
from foundation.errors import ReadError

LAYOUT = """
about: a test
keys: {complex: H}
axes: [sample, time, response]
kind: channel
spacing_hz: 15000
interval_s: 0.001
"""


def deepmimo_file(folder: Path) -> Path:
    np.savez(folder / "a", **rays())
    return folder / "a.npz"


def pickle_file(folder: Path) -> Path:
    (folder / "a").write_bytes(pickle.dumps({("BPSK", 2): np.ones((1, 2, 128), np.float32)}, 2))
    return folder / "a"


@pytest.mark.filterwarnings("ignore:.*left out:UserWarning")
@pytest.mark.parametrize(
    ("name", "write", "count"),
    [
        ("ewine", lambda folder: ewine_file(folder / "a.txt", row(0)), 1),
        ("powder", lambda folder: recording(folder, np.ones(9)), 1),
        ("deepmimo", deepmimo_file, 2),
        ("rml_pickle", pickle_file, 1),
        ("radcom", lambda folder: radcom_file(folder / "a", {str(KEYS[0]): np.ones(256)}), 1),
    ],
)
def test_formats_are_detected(tmp_path: Path, name: str, write: Callable[[Path], Path], count: int) -> None:
    path = write(tmp_path)
    assert readers.detect(path) == name
    assert len(readers.read(path)) == count


def test_arrays_are_read_with_a_layout_and_not_without(tmp_path: Path) -> None:
    (tmp_path / "layout.yaml").write_text(LAYOUT)
    field = np.arange(24).reshape(2, 3, 4) * (1 + 1j)
    savemat(tmp_path / "a.mat", {"H": field})
    np.savez(tmp_path / "a.npz", H=field)
    for name in ("a.mat", "a.npz"):
        with pytest.raises(ReadError, match=rf"{name}: holds arrays but not what they mean; name the format 'arrays'"):
            readers.read(tmp_path / name)
        signals = readers.read(tmp_path / name, "arrays", layout=tmp_path / "layout.yaml")
        np.testing.assert_array_equal(np.stack([signal.values[:, 0] for signal in signals]), field)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["H"] = field
    assert len(readers.read(tmp_path / "a.h5", "arrays", layout=str(tmp_path / "layout.yaml"))) == 2
    with pytest.raises(ReadError, match=r"a\.h5: key 'H' is not .* other HDF5 files need a layout"):
        readers.read(tmp_path / "a.h5")
