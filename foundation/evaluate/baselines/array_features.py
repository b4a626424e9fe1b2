"""Features of a channel between an antenna and a line of antennas: power, delays and angles.

The 66 numbers of 32 antennas and 32 subcarriers are what a network on such channels has to beat; their angles are
sorted, so that they say how many directions there are and not which.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from foundation.errors import SignalError
from foundation.signal import Signal

Array = NDArray[np.float64]
Field = NDArray[np.complex128]

#: Shares of the power are clipped here before a logarithm (-60 dB).
SHARE_MINIMUM = 1e-6


def array_features(signal: Signal) -> Array:
    """Log power, log delay profile, log angle profile from strong to weak, and log delay spread; [R + L + 2].

    A profile is the power of the discrete Fourier transform over responses or antennas, averaged over the other axis
    and time, as shares of the whole. The spread is 1 - |correlation of neighbouring responses|, which is half the
    square of the delay spread in units of 1 / (2 pi spacing) where that is small.

    Raises:
        SignalError: as `_field`.
    """
    field = _field(signal)
    delays = _shares(np.fft.ifft(field, axis=2), 2)
    angles = np.sort(_shares(np.fft.fft(field, axis=1), 1))[::-1]
    correlation = abs(np.sum(delays * np.exp(2j * np.pi * np.arange(len(delays)) / len(delays))))
    power, spread = np.mean(np.abs(field) ** 2), 1 - correlation
    return np.concatenate([[np.log(power)], _log(delays), _log(angles), _log(np.atleast_1d(spread))])


def angle_features(signal: Signal) -> Array:
    """Log angle profile in its order, in steps of half a beam; [2 L].

    Raises:
        SignalError: as `_field`.
    """
    return _log(_shares(np.fft.fft(_field(signal), 2 * len(signal.links), axis=1), 1))


def _field(signal: Signal) -> Field:
    """complex128 [T, L, R]; what was not measured is 0.

    Raises:
        SignalError: it is real, in the delay domain, or all zero; or has one link, or several antennas at both ends.
    """
    ends = {link.tx for link in signal.links}, {link.rx for link in signal.links}
    if signal.is_real or signal.domain == "delay" or min(map(len, ends)) > 1 or len(signal.links) < 2:
        raise SignalError(
            f"array features need a complex channel over frequency with several antennas at one end; this is of kind "
            f"{signal.kind}, with {len(ends[0])} x {len(ends[1])} antennas."
        )
    field = np.where(signal.mask, signal.values, 0).astype(np.complex128)
    if not field.any():
        raise SignalError("array features: every measured value is 0; drop this signal.")
    return field


def _shares(transformed: Field, axis: int) -> Array:
    """Shares of the power along one axis of [T, L, R]."""
    power = (np.abs(transformed) ** 2).sum(axis=tuple({0, 1, 2} - {axis}))
    return np.asarray(power / power.sum())


def _log(shares: Array) -> Array:
    return np.asarray(np.log(np.maximum(shares, SHARE_MINIMUM)))
