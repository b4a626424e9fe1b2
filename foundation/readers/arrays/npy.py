"""NumPy's own array format, with the header checked against the bytes before anything is made of it."""

from __future__ import annotations

import io
import math
from typing import IO

import numpy as np
from numpy.typing import NDArray

from foundation.errors import ReadError

#: Numpy's own limit, and what comes before the header.
_LONGEST_HEADER, _MAGIC_BYTES = 10_000, 12


def parse_npy(content: bytes, where: str) -> NDArray:
    """The array of numbers in a `.npy` file or member, as a read-only view of `content`.

    Raises:
        ReadError: it is no such array, holds anything but numbers, or has another length than its header claims.
    """
    stream = io.BytesIO(content)
    try:
        shape, fortran, dtype = read_header(stream)
    except Exception as error:  # the header is Python source, and its parsers raise whatever the damage led to
        reason = " ".join(str(error).split())[:200]
        raise ReadError(f"{where}: not a complete numeric .npy array ({reason}); save it with numpy.save.") from error
    body = memoryview(content)[stream.tell() :]
    if dtype.kind not in "fiuc":
        raise ReadError(
            f"{where}: not a complete numeric .npy array but one of {dtype}: labels and objects are no signal."
        )
    if math.prod(shape) * dtype.itemsize != len(body):
        raise ReadError(
            f"{where}: not a complete numeric .npy array: {len(body)} bytes for shape {shape} of {dtype}; "
            "copy it again."
        )
    return np.frombuffer(body, dtype).reshape(shape, order="F" if fortran else "C")


def read_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, whether columns come first, and type; `file` then stands at the entries. Raises what numpy raises.

    `file` stands at its beginning. Numpy would allocate whatever the header claims as its own length, up to 4 GB.
    """
    head = io.BytesIO(file.read(_MAGIC_BYTES + _LONGEST_HEADER))
    version = np.lib.format.read_magic(head)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    found: tuple[tuple[int, ...], bool, np.dtype] = read(head, max_header_size=_LONGEST_HEADER)
    file.seek(head.tell())
    return found
