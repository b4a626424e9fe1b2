"""Read dictionaries of NumPy arrays from pickles, without unpickling.

A pickle is a program, and loading it runs whatever its author wrote. Here an interpreter of our own implements the
instructions that build tuples, strings, numbers and dictionaries, and the few functions by which NumPy's arrays are
stored; anything else is an error. Python's own unpickler, even with its functions restricted, can be made to allocate
without bound. Protocols 0 (of Python 2) to 5; Lib/pickletools.py describes each instruction.
"""

from __future__ import annotations

import codecs
import math
import mmap
import struct
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foundation.errors import ReadError
from foundation.readers.files import read_bytes

#: Functions that a pickle may name. Nothing is imported: the interpreter implements them itself.
_FUNCTIONS = {
    **{f"{core}.multiarray._reconstruct": "array" for core in ("numpy.core", "numpy._core")},
    **{f"{core}.multiarray.scalar": "scalar" for core in ("numpy.core", "numpy._core")},
    **{f"{core}.numeric._frombuffer": "frombuffer" for core in ("numpy.core", "numpy._core")},
    "numpy.ndarray": "ndarray",
    "numpy.dtype": "dtype",
    "_codecs.encode": "encode",
}
_MARK = object()
#: Limit on encoded strings, as a multiple of the file size: one string could otherwise be encoded again and again.
_LARGEST_RATIO = 8


class _BadPickleError(Exception):
    """An invalid pickle; the message becomes part of a ReadError."""


class _CutPickleError(_BadPickleError):
    """A pickle that ends too early."""


@dataclass(frozen=True)
class _Function:
    name: str


@dataclass
class _Type:
    """A NumPy type under construction: its code, such as "f4", and whether it is big-endian."""

    code: str
    big_endian: bool = False

    def numpy(self) -> np.dtype:
        dtype = np.dtype(self.code if self.code[:1] in tuple("fiucb") else "V")
        if dtype.kind not in "fiucb":
            raise _BadPickleError(f"an array has the type {self.code[:20]!r}, not numbers")
        return dtype.newbyteorder(">" if self.big_endian else "<")


@dataclass
class _Array:
    """An array under construction."""

    values: NDArray | None = None


def pairs(path: Path) -> list[tuple[Any, Any]]:
    """Read the (key, value) pairs of the dictionary in a file; of one that is cut the whole pairs, with a warning.

    Returns:
        Keys are strings, bytes, numbers or tuples of them; values may also be arrays.

    Raises:
        ReadError: the file is missing, empty, cut before the first pair or damaged, or would build anything else; names
            the byte.
    """
    read_bytes(path, 1)  # raises the errors of a missing or empty file
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        machine = _Machine(data)
        try:
            found = _whole_pairs(machine, path)
        except (
            _BadPickleError,
            ArithmeticError,
            LookupError,
            RecursionError,
            TypeError,
            ValueError,
            struct.error,
        ) as error:
            raise ReadError(
                f"{path}: at byte {machine.at}, {error}; expected a pickled dictionary of arrays: it is damaged or "
                "hostile, download it again."
            ) from error
    return [(key, value.values if isinstance(value, _Array) else value) for key, value in found]


def _whole_pairs(machine: _Machine, path: Path) -> list[tuple[Any, Any]]:
    """The pairs that a pickle builds, and of one that is cut, with a warning, those that are complete."""
    try:
        return machine.run()
    except _CutPickleError as error:
        found = machine.so_far()
        if not found:
            raise
        warnings.warn(f"{path}: is truncated ({error}); its first {len(found)} entries are read", stacklevel=4)
        return found


class _Machine:
    """Interpreter of the pickle instructions that build plain data.

    Dictionaries are lists of pairs: hashing a deeply nested key could overflow the C stack.
    """

    def __init__(self, data: mmap.mmap) -> None:
        self.data, self.at = data, 0
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.encoded = 0

    def run(self) -> list[tuple[Any, Any]]:
        """Run the pickle; returns the pairs of the dictionary that it builds."""
        while True:
            code = self._take(1)
            if code == b".":
                break
            step = _STEPS.get(code)
            if step is None:
                raise _BadPickleError(f"the instruction {code!r} is not needed for arrays and not allowed")
            step(self)
        result = self.stack.pop()
        if not isinstance(result, list) or not all(isinstance(pair, tuple) and len(pair) == 2 for pair in result):
            raise _BadPickleError("the pickle does not build a dictionary")
        return result

    def so_far(self) -> list[tuple[Any, Any]]:
        """The pairs with complete arrays of the dictionary that is being built at the bottom of the stack."""
        if not self.stack or not isinstance(self.stack[0], list):
            return []
        above = self.stack[1 + (self.stack[1:2] == [_MARK]) :]
        end = next((i for i, value in enumerate(above) if value is _MARK), len(above))
        pairs = [*self.stack[0], *zip(above[:end:2], above[1:end:2], strict=False)]
        return [pair for pair in pairs if isinstance(pair[1], _Array) and pair[1].values is not None]

    def _take(self, size: int) -> bytes:
        if size < 0 or self.at + size > len(self.data):
            raise _CutPickleError(f"the file ends {self.at + size - len(self.data)} bytes too early")
        self.at += size
        return self.data[self.at - size : self.at]

    def _line(self) -> bytes:
        end = self.data.find(b"\n", self.at)
        if end < 0:
            raise _CutPickleError("the file ends within a line")
        line, self.at = self.data[self.at : end], end + 1
        return line

    def number(self, layout: str) -> Any:
        """Read a number of fixed size."""
        return struct.unpack(layout, self._take(struct.calcsize(layout)))[0]

    def counted(self, layout: str) -> bytes:
        """Read bytes that follow their count."""
        return self._take(self.number(layout))

    def line(self) -> str:
        """Read text up to the end of the line."""
        return self._line().decode("ascii")

    def quoted(self) -> bytes:
        """Read a string as Python 2 writes it, with escapes, in quotes."""
        line = self._line()
        if len(line) < 2 or line[:1] not in (b"'", b'"') or line[-1:] != line[:1]:
            raise _BadPickleError("a string has no quotes")
        return bytes(codecs.escape_decode(line[1:-1])[0])

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def to_mark(self) -> list[Any]:
        """Pop the values above the last mark, and the mark."""
        at = next((i for i in range(len(self.stack) - 1, -1, -1) if self.stack[i] is _MARK), None)
        if at is None:
            raise _BadPickleError("a mark is missing")
        values = self.stack[at + 1 :]
        del self.stack[at:]
        return values

    def pairs(self, values: list[Any]) -> list[tuple[Any, Any]]:
        return list(zip(values[::2], values[1::2], strict=True))

    def set_items(self, values: list[Any]) -> None:
        if not isinstance(self.stack[-1], list):
            raise _BadPickleError("items are set in something other than a dictionary")
        self.stack[-1] += self.pairs(values)

    def last(self, count: int) -> tuple[Any, ...]:
        if len(self.stack) < count:
            raise _BadPickleError("the stack is too short")
        values = tuple(self.stack[-count:])
        del self.stack[-count:]
        return values

    def get(self, index: int) -> None:
        if index not in self.memo:
            raise _BadPickleError(f"entry {index} of the memo is not set")
        self.push(self.memo[index])

    def named(self, module: Any, name: Any) -> None:
        """Push a function by its name, which must be in the table of known functions."""
        full = f"{_text(module)}.{_text(name)}"
        known = _FUNCTIONS.get(full)
        if known is None:
            raise _BadPickleError(f"it names {full[:60]!r}, which is not allowed")
        self.push(_Function(known))

    def reduce(self) -> None:
        """Call a known function with a tuple of arguments."""
        function, arguments = self.last(2)
        if not isinstance(function, _Function) or not isinstance(arguments, tuple):
            raise _BadPickleError("it calls something other than a function")
        self.push(self._call(function.name, arguments))

    def _call(self, name: str, arguments: tuple[Any, ...]) -> Any:
        if name == "array":
            return _Array()
        if name == "dtype" and arguments:
            return _Type(_text(arguments[0]))
        if name == "frombuffer" and len(arguments) == 4:
            content, dtype, shape, order = arguments
            return _Array(self._array(content, dtype, shape, _text(order) == "F"))
        if name == "scalar" and len(arguments) == 2:
            return self._array(arguments[1], arguments[0], (), False).item()
        if name == "encode" and len(arguments) == 2 and _text(arguments[1]) == "latin1":
            return self._encoded(arguments[0])  # how Python 3 writes bytes in the protocols of Python 2
        raise _BadPickleError(f"it calls {name} with {len(arguments)} arguments")

    def build(self) -> None:
        """Set the state of the type or array below it on the stack."""
        target, state = self.last(2)
        if isinstance(target, _Type) and isinstance(state, tuple) and len(state) > 1:
            target.big_endian = _text(state[1]) == ">"
        elif isinstance(target, _Array) and isinstance(state, tuple) and len(state) == 5:
            _, shape, dtype, fortran, content = state
            target.values = self._array(content, dtype, shape, fortran is True or fortran == 1)
        else:
            raise _BadPickleError("it sets a state that is not that of an array")
        self.push(target)

    def _encoded(self, text: Any) -> bytes:
        """Encode a string as Latin-1, within the limit."""
        self.encoded += len(_text(text))
        if self.encoded > _LARGEST_RATIO * len(self.data):
            raise _BadPickleError("it encodes strings of many times the size of the file")
        return _text(text).encode("latin-1")

    def _array(self, content: Any, dtype: Any, shape: Any, fortran: bool) -> NDArray:
        """The array of these bytes, whose number must match shape and type exactly."""
        content = self._encoded(content) if isinstance(content, str) else content
        if not (isinstance(content, bytes) and isinstance(dtype, _Type) and isinstance(shape, tuple)):
            raise _BadPickleError("an array is not given by bytes, type and shape")
        if len(shape) > 8 or not all(isinstance(length, int) and length >= 0 for length in shape):
            raise _BadPickleError("a shape is not up to 8 non-negative integers")
        numbers = dtype.numpy()
        if math.prod(shape) * numbers.itemsize != len(content):
            raise _BadPickleError(f"an array of shape {shape} and type {numbers} has {len(content)} bytes")
        return np.frombuffer(content, numbers).reshape(shape, order="F" if fortran else "C")


def _text(value: Any) -> str:
    if not isinstance(value, (str, bytes)):
        raise _BadPickleError(f"expected a string, found {type(value).__name__}")
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _integer(text: str) -> int | bool:
    """Protocol 0 writes True as 01 and long integers with an L."""
    return text == "01" if text in ("00", "01") else int(text.removesuffix("L"))


def _memoize(m: _Machine, index: int) -> None:
    m.memo[index] = m.stack[-1]


_STEPS: dict[bytes, Callable[[_Machine], object]] = {
    # structure
    b"\x80": lambda m: m.number("B"),
    b"\x95": lambda m: m.number("<Q"),
    b"(": lambda m: m.push(_MARK),
    b"0": lambda m: m.last(1),
    # numbers and None
    b"N": lambda m: m.push(None),
    b"\x88": lambda m: m.push(True),
    b"\x89": lambda m: m.push(False),
    b"I": lambda m: m.push(_integer(m.line())),
    b"L": lambda m: m.push(_integer(m.line())),
    b"F": lambda m: m.push(float(m.line())),
    b"J": lambda m: m.push(m.number("<i")),
    b"K": lambda m: m.push(m.number("B")),
    b"M": lambda m: m.push(m.number("<H")),
    b"\x8a": lambda m: m.push(int.from_bytes(m.counted("B"), "little", signed=True)),
    b"G": lambda m: m.push(m.number(">d")),
    # strings and bytes
    b"S": lambda m: m.push(m.quoted()),
    b"T": lambda m: m.push(m.counted("<i")),
    b"U": lambda m: m.push(m.counted("B")),
    b"B": lambda m: m.push(m.counted("<I")),
    b"C": lambda m: m.push(m.counted("B")),
    b"\x8e": lambda m: m.push(m.counted("<Q")),
    b"\x96": lambda m: m.push(m.counted("<Q")),
    b"V": lambda m: m.push(m._line().decode("raw-unicode-escape")),
    b"X": lambda m: m.push(m.counted("<I").decode("utf-8", "surrogatepass")),
    b"\x8c": lambda m: m.push(m.counted("B").decode("utf-8", "surrogatepass")),
    b"\x8d": lambda m: m.push(m.counted("<Q").decode("utf-8", "surrogatepass")),
    # tuples and dictionaries
    b")": lambda m: m.push(()),
    b"t": lambda m: m.push(tuple(m.to_mark())),
    b"\x85": lambda m: m.push(m.last(1)),
    b"\x86": lambda m: m.push(m.last(2)),
    b"\x87": lambda m: m.push(m.last(3)),
    b"}": lambda m: m.push([]),
    b"d": lambda m: m.push(m.pairs(m.to_mark())),
    b"s": lambda m: m.set_items(list(m.last(2))),
    b"u": lambda m: m.set_items(m.to_mark()),
    # the memo
    b"p": lambda m: _memoize(m, int(m.line())),
    b"q": lambda m: _memoize(m, m.number("B")),
    b"r": lambda m: _memoize(m, m.number("<I")),
    b"\x94": lambda m: _memoize(m, len(m.memo)),
    b"g": lambda m: m.get(int(m.line())),
    b"h": lambda m: m.get(m.number("B")),
    b"j": lambda m: m.get(m.number("<I")),
    # functions
    b"c": lambda m: m.named(m.line(), m.line()),
    b"\x93": lambda m: m.named(*m.last(2)),
    b"R": lambda m: m.reduce(),
    b"b": lambda m: m.build(),
}
