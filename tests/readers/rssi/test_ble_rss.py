"""BLE RSSI tables: small ones with known numbers, malformed ones, and the real ones against the csv module."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.errors import ReadError
from foundation.readers.rssi import ble_rss

POINTS = (
    ",ts,x,heading,y,rssi_1,rssi_4\n0,1.627997452e+18,4.5,0.1,3.25,-54.0,-56.5\n5,1.627997453e+18,4.0,,3.0,,\n"
    "7,1.627997454e+18,1.0,-2,2.0,,-64\n"
)
WALK = ",ts,rssi_1,rssi_4\n0,1.628e+18,-54.0,\n1,1.6280000005e+18,,-60\n"
ANCHORS = "id,x,y,z\n4,1,2,3\n1,0.5,0,2.5\n"


def written(folder: Path, content: str, name: str = "a_df.csv") -> Path:
    (folder / name).write_bytes(content.encode())
    return folder / name


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_points_with_positions(tmp_path: Path, end: str) -> None:
    path = written(tmp_path, POINTS.replace("\n", end))
    assert ble_rss.sniff(path.read_bytes())
    with pytest.warns(UserWarning, match="dropped 1 of 3 rows without any RSSI"):
        first, second = ble_rss.read(path, anchors=written(tmp_path, ANCHORS, "anchors.csv"))
    assert (first.kind, first.is_real, first.session, first.values.shape) == ("rssi", True, "a_df-0", (1, 2, 1))
    assert first.values[0, :, 0].tolist() == [-54, -56.5]
    assert first.labels == {"position": (4.5, 3.25), "heading": 0.1}
    assert second.labels == {"position": (1, 2), "heading": -2}
    assert second.mask[0, :, 0].tolist() == [False, True]
    assert [(link.rx, link.rx_position_m) for link in first.links] == [(0, (0.5, 0, 2.5)), (1, (1, 2, 3))]


def test_a_point_holds_the_instants_around_it_of_its_own_drive(tmp_path: Path) -> None:
    rows = [  # a second apart, the third late, the last one in another drive
        "0,1000000000,0,0,0,-50,-70",
        "1,2000000000,1,0,0,-51,",
        "2,4100000000,3,0,0,-53,-73",
        "3,99000000000,9,0,0,-59,-79",
    ]
    table = written(tmp_path, ",ts,x,heading,y,rssi_1,rssi_4\n" + "\n".join(rows) + "\n")
    first, second, third, last = ble_rss.read(table, around=2)
    assert [signal.session for signal in (first, second, third, last)] == ["a_df-0"] * 3 + ["a_df-1"]
    np.testing.assert_allclose(second.time_s, 1.55 * np.array([-2, -1, 0, 1]))
    assert second.values[:, 0, 0].real.tolist() == [0, -50, -51, -53]
    assert second.mask[:, :, 0].tolist() == [[False, False], [True, True], [True, False], [True, True]]
    assert last.mask[:, 0, 0].tolist() == [False, False, True, False]
    assert first.values[:, 0, 0].real.tolist() == [0, 0, -50, -51]
    assert third.labels["position"] == (3, 0)


def test_a_walk_is_one_signal(tmp_path: Path) -> None:
    (signal,) = ble_rss.read(written(tmp_path, WALK))
    np.testing.assert_allclose(signal.time_s, [0, 0.5])
    assert signal.mask[:, :, 0].tolist() == [[True, False], [False, True]]
    assert signal.links[0].rx_position_m is None
    assert not signal.labels


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("id,x,y,z\n1,2,3,4\n", "the first line is not"),
        (",ts,rssi_1\n", "has no whole row"),
        (WALK.replace("-60", "inf"), "line 3: .* rssi_4 inf; expected finite numbers"),
        (WALK.replace("-60", "-1000"), "line 3: .* rssi_4 -1000; expected finite numbers, for an RSSI from -150 to 20"),
        (WALK.replace("-60", "").replace("-54.0", ""), "none of its 2 rows"),
        (WALK.replace("1.6280000005", "1.6"), "ts does not increase"),
        (WALK.replace("1.6280000005e+18", ""), "ts does not increase"),
        (POINTS.replace("4.0,,3.0,,\n", "4.0,,3.0,-50,\n"), "has an RSSI but no x or no y or no heading"),
    ],
)
def test_what_is_no_table_is_named(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(ReadError, match=message), np.errstate(all="raise"):
        ble_rss.read(written(tmp_path, content))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (WALK[:-2], "left out 1 of 2 rows that do not have 4 whole fields, the last, which does not end"),
        (WALK.replace(",-60", ""), "left out 1 of 2 rows that do not have 4 whole fields, the first, line 3"),
        (WALK.replace("-60", "loud"), "left out 1 of 2 rows with a field that is not a number, the first in line 3"),
        (WALK.replace("-60", "nan"), "dropped 1 of 2 rows without any RSSI"),
    ],
)
def test_a_row_that_is_not_whole_is_left_out(tmp_path: Path, content: str, message: str) -> None:
    with pytest.warns(UserWarning, match=message):
        (walk,) = ble_rss.read(written(tmp_path, content))
    assert walk.values[:, 0, 0].tolist() == [-54]


def test_columns_in_any_order_and_others_between(tmp_path: Path) -> None:
    table = written(tmp_path, "rssi_4,note,ts,rssi_1\n-60,1,1.628e18,-54\n,2,1.629e18,-55\n")
    table.write_bytes(b"\xef\xbb\xbf" + table.read_bytes())
    assert ble_rss.sniff(table.read_bytes())
    (walk,) = ble_rss.read(table)
    assert walk.values[0, :, 0].tolist() == [-60, -54]


@pytest.mark.parametrize(
    ("anchors", "message"),
    [
        (ANCHORS.replace("4,", "5,"), "has no anchor 4, which the table's rssi_4 needs"),
        (ANCHORS.replace("id", "anchor"), "is not a table of anchors"),
        (ANCHORS.replace("2.5", "high"), "is not a table of anchors"),
        (ANCHORS.replace(",2.5", ""), "is not a table of anchors"),
        (ANCHORS.replace("2.5", "inf"), "position of an anchor is not finite"),
    ],
)
def test_wrong_anchors_are_named(tmp_path: Path, anchors: str, message: str) -> None:
    with pytest.raises(ReadError, match=message):
        ble_rss.read(written(tmp_path, WALK), anchors=written(tmp_path, anchors, "anchors.csv"))


@given(st.integers(0, len(WALK) - 1), st.characters(max_codepoint=255))
def test_a_changed_character_never_crashes(tmp_path_factory: pytest.TempPathFactory, at: int, new: str) -> None:
    path = tmp_path_factory.mktemp("ble") / "a.csv"
    path.write_bytes((WALK[:at] + new + WALK[at + 1 :]).encode())
    try:
        signals = ble_rss.read(path)
    except ReadError:
        return
    assert sum(len(signal.time_s) for signal in signals) <= 3


@pytest.mark.real
class TestRealTables:
    @pytest.mark.parametrize(
        ("name", "rows"), [("calibration/calibration_df.csv", 4104), ("tests/test_robot_df.csv", 719)]
    )
    def test_every_number(self, data_root: Path, name: str, rows: int) -> None:
        root = data_root / "ble-rss-fingerprints"
        signals = ble_rss.read(root / name, anchors=root / "anchors.csv")
        with (root / name).open() as file:
            table = list(csv.DictReader(file))
        assert len(table) == len(signals) == rows
        for signal, row in zip(signals, table, strict=True):
            fields = [row[f"rssi_{anchor}"] for anchor in range(1, 7)]
            assert signal.mask[0, :, 0].tolist() == [field != "" for field in fields]
            np.testing.assert_allclose(signal.values[0, :, 0].real, [float(field or 0) for field in fields], rtol=1e-6)
            assert signal.labels["position"] == (float(row["x"]), float(row["y"]))
        assert signals[0].links[2].rx_position_m == (3.03, 0.14, 2.38)

    def test_positions_can_be_estimated_from_the_strengths(self, data_root: Path) -> None:
        """Nearest neighbours locate the robot: columns, positions and masks belong together."""
        root = data_root / "ble-rss-fingerprints"
        train = ble_rss.read(root / "calibration/calibration_df.csv")
        test = ble_rss.read(root / "tests/test_robot_df.csv")
        known, wanted = (np.array([signal.labels["position"] for signal in part]) for part in (train, test))
        x, y = (
            np.array([np.where(s.mask, s.values.real, -100)[0, :, 0] for s in part], np.float32)
            for part in (train, test)
        )
        near = np.argsort(np.linalg.norm(y[:, None] - x[None], axis=2), axis=1)[:, :10]
        error = np.linalg.norm(known[near].mean(axis=1) - wanted, axis=1)
        assert np.median(error) < 1.3

    def test_the_walk_and_the_raw_tables(self, data_root: Path) -> None:
        root = data_root / "ble-rss-fingerprints"
        (walk,) = ble_rss.read(root / "tests/test_walk_df.csv")
        assert walk.values.shape[1:] == (6, 1)
        assert walk.interval_s == pytest.approx(1 / 3, rel=1e-3)
        for name in ("calib1_df.csv", "calib2_df.csv", "calib3_df.csv", "calib4_df.csv", "calib_df.csv"):
            assert len(ble_rss.read(root / "calibration" / name)) > 500
        for name in ("anchors.csv", "layout.csv", "tests/path_reference.csv", "tests/test_walk_ble.txt"):
            assert not ble_rss.sniff((root / name).read_bytes()[:4096])
