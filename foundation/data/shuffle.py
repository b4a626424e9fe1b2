"""Shuffled order of samples: an endless sequence over epochs that every process can compute for itself.

The training set is one sequence of positions 0, 1, 2, ..., epoch after epoch. It depends on the seed alone, not on the
number of ranks or workers. So the state of a stream is one number, a resumed run continues with the next sample, and a
run resumed with another number of ranks reads every remaining sample once.

An epoch takes the shards in a new order, in windows of `WINDOW` shards, and permutes all samples of a window: nearly as
good as a permutation of the epoch, while only the files of a window are open.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np

WINDOW = 16  # shards


class Order:
    """The order of the samples of shards with `counts` samples each.

    `window(epoch, number)` is the [n, 2] (shard, sample) of one window, in the order they are read.
    """

    def __init__(self, counts: Sequence[int], seed: int) -> None:
        self.counts = np.asarray(counts, np.int64)
        self.seed = seed
        self.total = int(self.counts.sum())
        self.window = lru_cache(maxsize=2)(self._mixed)
        self._epoch = lru_cache(maxsize=2)(self._shuffled)

    def at(self, position: int) -> tuple[int, int]:
        """(shard, sample within the shard) at a position."""
        ((epoch, window, where),) = self.spans(position, position + 1)
        shard, sample = self.window(epoch, window)[where.start]
        return int(shard), int(sample)

    def spans(self, start: int, stop: int) -> Iterator[tuple[int, int, slice]]:
        """The positions from `start` to before `stop`, as (epoch, window, rows of the window)."""
        while start < stop:
            epoch, within = divmod(start, self.total)
            ends = self._epoch(epoch)[1]
            window = int(np.searchsorted(ends, within, side="right"))
            first = int(ends[window - 1]) if window else 0
            last = min(int(ends[window]), within + stop - start)
            yield epoch, window, slice(within - first, last - first)
            start += last - within

    def _shuffled(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """Shards in the order of an epoch, and the end position of each window."""
        order = np.random.default_rng((self.seed, epoch)).permutation(len(self.counts))
        sizes = np.add.reduceat(self.counts[order], np.arange(0, len(order), WINDOW))
        return order, np.cumsum(sizes)

    def _mixed(self, epoch: int, window: int) -> np.ndarray:
        shards = self._epoch(epoch)[0][window * WINDOW : (window + 1) * WINDOW]
        counts = self.counts[shards]
        samples = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        order = np.random.default_rng((self.seed, epoch, window)).permutation(len(samples))
        return np.stack([np.repeat(shards, counts), samples], axis=1)[order]


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

    def between(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """Sequences and positions within them, int64 [n] each, of the positions from `start` to before `stop`."""
        if len(self.counts) == 1:
            return np.zeros(stop - start, np.int64), np.arange(start, stop)
        blocks = range(start // self.size, -(-stop // self.size))
        found = [(self._block(block), block) for block in blocks]
        skip = blocks.start * self.size
        which = np.concatenate([which for (which, _), _ in found])[start - skip : stop - skip]
        before = np.concatenate([block * self.counts[which] + before for (which, before), block in found])
        return which, before[start - skip : stop - skip]

    def _mixed(self, block: int) -> tuple[np.ndarray, np.ndarray]:
        which = np.repeat(np.arange(len(self.counts)), self.counts)
        which = np.random.default_rng((self.seed, block, 7)).permutation(which)
        before = np.zeros(self.size, int)
        for sequence, count in enumerate(self.counts):
            before[which == sequence] = np.arange(count)
        return which, before


def endless_batches(rows: np.ndarray, size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Endless batches of shuffled rows; the remainder of an epoch is carried into the next."""
    left = np.empty(0, rows.dtype)
    while True:
        while len(left) < size:
            left = np.concatenate([left, rng.permutation(rows)])
        yield left[:size]
        left = left[size:]
