"""DeepMIMO scenarios: against numbers of the deepmimo package, against geometry, and on malformed files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.deepmimo import NAN, rays, scenario

from foundation.errors import ReadError
from foundation.readers.arrays import deepmimo
from foundation.readers.arrays.deepmimo import Setup

SETUP = Setup(tx=4, rx=2, bandwidth_hz=10e6, subcarriers=8)
#: deepmimo 4.0.5, compute_channels of RAYS with arrays [4, 1] and [2, 1], times the root of 8 subcarriers; the phases
#: were rotated beforehand so that its subcarrier 0 is at the frequency of ours. Receiver 0, rx 1, tx 2; receiver 1, rx
#: 0, tx 3.
FROM_DEEPMIMO = {
    (0, 1, 2): (-1.71136000e-05 - 1.07528800e-05j, 1.31735861e-05 + 5.94172297e-06j, 1.81548643e-05 + 6.46217121e-06j),
    (1, 0, 3): (1.00690467e-04 - 3.91384294e-05j, -8.84773068e-05 + 6.34385082e-05j, 5.48605853e-05 + 8.79452337e-05j),
}


@pytest.mark.parametrize("format", ["npz", "mat", "npy"])
def test_equals_what_the_deepmimo_package_computes(tmp_path: Path, format: str) -> None:
    with pytest.warns(UserWarning, match="left out 1 of 3 receivers"):
        signals = deepmimo.read(scenario(tmp_path / "city_0", format=format), SETUP)
    for (receiver, rx, tx), (first, second, last) in FROM_DEEPMIMO.items():
        got = signals[receiver].values[0, rx * 4 + tx]
        np.testing.assert_allclose(got[[0, 1, 7]], [first, second, last], rtol=2e-5)
    assert [signal.labels["visibility"] for signal in signals] == ["LOS", "NLOS"]
    assert [signal.labels["position"] for signal in signals] == [(1.0, 2.0, 1.5), (3.0, 4.0, 1.5)]


def test_axes_and_antennas(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="left out 1"):
        signal = deepmimo.read(scenario(tmp_path / "city_0"), SETUP)[0]
    assert (signal.kind, signal.carrier_hz, signal.bandwidth_hz, signal.session) == ("channel", 3.5e9, 10e6, "city_0")
    assert signal.frequency_hz is not None
    np.testing.assert_allclose(signal.frequency_hz, (np.arange(8) - 3.5) * 1.25e6)
    assert [(link.rx, link.tx) for link in signal.links] == [(r, t) for r in range(2) for t in range(4)]
    half_wavelength = 299_792_458 / 3.5e9 / 2
    assert signal.links[6].tx_position_m == pytest.approx((0, 7 + 2 * half_wavelength, 10))
    assert signal.links[6].rx_position_m is None  # the label must not be among the inputs


def test_a_far_point_is_a_plane_wave_from_its_direction(tmp_path: Path) -> None:
    """From antenna to antenna the phase is that of the difference of distances, over frequency that of the delay."""
    place = np.array([4000.0, 3000.0, -1200.0])
    distance = float(np.linalg.norm(place))
    carrier, speed = 28e9, 299_792_458.0
    azimuth, zenith = np.degrees(np.arctan2(place[1], place[0])), np.degrees(np.arccos(place[2] / distance))
    single = {key: [[0.0]] for key in ("phase", "aoa_az", "aoa_el", "inter")}
    given = single | {"power": [[-60.0]], "delay": [[distance / speed]], "aod_az": [[azimuth]], "aod_el": [[zenith]]}
    folder = scenario(tmp_path / "far", **given, rx_pos=[place], tx_pos=[[0, 0, 0]])
    (signal,) = deepmimo.read(folder, Setup(tx=3, bandwidth_hz=1e6, subcarriers=5, carrier_hz=carrier))
    antennas = np.array([link.tx_position_m for link in signal.links])
    closer = distance - np.linalg.norm(place - antennas, axis=1)
    got = signal.values[0]
    np.testing.assert_allclose(np.abs(got), 1e-3, rtol=1e-5)
    np.testing.assert_allclose(got[:, 2] / got[0, 2], np.exp(2j * np.pi * carrier / speed * closer), atol=2e-3)
    wanted = np.exp(-2j * np.pi * 200e3 * distance / speed)
    np.testing.assert_allclose(got[:, 1:] / got[:, :-1], np.full((3, 4), wanted), rtol=1e-4)


def test_a_single_npz_and_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez(tmp_path / "city.npz", **rays())
    head = (tmp_path / "city.npz").read_bytes()[:4096]
    assert deepmimo.sniff(head)
    with pytest.warns(UserWarning, match="left out 1"):
        whole = deepmimo.read(tmp_path / "city.npz", SETUP)
    monkeypatch.setattr(deepmimo, "_BLOCK", 1)
    with pytest.warns(UserWarning, match="left out 1"):
        parts = deepmimo.read(tmp_path / "city.npz", SETUP)
    for a, b in zip(whole, parts, strict=True):
        np.testing.assert_allclose(a.values, b.values, rtol=1e-5, atol=1e-12)
    assert (whole[0].session, whole[0].carrier_hz, whole[0].links[0].tx_position_m) == ("city", 0.0, None)


def test_every_transmitter_and_scene_of_a_folder_is_read(tmp_path: Path) -> None:
    for scene in ("scene_0", "scene_1"):
        for name in ("t001_tx000_r000", "t001_tx001_r000"):
            scenario(tmp_path / "moving" / scene, name)
    with pytest.warns(UserWarning, match="left out 4 of 12"):
        signals = deepmimo.read(tmp_path / "moving", Setup(subcarriers=4))
    assert len(signals) == 8
    assert {signal.session for signal in signals} == {"moving"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"power": np.zeros((3, 5))}, r"phase has shape \(3, 4\); expected \(3, 5\)"),
        ({"rx_pos": np.zeros((2, 3))}, r"rx_pos has shape \(2, 3\); expected \(3, 3\)"),
        ({"tx_pos": [[0.0, NAN, 1]]}, "tx_pos has an entry that is not finite"),
        ({"power": np.zeros(3)}, "expected"),
        ({"power": np.full((3, 4), NAN)}, "none of its 3 receivers has a path"),
    ],
)
def test_matrices_that_do_not_agree(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    with pytest.raises(ReadError, match=message):
        deepmimo.read(scenario(tmp_path / "city", **changes), SETUP)


def test_what_is_no_scenario(tmp_path: Path) -> None:
    folder = scenario(tmp_path / "city")
    (folder / "params.json").write_text('{"rt_params": {}}')
    with pytest.raises(ReadError, match=r"params\.json: has no number rt_params.frequency.*Setup\(carrier_hz"):
        deepmimo.read(folder)
    (folder / "phase_t001_tx000_r000.npz").write_bytes(b"PK\x03\x04")
    with pytest.raises(ReadError, match=r"phase_t001_tx000_r000\.npz: is truncated or damaged"):
        deepmimo.read(folder, Setup(carrier_hz=1e9))
    (folder / "phase_t001_tx000_r000.npz").unlink()
    with pytest.raises(ReadError, match=r"has no phase_t001_tx000_r000\.npz beside the others"):
        deepmimo.read(folder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ReadError, match="has no matrix; expected DeepMIMO files"):
        deepmimo.read(tmp_path / "empty")
    with pytest.raises(ReadError, match="there is no such file"):
        deepmimo.read(tmp_path / "gone.npz")
    with pytest.raises(ReadError, match="at least one antenna"):
        Setup(tx=0)
    assert not deepmimo.sniff(b"PK\x03\x04")
    assert not deepmimo.sniff(b"")
