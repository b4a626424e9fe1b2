"""A smaller part of a corpus, the same for every seed: the first sessions, and a number of samples spread over them.

Training data vary in amount (samples) and in diversity (sessions: rooms, days, devices). To vary one and hold the other
constant, a part is cut to a number of sessions, and of those to a number of samples, balanced over the sessions.
"""

from __future__ import annotations

import numpy as np

from foundation.data.shards.manifest import Shard
from foundation.errors import ShardError

#: Shards, each with the sorted indices int64 [n] of the selected samples in it.
Selection = list[tuple[Shard, np.ndarray]]


def select_subset(selection: Selection, sessions: int | None, samples: int | None, where: str) -> Selection:
    """The first `sessions` sessions in stored order, and `samples` samples of those. None: all.

    Samples are balanced: sessions contribute equally as far as they are long enough, evenly spaced over each session.

    Raises:
        ShardError: there are fewer than requested; a smaller subset than stated would invalidate a comparison.
    """
    names = np.concatenate([sessions_of(*each) for each in selection]) if selection else np.empty(0, str)
    order = {name: number for number, name in enumerate(dict.fromkeys(names.tolist()))}
    session = np.array([order[name] for name in names.tolist()], np.int64)
    _require(len(order), sessions, "sessions", where)
    rows = np.flatnonzero(session < (len(order) if sessions is None else sessions))
    _require(len(rows), samples, "samples", where)
    if samples is not None:
        rows = rows[_balanced(session[rows], samples)]
    keep = np.zeros(len(names), bool)
    keep[rows] = True
    ends = np.cumsum([len(indices) for _, indices in selection])
    parts = np.split(keep, ends[:-1])
    kept = [(shard, indices[part]) for (shard, indices), part in zip(selection, parts, strict=True)]
    return [(shard, indices) for shard, indices in kept if len(indices)]


def sessions_of(shard: Shard, indices: np.ndarray) -> np.ndarray:
    """The session of each of these samples of a shard."""
    ends = np.cumsum(list(shard.sessions.values()))
    return np.asarray(list(shard.sessions))[np.searchsorted(ends, indices, side="right")]


def _balanced(session: np.ndarray, samples: int) -> np.ndarray:
    """Rows of `samples` samples: sessions contribute one each, round robin, until there are enough."""
    own = [np.flatnonzero(session == each) for each in np.unique(session)]
    turns = np.concatenate([np.arange(len(rows)) for rows in own])
    owner = np.repeat(np.arange(len(own)), [len(rows) for rows in own])
    quota = np.bincount(owner[np.lexsort((owner, turns))[:samples]], minlength=len(own))
    middles = ((2 * np.arange(q) + 1) * len(rows) // (2 * max(1, q)) for q, rows in zip(quota, own, strict=True))
    return np.concatenate([rows[at] for rows, at in zip(own, middles, strict=True)])


def _require(found: int, requested: int | None, what: str, where: str) -> None:
    if requested is not None and found < requested:
        raise ShardError(f"{where}: {requested} {what} requested, {found} found; request fewer, or build more.")
