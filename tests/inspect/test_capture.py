"""Summaries of captures, tested on files with known content."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from helpers.intel5300 import intel_record, random_csi
from rich.console import Console

from foundation.errors import ReadError
from foundation.inspect.capture import inspect, print_summary

KEYS = {
    "format", "signals", "frames", "shape", "kind", "carrier_hz", "bandwidth_hz", "interval_s", "duration_s", "gaps",
    "loss", "valid_fraction", "is_real", "warnings",
}  # fmt: skip


def capture(path: Path, clocks: list[int]) -> Path:
    path.write_bytes(b"".join(intel_record(random_csi(i, tx=2), clock) for i, clock in enumerate(clocks)))
    return path


def test_counts_gaps_and_missing_packets(tmp_path: Path) -> None:
    sent = [10_000 * i for i in range(40) if i not in (7, 20, 21, 22)]
    report = inspect(capture(tmp_path / "a.dat", sent))
    assert set(report) == KEYS
    assert json.loads(json.dumps(report)) == report
    assert (report["format"], report["kind"], report["is_real"]) == ("intel5300", "csi", False)
    assert (report["frames"], report["shape"], report["signals"]) == (36, [36, 6, 30], 1)
    assert report["gaps"] == 2
    assert report["loss"] == pytest.approx(4 / 40)
    assert report["interval_s"] == pytest.approx(0.01)
    assert report["duration_s"] == pytest.approx(0.39)
    assert (report["carrier_hz"], report["bandwidth_hz"], report["valid_fraction"]) == (0, 20e6, 1)
    assert report["warnings"] == []


def test_bursts_have_no_loss(tmp_path: Path) -> None:
    bursts = [500_000 * i + 500 * j for i in range(10) for j in (0, 1, 5)]
    report = inspect(capture(tmp_path / "a.dat", bursts))
    assert report["loss"] is None
    assert report["gaps"] > 0


def test_one_packet_has_no_interval(tmp_path: Path) -> None:
    report = inspect(capture(tmp_path / "a.dat", [5]))
    assert (report["frames"], report["interval_s"], report["duration_s"], report["loss"]) == (1, 0, 0, None)


def test_windows_and_warnings(tmp_path: Path) -> None:
    array = np.full((3, 56, 50), 7.0)
    array[0, 0, :28] = 0
    np.save(tmp_path / "a.npy", array)
    report = inspect(tmp_path / "a.npy")
    assert (report["signals"], report["frames"], report["shape"]) == (3, 150, [50, 1, 56])
    assert report["is_real"]
    assert report["duration_s"] == pytest.approx(3 * 0.49)
    assert report["valid_fraction"] == pytest.approx(1 - 28 / array.size)
    assert len(report["warnings"]) == 1
    assert "28 of 8400" in report["warnings"][0]


def test_summary_says_it_in_words(tmp_path: Path) -> None:
    text = io.StringIO()
    report = inspect(capture(tmp_path / "a.dat", [0, 10_000, 20_000, 20_000]))
    print_summary(report, Console(file=text, width=200))
    for part in (
        "intel5300",
        "4 times x 6 links x 30 responses",
        "not in the file",
        "20.000 MHz",
        "warning: ",
        "packet 3",
    ):
        assert part in text.getvalue()


def test_not_a_capture(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="is a directory"):
        inspect(tmp_path)


@pytest.mark.real
def test_real_regular_recording(data_root: Path) -> None:
    report = inspect(data_root / "captures/intel5300/sample_0x5_64_3000.dat")
    assert (report["frames"], report["shape"]) == (2998, [2998, 3, 30])
    assert report["interval_s"] == pytest.approx(1e-3, rel=0.01)
    assert report["loss"] < 0.02
