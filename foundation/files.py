"""Atomic writes, and the right to write."""

from __future__ import annotations

import os
import shutil
import socket
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
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


@contextmanager
def new_folder(folder: Path, error: type[WfmError]) -> Iterator[Path]:
    """Make a folder that appears whole or not at all: its files are written into the hidden folder that is yielded.

    Raises:
        error: `folder` exists, also if another process has made it meanwhile; it is left alone.
    """
    exists = error(f"{folder} exists and is left alone; name a new folder, or delete this one first.")
    if folder.exists():
        raise exists
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
            if folder.exists():
                raise exists from None
            raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
