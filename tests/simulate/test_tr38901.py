"""Channels of TR 38.901: those of Sionna, by a seed, and a sentence where it is not installed."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from foundation.errors import MissingExtraError
from foundation.simulate import tr38901
from foundation.simulate.tr38901 import ANTENNAS, FREQUENCY_HZ, SPACING_HZ, SUBCARRIERS, USERS, Scene, drop_users

NO_SIONNA = "the extra sionna is not installed"
UMI, RMA = Scene("UMi", 3.5e9), Scene("RMa", 28e9)


def test_without_sionna_one_sentence_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sionna", None)
    monkeypatch.delitem(sys.modules, "sionna.phy", raising=False)
    with pytest.raises(MissingExtraError, match=r"not installed; run pip install 'foundation\[sionna\]'"):
        drop_users(UMI, 0)


def test_a_drop_depends_on_its_seed_alone_and_leaves_the_process_as_it_was() -> None:
    pytest.importorskip("sionna.phy", reason=NO_SIONNA)
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    first = drop_users(UMI, 7)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads
    drop_users(RMA, 7)
    torch.rand(3)
    again, other = drop_users(UMI, 7), drop_users(UMI, 8)
    for before, now in zip(first, again, strict=True):
        np.testing.assert_array_equal(before, now)
    assert not np.array_equal(first.channel, other.channel)
    assert first.channel.shape == (USERS, ANTENNAS, SUBCARRIERS)
    assert first.in_sight.any()
    assert not first.in_sight.all()
    spacing = np.linalg.norm(np.diff(first.antennas_m, axis=0), axis=1)
    np.testing.assert_allclose(spacing, 299_792_458 / UMI.carrier_hz / 2, rtol=1e-4)


@pytest.mark.parametrize("scene", [UMI, RMA], ids=lambda scene: scene.name)
def test_a_channel_is_what_sionna_makes_of_its_paths(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    channel = pytest.importorskip("sionna.phy.channel", reason=NO_SIONNA)
    model, paths = tr38901._model(scene), []

    class Recorder:
        set_topology, _scenario = model.set_topology, model._scenario

        def __call__(self, *arguments: object) -> object:
            paths.append(model(*arguments))
            return paths[-1]

    monkeypatch.setattr(tr38901, "_model", lambda scene: Recorder())
    found = drop_users(scene, 3).channel
    ((gains, delays),) = paths
    assert delays.shape[:2] == (1, USERS)
    field = channel.cir_to_ofdm_channel(torch.tensor(FREQUENCY_HZ, dtype=torch.float32), gains, delays)
    expected = field[0, :, 0, 0, :, 0].numpy() * 10**-1.5  # a milliwatt
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max(axis=(1, 2)).min())
    assert FREQUENCY_HZ[1] - FREQUENCY_HZ[0] == SPACING_HZ
