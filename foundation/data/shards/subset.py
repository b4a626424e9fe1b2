"""Less of a part, the same for every seed: some kinds of signal, the first sessions, and few samples of each.

How much there is to learn from is amount (samples) and diversity (sessions: rooms, days, devices). To vary one and hold
the other, a part is cut to so many sessions, and of those to so many samples, as many of each session as of any other.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from foundation.data.shards.manifest import Shard
from foundation.errors import ShardError

#: Shards with the places of the wanted samples in them.
Wanted = list[tuple[Shard, np.ndarray]]


def subset(wanted: Wanted, sessions: int | None, samples: int | None, where: str) -> Wanted:
    """The first `sessions` sessions, in the order in which they are stored, and of those `samples` samples, as many of
    every session as of any other, as far as it has so many, spread evenly over it. None: all.

    Raises:
        ShardError: there are fewer; a cut that is smaller than it says would spoil a comparison.
    """
    names = np.concatenate([sessions_of(*each) for each in wanted]) if wanted else np.empty(0, str)
    order = {name: place for place, name in enumerate(dict.fromkeys(names.tolist()))}
    session = np.array([order[name] for name in names.tolist()], np.int64)
    _demand(len(order), sessions, "sessions", where)
    rows = np.flatnonzero(session < (len(order) if sessions is None else sessions))
    _demand(len(rows), samples, "samples", where)
    if samples is not None:
        rows = rows[_spread(session[rows], samples)]
    keep = np.zeros(len(names), bool)
    keep[rows] = True
    ends = np.cumsum([len(places) for _, places in wanted])
    cut = [(shard, places[part]) for (shard, places), part in zip(wanted, np.split(keep, ends[:-1]), strict=True)]
    return [(shard, places) for shard, places in cut if len(places)]


def sessions_of(shard: Shard, places: np.ndarray) -> np.ndarray:
    """The session of every one of these samples of a shard."""
    ends = np.cumsum(list(shard.sessions.values()))
    return np.asarray(list(shard.sessions))[np.searchsorted(ends, places, side="right")]


def _spread(session: np.ndarray, samples: int) -> np.ndarray:
    """Rows of `samples` samples: sessions give one each in turn until there are enough."""
    own = [np.flatnonzero(session == each) for each in np.unique(session)]
    turns = np.concatenate([np.arange(len(rows)) for rows in own])
    owner = np.repeat(np.arange(len(own)), [len(rows) for rows in own])
    quota = np.bincount(owner[np.lexsort((owner, turns))[:samples]], minlength=len(own))
    middles = ((2 * np.arange(q) + 1) * len(rows) // (2 * max(1, q)) for q, rows in zip(quota, own, strict=True))
    return np.concatenate([rows[at] for rows, at in zip(own, middles, strict=True)])


def _demand(found: int, asked: int | None, what: str, where: str) -> None:
    if asked is not None and found < asked:
        raise ShardError(f"{where}: {asked} {what} are asked for and there are {found}; ask for fewer, or build more.")


def demand_kinds(found: int, kinds: Sequence[str], known: Sequence[str], where: str) -> None:
    """Nothing if some sample is of these kinds.

    Raises:
        ShardError: none is; names what there is.
    """
    if found == 0:
        raise ShardError(f"{where}: no sample is of kind {', '.join(kinds)}; its kinds: {', '.join(known)}.")
