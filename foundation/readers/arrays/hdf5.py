"""Read HDF5 files (also MATLAB 7.3) in a separate process: a damaged file crashes the HDF5 library, not the caller.

The library trusts the addresses and sizes in a file. Measured on version 2.0: of files with up to five changed bytes,
some corrupt its memory, which crashes the process at once or later, and some keep it busy for seconds. One worker
serves one file after another; after an error it continues with a new child, after a crash or a hang it is replaced, see
`foundation.readers.arrays.hdf5_worker`.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from threading import Timer
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from foundation.errors import ReadError

#: First bytes of an HDF5 file without a user block.
HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
#: Time limit of one answer; a block of 64 MiB takes well under a second.
_TIMEOUT_S = 120.0
#: Process id -> the idle worker of that process: a fork must not share the pipes of its parent.
_idle: dict[int, subprocess.Popen[bytes]] = {}


class Hdf5File:
    """An open HDF5 file, a context manager.

    Raises:
        ReadError: in every method, if the file is damaged or the library crashes or hangs on it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._worker: subprocess.Popen[bytes] | None = None  # while the file is open

    def __enter__(self) -> Self:
        idle = _idle.pop(os.getpid(), None)
        if idle is not None and idle.poll() is None:
            self._worker = idle
        else:
            command = [sys.executable, "-P", str(Path(__file__).with_name("hdf5_worker.py"))]
            pipe, null = subprocess.PIPE, subprocess.DEVNULL
            self._worker = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=null, process_group=0)
        self._ask(do="open", path=str(self.path.absolute()))
        return self

    def __exit__(self, kind: type[BaseException] | None, *exception: object) -> None:
        if self._worker is None:  # an error has closed it
            return
        try:
            self._ask(do="close")
        except ReadError:
            if kind in (None, GeneratorExit):  # otherwise the error that led here is raised
                raise

    def keys(self) -> list[str]:
        """The names in the root group."""
        return [str(key) for key in self._ask(do="keys")[0]["keys"]]

    def about(self, key: str) -> dict[str, Any]:
        """Describe a dataset: `shape`, `dtype`, `itemsize`, `matlab` (its axes are listed in reverse) and `elsewhere`
        (its values are in another file); anything else: only `found`."""
        return self._ask(do="about", key=key)[0]

    def read(self, key: str, index: Sequence[tuple[int, int]]) -> NDArray:
        """Read a part of an array, [start, stop) along each axis in the order of HDF5."""
        head, body = self._ask(do="read", key=key, index=[list(each) for each in index])
        return np.frombuffer(body, head["dtype"]).reshape(head["shape"])

    def stack(self, keys: Sequence[str], most: int) -> NDArray[np.float32]:
        """Read and stack arrays of one shape; one of more than `most` numbers, or in another file, is an error."""
        head, body = self._ask(do="stack", keys=list(keys), most=most)
        return np.frombuffer(body, np.float32).reshape(head["shape"])

    def _ask(self, **request: Any) -> tuple[dict[str, Any], bytes]:
        worker = self._worker
        assert worker is not None
        try:
            head, body = _answer(worker, request)
        except BaseException as error:  # after an interrupt, its answer would be read as that to the next request
            self._worker = None
            _end(worker)
            if not isinstance(error, BrokenPipeError | EOFError | ValueError):
                raise
            head, body = {"error": "the HDF5 library crashed or hung on it"}, b""
        if "error" in head or request["do"] == "close":
            self._give_back()
        if "error" in head:
            raise ReadError(f"{self.path}: is truncated or damaged ({head['error']}); copy the file again.")
        return head, body

    def _give_back(self) -> None:
        """Return the worker to the idle ones, unless it has ended."""
        worker, self._worker = self._worker, None
        if worker is None:
            return
        other = _idle.pop(os.getpid(), None)
        _idle[os.getpid()] = worker
        if other is not None:  # two files were open at once
            _end(other)


def _answer(worker: subprocess.Popen[bytes], request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """Send a request; BrokenPipeError, EOFError or ValueError if the worker ends without a complete answer."""
    assert worker.stdin is not None and worker.stdout is not None
    timer = Timer(_TIMEOUT_S, _kill, [worker])
    timer.start()
    try:
        worker.stdin.write(json.dumps(request).encode() + b"\n")
        worker.stdin.flush()
        head: dict[str, Any] = json.loads(worker.stdout.readline())
        body = worker.stdout.read(head.get("bytes", 0))
    finally:
        timer.cancel()
    if len(body) < head.get("bytes", 0):
        raise EOFError
    return head, body


def _kill(worker: subprocess.Popen[bytes]) -> None:
    if worker.returncode is None:
        os.killpg(worker.pid, signal.SIGKILL)  # its child too


def _end(worker: subprocess.Popen[bytes]) -> None:
    _kill(worker)
    worker.communicate()


@atexit.register
def _end_idle() -> None:
    worker = _idle.pop(os.getpid(), None)
    if worker is not None:
        _end(worker)
