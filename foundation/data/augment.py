"""Augmentations that measured radio needs: what changes between devices and rooms and says nothing of the task."""

from __future__ import annotations

import numpy as np

from foundation.signal import Signal

ORDER = 4  # cosines of the random response: smooth against any real filter


def device_response(signal: Signal, seed: int, std: float) -> Signal:
    """Multiply every link by a random smooth frequency response and gain, as another device would.

    Received strengths, which are in dBm, are all shifted by one gain.

    Args:
        std: standard deviation of the log magnitude (nepers) and of the phase (radian) of the response.
    """
    if signal.domain != "frequency" or std == 0:
        return signal
    rng = np.random.default_rng(seed)
    span = np.ptp(signal.response) or 1.0
    place = (signal.response - signal.response[0]) / span
    basis = np.cos(np.pi * np.arange(ORDER)[:, None] * place)  # [ORDER, R]; the first is the gain
    weight = std / np.sqrt(ORDER) * rng.standard_normal((2, len(signal.links), ORDER))
    log_magnitude, phase = weight @ basis
    response = np.exp(log_magnitude + (0 if signal.is_real else 1j) * phase)
    if signal.kind == "rssi":
        return signal.with_(values=signal.values + signal.mask * (20 * log_magnitude[0, 0] / np.log(10)))
    clean = None if signal.clean is None else signal.clean * response
    return signal.with_(values=signal.values * response, clean=clean)
