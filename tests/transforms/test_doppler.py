"""Doppler spectrograms: speed and sign of a moving reflector, power, lost packets and gaps."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from helpers.clocks import CARRIER, random_clock, reflector, two_antennas
from helpers.signals import make_signal

from foundation.errors import SignalError
from foundation.signal import SPEED_OF_LIGHT, Signal
from foundation.transforms.antennas import conjugate_product, conjugate_ratio
from foundation.transforms.doppler import doppler
from foundation.transforms.impairments import packet_loss


@pytest.mark.parametrize("speed", [-3.0, -0.8, 1.5, 4.0])
@pytest.mark.parametrize(("pair", "step_db"), [(conjugate_product, 0.0), (conjugate_ratio, 2.0)])
def test_a_moving_reflector_shows_its_speed_and_its_direction(
    speed: float, pair: Callable[[Signal], Signal], step_db: float
) -> None:
    clocked = random_clock(two_antennas(reflector(speed)), 7, step_db)
    found = doppler(pair(clocked), window_s=0.5)
    power = found.power[:, 0].mean(axis=0)
    peak = np.argmax(power)
    mirror = len(power) - peak
    if pair is conjugate_product:
        assert power[mirror] == pytest.approx(power[peak], rel=0.01), "both antennas see the same motion"
        peak = max(peak, mirror) if speed > 0 else min(peak, mirror)
    else:
        assert power[mirror] < 0.1 * power[peak]
    assert found.frequency_hz[peak] == pytest.approx(speed * CARRIER / SPEED_OF_LIGHT, abs=1.0)
    assert found.speed_m_s[peak] == pytest.approx(speed, abs=0.06)


def test_the_spectrum_holds_the_power_of_what_moves() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(4000, 2, 57)) + 1j * rng.normal(size=(4000, 2, 57))
    found = doppler(two_antennas(5 + noise), window_s=0.4)
    assert np.mean(found.power) == pytest.approx(2 / 500, rel=0.02)
    assert np.mean(found.power) * 500 == pytest.approx(
        np.sum(found.power.mean((0, 1))) * np.diff(found.frequency_hz)[0]
    )


def test_lost_packets_do_not_move_a_line() -> None:
    whole = two_antennas(reflector(2.0))
    lossy = packet_loss(whole, 0.2, 3)
    one, two = (doppler(signal).power[:, 0] for signal in (whole, lossy))
    assert np.argmax(one.mean(0)) == np.argmax(two.mean(0))
    assert two.mean(0).max() == pytest.approx(0.8 * one.mean(0).max(), rel=0.05), "the rest is spread over all shifts"


def test_a_window_that_was_not_measured_is_nan_and_others_do_not_know() -> None:
    whole = two_antennas(reflector(2.0))
    valid = np.ones(whole.values.shape, bool)
    valid[405:695] = False
    found, all_ = doppler(whole.with_(valid=valid), 0.2, 0.1), doppler(whole, 0.2, 0.1)
    dark = np.isnan(found.power).all(axis=(1, 2))
    assert (np.isnan(found.power).any(axis=(1, 2)) == dark).all()
    inside = (found.time_s > 0.85) & (found.time_s < 1.35)
    assert (dark == inside).all()
    clear = (found.time_s < 0.7) | (found.time_s > 1.5)
    np.testing.assert_allclose(found.power[clear], all_.power[clear], rtol=1e-3, atol=1e-6)


def test_doppler_errors() -> None:
    with pytest.raises(SignalError, match="at least 16 packets"):
        doppler(make_signal(times=6))
    with pytest.raises(SignalError, match=r"window_s is 0\.01"):
        doppler(make_signal(), window_s=0.01)
    with pytest.raises(SignalError, match="hop_s"):
        doppler(make_signal(), hop_s=0)
    with pytest.raises(SignalError, match="carrier_hz="):
        _ = doppler(make_signal(carrier_hz=0.0)).speed_m_s
