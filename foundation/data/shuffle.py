"""Shuffled order of samples: an endless sequence over epochs that every process can compute for itself.

The training set is one sequence of positions 0, 1, 2, ..., epoch after epoch. It depends on the seed alone, not on the
number of ranks or workers. So the state of a stream is one number, a resumed run continues with the next sample, and a
run resumed with another number of ranks reads every remaining sample once.

An epoch takes the shards in a new order, in windows of `WINDOW` shards, and permutes all samples of a window: nearly as
good as a permutation of the epoch, while only the files of a window are open.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

WINDOW = 16  # shards


class Order:
    """The order of the samples of shards with `counts` samples each."""

    def __init__(self, counts: Sequence[int], seed: int) -> None:
        self.counts = np.asarray(counts, np.int64)
        self.seed = seed
        self.total = int(self.counts.sum())
        self._window = lru_cache(maxsize=2)(self._mixed)
        self._epoch = lru_cache(maxsize=2)(self._shuffled)

    def at(self, position: int) -> tuple[int, int]:
        """(shard, sample within the shard) at a position."""
        epoch, within = divmod(position, self.total)
        ends = self._epoch(epoch)[1]
        window = int(np.searchsorted(ends, within, side="right"))
        shard, sample = self._window(epoch, window)[within - (int(ends[window - 1]) if window else 0)]
        return int(shard), int(sample)

    def _shuffled(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """Shards in the order of an epoch, and the end position of each window."""
        order = np.random.default_rng((self.seed, epoch)).permutation(len(self.counts))
        sizes = np.add.reduceat(self.counts[order], np.arange(0, len(order), WINDOW))
        return order, np.cumsum(sizes)

    def _mixed(self, epoch: int, window: int) -> np.ndarray:
        """[n, 2] (shard, sample) of one window, in the order they are read."""
        shards = self._epoch(epoch)[0][window * WINDOW : (window + 1) * WINDOW]
        pairs = np.concatenate(
            [np.stack([np.full(self.counts[s], s), np.arange(self.counts[s])], axis=1) for s in shards]
        )
        return np.random.default_rng((self.seed, epoch, window)).permutation(pairs)


class Mixture:
    """Mixture of several sequences: for each position, the sequence and the position within it.

    Every block of `BLOCK` positions contains each sequence in its share, at least once, in random order.
    """

    BLOCK = 1000

    def __init__(self, shares: Sequence[float], seed: int) -> None:
        exact = np.asarray(shares, np.float64) / np.sum(shares) * self.BLOCK
        counts = np.floor(exact).astype(int)
        counts[np.argsort(counts - exact, kind="stable")[: self.BLOCK - counts.sum()]] += 1  # largest remainders
        self.counts = np.maximum(counts, 1)
        self.size = int(self.counts.sum())
        self.seed = seed
        self._block = lru_cache(maxsize=2)(self._mixed)

    def at(self, position: int) -> tuple[int, int]:
        """(sequence, position within it)."""
        if len(self.counts) == 1:
            return 0, position
        block, within = divmod(position, self.size)
        which, before = self._block(block)
        return int(which[within]), block * int(self.counts[which[within]]) + int(before[within])

    def _mixed(self, block: int) -> tuple[np.ndarray, np.ndarray]:
        which = np.repeat(np.arange(len(self.counts)), self.counts)
        which = np.random.default_rng((self.seed, block, 7)).permutation(which)
        before = np.zeros(self.size, int)
        for sequence, count in enumerate(self.counts):
            before[which == sequence] = np.arange(count)
        return which, before
