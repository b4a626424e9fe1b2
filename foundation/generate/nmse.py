"""Normalised mean squared error (NMSE) of predictions: error power over signal power."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def nmse(truth: Array, predicted: Array, where: Array | None = None) -> float:
    """NMSE, linear: sum |x - y|^2 / sum |x|^2 over all entries.

    Args:
        truth: the clean signal, real or complex. Against a noisy one, NMSE cannot fall below the noise.
        where: bool, the entries that count (valid, or hidden from the model); all by default.

    Raises:
        ValueError: the shapes differ, or the truth is 0 in every entry that counts.
    """
    error, power = error_and_power(truth, predicted, where)
    if power == 0:
        raise ValueError("nmse: the truth is 0 in every entry that counts")
    return error / power


def error_and_power(truth: Array, predicted: Array, where: Array | None = None) -> tuple[float, float]:
    """Numerator and denominator of NMSE, to be pooled over windows: sum |x - y|^2 and sum |x|^2. Arguments as `nmse`.

    Raises:
        ValueError: the shapes differ.
    """
    if np.shape(truth) != np.shape(predicted):
        raise ValueError(f"nmse: the truth has shape {np.shape(truth)} but the prediction {np.shape(predicted)}")
    keep = np.ones(np.shape(truth), bool) if where is None else np.broadcast_to(where, np.shape(truth))
    x = np.asarray(truth)[keep].astype(np.complex128)
    y = np.asarray(predicted)[keep].astype(np.complex128)
    return float(np.sum(np.abs(x - y) ** 2)), float(np.sum(np.abs(x) ** 2))
