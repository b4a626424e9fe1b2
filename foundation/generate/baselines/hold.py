"""Imputation baselines along time: hold the value at the nearest time, or take the mean over time."""

from __future__ import annotations

import numpy as np

from foundation.generate.baselines.interpolate import interpolate


def hold(field: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """Impute field [T, L, R] by the value at the nearest visible time of the same link and response (the earlier of
    two); by `interpolate` where a link and response has no visible time.

    Raises:
        ValueError: nothing is visible.
    """
    times = np.arange(len(field))
    before = np.maximum.accumulate(np.where(visible, times[:, None, None], -len(field) * 2), axis=0)
    after = np.minimum.accumulate(np.where(visible, times[:, None, None], len(field) * 3)[::-1], axis=0)[::-1]
    nearest = np.where(times[:, None, None] - before <= after - times[:, None, None], before, after)
    known = np.broadcast_to(visible.any(axis=0), field.shape)
    held = np.take_along_axis(field, np.where(known, nearest, 0), axis=0)
    return interpolate(np.where(visible, field, held), known)


def mean_over_time(field: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """Impute field [T, L, R] by the mean over the visible times of the same link and response; by `interpolate` where a
    link and response has none.

    Raises:
        ValueError: nothing is visible.
    """
    count = visible.sum(axis=0, keepdims=True)
    mean = (np.where(visible, field, 0).sum(axis=0, keepdims=True) / np.maximum(count, 1)).astype(field.dtype)
    return np.where(visible, field, interpolate(mean, count > 0))
