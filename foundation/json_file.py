"""JSON that others wrote: one parser, with bounds, for every file, header and line of it.

`json.loads` alone takes the last of two equal keys, NaN, numbers that overflow to infinity and halves of surrogate
pairs, which cannot be written again, and has no limit on size or depth.
"""

from __future__ import annotations

import gc
import json
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from foundation.files import read_regular

MOST_BYTES = 64 * 2**20
MOST_DEPTH = 64  # deeper than anything that is written by hand or by a program of the field

#: Numbers that may overflow a double, and the only way to write half of a surrogate pair.
_HUGE = re.compile(r"[eE]\+?\d{3}|\d{300}")
_KEY = re.compile(r'"\s*:')  # the end of a key, or a part of a text that looks like one
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def parse_json(data: bytes | memoryview | str, *, finite: bool = True, most_bytes: int | None = None) -> Any:
    """The value of a JSON text in UTF-8, with or without a byte order mark.

    Args:
        finite: refuse NaN and infinity, which are no JSON; False takes the NaN that Python's own `json` writes.
        most_bytes: None for `MOST_BYTES`.

    Raises:
        ValueError: it is larger than `most_bytes`, nested deeper than `MOST_DEPTH`, has a key twice, a number that is
            not finite or half of a surrogate pair, or is no JSON.
    """
    most_bytes = MOST_BYTES if most_bytes is None else most_bytes
    if len(data) > most_bytes:
        raise ValueError(f"it has {len(data)} bytes; expected {most_bytes} at most")
    text = data if isinstance(data, str) else bytes(data).decode("utf-8-sig")
    options: dict[str, Any] = {"parse_constant": _refuse} if finite else {}
    if finite and _HUGE.search(text):
        options["parse_float"] = _finite
    try:
        found = json.loads(text, **options)
        # Looking at every pair takes three times as long: done where there are fewer keys than there are colons.
        if isinstance(found, dict | list) and len(_KEY.findall(text)) != _keys(found):
            found = json.loads(text, object_pairs_hook=_object, **options)
    except RecursionError:
        raise ValueError(f"it is nested deeper than {MOST_DEPTH} levels") from None
    if isinstance(found, dict | list) and text.count("[") + text.count("{") > MOST_DEPTH:
        _check_depth(found)
    if _SURROGATE.search(text):
        _check_text(found)
    return found


def load_json(path: Path, *, finite: bool = True) -> Any:
    """The value in a file, which must be a regular one. `parse_json` says what is refused.

    Raises:
        OSError: it cannot be read, or is a pipe or a device.
        ValueError: as `parse_json`.
    """
    return parse_json(read_regular(path, MOST_BYTES + 1), finite=finite)


@contextmanager
def without_collection() -> Iterator[None]:
    """The garbage collector walks again and again over what has been read: two thirds of the time for
    10**5 shards."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _keys(found: Any) -> int:
    """How many keys all objects of a value have."""
    inside = found.values() if type(found) is dict else found
    count = len(found) if type(found) is dict else 0
    for each in inside:
        if type(each) is dict or type(each) is list:
            count += _keys(each)
    return count


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice[:100]!r} is there twice")
    return found


def _refuse(name: str) -> float:
    raise ValueError(f"it holds {name}, which is no JSON")


def _finite(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise ValueError(f"the number {text[:40]} is too large")
    return number


def _check_depth(found: Any) -> None:
    level = [found]
    for _ in range(MOST_DEPTH):
        inside = (each.values() if isinstance(each, dict) else each for each in level)
        level = [inner for each in inside for inner in each if isinstance(inner, dict | list)]
        if not level:
            return
    raise ValueError(f"it is nested deeper than {MOST_DEPTH} levels")


def _check_text(found: Any) -> None:
    try:
        json.dumps(found, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError("a text in it has half of a surrogate pair") from None
