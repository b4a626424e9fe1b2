"""POWDER recordings: as published, and malformed files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.powder import ABOUT, recording
from hypothesis import given, settings
from hypothesis import strategies as st

from foundation.errors import ReadError
from foundation.readers.iq import powder


@pytest.mark.parametrize("suffix", [".json", ".bin"])
def test_published_layout(tmp_path: Path, suffix: str) -> None:
    parts = np.random.default_rng(0).normal(size=(2, 1000))
    samples = (parts[0] + 1j * parts[1]).astype(np.complex64)
    samples[7] = np.nan
    path = recording(tmp_path, samples)
    assert powder.sniff(path.read_bytes()[:4096])
    signal = powder.read(path.with_suffix(suffix))
    kept = np.arange(1000) != 7
    np.testing.assert_array_equal(signal.values[kept, 0, 0], samples[kept])
    np.testing.assert_array_equal(signal.mask[:, 0, 0], kept)
    assert (signal.kind, signal.carrier_hz, signal.bandwidth_hz) == ("iq", 2.685e9, 7.69e6)
    assert (signal.labels, signal.session, signal.device) == ({"transmitter": "meb"}, "4G_meb_1", "X310")
    assert signal.time_s[-1] == pytest.approx(999 / 7.69e6)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
def test_descriptions_that_windows_wrote(tmp_path: Path, encoding: str) -> None:
    path = recording(tmp_path, np.ones(9))
    path.write_text(path.read_text().replace("MEB", "\\ud83d"), encoding)
    assert powder.sniff(path.read_bytes()[:4096])
    assert powder.read(path).labels == {"transmitter": "?"}  # half a surrogate pair


def test_numbers_as_text(tmp_path: Path) -> None:
    about = ABOUT | {"global": {"core:datatype": "CF32", "core:sample_rate": "5e6"}}
    assert powder.read(recording(tmp_path, np.ones(9), about)).bandwidth_hz == 5e6


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"global": {"core:datatype": "ci16", "core:sample_rate": 1}}, "core:datatype is 'ci16'; expected cf32"),
        ({"global": {}}, "core:datatype is 'none'"),
        ({"global": {"core:datatype": "cf32"}}, "global.core:sample_rate is 'None'; expected hertz"),
        ({"global": {"core:datatype": "cf32", "core:sample_rate": 0}}, "core:sample_rate is '0'"),
        ({"captures": [{"core:center_frequency": 1e9}]}, "captures.core:center_frequency is 'None'"),
        ({"captures": {"core:center_frequency": "high"}}, "core:center_frequency is 'high'"),
    ],
)
def test_descriptions_that_lack_something(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ReadError, match=rf"4G_meb_1\.json: .*{message}"):
        powder.read(recording(tmp_path, np.ones(9), ABOUT | changes))


def test_damaged_files(tmp_path: Path) -> None:
    path = recording(tmp_path, np.full(4, np.nan))
    with pytest.raises(ReadError, match="none of its 4 samples is finite"):
        powder.read(path)
    path.with_suffix(".bin").write_bytes(bytes(41))
    with pytest.warns(UserWarning, match="incomplete, 1 of 8 bytes, and is left out; 5 are whole"):
        assert len(powder.read(path).time_s) == 5
    path.with_suffix(".bin").write_bytes(bytes(7))
    with pytest.raises(ReadError, match="has 7 bytes, less than one sample"):
        powder.read(path)
    path.with_suffix(".bin").unlink()
    with pytest.raises(ReadError, match=r"4G_meb_1\.bin: there is no such file"):
        powder.read(path)
    for content in ("{", "[" * 100_000, "[1]", '"text"', "null"):
        path.write_text(content)
        with pytest.raises(ReadError, match=r"is not JSON|core:datatype is 'none'"):
            powder.read(path)


@settings(max_examples=200, deadline=None)
@given(
    about=st.recursive(
        st.none() | st.text() | st.floats(), lambda x: st.dictionaries(st.sampled_from(sorted(ABOUT)), x)
    )
)
def test_any_description_gives_a_signal_or_an_error(tmp_path_factory: pytest.TempPathFactory, about: Any) -> None:
    path = recording(tmp_path_factory.mktemp("any"), np.ones(3), about)
    with pytest.raises(ReadError):  # none of them can have a data type
        powder.read(path)
