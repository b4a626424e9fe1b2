"""Arrays in files: MATLAB `.mat` (version 5 and 7.3), HDF5, NumPy `.npz` and `.npy`, told apart by content.

Nothing is ever unpickled and no object is built: arrays of numbers, and nothing else. Values of HDF5 files and of
`.npy` files are read as they are needed, those of the other two are loaded whole. None of the parsers can be made to
crash the process: HDF5 is read in another one, and MATLAB 5 by our own.
"""

from __future__ import annotations

import fnmatch
import math
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
from foundation.readers.arrays import mat5
from foundation.readers.arrays.hdf5 import Hdf5File
from foundation.readers.arrays.npy import read_header
from foundation.readers.files import read_bytes

#: Deflate cannot shrink data by more than 1032 : 1; what claims more was never written.
_LARGEST_RATIO = 1100
_NUMBERS = "biufc"
_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"


@dataclass(frozen=True)
class Stored:
    """An array in a file: its shape, and `read(index)` for a part of it, index being one slice per axis."""

    shape: tuple[int, ...]
    read: Callable[[tuple[slice, ...]], NDArray]

    def whole(self) -> NDArray:
        """All of it."""
        return self.read(tuple(slice(None) for _ in self.shape))


@dataclass(frozen=True)
class Container:
    """An open file: the keys of its arrays, and `load(key)` for one of them."""

    path: Path
    keys: Collection[str]
    load: Callable[[str], Stored]

    def array(self, pattern: str) -> Stored:
        """The one array whose key fits, `*` standing for any text.

        Raises:
            ReadError: no key fits, several do, or the array is damaged or not of numbers.
        """
        with damage_of(self.path):
            fits = [key for key in self.keys if fnmatch.fnmatchcase(key, pattern)] if "*" in pattern else [pattern]
            if len(fits) == 1 and fits[0] in self.keys:
                return self.load(fits[0])
            some = ", ".join(islice(self.keys, 20)) or "none"
        what = f"{len(fits)} keys fit" if len(fits) > 1 else "there is no key"
        raise ReadError(
            f"{self.path}: {what} {pattern!r}; expected one of its keys ({some}): correct the layout's keys."
        )


def sniff(head: bytes) -> bool:
    """True for the formats that `open_container` reads."""
    return _format(head) is not None


def _format(head: bytes) -> Callable[[Path, bytes], Any] | None:
    if head.startswith(b"\x93NUMPY"):
        return _open_npy
    if head.startswith(b"PK\x03\x04"):
        return _open_npz
    if any(head.startswith(_HDF5_MAGIC, at) for at in (0, 512, 1024, 2048)):
        return _open_hdf5
    return _open_mat if mat5.sniff(head) else None


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
            f"{path}: is no array file (first bytes {head[:8].hex(' ')}); expected MATLAB 5 or 7.3, HDF5, .npz or .npy."
        )
    with damage_of(path):
        manager = opener(path, head)
        container = manager.__enter__()
    try:
        yield container
    finally:
        manager.__exit__(None, None, None)


@contextmanager
def damage_of(path: Path) -> Iterator[None]:
    """Turns what a parser of another library raises, which may be anything, into a ReadError."""
    try:
        yield
    except ReadError:
        raise
    except Exception as error:  # numpy and zipfile raise whatever the damage led to
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ReadError(f"{path}: is truncated or damaged ({reason}); copy the file again.") from error


def _check(path: Path, key: str, dtype: np.dtype, shape: tuple[int, ...]) -> None:
    if dtype.kind not in _NUMBERS:
        raise ReadError(f"{path}: {key} holds {dtype} entries; expected numbers, objects are never read.")
    size = path.stat().st_size
    if math.prod(shape) * dtype.itemsize > _LARGEST_RATIO * size:
        raise ReadError(f"{path}: {key} claims shape {shape} in a file of {size} bytes; it is damaged, copy it again.")


def _check_header(path: Path, key: str, file: IO[bytes], size: int) -> None:
    """Check the header of an array in NumPy's format, before anything is allocated; `size` is what the file has."""
    shape, _, dtype = read_header(file)
    _check(path, key, dtype, shape)
    expected = math.prod(shape) * dtype.itemsize
    if expected != size - file.tell():
        raise ReadError(
            f"{path}: {key} has {size - file.tell()} bytes; expected {expected} for shape {shape}: copy it again."
        )


@contextmanager
def _open_npy(path: Path, head: bytes) -> Iterator[Container]:
    with path.open("rb") as file:
        _check_header(path, "array", file, path.stat().st_size)
    array = np.load(path, mmap_mode="r", allow_pickle=False)
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
def _open_hdf5(path: Path, head: bytes) -> Iterator[Container]:
    with Hdf5File(path) as file:

        def load(key: str) -> Stored:
            about = file.about(key)
            if "shape" not in about:
                raise ReadError(f"{path}: {key} is no array; expected an HDF5 data set: name the array in the layout.")
            if about["elsewhere"]:
                raise ReadError(
                    f"{path}: {key} points to another file, which is not followed; copy the array into one."
                )
            shape = tuple(about["shape"])
            _check(path, key, np.dtype(about["dtype"]), shape)
            # MATLAB counts the first axis fastest, HDF5 the last: its files list the axes backward.
            turned = head.startswith(b"MATLAB 7.3") or about["matlab"]

            def read(index: tuple[slice, ...]) -> NDArray:
                ranges = [
                    each.indices(length)[:2] for each, length in zip(index[:: -1 if turned else 1], shape, strict=True)
                ]
                part = file.read(key, ranges)
                return part.T if turned else part

            return Stored(shape[:: -1 if turned else 1], read)

        yield Container(path, _Keys(file), load)


class _Keys(Collection[str]):
    """The names in an HDF5 file, asked for as they are needed: there may be a million."""

    def __init__(self, file: Hdf5File) -> None:
        self._file = file

    def __contains__(self, key: object) -> bool:
        return bool(self._file.about(str(key))["found"])

    def __iter__(self) -> Iterator[str]:
        return iter(self._file.keys())

    def __len__(self) -> int:
        return len(self._file.keys())
