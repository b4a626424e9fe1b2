"""Linear interpolation of a field from its visible entries: the first baseline of imputation."""

from __future__ import annotations

import numpy as np


def interpolate(field: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """Impute the entries of field [T, L, R] that are not visible.

    Along time where the (link, response) has a visible entry, then along the response axis, then by the mean over the
    other links: nearest neighbours first. Constant beyond the outermost visible entries.

    Raises:
        ValueError: nothing is visible.
    """
    if not visible.any():
        raise ValueError("interpolate: no entry is visible")
    out, known = _along(field, visible, axis=0)
    out, known = _along(out, known, axis=2)
    missing = ~known.all(axis=(0, 2))
    if missing.any():
        out[:, missing] = out[:, ~missing].mean(axis=1, keepdims=True)
    return out


def _along(field: np.ndarray, known: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Interpolate along `axis` wherever there is a known entry; returns the field and what is known now."""
    lines = np.moveaxis(field, axis, -1).copy()
    given = np.moveaxis(known, axis, -1)
    index = np.arange(lines.shape[-1])
    for line, mask in zip(lines.reshape(-1, len(index)), given.reshape(-1, len(index)), strict=True):
        if mask.any() and not mask.all():
            line[:] = np.interp(index, index[mask], line[mask])
    known_now = np.broadcast_to(given.any(-1, keepdims=True), given.shape)
    return np.moveaxis(lines, -1, axis), np.moveaxis(known_now, -1, axis).copy()
