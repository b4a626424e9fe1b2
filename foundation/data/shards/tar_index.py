"""Random access into one tar shard: one pass over the headers indexes the members; contents are views.

A local shard is memory-mapped: a sample is read from disk on access, without a copy. A shard behind a URL is fetched
once, as a whole, by every process that reads it.
"""

from __future__ import annotations

import io
import mmap
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from foundation.config.address import local_path
from foundation.config.redaction import published
from foundation.data.shards.address import fetch, is_url
from foundation.errors import ShardError

BLOCK = 512
#: Type flags of plain files; every other one (links, long names, pax records) is left to `tarfile`.
_PLAIN = (b"0", b"\0")


@dataclass(frozen=True)
class TarShard:
    """The samples of one shard, in order. Sample i is a mapping from extension to the bytes of a member.

    Attributes:
        where: file or URL without credentials, for errors.
        samples: key, and the byte range of each member by extension.
    """

    where: str
    data: memoryview
    samples: list[tuple[str, dict[str, slice]]]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[str, Mapping[str, memoryview]]:
        key, members = self.samples[index]
        return key, {extension: self.data[span] for extension, span in members.items()}


def open_shard(address: str | Path) -> TarShard:
    """Map or fetch a shard and index it.

    Raises:
        ShardError: it is missing, cannot be fetched, or is not a complete tar file.
    """
    data = memoryview(fetch(str(address)) if is_url(address) else _map(Path(local_path(str(address)))))
    where = published(str(address))
    samples: list[tuple[str, dict[str, slice]]] = []
    try:
        for name, span in _members(data):
            key, _, extension = name.partition(".")
            if not samples or samples[-1][0] != key:
                samples.append((key, {}))
            samples[-1][1][extension] = span
    except (ValueError, tarfile.TarError) as error:
        raise ShardError(f"{where}: cannot be read as tar ({error}); copy it again or rebuild") from error
    return TarShard(where, data, samples)


def _map(path: Path) -> mmap.mmap | bytes:
    try:
        with path.open("rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if path.stat().st_size else b""
    except OSError as error:
        raise ShardError(f"{path}: {error.strerror}; restore it or rebuild.") from error


def _members(data: memoryview) -> Iterator[tuple[str, slice]]:
    """Name and byte range of every file of the archive."""
    at = 0
    while True:
        header = bytes(data[at : at + BLOCK])
        if len(header) < BLOCK:
            raise ValueError(f"it ends at byte {at} without the two empty blocks that end an archive")
        if not any(header):
            return
        if int(header[148:156].rstrip(b"\0 ") or b"0", 8) != sum(header) - sum(header[148:156]) + 8 * ord(" "):
            raise ValueError(f"the header at byte {at} has a wrong checksum")
        if header[156:157] not in _PLAIN or header[124] & 0x80:
            yield from _slow_members(data, at)
            return
        size = int(header[124:136].rstrip(b"\0 ") or b"0", 8)
        start = at + BLOCK
        if start + size > len(data):
            raise ValueError(f"the member at byte {at} is cut off")
        name, prefix = (part.split(b"\0", 1)[0].decode() for part in (header[:100], header[345:500]))
        yield (f"{prefix}/{name}" if prefix else name), slice(start, start + size)
        at = start + -(-size // BLOCK) * BLOCK


def _slow_members(data: memoryview, at: int) -> Iterator[tuple[str, slice]]:
    """The rest of an archive whose headers need more than the plain format; links are left out."""
    with tarfile.open(fileobj=io.BytesIO(data[at:]), mode="r:") as tar:
        for member in tar:
            if member.isfile():
                start = at + member.offset_data
                yield member.name, slice(start, start + member.size)
