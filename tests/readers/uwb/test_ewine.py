"""eWINE CSV files: as published, and malformed files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.ewine import HEADER, row, written

from foundation.errors import ReadError
from foundation.readers.uwb import ewine


def test_published_layout(tmp_path: Path) -> None:
    rows = [row(0), row(1, NLOS=0, FP_IDX=745, RXPACC=118, CH=2)]
    path = written(tmp_path / "uwb_dataset_part1.csv", *rows)
    assert ewine.sniff(path.read_bytes()[:4096])
    signals = ewine.read(path)
    assert [signal.labels for signal in signals] == [
        {"visibility": "NLOS", "range": 6.18},
        {"visibility": "LOS", "range": 6.18},
    ]
    for signal, values, first_path, symbols in zip(signals, rows, (749, 745), (1024, 118), strict=True):
        np.testing.assert_allclose(signal.values[0, 0], values[15:] / symbols, rtol=1e-6)
        assert signal.delay_s is not None
        assert signal.delay_s[first_path] == 0
        np.testing.assert_allclose(np.diff(signal.delay_s), 1 / (2 * 499.2e6), rtol=1e-9)
    assert (signal.kind, signal.is_real, signal.carrier_hz, signal.bandwidth_hz) == ("cir", True, 3993.6e6, 499.2e6)


def test_rows_that_measured_nothing_are_left_out(tmp_path: Path) -> None:
    bad = [
        row(0, RXPACC=0),
        row(1, FP_IDX=1016),
        row(2, CH=6),
        row(3, NLOS=2),
        row(4, FP_IDX=np.nan),
        row(5, RANGE=np.inf),
    ]
    path = written(tmp_path / "a.csv", row(9), *bad, row(8))
    with pytest.warns(UserWarning, match="left out 6 of 8 rows, the first in line 3"):
        assert len(ewine.read(path)) == 2
    with pytest.raises(ReadError, match="none of its 6 rows"):
        ewine.read(written(tmp_path / "b.csv", *bad))


def test_other_files_are_named(tmp_path: Path) -> None:
    for header in (
        "a,b",
        HEADER + ",CIR1016",
        HEADER.replace("RXPACC", "RX_PACC"),
        HEADER[:500],
        "NLOS,RANGE,FP_IDX,\xff",
    ):
        with pytest.raises(
            ReadError, match=r"the first line has \d+ columns.*expected 15 from NLOS to PRFR and 1016 taps"
        ):
            ewine.read(written(tmp_path / "a.csv", row(0), header=header))
    with pytest.raises(ReadError, match="is empty"):
        (tmp_path / "a.csv").write_bytes(b"")
        ewine.read(tmp_path / "a.csv")
    with pytest.raises(ReadError, match="has no whole row of 1031 fields"):
        ewine.read(written(tmp_path / "a.csv"))
    with pytest.raises(ReadError, match="has no whole row of 1031 fields"):
        ewine.read(written(tmp_path / "a.csv", row(0)[:-1]))


def test_cut_and_changed_files(tmp_path: Path) -> None:
    data = written(tmp_path / "a.csv", row(0), row(1)).read_bytes()
    start = data.index(b"\n") + 1
    second = data.index(b"\n", start) + 1
    for size in range(second + 2, len(data) - 8, 37):
        (tmp_path / "b.csv").write_bytes(data[:size])
        with pytest.warns(UserWarning, match="left out 1 of 2 rows .*, the last, which does not end"):
            assert len(ewine.read(tmp_path / "b.csv")) == 1
    for at, value in ((start + 3, b"x"), (second + 20, b"\x00"), (second + 30, b"\xff")):
        (tmp_path / "b.csv").write_bytes(data[:at] + value + data[at + 1 :])
        with pytest.warns(UserWarning, match=r"b\.csv: left out 1 of 2 rows"):
            assert len(ewine.read(tmp_path / "b.csv")) == 1
