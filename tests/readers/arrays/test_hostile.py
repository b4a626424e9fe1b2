"""Damaged and hostile array files: nothing is built, allocated or followed, and the error says what is wrong."""

from __future__ import annotations

import io
import os
import re
import struct
import tracemalloc
import warnings
import zipfile
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest
from helpers.arrays import FORMATS, PROCESS, layout, normal, write_any
from scipy.io import savemat

from foundation.errors import ReadError
from foundation.readers.arrays.reader import read


@pytest.mark.parametrize(
    "content", [b"", b"text\n1,2\n", b"PK\x03\x04", b"\x89HDF\r\n\x1a\n" + bytes(99), b"\x93NUMPY"]
)
def test_what_is_no_container(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(ReadError, match=r"is empty|is not an array file|is truncated or damaged"):
        read(tmp_path / "a", layout())


@pytest.mark.parametrize("kind", ["cell array", "structure", "character array", "sparse array"])
def test_matlab_objects_are_not_built(tmp_path: Path, kind: str) -> None:
    from scipy.sparse import csc_matrix

    cell = np.empty(2, object)
    cell[:] = [np.ones(2), "x"]
    values = {
        "cell array": cell,
        "structure": {"a": 1},
        "character array": "text",
        "sparse array": csc_matrix(np.eye(3)),
    }
    savemat(tmp_path / "a.mat", {"H": values[kind]})
    with pytest.raises(ReadError, match=f"H is a MATLAB {kind}; expected numbers"):
        read(tmp_path / "a.mat", layout())


def test_pickled_npy_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([{"a": 1}]), allow_pickle=True)
    with pytest.raises(ReadError, match="holds object entries; expected numbers, objects are never read"):
        read(tmp_path / "a.npy", layout(keys={"complex": "array"}))


@pytest.mark.parametrize("format", ["npy", "npz"])
def test_a_header_that_claims_too_much_allocates_nothing(tmp_path: Path, format: str) -> None:
    short = "less than one row of the array of 1600 bytes" if format == "npy" else "expected 4800 for shape"
    for shape, message in (((10**6, 10**6, 10**3), "claims shape"), ((3, 4, 50), short)):
        raw = io.BytesIO()
        np.lib.format.write_array_header_1_0(raw, {"descr": "<c8", "fortran_order": False, "shape": shape})
        raw.write(bytes(64))
        path = tmp_path / f"a.{format}"
        if format == "npy":
            path.write_bytes(raw.getvalue())
        else:
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr("array.npy", raw.getvalue())
        with pytest.raises(ReadError, match=message):
            read(path, layout(keys={"complex": "array"}))


def test_a_header_that_claims_to_be_long_allocates_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    path.write_bytes(b"\x93NUMPY\x02\x00" + struct.pack("<I", 1 << 30) + b"{'descr': '<c8'," + bytes(99))
    tracemalloc.start()
    try:
        with pytest.raises(ReadError, match=r"a\.npy: is truncated or damaged"):
            read(path, layout(keys={"complex": "array"}))
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_hdf5_that_claims_too_much_allocates_nothing(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a", "w") as file:
        file.create_dataset("H", (10**6, 10**4, 10**3), "c8", chunks=(1, 100, 100))
    with pytest.raises(ReadError, match=r"H claims shape \(1000000, 10000, 1000\)"):
        read(tmp_path / "a", layout())


def test_hdf5_that_is_damaged_within_says_how(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a", "w") as file:
        data = file.create_dataset("H", data=normal(3, 4, 5), chunks=(3, 4, 5), compression="gzip")
        at = data.id.get_chunk_info(0).byte_offset
    changed = bytearray((tmp_path / "a").read_bytes())
    changed[at : at + 8] = bytes(8)
    (tmp_path / "a").write_bytes(changed)
    with pytest.raises(ReadError, match=r"a: is truncated or damaged \(.*(filter|inflate)"):
        read(tmp_path / "a", layout())


def test_hdf5_does_not_lead_to_other_files(tmp_path: Path) -> None:
    write_any(tmp_path / "secret.h5", "h5", {"H": normal(3, 4, 5)})
    (tmp_path / "secret.bin").write_bytes(normal(3, 4, 5).tobytes())
    virtual = h5py.VirtualLayout((3, 4, 5), "c8")
    virtual[:] = h5py.VirtualSource(str(tmp_path / "secret.h5"), "H", (3, 4, 5))
    with h5py.File(tmp_path / "a", "w") as file:
        file["link"] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "H")
        file.create_dataset("raw", (3, 4, 5), "c8", external=[(str(tmp_path / "secret.bin"), 0, 480)])
        file.create_virtual_dataset("virtual", virtual)
    for key in ("link", "raw", "virtual"):
        with pytest.raises(ReadError, match=f"{key} points to another file, which is not followed"):
            read(tmp_path / "a", layout(keys={"complex": key}))


@pytest.mark.parametrize("format", [*FORMATS, "npy"])
def test_cut_files_are_named(tmp_path: Path, format: str) -> None:
    path = tmp_path / "whole"
    write_any(path, format, {"H": normal(4, 5, 6)})
    data = path.read_bytes()
    given = layout(keys={"complex": "array" if format == "npy" else "H"})
    assert len(read(path, given)) == 4
    cuts = 6 if format in PROCESS else 60
    for size in [*range(0, len(data) - 1, max(1, len(data) // cuts)), len(data) - 1]:
        (tmp_path / "cut").write_bytes(data[:size])
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                found = len(read(tmp_path / "cut", given))
            except ReadError as error:
                assert re.search(r"cut: (is|has|the MATLAB element|there is no key)", str(error))
                continue
        assert format == "npy", "rows are written one after the other, and those that are there are read"
        assert f"claims 4 rows, of which {found} are there" in str(caught[-1].message)


def test_of_a_cut_matlab_file_the_whole_variables_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_any(path, "mat5", {"H": normal(4, 5, 6), "other": np.ones((9, 9))})
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.warns(UserWarning, match=r"cut or damaged at the MATLAB element at .*; the 1 variables before"):
        assert len(read(path, layout())) == 4


def test_bytes_after_an_array_are_left_out(tmp_path: Path) -> None:
    path = write_any(tmp_path / "a", "npy", {"H": normal(4, 5, 6)})
    path.write_bytes(path.read_bytes() + b"more")
    with pytest.warns(UserWarning, match="4 bytes after the array of shape .* are left out"):
        assert len(read(path, layout(keys={"complex": "array"}))) == 4


def test_zeros_that_claim_gigabytes_are_refused(tmp_path: Path) -> None:
    size, path = 1 << 30, tmp_path / "bomb.mat"
    packer = zlib.compressobj(9)
    head = (
        struct.pack("<II", 14, size) + struct.pack("<IIII", 6, 8, 7, 0) + struct.pack("<IIiiI", 5, 8, size // 8, 1, 0)
    )
    parts = [packer.compress(head), *(packer.compress(bytes(1 << 20)) for _ in range(64)), packer.flush()]
    content = b"".join(parts)
    path.write_bytes(bytes(124) + b"\x00\x01IM" + struct.pack("<II", 15, len(content)) + content)
    tracemalloc.start()
    try:
        with pytest.raises(ReadError, match="compressed bytes claim to be 1073741824"):
            read(path, layout())
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", ["fifo", "device"])
def test_pipes_and_devices_are_named_and_not_opened(tmp_path: Path, kind: str) -> None:
    path = Path("/dev/zero")
    if kind == "fifo":
        path = tmp_path / "pipe"
        os.mkfifo(path)
    with pytest.raises(ReadError, match="is a pipe, device or socket; expected a file"):
        read(path, layout())
    with pytest.raises(ReadError, match="is not the name of a file"):
        read(tmp_path / "a\0b", layout())


@pytest.mark.parametrize("format", [*FORMATS, "npy"])
def test_flipped_bytes_give_signals_or_a_clear_error(tmp_path: Path, format: str) -> None:
    path = tmp_path / "whole"
    write_any(path, format, {"H": normal(2, 2, 2)})
    data, refused = path.read_bytes(), 0
    given = layout(keys={"complex": "array" if format == "npy" else "H"})
    rng = np.random.default_rng(0)
    for _ in range(20 if format in PROCESS else 200):
        changed = bytearray(data)
        for at in rng.integers(len(data), size=3):
            changed[at] = int(rng.integers(256))
        (tmp_path / "a").write_bytes(changed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                for signal in read(tmp_path / "a", given):
                    assert np.isfinite(signal.values).all()
            except ReadError:
                refused += 1
    assert refused > 2
