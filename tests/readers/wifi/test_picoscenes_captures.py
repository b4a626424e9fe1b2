"""The PicoScenes reader on real captures: against another program, and the continuity of the phase."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.picoscenes import LEGACY_ORDER, indices, quietly

from foundation.readers.wifi import feitcsi, picoscenes

FILES = [
    "picoscenes_ax200_agcdemo",
    "picoscenes_ax200_example",
    "picoscenes_iwl5300_example",
    "picoscenes_iwl5300_example2",
    "rx_8_211119_171706",
    "rx_8_211206_152319",
    "rx_8_211206_161457",
    "rx_8_211217_191036",
    "rx_by_iwl5300",
    "rx_by_qca9300",
    "rx_by_usrpN210",
]


@pytest.mark.real
class TestReal:
    @pytest.mark.parametrize("name", FILES)
    def test_equals_what_another_program_decoded(self, data_root: Path, name: str) -> None:
        """It keeps the frames of the first shape, in the order of the file.

        It leaves Intel AX values conjugate and legacy ones in the order of the firmware, and adds 1 to both parts of
        every QCA9300 value, which two's complement does not: csiread and the Atheros CSI Tool do not either.
        """
        golden = np.load(data_root / "captures" / "golden" / f"picoscenes__{name}.csi.npz", allow_pickle=False)
        wanted = golden["csi_first50"].transpose(0, 2, 3, 1)
        signals = quietly(data_root / "captures" / "picoscenes" / f"{name}.csi")
        assert sum(len(signal.time_s) for signal in signals) == int(golden["n_frames"])
        is_ax, is_qca = signals[0].device == "Intel AX200", "QCA9300" in signals[0].device
        links = wanted.shape[1] * wanted.shape[2]
        alike = [s for s in signals if len(s.links) == links and s.values.shape[2] == wanted.shape[3]]
        times = np.concatenate([signal.time_s for signal in alike])
        order = np.argsort(times)[: len(wanted)]
        got = np.concatenate([signal.values for signal in alike])[order]
        measured = alike[0].mask[0, 0]
        wanted = wanted.reshape(len(wanted), links, -1)
        if is_ax:
            wanted = wanted.conj()
            if wanted.shape[2] == 52:
                wanted = wanted[..., np.argsort(LEGACY_ORDER)]
        if is_qca:
            wanted = wanted - (1 + 1j)
        np.testing.assert_allclose(got[..., measured], wanted[..., measured], rtol=1e-5)
        assert measured.sum() == {56: 52 if is_ax else 56, 52: 52, 30: 30}[len(measured)]
        clocks = np.sort(np.concatenate([signal.time_s for signal in signals]))[: len(golden["ts"])]
        np.testing.assert_allclose(clocks, golden["ts"] - golden["ts"][0], atol=2e-6)

    def test_phase_of_intel_ax_is_continuous(self, data_root: Path) -> None:
        """The order of the tones: the phase of legacy packets jumps at random if the pilots are assigned elsewhere."""
        for name in ("rx_8_211206_152319", "rx_8_211206_161457", "rx_8_211217_191036"):
            legacy, ht = quietly(data_root / "captures" / "picoscenes" / f"{name}.csi")[:2]
            assert (legacy.values.shape[2], ht.values.shape[2]) == (52, 56)
            for signal in (legacy, ht):
                tones = np.array(indices(signal))[signal.mask[0, 0]]
                field = signal.values[..., signal.mask[0, 0]]
                step = field[..., 1:] * field[..., :-1].conj()
                turn = np.angle(step.sum(axis=0))
                assert np.abs(step.sum(axis=0)).min() > 0.95 * np.abs(step).sum(axis=0).min()
                slope = np.median(turn / np.diff(tones))
                assert slope < 0
                assert np.abs(turn - slope * np.diff(tones)).max() < 0.2, name

    def test_files_are_recognised(self, data_root: Path) -> None:
        for folder in sorted((data_root / "captures").iterdir()):
            if folder.is_dir() and folder.name not in ("golden", "matlab_reference"):
                for file in sorted(folder.iterdir()):
                    head = file.read_bytes()[:4096]
                    assert picoscenes.sniff(head) == (folder.name == "picoscenes"), file
                    assert feitcsi.sniff(head) == (folder.name == "feitcsi"), file
