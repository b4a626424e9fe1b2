"""Chains of binary records, each a length, a header and a body: what the readers of such captures share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foundation.errors import ReadError


def headers_at(data: bytes, offsets: NDArray[np.int64], header: np.dtype) -> NDArray:
    """The headers [N], an array of the structured type `header`, that start at these byte offsets [N] of a capture."""
    at_every_byte: NDArray = np.ndarray(len(data) - header.itemsize + 1, header, data, strides=(1,))
    return at_every_byte[offsets]


def truncated(path: Path, what: str, start: int, end: int, size: int) -> ReadError:
    """The error of a capture of `size` bytes whose last record (`what`) ends beyond it."""
    return ReadError(
        f"{path}: truncated, {what} at byte {start} should end at byte {end} but the file has {size} bytes; copy it "
        f"again or cut it to {start} bytes."
    )
