"""Batch boundaries in the order of samples that all ranks and workers share.

A batch ends at a number of samples or of tokens, whichever comes first. Every process computes the boundaries for
itself, from the lengths of the samples in the manifest, without communication: by a running sum over thousands of
samples at a time, so that those of other ranks cost next to nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from foundation.errors import ShardError

AHEAD = 2**14  # samples whose lengths are asked for at a time

#: Tokens int64 [n] of the samples at the positions from one to before another.
Lengths = Callable[[int, int], np.ndarray]


def cut(position: int, world: int, samples: int, tokens: int | None, lengths: Lengths) -> Iterator[list[range]]:
    """For every step, the positions of each rank's batch: consecutive ranges without a gap.

    Args:
        position: start of the first step.
        samples: maximum samples of a batch.
        tokens: maximum tokens of a batch; None for no limit.
        lengths: called only where there is a limit.

    Raises:
        ShardError: one sample alone is longer than the limit.
    """
    ahead = None if tokens is None else _Ahead(position, samples, tokens, lengths)
    while True:
        step = []
        for _ in range(world):
            end = position + samples if ahead is None else ahead.end(position)
            step.append(range(position, end))
            position = end
        yield step


class _Ahead:
    """Running sum of the tokens from position `first` on, as far as it is known."""

    def __init__(self, first: int, samples: int, limit: int, lengths: Lengths) -> None:
        self.first, self.samples, self.limit, self.lengths = first, samples, limit, lengths
        self.sums = np.zeros(1, np.int64)  # sums[i]: tokens of the `i` samples from `first` on

    def end(self, position: int) -> int:
        """End of the batch that begins at a position, which is not before the one of the last call."""
        if position - self.first + self.samples >= len(self.sums):
            self._extend(position)
        begin = position - self.first
        full = int(self.sums[begin]) + self.limit
        end = int(self.sums[begin : begin + self.samples + 1].searchsorted(full, side="right")) - 1
        if end == 0:
            raise ShardError(
                f"the sample at position {position} of the stream has {self.sums[begin + 1] - self.sums[begin]} "
                f"tokens, more than train.batch_tokens={self.limit}; raise it, use larger patches, or cut the "
                "recordings shorter."
            )
        return position + end

    def _extend(self, position: int) -> None:
        """Let go of what lies before a position, and look further ahead."""
        known = self.sums[position - self.first :]
        begin = position + len(known) - 1
        more = self.lengths(begin, begin + max(AHEAD, self.samples))
        self.first, self.sums = position, np.concatenate([known, known[-1] + np.cumsum(more)])
