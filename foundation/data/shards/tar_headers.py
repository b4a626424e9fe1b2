"""Headers of a tar archive (POSIX ustar, with the long names of GNU and pax): every number in them is a claim.

A member must lie within the file, and the next header behind it, so that a walk over the headers always ends and takes
no more memory than the file has bytes. Sparse members, whose size is no size in the file, are refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

BLOCK = 512
#: Longest extended header (names, times, owners of the next member).
_MOST_EXTENDED = 2**20
_FILES = (b"0", b"\0", b"7")  # 7: a contiguous file
_EMPTY = (b"1", b"2", b"3", b"4", b"5", b"6")  # links, devices, folders, pipes: without content, whatever size says
_OCTAL = re.compile(rb"[0-7]+")
_RECORD = re.compile(rb"(\d{1,20}) ([^=\n]+)=")

Read = Callable[[int, int], bytes]


@dataclass(frozen=True, slots=True)
class Member:
    """One member: its name, whether it is a file, and the byte range of its content."""

    name: str
    is_file: bool
    start: int
    size: int


def members(size: int, read: Read) -> Iterator[Member]:
    """The members of an archive of `size` bytes, in order.

    Args:
        read: gives the bytes from an offset on, as many as are asked for.

    Raises:
        ValueError: it is no complete archive; says why and where.
    """
    at, name, claimed = 0, "", None
    while True:
        header = read(at, BLOCK) if at + BLOCK <= size else b""
        if len(header) < BLOCK:
            raise ValueError(f"it ends at byte {at} without the two empty blocks that end an archive")
        if not any(header):
            return
        if _number(header[148:156], at) != sum(header) - sum(header[148:156]) + 8 * ord(" "):
            raise ValueError(f"the header at byte {at} has a wrong checksum")
        kind, start = header[156:157], at + BLOCK
        stated = _number(header[124:136], at)
        length = 0 if kind in _EMPTY else stated if claimed is None or kind in b"xgLK" else claimed
        if start + length > size:
            raise ValueError(f"the member at byte {at} is cut off")
        if kind in _FILES or kind in _EMPTY:
            yield Member(name or _name(header), kind in _FILES, start, length)
            name, claimed = "", None
        elif kind not in (b"x", b"g", b"L", b"K") or length > _MOST_EXTENDED:
            raise ValueError(f"the member at byte {at} is of type {kind!r}; expected plain files")
        elif kind == b"L":
            name = read(start, length).split(b"\0", 1)[0].decode()
        elif kind == b"x":
            records = _records(read(start, length), at)
            name = records.get(b"path", name.encode()).decode()
            claimed = _decimal(records[b"size"], at) if b"size" in records else claimed
        at = start + -(-length // BLOCK) * BLOCK


def _number(field: bytes, at: int) -> int:
    """A number in octal digits, or binary (GNU) where the first bit is set."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    digits = field.split(b"\0", 1)[0].strip(b" ")
    if digits and not _OCTAL.fullmatch(digits):
        raise ValueError(f"the header at byte {at} has the number {digits!r}; expected octal digits")
    return int(digits or b"0", 8)


def _decimal(digits: bytes, at: int) -> int:
    if not digits.isdigit() or len(digits) > 20:
        raise ValueError(f"the extended header at byte {at} has the size {digits[:40]!r}; expected a number")
    return int(digits)


def _name(header: bytes) -> str:
    name, prefix = (part.split(b"\0", 1)[0].decode() for part in (header[:100], header[345:500]))
    return f"{prefix}/{name}" if prefix else name


def _records(data: bytes, at: int) -> dict[bytes, bytes]:
    """Records of a pax header: 'LENGTH KEY=VALUE' and a line feed, where the length counts all of it."""
    found, first = dict[bytes, bytes](), 0
    while first < len(data) and data[first]:
        record = _RECORD.match(data, first)
        end = first + int(record[1]) if record else 0
        if record is None or end > len(data) or end <= record.end() or data[end - 1 : end] != b"\n":
            raise ValueError(f"the extended header at byte {at} is damaged")
        if record[2].startswith(b"GNU.sparse"):
            raise ValueError(f"the member at byte {at} is sparse; expected plain files")
        found[record[2]] = data[record.end() : end - 1]
        first = end
    return found
