"""Detection of the format by content, also among formats that share their first bytes, and the choice by name."""

from __future__ import annotations

import gzip
import pickle
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from helpers.decaranging import HEADER, frame
from helpers.deepmimo import rays
from helpers.ewine import row
from helpers.ewine import written as ewine_file
from helpers.files import written
from helpers.intel5300 import intel_record, random_csi
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
        with pytest.raises(
            ReadError, match=rf"{name}: contains arrays without a description; name the format 'arrays'"
        ):
            readers.read(tmp_path / name)
        signals = readers.read(tmp_path / name, "arrays", layout=tmp_path / "layout.yaml")
        np.testing.assert_array_equal(np.stack([signal.values[:, 0] for signal in signals]), field)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["H"] = field
    assert len(readers.read(tmp_path / "a.h5", "arrays", layout=str(tmp_path / "layout.yaml"))) == 2
    with pytest.raises(ReadError, match=r"a\.h5: key 'H' is not .* other HDF5 files need a layout"):
        readers.read(tmp_path / "a.h5")


def test_by_content_not_by_extension(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones((56, 9)))
    contents = {
        "intel5300": intel_record(random_csi(0), 7),
        "decaranging": gzip.compress((HEADER + frame(1.0, 5.0, np.ones(20))).encode()),
        "esp32_npy": (tmp_path / "a.npy").read_bytes(),
    }
    for name, content in contents.items():
        path = written(tmp_path / "capture.csv", content)
        assert readers.detect(path) == name
        assert len(readers.read(path)) == 1


@pytest.mark.parametrize("name", [*readers.READERS, *readers.HEADERLESS])
def test_every_format_has_a_module_with_both_functions(name: str) -> None:
    module = readers.reader_of(name)
    assert module.__doc__
    assert callable(module.read)
    assert not module.sniff(b"hello, this is nothing")
    assert not (name in readers.HEADERLESS and module.sniff(bytes(4096)))


def test_an_unknown_format_or_option_names_the_known(tmp_path: Path) -> None:
    path = written(tmp_path / "a.iq", np.ones(8, np.complex64).tobytes())
    (signal,) = readers.read(path, "raw_iq", datatype="cf32_le", sample_rate_hz=1e6)
    assert signal.kind == "iq"
    with pytest.raises(ReadError, match="no format 'rawiq'"):
        readers.read(path, "rawiq")
    with pytest.raises(ReadError, match="raw_iq has no option 'rate'; it takes datatype"):
        readers.read(path, "raw_iq", rate=1e6)


def test_payload_record_first(tmp_path: Path) -> None:
    payload = b"\x00\x20\xc1" + bytes(31)
    assert readers.detect(written(tmp_path / "a", payload, intel_record(random_csi(0), 7))) == "intel5300"


@pytest.mark.parametrize(
    "content", [b"\x00" * 50, b"a,b\n1,2\n" * 9, gzip.compress(b"hello", mtime=0), b"\x1f\x8b\x00", b"\xbb"]
)
def test_unknown_content_lists_the_formats(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(ReadError, match="unknown format") as caught:
        readers.read(written(tmp_path / "a.dat", content))
    assert all(name in str(caught.value) for name in readers.READERS)


def test_missing_and_directory(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="no such file"):
        readers.read(tmp_path / "none.dat")
    with pytest.raises(ReadError, match="is a directory"):
        readers.read(tmp_path)


@pytest.mark.real
@pytest.mark.parametrize("vendor", ["atheros", "esp32", "feitcsi", "intel5300", "nexmon", "picoscenes", "sigmf"])
def test_real_captures_are_recognised_by_their_own_reader_alone(data_root: Path, vendor: str) -> None:
    own = {"esp32": "esp32_csv"}.get(vendor, vendor)
    unknown = {"output.csv", "example.vita49", "LICENSE"}  # a table of decibels; another container
    for file in sorted((data_root / "captures" / vendor).iterdir()):
        if file.is_dir() or file.name in unknown or file.suffix == ".sigmf-data":
            continue
        head = file.read_bytes()[:4096]
        claimed = [n for n in readers.READERS if readers.reader_of(n).sniff(head)]
        assert claimed == [own], file.name
