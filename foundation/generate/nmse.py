"""How far predictions are from the truth, as a share of its power."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def nmse(truth: Array, predicted: Array, where: Array | None = None) -> float:
    """Normalised mean squared error: sum |x - y|^2 / sum |x|^2 over all entries of the batch, linear.

    Args:
        truth: the clean truth, real or complex. Against a noisy truth the figure has a floor at the noise.
        where: bool, the entries that count (valid, or masked from the model); all by default.

    Raises:
        ValueError: the shapes differ, or the truth is 0 in every entry that counts.
    """
    if np.shape(truth) != np.shape(predicted):
        raise ValueError(f"nmse: the truth has shape {np.shape(truth)} but the prediction {np.shape(predicted)}")
    keep = np.ones(np.shape(truth), bool) if where is None else np.broadcast_to(where, np.shape(truth))
    x = np.asarray(truth)[keep].astype(np.complex128)
    y = np.asarray(predicted)[keep].astype(np.complex128)
    power = float(np.sum(np.abs(x) ** 2))
    if power == 0:
        raise ValueError("nmse: the truth is 0 in every entry that counts")
    return float(np.sum(np.abs(x - y) ** 2)) / power
