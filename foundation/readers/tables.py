"""Tables of numbers in text (CSV): the rows that are whole, and a warning that counts the others."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from foundation.errors import ReadError
from foundation.readers.files import plain_text

_DELIMITERS = (b",", b";", b"\t")
#: A first line of a table that is longer than what is looked at has this many columns or more.
_MANY = 8


@dataclass(frozen=True)
class Table:
    """A table as text.

    Attributes:
        names: of the columns, from the first line; their numbers from 0 where that holds numbers.
        lines: the rows that have all columns.
        at: number of each row in the file, from 1.
        delimiter: what separates columns.
        where: name of the file, for messages.
    """

    names: list[str]
    lines: list[bytes]
    at: list[int]
    delimiter: bytes
    where: str

    def numbers(self, columns: Sequence[int] | None = None) -> tuple[NDArray[np.float64], list[int]]:
        """Numbers [rows, columns] and the line of each row; NaN where a field is empty.

        Rows with a field that is no number are left out, with a warning.

        Raises:
            ReadError: no row is left.
        """
        fast = self._fast(columns)
        if fast is not None:
            return fast, self.at
        rows = [_row(line.split(self.delimiter), columns) for line in self.lines]
        whole = [(row, at) for row, at in zip(rows, self.at, strict=True) if row is not None]
        wrong = [at for row, at in zip(rows, self.at, strict=True) if row is None]
        if not whole:
            raise ReadError(
                f"{self.where}, line {wrong[0]}: has a field that is not a number, as have all rows; expected a table "
                "of numbers, copy the file again."
            )
        if wrong:
            warnings.warn(
                f"{self.where}: left out {len(wrong)} of {len(rows)} rows with a field that is not a number, the first "
                f"in line {wrong[0]}",
                stacklevel=3,
            )
        return np.array([row for row, _ in whole], np.float64), [at for _, at in whole]

    def texts(self, name: str) -> list[str]:
        """The fields of a column as text.

        Raises:
            ReadError: there is no such column.
        """
        if name not in self.names:
            raise ReadError(f"{self.where}: has no column {name[:40]!r}; expected one of {', '.join(self.names[:20])}.")
        column = self.names.index(name)
        return [line.split(self.delimiter)[column].decode("utf-8", "replace").strip(' "\r') for line in self.lines]

    def entries(self, columns: Sequence[int]) -> NDArray[np.float64]:
        """Numbers [rows, columns] of all rows; NaN where a field is empty or, with a warning, no number."""
        fast = self._fast(columns)
        if fast is not None:
            return fast
        found = np.full((len(self.lines), len(columns)), np.nan)
        wrong = []
        for row, line in enumerate(self.lines):
            fields = line.split(self.delimiter)
            for place, column in enumerate(columns):
                number = _row(fields, [column])
                if number is None:
                    wrong.append(f"line {self.at[row]}, column {self.names[column][:40]!r}")
                else:
                    found[row, place] = number[0]
        if wrong:
            warnings.warn(
                f"{self.where}: {len(wrong)} of {found.size} fields are not numbers and are taken as missing, the "
                f"first in {wrong[0]}",
                stacklevel=3,
            )
        return found

    def _fast(self, columns: Sequence[int] | None) -> NDArray[np.float64] | None:
        """What `numpy.loadtxt` reads; None if a field is not a number."""
        try:
            table = np.loadtxt(
                io.BytesIO(b"\n".join(self.lines)),
                delimiter=self.delimiter.decode(),
                comments=None,
                usecols=columns,
                quotechar='"',
                ndmin=2,
            )
        except ValueError:
            return None
        return np.asarray(table) if len(table) == len(self.lines) else None


def sniff(head: bytes) -> bool:
    """True for the start of text whose first two lines have the same number of columns, two or more."""
    text = plain_text(head)
    if b"\0" in text or any(byte < 9 for byte in text[:512]):
        return False
    first, *rest = text.split(b"\n", 2)
    count = first.count(_delimiter(first))
    if len(rest) < 2:  # `head` may end within the second line
        return count >= _MANY
    return count > 0 and rest[0].count(_delimiter(first)) == count


def parse_table(data: bytes, where: str, *, last_needs_end: bool = True) -> Table:
    """Split text into the rows of a table, in any of the encodings of `plain_text`.

    Rows that have another number of fields than the first line are left out, with a warning: the last may be cut, and
    lines of a log may be mixed in.

    Args:
        last_needs_end: leave out a last row without newline, whose last number may be cut.

    Raises:
        ReadError: there is no whole row.
    """
    text = plain_text(data)
    first = text[: text.find(b"\n") if b"\n" in text else len(text)]
    delimiter = _delimiter(first)
    if delimiter == b";":  # how spreadsheets write tables where the comma is the decimal sign
        text = text.replace(b",", b".")
    lines = text.split(b"\n")
    unfinished = len(lines) if lines[-1].strip() and last_needs_end else 0
    names = [name.strip(' "') for name in first.decode("latin-1").split(delimiter.decode())]
    is_headed = _row(first.split(delimiter), None) is None or not any(names)
    width = len(names)
    whole, at, wrong = [], [], []
    for number, line in enumerate(lines[1:] if is_headed else lines, start=2 if is_headed else 1):
        if not line.strip():
            continue
        if line.count(delimiter) + 1 == width and number != unfinished:
            whole.append(line)
            at.append(number)
        else:
            wrong.append(number)
    if not whole:
        raise ReadError(f"{where}: has no whole row of {width} fields; copy the file again.")
    if wrong:
        reason = "the last, which does not end" if wrong == [unfinished] else f"the first, line {wrong[0]}"
        warnings.warn(
            f"{where}: left out {len(wrong)} of {len(wrong) + len(whole)} rows that do not have {width} whole fields, "
            f"{reason}",
            stacklevel=3,
        )
    return Table(names if is_headed else [str(n) for n in range(width)], whole, at, delimiter, where)


def _delimiter(line: bytes) -> bytes:
    return max(_DELIMITERS, key=line.count)


def _row(fields: Sequence[bytes], columns: Sequence[int] | None) -> list[float] | None:
    """The numbers of a row, NaN where a field is empty; None if a field is no number."""
    picked = fields if columns is None else [fields[column] for column in columns]
    try:
        return [float(text) if (text := field.strip(b' "\r')) else math.nan for field in picked]
    except ValueError:
        return None
