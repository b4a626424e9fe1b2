"""Read the bytes of a capture, with the errors that all readers share."""

from __future__ import annotations

import codecs
import gzip
import zlib
from pathlib import Path

from foundation.errors import ReadError

#: First bytes of a gzip stream and of a zip archive (`.npz`).
GZIP_MAGIC, ZIP_MAGIC = b"\x1f\x8b", b"PK\x03\x04"
#: Byte order mark -> encoding; that of UTF-32 begins like that of UTF-16 and comes first.
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
    codecs.BOM_UTF8: "utf-8-sig",
}


def read_bytes(path: Path, limit: int = -1) -> bytes:
    """Read a non-empty file, or its first `limit` bytes.

    Raises:
        ReadError: the file is missing, a directory, not readable or empty.
    """
    try:
        with path.open("rb") as file:
            data = file.read(limit)
    except FileNotFoundError:
        raise ReadError(f"{path}: there is no such file; check the path.") from None
    except IsADirectoryError:
        raise ReadError(f"{path}: is a directory; expected one capture file, name a file inside it.") from None
    except OSError as error:
        raise ReadError(f"{path}: cannot be read ({error.strerror}); check the permissions and the disk.") from error
    if not data:
        raise ReadError(f"{path}: is empty (0 bytes); expected a capture, record or copy it again.")
    return data


def plain_text(data: bytes) -> bytes:
    """Text as UTF-8 without byte order mark and with newlines alone at the ends of lines.

    Editors and shells of Windows write UTF-16, byte order marks and CRLF. Text without a mark keeps its encoding,
    unless every second of its first bytes is zero: that is UTF-16 of ASCII.
    """
    encoding = next((name for mark, name in _MARKS.items() if data.startswith(mark)), None)
    if encoding is None and len(data) > 7 and 0 not in data[:8:2] and not any(data[1:8:2]):
        encoding = "utf-16-le"
    elif encoding is None and len(data) > 7 and 0 not in data[1:8:2] and not any(data[:8:2]):
        encoding = "utf-16-be"
    if encoding is not None:
        data = data.decode(encoding, "replace").encode("utf-8", "replace")
    return data.replace(b"\r\n", b"\n")


def gunzip(data: bytes, path: Path) -> bytes:
    """Decompress `data` if it is gzip; otherwise return it unchanged.

    Raises:
        ReadError: the compressed stream is truncated or damaged.
    """
    if not data.startswith(GZIP_MAGIC):
        return data
    try:
        return gzip.decompress(data)
    except (EOFError, OSError, zlib.error) as error:
        raise ReadError(f"{path}: the gzip stream is truncated or damaged ({error}); copy the file again.") from error


def gunzip_head(head: bytes) -> bytes:
    """Decompress the first bytes of a file as far as possible; `head` itself if it is not gzip."""
    if not head.startswith(GZIP_MAGIC):
        return head
    try:
        return zlib.decompressobj(wbits=31).decompress(head)
    except zlib.error:
        return b""
