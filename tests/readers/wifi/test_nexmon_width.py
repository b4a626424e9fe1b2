"""Frames narrower than a nexmon_csi capture: hand-made channels with noise beside them, and a small real capture."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from helpers.files import written
from helpers.nexmon import capture, csi, ethernet

from foundation.readers.wifi import nexmon
from foundation.readers.wifi.nexmon_width import Width, derotation, frames_by_width, occupied
from foundation.readers.wifi.ofdm import INDICES
from foundation.signal import Signal

#: A path of 0.1 rad per subcarrier.
SLOPE = 0.1


def bins_of(mhz: int, width: Width, seed: int = 0) -> np.ndarray:
    """FFT bins of a capture of the 43455c0, which stores conjugates: one path inside the width, noise outside."""
    size = mhz * 16 // 5
    tones = np.fft.fftfreq(size, 1 / size).astype(int)
    part = (tones + size // 2) // 64
    turn = {1: np.ones(size), 2: np.where(part > width.start, -1j, 1), 4: np.where(part > 0, -1, 1)}[width.parts]
    noise = np.random.default_rng(seed).normal(0, 30, (2, size))
    inside = (part >= width.start) & (part < width.start + width.parts)
    field = np.where(inside, 1000 * np.exp(1j * SLOPE * tones) * turn, 0) + noise[0] + 1j * noise[1]
    return np.asarray(np.round(field.real) + 1j * np.round(field.imag))


def read(path: Path, mhz: int, frames: list[np.ndarray]) -> Signal:
    packets = [(1 + 0.01 * i, ethernet(csi(bins, mhz=mhz, sequence=i))) for i, bins in enumerate(frames)]
    (signal,) = nexmon.read(written(path / "a.pcap", capture(packets)))
    return signal


@pytest.mark.parametrize(
    ("mhz", "width"),
    [
        (40, Width(0, 1)),
        (40, Width(1, 1)),
        *((80, Width(start, parts)) for start, parts in [(0, 1), (1, 1), (2, 1), (3, 1), (0, 2), (2, 2)]),
    ],
)
def test_what_a_narrow_frame_does_not_occupy_is_invalid(tmp_path: Path, mhz: int, width: Width) -> None:
    with pytest.warns(UserWarning, match="3 of 3 frames are narrower than the capture"):
        signal = read(tmp_path, mhz, [bins_of(mhz, width, seed) for seed in range(3)])
    half = 32 * mhz // 20
    indices = INDICES[{40: 114, 80: 242}[mhz]]
    inside = (indices >= 64 * width.start - half) & (indices < 64 * (width.start + width.parts) - half)
    np.testing.assert_array_equal(signal.mask, np.broadcast_to(inside, signal.mask.shape))
    step = signal.values[..., inside][..., 1:] * signal.values[..., inside][..., :-1].conj()
    near = np.diff(indices[inside]) == 1
    assert np.abs(np.angle(step[..., near]) - SLOPE).max() < 0.3


def test_widths_may_change_from_frame_to_frame(tmp_path: Path) -> None:
    kinds = [Width(0, 4), Width(0, 2), Width(3, 1), Width(0, 4)]
    with pytest.warns(UserWarning, match="2 of 4 frames are narrower"):
        signal = read(tmp_path, 80, [bins_of(80, width, i) for i, width in enumerate(kinds)])
    assert signal.mask[:, 0].sum(axis=1).tolist() == [242, 121, 59, 242]


@pytest.mark.parametrize("mhz", [40, 80])
def test_frames_that_fill_the_capture_are_valid_even_where_they_fade(tmp_path: Path, mhz: int) -> None:
    whole = Width(0, mhz // 20)
    bins = bins_of(mhz, whole)
    tones = np.fft.fftfreq(len(bins), 1 / len(bins))
    faded = np.round(bins * np.where(tones > 0, 0.3, 1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        signal = read(tmp_path, mhz, [bins, faded, np.zeros(len(bins))])
    assert signal.mask.all()
    step = np.angle(signal.values[:2, :, 1:] * signal.values[:2, :, :-1].conj())
    assert np.abs(step[..., np.diff(INDICES[signal.values.shape[2]]) == 1] - SLOPE).max() < 0.9


def test_weak_frames_are_narrow_too(tmp_path: Path) -> None:
    """At 7 dB above the noise in the part that they occupy."""
    frames = [bins_of(80, Width(1, 1), seed) for seed in range(40)]
    noise = np.random.default_rng(1).normal(0, 316, (2, 40, 256))
    weak = [
        np.round((f.real + n).clip(-9999, 9999)) + 1j * np.round(f.imag + m)
        for f, n, m in zip(frames, *noise, strict=True)
    ]
    with pytest.warns(UserWarning, match="of 40 frames are narrower"):
        signal = read(tmp_path, 80, weak)
    assert (signal.mask[:, 0].sum(axis=1) == 63).mean() > 0.9


def test_widths_and_rotations_by_hand() -> None:
    indices = INDICES[242]
    assert frames_by_width(np.ones((2, 1, 56), np.complex64), INDICES[56])[Width(0, 1)].tolist() == [0, 1]
    assert indices[occupied(indices, Width(2, 2))].tolist() == list(range(2, 123))
    upper = derotation(indices, Width(2, 2), -1j)
    np.testing.assert_array_equal(upper, np.where(indices >= 64, -1j, 1))
    np.testing.assert_array_equal(derotation(indices, Width(0, 4), -1j), np.where(indices >= -64, -1, 1))
    assert np.all(derotation(indices, Width(3, 1), -1j) == 1)


def test_frames_of_40_mhz_in_a_capture_of_80(cases_root: Path) -> None:
    with pytest.warns(UserWarning, match="2 of 2 frames are narrower"):
        (signal,) = nexmon.read(cases_root / "nexmon-narrow-frame-in-wide-capture" / "two_frames.pcap")
    indices = INDICES[242]
    np.testing.assert_array_equal(signal.mask, np.broadcast_to(indices < 0, signal.mask.shape))
    row = signal.values[0, 0]  # the second frame leaves out the subcarriers beside -64
    across = np.angle(row[indices == -62] * row[indices == -66].conj())[0]
    below = np.angle(row[indices == -66] * row[indices == -70].conj())[0]
    assert abs(across - below) < 0.2


@pytest.mark.filterwarnings("ignore:.*narrower than the capture:UserWarning")
def test_an_incomplete_last_packet(cases_root: Path) -> None:
    with pytest.warns(UserWarning, match="packet 2 at byte 2224 .* it is left out, and the 2 before it are read"):
        (signal,) = nexmon.read(cases_root / "last-record-cut" / "nexmon.pcap")
    assert len(signal.time_s) == 2
