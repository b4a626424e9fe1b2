"""Values and tones of PicoScenes frames of every device: hand-made frames with known numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.files import written
from helpers.picoscenes import (
    AX200,
    LEGACY_ORDER,
    NON_HT,
    QCA9300,
    USRP,
    ax200,
    frame,
    indices,
    integers,
    intel_5300,
    qca9300,
    usrp,
)

from foundation.readers.wifi import intel5300, picoscenes


class TestDevices:
    @pytest.mark.parametrize("version", [1, 2, 3, 4])
    def test_intel_5300_in_the_order_of_its_ports(self, tmp_path: Path, version: int) -> None:
        fields = [integers(seed, (30, 3, 2), 8) for seed in range(2)]
        orders = [(1, 0, 2), (1, 2, 0)]
        frames = [
            frame(intel_5300(f, version=version, antennas=o[0] | o[1] << 2 | o[2] << 4), 1000 * i)
            for i, (f, o) in enumerate(zip(fields, orders, strict=True))
        ]
        (signal,) = picoscenes.read(written(tmp_path / "a.csi", *frames))
        assert [(link.rx, link.tx) for link in signal.links] == [(r, t) for r in range(3) for t in range(2)]
        for packet, order in enumerate(orders):
            for chain, port in enumerate(order):
                for tx in range(2):
                    np.testing.assert_array_equal(signal.values[packet, 2 * port + tx], fields[packet][:, chain, tx])
        assert indices(signal) == intel5300.INDICES_20MHZ.tolist()
        np.testing.assert_allclose(signal.time_s, [0, 1e-3], atol=1e-12)
        assert (signal.carrier_hz, signal.bandwidth_hz, signal.device) == (2.412e9, 20e6, "Intel 5300")

    def test_intel_5300_with_two_antennas_and_at_forty_megahertz(self, tmp_path: Path) -> None:
        field = integers(0, (30, 2, 1), 8)
        path = written(tmp_path / "a.csi", frame(intel_5300(field, mhz=40, antennas=0b010010), 0))
        (signal,) = picoscenes.read(path)
        assert indices(signal) == intel5300.INDICES_40MHZ.tolist()
        np.testing.assert_array_equal(signal.values[0, :, :15], field[:15, :, 0].T)
        np.testing.assert_array_equal(signal.values[0, :, 15:], -1j * field[15:, :, 0].T)

    @pytest.mark.parametrize("mhz", [20, 80])
    def test_packets_without_ht_in_a_wide_channel(self, tmp_path: Path, mhz: int) -> None:
        """They have 20 MHz; `shift` says where, and the carrier is the centre of the channel."""
        stored = integers(3, (2, 1, 52), 9)
        csi = ax200(stored, NON_HT, mhz=mhz, shift=-96, carrier_hz=5_775_000_000)
        (signal,) = picoscenes.read(written(tmp_path / "a.csi", frame(csi, 0, AX200, ax_clock=1)))
        assert indices(signal) == [k - 96 for k in range(-26, 27) if k]
        np.testing.assert_array_equal(signal.values[0], stored[:, 0, np.argsort(LEGACY_ORDER)].conj())
        assert (signal.carrier_hz, signal.bandwidth_hz) == (5.775e9, 20e6)

    @pytest.mark.parametrize(("mhz", "tones"), [(20, 56), (40, 114)])
    def test_qca9300(self, tmp_path: Path, mhz: int, tones: int) -> None:
        field = integers(1, (tones, 2, 3), 10)
        (signal,) = picoscenes.read(written(tmp_path / "a.csi", frame(qca9300(field, mhz=mhz), 5, QCA9300)))
        turned = np.where((np.array(indices(signal)) > 0) & (mhz == 40), -1j, 1)
        for rx in range(3):
            for tx in range(2):
                np.testing.assert_array_equal(signal.values[0, 2 * rx + tx], field[:, tx, rx] * turned)
        assert indices(signal)[0] == -indices(signal)[-1] == {20: -28, 40: -58}[mhz]

    def test_ax200_is_the_conjugate_without_pilots(self, tmp_path: Path) -> None:
        stored = integers(2, (2, 2, 56), 9)
        path = written(tmp_path / "a.csi", frame(ax200(stored), 0, AX200, ax_clock=5))
        (signal,) = picoscenes.read(path)
        measured = ~np.isin(np.abs(indices(signal)), [7, 21])
        np.testing.assert_array_equal(signal.mask, np.broadcast_to(measured, signal.values.shape))
        wanted = np.where(measured, stored.conj().reshape(4, 56), 0)
        np.testing.assert_array_equal(signal.values[0], wanted)

    def test_ax200_legacy_is_put_in_the_order_of_frequency(self, tmp_path: Path) -> None:
        stored = np.broadcast_to(np.array(LEGACY_ORDER) + 100j, (2, 1, 52))
        (signal,) = picoscenes.read(written(tmp_path / "a.csi", frame(ax200(stored, NON_HT), 0, AX200, ax_clock=5)))
        assert indices(signal) == [*range(-26, 0), *range(1, 27)]
        np.testing.assert_array_equal(signal.values[0, 1], np.array(indices(signal)) - 100j)
        assert signal.mask.all()

    @pytest.mark.parametrize("matrix", [b"BBv1", b"BBv2"])
    def test_usrp_lists_its_tones(self, tmp_path: Path, matrix: bytes) -> None:
        field = integers(3, (2, 3, 6), 12) / 4096
        numbers = [-7, -3, -1, 1, 4, 9]
        (signal,) = picoscenes.read(written(tmp_path / "a.csi", frame(usrp(field, numbers, matrix), 0, USRP)))
        assert indices(signal) == numbers
        np.testing.assert_allclose(signal.values[0], field.reshape(6, 6), rtol=1e-6)
        (shifted,) = picoscenes.read(written(tmp_path / "b.csi", frame(usrp(field, numbers, shift=-32), 0, USRP)))
        assert indices(shifted) == [n - 32 for n in numbers]
