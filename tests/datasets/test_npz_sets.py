"""Data sets in `.npz` files of arrays: small files in the published layout, and the real recordings."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.datasets import built

from foundation.datasets import open_dataset
from foundation.datasets.common import arrays, runs
from foundation.errors import ShardError


def saved(tmp_path: Path, name: str, **content: Any) -> Path:
    raw = tmp_path / "raw"
    raw.mkdir(exist_ok=True)
    np.savez_compressed(raw / name, allow_pickle=False, **content)
    return raw


def test_a_damaged_file_and_a_missing_array_are_named(tmp_path: Path) -> None:
    raw = saved(tmp_path, "espectre.npz", csi=np.zeros((3, 128), np.int8))
    with pytest.raises(ShardError, match=r"no intact \.npz file with recording"):
        open_dataset("espectre-esp32-chips", raw=raw).splits()
    path = raw / "espectre.npz"
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(ShardError, match=r"no intact \.npz file with csi"):
        arrays(path, "csi")


def test_runs() -> None:
    assert runs(np.array([4, 4, 0, 4])) == [(4, slice(0, 2)), (0, slice(2, 3)), (4, slice(3, 4))]


def wibasl(tmp_path: Path) -> Path:
    """Two signs of group A by two persons, five repetitions, and one of group B by volunteer 2 on two days."""
    rows = [(sign, user, repetition, 0) for user in (1, 2) for repetition in range(5) for sign in (0, 1)]
    rows += [(5, 2, repetition, day) for day in (1, 9) for repetition in range(2)]
    sign, user, repetition, day = (np.array(column, np.int64) for column in zip(*rows, strict=True))
    csi = np.random.default_rng(0).integers(1, 50, (len(rows), 200, 30, 2, 2, 2)).astype(np.int8)
    csi[:, 10, :, 0] = 0  # the second antenna alone received packet 10
    clock = np.tile(np.where(np.arange(200) < 150, np.arange(200) * 51, -1), (len(rows), 1))
    clock[:, 7] = clock[:, 6]  # two packets in one millisecond
    clock[3, :150] = np.arange(150)  # recorded at 1 kHz
    return saved(
        tmp_path,
        "wibasl_signs10.npz",
        csi=csi,
        sign_names=np.array(["food", "help", "hungry", "sleep", "water", "bank"]),
        sign=sign,
        volunteer=user,
        epoch=1732449912 + 86400 * day + 60 * repetition + 10 * sign,
        repetition=repetition,
        n_packets=np.full(len(rows), 150, np.int16),
        t_ms=clock.astype(np.int32),
    )


def test_wibasl(tmp_path: Path) -> None:
    raw = wibasl(tmp_path)
    signals, splits = built("wibasl-csi-sign", raw, tmp_path / "out")
    assert len(signals) == 23
    assert Counter(signal.labels["sign"] for signal in signals) == {"food": 10, "help": 9, "bank": 4}
    first = signals[0]
    assert (first.session, first.values.shape, first.subject) == ("A-user-1-20241124-0", (200, 4, 30), "volunteer-1")
    with np.load(raw / "wibasl_signs10.npz") as file:
        csi = file["csi"][0]
    assert first.values[3, 1, 29] == csi[3, 29, 0, 1, 0] + 1j * csi[3, 29, 0, 1, 1]
    assert first.mask[:, :, 0].sum(axis=0).tolist() == [149, 149, 150, 150]
    np.testing.assert_allclose(first.time_s[[5, 6, 7, 8, 149]], np.array([255, 306, 306, 408, 7599]) * 1e-3, atol=2e-4)
    assert splits["A-same-users"]["test"] == {"A-user-1-20241124-4", "A-user-2-20241124-4"}
    assert splits["B-day-1-to-2"]["test"] == {"B-user-2-20241203-0", "B-user-2-20241203-1"}
    assert splits["B-day-1-to-2"]["train"] == splits["B-day-2-to-1"]["test"]
    assert not [name for name in splits if "-user-" in name], "none has 40 recordings"


@pytest.mark.real
def test_wibasl_recordings(data_root: Path, tmp_path: Path) -> None:
    signals, splits = built("wibasl-csi-sign", data_root / "wibasl-csi-sign", tmp_path / "out")
    assert len(signals) == 816 - 30
    assert {signal.values.shape for signal in signals} == {(200, 4, 30)}
    assert {name for name in splits if "-user-" in name} == {
        *(f"A-user-{user}" for user in (1, 2, 3, 4, 6, 7)),
        *(f"B-user-{user}" for user in (2, 3, 4, 6)),
    }
    users = Counter((signal.session[0], signal.subject) for signal in signals)
    assert users["A", "volunteer-1"] == 100
    assert users["B", "volunteer-1"] == 36
    assert all(9 < signal.time_s[signal.mask.any(axis=(1, 2))][-1] < 30 for signal in signals)
    groups = {name[0]: {s[0] for part in parts.values() for s in part} for name, parts in splits.items()}
    assert groups == {"A": {"A"}, "B": {"B"}}
    # The phase of neighbouring subcarriers steps half as far from -2 to -1 as from -4 to -2: 20 MHz.
    strong = next(signal for signal in signals if signal.subject == "volunteer-3")
    steps = np.angle(np.sum(strong.values[:, 0, 1:] * strong.values[:, 0, :-1].conj(), axis=0))
    assert abs(steps[13]) < 0.7 * abs(steps[12])


def test_espectre(tmp_path: Path) -> None:
    files = [("baseline", "c6", 230), ("movement", "esp32", 120), ("wave", "c3", 310), ("wave", "c3", 301)]
    files += [("wave", "c3", 305), ("baseline_noisy", "c6", 100)]
    buffers = np.random.default_rng(1).integers(1, 100, (sum(count for *_, count in files), 128)).astype(np.int8)
    buffers[230:350, 2 * 28 : 2 * 28 + 2] = 0  # the highest subcarrier of the second recording, +28
    raw = saved(
        tmp_path,
        "espectre.npz",
        csi=buffers,
        recording=np.repeat(np.arange(len(files)), [count for *_, count in files]),
        rec_file=np.array([f"{label}_{index}.npz" for index, (label, *_) in enumerate(files)]),
        rec_label=np.array([label for label, *_ in files]),
        rec_chip=np.array([chip for _, chip, _ in files]),
        rec_time=np.array([f"2026-03-0{9 - index}T10:00:00" for index in range(len(files))]),
        rec_duration_ms=np.array([1150, -1, 3100, 3010, 3050, 1000], np.float32),
    )
    signals, splits = built("espectre-esp32-chips", raw, tmp_path / "out")
    assert [signal.session for signal in signals] == [
        *("baseline_noisy_5", "wave_4", "wave_3", "wave_2", "movement_1", "baseline_0", "baseline_0")
    ]
    assert [signal.values.shape[0] for signal in signals] == [100, 300, 300, 300, 100, 100, 100]
    assert [dict(signal.labels) for signal in signals[3:6]] == [
        {"gesture": "wave"},
        {"motion": "movement"},
        {"motion": "baseline"},
    ]
    esp32, c6 = signals[4], signals[5]
    assert (c6.device, c6.interval_s, esp32.interval_s) == ("ESP32-C6", pytest.approx(0.005), pytest.approx(0.01))
    assert c6.values[7, 0, 0] == buffers[7, 9] + 1j * buffers[7, 8], "subcarrier -28 is the fifth of the C6"
    assert esp32.values[7, 0, 29] == buffers[237, 5] + 1j * buffers[237, 4], "subcarrier 2 is the third of the ESP32"
    assert np.flatnonzero(~esp32.mask[0, 0]).tolist() == [28, 55]
    assert splits["chip-c6"] == {"train": {"movement_1"}, "test": {"baseline_0"}, "rest": {"baseline_noisy_5"}}
    assert splits["gesture-time"] == {"train": {"wave_4", "wave_3"}, "test": {"wave_2"}}


@pytest.mark.real
def test_espectre_recordings(data_root: Path, tmp_path: Path) -> None:
    signals, splits = built("espectre-esp32-chips", data_root / "espectre-esp32-chips", tmp_path / "out")
    counts = Counter(next(iter(signal.labels.values()), "none") for signal in signals)
    assert counts == {"baseline": 210, "movement": 217, "wave": 30, "circle_cw": 30, "no_gesture": 60, "none": 63}
    sizes = {split: {part: len(sessions) for part, sessions in parts.items()} for split, parts in splits.items()}
    assert sizes["chip-c6"] == {"train": 30, "test": 6, "rest": 1}
    assert sizes["gesture-time"] == {"train": 80, "test": 40}
    assert all(signal.mask.mean() > 0.9 for signal in signals)
    assert {signal.device for signal in signals} == {"ESP32", *(f"ESP32-{chip}" for chip in ("C3", "C5", "C6", "S3"))}


def test_mars(tmp_path: Path) -> None:
    """Persons 1 and 2, movements 1 and 10: 65 frames of two points, and one recording shorter than a window."""
    sizes = {(1, 1): 65, (1, 10): 30, (2, 1): 20, (2, 10): 40}
    frames = sum(sizes.values())
    rng = np.random.default_rng(2)
    points = np.column_stack([rng.uniform(-0.9, 0.9, 2 * frames), rng.uniform(1, 2, 2 * frames), np.zeros(2 * frames)])
    number = np.concatenate([np.arange(count) + (np.arange(count) > 9) for count in sizes.values()])  # frame 10 is lost
    raw = saved(
        tmp_path,
        "mars.npz",
        xyz_q=(points * 2048).astype(np.int16),
        doppler=np.tile([0, 0.712], frames).astype(np.float16),
        intensity=np.tile([9, 16], frames).astype(np.int16),
        n_points=np.full(frames, 2, np.int16),
        subject=np.repeat([person for person, _ in sizes], list(sizes.values())),
        movement=np.repeat([movement for _, movement in sizes], list(sizes.values())),
        frame=number.astype(np.int32),
        joints_mm=np.arange(frames)[:, None] + np.arange(75) * 10,
        has_joints=np.arange(frames) > 20,
    )
    signals, splits = built("mars-mmwave-pointcloud", raw, tmp_path / "out")
    first, last = "left-upper-limb-extension", "right-limb-extension"
    assert [signal.labels["movement"] for signal in signals] == [first, first, last, last]
    assert [signal.labels.get("pose", (0,))[0] for signal in signals] == [0, 0.045, 0.08, 0.13]
    assert signals[1].labels["pose"][74] == pytest.approx(0.785)  # type: ignore[index]
    assert {signal.values.shape for signal in signals} == {(30, 48, 16)}
    np.testing.assert_allclose(signals[0].time_s[[9, 10]], [0.9, 1.1])
    power = np.square(signals[0].values.real).reshape(30, 3, 16, 16).sum(axis=3)
    np.testing.assert_allclose(power[:, :, [8, 10]], np.broadcast_to([9.0, 16.0], (30, 3, 2)), rtol=1e-5)
    side = int(np.floor(np.int16(points[0, 0] * 2048) / 2048 / (7 * 0.0293))) + 8
    assert signals[0].values[0, 16 + 8, side] == 3, "the second projection is the side"
    assert splits["subject-1"]["test"] == {f"subject-1/{first}", f"subject-1/{last}"}
    assert splits["subject-1"]["train"] == {f"subject-2/{last}"}


@pytest.mark.real
def test_mars_recordings(data_root: Path, tmp_path: Path) -> None:
    signals, splits = built("mars-mmwave-pointcloud", data_root / "mars-mmwave-pointcloud", tmp_path / "out")
    assert len(signals) == 1313
    tests = Counter(signal.subject for signal in signals)
    assert tests == {"subject-1": 389, "subject-2": 385, "subject-3": 290, "subject-4": 249}
    assert {name: len(parts["test"]) for name, parts in splits.items()} == {
        **{f"subject-{person}": 10 for person in (1, 2, 3)},
        "subject-4": 9,
    }
    poses = np.array([signal.labels["pose"] for signal in signals if "pose" in signal.labels]).reshape(-1, 3, 25)
    assert 0.79 < len(poses) / len(signals) < 0.85
    head, spine, foot = (poses[:, :, joint].mean(axis=0) for joint in (3, 0, 15))
    assert head[2] > spine[2] > foot[2], "z goes up"
    assert 1.5 < spine[1] < 2.5, "y goes ahead"
    # Where the power is, the person is: ahead by the joints' distance.
    power = np.mean([np.square(signal.values.real[:, :16]).sum(axis=(0, 1)) for signal in signals], axis=0)
    assert abs((np.argmax(power) + 0.5) * 7 * 0.0293 - spine[1]) < 0.3


def test_uji_lib(tmp_path: Path) -> None:
    rows = [(1, True, 1), (1, True, 2), (1, False, 1), (2, True, 1), (1, True, 1), (2, False, 1), (2, False, 1)]
    month, is_train, number = (np.array(column) for column in zip(*rows, strict=True))
    strength = np.full((len(rows), 4), 100, np.int8)
    strength[:, 3] = -50 - np.arange(len(rows))
    strength[1, 1] = -70
    strength[2, 0] = -60  # no training file of month 1 heard it
    strength[6] = [-60, 100, 100, 100]
    raw = saved(
        tmp_path,
        "uji_lib_v2.npz",
        rss=strength,
        xyf=np.array([[1.5, 2.5, 3]] * 4 + [[3.5, 4.5, 0]] * 3, np.float32),
        month=month.astype(np.int16),
        is_train=is_train,
        campaign=number.astype(np.int16),
    )
    signals, splits = built("uji-lib-longterm-rssi", raw, tmp_path / "out")
    assert [signal.values[0, 1, 0] for signal in signals] == [-50, -54, -51, -52, -53, -55]
    assert [link.tx for link in signals[0].links] == [1, 3]
    assert signals[0].mask[0, :, 0].tolist() == [False, True]
    assert signals[0].labels == {"position": (1.5, 2.5), "floor": "3"}
    assert signals[1].labels == {"position": (3.5, 4.5)}
    assert splits["months"] == {
        "train": {"month-01-train-01", "month-01-train-02"},
        "rest": {"month-02-train-01"},
        "test-month-01": {"month-01-test-01"},
        "test-month-02": {"month-02-test-01"},
    }


@pytest.mark.real
def test_uji_lib_recordings(data_root: Path) -> None:
    dataset = open_dataset("uji-lib-longterm-rssi", raw=data_root / "uji-lib-longterm-rssi")
    splits = dataset.splits()["months"]
    assert len(splits) == 2 + 25
    sizes = {part: len(splits[part]) for part in ("train", "rest", "test-month-12", "test-month-25")}
    assert sizes == {"train": 15, "rest": 25, "test-month-12": 5, "test-month-25": 10}
    samples = [signal for _, signal in itertools.islice(dataset.samples(), 8641)]
    sessions = Counter(signal.session for signal in samples)
    assert sum(sessions[session] for session in splits["train"]) == 8640
    assert {len(signal.links) for signal in samples} == {182}
    assert Counter(signal.labels.get("floor") for signal in samples[:8640])[None] == 6
    assert len({signal.labels["position"] for signal in samples[:8640]}) == 24
    assert np.mean([signal.mask.sum() for signal in samples[:8640]]) == pytest.approx(18.79, abs=0.01)


def test_ilc20(tmp_path: Path) -> None:
    """Walks 0 (a test), 1 and 3 in site 1 and 4 in site 2; walk 2 has no scan."""
    walks, scans = np.array([0, 1, 1, 3, 4]), np.arange(5)
    often, other, rare = 7, 9, 8
    # Scan 3 repeats its reading of `often` as often as an access point needs, and so does scan 4 that of `other`.
    readings = [(0, often), (0, rare), (1, often), (2, rare), *[(3, often)] * 200, *[(4, other)] * 200]
    raw = saved(
        tmp_path,
        "wifi_scans.npz",
        scan_trace=walks.astype(np.int16),
        scan_xy=np.column_stack([scans, scans + 0.5]).astype(np.float32),
        obs_scan=np.array([scan for scan, _ in readings], np.int32),
        obs_ap=np.array([point for _, point in readings], np.int16),
        obs_rssi=np.array([-40 - scan for scan, _ in readings], np.int8),
        trace_floor=np.array([0, 0, 0, 1, 2], np.int8),
        floor_names=np.array(["site1/B1", "site1/F2", "site2/F1"]),
    )
    signals, splits = built("ilc20-wifi-floorplans", raw, tmp_path / "out")
    assert [(signal.session, signal.values[0, 0, 0].real) for signal in signals] == [
        ("site1_B1-walk-000", -40),
        ("site1_B1-walk-001", -41),  # its second scan heard no access point that is heard often
        ("site1_F2-walk-003", -43),
        ("site2_F1-walk-004", -44),
    ]
    assert [[link.tx for link in signal.links] for signal in signals] == [[often]] * 3 + [[other]]
    assert signals[2].labels == {"position": (3.0, 3.5), "floor": "F2"}
    assert signals[2].environment == "site1_F2"
    assert splits["site-1"] == {
        "train": {"site1_B1-walk-001", "site1_F2-walk-003"},
        "test": {"site1_B1-walk-000"},
    }
    assert splits["building-1-to-2"]["test"] == splits["building-2-to-1"]["train"] == {"site2_F1-walk-004"}


@pytest.mark.real
def test_ilc20_recordings(data_root: Path) -> None:
    raw = data_root / "ilc20-wifi-floorplans"
    dataset = open_dataset("ilc20-wifi-floorplans", raw=raw)
    splits = dataset.splits()
    sizes = {split: (len(parts["train"]), len(parts["test"])) for split, parts in splits.items()}
    assert sizes["site-1"] == (455, 115)
    assert sizes["site-2"] == (334, 83)
    first = list(itertools.islice((signal for _, signal in dataset.samples()), 40))
    assert {len(signal.links) for signal in first} == {2319}
    assert all(int(signal.mask.sum()) > 20 for signal in first)
    assert all(-95 < signal.values.real[signal.mask].max() < -20 for signal in first)
    assert {*raw.glob(f"maps/{first[0].environment}_*")} >= {raw / "maps/site1_B1_floor_info.json"}


def test_newrf(tmp_path: Path) -> None:
    names = ["bedroom_ch1", "conference_433MHz", "conference_ch1", "conference_wood_ch1", "conference_concrete_ch1"]
    numbers = np.arange(6 * len(names))
    raw = saved(
        tmp_path,
        "newrf.npz",
        set=np.repeat(np.arange(len(names)), 6).astype(np.int8),
        set_names=np.array(names),
        csi=(numbers + 1 - 2j).astype(np.complex64),
        rx_xyz=np.column_stack([numbers, numbers, numbers]).astype(np.float32),
        tx_xyz=np.full((len(numbers), 3), 0.5, np.float32),
        los=numbers % 2,
        freq_ghz=np.repeat([2.412, 0.433, 2.412, 2.412, 2.412], 6).astype(np.float32),
    )
    signals, splits = built("newrf-raytraced-rooms", raw, tmp_path / "out")
    assert len(signals) == 30
    assert [signal.values[0, 0, 0] for signal in signals[:3]] == [1 - 2j, 6 - 2j, 2 - 2j], "by fifths"
    assert signals[1].labels == {"position": (5, 5, 5), "visibility": "LOS"}
    assert signals[1].links[0].tx_position_m == (0.5, 0.5, 0.5)
    assert {signal.carrier_hz for signal in signals} == {433e6, 2412e6}
    assert splits["receivers"]["test"] == {f"{name}-4" for name in names}
    assert splits["material-wood"]["train"] == {f"conference_concrete_ch1-{fifth}" for fifth in range(5)}
    assert splits["frequency-433"]["test"] == {f"conference_433MHz-{fifth}" for fifth in range(5)}
    assert set(splits) == {
        *("receivers", "frequency-433", "frequency-2412", "material-wood", "material-concrete"),
        *("room-bedroom", "room-conference"),
    }


@pytest.mark.real
def test_newrf_channels(data_root: Path, tmp_path: Path) -> None:
    signals, splits = built("newrf-raytraced-rooms", data_root / "newrf-raytraced-rooms", tmp_path / "out")
    assert Counter(signal.environment for signal in signals) == {"bedroom": 975, "office": 1907, "conference": 2993}
    assert len(splits["receivers"]["test"]) == 9
    assert {name for name in splits if name.startswith("material")} == {
        *("material-concrete", "material-plasterboard", "material-wood")
    }
    # The floor of the bedroom: the median level of the training receivers for all others.
    bedroom = [signal for signal in signals if signal.environment == "bedroom"]
    decibels = {
        part: 20 * np.log10([abs(signal.values.item()) for signal in bedroom if signal.session in names])
        for part, names in splits["receivers"].items()
    }
    error = np.abs(decibels["test"] - np.median(decibels["train"])).mean()
    assert error == pytest.approx(4.98, abs=0.005)
