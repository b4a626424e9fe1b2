"""The nexmon_csi reader on real recordings of four chips: against other programs, and the physics of the field."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from foundation.readers.wifi import nexmon, pcap
from foundation.readers.wifi.ofdm import INDICES
from foundation.signal import Signal

#: The frames of each capture: their highest subcarrier, and the factors that undo their rotation.
FRAMES = {
    "example": (128, np.where(INDICES[242] >= -64, -1, 1)),
    "example_4339": (-64, np.ones(242)),
    "example_43455c0": (0, np.where(INDICES[242] >= -64, 1j, 1)),
    "example_4366c0": (-64, np.ones(242)),
}


def real(data_root: Path, name: str) -> Signal:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*repeat another bit for bit|.*narrower than the capture")
        (signal,) = nexmon.read(data_root / "captures" / "nexmon" / f"{name}.pcap")
    return signal


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "chip", "shape", "carrier_hz"),
    [
        ("example", "4358", (1, 4, 242), 5.775e9),
        ("example_4339", "4339", (950, 1, 242), 5.21e9),
        ("example_43455c0", "43455c0", (566, 1, 242), 5.21e9),
        ("example_4366c0", "4366c0", (293, 1, 242), 5.53e9),
    ],
)
def test_equals_what_another_program_decoded(
    data_root: Path, name: str, chip: str, shape: tuple[int, int, int], carrier_hz: float
) -> None:
    """The other program keeps FFT order, the rotations and the noise outside of narrow frames, reads the four datagrams
    of `example` as four frames, and returns the three equal streams of the 4339."""
    golden = np.load(data_root / "captures" / "golden" / f"nexmon__{name}.pcap.npz", allow_pickle=False)
    signal = real(data_root, name)
    assert (signal.values.shape, signal.carrier_hz, signal.bandwidth_hz) == (shape, carrier_hz, 80e6)
    pilots = np.isin(np.abs(INDICES[242]), nexmon.PILOTS)
    assert signal.device == f"Broadcom BCM{chip}"
    highest, derotation = FRAMES[name]
    measured = (INDICES[242] < highest) & ~(pilots & (name == "example"))
    np.testing.assert_array_equal(signal.mask, np.broadcast_to(measured, shape))
    wanted = golden["csi_first50"][:, INDICES[242]] * derotation.reshape(-1, *[1] * (golden["csi_first50"].ndim - 2))
    wanted = (
        wanted.reshape(1, 4, 242) if name == "example" else np.moveaxis(wanted, 1, -1).reshape(len(wanted), -1, 242)
    )
    for link in range(wanted.shape[1]):
        got = signal.values[:50, min(link, shape[1] - 1)]
        np.testing.assert_allclose(got, np.where(signal.mask[:50, 0], wanted[:, link], 0), rtol=1e-5)
    if name != "example":
        np.testing.assert_allclose(signal.time_s[:50], golden["ts"] - golden["ts"][0], atol=5e-3)


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "chip"), [("example", "4358"), ("example_43455c0", "43455c0"), ("example_4366c0", "4366c0")]
)
def test_equals_what_the_vendor_decoded(data_root: Path, name: str, chip: str) -> None:
    """The vendor's program passes over datagrams with bytes after the last bin and leaves rows of 0 at the end."""
    file = data_root / "captures" / "nexmon" / f"{name}.pcap"
    wanted = scipy.io.loadmat(data_root / "captures" / "matlab_reference" / "nexmon" / f"example_{chip}.mat")[
        "csi_buff"
    ]
    exact = pcap.datagrams(file.read_bytes(), nexmon.PORT, file).size == 18 + 1024
    assert exact.sum() == wanted.any(axis=1).sum()
    signal = real(data_root, name)
    got, measured = signal.values.reshape(-1, 242)[exact], signal.mask.reshape(-1, 242)[exact]
    wanted = wanted[: exact.sum(), INDICES[242]] * FRAMES[name][1]
    np.testing.assert_allclose(got, np.where(measured, wanted, 0), rtol=1e-5)


@pytest.mark.real
def test_pilots_of_several_streams_hold_their_sum(data_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Why they are invalid: against the mean of the neighbours, stream 0 has the sum there and stream 1 nothing."""
    pilots = np.flatnonzero(np.isin(np.abs(INDICES[242]), nexmon.PILOTS))
    monkeypatch.setattr(nexmon, "PILOTS", ())
    field = real(data_root, "example").values[0].reshape(2, 2, 242)  # core, stream
    near = (field[..., pilots - 1] + field[..., pilots + 1]) / 2
    together = field[:, 0, pilots] / near.sum(axis=1)
    assert np.abs(together - 1.1).max() < 0.4 and abs(together.mean() - 1.12) < 0.05
    assert np.all(np.abs(field[:, 1, pilots]) < 0.2 * np.abs(near[:, 1]))


@pytest.mark.real
def test_the_4358_rotates_the_phase_near_the_carrier_equally_on_all_links(data_root: Path) -> None:
    """As a high-pass of 0.6 MHz does, arctan(f0 / f): it is the receiver's, so it is left in, as by the vendor."""
    signal = real(data_root, "example")
    index = INDICES[242]
    near = (np.abs(index) <= 40) & ~np.isin(np.abs(index), nexmon.PILOTS)
    turns = np.exp(1j * np.arange(-1, 1, 0.005)[:, None] * index[near])
    for row in signal.values[0][:, near]:
        phase = row / np.abs(row)
        plain = np.abs(turns @ phase).max() / near.sum()
        undone = np.abs(turns @ (phase * np.exp(-1j * np.arctan(2 / index[near])))).max() / near.sum()
        assert undone > 0.997 > 0.98 > plain


@pytest.mark.real
def test_phase_is_continuous_where_the_standard_rotates_it(data_root: Path) -> None:
    """`example` is the one capture of frames that fill the 80 MHz."""
    signal = real(data_root, "example")
    for row in signal.values[0]:
        step = np.angle(row[1:] * row[:-1].conj())
        at = int(np.flatnonzero(INDICES[242] == -64)[0]) - 1
        assert abs(step[at] - np.median(step[at - 8 : at + 9])) < 0.3


@pytest.mark.real
def test_campus_captures_hold_the_channels_of_their_survey(data_root: Path) -> None:
    files = sorted((data_root / "csu-indoorloc-nexmon" / "data").glob("*/*.pcap"))
    assert len(files) == 13
    for file in files[:3] + files[-3:]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            (signal,) = nexmon.read(file)
        assert len(signal.time_s) == int(file.stem.split("_")[-1])
        assert (signal.values.shape[1:], signal.bandwidth_hz) == ((1, 56), 20e6)
        assert signal.carrier_hz in (5.24e9, 5.28e9, 5.32e9, 5.54e9, 5.7e9)
        outer, inner = np.abs(signal.values[:, 0, [0, 55]]).mean(), np.abs(signal.values[:, 0, 1:55]).mean()
        assert 0.2 < outer / inner < 2  # nothing of the direct current or the guard bands, which are 10 times larger
