"""Read arrays from MATLAB `.mat` (version 5 and 7.3), HDF5, NumPy `.npz` and `.npy` files and tables in text (CSV),
detected by content.

Only arrays of numbers are read: nothing is unpickled and no object is created. Values of HDF5 and `.npy` files are read
on demand, those of the other two are loaded completely. A damaged file cannot crash the process: HDF5 is read in a
separate process, and MATLAB 5 by our own parser.
"""

from __future__ import annotations

import fnmatch
import math
import re
import warnings
import zipfile
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from foundation.errors import ReadError
from foundation.readers import tables
from foundation.readers.arrays import mat5
from foundation.readers.arrays.hdf5 import HDF5_MAGIC, Hdf5File
from foundation.readers.arrays.npy import NPY_MAGIC, read_header
from foundation.readers.files import ZIP_MAGIC, largest_claim, read_bytes, whole_records

_NUMBERS = "biufc"


@dataclass(frozen=True)
class Stored:
    """An array in a file: its shape, and `read(index)` for a part of it, with one slice per axis."""

    shape: tuple[int, ...]
    read: Callable[[tuple[slice, ...]], NDArray]

    def whole(self) -> NDArray:
        """Read the complete array."""
        return self.read(tuple(slice(None) for _ in self.shape))


@dataclass(frozen=True)
class Container:
    """An open file: the keys of its arrays, and `load(key)` to open one of them.

    A table has `columns(pattern)` instead, and `texts(name)` for a column of text.
    """

    path: Path
    keys: Collection[str]
    load: Callable[[str], Stored]
    columns: Callable[[str], Stored] | None = None
    texts: Callable[[str], list[str]] | None = None

    def array(self, pattern: str) -> Stored:
        """Open the one array whose key matches; `*` matches any text. Of a table, all columns that match, as one array.

        Raises:
            ReadError: no key or several keys match, or the array is damaged or not of numbers.
        """
        with as_read_error(self.path):
            if self.columns is not None:
                return self.columns(pattern)
            matches = [key for key in self.keys if fnmatch.fnmatchcase(key, pattern)] if "*" in pattern else [pattern]
            if len(matches) == 1 and matches[0] in self.keys:
                return self.load(matches[0])
            some = ", ".join(islice(self.keys, 20)) or "none"
        what = f"{len(matches)} keys match" if len(matches) > 1 else "there is no key"
        raise ReadError(
            f"{self.path}: {what} {pattern!r}; expected one of its keys ({some}): correct the layout's keys."
        )


def sniff(head: bytes) -> bool:
    """True for the formats that `open_container` reads, but for tables: text may be of any other format."""
    return _format(head) not in (None, _open_table)


def _format(head: bytes) -> Callable[[Path, bytes], Any] | None:
    if head.startswith(NPY_MAGIC):
        return _open_npy
    if head.startswith(ZIP_MAGIC):
        return _open_npz
    if any(head.startswith(HDF5_MAGIC, at) for at in (0, 512, 1024, 2048)):
        return _open_hdf5
    if mat5.sniff(head):
        return _open_mat
    return _open_table if tables.sniff(head) else None


@contextmanager
def open_container(path: Path) -> Iterator[Container]:
    """Open a file of arrays.

    Raises:
        ReadError: the file is missing, empty, of another format or damaged.
    """
    head = read_bytes(path, 4096)
    opener = _format(head)
    if opener is None:
        raise ReadError(
            f"{path}: is not an array file (first bytes {head[:8].hex(' ')}); expected MATLAB 5 or 7.3, HDF5, .npz, "
            ".npy or a table (CSV)."
        )
    with as_read_error(path):
        manager = opener(path, head)
        container = manager.__enter__()
    try:
        yield container
    finally:
        manager.__exit__(None, None, None)


@contextmanager
def as_read_error(path: Path) -> Iterator[None]:
    """Turn any exception of a third-party parser into a ReadError."""
    try:
        yield
    except ReadError:
        raise
    except Exception as error:  # numpy and zipfile raise exceptions of any kind on damaged input
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ReadError(f"{path}: is truncated or damaged ({reason}); copy the file again.") from error


def _check(path: Path, key: str, dtype: np.dtype, shape: tuple[int, ...]) -> None:
    if dtype.kind not in _NUMBERS:
        raise ReadError(f"{path}: {key} holds {dtype} entries; expected numbers, objects are never read.")
    size = path.stat().st_size
    if math.prod(shape) * dtype.itemsize > largest_claim(size):
        raise ReadError(f"{path}: {key} claims shape {shape} in a file of {size} bytes; it is damaged, copy it again.")


def _check_header(path: Path, key: str, file: IO[bytes], size: int) -> None:
    """Check the header of a `.npy` array against the `size` of the file, before anything is allocated."""
    shape, _, dtype = read_header(file)
    _check(path, key, dtype, shape)
    expected = math.prod(shape) * dtype.itemsize
    if expected != size - file.tell():
        raise ReadError(
            f"{path}: {key} has {size - file.tell()} bytes; expected {expected} for shape {shape}: copy it again."
        )


def _rows_written(path: Path, shape: tuple[int, ...], item: int, size: int) -> int:
    """How many whole rows of the first axis `size` bytes hold, with a warning; a writer was stopped."""
    count = whole_records(size, max(1, math.prod(shape[1:]) * item), str(path), "row of the array")
    warnings.warn(f"{path}: claims {shape[0]} rows, of which {count} are there and are read", stacklevel=5)
    return count


@contextmanager
def _open_npy(path: Path, head: bytes) -> Iterator[Container]:
    with path.open("rb") as file:
        shape, is_fortran, dtype = read_header(file)
        _check(path, "array", dtype, shape)
        at, size = file.tell(), path.stat().st_size - file.tell()
    missing = math.prod(shape) * dtype.itemsize - size
    if missing > 0 and (is_fortran or not shape):
        raise ReadError(
            f"{path}: array has {size} bytes; expected {size + missing} for shape {shape}: copy the file again."
        )
    if missing > 0:
        shape = (_rows_written(path, shape, dtype.itemsize, size), *shape[1:])
    elif missing:
        warnings.warn(f"{path}: {-missing} bytes after the array of shape {shape} are left out", stacklevel=4)
    array = np.memmap(path, dtype, "r", at, shape, order="F" if is_fortran else "C")
    yield Container(path, ["array"], lambda key: Stored(array.shape, lambda index: np.array(array[index])))


@contextmanager
def _open_npz(path: Path, head: bytes) -> Iterator[Container]:
    with zipfile.ZipFile(path) as archive:
        members = {name.removesuffix(".npy"): name for name in archive.namelist() if name.endswith(".npy")}

        def load(key: str) -> Stored:
            info = archive.getinfo(members[key])
            with archive.open(info) as file:
                _check_header(path, key, file, info.file_size)
            with archive.open(info) as file:
                array = np.lib.format.read_array(file, allow_pickle=False)
            return Stored(array.shape, lambda index: np.asarray(array[index]))

        yield Container(path, members, load)


@contextmanager
def _open_mat(path: Path, head: bytes) -> Iterator[Container]:
    found = mat5.matrices(path)

    def load(key: str) -> Stored:
        matrix = found[key]
        if matrix.refused:
            raise ReadError(f"{path}: {key} is a MATLAB {matrix.refused}; expected numbers, objects are never read.")
        array = matrix.load()
        return Stored(array.shape, lambda index: array[index])

    yield Container(path, found, load)


@contextmanager
def _open_table(path: Path, head: bytes) -> Iterator[Container]:
    table = tables.parse_table(read_bytes(path), str(path))

    def columns(pattern: str) -> Stored:
        wanted = re.compile(".*".join(map(re.escape, pattern.split("*"))))  # names may hold brackets, as in amp[0]
        found = [index for index, name in enumerate(table.names) if wanted.fullmatch(name)]
        if not found and pattern != "array":
            raise ReadError(
                f"{path}: no column is named {pattern!r}; expected one of its columns "
                f"({', '.join(table.names[:20])}) or 'array' for all: correct the layout's keys."
            )
        numbers = table.entries(found or range(len(table.names)))
        array = numbers[:, 0] if len(found) == 1 and "*" not in pattern else numbers
        return Stored(array.shape, lambda index: array[index])

    yield Container(path, table.names, columns, columns, table.texts)


@contextmanager
def _open_hdf5(path: Path, head: bytes) -> Iterator[Container]:
    with Hdf5File(path) as file:

        def load(key: str) -> Stored:
            about = file.about(key)
            if "shape" not in about:
                raise ReadError(
                    f"{path}: {key} is not an array; expected an HDF5 dataset: name the array in the layout."
                )
            if about["elsewhere"]:
                raise ReadError(
                    f"{path}: {key} points to another file, which is not followed; copy the array into one."
                )
            shape = tuple(about["shape"])
            _check(path, key, np.dtype(about["dtype"]), shape)
            # In MATLAB the first axis runs fastest, in HDF5 the last: its files list the axes in reverse.
            is_reversed = head.startswith(b"MATLAB 7.3") or about["matlab"]

            def read(index: tuple[slice, ...]) -> NDArray:
                ranges = [
                    each.indices(length)[:2]
                    for each, length in zip(index[:: -1 if is_reversed else 1], shape, strict=True)
                ]
                part = file.read(key, ranges)
                return part.T if is_reversed else part

            return Stored(shape[:: -1 if is_reversed else 1], read)

        yield Container(path, _Keys(file), load)


class _Keys(Collection[str]):
    """The names in an HDF5 file, looked up on demand: there may be a million."""

    def __init__(self, file: Hdf5File) -> None:
        self._file = file

    def __contains__(self, key: object) -> bool:
        return bool(self._file.about(str(key))["found"])

    def __iter__(self) -> Iterator[str]:
        return iter(self._file.keys())

    def __len__(self) -> int:
        return len(self._file.keys())
