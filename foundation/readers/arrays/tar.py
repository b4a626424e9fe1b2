"""Read the members of a tar archive in memory. Nothing is extracted, so no member name can write outside a folder."""

from __future__ import annotations

import io
import tarfile
import warnings
from pathlib import Path

from foundation.errors import ReadError

_MAGIC_AT, _MAGIC = 257, b"ustar"
_BLOCK = 512


def is_tar(head: bytes) -> bool:
    """True if `head` starts with the header of a POSIX or GNU tar archive."""
    return head[_MAGIC_AT : _MAGIC_AT + len(_MAGIC)] == _MAGIC


def members(data: bytes, path: Path) -> dict[str, memoryview]:
    """Map the name of every regular file of an uncompressed archive to its content, a view into `data`.

    Of an archive that is cut or damaged, the members before that are returned, with a warning, and of the last one what
    there is of it.

    Raises:
        ReadError: no member is intact, or one has a negative size.
    """
    found: dict[str, memoryview] = {}
    trouble, end = "", len(data)
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            while not trouble and (member := archive.next()) is not None:
                stop = member.offset_data + member.size
                # tarfile accepts a negative size and would then read the same headers endlessly.
                if member.size < 0:
                    raise ReadError(
                        f"{path}: the member {member.name[:80]!r} of the archive claims {member.size} bytes; it is "
                        "damaged or hostile, copy it again."
                    )
                if stop > len(data):
                    trouble = f"its member {member.name[:80]!r} should end at byte {stop} of {len(data)}"
                # A sparse member may claim any size beyond the stored bytes.
                if member.isreg() and not member.issparse():
                    found[member.name] = memoryview(data)[member.offset_data : stop]
            end = archive.offset
    except (tarfile.TarError, ValueError, IndexError, OverflowError, RecursionError) as error:
        trouble = str(error)
    # tarfile stops silently at the end of the data and at a header that it cannot parse.
    if not trouble and data[end : end + _BLOCK] != bytes(_BLOCK):
        trouble = f"a member's header or the empty block at the end was expected at byte {end}"
    if trouble and not found:
        raise ReadError(f"{path}: is not an intact tar archive ({trouble}); copy it again.")
    if trouble:
        warnings.warn(
            f"{path}: the archive is truncated or damaged ({trouble}); its first {len(found)} members are read",
            stacklevel=3,
        )
    return found
