"""RSSI of transmitters that were not heard: a level below the weakest that was.

That a transmitter was not heard says that it is far away. Where a value is needed, the positive representation of
Torres-Sospedra et al. 2015 (Expert Systems with Applications 42, 9263) has it 1 dB below the weakest of the training
fingerprints; the mean of those heard, as for a broken antenna, would claim that it is near.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from foundation.signal import Signal

BELOW_DB = 1.0


def unheard_level(training: Iterable[Signal]) -> float | None:
    """The level in dBm of transmitters that were not heard: `BELOW_DB` below the weakest that training signals heard;
    None if none of them is RSSI."""
    weakest = [float(signal.values.real[signal.mask].min()) for signal in training if signal.kind == "rssi"]
    return min(weakest) - BELOW_DB if weakest else None


def some_unheard(signals: Iterable[Signal]) -> bool:
    """Whether a signal is RSSI in which a transmitter was never heard."""
    return any(signal.kind == "rssi" and not signal.mask.any(axis=(0, 2)).all() for signal in signals)


def with_unheard(signal: Signal, level_dbm: float | None) -> Signal:
    """The signal with this level for links that were never heard; gaps of links that were heard stay.

    Args:
        level_dbm: None, or a signal of another kind than RSSI: nothing changes.
    """
    silent = ~signal.mask.any(axis=(0, 2), keepdims=True)
    if level_dbm is None or signal.kind != "rssi" or not silent.any():
        return signal
    values = np.where(silent, np.complex64(level_dbm), signal.values)
    return signal.with_(values=values, valid=signal.mask | silent)
