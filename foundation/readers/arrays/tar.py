"""Read the members of a tar archive in memory. Nothing is extracted, so no member name can write outside a folder."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

from foundation.errors import ReadError

_MAGIC_AT, _MAGIC = 257, b"ustar"
_BLOCK = 512


def is_tar(head: bytes) -> bool:
    """True if `head` starts with the header of a POSIX or GNU tar archive."""
    return head[_MAGIC_AT : _MAGIC_AT + len(_MAGIC)] == _MAGIC


def members(data: bytes, path: Path) -> dict[str, memoryview]:
    """Map the name of every regular file of an uncompressed archive to its content, a view into `data`.

    Raises:
        ReadError: the archive is truncated or damaged.
    """
    found: dict[str, memoryview] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            while (member := archive.next()) is not None:
                stop = member.offset_data + member.size
                # tarfile accepts a negative size and would then read the same headers endlessly.
                if member.size < 0 or stop > len(data):
                    raise ReadError(
                        f"{path}: the archive is truncated or damaged at member {member.name[:80]!r}, which should end "
                        f"at byte {stop} of {len(data)}; copy it again."
                    )
                # A sparse member may claim any size beyond the stored bytes.
                if member.isreg() and not member.issparse():
                    found[member.name] = memoryview(data)[member.offset_data : stop]
            end = archive.offset
    except (tarfile.TarError, ValueError, IndexError, OverflowError, RecursionError) as error:
        raise ReadError(f"{path}: is not an intact tar archive ({error}); copy it again.") from error
    # tarfile stops silently at the end of the data and at a header that it cannot parse.
    if data[end : end + _BLOCK] != bytes(_BLOCK):
        raise ReadError(
            f"{path}: the archive is truncated or damaged at byte {end}, where a member's header or the empty block at "
            "the end was expected; copy it again."
        )
    return found
