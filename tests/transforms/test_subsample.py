"""Subsampled recordings: exactly the selected entries, at their times and frequencies."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.signals import make_signal

from foundation.errors import SignalError
from foundation.signal import Link, Signal
from foundation.transforms.subsample import half_band, half_rate, half_subcarriers, one_antenna


def _recorded() -> Signal:
    """With a clean truth and a lost packet."""
    valid = np.ones((9, 4, 10), bool)
    valid[4] = False
    signal = make_signal(3, times=9, links=4, responses=10, valid=valid)
    return signal.with_(clean=signal.values + 1, links=tuple(Link(tx, rx) for tx in range(2) for rx in range(2)))


def test_half_rate_keeps_every_second_packet_at_its_time() -> None:
    signal = _recorded()
    found = half_rate(signal)
    for name in ("values", "mask", "clean"):
        np.testing.assert_array_equal(getattr(found, name), getattr(signal, name)[[0, 2, 4, 6, 8]])
    np.testing.assert_array_equal(found.time_s, [0.0, 0.02, 0.04, 0.06, 0.08])
    assert found.interval_s == pytest.approx(2 * signal.interval_s)
    assert not found.mask[2].any(), "a lost packet stays lost"
    assert (found.bandwidth_hz, found.links, found.labels) == (signal.bandwidth_hz, signal.links, signal.labels)


def test_half_rate_of_a_slow_oscillation_is_that_oscillation() -> None:
    """Axes are physical: what was 5 Hz is 5 Hz."""
    time = np.arange(200) / 100.0
    wave = np.exp(2j * np.pi * 5 * time)[:, None, None] * np.ones((1, 1, 4))
    found = half_rate(make_signal(times=200, links=1, responses=4, values=wave, time_s=time))
    np.testing.assert_allclose(found.values[:, 0, 0], np.exp(2j * np.pi * 5 * found.time_s), atol=1e-6)


def test_half_subcarriers_keeps_the_band_and_doubles_the_spacing() -> None:
    signal = _recorded()
    found = half_subcarriers(signal)
    for name in ("values", "mask", "clean"):
        np.testing.assert_array_equal(getattr(found, name), getattr(signal, name)[:, :, ::2])
    np.testing.assert_array_equal(found.response, signal.response[::2])
    assert (found.bandwidth_hz, found.carrier_hz) == (signal.bandwidth_hz, signal.carrier_hz)


@pytest.mark.parametrize(("count", "kept"), [(10, range(2, 7)), (8, range(2, 6)), (5, range(1, 3))])
def test_half_band_keeps_the_middle_at_the_same_carrier(count: int, kept: range) -> None:
    signal = make_signal(times=5, responses=count)
    found = half_band(signal)
    np.testing.assert_array_equal(found.values, signal.values[:, :, list(kept)])
    np.testing.assert_array_equal(found.response, signal.response[list(kept)])
    assert (found.bandwidth_hz, found.carrier_hz) == (signal.bandwidth_hz / 2, signal.carrier_hz)


def test_one_antenna_keeps_the_first_receiver_or_else_the_first_transmitter() -> None:
    signal = _recorded()
    found = one_antenna(signal)
    assert found.links == (Link(0, 0), Link(1, 0))
    np.testing.assert_array_equal(found.values, signal.values[:, [0, 2]])
    np.testing.assert_array_equal(found.clean, signal.clean[:, [0, 2]])
    assert one_antenna(found).links == (Link(0, 0),)


@pytest.mark.parametrize(
    ("change", "signal", "message"),
    [
        (half_rate, make_signal(times=3), "at least 4 times; this signal has 3"),
        (
            half_subcarriers,
            make_signal(responses=3),
            "at least 4 subcarriers; this signal has 3 responses over",
        ),
        (half_band, make_signal(frequency_hz=None, delay_s=np.arange(16) * 1e-9), "has 16 responses over delay"),
        (one_antenna, make_signal(links=1), "single link"),
    ],
)
def test_signals_that_are_too_small_are_refused(change: object, signal: Signal, message: str) -> None:
    with pytest.raises(SignalError, match=message):
        change(signal)  # type: ignore[operator]
