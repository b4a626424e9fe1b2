"""Raw interleaved samples: every data type against the standard library's `struct`, and files that are not samples."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from foundation.errors import ReadError
from foundation.readers.iq import raw_iq
from foundation.readers.iq.baseband import DATATYPES
from foundation.signal import encode

#: `struct` letter, numbers to store, and what they must read as (integers against full scale).
COMPONENTS = {
    "f32": ("f", (0.5, -2.0, 3.25, 1e-3), (0.5, -2.0, 3.25, 1e-3)),
    "f64": ("d", (0.5, -2.0, 3.25, 1e-3), (0.5, -2.0, 3.25, 1e-3)),
    "i32": ("i", (-(2**31), 2**30, 0, 2**24), (-1.0, 0.5, 0.0, 2**-7)),
    "u32": ("I", (0, 3 * 2**30, 2**31, 2**31 + 2**24), (-1.0, 0.5, 0.0, 2**-7)),
    "i16": ("h", (-32768, 16384, 0, 1), (-1.0, 0.5, 0.0, 2**-15)),
    "u16": ("H", (0, 49152, 32768, 32769), (-1.0, 0.5, 0.0, 2**-15)),
    "i8": ("b", (-128, 64, 0, 1), (-1.0, 0.5, 0.0, 2**-7)),
    "u8": ("B", (0, 192, 128, 129), (-1.0, 0.5, 0.0, 2**-7)),
}


def test_the_table_holds_every_type_of_the_standard() -> None:
    assert len(DATATYPES) == 2 * (6 * 2 + 2)


@pytest.mark.parametrize("name", sorted(DATATYPES))
def test_every_type_reads_as_the_numbers_that_were_stored(tmp_path: Path, name: str) -> None:
    letter, stored, wanted = COMPONENTS[name[1:].partition("_")[0]]
    (tmp_path / "a.iq").write_bytes(struct.pack((">" if name.endswith("be") else "<") + 4 * letter, *stored))
    signal = raw_iq.read(tmp_path / "a.iq", datatype=name, sample_rate_hz=1e6, carrier_hz=2.4e9)
    values = np.array(wanted)
    if name.startswith("c"):
        values = values[0::2] + 1j * values[1::2]
    np.testing.assert_allclose(signal.values[:, 0, 0], values, rtol=1e-7)
    assert signal.is_real == name.startswith("r")
    assert (signal.kind, signal.carrier_hz, signal.session) == ("iq", 2.4e9, "a")
    assert signal.bandwidth_hz == (5e5 if signal.is_real else 1e6)
    np.testing.assert_array_equal(signal.time_s, np.arange(len(values)) * 1e-6)


def test_numpy_complex64_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    samples = (rng.normal(size=5000) + 1j * rng.normal(size=5000)).astype(np.complex64)
    samples.tofile(tmp_path / "a.cfile")
    signal = raw_iq.read(tmp_path / "a.cfile", datatype="cf32_le", sample_rate_hz=2.4e6)
    np.testing.assert_array_equal(signal.values[:, 0, 0], samples)
    assert len(encode(signal)["meta.json"]) < 1000  # an axis of uneven steps would be written out, sample by sample


def test_what_is_not_finite_is_invalid(tmp_path: Path) -> None:
    samples = np.array([1, complex(np.nan, 0), 3, complex(0, np.inf), 5j], np.complex64)
    samples.tofile(tmp_path / "a.iq")
    with pytest.warns(UserWarning, match="2 of 5 samples are not finite .* the first at index 1"):
        signal = raw_iq.read(tmp_path / "a.iq", datatype="cf32_le", sample_rate_hz=1.0)
    assert signal.mask[:, 0, 0].tolist() == [True, False, True, False, True]
    assert signal.values[:, 0, 0].tolist() == [1, 0, 3, 0, 5j]


def test_a_double_beyond_single_precision_is_invalid(tmp_path: Path) -> None:
    np.array([1.0, 2.0, 1e300, 0.0]).tofile(tmp_path / "a.iq")
    with pytest.warns(UserWarning, match="1 of 2 samples"):
        signal = raw_iq.read(tmp_path / "a.iq", datatype="cf64_le", sample_rate_hz=1.0)
    assert signal.mask[:, 0, 0].tolist() == [True, False]


@pytest.mark.parametrize(
    ("content", "datatype", "rate", "message"),
    [
        (b"", "cu8", 1.0, "is empty"),
        (b"abcdefg", "cf32_le", 1.0, "has 7 bytes, less than one sample of 8 bytes"),
        (b"abcd", "int16", 1.0, r"unknown datatype 'int16'; expected one of cf32_be, .* ru8"),
        (b"abcd", "cf32_xe", 1.0, "unknown datatype 'cf32_xe'"),
        (b"abcd", "cf8", 1.0, "unknown datatype 'cf8'"),
        (b"abcd", "cu8", 0.0, "sample rate is 0.0"),
        (b"abcd", "cu8", float("nan"), "sample rate is nan"),
        (b"\xff" * 16, "cf32_le", 1.0, "none of 2 samples is a finite number; check the datatype"),
    ],
)
def test_what_is_not_samples_is_named(tmp_path: Path, content: bytes, datatype: str, rate: float, message: str) -> None:
    (tmp_path / "a.iq").write_bytes(content)
    with pytest.raises(ReadError, match=message):
        raw_iq.read(tmp_path / "a.iq", datatype=datatype, sample_rate_hz=rate)


def test_an_incomplete_last_sample_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.iq").write_bytes(bytes(8 * 3 + 5))
    with pytest.warns(UserWarning, match=r"a\.iq: the last sample is incomplete, 5 of 8 bytes, .* 3 are whole"):
        assert len(raw_iq.read(tmp_path / "a.iq", datatype="cf32_le", sample_rate_hz=1.0).time_s) == 3


def test_a_type_without_byte_order_is_little_endian(tmp_path: Path) -> None:
    np.array([1 + 2j], "<c8").tofile(tmp_path / "a.iq")
    with pytest.warns(UserWarning, match="'cf32' has no byte order; read as little-endian"):
        assert raw_iq.read(tmp_path / "a.iq", datatype="cf32", sample_rate_hz=1.0).values[0, 0, 0] == 1 + 2j


def test_missing_file_and_detection(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="no such file"):
        raw_iq.read(tmp_path / "none.iq", datatype="cu8", sample_rate_hz=1.0)
    assert not raw_iq.sniff(bytes(100))
