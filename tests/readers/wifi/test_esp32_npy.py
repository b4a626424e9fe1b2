"""The reader of ESP32 amplitudes in `.npy` files: hand-made arrays, other arrays, real recordings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.files import written

from foundation import readers
from foundation.errors import ReadError
from foundation.readers.wifi import esp32_npy


def test_layouts(tmp_path: Path) -> None:
    window = np.random.default_rng(0).uniform(1, 60, (2, 50, 56))
    for name, array in {
        "whole": window[0],
        "whole_t": window[0].T,
        "win": window,
        "win_t": window.swapaxes(1, 2),
    }.items():
        np.save(tmp_path / f"{name}.npy", array)
        signals = esp32_npy.read(tmp_path / f"{name}.npy")
        assert len(signals) == (2 if "win" in name else 1)
        for signal, wanted in zip(signals, window, strict=False):
            np.testing.assert_array_equal(signal.values[:, 0], wanted.astype(np.float32), err_msg=name)
    assert signal.frequency_hz is not None
    assert signal.frequency_hz[[0, 27, 28, 55]].tolist() == [-8.75e6, -312_500, 312_500, 8.75e6]
    assert (signal.kind, signal.is_real, signal.carrier_hz) == ("csi-amplitude", True, 2.437e9)
    assert signal.interval_s == pytest.approx(0.01)


def test_what_was_not_measured_is_invalid(tmp_path: Path) -> None:
    array = np.full((3, 56, 50), 7.0)
    array[0, 3, 4], array[0, 5, 6], array[0, 7, 8] = 0, np.nan, -1000
    array[1] = 0
    np.save(tmp_path / "a.npy", array)
    with pytest.warns(UserWarning, match=rf"{3 + 56 * 50} of {3 * 56 * 50} amplitudes .* 1 of 3 windows"):
        first, last = esp32_npy.read(tmp_path / "a.npy")
    assert sorted(map(tuple, np.argwhere(~first.mask).tolist())) == [(4, 0, 3), (6, 0, 5), (8, 0, 7)]
    assert last.mask.all()


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.ones((4, 30, 50)), r"shape \(4, 30, 50\); expected \[56, packets\]"),
        (np.ones(56), r"shape \(56,\)"),
        (np.ones((0, 56, 50)), r"shape \(0, 56, 50\)"),
        (np.array(["SEATED_RX"]), "<U9: labels and objects are not signals"),
        (np.ones((56, 9), complex), "complex128 entries"),
        (np.zeros((56, 9)), "no amplitude is finite and positive"),
        (np.array([{}], dtype=object), "not a complete numeric"),
    ],
)
def test_other_arrays_are_named(tmp_path: Path, array: np.ndarray, message: str) -> None:
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    with pytest.raises(ReadError, match=message):
        esp32_npy.read(tmp_path / "a.npy")


def test_truncated(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones((56, 50)))
    data = (tmp_path / "a.npy").read_bytes()
    for size in (0, 5, 8, 60, 200, len(data) - 1):
        with pytest.raises(ReadError, match="is empty" if size == 0 else "not a complete numeric"):
            esp32_npy.read(written(tmp_path / "b.npy", data[:size]))


@pytest.mark.real
def test_real_windows_and_executions(data_root: Path) -> None:
    windows = readers.read(data_root / "stability-csi-har/03_WINDOWED/D1/e01_rx_tx-x.npy")
    (whole,) = readers.read(data_root / "stability-csi-har/02_LABELLED/D1/e01_rx_tx-x.npy")
    assert (len(windows), windows[0].values.shape, whole.values.shape) == (29, (50, 1, 56), (1020, 1, 56))
    # Rows run along frequency: the ESP32's buffer order would put the band edges side by side in the middle.
    profile = np.abs(whole.values[:, 0]).mean(axis=0)
    assert abs(profile[28] - profile[27]) < 2 * np.abs(np.diff(profile)).mean() < abs(profile[55] - profile[0])
