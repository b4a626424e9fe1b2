"""Read arrays of numbers from MATLAB 5 `.mat` files (`save -v6` and `-v7`; The MathWorks, MAT-File Format, 2023).

A file is a header of 128 bytes, then elements: uint32 type, uint32 number of bytes, content; types 14 (a matrix) and 15
(an element compressed by zlib) are read. A matrix consists of elements again: flags, dimensions, name, real part,
imaginary part, each padded to 8 bytes; one of up to 4 bytes has its tag and content in 8 bytes. scipy is not used: it
does not check the sizes in a file, so three flipped bytes crash the process or allocate gigabytes.
"""

from __future__ import annotations

import math
import mmap
import struct
import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from foundation.errors import ReadError
from foundation.readers.files import largest_claim

_HEADER_BYTES = 128
_MATRIX, _COMPRESSED = 14, 15
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_CLASSES = dict(enumerate(("cell array", "structure", "object", "character array", "sparse array"), start=1))
_CELL, _STRUCTURE = 1, 2
#: How deep cells and structures within a cell are followed.
_DEEPEST = 3
_SINGLE, _FIRST_NUMERIC, _LAST_NUMERIC = 7, 6, 15
_COMPLEX = 0x0800
Read = TypeVar("Read")
#: Flags, dimensions and name of a matrix lie within this many bytes.
_DESCRIPTION_BYTES = 4096


@dataclass(frozen=True)
class Matrix:
    """One variable.

    Attributes:
        shape: its dimensions.
        refused: the MATLAB class of a variable that is not an array of numbers; empty for an array.
        load: reads its values.
        cells: reads the array of numbers in each cell of a cell array; of a structure, its first field.
    """

    shape: tuple[int, ...]
    refused: str
    load: Callable[[], NDArray]
    cells: Callable[[], list[NDArray]]


@dataclass(frozen=True)
class _Description:
    shape: tuple[int, ...]
    name: str
    flags: int
    values_at: int


def sniff(head: bytes) -> bool:
    """True for the header of a version 5 file, of either byte order."""
    return len(head) >= _HEADER_BYTES and head[124:128] in (b"\x00\x01IM", b"\x01\x00MI")


def matrices(path: Path) -> dict[str, Matrix]:
    """The variables of a file by name; `load` reads the values of one of them completely.

    Of a file that is cut, the whole variables are read, with a warning.

    Raises:
        ReadError: the first element exceeds the file or one is inconsistent; names the byte.
    """
    with path.open("rb") as file:
        data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    order = "<" if bytes(data[126:128]) == b"IM" else ">"
    found: dict[str, Matrix] = {}
    at = _HEADER_BYTES
    while at < len(data):
        try:
            kind, content, end = _element(data, at, order, padded=False)
        except ValueError as error:
            if not found:
                raise _damaged(path, at, error) from error
            warnings.warn(
                f"{path}: is cut or damaged at the MATLAB element at byte {at} ({error}); the {len(found)} variables "
                "before it are read",
                stacklevel=5,
            )
            break
        try:
            if kind in (_MATRIX, _COMPRESSED):
                first = _inflate(content, _DESCRIPTION_BYTES, order) if kind == _COMPRESSED else content
                about = _describe(first, order)
                if about.name:  # MATLAB's internal workspace element has none
                    found[about.name] = _matrix(path, at, kind, content, about, order)
        except (ValueError, zlib.error) as error:
            raise _damaged(path, at, error) from error
        at = end
    return found


def _matrix(path: Path, at: int, kind: int, content: memoryview, about: _Description, order: str) -> Matrix:
    number = about.flags & 0xFF

    def whole(read: Callable[[memoryview, _Description, str], Read]) -> Read:
        try:
            return read(_inflate(content, None, order) if kind == _COMPRESSED else content, about, order)
        except (ValueError, zlib.error) as error:
            raise _damaged(path, at, error) from error

    numeric = _FIRST_NUMERIC <= number <= _LAST_NUMERIC
    refused = "" if numeric else _CLASSES.get(number, "function or opaque object")
    return Matrix(about.shape, refused, lambda: whole(_values), lambda: whole(_cells))


def _damaged(path: Path, at: int, error: Exception) -> ReadError:
    return ReadError(f"{path}: the MATLAB element at byte {at} is truncated or damaged ({error}); copy the file again.")


def _element(data: memoryview, at: int, order: str, padded: bool = True) -> tuple[int, memoryview, int]:
    """Type, content and end of the element at byte `at`."""
    if at + 8 > len(data):
        raise ValueError(f"it has {len(data) - at} bytes, a tag has 8")
    kind, size = struct.unpack_from(order + "II", data, at)
    if kind >> 16:  # the small format
        kind, size, start, end = kind & 0xFFFF, kind >> 16, at + 4, at + 8
        if size > 4:
            raise ValueError(f"a small element has {size} bytes, at most 4 fit")
    else:
        start = at + 8
        end = start + (-(-size // 8) * 8 if padded else size)
    if start + size > len(data):
        raise ValueError(f"it has {len(data) - start} bytes, {size} were declared")
    return kind, data[start : start + size], end


def _inflate(content: memoryview, limit: int | None, order: str) -> memoryview:
    """Decompress the content of a compressed matrix, or at most its first `limit` bytes."""
    stream = zlib.decompressobj()
    tag = stream.decompress(content, 8)
    if len(tag) < 8:
        raise ValueError("its compressed data end within a tag")
    kind, size = struct.unpack(order + "II", tag)
    if kind != _MATRIX:
        raise ValueError(f"its compressed element has type {kind}, a matrix has {_MATRIX}")
    if size > largest_claim(len(content)):
        raise ValueError(f"its {len(content)} compressed bytes claim to be {size}")
    wanted = size if limit is None else min(size, limit)
    body = stream.decompress(stream.unconsumed_tail, wanted) if wanted else b""
    if len(body) < wanted:
        raise ValueError(f"it inflates to {len(body)} bytes, {wanted} were declared")
    return memoryview(body)


def _describe(content: memoryview, order: str) -> _Description:
    kind, flags, at = _element(content, 0, order)
    if kind != 6 or len(flags) != 8:
        raise ValueError("it does not begin with the flags of an array")
    kind, dimensions, at = _element(content, at, order)
    if kind != 5 or len(dimensions) < 8 or len(dimensions) % 4:
        raise ValueError("its dimensions are not two or more int32")
    shape = tuple(int(n) for n in np.frombuffer(dimensions, order + "i4"))
    if min(shape) < 0 or len(shape) > 32:
        raise ValueError(f"its dimensions are {shape[:32]}")
    kind, name, at = _element(content, at, order)
    return _Description(shape, bytes(name).decode("latin-1"), struct.unpack_from(order + "I", flags)[0], at)


def _cells(content: memoryview, about: _Description, order: str) -> list[NDArray]:
    if about.flags & 0xFF != _CELL:
        raise ValueError("it is not a cell array")
    found, at = [], about.values_at
    for _ in range(math.prod(about.shape)):  # ends with the content, whatever is claimed
        _, inner, at = _element(content, at, order)
        found.append(_first_array(inner, order, _DEEPEST))
    return found


def _first_array(content: memoryview, order: str, depth: int) -> NDArray:
    """The numbers of a matrix, or of the first cell or field of a cell array or structure; empty if there is none."""
    if not len(content):
        return np.zeros((0, 0))
    about = _describe(content, order)
    number = about.flags & 0xFF
    if _FIRST_NUMERIC <= number <= _LAST_NUMERIC:
        return _values(content, about, order)
    if number not in (_CELL, _STRUCTURE) or not depth:
        raise ValueError(f"a cell holds a {_CLASSES.get(number, 'function or opaque object')}, not numbers")
    if 0 in about.shape:
        return np.zeros((0, 0))
    at = about.values_at
    for _ in range(2 if number == _STRUCTURE else 0):  # length of the names of fields, and the names
        _, _, at = _element(content, at, order)
    return _first_array(_element(content, at, order)[1], order, depth - 1)


def _values(content: memoryview, about: _Description, order: str) -> NDArray:
    real, at = _part(content, about.values_at, about.shape, order)
    if not about.flags & _COMPLEX:
        return real
    imaginary, _ = _part(content, at, about.shape, order)
    values = np.empty(about.shape, np.complex64 if about.flags & 0xFF == _SINGLE else np.complex128, order="F")
    values.real, values.imag = real, imaginary
    return values


def _part(content: memoryview, at: int, shape: tuple[int, ...], order: str) -> tuple[NDArray, int]:
    """Read numbers, which MATLAB stores in the smallest type that holds them all, with the first axis fastest."""
    kind, numbers, end = _element(content, at, order)
    if kind not in _NUMBERS:
        raise ValueError(f"its values have type {kind}, which is not a numeric type")
    dtype = np.dtype(order + _NUMBERS[kind])
    if len(numbers) != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"its values have {len(numbers)} bytes, which do not match {shape} of {dtype}")
    return np.frombuffer(numbers, dtype).reshape(shape, order="F"), end
