"""UJIIndoorLoc: small tables of known scans, and malformed ones. The real tables are not available here."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.uji_indoorloc import HEADER, ROWS, written
from hypothesis import given
from hypothesis import strategies as st

from foundation.errors import ReadError
from foundation.readers.rssi import uji_indoorloc


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_scans(tmp_path: Path, end: str) -> None:
    quoted = ",".join(f'"{name}"' for name in HEADER.split(","))
    path = written(tmp_path, *ROWS, header=quoted, end=end)
    assert uji_indoorloc.sniff(path.read_bytes())
    with pytest.warns(UserWarning, match="dropped 1 of 3 scans that heard no access point, the first in line 3"):
        first, second = uji_indoorloc.read(path)
    assert (first.kind, first.is_real, first.values.shape) == ("rssi", True, (1, 3, 1))
    assert first.values[0, :, 0].tolist() == [0, -97, 0]
    assert first.mask[0, :, 0].tolist() == [False, True, True]
    assert [link.tx for link in first.links] == [0, 1, 2]
    assert first.labels == {"position": (-7541.2643, 4864920.7782), "floor": "2", "building": "1"}
    assert (first.session, first.device, first.subject) == ("trainingData-user-2-phone-23", "phone 23", "user 2")
    assert second.values[0, :, 0].tolist() == [-50, 0, -104]
    assert second.session == "trainingData-user-11-phone-8"


@pytest.mark.parametrize(
    ("rows", "header", "message"),
    [
        (ROWS, HEADER.replace("FLOOR", "STOREY"), "has no column FLOOR"),
        (ROWS, "a,b", "has no column BUILDINGID"),
        ([], HEADER, "has no whole row of 12 fields"),
        ([ROWS[0][:-30]], HEADER, "has no whole row of 12 fields"),
        ([ROWS[0].replace("-97", "loud")], HEADER, "line 2: has a field that is not a number"),
        ([ROWS[0].replace("-97", "#")], HEADER, "line 2: has a field that is not a number"),
        ([ROWS[0].replace("-97", "nan")], HEADER, "line 2: has a field that is empty or not finite"),
        (
            [ROWS[0], ROWS[2].replace("-104", "-1000")],
            HEADER,
            r"line 3: WAP003 is -1000; expected -150 to 0 dBm, or 100",
        ),
        ([ROWS[0].replace("-97", "7")], HEADER, "line 2: WAP002 is 7"),
        ([ROWS[1]], HEADER, "none of its 1 scans heard"),
    ],
)
def test_what_is_no_table_is_named(tmp_path: Path, rows: list[str], header: str, message: str) -> None:
    with pytest.raises(ReadError, match=message):
        uji_indoorloc.read(written(tmp_path, *rows, header=header))


def test_rows_that_are_cut_or_damaged_are_left_out(tmp_path: Path) -> None:
    rows = [ROWS[0], ROWS[0].replace("-97", "loud"), ROWS[2], ROWS[2][:-20]]
    path = written(tmp_path, *rows, header=HEADER)
    path.write_bytes(path.read_text().encode("utf-16"))
    assert uji_indoorloc.sniff(path.read_bytes()[:4096])
    with pytest.warns(UserWarning) as caught:
        assert len(uji_indoorloc.read(path)) == 2
    assert "left out 1 of 4 rows that do not have 12 whole fields, the first, line 5" in str(caught[0].message)
    assert "left out 1 of 3 rows with a field that is not a number, the first in line 3" in str(caught[1].message)


def test_detection(tmp_path: Path) -> None:
    assert not uji_indoorloc.sniff(b"WAP001;WAP002")
    (tmp_path / "a.csv").touch()
    with pytest.raises(ReadError, match="is empty"):
        uji_indoorloc.read(tmp_path / "a.csv")


@given(st.integers(0, 300), st.characters(max_codepoint=127))
def test_a_changed_character_never_crashes(tmp_path_factory: pytest.TempPathFactory, at: int, new: str) -> None:
    text = "\n".join([HEADER, ROWS[0], ROWS[2], ""])
    at %= len(text)
    path = tmp_path_factory.mktemp("uji") / "a.csv"
    path.write_bytes((text[:at] + new + text[at + 1 :]).encode())
    try:
        signals = uji_indoorloc.read(path)
    except ReadError:
        return
    assert 1 <= len(signals) <= 3
