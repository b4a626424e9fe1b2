"""Transform a signal between the delay and the frequency domain by a unitary discrete Fourier transform."""

from __future__ import annotations

import numpy as np

from foundation.errors import SignalError
from foundation.signal.signal import Signal


def to_frequency(signal: Signal) -> Signal:
    """Transform a delay-domain signal to frequency offsets in [-1/(2 dt), 1/(2 dt)), dt being the delay step.

    Raises:
        SignalError: the signal is not in the delay domain, is not uniformly sampled, or has invalid entries, which
            would affect every frequency.
    """
    if signal.delay_s is None:
        raise SignalError("to_frequency needs a delay-domain signal; this one is already in the frequency domain.")
    step = _uniform_step(signal, signal.delay_s)
    count = len(signal.delay_s)
    frequency = np.fft.fftshift(np.fft.fftfreq(count, step))
    # The phase ramp accounts for the delay of the first tap.
    ramp = np.exp(-2j * np.pi * frequency * signal.delay_s[0])
    return signal.with_(
        values=_fft(signal.values, ramp),
        clean=None if signal.clean is None else _fft(signal.clean, ramp),
        frequency_hz=frequency,
        delay_s=None,
        is_real=False,
    )


def to_delay(signal: Signal, first_delay_s: float = 0.0) -> Signal:
    """Transform a frequency-domain signal to delays; the inverse of `to_frequency`.

    Args:
        first_delay_s: delay of the first tap, seconds.

    Raises:
        SignalError: the signal is not in the frequency domain, is not uniformly sampled, or has invalid entries.
    """
    if signal.frequency_hz is None:
        raise SignalError("to_delay needs a frequency-domain signal; this one is already in the delay domain.")
    step = _uniform_step(signal, signal.frequency_hz)
    count = len(signal.frequency_hz)
    ramp = np.exp(2j * np.pi * signal.frequency_hz * first_delay_s)
    delay = first_delay_s + np.arange(count) / (count * step)
    return signal.with_(
        values=_ifft(signal.values, ramp),
        clean=None if signal.clean is None else _ifft(signal.clean, ramp),
        frequency_hz=None,
        delay_s=delay,
        is_real=False,
    )


def _fft(values: np.ndarray, ramp: np.ndarray) -> np.ndarray:
    return np.asarray(np.fft.fftshift(np.fft.fft(values, axis=2, norm="ortho"), axes=2) * ramp)


def _ifft(values: np.ndarray, ramp: np.ndarray) -> np.ndarray:
    return np.asarray(np.fft.ifft(np.fft.ifftshift(values * ramp, axes=2), axis=2, norm="ortho"))


def _uniform_step(signal: Signal, axis: np.ndarray) -> float:
    if len(axis) < 2 or not np.allclose(np.diff(axis), axis[1] - axis[0], rtol=1e-6):
        raise SignalError("a domain change needs a uniformly sampled response axis with at least 2 entries.")
    if not signal.mask.all():
        raise SignalError("a domain change needs every entry valid; interpolate or drop the invalid ones first.")
    return float(axis[1] - axis[0])
