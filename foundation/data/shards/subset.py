"""A smaller part of a corpus, the same for every seed: the first sessions, and a number of samples spread over them.

Training data vary in amount (samples) and in diversity (sessions: rooms, days, devices). To vary one and hold the other
constant, a part is cut to a number of sessions, and of those to a number of samples, balanced over the sessions.

What is selected is held as ranges, so that a part of a billion samples takes the memory of its shards and sessions.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import numpy as np

from foundation.data.shards.manifest import Shard
from foundation.errors import ShardError

#: int32 [k, 2]: the selected samples of a shard, as increasing ranges (first, end).
Ranges = np.ndarray
Selection = list[tuple[Shard, Ranges]]
SESSIONS = 4096  # whose samples are chosen at a time


def ranges_of(pairs: Sequence[tuple[int, int]]) -> Ranges:
    """Ranges of (first, end) pairs; those that touch are joined."""
    joined: list[list[int]] = []
    for first, end in pairs:
        if joined and joined[-1][1] == first:
            joined[-1][1] = end
        else:
            joined.append([first, end])
    return np.array(joined, np.int32).reshape(-1, 2)


def packed(rows: np.ndarray) -> Ranges:
    """Ranges of increasing indices [n]."""
    if not len(rows):
        return np.empty((0, 2), np.int32)
    borders = np.flatnonzero(np.diff(rows) != 1) + 1
    firsts, ends = rows[np.append(0, borders)], rows[np.append(borders, len(rows)) - 1] + 1
    return np.stack([firsts, ends], axis=1).astype(np.int32)


def rows_in(ranges: Ranges) -> np.ndarray:
    """The selected samples of a shard, int64 [n]."""
    sizes = ranges[:, 1].astype(np.int64) - ranges[:, 0]
    skipped = ranges[:, 0] - (np.cumsum(sizes) - sizes)  # before each range, by those that are not selected
    rows: np.ndarray = np.arange(sizes.sum()) + np.repeat(skipped, sizes)
    return rows


def size_of(ranges: Ranges) -> int:
    """Number of selected samples of a shard."""
    return int((ranges[:, 1] - ranges[:, 0]).sum(dtype=np.int64))


def pieces_of(shard: Shard, ranges: Ranges) -> list[tuple[str, int, int]]:
    """The ranges of a shard, cut where its sessions end: (session, first, end)."""
    ends = list(accumulate(shard.sessions.values()))
    found, names = [], list(shard.sessions)
    at = 0
    for first, end in ranges.tolist():
        while first < end:
            while ends[at] <= first:
                at += 1
            found.append((names[at], first, min(end, ends[at])))
            first = found[-1][2]
    return found


def select_subset(selection: Selection, sessions: int | None, samples: int | None, where: str) -> Selection:
    """The first `sessions` sessions in stored order, and `samples` samples of those. None: all.

    Samples are balanced: sessions contribute equally as far as they are long enough, evenly spaced over each session.

    Raises:
        ShardError: there are fewer than requested; a smaller subset than stated would invalidate a comparison.
    """
    pieces = [
        (name, number, first, end)
        for number, (shard, ranges) in enumerate(selection)
        for name, first, end in pieces_of(shard, ranges)
    ]
    order = {name: number for number, name in enumerate(dict.fromkeys(name for name, *_ in pieces))}
    _require(len(order), sessions, "sessions", where)
    table = np.array([(order[name], *rest) for name, *rest in pieces], np.int64).reshape(-1, 4)
    table = table[table[:, 0] < (len(order) if sessions is None else sessions)]
    _require(int((table[:, 3] - table[:, 2]).sum()), samples, "samples", where)
    kept = _whole(table) if samples is None else _balanced(table, samples)
    return [(selection[number][0], ranges) for number, ranges in sorted(kept.items()) if len(ranges)]


def _whole(table: np.ndarray) -> dict[int, Ranges]:
    """Shard -> ranges of all pieces; `table` is int64 [n, 4]: session, shard, first, end."""
    pairs: dict[int, list[tuple[int, int]]] = {}
    for _, number, first, end in table.tolist():
        pairs.setdefault(number, []).append((first, end))
    return {number: ranges_of(found) for number, found in pairs.items()}


def _balanced(table: np.ndarray, samples: int) -> dict[int, Ranges]:
    """Shard -> ranges of `samples` samples: sessions contribute one each, round robin, until there are enough."""
    table = table[np.argsort(table[:, 0], kind="stable")]  # the pieces of a session, in stored order
    length = table[:, 3] - table[:, 2]
    begins = np.searchsorted(table[:, 0], np.arange(table[-1, 0] + 2))
    before = np.append(0, np.cumsum(length))
    sizes = np.diff(before[begins])
    quota = _quota(sizes, samples)
    found = []
    for first in range(0, len(quota), SESSIONS):
        own = quota[first : first + SESSIONS]
        if not own.any():
            continue
        owner = np.repeat(np.arange(first, first + len(own)), own)
        turn = np.arange(len(owner)) - np.repeat(np.cumsum(own) - own, own)
        at = before[begins[owner]] + (2 * turn + 1) * sizes[owner] // (2 * quota[owner])
        piece = np.searchsorted(before, at, side="right") - 1
        places = np.sort(table[piece, 1] << 32 | (at - before[piece] + table[piece, 2]))  # shard and row in one number
        borders = np.flatnonzero(np.diff(places) != 1) + 1
        firsts, lasts = places[np.append(0, borders)], places[np.append(borders, len(places)) - 1]
        found.append(np.stack([firsts >> 32, firsts & (2**32 - 1), (lasts & (2**32 - 1)) + 1], 1).astype(np.int32))
    ranges = np.concatenate(found)
    ranges = ranges[np.lexsort((ranges[:, 1], ranges[:, 0]))]
    cuts = np.flatnonzero(np.diff(ranges[:, 0])) + 1
    return dict(zip(ranges[np.append(0, cuts), 0].tolist(), np.split(ranges[:, 1:], cuts), strict=True))


def _quota(sizes: np.ndarray, samples: int) -> np.ndarray:
    """Samples of every session: as many turns as all can have, and the turn that is not complete from the first on."""
    low, high = 0, int(sizes.max())
    while low < high:
        turns = (low + high + 1) // 2
        low, high = (turns, high) if np.minimum(sizes, turns).sum() <= samples else (low, turns - 1)
    quota: np.ndarray = np.minimum(sizes, low)
    quota[np.flatnonzero(sizes > low)[: samples - quota.sum()]] += 1
    return quota


def _require(found: int, requested: int | None, what: str, where: str) -> None:
    if requested is not None and found < requested:
        raise ShardError(f"{where}: {requested} {what} requested, {found} found; request fewer, or build more.")
