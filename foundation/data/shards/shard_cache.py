"""A folder of fetched shards, of bounded size, that all processes of a node share: each shard is fetched once.

A shard is kept under the SHA-256 that its manifest states, so that any address of it finds it. Whoever reads it has a
shared lock on the open file, whoever writes it an exclusive one; a file that can be locked exclusively is therefore not
in use, and may be deleted: what was read least recently first. A download appears whole, by renaming, or not at all; it
takes its place from the bound before it begins.
"""

from __future__ import annotations

import contextlib
import os
import time
import uuid
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from foundation.data.shards.manifest import Shard
from foundation.files import exclusive, open_regular

try:
    from fcntl import LOCK_EX, LOCK_NB, LOCK_SH, flock
except ImportError:  # Windows, which does not delete an open file
    flock = None  # type: ignore[assignment]

PARTIAL = ".partial"
WAIT_S = 600.0  # for others that make room


@dataclass(frozen=True)
class ShardCache:
    """The cache in `folder`, which holds `most_bytes` at most."""

    folder: Path
    most_bytes: int

    @classmethod
    def of(cls, folder: Path | None, gigabytes: float) -> ShardCache | None:
        """The cache of a recipe; None where it is to hold nothing.

        Args:
            folder: None for `wfm/shards` in the user's cache directory.
        """
        if not gigabytes:
            return None
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        return cls(folder or home / "wfm" / "shards", int(gigabytes * 1e9))

    def open(self, shard: Shard, fetch: Callable[[], bytes], wait_s: float) -> Path | None:
        """The file of a shard, fetched where it is missing; None where it does not fit or cannot be written.

        Args:
            wait_s: how long to wait for another process that fetches it.
        """
        path = self.folder / f"{shard.sha256}.tar"
        try:
            if not path.is_file():
                with exclusive(self.folder / shard.sha256, wait_s):  # of the processes that miss it one fetches it
                    if not path.is_file() and not self._fetch(path, shard.bytes, fetch):
                        return None
            os.utime(
                path, ns=(time.time_ns(), path.stat().st_mtime_ns)
            )  # the order of deletion; mtime says what it holds
        except FileNotFoundError:  # another process needed its place: as if it had not been there
            return None
        except OSError as error:
            reason = error.strerror or error
            warnings.warn(f"{self.folder}: shards cannot be cached here ({reason}); each process fetches", stacklevel=2)
            return None
        return path

    def drop(self, shard: Shard) -> None:
        """Delete a file that is not what it should be."""
        (self.folder / f"{shard.sha256}.tar").unlink(missing_ok=True)

    def _fetch(self, path: Path, size: int, fetch: Callable[[], bytes]) -> bool:
        """Fetch a shard into its file; False where there is no place for it."""
        partial = path.with_name(f"{path.stem}.{uuid.uuid4().hex}{PARTIAL}")
        with contextlib.ExitStack() as stack:
            with exclusive(self.folder / "room", WAIT_S):
                if not self._make_room(size):
                    return False
                file = stack.enter_context(partial.open("wb"))
                stack.callback(partial.unlink, missing_ok=True)
                lock_file(file.fileno(), write=True)
                file.truncate(size)  # so that others count it
            data = fetch()
            file.write(data)
            file.truncate(len(data))
            file.flush()
            lock_file(file.fileno())
            partial.replace(path)
        return True

    def _make_room(self, size: int) -> bool:
        """Delete what is not in use, beginning with what was read least recently, until `size` bytes fit."""
        found = [(entry, entry.stat()) for entry in os.scandir(self.folder) if entry.name.endswith((".tar", PARTIAL))]
        used = sum(info.st_size for _, info in found)
        # A partial file that nobody has locked is of a process that was killed.
        for entry, info in sorted(found, key=lambda each: (each[0].name.endswith(".tar"), each[1].st_atime_ns)):
            left_over = entry.name.endswith(PARTIAL)
            if (left_over or used + size > self.most_bytes) and _deleted(Path(entry.path)):
                used -= info.st_size
        return used + size <= self.most_bytes


def lock_file(opened: int, *, write: bool = False) -> None:
    """Lock an open file, for as long as it is open, against deletion; with `write` against readers too.

    Raises:
        OSError: with `write`, where another process has it open.
    """
    if flock is not None and write:
        flock(opened, LOCK_EX | LOCK_NB)
    elif flock is not None:
        with contextlib.suppress(OSError):  # a file system without locks: what is deleted stays readable while open
            flock(opened, LOCK_SH)


def _deleted(path: Path) -> bool:
    """Delete a file unless a process has it open."""
    try:
        with open_regular(path) as file:
            lock_file(file.fileno(), write=True)
            path.unlink()
    except OSError:
        return False
    return True
