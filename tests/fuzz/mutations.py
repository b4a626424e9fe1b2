"""Mutations of bytes and of JSON values that several of these scripts make, and the memory that they look at."""

from __future__ import annotations

import copy
import random
import resource
from collections.abc import Sequence
from typing import Any

NASTY: list[Any] = [
    *(-1, 0, 1, 10**9, 2**63, 2**200, -(10**9), 1e300, 0.5, True, None, "", "x", "../x", "\x1b[2J", "a" * 100_000),
    *([], {}, [[]], [["s0", 1]], {"a": 1}, [-1], "s0", "s3", "train", "test", "pipe:touch x", "http://u:p@h/x"),
]
TEXTS = [
    b"NaN",
    b"1e999",
    b"-1",
    b"[" * 5000,
    b'{"a":' * 5000,
    b'"\\ud800"',
    b"\xff",
    b"9" * 5000,
    b'"a":1,"a":2',
    b"\0",
]


def bytes_of(rng: random.Random, data: bytearray, most: int = 8) -> None:
    """A few random changes: bits, bytes, cuts, copies, and pieces of hostile text."""
    for _ in range(rng.randint(1, most)):
        at = rng.randrange(len(data) or 1)
        kind = rng.randrange(5)
        if kind == 0 and data:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1 and data:
            data[at] = rng.randrange(256)
        elif kind == 2:
            del data[at : at + rng.randint(1, 600)]
        elif kind == 3:
            data[at:at] = data[rng.randrange(len(data) or 1) :][: rng.randint(1, 600)]
        else:
            data[at : at + rng.randint(0, 4)] = rng.choice(TEXTS)


def changed(rng: random.Random, raw: dict[str, Any], values: Sequence[Any] = NASTY) -> dict[str, Any]:
    """A few values of a JSON object replaced, deleted or moved, in place, at any depth."""
    for _ in range(rng.randint(1, 3)):
        at: Any = raw
        key: Any = rng.choice(list(raw))
        while isinstance(at[key], dict | list) and at[key] and rng.random() < 0.8:
            at = at[key]
            key = rng.choice(list(at)) if isinstance(at, dict) else rng.randrange(len(at))
        how = rng.randrange(4)
        if how == 0 and len(raw) > 1:
            del at[key]
        elif how == 1 and isinstance(at, list):
            rng.shuffle(at)
        else:
            at[key] = copy.deepcopy(rng.choice(values))
    return raw


def peak_memory() -> int:
    """Bytes of the largest resident set that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
