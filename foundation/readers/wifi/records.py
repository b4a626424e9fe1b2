"""Chains of binary records, each a length, a header and a body: what the readers of such captures share."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foundation.errors import ReadError


def headers_at(data: bytes, offsets: NDArray[np.int64], header: np.dtype) -> NDArray:
    """The headers [N], an array of the structured type `header`, that start at these byte offsets [N] of a capture."""
    at_every_byte: NDArray = np.ndarray(len(data) - header.itemsize + 1, header, data, strides=(1,))
    return at_every_byte[offsets]


def leave_out_incomplete(path: Path, what: str, start: int, end: int, size: int, *, whole: int) -> None:
    """Warn that the last record (`what`, bytes `start` to `end`) of a capture of `size` bytes is left out.

    A recorder is stopped at any time, so the last record is often incomplete; those before it are intact.

    Args:
        whole: number of records before it.

    Raises:
        ReadError: there is no whole record.
    """
    found = f"{path}: {what} at byte {start} should end at byte {end} but the file has {size} bytes"
    if not whole:
        raise ReadError(f"{found}: it is truncated before the end of its first record; record or copy it again.")
    warnings.warn(
        f"{found}; it is left out, and the {whole} before it are read. If the recording was not stopped there, the "
        "file is truncated or damaged",
        stacklevel=4,
    )


def ends_in_zeros(path: Path, data: bytes, at: int, *, whole: int) -> bool:
    """True, with a warning, if a capture is zeros from byte `at` on: what is left where power was lost.

    Args:
        whole: number of records before; without one it is not a capture.
    """
    if not whole or any(data[at : at + 8]) or data.count(0, at) < len(data) - at:  # the whole rest only once
        return False
    warnings.warn(
        f"{path}: its last {len(data) - at} bytes, from byte {at}, are zeros and are left out; the {whole} records "
        "before them are read",
        stacklevel=4,
    )
    return True
