"""Real captures of every format with records, cut anywhere or filled with zeros: the whole records and a warning."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from helpers.files import written
from helpers.intel5300 import intel_record, random_csi

from foundation import readers
from foundation.errors import ReadError
from foundation.readers.wifi.records import ends_in_zeros, leave_out_incomplete

REAL = [
    "intel5300/sample_0x1_ap.dat",
    "atheros/ath_csi_1.dat",
    "nexmon/example_43455c0.pcap",
    "feitcsi/HT20_2452.csi",
    "picoscenes/rx_by_qca9300.csi",
    "picoscenes/rx_by_usrpN210.csi",
    "esp32/example_fast_100hz_pitraffic.csv",
]


def packets_of(path: Path) -> tuple[int, str]:
    """Number of packets in all signals, and the warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        signals = readers.read(path)
    return sum(len(signal.time_s) for signal in signals), " ".join(str(each.message) for each in caught)


@pytest.mark.real
@pytest.mark.parametrize("name", REAL)
def test_a_real_capture_cut_anywhere(data_root: Path, tmp_path: Path, name: str) -> None:
    content = (data_root / "captures" / name).read_bytes()
    last = 0
    for size in sorted(np.random.default_rng(0).integers(len(content) // 4, len(content), 7)):
        count, text = packets_of(written(tmp_path / "a", content[:size]))
        assert count >= last and count > 0
        assert "left out" in text or "truncated" in text
        last = count


@pytest.mark.real
@pytest.mark.parametrize("name", REAL[:-1])
def test_zeros_after_the_last_record(data_root: Path, tmp_path: Path, name: str) -> None:
    content = (data_root / "captures" / name).read_bytes()
    whole = packets_of(data_root / "captures" / name)[0]
    for zeros in (1, 9, 400, 5000):
        count, text = packets_of(written(tmp_path / "a", content, bytes(zeros)))
        assert count == whole
        assert "left out" in text or name.startswith("nexmon")  # 16 zeros are an empty packet


def test_zeros_behind_records_are_told_from_other_content(tmp_path: Path) -> None:
    record = intel_record(random_csi(0), 7)
    with pytest.warns(UserWarning, match=f"its last 40 bytes, from byte {len(record)}, are zeros .* the 1 records"):
        assert len(readers.read(written(tmp_path / "a", record, bytes(40)))) == 1
    with pytest.raises(ReadError, match="record code 0x00"):
        readers.read(written(tmp_path / "a", record, bytes(40), b"x"))
    assert not ends_in_zeros(tmp_path, bytes(40), 0, whole=0)


def test_a_capture_without_a_whole_record_is_refused() -> None:
    with pytest.raises(ReadError, match="a: the frame at byte 0 should end at byte 9 but the file has 5 bytes: "):
        leave_out_incomplete(Path("a"), "the frame", 0, 9, 5, whole=0)
