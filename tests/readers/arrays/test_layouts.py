"""Layout files: errors in a layout, and every published layout on small files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import yaml
from helpers import ROOT
from helpers.arrays import BASE, normal, write_any, write_matlab73
from scipy.io import savemat

from foundation.errors import ReadError
from foundation.readers.arrays.layouts import load_layout
from foundation.readers.arrays.reader import read

LAYOUTS = ROOT / "shards" / "layouts"


def test_every_layout_file_is_valid_and_tested() -> None:
    names = {path.stem for path in LAYOUTS.glob("*.yaml")}
    own = {"ntu-fi", "ut-har", "mm-fi", "csi-bench", "wifo", "hetercsi", "contrawimae"}
    assert names == own | {"signfi", "xrf55", "radioml-2018"}  # the latter in the tests of their data sets
    for name in names:
        load_layout(LAYOUTS / f"{name}.yaml")


def test_ntu_fi(tmp_path: Path) -> None:
    decibels = np.random.default_rng(0).normal(42, 5, (342, 2000))
    path = tmp_path / "NTU-Fi_HAR" / "train_amp" / "box" / "box1.mat"
    path.parent.mkdir(parents=True)
    savemat(path, {"CSIamp": decibels})
    (signal,) = read(path, load_layout(LAYOUTS / "ntu-fi.yaml"))
    assert signal.values.shape == (2000, 3, 114)
    wanted = 10 ** (decibels.reshape(3, 114, 2000).transpose(2, 0, 1) / 20)
    np.testing.assert_allclose(signal.values, wanted, rtol=1e-5)
    assert (signal.labels, signal.session) == ({"class": "box"}, "train_amp-box-box1")
    assert (signal.kind, signal.is_real, [link.rx for link in signal.links]) == ("csi-amplitude", True, [0, 1, 2])
    assert signal.frequency_hz is not None
    np.testing.assert_array_equal(signal.frequency_hz[[0, 56, 57, 113]] / 312500, [-58, -2, 2, 58])


@pytest.mark.parametrize("shape", [(4, 1, 250, 90), (4, 250, 90)])
def test_ut_har(tmp_path: Path, shape: tuple[int, ...]) -> None:
    field = np.random.default_rng(0).uniform(1, 20, shape)
    for folder, name, array in (("data", "X_val", field), ("label", "y_val", np.array([6.0, 0, 3, 3]))):
        (tmp_path / "UT_HAR" / folder).mkdir(parents=True)
        with (tmp_path / "UT_HAR" / folder / f"{name}.csv").open("wb") as raw:
            np.save(raw, array)
    signals = read(tmp_path / "UT_HAR/data/X_val.csv", load_layout(LAYOUTS / "ut-har.yaml"))
    assert [signal.labels for signal in signals] == [{"activity": text} for text in "6033"]
    for signal, wanted in zip(signals, field.reshape(4, 250, 3, 30), strict=True):
        np.testing.assert_allclose(signal.values, wanted, rtol=1e-6)
    assert signal.frequency_hz is not None
    assert (signal.frequency_hz[[0, 14, 15, 29]] / 312500).tolist() == [-28, -1, 1, 28]


def test_mm_fi(tmp_path: Path) -> None:
    amplitude = np.random.default_rng(0).normal(40, 5, (3, 114, 10))
    phase = np.random.default_rng(1).uniform(-np.pi, np.pi, (3, 114, 10))
    amplitude[0, 5, 2], amplitude[1, 6, 3], phase[2, 7, 4] = -np.inf, np.nan, np.nan
    path = tmp_path / "E01" / "S03" / "A12" / "wifi-csi" / "frame007.mat"
    path.parent.mkdir(parents=True)
    savemat(path, {"CSIamp": amplitude, "CSIphase": phase})
    (signal,) = read(path, load_layout(LAYOUTS / "mm-fi.yaml"))
    assert sorted(map(tuple, np.argwhere(~signal.mask).tolist())) == [(2, 0, 5), (3, 1, 6), (4, 2, 7)]
    wanted = (10 ** (amplitude / 20) * np.exp(1j * phase)).transpose(2, 0, 1)
    np.testing.assert_allclose(signal.values[signal.mask], wanted[signal.mask], rtol=1e-5)
    assert (signal.environment, signal.subject, signal.session) == ("E01", "S03", "E01-S03-A12")
    assert signal.labels == {"activity": "A12"}


def test_csi_bench(tmp_path: Path) -> None:
    path = tmp_path / "tasks/HumanActivityRecognition/sub_Human/user_U07/act_walking/dev_2/session_1.h5"
    path.parent.mkdir(parents=True)
    field = np.random.default_rng(0).uniform(0, 9, (500, 232, 1))
    write_any(path, "h5", {"CSI_amps": field})
    (signal,) = read(path, load_layout(LAYOUTS / "csi-bench.yaml"))
    np.testing.assert_allclose(signal.values[:, 0], field[..., 0], rtol=1e-6)
    assert (signal.subject, signal.labels) == ("user_U07", {"activity": "act_walking"})
    assert signal.interval_s == pytest.approx(0.01)


@pytest.mark.parametrize("format", ["mat5", "mat73"])
def test_wifo(tmp_path: Path, format: str) -> None:
    field = normal(3, 24, 4, 128)
    path = write_any(tmp_path / "X_test.mat", format, {"X_val": field})
    given = load_layout(LAYOUTS / "wifo.yaml", carrier_hz=1.5e9, spacing_hz=90e3, interval_s=1e-3)
    signals = read(path, given)
    np.testing.assert_allclose(np.stack([signal.values for signal in signals]), field, rtol=1e-6)
    assert {link.tx for link in signals[0].links} == {0, 1, 2, 3}
    assert (signals[0].carrier_hz, signals[0].interval_s) == (1.5e9, pytest.approx(1e-3))
    with pytest.raises(ReadError, match="24 times but the layout has no interval_s"):
        read(path, load_layout(LAYOUTS / "wifo.yaml"))
    with pytest.raises(ReadError, match="128 responses but the layout has no spacing_hz"):
        read(path, load_layout(LAYOUTS / "wifo.yaml", interval_s=1e-3))


def test_hetercsi(tmp_path: Path) -> None:
    field = normal(5, 24, 64, 8)
    (tmp_path / "D10").mkdir()
    speed = np.array([[36.0], [72], [108], [3.6], [18]])
    path = write_matlab73(tmp_path / "D10/val_data.mat", {"H_val": field, "speed_val": speed})
    with h5py.File(path) as file:
        assert file["H_val"].shape == (8, 64, 24, 5)  # (U, K, T, B), as published
    config = {"fc": 4.9e9, "K": 64.0, "delta_f": 180e3, "T": 24.0, "delta_t": 5e-4, "UPA": [[2.0, 4.0]]}
    savemat(tmp_path / "D10/config.mat", config | {"scenario": "3GPP_38.901_RMa_LOS"})
    signals = read(path, load_layout(LAYOUTS / "hetercsi.yaml"))
    np.testing.assert_allclose(np.stack([signal.values for signal in signals]), field.transpose(0, 1, 3, 2), rtol=1e-6)
    assert [signal.labels["speed"] for signal in signals] == pytest.approx([10, 20, 30, 1, 5])
    assert (signals[0].carrier_hz, signals[0].interval_s) == (4.9e9, pytest.approx(5e-4))
    assert signals[0].frequency_hz is not None
    np.testing.assert_allclose(np.diff(signals[0].frequency_hz), 180e3)
    assert (signals[0].environment, signals[0].session) == ("D10", "D10-val_data")


def test_contrawimae(tmp_path: Path) -> None:
    field = normal(3, 1, 32, 16)
    path = write_any(tmp_path / "city.npz", "npz", {"channels": field})
    signals = read(path, load_layout(LAYOUTS / "contrawimae.yaml", bandwidth_hz=20e6))
    np.testing.assert_array_equal(np.stack([signal.values for signal in signals]), field)
    assert signals[0].frequency_hz is not None
    np.testing.assert_allclose(np.diff(signals[0].frequency_hz), 20e6 / 16)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"spacing": 3}, r"unknown key 'spacing'; did you mean 'spacing_hz'\? Known here: about"),
        ({"keys": {"amplitud": "H"}}, "unknown key 'keys.amplitud'; did you mean 'amplitude'"),
        ({"carrier_hz": {"kex": "H"}}, "unknown key 'carrier_hz.kex'; did you mean 'key'"),
        ({"labels": {"y": {"key": "y", "fil": "x"}}}, "unknown key 'labels.y.fil'; did you mean 'file'"),
        ({"keys": {"real": "H"}}, "keys: expected one of: complex; imag and real; parts"),
        ({"keys": {}}, "keys: expected one of: complex"),
        ({"axes": ["sample", "frequency"]}, "axis 'frequency'; expected one of sample, time"),
        ({"axes": ["time*sample", "response"]}, "'sample' cannot be joined"),
        ({"axes": ["time", "time"]}, "name one axis twice"),
        ({"axes": ["link", "rx"]}, "'link' beside 'tx' or 'rx'"),
        ({"axes": ["time", "part"]}, "'part' goes with keys.parts"),
        ({"sizes": {"width": 3}}, "axis 'width'"),
        ({"kind": "wifi"}, r"kind: expected one of csi, .* \(got 'wifi'\)"),
        ({"subcarriers": [[2, 1]]}, "subcarriers: expected ranges"),
        ({"subcarriers": [[0, 10**13]]}, "subcarriers: expected ranges"),
        ({"subcarriers": [[0, 9, -1]]}, "subcarriers: expected ranges"),
        ({"sizes": {"rx": 0}}, "sizes.rx: .*greater than or equal to 1"),
        ({"scale": float("nan")}, "scale: .*finite number"),
        ({"carrier_hz": -1.0}, "carrier_hz: .*greater than or equal to 0"),
        ({"interval_s": float("inf")}, "interval_s: .*finite number"),
        ({"path": "("}, "path: expected a regular expression"),
        ({"carrier_hz": "high"}, r"carrier_hz: .* valid number.* \(got 'high'\)"),
        ({"about": None}, "about: .*valid string"),
    ],
)
def test_a_layout_that_is_wrong_says_so(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(BASE | changes))
    with pytest.raises(ReadError, match=r"a\.yaml: .*" + message):
        load_layout(tmp_path / "a.yaml")


@pytest.mark.parametrize(
    ("content", "message"),
    [("a: [", "is not valid YAML"), ("- 1", "expected a mapping"), ("\x00", "not valid YAML")],
)
def test_what_is_no_layout(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "a.yaml").write_text(content)
    with pytest.raises(ReadError, match=message):
        load_layout(tmp_path / "a.yaml")
    with pytest.raises(ReadError, match="no such layout"):
        load_layout(tmp_path / "b.yaml")
