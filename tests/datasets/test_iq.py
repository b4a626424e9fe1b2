"""Data sets of IQ samples: small files in the published layout, built, verified and read back."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest
from helpers.datasets import built, normal
from helpers.powder import ABOUT

from foundation.errors import ShardError


def check_tenths(splits: dict[str, dict[str, set[str]]], cells: int) -> None:
    """Of every cell eight tenths train, one validates and one tests."""
    assert {part: len(sessions) for part, sessions in splits["tenths"].items()} == {
        "train": 8 * cells,
        "valid": cells,
        "test": cells,
    }
    assert {session[-2:] for session in splits["tenths"]["test"]} == {"-9"}


@pytest.mark.parametrize(("name", "file"), [("radioml-2016", "RML2016.10a_dict.pkl"), ("radioml-2022", "RML22.01A")])
def test_radioml_pickles(tmp_path: Path, name: str, file: str) -> None:
    data = {
        key: np.random.default_rng(seed).normal(0, 0.01, (20, 2, 128)).astype(np.float32)
        for seed, key in enumerate([("QPSK", 2), ("AM-DSB", -20), ("QPSK", -2)])
    }
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / file).write_bytes(pickle.dumps(data, 2))
    signals, splits = built(name, tmp_path / "raw", tmp_path / "out")
    assert len(signals) == 60
    examples = [(key, example) for key, block in data.items() for example in block]
    for index, (signal, ((modulation, snr), parts)) in enumerate(zip(signals, examples, strict=True)):
        np.testing.assert_array_equal(signal.values[:, 0, 0], parts[0] + 1j * parts[1])
        assert signal.labels == {"modulation": modulation, "snr": float(snr)}
        assert signal.session.endswith(f"-{modulation}-{snr}-{index % 20 // 2}")
    check_tenths(splits, 3)


def write_radioml_2018(path: Path, one_hot: np.ndarray) -> np.ndarray:
    samples = normal(len(one_hot), 1024)
    with h5py.File(path, "w") as file:
        file["X"] = np.stack([samples.real, samples.imag], axis=2)
        file["Y"] = one_hot.astype(np.int64)
        file["Z"] = np.repeat([-20, 30, -20, 30], len(one_hot) // 4)[:, None].astype(np.int64)
    return samples


def test_radioml_2018(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    one_hot = np.eye(24)[np.repeat([3, 23], 20)]
    samples = write_radioml_2018(tmp_path / "raw/GOLD_XYZ_OSC.0001_1024.hdf5", one_hot)
    signals, splits = built("radioml-2018", tmp_path / "raw", tmp_path / "out")
    np.testing.assert_allclose(np.stack([signal.values[:, 0, 0] for signal in signals]), samples, rtol=1e-6)
    assert [s.labels["modulation"] for s in signals] == ["BPSK"] * 20 + ["OQPSK"] * 20
    assert [s.labels["snr"] for s in signals] == [-20.0] * 10 + [30.0] * 10 + [-20.0] * 10 + [30.0] * 10
    check_tenths(splits, 4)


def test_radioml_2018_with_rows_that_are_not_one_hot(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    one_hot = np.eye(24)[np.repeat([3, 23], 4)]
    one_hot[5, 7] = 1
    write_radioml_2018(tmp_path / "raw/GOLD_XYZ_OSC.0001_1024.hdf5", one_hot)
    with pytest.raises(
        ShardError, match=r"label modulation of sample 5 is .* expected a number below 24, or a one-hot vector of 24"
    ):
        built("radioml-2018", tmp_path / "raw", tmp_path / "out")


def test_radcom(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    rng = np.random.default_rng(0)
    with h5py.File(tmp_path / "raw/RadComOta2.45GHz.hdf5", "w") as file:
        for modulation, waveform, snr in [
            ("BPSK", "SATCOM", "-2"),
            ("BPSK", "SATCOM", "-20"),
            ("PULSED", "Radar", "18"),
        ]:
            for number in range(20):
                file[str((modulation, waveform, snr, str(number)))] = rng.normal(size=256)
    signals, splits = built("radcom", tmp_path / "raw", tmp_path / "out")
    assert len(signals) == 60
    assert signals[-1].labels == {"modulation": "PULSED", "waveform": "Radar", "snr": 18.0}
    check_tenths(splits, 3)


def test_powder(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    recordings = {}
    for seed, name in enumerate(["4G_Day_1_bes_s1", "5G_Day_1_meb_s5", "Wifi_Day_2_honors_s4"]):
        recordings[name] = normal(2100, seed=seed)
        place = {"transmitter": {"core:location": name.split("_")[3]}}
        (raw / f"{name}.bin").write_bytes(recordings[name].tobytes())
        (raw / f"{name}.json").write_text(json.dumps(ABOUT | {"annotations": place}))
    signals, splits = built("powder", raw, tmp_path / "out")
    assert [signal.labels for signal in signals[::2]] == [
        {"transmitter": "bes", "standard": "4g"},
        {"transmitter": "meb", "standard": "5g"},
        {"transmitter": "honors", "standard": "wifi"},
    ]
    np.testing.assert_array_equal(signals[3].values[:, 0, 0], recordings["5G_Day_1_meb_s5"][1024:2048])
    assert splits["day"]["test"] == {"Wifi_Day_2_honors_s4"}
    assert splits["recording"] == {
        "train": {"4G_Day_1_bes_s1"},
        "valid": {"Wifi_Day_2_honors_s4"},
        "test": {"5G_Day_1_meb_s5"},
    }
