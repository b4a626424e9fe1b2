"""Batch boundaries in the order of samples that all ranks and workers share.

A batch ends at a number of samples or of tokens, whichever comes first. Every process computes the boundaries for
itself, from the lengths of the samples in the headers of their arrays, without communication.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from foundation.errors import ShardError


def cut(
    position: int, world: int, samples: int, tokens: int | None, length: Callable[[int], int]
) -> Iterator[list[range]]:
    """For every step, the positions of each rank's batch: consecutive ranges without a gap.

    Args:
        position: start of the first step.
        samples: maximum samples of a batch.
        tokens: maximum tokens of a batch; None for no limit.
        length: tokens of the sample at a position; called only where there is a limit.

    Raises:
        ShardError: one sample alone is longer than the limit.
    """
    while True:
        step = []
        for _ in range(world):
            end = position + samples if tokens is None else _full(position, samples, tokens, length)
            step.append(range(position, end))
            position = end
        yield step


def _full(first: int, samples: int, tokens: int, length: Callable[[int], int]) -> int:
    """End of the batch that begins at `first`."""
    left = tokens
    for position in range(first, first + samples):
        left -= length(position)
        if left < 0:
            if position == first:
                raise ShardError(
                    f"the sample at position {position} of the stream has {tokens - left} tokens, more than "
                    f"train.batch_tokens={tokens}; raise it, use larger patches, or cut the recordings shorter."
                )
            return position
    return first + samples
