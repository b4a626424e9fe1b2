"""Data sets of RSSI, UWB and radar: small files in the published layout, or the real recordings, built and read."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from helpers.datasets import built
from helpers.ewine import row, written
from helpers.radhar import TEXT, message

from foundation.readers.radar import radhar
from foundation.readers.rssi import ble_rss


def test_ujiindoorloc(tmp_path: Path) -> None:
    names = [*(f"WAP{number:03d}" for number in range(1, 5)), "LONGITUDE", "LATITUDE", "FLOOR", "BUILDINGID", "SPACEID"]
    header = ",".join([*names, "RELATIVEPOSITION", "USERID", "PHONEID", "TIMESTAMP"])
    tables = {  # users alternate, as in the real file
        "trainingData.csv": [
            "-50,100,-60,-70,1.5,2.5,0,1,1,1,2,23,9",
            "-51,100,-61,-71,3,4,1,2,1,1,11,8,9",
            "-50,100,-60,-70,5,6,2,0,1,1,2,23,9",  # the same strengths in another place
        ],
        "validationData.csv": ["-53,100,-63,-73,7,8,3,1,0,0,0,13,9"],
    }
    for name, rows in tables.items():
        path = tmp_path / "raw/UJIndoorLoc" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join([header, *rows, ""]))
    signals, splits = built("ujiindoorloc", tmp_path / "raw", tmp_path / "out")
    assert [signal.values[0, 0, 0] for signal in signals] == [-51, -50, -50, -53]
    assert signals[1].labels == {"position": (1.5, 2.5), "building": "1", "floor": "0"}
    assert splits["published"] == {
        "train": {"trainingData-user-2-phone-23", "trainingData-user-11-phone-8"},
        "test": {"validationData-user-0-phone-13"},
    }


def test_ewine(tmp_path: Path) -> None:
    for number in (1, 6, 7):
        path = tmp_path / "raw/dataset" / f"uwb_dataset_part{number}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        late = row(100 + number, FP_IDX=900)  # fewer than 144 taps are left
        written(path, row(number), late, row(10 + number, NLOS=0, FP_IDX=745))
    signals, splits = built("ewine-uwb", tmp_path / "raw", tmp_path / "out")
    assert [signal.labels["visibility"] for signal in signals] == ["NLOS", "LOS"] * 3
    taps = row(11, NLOS=0, FP_IDX=745)[15:]
    np.testing.assert_allclose(signals[1].values[0, 0], taps[745 - 16 : 745 + 144] / 1024, rtol=1e-6)
    assert signals[1].response[16] == 0
    parts = {"train": {"uwb_dataset_part1"}, "valid": {"uwb_dataset_part6"}, "test": {"uwb_dataset_part7"}}
    assert splits == {"files": parts}


def test_radhar_text(tmp_path: Path) -> None:
    for index, (side, name) in enumerate([("Test", "walk_20_2"), ("Train", "20_walk_1"), ("Train", "short")]):
        path = tmp_path / "raw/Data" / side / "walk" / f"{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        frames = [message(0, 0.034 * frame, 1.0 + 0.01 * (frame + index), 0.0, 20.0) for frame in range(130)]
        path.write_text(TEXT if name == "short" else "".join(frames))
    signals, splits = built("radhar", tmp_path / "raw", tmp_path / "out")
    assert Counter(signal.session for signal in signals) == {"Test/walk/walk_20_2": 2, "Train/walk/20_walk_1": 2}
    assert {signal.values.shape for signal in signals} == {(60, 48, 16)}
    assert {signal.labels["activity"] for signal in signals} == {"walk"}
    assert splits["published"] == {"train": {"Train/walk/20_walk_1"}, "test": {"Test/walk/walk_20_2"}}
    assert splits["day-1-to-2"]["train"] == splits["day-2-to-1"]["test"] == {"Train/walk/20_walk_1"}


@pytest.mark.real
@pytest.mark.filterwarnings("ignore:.*dropped .* points:UserWarning")
def test_radhar(data_root: Path, tmp_path: Path) -> None:
    signals, splits = built("radhar", data_root / "radhar", tmp_path / "out")
    recordings = radhar.read(data_root / "radhar/radhar_points.npz")
    assert len(signals) == sum(len(recording.time_s) // 60 for recording in recordings)
    assert {signal.labels["activity"] for signal in signals} == set(radhar.ACTIVITIES)
    for parts in splits.values():
        assert all(parts.values())
        held_out = {session.split("/")[1] for session in parts["test"]}
        assert held_out == set(radhar.ACTIVITIES)


@pytest.mark.real
@pytest.mark.filterwarnings("ignore:.*dropped .* rows without any RSSI:UserWarning")
def test_ble_rss_fingerprints(data_root: Path, tmp_path: Path) -> None:
    raw = data_root / "ble-rss-fingerprints"
    signals, splits = built("ble-rss-fingerprints", raw, tmp_path / "out")
    counts = Counter(signal.session for signal in signals)
    drives = {f"calibration_df-{drive}": count for drive, count in enumerate((1707, 1371, 490, 536))}
    assert counts == {**drives, "test_robot_df-0": 719, "test_walk_df": 1}
    assert splits["robot"] == {"train": set(drives), "test": {"test_robot_df-0"}, "rest": {"test_walk_df"}}
    test = [signal for signal in signals if signal.session == "test_robot_df-0"]
    assert {signal.values.shape for signal in test} == {(16, 6, 1)}
    wanted = ble_rss.read(raw / "tests/test_robot_df.csv", anchors=raw / "anchors.csv")
    assert [signal.labels for signal in test] == [signal.labels for signal in wanted]
    assert test[0].links[0].rx_position_m == (5.48, 2.41, 2.08)
