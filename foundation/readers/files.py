"""Read the bytes of a capture, with the errors, warnings and courtesies that all readers share."""

from __future__ import annotations

import codecs
import json
import math
import stat
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from foundation.errors import ReadError

#: First bytes of a gzip stream and of a zip archive (`.npz`).
GZIP_MAGIC, ZIP_MAGIC = b"\x1f\x8b", b"PK\x03\x04"
#: Logs and measurements compress 2 to 20 times. Much more is a bomb and is not decompressed further, unless what comes
#: out is small (text) or not large (arrays, which may be mostly zeros).
_MOST_COMPRESSION, _SMALL, _LARGE, _CHUNK = 100, 1 << 22, 1 << 28, 1 << 14
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
        ReadError: the file is missing, not a regular file (a pipe would block, a device never end), not readable, too
            large for memory, or empty.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise ReadError(f"{path}: is a directory; expected one capture file, name a file inside it.")
        if not stat.S_ISREG(mode):
            raise ReadError(f"{path}: is a pipe, device or socket; expected a file, save what it gives into one first.")
        with path.open("rb") as file:
            data = file.read(limit)
    except (FileNotFoundError, NotADirectoryError):
        raise ReadError(f"{path}: there is no such file; check the path.") from None
    except OSError as error:
        raise ReadError(f"{path}: cannot be read ({error.strerror}); check the permissions and the disk.") from error
    except ValueError as error:  # a zero byte or half a surrogate pair
        raise ReadError(f"{str(path)!r}: is not the name of a file ({error}); check the path.") from None
    except MemoryError:
        raise ReadError(f"{path}: is larger than the free memory; cut it into shorter files.") from None
    if not data:
        raise ReadError(f"{path}: is empty (0 bytes); expected a capture, record or copy it again.")
    return data


def whole_records(length: int, size: int, where: str, what: str) -> int:
    """Count the whole records of `size` bytes in `length` bytes; warns of an incomplete last one.

    Recorders are stopped at any time, so the end of a file is rarely the end of a record.

    Raises:
        ReadError: there is no whole record.
    """
    count, rest = divmod(length, size)
    if count < 1:
        raise ReadError(f"{where}: has {length} bytes, less than one {what} of {size} bytes; record or copy it again.")
    if rest:
        warnings.warn(
            f"{where}: the last {what} is incomplete, {rest} of {size} bytes, and is left out; {count} are whole. If "
            "the recording was not stopped there, the file is truncated or described wrongly",
            stacklevel=3,
        )
    return count


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


def parse_json(data: bytes, where: str, advice: str = "copy the file again, or name the right one") -> Any:
    """Parse JSON in any of the encodings of `plain_text`; half a surrogate pair, which no text can hold, becomes `?`.

    Raises:
        ReadError: it is not JSON, or is nested too deeply.
    """
    text = plain_text(data)
    try:
        found = json.loads(text)
        if b"\\ud" in text.lower():
            found = json.loads(json.dumps(found, ensure_ascii=False).encode("utf-8", "replace"))
    except (ValueError, RecursionError) as error:
        raise ReadError(f"{where}: is not JSON ({error}); {advice}.") from error
    return found


def given_or_stated(given: float | None, stated: float, name: str, where: str) -> float:
    """The value that the caller gives, else that of the file (0: unknown); warns where the two contradict each other.

    Raises:
        ReadError: the given value is not a finite number of at least 0.
    """
    if given is None:
        return stated
    if not (math.isfinite(given) and given >= 0):
        raise ReadError(f"{where}: {name}={given} was given; expected a finite number, 0 or more.")
    if stated and not math.isclose(given, stated, rel_tol=1e-9):
        warnings.warn(f"{where}: says {name} {stated:.12g}; the given {given:.12g} is used", stacklevel=3)
    return float(given)


def largest_claim(size: int) -> int:
    """The most bytes that `size` bytes of compressed numbers may claim to hold.

    Deflate cannot compress by more than 1032 : 1, so what claims more is damaged. Large arrays of measurements compress
    far less: what claims to be large by more than the usual ratio is a bomb.
    """
    return max(_MOST_COMPRESSION * size, min(1100 * size, _LARGE))


def gunzip(data: bytes, path: Path) -> bytes:
    """Decompress `data` if it is gzip; otherwise return it unchanged.

    Of a stream that is cut or damaged, what comes before is returned, with a warning: loggers are stopped at any time.

    Raises:
        ReadError: nothing can be decompressed, or far more than a log compresses.
    """
    if not data.startswith(GZIP_MAGIC):
        return data
    limit = max(_SMALL, _MOST_COMPRESSION * len(data))
    parts: list[bytes] = []
    size, reason = 0, ""
    try:
        for part in _inflated(data, limit + 1):
            parts.append(part)
            size += len(part)
            if size > limit:
                raise ReadError(
                    f"{path}: {len(data)} bytes decompress to more than {limit}; expected a log, which compresses up "
                    f"to {_MOST_COMPRESSION} times: it is damaged or hostile, decompress it yourself if you trust it."
                )
    except (zlib.error, EOFError) as error:
        reason = str(error)
    text = b"".join(parts)
    if reason and not text:
        raise ReadError(f"{path}: the gzip stream is truncated or damaged ({reason}); copy the file again.")
    if reason:
        warnings.warn(
            f"{path}: the gzip stream is truncated or damaged ({reason}); its first {len(text)} bytes are read",
            stacklevel=3,
        )
    return text


def _inflated(data: bytes, most: int) -> Iterator[bytes]:
    """Decompress the gzip streams in `data`, one after another, in pieces of at most `most` bytes."""
    stream = zlib.decompressobj(wbits=31)
    for start in range(0, len(data), _CHUNK):  # what follows a stream is copied, so there must be little of it
        chunk = data[start : start + _CHUNK]
        while chunk:
            if stream.eof:
                chunk = chunk.lstrip(b"\0")  # padding
                if not chunk:
                    break
                stream = zlib.decompressobj(wbits=31)
            yield stream.decompress(chunk, most)
            chunk = stream.unused_data if stream.eof else b""
    if not stream.eof:
        raise EOFError("it ends too early")


def gunzip_head(head: bytes) -> bytes:
    """Decompress the first bytes of a file as far as possible; `head` itself if it is not gzip."""
    if not head.startswith(GZIP_MAGIC):
        return head
    try:
        return zlib.decompressobj(wbits=31).decompress(head, 1 << 16)
    except zlib.error:
        return b""
