"""Real-valued arrays of a signal: amplitude, phase, or in-phase and quadrature. Invalid entries are NaN."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from foundation.errors import SignalError
from foundation.signal import Signal


def amplitude(signal: Signal, decibels: bool = False) -> NDArray[np.float32]:
    """Amplitude |values|, float32 [T, L, R], linear or in dB (20 log10; an amplitude of 0 is -inf dB)."""
    magnitude = np.abs(signal.values)
    if decibels:
        with np.errstate(divide="ignore"):
            magnitude = 20 * np.log10(magnitude)
    return np.where(signal.mask, magnitude, np.float32(np.nan))


def phase(signal: Signal, unwrap: bool = False) -> NDArray[np.float32]:
    """Phase of the values in radian, float32 [T, L, R], in (-pi, pi] unless unwrapped.

    Args:
        unwrap: unwrap along the response axis, skipping invalid entries.

    Raises:
        SignalError: the signal is real.
    """
    if signal.is_real:
        raise SignalError(f"this signal of kind {signal.kind} is real-valued: it has no phase.")
    angle = np.where(signal.mask, np.angle(signal.values), np.float32(np.nan))
    if unwrap:
        rows = angle.reshape(-1, angle.shape[2])
        for row in rows:
            seen = np.isfinite(row)
            row[seen] = np.unwrap(row[seen])
    return angle


def iq(signal: Signal) -> NDArray[np.float32]:
    """In-phase and quadrature parts, float32 [T, L, R, 2]."""
    parts = np.stack([signal.values.real, signal.values.imag], axis=-1)
    return np.where(signal.mask[..., None], parts, np.float32(np.nan))
