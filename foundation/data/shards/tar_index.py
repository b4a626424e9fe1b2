"""Random access into one tar shard: one pass over the headers indexes the members; contents are read on access.

A shard is believed only after its size, SHA-256 and sessions have been compared with the manifest: once per file and
run, by whichever process opens it first. A local shard is read by `pread`, not through a memory map: a file that
becomes shorter meanwhile is an error that can be told, where a map kills the process (SIGBUS). A shard behind a URL is
fetched as a whole: once per node with a cache (`foundation.data.shards.shard_cache`), else by every process that reads
it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import FileIO
from itertools import groupby
from pathlib import Path
from typing import Protocol

from foundation.config.address import local_path
from foundation.data.shards.address import LEAST_RATE, READ_S, fetch, is_url, join
from foundation.data.shards.manifest import Shard
from foundation.data.shards.shard_cache import ShardCache, lock_file
from foundation.data.shards.tar_headers import members
from foundation.errors import ShardError
from foundation.files import open_regular
from foundation.json_file import parse_json
from foundation.redaction import published

_CHUNK = 2**20
#: Beginning of an array that surely holds its header (numpy pads it to a multiple of 64 bytes).
_HEAD = 1024


class DamagedShardError(ShardError):
    """A whole shard cannot be read, not only one of its samples."""


class Source(Protocol):
    """The bytes of a shard. `stamp` changes when they may have changed."""

    size: int

    @property
    def stamp(self) -> int: ...

    def read(self, at: int, size: int) -> bytes: ...


class TarShard:
    """The samples of one shard, in order. Sample i is a mapping from extension to the bytes of a member.

    Attributes:
        where: file or URL without credentials, for errors.
        samples: key, and the byte range (start, size) of each member by extension.
    """

    def __init__(self, where: str, source: Source) -> None:
        self.where, self.source, self.stamp = where, source, source.stamp
        self.samples: list[tuple[str, dict[str, tuple[int, int]]]] = []
        try:
            for member in members(source.size, source.read):
                key, _, extension = member.name.partition(".")
                if not member.is_file:
                    continue
                if not self.samples or self.samples[-1][0] != key:
                    self.samples.append((key, {}))
                if extension in self.samples[-1][1]:
                    raise ValueError(f"it has {member.name!r} twice")
                self.samples[-1][1][extension] = (member.start, member.size)
        except ValueError as error:
            raise DamagedShardError(f"{where}: cannot be read as tar ({error}); copy it again or rebuild") from error

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[str, Mapping[str, bytes]]:
        key, members = self.samples[index]
        return key, Members(self.source, members)

    def head(self, index: int, extension: str) -> bytes:
        """The first bytes of a member, which hold the header of an array.

        Raises:
            KeyError: the sample has no such member.
        """
        start, size = self.samples[index][1][extension]
        return self.source.read(start, min(size, _HEAD))

    @property
    def has_changed(self) -> bool:
        """Whether the file was written since it was opened."""
        return self.source.stamp != self.stamp


@dataclass(frozen=True)
class Members(Mapping[str, bytes]):
    """The members of a sample; each is read when it is asked for."""

    source: Source
    spans: Mapping[str, tuple[int, int]]

    def __getitem__(self, extension: str) -> bytes:
        return self.source.read(*self.spans[extension])

    def __contains__(self, extension: object) -> bool:
        return extension in self.spans

    def __iter__(self) -> Iterator[str]:
        return iter(self.spans)

    def __len__(self) -> int:
        return len(self.spans)


def open_shard(directory: str | Path, shard: Shard, verified: int = 0, cache: ShardCache | None = None) -> TarShard:
    """Open or fetch a shard of a directory, compare it with its entry in the manifest, and index it.

    Args:
        verified: the `stamp` of the file when it was last compared; the same one is not compared again.
        cache: where shards behind a URL are kept; None keeps them in the memory of each process.

    Raises:
        DamagedShardError: it is missing, is not what the manifest says, or is not a complete tar file.
        ShardError: it cannot be fetched.
    """
    address = join(directory, shard.file)
    where = published(address)
    if not is_url(directory):
        return _checked(where, Local(Path(local_path(str(directory)), shard.file)), shard, verified)
    if cache is not None and (tar := _cached(where, cache, address, shard, verified)) is not None:
        return tar
    return _checked(where, Fetched(fetch(address, shard.bytes)), shard, verified)


def _cached(where: str, cache: ShardCache, address: str, shard: Shard, verified: int) -> TarShard | None:
    """A shard from a cache, fetched again where the file has been damaged; None where the cache has no place for it."""
    wait_s = READ_S + shard.bytes / LEAST_RATE
    for _ in range(2):
        path = cache.open(shard, lambda: fetch(address, shard.bytes), wait_s)
        if path is None:
            return None
        with contextlib.suppress(DamagedShardError):
            return _checked(where, Local(path, locked=True), shard, verified)
        cache.drop(shard)
    return None  # what is behind the address is damaged too, which is said without the cache


def _checked(where: str, source: Source, shard: Shard, verified: int) -> TarShard:
    """The index of a shard that has been compared with its entry in the manifest. Raises as `open_shard`."""
    if source.size != shard.bytes:
        raise DamagedShardError(
            f"{where}: has {source.size} bytes where its manifest says {shard.bytes}; copy it again or rebuild"
        )
    tar = TarShard(where, source)
    if tar.stamp != verified:
        _compare(tar, shard)
    return tar


def _compare(tar: TarShard, shard: Shard) -> None:
    """Compare the bytes, the number of samples and the session of every sample with the manifest."""
    if len(tar) != shard.count:
        raise DamagedShardError(f"{tar.where}: holds {len(tar)} of {shard.count} samples; copy it again or rebuild")
    if sha256_of_source(tar.source) != shard.sha256:
        raise DamagedShardError(
            f"{tar.where}: its bytes are not those that the manifest lists (sha256); copy it again or rebuild"
        )
    found = [(session, len(list(run))) for session, run in groupby(map(_session, (tar[i][1] for i in range(len(tar)))))]
    for (session, count), (stated, expected) in zip(found, shard.sessions.items(), strict=False):
        if (session, count) != (stated, expected):
            raise DamagedShardError(
                f"{tar.where}: has {count} samples of session {session!r} where its manifest says {expected} of "
                f"{stated!r}, so that a split would mix sessions; restore the manifest as it was built, or rebuild"
            )


def sha256_of_source(source: Source) -> str:
    """Hexadecimal SHA-256 of a shard, read in pieces."""
    digest = hashlib.sha256()
    for at in range(0, source.size, _CHUNK):
        digest.update(source.read(at, min(_CHUNK, source.size - at)))
    return digest.hexdigest()


def _session(members: Mapping[str, bytes]) -> str:
    """The session of a sample, "" where its metadata cannot be read: decoding then says why."""
    try:
        return str(parse_json(members["meta.json"], finite=False)["session"])
    except (KeyError, ValueError, TypeError):
        return ""


class Fetched:
    """A shard in memory."""

    stamp = 1

    def __init__(self, data: bytes) -> None:
        self.data, self.size = data, len(data)

    def read(self, at: int, size: int) -> bytes:
        return self.data[at : at + size]


class Local:
    """A shard on disk.

    Args:
        locked: others may delete it, but not while it is open.

    Raises:
        DamagedShardError: it is missing, no regular file, or shorter than when it was opened.
    """

    def __init__(self, path: Path, *, locked: bool = False) -> None:
        self.path = path
        try:
            self.file: FileIO = open_regular(path)
            if locked:
                lock_file(self.file.fileno())
        except OSError as error:
            raise DamagedShardError(f"{path}: {error.strerror}; restore it or rebuild") from error
        weakref.finalize(self, self.file.close)  # a stream lets go of shards as it moves on
        self.size = os.fstat(self.file.fileno()).st_size

    @property
    def stamp(self) -> int:
        """Never 0: that is the stamp of no file."""
        found = os.fstat(self.file.fileno())
        return hash((found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)) & (2**63 - 1) | 1

    def read(self, at: int, size: int) -> bytes:
        try:
            data = os.pread(self.file.fileno(), size, at)
            while len(data) < size and (more := os.pread(self.file.fileno(), size - len(data), at + len(data))):
                data += more
        except OSError as error:
            raise DamagedShardError(
                f"{self.path}: cannot be read ({error.strerror}); copy it again or rebuild"
            ) from error
        if len(data) < size:
            raise DamagedShardError(f"{self.path}: became shorter while it was read; copy it again or rebuild")
        return data
