"""Phase sanitisation: remove the random linear phase over frequency of each packet.

A packet sampled late by tau with a carrier phase error phi reads H(f) exp(j (phi - 2 pi f tau)). Both are estimated and
compensated (S. Sen et al., "You are facing the Mona Lisa: spot localization using PHY layer information", MobiSys
2012). The slope is the power-weighted mean phase increment between adjacent tones, which needs no unwrapping.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from foundation.errors import SignalError
from foundation.signal import Signal


def phase_slope(frequency_hz: NDArray[np.float64], values: NDArray) -> NDArray[np.float64]:
    """Phase slope of each packet in radian per hertz, [T]: -2 pi times its delay.

    Args:
        frequency_hz: [R].
        values: [T, L, R], 0 where nothing was measured; all links of a packet share one clock.
    """
    spacing = np.median(np.diff(frequency_hz))
    pairs = np.conj(values[:, :, :-1]) * values[:, :, 1:]
    adjacent = np.isclose(np.diff(frequency_hz), spacing, rtol=0.01)  # pairs across a null subcarrier are left out
    return np.asarray(np.angle(np.sum(pairs[:, :, adjacent], axis=(1, 2))) / spacing)


def phase_line(frequency_hz: NDArray[np.float64], values: NDArray) -> NDArray[np.float64]:
    """Common plus linear phase of each packet in radian, [T, 1, R]; arguments as for `phase_slope`."""
    slope = phase_slope(frequency_hz, values)[:, None, None] * frequency_hz
    straight = values * np.exp(-1j * slope)
    common = np.sum(straight * np.abs(straight), axis=(1, 2), keepdims=True)
    return np.asarray(slope + np.angle(common))


def sanitize(signal: Signal) -> Signal:
    """Remove the linear phase of each packet; phase differences between links, amplitudes and the mask are unchanged.

    What all paths have in common is removed as well: their mean delay, and the Doppler shift that they share.

    Raises:
        SignalError: the signal is real, in the delay domain, or has a single tone.
    """
    if signal.frequency_hz is None or len(signal.frequency_hz) < 2 or signal.is_real:
        raise SignalError(
            f"sanitize needs the phase of several tones; this signal of kind {signal.kind} has {len(signal.response)} "
            f"{'real ' if signal.is_real else ''}entries on its {signal.domain} axis."
        )
    turn = np.exp(-1j * phase_line(signal.frequency_hz, signal.values))
    # The clean truth is rotated by the estimate from the measurement, so that both stay comparable.
    return signal.with_(values=signal.values * turn, clean=None if signal.clean is None else signal.clean * turn)
