"""Data sets of Wi-Fi CSI: small files in the layout that their publishers describe, built, verified and read back."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from helpers.datasets import built, check_workers, normal
from helpers.intel5300 import intel_record, random_csi
from scipy.io import savemat

from foundation.datasets import open_dataset
from foundation.errors import ShardError
from foundation.readers.wifi import esp32_csv, nexmon


def amplitudes(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(20, 60, shape)


@pytest.mark.parametrize(
    ("name", "folder", "task", "classes"),
    [
        ("ntu-fi-har", "NTU-Fi_HAR", "activity", ("box", "run")),
        ("ntu-fi-humanid", "NTU-Fi-HumanID", "person", ("001", "002")),
    ],
)
def test_ntu_fi(tmp_path: Path, name: str, folder: str, task: str, classes: tuple[str, ...]) -> None:
    wanted = []
    for side in ("test_amp", "train_amp"):
        for index, kind in enumerate(classes):
            path = tmp_path / "raw" / folder / side / kind / f"{kind}{index}.mat"
            path.parent.mkdir(parents=True)
            wanted.append((kind, amplitudes(342, 20, seed=len(wanted))))
            savemat(path, {"CSIamp": wanted[-1][1]})
    signals, splits = built(name, tmp_path / "raw", tmp_path / "out")
    for signal, (kind, decibels) in zip(signals, wanted, strict=True):
        assert signal.labels == {task: kind}
        np.testing.assert_allclose(signal.values[5, 2, 113], 10 ** (decibels[341, 5] / 20), rtol=1e-5)
    sides = {part: {session.partition("-")[0] for session in names} for part, names in splits["published"].items()}
    assert sides == {"train": {"train_amp"}, "test": {"test_amp"}}


def test_ut_har(tmp_path: Path) -> None:
    for index, part in enumerate(("test", "train", "val")):
        for folder, name, array in (
            ("data", f"X_{part}", amplitudes(2, 1, 250, 90, seed=index)),
            ("label", f"y_{part}", np.array([index, 6.0])),
        ):
            path = tmp_path / "raw/UT_HAR" / folder / f"{name}.csv"
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                np.save(file, array)
    signals, splits = built("ut-har", tmp_path / "raw", tmp_path / "out")
    assert [signal.labels["activity"] for signal in signals] == ["0", "6", "1", "6", "2", "6"]
    assert splits == {"published": {"train": {"data-X_train"}, "valid": {"data-X_val"}, "test": {"data-X_test"}}}


CLIPS = [
    ("20181109", "user1-5-2-3-4"),  # room 1
    ("20181109", "user1-1-2-3-1"),
    ("20181205", "user2-1-1-1-1"),  # room 2; of user 3, gesture 1 is another
    ("20181205", "user3-1-1-1-1"),
    ("20181112", "user1-0-1-5-1"),
    ("20181211", "user9-6-5-1-2"),  # room 3
]
GESTURES = ["push-pull", "draw-zigzag-v", "draw-0", "draw-o-h", "slide", "draw-zigzag-h"]  # by session, then gesture


def check_widar(labels: list[str], splits: dict[str, dict[str, set[str]]]) -> None:
    assert sorted(labels) == sorted(GESTURES)
    assert splits["room-2"]["test"] == {f"20181205-user{n}-location-1-facing-1" for n in (2, 3)}
    assert splits["room-3"]["test"] == {"20181211-user9-location-5-facing-1"}
    assert {s.split("-")[1] for s in splits["person-user1"]["test"]} == {"user1"}
    assert splits["location-2"]["test"] == {"20181109-user1-location-2-facing-3"}
    assert splits["facing-5"]["test"] == {"20181112-user1-location-1-facing-5"}
    assert all(parts["train"] and not parts["train"] & parts["test"] for parts in splits.values())


def test_widar3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for index, (day, clip) in enumerate(CLIPS):
        for receiver in (1, 6):
            path = tmp_path / "raw/CSI" / day / clip.partition("-")[0] / f"{clip}-r{receiver}.dat"
            path.parent.mkdir(parents=True, exist_ok=True)
            csi = [random_csi(100 * index + 10 * receiver + packet) for packet in range(3)]
            path.write_bytes(b"".join(intel_record(each, 1000 * packet) for packet, each in enumerate(csi)))
    signals, splits = built("widar3", tmp_path / "raw", tmp_path / "out")
    assert len(signals) == 12
    assert {signal.values.shape for signal in signals} == {(3, 3, 30)}
    assert {(signal.carrier_hz, signal.subject, signal.environment) for signal in signals} >= {
        (5.825e9, "user9", "widar-room-3")
    }
    check_widar([str(signal.labels["gesture"]) for signal in signals[::2]], splits)
    assert len(open_dataset("widar3", raw=tmp_path / "raw").pieces) == 12
    monkeypatch.setattr("foundation.datasets.common.PIECES", 5)
    assert len(open_dataset("widar3", raw=tmp_path / "raw").pieces) == 4, "three files each"
    check_workers("widar3", tmp_path / "raw", tmp_path / "out", tmp_path / "parallel")


@pytest.mark.filterwarnings("ignore:.*holds no velocity profile:UserWarning")
def test_widar3_bvp(tmp_path: Path) -> None:
    profiles = {}
    for index, (day, clip) in enumerate(CLIPS):
        folder = tmp_path / "raw/BVP" / f"{day}-VS" / "6-link" / clip.partition("-")[0]
        folder.mkdir(parents=True, exist_ok=True)
        profiles[clip] = amplitudes(20, 20, 1 + index, seed=index)
        savemat(folder / f"{clip}-1-1e-07-100-20-100000-L0.mat", {"velocity_spectrum_ro": profiles[clip]})
    savemat(folder / "user9-1-5-1-3-1-1e-07-100-20-100000-L0.mat", {"velocity_spectrum_ro": np.zeros((20, 20, 0))})
    signals, splits = built("widar3-bvp", tmp_path / "raw", tmp_path / "out")
    check_widar([str(signal.labels["gesture"]) for signal in signals], splits)
    last = signals[-1]
    np.testing.assert_allclose(last.values[4, 2, 17], profiles["user9-6-5-1-2"][2, 17, 4], rtol=1e-6)
    assert last.frequency_hz is not None
    np.testing.assert_allclose(last.frequency_hz[[0, 9, 19]] * 299_792_458 / 5.825e9, [-1.8, 0, 2], atol=1e-9)
    assert {signal.values.shape[0] for signal in signals} == {1, 2, 3, 4, 5, 6}


@pytest.mark.filterwarnings("ignore:.*gesture 7 of that day is in no table:UserWarning")
def test_widar3_names_that_tell_nothing(tmp_path: Path) -> None:
    path = tmp_path / "raw/CSI/20181116/user2/user2-1-1-1-1-r1.dat"
    path.parent.mkdir(parents=True)
    path.write_bytes(intel_record(random_csi(0), 0))
    with pytest.raises(ShardError, match="expected a folder named like one of the days 20181109, "):
        built("widar3", tmp_path / "raw", tmp_path / "out")
    path = path.rename(tmp_path / "raw/CSI/user2-7-1-1-1-r1.dat")
    (tmp_path / "raw/CSI/20181115").mkdir()
    path.rename(tmp_path / "raw/CSI/20181115/user2-7-1-1-1-r1.dat")
    signals, _ = built("widar3", tmp_path / "raw", tmp_path / "out")
    assert [signal.labels for signal in signals] == [{}]


def test_signfi(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    fields = {
        key: normal(200, 30, 3, 2, seed=seed)
        for seed, key in enumerate(["csid_home", "csiu_home", "csi1", "csi2", "csi3", "csi4", "csi5", "csid_lab"])
    }
    labels = np.array([[7], [276]])
    five = {f"csi{user}": fields[f"csi{user}"] for user in range(1, 6)}
    home = {key: fields[key] for key in ("csid_home", "csiu_home")}
    savemat(raw / "dataset_home_276.mat", home | {"label_home": labels}, do_compression=True)
    savemat(raw / "dataset_lab_150.mat", five | {"label": np.arange(1, 11)[:, None]}, do_compression=True)
    savemat(raw / "dataset_lab_276_dl.mat", {"csid_lab": fields["csid_lab"], "label_lab": labels})
    signals, splits = built("signfi", raw, tmp_path / "out")
    assert len(signals) == 2 * len(fields)
    for index, (signal, field) in enumerate(zip(signals, np.repeat(list(fields.values()), 2, axis=0), strict=True)):
        np.testing.assert_allclose(signal.values, field[..., index % 2].transpose(0, 2, 1), rtol=1e-6)
    gestures = [signal.labels["gesture"] for signal in signals]
    assert gestures == ["7", "276"] * 2 + [str(number) for number in range(1, 11)] + ["7", "276"]
    assert [link.tx for link in signals[0].links] == [link.rx for link in signals[2].links] == [0, 1, 2]
    assert splits["place"] == {"train": {"lab-276"}, "test": {"home-276"}}
    assert splits["user-3"]["test"] == {"lab-150-user-3"}
    assert len(splits["user-3"]["train"]) == 4
    savemat(raw / "dataset_lab_276_dl.mat", {"csid_lab": fields["csid_lab"], "label_lab": labels[:1]})
    with pytest.raises(ShardError, match="csid_lab has 2 instances but label_lab 1"):
        built("signfi", raw, tmp_path / "again")


def test_mm_fi(tmp_path: Path) -> None:
    for index, (room, person) in enumerate([("E01", "S01"), ("E01", "S05"), ("E04", "S31"), ("E04", "S40")]):
        for frame in (1, 2):
            path = tmp_path / "raw" / room / person / "A27/wifi-csi" / f"frame{frame:03d}.mat"
            path.parent.mkdir(parents=True, exist_ok=True)
            phase = np.random.default_rng(index).uniform(-3, 3, (3, 114, 10))
            savemat(path, {"CSIamp": amplitudes(3, 114, 10, seed=10 * index + frame), "CSIphase": phase})
    signals, splits = built("mm-fi", tmp_path / "raw", tmp_path / "out")
    assert len(signals) == 8
    assert {(signal.values.shape, signal.labels["activity"]) for signal in signals} == {((10, 3, 114), "A27")}
    assert splits["cross-subject"]["test"] == {"E01-S05-A27", "E04-S40-A27"}
    assert splits["cross-environment"]["test"] == {"E04-S31-A27", "E04-S40-A27"}


def write_csi_bench(folder: Path, shared: Path, stated: str) -> None:
    rows = []
    for index, (user, label) in enumerate(
        [("U01", "walking"), ("U01", "running"), ("U02", "walking"), ("U03", "walking")]
    ):
        name = f"user_{user}/act_{label}/env_E01/device_D1/session_{index}__freq100.h5"
        (shared / name).parent.mkdir(parents=True, exist_ok=True)
        with h5py.File(shared / name, "w") as file:
            file["CSI_amps"] = amplitudes(50, 232, 1, seed=index)
        rows.append({"id": f"s{index}", "file_path": stated + name, "label": label, "user": user})
    for name in ("metadata", "splits"):
        (folder / name).mkdir(parents=True)
    with (folder / "metadata/sample_metadata.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    lists = {
        "train_id": ["s0"],
        "val_id": ["s1"],
        "test_id": ["s2", "gone"],
        "test_cross_user": ["s3"],
        "train_id_p5": [],
    }
    for name, ids in lists.items():
        (folder / "splits" / f"{name}.json").write_text(json.dumps(ids))


@pytest.mark.parametrize(
    ("task", "folder", "shared", "stated"),
    [
        ("FallDetection", "FallDetection", "FallDetection/sub_Human", "E:\\CSI100Hz\\sub_Human\\"),
        ("HumanIdentification", "Multitask/HumanIdentification", "Multitask/sub_Human_h5", "../../sub_Human_h5/"),
        ("Localization", "tasks/Localization", "tasks/Localization/sub_Human", "/tasks/Localization/sub_Human/"),
    ],
)
def test_csi_bench(tmp_path: Path, task: str, folder: str, shared: str, stated: str) -> None:
    raw = tmp_path / "raw"
    write_csi_bench(raw / folder, raw / shared, stated)
    signals, splits = built("csi-bench", raw, tmp_path / "out", task=task)
    assert [(s.session, s.subject, s.labels["label"]) for s in signals] == [
        ("s1", "user_U01", "running"),
        ("s0", "user_U01", "walking"),
        ("s2", "user_U02", "walking"),
        ("s3", "user_U03", "walking"),
    ]
    np.testing.assert_allclose(signals[0].values[:, 0], amplitudes(50, 232, 1, seed=1)[..., 0], rtol=1e-6)
    assert splits == {
        "id": {"train": {"s0"}, "valid": {"s1"}, "test": {"s2"}},
        "cross-user": {"train": {"s0"}, "valid": {"s1"}, "test": {"s3"}},
    }
    next((raw / shared).rglob("session_2*.h5")).unlink()
    with pytest.raises(ShardError, match=r"the metadata names .*session_2__freq100\.h5, which is not there"):
        built("csi-bench", raw, tmp_path / "again", task=task)


WIGESTURE_HEADER = (
    "type,seq,timestamp,taget_seq,target,mac,rssi,rate,sig_mode,mcs,cwb,smoothing,not_sounding,aggregation,stbc,"
    "fec_coding,sgi,noise_floor,ampdu_cnt,channel_primary,channel_secondary,local_timestamp,ant,sig_len,rx_state,len,"
    "first_word_invalid,data"
)


def wigesture_lines(buffers: np.ndarray) -> str:
    lines = [
        f"CSI_DATA,{index},2023-12-07 15:12:23.{index:03d},0,unknown,1a:00:00:00:00:00,-40,11,1,7,0,1,1,0,0,0,0,"
        f'-95,0,11,1,{1000 + 10_000 * index},0,32,0,{length},0,"[{",".join(map(str, buffer))}]"'
        for index, (buffer, length) in enumerate(zip(buffers, [104, 384] * len(buffers), strict=False))
    ]
    return "\n".join([WIGESTURE_HEADER, *lines, ""])


def test_wigesture(tmp_path: Path) -> None:
    files = [("Dynamic", "ID1", "applause"), ("Dynamic", "ID2", "applause"), ("Static", "ID1", "Gesture3")]
    buffers = [np.random.default_rng(seed).integers(-128, 128, (230, 104)) for seed in range(3)]
    for names, buffer in zip(files, buffers, strict=True):
        path = (tmp_path / "raw").joinpath(*names).with_suffix(".csv")
        path.parent.mkdir(parents=True)
        path.write_text(wigesture_lines(buffer))
    assert esp32_csv.sniff(path.read_bytes()[:4096])
    signals, splits = built("wigesture", tmp_path / "raw", tmp_path / "out")
    assert len(signals) == 6
    assert {signal.values.shape for signal in signals} == {(100, 1, 52)}
    second = buffers[0][100:200]
    np.testing.assert_array_equal(signals[1].values[:, 0], second[:, 1::2] + 1j * second[:, ::2])
    assert signals[0].frequency_hz is not None
    assert (signals[0].frequency_hz / 312_500).tolist() == [*range(-26, 0), *range(1, 27)]
    assert signals[0].interval_s == pytest.approx(0.01)
    assert signals[-1].labels == {"gesture": "gesture3", "person": "ID1"}
    assert splits["person-ID2"]["test"] == {"Dynamic-ID2-applause"}
    assert splits["gesture-applause"]["test"] == {"Dynamic-ID1-applause", "Dynamic-ID2-applause"}


@pytest.mark.parametrize("scenes", [("",), ("Scene1/", "Scene3/")])
def test_xrf55(tmp_path: Path, scenes: tuple[str, ...]) -> None:
    for index, scene in enumerate(scenes):
        for name in ("03_55_14", "03_55_15", "05_01_01"):
            path = tmp_path / "raw" / f"{scene}WiFi" / f"{name}.npy"
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, amplitudes(270, 40, seed=index * 10**6 + int(name.replace("_", ""))))
    signals, splits = built("xrf55", tmp_path / "raw", tmp_path / "out")
    np.testing.assert_allclose(
        signals[0].values[7, 8, 29], amplitudes(270, 40, seed=35514)[269, 7].astype(np.float32), rtol=1e-6
    )
    assert (signals[0].labels, signals[0].subject, signals[0].carrier_hz) == ({"action": "55"}, "03", 5.64e9)
    assert {s[-8:] for s in splits["published"]["test"]} == {"03_55_15"}
    assert {s[-8:] for s in splits["person"]["test"]} == {"05_01_01"}
    assert ("scene" in splits) == (len(scenes) > 1)
    if len(scenes) > 1:
        assert {s.partition("-")[0] for s in splits["scene"]["test"]} == {"Scene3"}


@pytest.mark.real
@pytest.mark.filterwarnings("ignore:.*:UserWarning")
def test_csu_indoorloc_nexmon(data_root: Path, tmp_path: Path) -> None:
    raw = data_root / "csu-indoorloc-nexmon"
    signals, splits = built("csu-indoorloc-nexmon", raw, tmp_path / "out")
    assert {signal.values.shape[1:] for signal in signals} == {(1, 56)}
    assert {signal.labels["location"] for signal in signals} >= {"215_2", "A213_1", "269A_2"}
    assert {part: len(sessions) for part, sessions in splits["published"].items()} == {"train": 7, "test": 6}
    first = nexmon.read(raw / "data/ref/ref_215_2_3500.pcap")[0]
    np.testing.assert_array_equal(signals[1].values, first.values[10:20])
