"""Atomic writes, and the right to write."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import stat
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

from filelock import FileLock, Timeout

from foundation.errors import WfmError


def write_atomically(path: Path, data: bytes | str) -> None:
    """Write to a temporary file beside `path`, flush it to disk, rename it; makes the folder. Text is UTF-8."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not the process number alone: on a shared file system, two nodes may have the same one.
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
    try:
        with temporary.open("wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def open_regular(path: Path) -> FileIO:
    """Open a regular file, unbuffered, without waiting for the other end of a pipe.

    Raises:
        OSError: it is missing, not readable, or a folder, pipe, socket or device.
    """
    opened = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(opened).st_mode):
        os.close(opened)
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return FileIO(opened, "rb")


def read_regular(path: Path, most_bytes: int) -> bytes:
    """The first `most_bytes` bytes of a regular file. Raises as `open_regular`."""
    data = bytearray()
    with open_regular(path) as file:  # piece by piece: one read would take memory for all that is allowed
        while more := file.read(min(2**20, most_bytes - len(data))):
            data += more
    return bytes(data)


@contextmanager
def exclusive(path: Path, wait_s: float = 0.0) -> Iterator[None]:
    """Hold the only right to write a file or folder; the system gives it back when the process ends, however it ends.

    The lock is a hidden file beside `path`, which is removed afterwards. A file system without locks gets a warning.

    Args:
        wait_s: how long to wait for another process that holds it.

    Raises:
        WfmError: another process holds it; says which.
        OSError: the lock cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.lock")
    lock = FileLock(beside, mode=0o666)
    try:
        lock.acquire(timeout=wait_s)
    except Timeout:
        raise WfmError(
            f"{path}: {_holder(beside)} is writing it; wait until that has ended, or name another place."
        ) from None
    except NotImplementedError:
        warnings.warn(f"{path}: its file system has no locks; make sure that nothing else writes it.", stacklevel=3)
        yield
        return
    try:
        beside.write_text(f"process {os.getpid()} on {socket.gethostname()}")
        yield
    finally:
        try:
            beside.unlink(missing_ok=True)  # before it is released: one who waits then sees that it has gone
        finally:
            lock.release()


def _holder(lock: Path) -> str:
    try:
        return lock.read_text().strip()[:100] or "another process"
    except (OSError, ValueError):
        return "another process"


def refuse_existing(path: Path, error: type[WfmError]) -> None:
    """Raise `error` where there is something at `path`: nothing that a user has made is overwritten."""
    if path.exists() or path.is_symlink():
        raise error(f"{path} exists and is left alone; name a new folder, or delete this one first.")


@contextmanager
def new_folder(folder: Path, error: type[WfmError]) -> Iterator[Path]:
    """Make a folder that appears whole or not at all: its files are written into the hidden folder that is yielded.

    Raises:
        error: `folder` exists, also if another process has made it meanwhile; it is left alone.
    """
    refuse_existing(folder, error)
    partial = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}.partial")
    partial.mkdir(parents=True)
    try:
        yield partial
        mode = partial.stat().st_mode & 0o666  # what the user's umask allows; safetensors and PEFT write files as 0600
        for path in filter(Path.is_file, partial.rglob("*")):
            path.chmod(mode)
            with path.open("rb") as file:
                os.fsync(file.fileno())
        try:
            partial.rename(folder)
        except OSError:
            refuse_existing(folder, error)
            raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
