"""How far an array is from its expected values."""

from __future__ import annotations

import numpy as np


def error(found: np.ndarray, truth: np.ndarray) -> float:
    """Largest deviation relative to the largest expected value."""
    return float(np.max(np.abs(found - truth)) / np.max(np.abs(truth)))
