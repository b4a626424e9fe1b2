"""Phase sanitisation: a common phase and a delay are removed, links keep their differences."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.clocks import reflector, two_antennas
from helpers.compare import error
from helpers.signals import make_signal

from foundation.errors import SignalError
from foundation.transforms.impairments import carrier_offset, timing_offset
from foundation.transforms.phase import sanitize


def test_the_sanitiser_removes_a_delay_and_a_carrier_phase() -> None:
    signal = two_antennas(reflector(0.0, 0.1), clean=reflector(0.0, 0.1))
    still = sanitize(signal)
    off = sanitize(carrier_offset(timing_offset(signal, 70e-9), 123.4, 0.3))
    assert error(off.values, still.values) < 1e-4
    assert off.clean is not None
    assert error(off.clean, off.values) < 1e-5, "the truth takes the same turn"
    np.testing.assert_allclose(np.abs(off.values), np.abs(signal.values), rtol=1e-5)


def test_a_pure_delay_becomes_flat() -> None:
    delayed = timing_offset(two_antennas(np.full((6, 2, 57), 1j)), np.linspace(-200e-9, 200e-9, 6))
    assert np.ptp(np.angle(delayed.values)) > 6
    assert np.max(np.abs(np.angle(sanitize(delayed).values))) < 1e-4


def test_real_signals_are_refused() -> None:
    with pytest.raises(SignalError, match="real entries"):
        sanitize(make_signal(values=np.ones((32, 2, 16)), is_real=True))
