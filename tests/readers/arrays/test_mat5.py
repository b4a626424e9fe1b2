"""The MATLAB 5 parser: numbers of every type against scipy, and files of MATLAB itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.arrays import normal
from scipy.io import loadmat, savemat

from foundation.readers.arrays import containers


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8", "c8", "c16", "?"])
def test_matlab_5_numbers_of_every_type(tmp_path: Path, dtype: str, compress: bool) -> None:
    array = (normal(2, 3, 4, 5) * 50).astype(dtype) if dtype[0] == "c" else (normal(2, 3).real * 50).astype(dtype)
    savemat(tmp_path / "a.mat", {"text": "before", "H": array, "x": 3.0}, do_compression=compress)
    with containers.open_container(tmp_path / "a.mat") as container:
        assert list(container.keys) == ["text", "H", "x"]
        np.testing.assert_array_equal(container.array("H").whole(), array)
        assert container.array("x").whole().tolist() == [[3.0]]


@pytest.mark.real
def test_matlab_5_files_of_matlab_itself(data_root: Path) -> None:
    files = sorted((data_root / "captures" / "matlab_reference").glob("*/*.mat"))
    compared = 0
    for file in files:
        wanted = loadmat(file)
        with containers.open_container(file) as container:
            assert set(container.keys) == {key for key in wanted if not key.startswith("__")}
            for key in container.keys:
                if wanted[key].dtype.kind in "iufc":
                    np.testing.assert_array_equal(container.array(key).whole(), wanted[key])
                    compared += 1
    assert compared > 0
