"""Data sets of simulated channels: small files in the published layout, built, verified and read back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.arrays import write_matlab73
from helpers.datasets import built, check_workers, normal
from helpers.deepmimo import scenario
from scipy.io import savemat

from foundation.datasets import open_dataset
from foundation.errors import ShardError
from foundation.readers.arrays import deepmimo
from foundation.readers.arrays.deepmimo import Setup


def city(folder: Path, seed: int) -> Path:
    """A scenario whose phases, and so its channels, are its own."""
    rng = np.random.default_rng(seed)
    return scenario(folder, phase=np.where(np.isnan(_POWER), np.nan, rng.uniform(-180, 180, (3, 4))))


_POWER = np.array([[0.0] * 4, [0.0, 0.0, np.nan, np.nan], [np.nan] * 4])


@pytest.mark.filterwarnings("ignore:.*left out 1 of 3 receivers:UserWarning")
def test_deepmimo(tmp_path: Path) -> None:
    for seed, name in enumerate(["city_0_newyork_3p5", "city_1_losangeles_3p5", "asu_campus_3p5"]):
        city(tmp_path / "raw" / name, seed)
    signals, splits = built("deepmimo", tmp_path / "raw", tmp_path / "out", tx=4, subcarriers=16)
    assert {signal.values.shape for signal in signals} == {(1, 4, 16)}
    first = deepmimo.read(tmp_path / "raw/asu_campus_3p5", Setup(tx=4, subcarriers=16))[0]
    np.testing.assert_array_equal(signals[0].values, first.values)
    assert signals[0].labels == {"position": (1.0, 2.0, 1.5), "visibility": "LOS"}
    assert splits["scenario-asu_campus_3p5"] == {
        "train": {"city_0_newyork_3p5", "city_1_losangeles_3p5"},
        "test": {"asu_campus_3p5"},
    }
    for file in (tmp_path / "raw/asu_campus_3p5").glob("power*"):
        file.unlink()
    with pytest.raises(ShardError, match="asu_campus_3p5 has no power_t"):
        open_dataset("deepmimo", raw=tmp_path / "raw")


@pytest.mark.filterwarnings("ignore:.*left out 1 of 3 receivers:UserWarning")
def test_lwm(tmp_path: Path) -> None:
    for seed, name in enumerate(["city_1_losangeles_3p5", "city_12_fortworth", "city_18_denver_3p5"]):
        city(tmp_path / "raw" / name, seed)
    signals, splits = built("lwm", tmp_path / "raw", tmp_path / "out")
    assert {signal.values.shape for signal in signals} == {(1, 32, 32)}
    assert signals[0].frequency_hz is not None
    np.testing.assert_allclose(np.diff(signals[0].frequency_hz), 30e3)
    assert splits == {"lwm": {"train": {"city_1_losangeles_3p5"}, "test": {"city_12_fortworth", "city_18_denver_3p5"}}}


def test_wifo(tmp_path: Path) -> None:
    raw = tmp_path / "D1"
    raw.mkdir()
    fields = {name: normal(2, 6, 4, 16, seed=seed) for seed, name in enumerate(["X_test", "X_train", "X_val"])}
    inside = {"X_test": "X_val", "X_train": "X_train", "X_val": "X_test"}  # the authors' files are crossed
    for name, field in fields.items():
        savemat(raw / f"{name}.mat", {inside[name]: field})
    signals, splits = built("wifo", raw, tmp_path / "out", carrier_hz=1.5e9, spacing_hz=90e3, interval_s=1e-3)
    np.testing.assert_array_equal(np.stack([s.values for s in signals]), np.concatenate(list(fields.values())))
    assert (signals[0].carrier_hz, signals[0].interval_s) == (1.5e9, pytest.approx(1e-3))
    assert splits == {"published": {"train": {"X_train"}, "valid": {"X_val"}, "test": {"X_test"}}}
    with pytest.raises(
        ShardError, match="needs the option 'carrier_hz'; it takes raw, carrier_hz, spacing_hz, interval_s"
    ):
        open_dataset("wifo", raw=raw)


def test_hetercsi(tmp_path: Path) -> None:
    for number in (1, 2):
        folder = tmp_path / "raw" / f"D{number}"
        folder.mkdir(parents=True)
        savemat(folder / "config.mat", {"fc": 4.9e9, "delta_f": 180e3, "delta_t": 5e-4})
        for seed, part in enumerate(("train", "val", "test")):
            arrays = {f"H_{part}": normal(2, 4, 8, 2 * number, seed=seed), f"speed_{part}": np.array([[36.0], [72]])}
            write_matlab73(folder / f"{part}_data.mat", arrays)
    signals, splits = built("hetercsi", tmp_path / "raw", tmp_path / "out")
    assert {signal.values.shape for signal in signals} == {(4, 2, 8), (4, 4, 8)}
    assert [signal.labels["speed"] for signal in signals[:2]] == pytest.approx([10, 20])
    assert splits["published"]["valid"] == {"D1-val_data", "D2-val_data"}
    assert splits["scenario-D2"]["test"] == {f"D2-{part}_data" for part in ("train", "val", "test")}


def test_contrawimae(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    for seed, name in enumerate(("boston", "campus")):
        np.savez(tmp_path / f"raw/{name}.npz", channels=normal(3, 1, 32, 16, seed=seed))
    signals, splits = built("contrawimae", tmp_path / "raw", tmp_path / "out", carrier_hz=3.5e9, bandwidth_hz=20e6)
    np.testing.assert_array_equal(signals[3].values[0], normal(3, 1, 32, 16, seed=1)[0, 0])
    assert (signals[3].carrier_hz, signals[3].bandwidth_hz, signals[3].environment) == (3.5e9, 20e6, "campus")
    assert splits["scenario-boston"] == {"train": {"campus"}, "test": {"boston"}}
    options = {"carrier_hz": 3.5e9, "bandwidth_hz": 20e6}
    check_workers("contrawimae", tmp_path / "raw", tmp_path / "out", tmp_path / "parallel", **options)
