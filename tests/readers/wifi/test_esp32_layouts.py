"""Buffers of the newer ESP32 chips, and the quarter turn of 40 MHz: hand-made lines and small real ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.esp32 import ESP_CSI, ESP_CSI_C5, complex_of, index, line, random_buffer, read_one, written

from foundation.errors import ReadError
from foundation.readers.wifi import esp32_csv
from foundation.readers.wifi.ofdm import HE_SPACING_HZ, SPACING_HZ

#: Numbers -> lowest subcarrier in the buffer, the subcarriers that carry energy, their spacing, the bandwidth.
NEWER = {
    106: (-26, range(1, 27), SPACING_HZ, 20e6),
    114: (-28, range(1, 29), SPACING_HZ, 20e6),
    228: (-28, range(1, 29), SPACING_HZ, 20e6),
    234: (-58, range(2, 59), SPACING_HZ, 40e6),
    468: (-58, range(2, 59), SPACING_HZ, 40e6),
    490: (-122, range(2, 123), HE_SPACING_HZ, 20e6),
    128: (-32, range(1, 29), SPACING_HZ, 20e6),
    256: (-64, range(2, 59), SPACING_HZ, 40e6),
    512: (-128, range(2, 123), HE_SPACING_HZ, 20e6),
}


@pytest.mark.parametrize("size", NEWER)
def test_newer_chips_are_in_order_of_frequency(tmp_path: Path, size: int) -> None:
    lowest, positive, spacing_hz, bandwidth_hz = NEWER[size]
    buffer = random_buffer(size, size)
    signal = read_one(written(tmp_path / "a.csv", line(buffer, 5, ESP_CSI_C5, channel=36)))
    used = index(signal, spacing_hz)
    assert used == [*(-k for k in reversed(positive)), *positive]
    turn = np.where((np.array(used) > 0) & (bandwidth_hz == 40e6), -1j, 1)
    np.testing.assert_array_equal(signal.values[0, 0], complex_of(buffer)[np.array(used) - lowest] * turn)
    assert (signal.carrier_hz, signal.bandwidth_hz) == (5.18e9, bandwidth_hz)
    assert read_one(tmp_path / "a.csv", carrier_hz=5.19e9).carrier_hz == 5.19e9


@pytest.mark.parametrize(("size", "carriers", "tones"), [(256, (32, 96), 56), (512, (64, 192), 114)])
def test_zeros_at_the_carrier_tell_buffers_with_stbc(
    tmp_path: Path, size: int, carriers: tuple[int, ...], tones: int
) -> None:
    buffer = random_buffer(size, size)
    buffer.reshape(-1, 2)[list(carriers)] = 0
    signal = read_one(written(tmp_path / "a.csv", line(buffer, 5, ESP_CSI_C5)))
    assert signal.values.shape == (1, 1, tones)
    assert signal.values[0, 0, 0] == complex_of(buffer)[4 if tones == 56 else 6]


def test_numbers_of_12_bits(tmp_path: Path) -> None:
    """As esp-csi prints them, and as the pairs of bytes of the buffer."""
    numbers = np.random.default_rng(0).integers(-2048, 2048, 52)
    pairs = np.stack([(numbers & 255).astype(np.uint8).view(np.int8), numbers >> 8 & 15], axis=1).ravel()
    for buffer in (numbers, np.append(pairs, [0, 0])):
        signal = read_one(written(tmp_path / "a.csv", line(buffer, 5, ESP_CSI_C5)))
        assert index(signal) == [k for k in range(-26, 27, 2) if k]
        np.testing.assert_array_equal(signal.values[0, 0], complex_of(numbers))
    with pytest.raises(ReadError, match="a number that is not a signed byte or 12-bit integer"):
        esp32_csv.read(written(tmp_path / "a.csv", line(np.full(52, 2048), 5, ESP_CSI_C5)))


def test_a_length_of_no_layout_is_named(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="116 numbers, a length that no documented layout has"):
        esp32_csv.read(written(tmp_path / "a.csv", line(random_buffer(0, 116), 5, ESP_CSI_C5)))


@pytest.mark.parametrize(("size", "names"), [(384, ESP_CSI), (612, ESP_CSI), (234, ESP_CSI_C5), (256, ESP_CSI_C5)])
def test_the_phase_of_one_path_is_continuous_across_the_carrier(tmp_path: Path, size: int, names: str) -> None:
    """The upper half of 40 MHz is sent a quarter turn ahead."""
    highest = {384: 63, 612: 60, 234: 58, 256: 63}[size]
    tones = np.arange(-(highest + (highest == 63)), highest + 1)
    field = 100 * np.exp(0.02j * tones) * np.where(tones > 0, 1j, 1)
    if names == ESP_CSI:
        field = np.roll(field, -int(np.flatnonzero(tones == 0)[0]))
    pairs = np.round(np.stack([field.imag, field.real], axis=1)).astype(int).ravel()
    before = {384: 128, 612: 128}.get(size, 0)
    buffer = np.concatenate([np.ones(before, int), pairs, np.zeros(size - before - len(pairs), int)])
    fields = {"secondary_channel": 2, "bandwidth": 1} if names == ESP_CSI else {}
    signal = read_one(written(tmp_path / "a.csv", line(buffer, 5, names, **fields)))
    row = signal.values[0, 0][signal.mask[0, 0]]
    step = np.angle(row[1:] * row[:-1].conj())
    assert np.abs(step[np.array(np.diff(index(signal))) == 1] - 0.02).max() < 0.02
    assert np.abs(step - 0.02).max() < 0.1


def test_cases_of_40_mhz_and_of_the_c6(cases_root: Path) -> None:
    signal = read_one(cases_root / "esp32-40mhz-quarter-turn" / "ht40_384.csv")
    step = np.angle(signal.values[..., 1:] * signal.values[..., :-1].conj())
    assert signal.values.shape[1:] == (1, 114) and np.abs(step).max() < 0.2
    signal = read_one(cases_root / "esp32-c6-lengths-128-256" / "ht20_len128.csv")
    assert index(signal) == [*range(-28, 0), *range(1, 29)]
