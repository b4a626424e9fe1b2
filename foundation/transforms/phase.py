"""Sanitised phase: without the line over frequency that the clocks draw anew in every packet.

A packet that is sampled late by tau with a carrier phase phi off reads H(f) exp(j (phi - 2 pi f tau)). Both are fitted
and turned back (S. Sen et al., "You are facing the Mona Lisa: spot localization using PHY layer information", MobiSys
2012).
The slope is that of the mean phase increment between adjacent tones, weighted by power: nothing has to be unwrapped.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from foundation.errors import SignalError
from foundation.signal import Signal


def phase_slope(frequency_hz: NDArray[np.float64], values: NDArray) -> NDArray[np.float64]:
    """Radian per hertz of every packet, [T]; -2 pi times its delay.

    Args:
        values: [T, L, R], 0 where nothing was measured; all links of a packet share one clock.
    """
    spacing = np.median(np.diff(frequency_hz))
    pairs = np.conj(values[:, :, :-1]) * values[:, :, 1:]
    adjacent = np.isclose(np.diff(frequency_hz), spacing, rtol=0.01)  # a null tone between two breaks the slope
    return np.asarray(np.angle(np.sum(pairs[:, :, adjacent], axis=(1, 2))) / spacing)


def phase_line(frequency_hz: NDArray[np.float64], values: NDArray) -> NDArray[np.float64]:
    """The common and the linear phase of every packet, radian [T, 1, R]; arguments as for `phase_slope`."""
    slope = phase_slope(frequency_hz, values)[:, None, None] * frequency_hz
    straight = values * np.exp(-1j * slope)
    common = np.sum(straight * np.abs(straight), axis=(1, 2), keepdims=True)
    return np.asarray(slope + np.angle(common))


def sanitize(signal: Signal) -> Signal:
    """Turn every packet back by its line; links keep their phase differences, amplitudes and the mask stay.

    What all paths have in common goes too: the delay of their centre, and the part of a Doppler shift that they share.

    Raises:
        SignalError: the signal is real, in the delay domain, or has one tone alone.
    """
    if signal.frequency_hz is None or len(signal.frequency_hz) < 2 or signal.is_real:
        raise SignalError(
            f"sanitize needs the phase of several tones; this signal of kind {signal.kind} has {len(signal.response)} "
            f"{'real ' if signal.is_real else ''}entries on its {signal.domain} axis."
        )
    turn = np.exp(-1j * phase_line(signal.frequency_hz, signal.values))
    # The truth takes the turn of the measurement, so that it stays the truth of it.
    return signal.with_(values=signal.values * turn, clean=None if signal.clean is None else signal.clean * turn)
