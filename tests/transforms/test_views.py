"""Amplitude, phase and IQ arrays of a signal; entries that were not measured are NaN."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.clocks import TONES, two_antennas
from helpers.signals import make_signal

from foundation.errors import SignalError
from foundation.transforms.impairments import timing_offset
from foundation.transforms.views import amplitude, iq, phase


def test_views_show_what_was_not_measured_as_nan() -> None:
    valid = np.ones((32, 2, 16), bool)
    valid[2, 1, 5] = False
    signal = make_signal(valid=valid)
    for view in (amplitude(signal), amplitude(signal, decibels=True), phase(signal), phase(signal, unwrap=True)):
        assert view.dtype == np.float32
        np.testing.assert_array_equal(np.isnan(view), ~valid)
    parts = iq(signal)
    np.testing.assert_array_equal(parts[valid] @ np.array([1, 1j]), signal.values[valid])
    assert np.isnan(parts[~valid]).all()
    polar = amplitude(signal) * np.exp(1j * phase(signal))
    np.testing.assert_allclose(polar[valid], signal.values[valid], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(10 ** (amplitude(signal, decibels=True) / 20), amplitude(signal), rtol=1e-4)


def test_an_unwrapped_phase_is_the_line_that_it_was() -> None:
    signal = timing_offset(two_antennas(np.ones((2, 2, 57))), 400e-9)
    valid = np.ones(signal.values.shape, bool)
    valid[0, 0, 10] = False
    unwrapped = phase(signal.with_(valid=valid), unwrap=True)
    slope = np.diff(unwrapped[1, 1]) / np.diff(TONES)
    np.testing.assert_allclose(slope, -2 * np.pi * 400e-9, rtol=1e-3)
    np.testing.assert_allclose(np.delete(unwrapped[0, 0] - unwrapped[1, 0], 10), 0, atol=1e-4)


def test_a_real_signal_has_no_phase() -> None:
    with pytest.raises(SignalError, match="no phase"):
        phase(make_signal(values=np.ones((32, 2, 16)), is_real=True))
