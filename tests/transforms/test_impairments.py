"""Receiver impairments against the formulas of their docstrings, and the arguments that they refuse."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from helpers.clocks import TONES, reflector, two_antennas
from helpers.compare import error
from helpers.signals import make_signal
from hypothesis import given, settings
from hypothesis import strategies as st

from foundation.errors import SignalError
from foundation.signal import Signal
from foundation.transforms.impairments import (
    carrier_offset,
    gain_steps,
    iq_imbalance,
    packet_loss,
    phase_noise,
    sampling_offset,
    timing_offset,
)


def test_clock_offsets_are_the_formulas_of_their_docstrings() -> None:
    signal = two_antennas(reflector(0.0, 0.2), time_s=3.0 + np.arange(100) / 500)
    time = signal.time_s - 3.0
    turned = carrier_offset(signal, 40.0, 0.5).values / signal.values
    assert error(turned, np.exp(1j * (2 * np.pi * 40 * time + 0.5))[:, None, None]) < 1e-4
    late = timing_offset(signal, 30e-9).values / signal.values
    assert error(late, np.exp(-2j * np.pi * TONES * 30e-9)) < 1e-4
    drift = sampling_offset(signal, 2e-6).values / signal.values
    assert error(drift, np.exp(-2j * np.pi * TONES * 2e-6 * time[:, None, None])) < 1e-4


def test_phase_noise_has_the_variance_of_its_linewidth() -> None:
    signal = make_signal(values=np.ones((20_000, 2, 1)), times=20_000, links=2, responses=1)
    noisy = phase_noise(signal, 0.2, 1)
    steps = np.angle(noisy.values[1:] * np.conj(noisy.values[:-1]))
    assert np.var(steps[:, 0]) == pytest.approx(2 * np.pi * 0.2 * 0.01, rel=0.05)
    np.testing.assert_allclose(steps[:, 0], steps[:, 1], atol=1e-6)


def test_gain_steps_are_steps_within_their_range() -> None:
    signal = make_signal(values=np.ones((5000, 1, 2)), times=5000, links=1, responses=2)
    level = 20 * np.log10(np.abs(gain_steps(signal, 1.5, 0.1, 4, limit_db=6).values[:, 0, 0]))
    steps = np.abs(np.diff(level))
    assert np.isin(np.round(steps / 1.5, 3), (0, 1)).all()
    assert np.mean(steps > 0.1) == pytest.approx(0.09, abs=0.03)
    assert np.max(np.abs(level)) == pytest.approx(6, abs=1e-3)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**31), share=st.floats(0, 1))
def test_lost_packets_are_whole_and_one_is_left(seed: int, share: float) -> None:
    valid = np.random.default_rng(seed).random((32, 2, 16)) > 0.5
    valid[:, 0, 0] = True
    valid[7] = False
    signal = make_signal(seed, valid=valid, clean=np.ones((32, 2, 16)))
    left = packet_loss(signal, share, seed)
    arrived = left.mask.any(axis=(1, 2))
    np.testing.assert_array_equal(left.mask, valid & arrived[:, None, None])
    assert arrived.any()
    assert (left.clean == signal.clean).all()
    if share == 1:
        assert arrived.sum() == 1
    if share == 0:
        assert (left.mask == valid).all()


def test_loss_has_the_requested_share() -> None:
    signal = make_signal(times=20_000, links=1, responses=1)
    assert np.mean(~packet_loss(signal, 0.3, 1).mask) == pytest.approx(0.3, abs=0.02)


def test_the_image_of_iq_imbalance() -> None:
    g, p = 10 ** (1 / 20), 0.1
    direct, image = (1 + g * np.exp(-1j * p)) / 2, (1 - g * np.exp(1j * p)) / 2
    samples = np.exp(2j * np.pi * np.arange(64) / 8)[:, None, None]
    base = make_signal(values=samples, times=64, links=1, responses=1, frequency_hz=[0.0], kind="iq")
    assert error(iq_imbalance(base, 1.0, 0.1).values, direct * samples + image * np.conj(samples)) < 1e-5
    i, q = samples.real, g * (samples.imag * np.cos(p) - samples.real * np.sin(p))
    assert error(iq_imbalance(base, 1.0, 0.1).values, i + 1j * q) < 1e-5, "an I branch as it is, a Q branch that is off"
    field = reflector(0.0, 0.02)
    tones = two_antennas(field, clean=field)
    truth = direct * field + image * np.conj(field[:, :, ::-1])
    found = iq_imbalance(tones, 1.0, 0.1)
    assert error(found.values, truth) < 1e-4
    assert found.clean is not None
    assert error(found.clean, truth) < 1e-4
    assert error(iq_imbalance(tones, 0.0, 0.0).values, field) < 1e-6


def test_a_tone_without_a_mirror_has_no_image() -> None:
    valid = np.ones((10, 2, 57), bool)
    valid[:, :, 40] = False
    found = iq_imbalance(two_antennas(reflector(0.0, 0.02), valid=valid), 0.0, 0.5)
    direct = (1 + np.exp(-0.5j)) / 2
    assert error(found.values[:, :, 16], direct * reflector(0.0, 0.02)[:, :, 16]) < 1e-5
    assert (found.mask == valid).all()


REAL = {"values": np.ones((32, 2, 16)), "is_real": True}


@pytest.mark.parametrize(
    ("impair", "changes", "said"),
    [
        (lambda s: carrier_offset(s, 1.0), REAL, "no phase"),
        (lambda s: phase_noise(s, -1.0, 0), {}, "linewidth_hz"),
        (lambda s: timing_offset(s, np.zeros(5)), {}, r"expected one number or \(32,\)"),
        (lambda s: timing_offset(s, 0.0), {"frequency_hz": None, "delay_s": np.arange(16) * 1e-9}, "to_frequency"),
        (lambda s: gain_steps(s, 1.0, 0.1, 0), {**REAL, "kind": "rssi"}, "dBm"),
        (lambda s: gain_steps(s, 1.0, 1.1, 0), {}, "rate"),
        (lambda s: packet_loss(s, 1.5, 0), {}, "share"),
        (lambda s: iq_imbalance(s, 1.0, 0.0), REAL, "IQ imbalance"),
    ],
)
def test_impairments_refuse(impair: Callable[[Signal], object], changes: dict[str, object], said: str) -> None:
    with pytest.raises(SignalError, match=said):
        impair(make_signal(**changes))  # type: ignore[arg-type]
