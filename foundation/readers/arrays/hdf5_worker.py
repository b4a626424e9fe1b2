"""Worker process that opens files for `foundation.readers.arrays.hdf5`; a script without imports from this project.

A request is a line of JSON on standard input; the answer is a line of JSON on standard output and, if that has `bytes`,
that many bytes of an array in C order.

A child, forked from a process that never opens a file, answers until a file raises an error: memory that the library
has corrupted ends with it, and nothing is imported again. It continues after an intact file, since the first file of
every child costs about 5 ms more. Its parent sends the answer with the error, once the child is gone. A child that
leaves no error has crashed: the parent ends too, and the client reads the end of the output.
"""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

Answer = tuple[dict[str, Any], bytes]

#: Bytes that a worker may allocate: several copies of a block of 64 MiB. The library believes the sizes in a file.
MOST_BYTES = 512 * 2**20


class Worker:
    """Answers requests on one open file."""

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

    def _keys(self) -> Answer:
        assert self.file is not None
        return {"keys": list(self.file)}, b""

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
                raise ValueError(f"{key[:80]} is not an array of up to {most} numbers in this file")
            arrays.append(np.asarray(data[()], np.float32))
        return _sent(np.stack(arrays))


def _sent(array: np.ndarray) -> Answer:
    body = np.ascontiguousarray(array).tobytes()
    return {"shape": array.shape, "dtype": array.dtype.str, "bytes": len(body)}, body


def _serve(worker: Worker) -> dict[str, str]:
    """Answer requests until one raises an error, which is returned and not sent, or standard input ends."""
    output = sys.stdout.buffer
    for line in sys.stdin.buffer:
        try:
            head, body = worker.answer(json.loads(line))
        except Exception as error:  # of any kind on damaged input; the client turns it into a ReadError
            return {"error": " ".join(str(error).split())[:200] or type(error).__name__}
        output.write(json.dumps(head).encode() + b"\n" + body)
        output.flush()
    return {}


def _child() -> bytes:
    """Let a child answer until an error, which is returned; empty if it crashed or the client is gone."""
    last, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(write, json.dumps(_serve(Worker())).encode() + b"\n")
        finally:
            os._exit(0)  # the rest is for the parent only
    os.close(write)
    poll = select.poll()
    poll.register(last, select.POLLIN)
    poll.register(sys.stdin, 0)  # only its end: its content is for the child
    gone = sys.stdin.fileno() in dict(poll.poll())
    if gone:  # the child may hang
        os.kill(child, signal.SIGKILL)
    answer = os.read(last, select.PIPE_BUF)
    os.close(last)
    os.waitpid(child, 0)
    return b"" if gone else answer


def main() -> None:
    """Serve with child after child until standard input ends or one crashes."""
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    if hard == resource.RLIM_INFINITY or hard > MOST_BYTES:
        resource.setrlimit(resource.RLIMIT_DATA, (MOST_BYTES, hard))
    while answer := _child():
        sys.stdout.buffer.write(answer)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
