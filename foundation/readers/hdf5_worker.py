"""The process in which `foundation.readers.hdf5` opens files; it stands alone and is run as a script.

A request is a line of JSON on standard input; the answer is a line of JSON on standard output and, where that announces
`bytes`, so many bytes of an array in C order.
"""

from __future__ import annotations

import fnmatch
import json
import sys
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import h5py
import numpy as np

Answer = tuple[dict[str, Any], bytes]


class Worker:
    """One open file, and what may be asked of it."""

    def __init__(self) -> None:
        self.file: h5py.File | None = None

    def answer(self, request: dict[str, Any]) -> Answer:
        if request["do"] in ("open", "close"):
            if self.file is not None:
                self.file.close()
                self.file = None
            if request["do"] == "open":
                self.file = h5py.File(Path(request["path"]), "r", locking=False)  # network disks may not have locks
            return {}, b""
        do: dict[str, Callable[..., Answer]] = {
            "keys": self._keys,
            "about": self._about,
            "read": self._read,
            "stack": self._stack,
        }
        return do[request["do"]](**{name: value for name, value in request.items() if name != "do"})

    def _keys(self, pattern: str, limit: int) -> Answer:
        assert self.file is not None
        return {"keys": list(islice((key for key in self.file if fnmatch.fnmatchcase(key, pattern)), limit))}, b""

    def _about(self, key: str) -> Answer:
        assert self.file is not None
        data = self.file.get(key) if key in self.file else None
        if not isinstance(data, h5py.Dataset) or data.shape is None:
            return {"found": key in self.file}, b""
        dtype = data.dtype
        return {
            "found": True,
            "shape": data.shape,
            "dtype": np.dtype(np.complex64).str if dtype.names == ("real", "imag") else dtype.str,
            "itemsize": dtype.itemsize,
            "elsewhere": self._is_elsewhere(data),
            "matlab": "MATLAB_class" in data.attrs,
        }, b""

    def _is_elsewhere(self, data: h5py.Dataset) -> bool:
        assert self.file is not None
        return data.file.filename != self.file.filename or bool(data.external) or data.is_virtual

    def _read(self, key: str, index: list[list[int]]) -> Answer:
        assert self.file is not None
        part = np.asarray(self.file[key][tuple(slice(*each) for each in index)])
        if part.dtype.names == ("real", "imag"):  # how MATLAB stores complex numbers
            part = part["real"] + 1j * part["imag"]
        return _sent(part)

    def _stack(self, keys: list[str], most: int) -> Answer:
        assert self.file is not None
        arrays = []
        for key in keys:
            data = self.file[key]
            if not isinstance(data, h5py.Dataset) or not data.size or data.size > most or self._is_elsewhere(data):
                raise ValueError(f"{key[:80]} is not up to {most} numbers in this file")
            arrays.append(np.asarray(data[()], np.float32))
        return _sent(np.stack(arrays))


def _sent(array: np.ndarray) -> Answer:
    body = np.ascontiguousarray(array).tobytes()
    return {"shape": array.shape, "dtype": array.dtype.str, "bytes": len(body)}, body


def main() -> None:
    """Answer requests until standard input ends."""
    worker, output = Worker(), sys.stdout.buffer
    for line in sys.stdin.buffer:
        try:
            head, body = worker.answer(json.loads(line))
        except Exception as error:  # whatever the damage led to; the client makes one sentence of it
            head, body = {"error": " ".join(str(error).split())[:200] or type(error).__name__}, b""
        output.write(json.dumps(head).encode() + b"\n" + body)
        output.flush()


if __name__ == "__main__":
    main()
