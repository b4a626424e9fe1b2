"""Read NumPy's `.npy` format, with the header checked against the size before anything is allocated."""

from __future__ import annotations

import io
import math
from typing import IO

import numpy as np
from numpy.typing import NDArray

from foundation.errors import ReadError

#: First bytes of a `.npy` file.
NPY_MAGIC = b"\x93NUMPY"
#: NumPy's own limit on the header, and the bytes before it.
_LONGEST_HEADER, _MAGIC_BYTES = 10_000, 12


def parse_npy(content: bytes, where: str) -> NDArray:
    """Parse the array of numbers in a `.npy` file or archive member, as a read-only view of `content`.

    Raises:
        ReadError: it is not a `.npy` array, holds anything but numbers, or its length does not match the header.
    """
    stream = io.BytesIO(content)
    try:
        shape, fortran, dtype = read_header(stream)
    except Exception as error:  # the header is Python source, and its parsers raise of any kind on damaged input
        reason = " ".join(str(error).split())[:200]
        raise ReadError(f"{where}: not a complete numeric .npy array ({reason}); save it with numpy.save.") from error
    body = memoryview(content)[stream.tell() :]
    if dtype.kind not in "fiuc":
        raise ReadError(
            f"{where}: not a complete numeric .npy array but one of {dtype}: labels and objects are not signals."
        )
    if math.prod(shape) * dtype.itemsize != len(body):
        raise ReadError(
            f"{where}: not a complete numeric .npy array: {len(body)} bytes for shape {shape} of {dtype}; "
            "copy it again."
        )
    return np.frombuffer(body, dtype).reshape(shape, order="F" if fortran else "C")


def read_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Read shape, whether the order is Fortran's, and type; `file`, at its start, is left at the entries.

    Raises whatever NumPy raises. NumPy itself would allocate the length that the header claims to have, up to 4 GB.
    """
    head = io.BytesIO(file.read(_MAGIC_BYTES + _LONGEST_HEADER))
    version = np.lib.format.read_magic(head)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    found: tuple[tuple[int, ...], bool, np.dtype] = read(head, max_header_size=_LONGEST_HEADER)
    file.seek(head.tell())
    return found
