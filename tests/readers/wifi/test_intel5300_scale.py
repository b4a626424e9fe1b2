"""Intel 5300 in units of the noise: the tool's formula by hand, and what csiread makes of real captures."""

from __future__ import annotations

import warnings
from pathlib import Path

import csiread
import numpy as np
import pytest
from helpers.files import written
from helpers.intel5300 import intel_record, random_csi

from foundation.readers.wifi import intel5300


def test_a_packet_by_hand(tmp_path: Path) -> None:
    """RSSI 30, 31, 32, AGC 20, noise -90 dBm, one stream: as `intel_record` writes them."""
    csi = random_csi(0)
    path = written(tmp_path / "a.dat", intel_record(csi, 0), intel_record(csi, 9))
    received = 10 ** ((10 * np.log10(10**3.0 + 10**3.1 + 10**3.2) - 44 - 20) / 10)
    scale = received / ((np.abs(csi) ** 2).sum() / 30)
    expected = csi * np.sqrt(scale / (10**-9.0 + 3 * scale))
    values = intel5300.read(path, scaled=True)[0].values
    np.testing.assert_allclose(values[0], expected[:, :, 0].T, rtol=1e-5)
    np.testing.assert_allclose(intel5300.read(path)[0].values[0], csi[:, :, 0].T)


def test_silence_is_not_blown_up(tmp_path: Path) -> None:
    records = [intel_record(np.zeros((30, 3, 1), complex), clock) for clock in (0, 9)]
    (signal,) = intel5300.read(written(tmp_path / "a.dat", *records), scaled=True)
    assert not signal.values.any()


@pytest.mark.real
def test_equals_csiread_on_real_captures(data_root: Path) -> None:
    for file in sorted((data_root / "captures" / "intel5300").glob("*.dat")):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            signal = intel5300.read(file, interval_s=0.01, scaled=True)[0]
        rx, tx = (1 + max(getattr(link, name) for link in signal.links) for name in ("rx", "tx"))
        other = csiread.Intel(str(file), nrxnum=3, ntxnum=3, if_report=False)
        other.read()
        wanted = np.abs(other.get_scaled_csi()[(other.Nrx == rx) & (other.Ntx == tx)][..., :rx, :tx])
        got = np.abs(signal.values).reshape(-1, rx, tx, 30).transpose(0, 3, 1, 2)
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-9, err_msg=file.name)
