"""Cumulants against the values that Swami and Sadler tabulate, and against what they must not depend on."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.signals import make_signal

from foundation.errors import SignalError
from foundation.evaluate.baselines.cumulants import CUMULANTS, cumulant_features, cumulants
from foundation.evaluate.baselines.features import hand_features
from foundation.signal import Link, Signal

BPSK = np.array([-1.0, 1.0])
QPSK = np.exp(0.5j * np.pi * (np.arange(4)))
PSK8 = np.exp(0.25j * np.pi * np.arange(8))
PAM4 = np.array([-3.0, -1.0, 1.0, 3.0])
QAM16 = (PAM4[:, None] + 1j * PAM4).ravel()


@pytest.mark.parametrize(
    ("points", "c20", "c40", "c42", "c63"),
    [
        (BPSK, 1, -2, -2, 16),
        (QPSK, 0, 1, -1, 4),
        (PSK8, 0, 0, -1, 4),
        (PAM4, 1, -1.36, -1.36, 8.32),
        (QAM16, 0, -0.68, -0.68, 2.08),
    ],
    ids=["BPSK", "QPSK", "8PSK", "PAM4", "QAM16"],
)
def test_constellations_have_their_theoretical_cumulants(
    points: np.ndarray, c20: float, c40: float, c42: float, c63: float
) -> None:
    found = cumulants(np.tile(points, 16).astype(np.complex128))
    values = [found[2, 0], found[4, 0], found[4, 2], found[6, 3]]
    np.testing.assert_allclose(values, [c20, c40, c42, c63], atol=1e-9)
    assert found[2, 1] == pytest.approx(1)


def test_noise_has_none_above_the_second_order_and_those_of_a_sum_add() -> None:
    rng = np.random.default_rng(0)
    noise = (rng.standard_normal(400_000) + 1j * rng.standard_normal(400_000)) / np.sqrt(2)
    found = cumulants(noise)
    assert max(abs(found[key]) for key in CUMULANTS) < 0.1
    symbols = rng.choice(BPSK, len(noise))
    half = cumulants(symbols + noise)  # at 0 dB: half of the power is the signal's
    assert half[4, 2].real == pytest.approx(-2 / 4, abs=0.02)
    assert half[6, 3].real == pytest.approx(16 / 8, abs=0.1)


def iq(samples: np.ndarray, **changes: object) -> Signal:
    fields = {"values": samples[:, None, None], "frequency_hz": np.zeros(1), "kind": "iq", "links": (Link(),)}
    return make_signal(times=len(samples)).with_(**(fields | {"valid": None} | changes))


def test_features_ignore_gain_phase_and_what_was_not_measured() -> None:
    samples = np.random.default_rng(1).choice(QAM16, 128)
    plain = cumulant_features(iq(samples))
    assert plain.shape == (8,)
    np.testing.assert_allclose(cumulant_features(iq(7j * samples)), plain, rtol=1e-5)
    valid = np.arange(128)[:, None, None] >= 8
    absurd = np.where(np.arange(128) < 8, 1e6, samples)
    np.testing.assert_allclose(
        hand_features(iq(absurd, valid=valid), "cumulants"), cumulant_features(iq(samples[8:])), rtol=1e-5
    )


def test_features_of_other_signals_are_refused() -> None:
    with pytest.raises(SignalError, match="need 16 samples of a link, not all 0; there are 12"):
        cumulant_features(iq(np.ones(12)))
    with pytest.raises(SignalError, match="need complex samples over time"):
        cumulant_features(iq(np.ones(64), is_real=True))
